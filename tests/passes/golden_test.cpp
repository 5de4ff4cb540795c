// tests/passes/golden_test.cpp: passes on small graphs, text in and text out.
//
// A golden is tests/golden/passes/*.ir: a first line `# PASS: NAME`, a comment that says what is seen, a graph, and the
// graph that the pass makes of it on lines that begin with `#> `. RECURVE_UPDATE_GOLDENS=1 writes those lines anew.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "compiler/passes.h"
#include "ir/text.h"
#include "ir/verifier.h"
#include "tests/derivative/numeric.h"

namespace recurve {
namespace {

using ir::Graph;
namespace fs = std::filesystem;

constexpr std::string_view kFirstLine = "# PASS: ";
constexpr std::string_view kExpected = "#> ";

std::vector<fs::path> Goldens() {
  std::vector<fs::path> paths;
  for (const auto& entry : fs::directory_iterator(RECURVE_SOURCE_DIR "/tests/golden/passes")) {
    paths.push_back(entry.path());
  }
  std::ranges::sort(paths);
  return paths;
}

struct Golden {
  std::string pass, source, expected;
};

Golden ReadGolden(const fs::path& path) {
  Golden golden;
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    if (golden.source.empty() && line.starts_with(kFirstLine)) golden.pass = line.substr(kFirstLine.size());
    if (line.starts_with(kExpected)) {
      golden.expected += line.substr(kExpected.size()) + "\n";
    } else {
      golden.source += line + "\n";
    }
  }
  return golden;
}

void WriteGolden(const fs::path& path, std::string source, const std::string& actual) {
  while (source.ends_with("\n\n")) source.pop_back();
  std::ofstream file(path);
  file << source << "\n";
  std::istringstream lines(actual);
  for (std::string line; std::getline(lines, line);) file << kExpected << line << "\n";
}

class PassGoldens : public testing::TestWithParam<fs::path> {};

TEST_P(PassGoldens, PrintsTheSame) {
  Golden golden = ReadGolden(GetParam());
  auto pass = std::ranges::find(Passes(), golden.pass, &Pass::name);
  ASSERT_NE(pass, Passes().end()) << "no pass `" << golden.pass << "`";
  auto before = ir::ReadText(golden.source);
  ASSERT_TRUE(before) << before.error().line << ":" << before.error().column << ": " << before.error().message;
  Graph after = pass->run(*before);
  EXPECT_EQ(ir::Verify(after), "");

  std::string actual = ir::PrintText(after);
  if (!actual.ends_with("\n")) actual += "\n";
  if (std::getenv("RECURVE_UPDATE_GOLDENS") != nullptr)
    WriteGolden(GetParam(), golden.source, actual);
  else
    EXPECT_EQ(actual, golden.expected);

  Random random(1);
  ir::Bindings bindings{{"T", 3}, {"B", 2}, {"S", 2}};
  ExpectSameOutputs(*before, after, bindings, RandomInputs(*before, bindings, random));
}

INSTANTIATE_TEST_SUITE_P(Passes, PassGoldens, testing::ValuesIn(Goldens()),
                         [](const auto& path) { return path.param.stem().string(); });

}  // namespace
}  // namespace recurve

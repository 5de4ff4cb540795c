// tests/frontend/readme_test.cpp: the reference says what is so: its examples build, its lists are complete.

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <regex>

#include "frontend/builtins.h"
#include "frontend/frontend.h"
#include "frontend/library.h"
#include "frontend/typing.h"
#include "ir/verifier.h"

namespace recurve::frontend {
namespace {

std::string Readme() {
  std::ifstream file(RECURVE_SOURCE_DIR "/frontend/README.md");
  return std::string(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
}

TEST(FrontendReadme, ExamplesBuildWithoutAWarning) {
  const std::string readme = Readme(), open = "```recurve\n", close = "```\n";
  int examples = 0;
  for (size_t at = readme.find(open); at != readme.npos; at = readme.find(open, at)) {
    at += open.size();
    LoadResult loaded = Load("README", readme.substr(at, readme.find(close, at) - at));
    EXPECT_EQ(loaded.messages, "");
    ASSERT_TRUE(loaded.program);
    for (const Entry& entry : loaded.program->entries) {
      Extents extents;
      for (const std::string& extent : entry.extents) extents[extent] = 3;
      BuildResult built = Build(*loaded.program, entry.name, extents);
      ASSERT_TRUE(built.graph) << built.messages;
      EXPECT_EQ(ir::Verify(*built.graph), "");
      ++examples;
    }
  }
  EXPECT_GE(examples, 8);
}

TEST(FrontendReadme, NamesEveryFunctionAndCell) {
  const std::string readme = Readme();
  auto expect_named = [&](std::string_view name) {
    EXPECT_TRUE(std::regex_search(readme, std::regex("[` \n]" + std::string(name) + "[` \n]"))) << name;
  };
  for (const Builtin& builtin : Builtins()) expect_named(builtin.name);
  for (const Ast& ast : LibraryAsts()) {
    for (const Definition& definition : ast.definitions) expect_named(definition.name.text);
  }
}

TEST(FrontendReadme, MessageIsTheOneThatIsReported) {
  const char* program =
      "cell gru(I, H) {\n"
      "  input x: [I]\n"
      "  state h: [H]\n"
      "  param W: [3*H, I], b: [3*H]\n"
      "\n"
      "  # the hidden state where the input belongs\n"
      "  xr, xz, xn = split(W @ h + b, 3)\n"
      "  h' = xr + xz + xn + W @ x\n"
      "}\n";
  std::string messages = Load("gru.cell", program).messages;
  std::string first = messages.substr(0, messages.find("gru.cell:8"));
  EXPECT_NE(Readme().find(first), std::string::npos) << messages;
}

}  // namespace
}  // namespace recurve::frontend

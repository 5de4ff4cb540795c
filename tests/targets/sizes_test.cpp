// tests/targets/sizes_test.cpp: how large objects are, beside the table in bench/README.md.
//
// `RECURVE_UPDATE_GOLDENS=1` writes the table anew. Another patch of LLVM moves the numbers a little, so that they are
// compared to a twentieth; what is promised is compared exactly.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "compiler/compile.h"
#include "runtime/parameters.h"
#include "runtime/weights.h"
#include "tests/support/graph_of.h"

namespace recurve {
namespace {

struct Row {
  const char* machine;
  TargetSpec spec;
};

const Row kRows[] = {
    {"Cortex-M4F", {"thumbv7em-none-eabihf", "cortex-m4", ""}},
    {"Cortex-M7", {"thumbv7em-none-eabihf", "cortex-m7", ""}},
    {"Cortex-M55", {"thumbv8.1m.main-none-eabihf", "cortex-m55", ""}},
    {"RISC-V 64", {"riscv64-linux-gnu", "", ""}},
    {"RISC-V 64, V", {"riscv64-linux-gnu", "", "+v"}},
    {"AArch64", {"aarch64-linux-gnu", "", ""}},
    {"wasm32, simd128", {"wasm32", "", "+simd128"}},
    {"x86-64-v2", {"x86_64-linux-gnu", "x86-64-v2", ""}},
    {"x86-64-v3", {"x86_64-linux-gnu", "x86-64-v3", ""}},
    {"x86-64-v4", {"x86_64-linux-gnu", "x86-64-v4", ""}},
};

ir::Graph Lstm() {
  return GraphOf("model lstm_layer(I, H) {\n  input x: [I] over T\n  y = scan lstm(H=H) over x\n  output y\n}\n",
                 "lstm_layer", {{"I", 1}, {"H", 16}});
}

struct Sizes {
  uint64_t step = 0, step_stack = 0, training = 0, training_stack = 0;
};

Sizes SizesFor(const TargetSpec& spec, const WeightFile& weights) {
  Sizes sizes;
  auto step =
      CompileToObject(Lstm(), {.target = spec, .gradients = false, .entries = {"step"}, .plan = {.only_one = true}},
                      {.weights = &weights});
  auto training = CompileToObject(Lstm(), {.target = spec, .entries = {"forward", "backward"}});
  EXPECT_TRUE(step && training);
  if (!step || !training) return sizes;
  sizes.step = step->report.text_bytes;
  sizes.step_stack = step->report.stack_bytes.at("lstm_layer_step");
  sizes.training = training->report.text_bytes;
  sizes.training_stack = training->report.stack_bytes.at("lstm_layer_backward");
  return sizes;
}

WeightFile SomeWeights() {
  auto program = CompileToMemory(Lstm(), {.gradients = false});
  EXPECT_TRUE(program);
  Parameters parameters(*program);
  EXPECT_TRUE(parameters.Initialize(1));
  return Collect(parameters);
}

constexpr std::string_view kBegin = "<!-- sizes -->\n", kEnd = "<!-- end of sizes -->\n";

TEST(Sizes, AreThoseOfTheTable) {
  const std::string path = RECURVE_SOURCE_DIR "/bench/README.md";
  std::ostringstream read;
  read << std::ifstream(path).rdbuf();
  std::string readme = read.str();
  const size_t begin = readme.find(kBegin), end = readme.find(kEnd);
  ASSERT_NE(begin, std::string::npos);
  ASSERT_NE(end, std::string::npos);
  std::istringstream lines(readme.substr(begin + kBegin.size(), end - begin - kBegin.size()));
  const WeightFile weights = SomeWeights();
  std::string table =
      "| target | step, text | step, stack | training, text | training, stack |\n| --- | --- | --- | --- | --- |\n";
  for (const Row& row : kRows) {
    const Sizes sizes = SizesFor(row.spec, weights);
    const std::string line = fmt::format("| {} | {} | {} | {} | {} |\n", row.machine, sizes.step, sizes.step_stack,
                                         sizes.training, sizes.training_stack);
    table += line;
    if (std::string_view(row.machine) == "Cortex-M4F") EXPECT_LT(sizes.step, 2048u);
    if (std::string_view(row.machine) == "x86-64-v3") EXPECT_LT(sizes.training, 40u * 1024);
    if (std::getenv("RECURVE_UPDATE_GOLDENS") != nullptr) continue;
    bool is_there = false;
    for (std::string stated; std::getline(lines, stated);) {
      if (!stated.starts_with(fmt::format("| {} |", row.machine))) continue;
      is_there = true;
      uint64_t numbers[4] = {};
      ASSERT_EQ(std::sscanf(stated.c_str() + std::string_view(row.machine).size() + 4, " %lu | %lu | %lu | %lu",
                            &numbers[0], &numbers[1], &numbers[2], &numbers[3]),
                4)
          << stated;
      const uint64_t found[4] = {sizes.step, sizes.step_stack, sizes.training, sizes.training_stack};
      for (int i = 0; i < 4; ++i)
        EXPECT_NEAR(static_cast<double>(numbers[i]), static_cast<double>(found[i]),
                    0.05 * static_cast<double>(found[i]))
            << stated;
      break;
    }
    EXPECT_TRUE(is_there) << row.machine;
  }
  if (std::getenv("RECURVE_UPDATE_GOLDENS") == nullptr) return;
  readme.replace(begin + kBegin.size(), end - begin - kBegin.size(), table);
  std::ofstream(path) << readme;
}

}  // namespace
}  // namespace recurve

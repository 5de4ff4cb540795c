// tests/targets/constant_time_test.cpp: which instructions a step executes depends on no value.
//
// Loops run over extents. What could depend on values is a branch on a comparison of real numbers; this looks for one
// in the assembly of `step`, on every target. How long an instruction takes is the processor's: divisions and square
// roots of some take longer for some numbers, and denormal numbers everywhere but on small machines.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <regex>
#include <sstream>
#include <string>
#include <vector>

#include "compiler/compile.h"
#include "tests/support/graph_of.h"

namespace recurve {
namespace {

struct Family {
  const char* name;
  TargetSpec spec;
  const char* comparison;  // of reals, that sets flags or a register
  const char* branch;      // on flags or a register
};

const char* const kX86Comparison = R"(\bv?u?comis[sd]\b)";
const char* const kX86Branch = R"(^\s*j(?!mp)\w+)";
// Vectors' comparisons set a mask of lanes and no flags.
const char* const kArmComparison = R"(\b(vcmpe?\.f\d+\s+[sd]\d|vmrs\s+APSR))";
const char* const kArmBranch = R"(^\s*b(eq|ne|gt|lt|ge|le|mi|pl|hi|ls|vs|vc|hs|lo)(\.w)?\s)";
const char* const kRiscvComparison = R"(\bf(lt|le|eq)\.[sd]\b)";
const char* const kRiscvBranch = R"(^\s*b(eqz|nez|eq|ne)\b)";

const Family kFamilies[] = {
    {"x86_64", {"x86_64-linux-gnu", "x86-64", ""}, kX86Comparison, kX86Branch},
    {"x86_64_v4", {"x86_64-linux-gnu", "x86-64-v4", ""}, kX86Comparison, kX86Branch},
    {"aarch64", {"aarch64-linux-gnu", "", ""}, R"(\bfcmpe?\b)", R"(^\s*(b\.\w+|cbn?z|tbn?z))"},
    {"cortex_m4", {"thumbv7em-none-eabihf", "cortex-m4", ""}, kArmComparison, kArmBranch},
    {"cortex_m55", {"thumbv8.1m.main-none-eabihf", "cortex-m55", ""}, kArmComparison, kArmBranch},
    {"riscv64", {"riscv64-linux-gnu", "", ""}, kRiscvComparison, kRiscvBranch},
    {"riscv64_v", {"riscv64-linux-gnu", "", "+v"}, kRiscvComparison, kRiscvBranch},
    {"wasm32", {"wasm32", "", ""}, R"(f(32|64)\.(lt|gt|le|ge|eq|ne)\b)", R"(^\s*(br_if|if)\b)"},
};

// Lines of a branch that stands at most three instructions behind a comparison of reals.
std::vector<std::string> BranchesOnReals(const std::string& assembly, const Family& family) {
  const std::regex comparison(family.comparison), branch(family.branch), no_instruction(R"(^\s*([.#@]|$)|^\S+:)");
  std::vector<std::string> found;
  std::istringstream lines(assembly);
  int since = 100;
  for (std::string line; std::getline(lines, line);) {
    if (std::regex_search(line, no_instruction)) continue;
    ++since;
    if (std::regex_search(line, comparison)) since = 0;
    if (since <= 3 && std::regex_search(line, branch)) found.push_back(line);
  }
  return found;
}

class ConstantTime : public testing::TestWithParam<Family> {};

TEST_P(ConstantTime, StepsBranchOnNoReal) {
  for (const char* cell : {"lstm", "gru", "layernorm_lstm", "slstm", "mogrifier_lstm", "indrnn"}) {
    const ir::Graph graph =
        GraphOf(fmt::format("model m(I, H) {{\n  input x: [I] over T\n  param p: [H]\n  y = scan {}(H=H) over x\n"
                            "  output gelu(y) + select(y > p, floor(y), relu(y))\n}}\n",
                            cell),
                "m", {{"I", 4}, {"H", 18}});
    for (const bool only_one : {true, false}) {
      const CompileOptions options{
          .target = GetParam().spec, .gradients = false, .entries = {"step"}, .plan = {.only_one = only_one}};
      auto artifacts = CompileToObject(graph, options, {.assembly = true});
      ASSERT_TRUE(artifacts) << artifacts.error().message;
      ASSERT_TRUE(artifacts->assembly.find("m_step") != std::string::npos);
      const std::vector<std::string> branches = BranchesOnReals(artifacts->assembly, GetParam());
      EXPECT_TRUE(branches.empty()) << cell << ": " << branches.size() << ", the first is " << branches[0];
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Targets, ConstantTime, testing::ValuesIn(kFamilies),
                         [](const auto& info) { return std::string(info.param.name); });

TEST(BranchesOnReals, AreSeen) {
  EXPECT_EQ(BranchesOnReals("\tucomiss\t%xmm0, %xmm1\n\tja\t.LBB0_1\n", kFamilies[0]).size(), 1u);
  EXPECT_EQ(BranchesOnReals("\tucomiss\t%xmm0, %xmm1\n\tseta\t%al\n\tjmp\t.LBB0_1\n", kFamilies[0]).size(), 0u);
  EXPECT_EQ(BranchesOnReals("\tvcmp.f32\ts0, s2\n\tvmrs\tAPSR_nzcv, fpscr\n\tbgt\t.LBB0_1\n", kFamilies[3]).size(), 1u);
  EXPECT_EQ(BranchesOnReals("\tfeq.s\ta5, ft3, ft3\n.LBB1:\n\tbnez\ta5, .LBB1_12\n", kFamilies[5]).size(), 1u);
}

}  // namespace
}  // namespace recurve

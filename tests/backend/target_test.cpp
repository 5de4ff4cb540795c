// tests/backend/target_test.cpp: what is known of each processor, and what is said of those that nobody knows.

#include "compiler/target.h"

#include <gtest/gtest.h>
#include <llvm/IR/DataLayout.h>
#include <llvm/Target/TargetMachine.h>

#include <string>

#include "tests/backend/scale_program.h"

namespace recurve {
namespace {

struct FactsCase {
  TargetSpec spec;
  int vector_bytes, vector_registers, lanes_f32, lanes_f64;
  bool fused_multiply_add;
  int pointer_bits;
};

// From the architecture manuals.
const FactsCase kCases[] = {
    {{"x86_64-linux-gnu", "x86-64", ""}, 16, 16, 4, 2, false, 64},
    {{"x86_64-linux-gnu", "x86-64-v3", ""}, 32, 16, 8, 4, true, 64},
    {{"x86_64-linux-gnu", "x86-64-v3", "-fma"}, 32, 16, 8, 4, false, 64},
    {{"x86_64-linux-gnu", "x86-64-v4", ""}, 64, 32, 16, 8, true, 64},
    {{"x86_64-linux-gnu", "znver5", ""}, 64, 32, 16, 8, true, 64},
    {{"i686-linux-gnu", "pentium4", ""}, 16, 8, 4, 2, false, 32},
    {{"i686-linux-gnu", "haswell", ""}, 32, 8, 8, 4, true, 32},
    {{"aarch64-linux-gnu", "", ""}, 16, 32, 4, 2, true, 64},
    {{"arm64-apple-macosx", "apple-m1", ""}, 16, 32, 4, 2, true, 64},
    {{"riscv64-linux-gnu", "", ""}, 0, 32, 1, 1, true, 64},
    {{"riscv64-linux-gnu", "", "+v"}, 16, 32, 4, 2, true, 64},
    {{"riscv64-linux-gnu", "", "+v,+zvl256b"}, 32, 32, 8, 4, true, 64},
    {{"riscv32-unknown-elf", "", "+f,+zve32f,+zvl128b"}, 16, 32, 4, 1, true, 32},
    {{"wasm32", "", ""}, 16, 16, 4, 2, false, 32},
    {{"wasm32", "mvp", ""}, 0, 16, 1, 1, false, 32},
    {{"thumbv7em-none-eabihf", "cortex-m4", ""}, 0, 32, 1, 1, true, 32},
    {{"thumbv7em-none-eabihf", "cortex-m7", ""}, 0, 32, 1, 1, true, 32},
    {{"thumbv8.1m.main-none-eabihf", "cortex-m55", ""}, 16, 8, 4, 1, true, 32},
    {{"armv7-linux-gnueabihf", "cortex-a7", "+neon"}, 16, 16, 4, 1, true, 32},
    {{"powerpc64le-linux-gnu", "pwr9", ""}, 16, 64, 4, 2, true, 64},
};

TEST(Target, KnowsTheRegistersOfEachProcessor) {
  for (const FactsCase& row : kCases) {
    SCOPED_TRACE(row.spec.triple + " " + row.spec.cpu + " " + row.spec.features);
    auto target = MakeTarget(row.spec);
    ASSERT_TRUE(target) << target.error().message;
    const TargetFacts& facts = target->facts();
    EXPECT_EQ(facts.vector_bytes, row.vector_bytes);
    EXPECT_EQ(facts.vector_registers, row.vector_registers);
    EXPECT_EQ(facts.Lanes(4), row.lanes_f32);
    EXPECT_EQ(facts.Lanes(8), row.lanes_f64);
    EXPECT_EQ(facts.fused_multiply_add, row.fused_multiply_add);
    EXPECT_EQ(facts.pointer_bits, row.pointer_bits);
  }
}

TEST(Target, PointerBitsAgreeWithTheDataLayout) {
  for (const FactsCase& row : kCases) {
    Target target = TargetOrDie(row.spec);
    EXPECT_EQ(target.BorrowMachine()->createDataLayout().getPointerSizeInBits(), target.facts().pointer_bits)
        << row.spec.triple;
  }
}

TEST(Target, EmptySpecIsThisMachine) {
  Target target = TargetOrDie();
  EXPECT_EQ(target.why_not_here(), "");
  EXPECT_EQ(target.facts().pointer_bits, static_cast<int>(sizeof(void*) * 8));
  EXPECT_GT(target.facts().l1_bytes, 0U);
  EXPECT_EQ(target.description(), target.triple() + " " + target.cpu());
}

TEST(Target, NativeNamesTheProcessor) {
  Target target = TargetOrDie({.cpu = "native"});
  EXPECT_NE(target.cpu(), "native");
  EXPECT_EQ(target.cpu(), TargetOrDie().cpu());
}

TEST(Target, FeaturesComeOnTopOfTheNativeOnes) {
  Target host = TargetOrDie();
  if (!host.triple().starts_with("x86_64")) return;
  EXPECT_LE(TargetOrDie({.features = "-avx"}).facts().vector_bytes, 16);
}

TEST(Target, SaysWhyForeignCodeDoesNotRunHere) {
  std::string foreign = TargetOrDie().triple().starts_with("aarch64") ? "x86_64-linux-gnu" : "aarch64-linux-gnu";
  EXPECT_NE(TargetOrDie({.triple = foreign}).why_not_here().find("this machine is `"), std::string::npos);
}

TEST(Target, SaysWhichInstructionsThisMachineLacks) {
  if (!TargetOrDie().triple().starts_with("x86_64")) return;
  // No processor has both Intel's AMX and AMD's former XOP.
  std::string why = TargetOrDie({.features = "+xop,+amx-tile"}).why_not_here();
  EXPECT_TRUE(why.find("`xop`") != std::string::npos || why.find("`amx-tile`") != std::string::npos) << why;
}

struct RefusedCase {
  TargetSpec spec;
  std::string_view says, lists;
};

TEST(Target, ListsWhatThereIsWhenANameIsUnknown) {
  const RefusedCase cases[] = {
      {{"vax-dec-ultrix", "", ""}, "no code generator for target `vax-dec-ultrix`", "x86-64"},
      {{"nvptx64-nvidia-cuda", "", ""}, "no code generator for target `nvptx64-nvidia-cuda`", "aarch64"},
      {{"x86_64-linux-gnu", "zen9", ""}, "no processor `zen9` in architecture `x86-64`", "znver4"},
      {{"aarch64-linux-gnu", "znver4", ""}, "no processor `znver4` in architecture `aarch64`", "cortex-a72"},
      {{"x86_64-linux-gnu", "znver4", "+warp"}, "no feature `+warp` in architecture `x86-64`", "avx2"},
      {{"x86_64-linux-gnu", "znver4", "avx2"}, "no feature `avx2` in architecture `x86-64`; written as +NAME", "avx2"},
  };
  for (const RefusedCase& row : cases) {
    auto target = MakeTarget(row.spec);
    ASSERT_FALSE(target) << row.spec.triple << " " << row.spec.cpu;
    EXPECT_NE(target.error().message.find(row.says), std::string::npos) << target.error().message;
    EXPECT_NE(target.error().message.find(row.lists), std::string::npos) << target.error().message;
  }
}

TEST(Target, NativeIsRefusedForAnotherArchitecture) {
  std::string foreign = TargetOrDie().triple().starts_with("aarch64") ? "x86_64-linux-gnu" : "aarch64-linux-gnu";
  auto target = MakeTarget({.triple = foreign, .cpu = "native"});
  ASSERT_FALSE(target);
  EXPECT_NE(target.error().message.find("`native`"), std::string::npos);
}

TEST(Target, MachinesAreUsedAgain) {
  Target target = TargetOrDie();
  Target::Machine machine = target.BorrowMachine();
  const llvm::TargetMachine* first = machine.get();
  machine.reset();
  Target copy = target;
  machine = copy.BorrowMachine();
  EXPECT_EQ(machine.get(), first);
}

TEST(Target, TwoLeasesAreTwoMachines) {
  Target target = TargetOrDie();
  Target::Machine first = target.BorrowMachine(), second = target.BorrowMachine();
  EXPECT_NE(first.get(), second.get());
}

}  // namespace
}  // namespace recurve

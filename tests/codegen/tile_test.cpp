// tests/codegen/tile_test.cpp: the code of register tiles, read from the assembly.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <regex>
#include <string>

#include "compiler/compile.h"
#include "tests/support/assembly.h"
#include "tests/support/graph_of.h"

namespace recurve {
namespace {

class TileCode : public testing::TestWithParam<const char*> {};

// Looks into every tile of forward and backward, and counts their innermost loops.
size_t ExpectNoSpill(const char* cell, int64_t units, const char* cpu, const PlanChoices& choices = {}) {
  const std::regex label(R"((^|\n)(tile[.\d]*):)");
  size_t loops = 0;
  auto artifacts = CompileToObject(
      LibraryCell(cell, 40, units),
      {.target = {.triple = "x86_64-linux-gnu", .cpu = cpu}, .entries = {"forward", "backward"}, .plan = choices},
      {.assembly = true});
  EXPECT_TRUE(artifacts) << artifacts.error().message;
  if (!artifacts) return 0;
  const std::string& text = artifacts->assembly;
  for (std::sregex_iterator match(text.begin(), text.end(), label), end; match != end; ++match) {
    for (const auto& loop : InnermostLoops(text, (*match)[2])) {
      ++loops;
      EXPECT_TRUE(std::ranges::none_of(loop, IsSpill)) << cell << ", " << units << " units, " << (*match)[2];
    }
  }
  return loops;
}

// Units of one vector to many, so that blocks of every width are among them.
TEST_P(TileCode, SpillsNothingInAnInnermostLoop) {
  size_t loops = 0;
  for (const char* cell : {"lstm", "gru", "elman", "mogrifier_lstm"}) {
    for (int64_t units : {8, 16, 32, 100, 224, 256}) loops += ExpectNoSpill(cell, units, GetParam());
  }
  EXPECT_GT(loops, 100U);
}

// Weights that are fetched ahead take more addresses.
TEST_P(TileCode, SpillsNothingWhereItFetchesAhead) {
  size_t loops = 0;
  for (const char* cell : {"gru", "elman"})
    loops += ExpectNoSpill(cell, 256, GetParam(), {.most_weight_bytes = 1 << 14});
  EXPECT_GT(loops, 10U);
}

// A step of few units has one loop, that of its sums: the new state goes from registers to where the next step reads
// it.
TEST(StepCode, OfFewUnitsLoopsOverTermsAlone) {
  for (const char* cell : {"lstm", "gru"}) {
    for (int64_t units : {16, 20, 32}) {
      auto artifacts = CompileToObject(
          LibraryCell(cell, 1, units),
          {.target = {.triple = "x86_64-linux-gnu", .cpu = "x86-64-v4"}, .entries = {"step"}}, {.assembly = true});
      ASSERT_TRUE(artifacts) << artifacts.error().message;
      EXPECT_EQ(InnermostLoops(artifacts->assembly, "m_step_one_row").size(), 1U) << cell << ", " << units << " units";
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Codegen, TileCode, testing::Values("x86-64-v2", "x86-64-v3", "x86-64-v4", "znver5"));

}  // namespace
}  // namespace recurve

// tests/codegen/panels_test.cpp: units that fill no vector: which columns they take, where `pack` puts them, and that
// kernels find them there.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <vector>

#include "compiler/compile.h"
#include "compiler/gradcheck.h"
#include "compiler/plan_tile.h"
#include "tests/support/graph_of.h"
#include "tests/support/session_results.h"

namespace recurve {
namespace {

constexpr TargetFacts kAvx512{
    .vector_bytes = 64, .vector_registers = 32, .vectors_of_f64 = true, .fused_multiply_add = true};

TEST(Rest, TakesAsFewColumnsAsItsGroupsFill) {
  struct Row {
    int groups;
    int64_t units;
    int vectors;
    std::vector<int> chunks;
    std::optional<BlockColumns> rest;
  };
  const Row rows[] = {
      {4, 16, 1, {4}, {}},                                // nothing is left over
      {4, 20, 1, {4}, BlockColumns{0, 4, {1}}},           // four units of four groups fill a vector
      {4, 24, 1, {4}, BlockColumns{0, 8, {2}}},           // eight: two groups a vector
      {4, 21, 1, {4}, BlockColumns{0, 5, {2}}},           // five stand in eight lanes
      {4, 25, 1, {4}, {}},                                // nine take a vector each
      {4, 2, 1, {4}, BlockColumns{0, 2, {1}}},            // less than a vector in all
      {3, 17, 1, {3}, BlockColumns{0, 1, {1}}},           // three of sixteen lanes
      {1, 20, 2, {2}, {}},                                // of one group nothing can share the vector
      {1, 80, 3, {3}, BlockColumns{2, 0, {2}}},           // five vectors are three and two
      {2, 72, 2, {4}, BlockColumns{0, 8, {1}}},           // blocks of two vectors; the rest is one
      {6, 20, 1, {3, 3}, BlockColumns{0, 4, {2}}},        // several tiles in a block, one in the last
      {9, 40, 1, {3, 3, 3}, BlockColumns{0, 8, {3, 2}}},  // nine halves of a vector
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(fmt::format("{} groups of {}", row.groups, row.units));
    const Tiling tiling = ChooseTiling(kAvx512, Precision::kF32, row.units, {row.groups}, 4, /*may_differ=*/true);
    EXPECT_EQ(tiling.vectors, row.vectors);
    EXPECT_EQ(tiling.products[0].block.chunks, row.chunks);
    EXPECT_TRUE(tiling.products[0].rest == row.rest);
    EXPECT_FALSE(ChooseTiling(kAvx512, Precision::kF32, row.units, {row.groups}, 4, false).products[0].rest);
  }
}

TEST(WidestTile, FollowsGroupsAndWeights) {
  Plan plan{.machine = kAvx512};
  plan.machine.l2_bytes = 1 << 20;
  constexpr int64_t kNear = 1 << 20, kFar = 16 << 20;
  EXPECT_EQ(WidestTile(plan, 1, kNear), 4);
  EXPECT_EQ(WidestTile(plan, 3, kNear), 6);  // two vectors of units
  EXPECT_EQ(WidestTile(plan, 4, kNear), 4);
  for (int groups : {1, 3, 4}) EXPECT_EQ(WidestTile(plan, groups, kFar), 3);
  plan.machine.vector_registers = 16;
  EXPECT_EQ(WidestTile(plan, 3, kNear), 4);
  plan.machine.l2_bytes = 0;  // a small machine has one kind of tiles
  for (int64_t bytes : {kNear, kFar}) EXPECT_EQ(WidestTile(plan, 3, bytes), 4);
}

// Every unit of every group has a lane of its own.
TEST(Rest, SharesNoLane) {
  for (int64_t units = 1; units < 70; ++units) {
    for (int groups : {1, 2, 3, 4, 7}) {
      const Tiling tiling = ChooseTiling(kAvx512, Precision::kF32, units, {groups}, 4, true);
      if (!tiling.products[0].rest) continue;
      const BlockColumns& rest = *tiling.products[0].rest;
      const Panels panels{.groups = std::vector<PanelGroup>(static_cast<size_t>(groups)), .lanes = 16};
      std::vector<int> users(static_cast<size_t>(rest.count()) * 16);
      for (int group = 0; group < groups; ++group) {
        for (int vector = 0; vector < rest.vectors + (rest.tail > 0 ? 1 : 0); ++vector) {
          const int64_t first = panels.LaneOf(rest, group, vector);
          for (int i = 0; i < (vector < rest.vectors ? 16 : rest.tail); ++i) ++users.at(static_cast<size_t>(first + i));
        }
      }
      for (int count : users) EXPECT_LE(count, 1) << units << " units of " << groups << " groups";
    }
  }
}

class UnitsLeftOver : public testing::TestWithParam<std::tuple<const char*, int64_t>> {};

// Of one row, of rows in several tiles, and in a team whose members may have the last block alone.
TEST_P(UnitsLeftOver, AgreeWithTheInterpreter) {
  const auto& [cell, units] = GetParam();
  for (Precision precision : {Precision::kF32, Precision::kF64}) {
    for (int64_t batch : {1, 7}) {
      const ir::Graph graph = LibraryCell(cell, 5, units);
      auto program = CompileToMemory(graph, {.precision = precision});
      ASSERT_TRUE(program) << program.error().message;
      const Trial trial = MakeTrial(graph, {{"T", 3}, {"B", batch}}, 11);
      auto compiled = ErrorsOf(*program, trial);
      ASSERT_TRUE(compiled) << compiled.error().message;
      for (size_t k = 0; k < compiled->errors.size(); ++k)
        EXPECT_LE(compiled->errors[k], compiled->tolerances[k]) << trial.joint.outputs()[k].name;
    }
  }
}

// A sum does not depend on the columns beside it: the bits of tiles of any width, in any storage, for any team.
TEST_P(UnitsLeftOver, HaveTheBitsOfAnyTile) {
  const auto& [cell, units] = GetParam();
  const ir::Graph graph = LibraryCell(cell, 5, units);
  for (Storage store : {Storage::kSame, Storage::kBf16}) {
    for (size_t batch : {1, 7}) {
      const Sizes sizes{.inputs = 5, .units = units, .steps = 3, .batch = batch};
      std::optional<std::map<std::string, std::vector<double>>> expected;
      for (int widest : {1, 4}) {
        auto program = CompileToMemory(graph, {.store = store, .plan = {.widest_tile = widest}});
        ASSERT_TRUE(program) << program.error().message;
        for (size_t threads : {1, 3}) {
          const auto results = ResultsWithTeam(*program, sizes, threads);
          if (!expected) expected = results;
          EXPECT_TRUE(results == *expected) << "tiles of " << widest << ", " << threads << " threads, batch " << batch;
        }
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Codegen, UnitsLeftOver,
                         testing::Combine(testing::Values("lstm", "gru"), testing::Values(2, 17, 20, 24, 40, 68, 100)),
                         [](const auto& info) {
                           return fmt::format("{}_{}", std::get<0>(info.param), std::get<1>(info.param));
                         });

}  // namespace
}  // namespace recurve

// tests/driver/tune_test.cpp: choices by the clock: whatever is tried computes the same, and what is found is kept.

#include "compiler/tune.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "runtime/session.h"
#include "tests/support/graph_of.h"

namespace recurve {
namespace {

ir::Graph Layer(const std::string& cell) {
  const std::string source =
      fmt::format("model m(I, H) {{\n  input x: [I] over T by n\n  y = scan {}(H=H) over x\n  output y\n}}\n", cell);
  return GraphOf(source, "m", {{"I", 24}, {"H", 40}});
}

// All outputs and gradients.
std::map<std::string, std::vector<double>> ResultsOf(const Program& program, size_t batch = 13) {
  Session session(program);
  EXPECT_TRUE(session.SetExtent("T", 6) && session.SetExtent("B", batch));
  EXPECT_TRUE(session.Initialize(5));
  EXPECT_TRUE(FillForTiming(session, 6));
  EXPECT_TRUE(session.Forward() && session.Backward());
  std::map<std::string, std::vector<double>> results;
  for (const recurve_slot* slot : session.tensors()) {
    if (slot->kind == RECURVE_SLOT_OUTPUT) results[slot->name] = *session.Get(slot->name);
  }
  return results;
}

TEST(Tune, TilesOfAnyWidthGiveTheSameBits) {
  for (const char* cell : {"lstm", "gru_reset_before", "elman"}) {
    const auto usual = CompileToMemory(Layer(cell));
    ASSERT_TRUE(usual) << usual.error().message;
    const auto expected = ResultsOf(*usual);
    for (const int columns : {1, 2, 3, 5, 6}) {
      const auto program = CompileToMemory(Layer(cell), {.plan = {.widest_tile = columns}});
      ASSERT_TRUE(program) << program.error().message;
      EXPECT_TRUE(ResultsOf(*program) == expected) << cell << ", " << columns << " columns";
    }
  }
}

TEST(Tune, BlocksOfOneRowGiveTheSameBits) {
  for (const char* cell : {"lstm", "gru_reset_before", "elman"}) {
    const auto usual = CompileToMemory(Layer(cell));
    ASSERT_TRUE(usual) << usual.error().message;
    const auto expected = ResultsOf(*usual, 1);
    for (const int blocks : {1, 2, 3, 4, 9}) {
      const auto program = CompileToMemory(Layer(cell), {.plan = {.side_by_side = blocks}});
      ASSERT_TRUE(program) << program.error().message;
      EXPECT_TRUE(ResultsOf(*program, 1) == expected) << cell << ", " << blocks << " blocks";
    }
  }
}

TEST(Tune, KeepsWhatIsQuicker) {
  const Tuning tuning{.sizes = {{"T", 6}, {"B", 13}}, .threads = 2};
  const auto tuned = TuneProgram(Layer("lstm"), {.tuning = tuning});
  ASSERT_TRUE(tuned) << tuned.error().message;
  EXPECT_GE(tuned->trials.size(), 8U);
  for (const Trial& trial : tuned->trials) {
    EXPECT_GT(trial.seconds, 0);
    EXPECT_EQ(trial.is_kept, trial.seconds < 0.98 * trial.seconds_before) << trial.what;
  }
  const bool is_changed = std::ranges::any_of(tuned->trials, &Trial::is_kept);
  EXPECT_EQ(is_changed, tuned->choices.widest_tile != 4 || tuned->choices.chunk_rows != 1024 ||
                            tuned->choices.most_weight_bytes != 0 || tuned->choices.team != TeamChoice::kByCost);
}

TEST(Tune, ATunedProgramAgrees) {
  const auto usual = CompileToMemory(Layer("gru"));
  const auto tuned = CompileToMemory(Layer("gru"), {.tuning = {.sizes = {{"T", 6}, {"B", 13}}, .threads = 1}});
  ASSERT_TRUE(usual && tuned);
  const auto expected = ResultsOf(*usual), results = ResultsOf(*tuned);
  ASSERT_EQ(results.size(), expected.size());
  for (const auto& [name, values] : expected) {
    for (size_t i = 0; i < values.size(); ++i)
      ASSERT_NEAR(results.at(name)[i], values[i], 1e-5 * (1 + std::abs(values[i]))) << name;
  }
}

TEST(Tune, StreamsTooAndSizesThatAreMissingAreNamed) {
  const auto stream = TuneProgram(
      Layer("gru"), {.gradients = false, .entries = {"step"}, .tuning = {.sizes = {{"B", 1}}, .threads = 1}});
  EXPECT_TRUE(stream) << stream.error().message;
  const auto without = TuneProgram(Layer("gru"), {.tuning = {.sizes = {{"B", 1}}, .threads = 1}});
  ASSERT_FALSE(without);
  EXPECT_NE(without.error().message.find('T'), std::string::npos) << without.error().message;
}

}  // namespace
}  // namespace recurve

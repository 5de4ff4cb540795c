// tests/driver/segment_test.cpp: backward passes that compute forward again in segments give the same bits as those
// that store everything, on less memory.

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "compiler/compile.h"
#include "compiler/gradcheck.h"
#include "compiler/plan.h"
#include "compiler/summary.h"
#include "runtime/random.h"
#include "runtime/session.h"
#include "tests/support/graph_of.h"
#include "tests/support/random_cell.h"

namespace recurve {
namespace {

using Tensors = std::map<std::string, std::vector<double>>;

// All outputs and gradients, from inputs that depend on nothing but their names.
Tensors ResultsOf(const Program& program, size_t steps, size_t batch, size_t threads = 1) {
  Session session(program);
  if (threads > 1) session.UseTeam(*Team::Start(threads));
  EXPECT_TRUE(session.SetExtent("T", steps));
  EXPECT_TRUE(session.SetExtent("B", batch));
  EXPECT_TRUE(session.Initialize(7));
  for (const recurve_slot* slot : session.tensors()) {
    if (slot->kind == RECURVE_SLOT_OUTPUT) continue;
    std::vector<double> values = *session.Get(slot->name);
    const uint64_t stream = StreamOf(slot->name);
    for (size_t i = 0; i < values.size(); ++i) {
      const auto pattern = static_cast<double>((stream % 97 + i * 37) % 101);
      values[i] = slot->is_index ? std::fmod(pattern, static_cast<double>(slot->classes)) : std::sin(pattern);
    }
    EXPECT_TRUE(session.Set(slot->name, values));
  }
  auto forward = session.Forward();
  EXPECT_TRUE(forward) << forward.error().message;
  auto backward = session.Backward();
  EXPECT_TRUE(backward) << backward.error().message;
  Tensors results;
  for (const recurve_slot* slot : session.tensors()) {
    if (slot->kind == RECURVE_SLOT_OUTPUT) results[slot->name] = *session.Get(slot->name);
  }
  return results;
}

struct Lengths {
  size_t steps, batch;
  int64_t chunk_rows, segment;
};

void ExpectSameBits(const ir::Graph& graph, const CompileOptions& options, std::initializer_list<Lengths> all) {
  for (const Lengths& lengths : all) {
    CompileOptions stored = options;
    stored.plan.chunk_rows = lengths.chunk_rows;
    CompileOptions segmented = stored;
    segmented.plan.segment = lengths.segment;
    auto expected_program = CompileToMemory(graph, stored), program = CompileToMemory(graph, segmented);
    ASSERT_TRUE(expected_program) << expected_program.error().message;
    ASSERT_TRUE(program) << program.error().message;
    const Tensors expected = ResultsOf(*expected_program, lengths.steps, lengths.batch);
    for (size_t threads : {1, 3}) {
      const Tensors results = ResultsOf(*program, lengths.steps, lengths.batch, threads);
      for (const auto& [name, values] : expected) {
        EXPECT_EQ(results.at(name), values)
            << graph.name << " T=" << lengths.steps << " B=" << lengths.batch << ", chunks of " << lengths.chunk_rows
            << " rows, " << lengths.segment << " a segment, " << threads << " threads: " << name;
      }
    }
  }
}

constexpr const char* kCells[] = {"elman",  "lstm",           "gru",   "layernorm_lstm", "peephole_lstm",
                                  "indrnn", "mogrifier_lstm", "slstm", "mingru"};

class Segments : public testing::TestWithParam<const char*> {};

TEST_P(Segments, OfACellGiveTheSameBits) {
  const std::string source =
      fmt::format("model m(I, H) {{\n  input x: [I] over T\n  y = scan {}(H=H) over x\n  output y\n}}\n", GetParam());
  for (Precision precision : {Precision::kF32, Precision::kF64}) {
    ExpectSameBits(GraphOf(source, "m", {{"I", 5}, {"H", 9}}), {.precision = precision},
                   {{1, 3, 7, 1}, {23, 3, 7, 1}, {23, 3, 7, 4}, {20, 2, 1000, 1}, {500, 3, 1024, 8}});
  }
}

INSTANTIATE_TEST_SUITE_P(Cells, Segments, testing::ValuesIn(kCells),
                         [](const auto& cell) { return std::string(cell.param); });

// Stacks, a loss at every step, an embedding, masks, a sum over time, a readout of the last state, several at once.
TEST(SegmentsOf, ModelsGiveTheSameBits) {
  constexpr const char* kModels[] = {
      "model m(I, H) {\n  input tokens: int[I] over T, target: int[I] over T\n  param table: [I, H], P: [I, H], p: "
      "[I]\n"
      "  a = scan lstm(H=H) over table[tokens]\n  b = scan gru(H=H) over dropout(a, 0.3)\n  logits = P @ b + p\n"
      "  output logits\n  loss cross_entropy(logits, target)\n}\n",
      "model m(I, H) {\n  input x: [I] over T, target: [H]\n  param P: [H, H]\n  a = scan lstm(H=H) over x\n"
      "  b = scan elman(H=H) over a + 1\n  y = P @ last(b)\n  output y, middle = mean_over_steps(a)\n  loss mse(y, "
      "target)\n}\n",
      "model m(I, H) {\n  input x: [I] over T\n  a = reverse scan lstm(H=H) over x\n  b = reverse scan gru(H=H) over "
      "a\n"
      "  output a * b\n}\n",
  };
  for (const char* source : kModels) {
    SCOPED_TRACE(source);
    ExpectSameBits(GraphOf(source, "m", {{"I", 5}, {"H", 9}}), {},
                   {{1, 3, 7, 1}, {23, 3, 7, 1}, {23, 3, 7, 4}, {500, 3, 1024, 8}});
  }
}

// A linear recurrence that runs several steps at a time groups them from where its segment begins (README).
bool LooksAhead(const Plan& plan) {
  return std::ranges::any_of(plan.entries, [](const EntryPlan& entry) {
    return std::ranges::any_of(entry.kernels, [](const Kernel& k) { return k.recurrence.look_ahead.steps > 1; });
  });
}

TEST(SegmentsOf, RandomCellsGiveTheSameBits) {
  constexpr int kCells = 40;
  int looking_ahead = 0;
  for (uint64_t seed = 1; seed <= kCells; ++seed) {
    SCOPED_TRACE(fmt::format("random cell {}", seed));
    const RandomCell cell = MakeRandomCell(seed);
    const ir::Graph graph = GraphOf(cell.source, "random", cell.extents);
    auto plan = PlanProgram(graph, {.plan = {.segment = 1}});
    ASSERT_TRUE(plan) << plan.error().message;
    if (LooksAhead(*plan)) {
      ++looking_ahead;
    } else {
      ExpectSameBits(graph, {}, {{11, 3, 7, 1}, {11, 3, 7, 2}});
    }
  }
  EXPECT_LT(looking_ahead, kCells / 4);
}

// ---- A limit of memory --------------------------------------------------------------------------------------------

constexpr char kForecast[] =
    "model m(H) {\n  input x: [1] over T, target: [1] over T\n  param P: [1, H]\n  h = scan lstm(H=H) over x\n"
    "  loss mse(P @ h, target)\n}\n";

CompileOptions Within(int64_t bytes, double steps) {
  return {.wrt = {"P", "h.W", "h.U", "h.b"}, .memory = {.bytes = bytes, .sizes = {{"T", steps}, {"B", 1}}}};
}

ir::Graph Forecast() { return GraphOf(kForecast, "m", {{"H", 8}}); }

size_t TrainingBytesOf(const Program& program, std::vector<size_t> extents) {
  const recurve_program& code = program.descriptor();
  size_t workspace = 0;
  for (int i = 0; i < code.entry_count; ++i) {
    const std::string_view name = code.entries[i].name;
    if (name == "forward" || name == "backward")
      workspace = std::max(workspace, code.entries[i].workspace_bytes(extents.data()));
  }
  return workspace + code.tape_bytes(extents.data());
}

TEST(MemoryLimit, StoresEverythingWhereThatFits) {
  auto plan = PlanProgram(Forecast(), Within(100'000'000, 1000));
  ASSERT_TRUE(plan) << plan.error().message;
  EXPECT_FALSE(plan->segments);
}

TEST(MemoryLimit, TakesTheShortestSegmentThatFits) {
  constexpr int64_t kBytes = 3'275'000;
  auto stored = CompileToMemory(Forecast(), Within(0, 100000));
  auto program = CompileToMemory(Forecast(), Within(kBytes, 100000));
  ASSERT_TRUE(stored && program);
  EXPECT_LE(TrainingBytesOf(*program, {100000, 1}), size_t{kBytes});
  EXPECT_GT(TrainingBytesOf(*stored, {100000, 1}), 7 * size_t{kBytes});
  auto plan = PlanProgram(Forecast(), Within(kBytes, 100000));
  ASSERT_TRUE(plan && plan->segments);
  CompileOptions shorter = Within(0, 100000);
  shorter.plan.segment = plan->segments->multiple / 2;
  ASSERT_GE(shorter.plan.segment, 1);
  auto smaller = CompileToMemory(Forecast(), shorter);
  ASSERT_TRUE(smaller);
  EXPECT_GT(TrainingBytesOf(*smaller, {100000, 1}), size_t{kBytes});
}

TEST(MemoryLimit, SaysWhatWouldFit) {
  auto plan = PlanProgram(Forecast(), Within(10'000, 100000));
  ASSERT_FALSE(plan);
  EXPECT_THAT(plan.error().message, testing::HasSubstr("more than 10000, and computing forward again in segments"));
}

TEST(MemoryLimit, SaysWhyAProgramHasNoSegments) {
  const ir::Graph graph = GraphOf(
      "model m(H) {\n  input x: [2] over T\n  a = scan lstm(H=H) over x\n  b = reverse scan gru(H=H) over x\n"
      "  output a + b\n}\n",
      "m", {{"H", 8}});
  auto plan = PlanProgram(graph, {.memory = {.bytes = 100'000, .sizes = {{"T", 1000}, {"B", 1}}}});
  ASSERT_FALSE(plan);
  EXPECT_THAT(plan.error().message, testing::HasSubstr("both directions"));
}

TEST(MemoryLimit, WantsASizeForEachAxis) {
  auto plan = PlanProgram(Forecast(), {.memory = {.bytes = 1'000'000, .sizes = {{"T", 1000}}}});
  ASSERT_FALSE(plan);
  EXPECT_THAT(plan.error().message, testing::HasSubstr("a size for each axis (T, B)"));
}

// Full gradients over 100 000 steps: the loss falls, and tape and workspace stay within five megabytes of 26.
TEST(MemoryLimit, TrainsOverAHundredThousandSteps) {
  constexpr size_t kSteps = 100'000;
  constexpr int64_t kBytes = 5'000'000;
  auto program = CompileToMemory(Forecast(), Within(kBytes, kSteps));
  ASSERT_TRUE(program) << program.error().message;
  EXPECT_LE(TrainingBytesOf(*program, {kSteps, 1}), size_t{kBytes});
  Session session(*program);
  ASSERT_TRUE(session.SetExtent("T", kSteps));
  ASSERT_TRUE(session.SetExtent("B", 1));
  ASSERT_TRUE(session.Initialize(3));
  std::vector<double> series(kSteps + 1);
  for (size_t t = 0; t < series.size(); ++t) series[t] = std::sin(0.1 * static_cast<double>(t));
  ASSERT_TRUE(session.Set("x", std::span(series).first(kSteps)));
  ASSERT_TRUE(session.Set("target", std::span(series).last(kSteps)));
  std::vector<double> losses;
  for (int step = 0; step < 20; ++step) {
    ASSERT_TRUE(session.Forward());
    losses.push_back(session.Get("loss")->front());
    ASSERT_TRUE(session.Fill("loss_adj", 1));
    ASSERT_TRUE(session.Backward());
    for (const char* name : {"P", "h.W", "h.U", "h.b"}) {
      auto values = session.Parameter<float>(name);
      ASSERT_TRUE(values) << values.error().message;
      auto gradient = session.Get(fmt::format("{}_adj", name));
      ASSERT_TRUE(gradient) << gradient.error().message;
      for (size_t i = 0; i < values->size(); ++i) (*values)[i] -= 0.5f * static_cast<float>((*gradient)[i]);
    }
  }
  EXPECT_LT(losses.back(), 0.5 * losses.front());
}

}  // namespace
}  // namespace recurve

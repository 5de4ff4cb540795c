// tests/driver/segment_test.cpp: backward passes that compute forward again in segments give the same bits as those
// that store everything, on less memory.

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <span>
#include <string_view>
#include <tuple>

#include "compiler/compile.h"
#include "compiler/gradcheck.h"
#include "compiler/plan.h"
#include "compiler/summary.h"
#include "runtime/random.h"
#include "runtime/session.h"
#include "tests/support/graph_of.h"
#include "tests/support/random_model.h"

namespace recurve {
namespace {

using Tensors = std::map<std::string, std::vector<double>>;

// All outputs and gradients, from inputs that depend on nothing but their names.
Tensors ResultsOf(const Program& program, size_t steps, size_t batch, size_t threads = 1) {
  Session session(program);
  if (threads > 1) session.UseTeam(*Team::Start(threads));
  // Every time axis but T, which has all steps, is shorter.
  const recurve_program& code = program.descriptor();
  for (const std::string_view axis : std::span(code.axes, code.axis_count))
    EXPECT_TRUE(session.SetExtent(axis, axis == "B" ? batch : axis == "T" ? steps : steps / 2 + 1));
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

struct Way {
  size_t steps, batch;
  int64_t chunk_rows, segment, subsegment = 0;
  bool apart = false;
};

void ExpectSameBits(const ir::Graph& graph, const CompileOptions& options, std::initializer_list<Way> ways) {
  std::map<std::tuple<int64_t, size_t, size_t>, Tensors> stored;
  for (const Way& way : ways) {
    CompileOptions segmented = options;
    segmented.plan.chunk_rows = way.chunk_rows;
    Tensors& expected = stored[{way.chunk_rows, way.steps, way.batch}];
    if (expected.empty()) {
      auto program = CompileToMemory(graph, segmented);
      ASSERT_TRUE(program) << program.error().message;
      expected = ResultsOf(*program, way.steps, way.batch);
    }
    segmented.plan.segment = way.segment;
    segmented.plan.subsegment = way.subsegment;
    segmented.plan.segments_apart = way.apart;
    auto program = CompileToMemory(graph, segmented);
    ASSERT_TRUE(program) << program.error().message;
    for (size_t threads : {1, 3}) {
      const Tensors results = ResultsOf(*program, way.steps, way.batch, threads);
      for (const auto& [name, values] : expected) {
        EXPECT_EQ(results.at(name), values)
            << graph.name << " T=" << way.steps << " B=" << way.batch << ", chunks of " << way.chunk_rows << " rows, "
            << way.segment << " a segment, " << way.subsegment << " a subsegment, "
            << (way.apart ? "each scan apart, " : "") << threads << " threads: " << name;
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
                   {{1, 3, 7, 1},
                    {23, 3, 7, 1},
                    {20, 2, 1000, 1},
                    {23, 3, 7, 4, 1},
                    {23, 3, 7, 4, 0, true},
                    {1500, 3, 1024, 8, 4}});
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
                   {{1, 3, 7, 1}, {23, 3, 7, 4}, {23, 3, 7, 4, 1}, {23, 3, 7, 4, 2, true}, {500, 3, 1024, 8}});
  }
}

// Both directions, and encoders whose steps are not the decoder's: each scan in segments of its own.
TEST(SegmentsOf, ModelsOfSeveralDirectionsAndAxesGiveTheSameBits) {
  constexpr const char* kModels[] = {
      "model m(I, H) {\n  input tokens: int[I] over T, target: int[I] over T\n  param table: [I, H], P: [I, 2*H], p: "
      "[I]\n"
      "  x = table[tokens]\n  a = scan lstm(H=H) over x\n  b = reverse scan lstm(H=H) over x\n"
      "  y = dropout(concat(a, b), 0.3)\n  c = scan gru(H=H) over y\n  d = reverse scan gru(H=H) over y\n"
      "  logits = P @ concat(c, d) + p\n  output logits\n  loss cross_entropy(logits, target)\n}\n",
      "model m(I, H) {\n  input word: int[I] over S by T\n  input target: int[I]\n  param table: [I, H], P: [I, 2*H]\n"
      "  x = table[word]\n  a = scan lstm(H=H) over x\n  b = reverse scan lstm(H=H) over x\n"
      "  logits = P @ concat(a.state.h, b.state.h)\n  output logits\n  loss cross_entropy(logits, target)\n}\n",
      "model m(I, H) {\n  input x: [I] over S, y: [I] over T\n  a = reverse scan lstm(H=H) over x\n"
      "  b = reverse scan gru(H=H) over a\n  c = scan lstm(H=H) over y from a.state\n  d = scan gru(H=H) over c from "
      "b.state\n  output d\n}\n",
      "cell decoder(I, H) {\n  input x: [I], memory: [H] over S\n  state h: [H]\n  param W: [H, I], U: [H, H], C: [H, "
      "H]\n"
      "  param V: [H, H], Q: [H, H], v: [H]\n  h' = tanh(W @ x + U @ h + C @ bahdanau(memory, h, V, Q, v))\n"
      "  output h'\n}\n"
      "model m(I, H) {\n  input x: [I] over S, y: [I] over T\n  a = reverse scan lstm(H=H) over x\n"
      "  d = scan decoder(H=H) over y, a\n  output d\n}\n",
  };
  for (const char* source : kModels) {
    SCOPED_TRACE(source);
    ExpectSameBits(GraphOf(source, "m", {{"I", 5}, {"H", 9}}), {},
                   {{1, 3, 7, 1, 0, true}, {23, 3, 7, 4, 0, true}, {23, 3, 7, 4, 1, true}, {500, 3, 1024, 8, 0, true}});
  }
}

bool LooksAhead(const Plan& plan) {
  return std::ranges::any_of(plan.entries, [](const EntryPlan& entry) {
    return std::ranges::any_of(entry.kernels, [](const Kernel& k) { return k.recurrence.look_ahead.steps > 1; });
  });
}

// A linear recurrence of few units takes several steps at a time, the same ones in whatever chunks.
TEST(SegmentsOf, LinearRecurrencesGiveTheSameBits) {
  for (const char* direction : {"", "reverse "}) {
    const std::string source = fmt::format(
        "cell c(H) {{\n  input x: [H], z: [H]\n  state h: [H]\n  h' = z * h + x\n  output h'\n}}\n"
        "model m(H) {{\n  input x: [H] over T, z: [H] over T\n  y = {}scan c(H=H) over x, z\n  output y\n}}\n",
        direction);
    const ir::Graph graph = GraphOf(source, "m", {{"H", 8}});
    auto plan = PlanProgram(graph, {.plan = {.segment = 1}});
    ASSERT_TRUE(plan) << plan.error().message;
    EXPECT_TRUE(LooksAhead(*plan));
    ExpectSameBits(graph, {},
                   {{23, 1, 5, 1}, {23, 1, 5, 4}, {23, 1, 6, 4, 1}, {22, 1, 4, 2, 0, true}, {1111, 1, 128, 1}});
  }
}

// Sums whose terms are added from either end in turn go by the number of the step and not of the step in its segment.
TEST(SegmentsOf, SumsFromEitherEndGiveTheSameBits) {
  const CompileOptions options{.plan = {.near_weight_bytes = 1}};
  for (const char* cell : {"lstm", "gru", "slstm"}) {
    const ir::Graph graph = LibraryCell(cell, 5, 20);
    auto plan = PlanProgram(graph, options);
    ASSERT_TRUE(plan) << plan.error().message;
    const auto backward = std::ranges::find(plan->entries, "backward", &EntryPlan::name);
    EXPECT_TRUE(std::ranges::any_of(backward->kernels, &Kernel::alternates_terms)) << cell;
    ExpectSameBits(graph, options,
                   {{23, 1, 5, 1}, {23, 3, 5, 1}, {23, 3, 7, 4, 1}, {22, 1, 5, 2, 0, true}, {500, 2, 128, 4, 2}});
  }
}

TEST(SegmentsOf, RandomCellsGiveTheSameBits) {
  constexpr int kCells = 20;
  for (uint64_t seed = 1; seed <= kCells; ++seed) {
    SCOPED_TRACE(fmt::format("random cell {}", seed));
    const RandomCell cell = MakeRandomCell(seed);
    const ir::Graph graph = GraphOf(cell.source, "random", cell.extents);
    ExpectSameBits(graph, {}, {{11, 3, 12, 1}, {21, 3, 12, 4, 1}, {11, 3, 12, 2, 0, true}});
  }
}

// Both directions and two axes, the weights shared by all scans.
TEST(SegmentsOf, RandomModelsGiveTheSameBits) {
  for (uint64_t seed = 1; seed <= 8; ++seed) {
    const RandomCell cell = MakeRandomCell(seed);
    for (const std::string& source : {GoesBothWays(cell), ReadsAndGoesOn(cell)}) {
      SCOPED_TRACE(fmt::format("seed {}\n{}", seed, source));
      ExpectSameBits(GraphOf(source, "m", cell.extents), {}, {{21, 3, 12, 1, 0, true}, {21, 3, 12, 4, 1, true}});
    }
  }
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
  EXPECT_TRUE(plan->segments.empty());
}

TEST(MemoryLimit, TakesTheShortestSegmentThatFits) {
  constexpr int64_t kBytes = 20'000'000;
  constexpr double kSteps = 1e9;
  auto plan = PlanProgram(Forecast(), Within(kBytes, kSteps));
  ASSERT_TRUE(plan && !plan->segments.empty());
  const AxisSizes sizes{{"T", kSteps}, {"B", 1}};
  EXPECT_EQ(plan->choices.subsegment, 0);
  EXPECT_LE(*TrainingBytes(*plan, sizes), static_cast<double>(kBytes));
  CompileOptions shorter = Within(0, kSteps);
  shorter.plan.segment = plan->segments[0].multiple / 2;
  ASSERT_GE(shorter.plan.segment, 8);
  auto smaller = PlanProgram(Forecast(), shorter);
  ASSERT_TRUE(smaller);
  EXPECT_GT(*TrainingBytes(*smaller, sizes), static_cast<double>(kBytes));
}

// Of 10 million steps the carries at the beginnings of segments are too many, or the segments too long.
TEST(MemoryLimit, CutsSegmentsInTurnWhereNothingElseFits) {
  constexpr int64_t kBytes = 600'000;
  constexpr double kSteps = 1e7;
  auto plan = PlanProgram(Forecast(), Within(kBytes, kSteps));
  ASSERT_TRUE(plan) << plan.error().message;
  EXPECT_GT(plan->choices.subsegment, 0);
  EXPECT_GT(plan->choices.segment, plan->choices.subsegment);
  EXPECT_LE(*TrainingBytes(*plan, {{"T", kSteps}, {"B", 1}}), static_cast<double>(kBytes));
  CompileOptions one_level = Within(0, kSteps);
  for (one_level.plan.segment = 4; one_level.plan.segment < 1 << 17; one_level.plan.segment *= 2) {
    auto other = PlanProgram(Forecast(), one_level);
    ASSERT_TRUE(other);
    EXPECT_GT(*TrainingBytes(*other, {{"T", kSteps}, {"B", 1}}), static_cast<double>(kBytes));
  }
}

TEST(MemoryLimit, SaysWhatWouldFit) {
  auto plan = PlanProgram(Forecast(), Within(10'000, 100000));
  ASSERT_FALSE(plan);
  EXPECT_THAT(plan.error().message, testing::HasSubstr("more than 10000, and computing forward again in segments"));
}

// Of a layer of both directions outputs are stored, and no more.
TEST(MemoryLimit, HoldsInBothDirections) {
  const ir::Graph graph = GraphOf(
      "model m(H) {\n  input x: [2] over T, target: [1] over T\n  param P: [1, 2*H]\n  a = scan lstm(H=H) over x\n"
      "  b = reverse scan lstm(H=H) over x\n  loss mse(P @ concat(a, b), target)\n}\n",
      "m", {{"H", 8}});
  CompileOptions options = Within(5'000'000, 20000);
  options.wrt = {"P", "a.W", "a.U", "a.b", "b.W", "b.U", "b.b"};
  auto plan = PlanProgram(graph, options);
  ASSERT_TRUE(plan) << plan.error().message;
  EXPECT_TRUE(plan->choices.segments_apart);
  EXPECT_LE(*TrainingBytes(*plan, options.memory.sizes), 5e6);
  options.memory.bytes = 0;
  auto stored = PlanProgram(graph, options);
  ASSERT_TRUE(stored);
  EXPECT_GT(*TrainingBytes(*stored, {{"T", 20000}, {"B", 1}}), 11e6);
}

TEST(MemoryLimit, SaysWhyAProgramHasNoSegments) {
  const ir::Graph graph =
      GraphOf("model m(H) {\n  input x: [H] over T\n  output mean_over_steps(tanh(x))\n}\n", "m", {{"H", 8}});
  auto plan = PlanProgram(graph, {.memory = {.bytes = 1000, .sizes = {{"T", 1000}, {"B", 1}}}});
  ASSERT_FALSE(plan);
  EXPECT_THAT(plan.error().message, testing::HasSubstr("there is no scan over time"));
}

TEST(MemoryLimit, WantsASizeForEachAxis) {
  auto plan = PlanProgram(Forecast(), {.memory = {.bytes = 1'000'000, .sizes = {{"T", 1000}}}});
  ASSERT_FALSE(plan);
  EXPECT_THAT(plan.error().message, testing::HasSubstr("a size for each axis (T, B)"));
}

// Full gradients over 100 000 steps: the loss falls, and tape and workspace stay within 0.55 megabytes of 26.
TEST(MemoryLimit, TrainsOverAHundredThousandSteps) {
  constexpr size_t kSteps = 100'000;
  constexpr int64_t kBytes = 550'000;
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

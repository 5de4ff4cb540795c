// tests/codegen/summary_test.cpp: counts and formulas of a summary against closed formulas, and its memory against what
// compiled programs ask for.

#include "compiler/summary.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "compiler/compile.h"
#include "runtime/program.h"
#include "tests/support/graph_of.h"

namespace recurve {
namespace {

constexpr const char* kCells[] = {"elman", "gru",    "gru_reset_before", "indrnn",        "layernorm_lstm", "lstm",
                                  "mgu",   "mingru", "mogrifier_lstm",   "peephole_lstm", "qrnn",           "slstm",
                                  "sru"};

Summary SummaryOf(const ir::Graph& graph, const CompileOptions& options = {}) {
  auto plan = PlanProgram(graph, options);
  EXPECT_TRUE(plan) << plan.error().message;
  return Summarize(graph, *plan);
}

// The amount, which mentions no axis.
int64_t Number(const Amount& amount) {
  const std::optional<double> value = ValueOf(amount, {});
  EXPECT_TRUE(value) << amount.Text();
  return static_cast<int64_t>(value.value_or(-1));
}

struct Extents {
  int64_t inputs, units;
};
constexpr Extents kExtents[] = {{1, 1}, {3, 5}, {4, 16}, {33, 20}, {64, 128}};

TEST(Summary, LstmHasFourGatesOfWeights) {
  for (auto [i, h] : kExtents) {
    const Summary summary = SummaryOf(LibraryCell("lstm", i, h));
    EXPECT_EQ(Number(summary.trained_count()), 4 * (h * (i + h) + h));
    EXPECT_EQ(Number(summary.state_count()), 2 * h);
  }
}

TEST(Summary, GruHasThreeQuartersOfAnLstmAndASecondBias) {
  for (auto [i, h] : kExtents) {
    const Summary summary = SummaryOf(LibraryCell("gru", i, h));
    EXPECT_EQ(Number(summary.trained_count()), 3 * (h * (i + h) + h) + 3 * h);
    EXPECT_EQ(Number(summary.state_count()), h);
  }
}

TEST(Summary, NamesAndShapesAreThoseOfTheSource) {
  const Summary summary = SummaryOf(LibraryCell("lstm", 3, 5));
  ASSERT_EQ(summary.parameters.size(), 3u);
  EXPECT_EQ(summary.parameters[0].name, "y.W");
  EXPECT_EQ(summary.parameters[0].shape, (ir::Shape{20, 3}));
  EXPECT_EQ(summary.parameters[1].name, "y.U");
  EXPECT_EQ(summary.parameters[1].shape, (ir::Shape{20, 5}));
  EXPECT_EQ(summary.parameters[2].shape, (ir::Shape{20}));
  ASSERT_EQ(summary.states.size(), 2u);
  EXPECT_EQ(summary.states[0].name, "y.h");
  EXPECT_EQ(summary.states[0].shape, (ir::Shape{5}));
}

// Two operations a weight, and what stands in the equations: 8 additions, 5 functions, 3 products and a sum.
TEST(Summary, LstmStepCountsItsEquations) {
  for (auto [i, h] : kExtents) {
    const Summary summary = SummaryOf(LibraryCell("lstm", i, h));
    EXPECT_EQ(Number(AtOne(summary.FindEntry("step")->flops, "B")), 8 * h * (i + h) + 17 * h);
    // A sequence is T steps of B examples.
    EXPECT_EQ(summary.FindEntry("inference")->flops.Text(), fmt::format("{}*B*T", 8 * h * (i + h) + 17 * h));
  }
}

TEST(Summary, StepMovesItsArgumentsAndItsWeights) {
  for (Precision precision : {Precision::kF32, Precision::kF64}) {
    const ir::Graph graph = LibraryCell("lstm", 64, 128);  // units that fill vectors: no padding is packed
    const Summary summary = SummaryOf(graph, {.precision = precision});
    const int64_t bytes = ElementBytes(precision), weights = 4 * 128 * (64 + 128), bias = 4 * 128;
    const int64_t input = 64, output = 128, states = 2 * 2 * 128;  // read and written
    EXPECT_EQ(Number(AtOne(summary.FindEntry("step")->moved_bytes, "B")),
              bytes * (weights + bias + input + output + states));
  }
}

TEST(Summary, StoredInHalfTheBytesWeightsMoveHalfTheBytes) {
  const ir::Graph graph = LibraryCell("lstm", 64, 128);
  auto moved = [&](Storage store) {
    return Number(AtOne(SummaryOf(graph, {.store = store}).FindEntry("step")->moved_bytes, "B"));
  };
  EXPECT_EQ(moved(Storage::kSame) - moved(Storage::kBf16), 2 * 4 * 128 * (64 + 128));
}

TEST(Summary, OfATableOnlyTheRowsThatAreLookedUpMove) {
  auto moved = [](int64_t classes) {
    const ir::Graph graph = GraphOf(
        "model m(V, E) {\n  input tokens: int[V] over T\n  param table: [V, E]\n  output y = table[tokens]\n}\n", "m",
        {{"V", classes}, {"E", 16}});
    return SummaryOf(graph).FindEntry("inference")->moved_bytes;
  };
  // An index, the row and the output.
  EXPECT_EQ(moved(10).Text(), fmt::format("{}*B*T", 4 + 4 * 16 + 4 * 16));
  EXPECT_EQ(moved(1000), moved(10));
}

TEST(Summary, WithoutGradientsThereIsNoTape) {
  const Summary summary = SummaryOf(LibraryCell("gru", 3, 5), {.gradients = false});
  EXPECT_EQ(summary.tape.At({}), 0.0);
  EXPECT_EQ(summary.FindEntry("forward"), nullptr);
  EXPECT_NE(summary.FindEntry("step"), nullptr);
}

TEST(Summary, AnUnknownAxisLeavesAFormulaWithoutAValue) {
  const Summary summary = SummaryOf(LibraryCell("lstm", 3, 5));
  const EntrySummary& entry = *summary.FindEntry("inference");
  EXPECT_FALSE(ValueOf(entry.flops, {{"T", 3}}));
  EXPECT_FALSE(entry.workspace.At(SizesIn(entry, {{"T", 3}})));
  EXPECT_FALSE(summary.tape.At({{"B", 3}}));
}

TEST(Summary, FormulasOfMemoryRoundEachRegionUp) {
  MemoryFormula memory;
  memory.even.Add(Size{64, {"B"}});
  memory.even.Add(Size{320, {}});
  Amount region;
  region.Add(Size{12, {"B"}});
  memory.rounded = {region, region};
  EXPECT_EQ(memory.Text(), "64*B + 320 + 2*ceil64(12*B)");
  EXPECT_EQ(memory.At({{"B", 5}}), 320 + 320 + 2 * 64);
  EXPECT_EQ(memory.At({{"B", 6}}), 384 + 320 + 2 * 128);
}

TEST(Summary, ChunksAreAsLongAsTheirFormulaSays) {
  const Chunks chunks{.axis = "chunk0", .time = "T", .rows = 1000, .step_rows = Size{2, {"B"}}};
  EXPECT_EQ(NamesOf({chunks, chunks}),
            (std::vector<std::pair<std::string, std::string>>{{"chunk0", "min(T, max(1, floor4(1000/(2*B))))"}}));
  const EntrySummary entry{.chunks = {chunks}};
  EXPECT_EQ(SizesIn(entry, {{"T", 400}, {"B", 3}}).at("chunk0"), 164);
  EXPECT_EQ(SizesIn(entry, {{"T", 50}, {"B", 200}}).at("chunk0"), 2);
  EXPECT_EQ(SizesIn(entry, {{"T", 50}, {"B", 3}}).at("chunk0"), 50);
  EXPECT_EQ(SizesIn(entry, {{"T", 50}, {"B", 3000}}).at("chunk0"), 1);
  EXPECT_FALSE(SizesIn(entry, {{"T", 50}}).contains("chunk0"));
}

class SummaryOfMemory : public testing::TestWithParam<const char*> {};

// Sizes and packed bytes to the byte, as the program's own functions and descriptor tell them.
TEST_P(SummaryOfMemory, IsWhatTheCompiledProgramAsksFor) {
  for (const CompileOptions& options :
       {CompileOptions{}, CompileOptions{.precision = Precision::kF64}, CompileOptions{.store = Storage::kBf16}}) {
    const ir::Graph graph = LibraryCell(GetParam(), 3, 5);
    const Summary summary = SummaryOf(graph, options);
    auto program = CompileToMemory(graph, options);
    ASSERT_TRUE(program) << program.error().message;
    const recurve_program& descriptor = program->descriptor();
    EXPECT_EQ(static_cast<size_t>(summary.packed_bytes), descriptor.packed_bytes);
    for (auto [steps, batch] : {std::pair<size_t, size_t>{1, 1}, {7, 3}, {100, 32}, {2, 3000}, {5000, 1}}) {
      const AxisSizes sizes{{"T", static_cast<double>(steps)}, {"B", static_cast<double>(batch)}};
      std::vector<size_t> extents;
      for (const char* axis : program->axes()) extents.push_back(static_cast<size_t>(sizes.at(axis)));
      EXPECT_EQ(summary.tape.At(sizes), static_cast<double>(descriptor.tape_bytes(extents.data())));
      for (const EntrySummary& entry : summary.entries) {
        const recurve_entry* code = program->FindEntry(entry.name);
        ASSERT_NE(code, nullptr) << entry.name;
        const size_t bytes = code->workspace_bytes == nullptr ? 0 : code->workspace_bytes(extents.data());
        EXPECT_EQ(entry.workspace.At(SizesIn(entry, sizes)), static_cast<double>(bytes))
            << entry.name << " T=" << steps << " B=" << batch << ": " << entry.workspace.Text();
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Cells, SummaryOfMemory, testing::ValuesIn(kCells),
                         [](const auto& cell) { return std::string(cell.param); });

}  // namespace
}  // namespace recurve

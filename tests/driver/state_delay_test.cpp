// tests/driver/state_delay_test.cpp: states from longer ago than one step, whole and fractional, in every entry.

#include "compiler/state_delay.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>

#include "compiler/compile.h"
#include "compiler/gradcheck.h"
#include "ir/text.h"
#include "ir/verifier.h"
#include "runtime/session.h"
#include "tests/support/graph_of.h"
#include "tests/support/random_cell.h"

namespace recurve {
namespace {

ir::Graph Cell(const std::string& cell) {
  return GraphOf(
      fmt::format("model m(I, H) {{\n  input x: [I] over T\n  y = scan {}(H=H) over x\n  output y\n}}\n", cell), "m",
      {{"I", 3}, {"H", 6}});
}

ir::Graph Delayed(const ir::Graph& graph, double steps) {
  auto delayed = DelayStates(graph, steps);
  EXPECT_TRUE(delayed) << delayed.error().message;
  EXPECT_EQ(ir::Verify(*delayed), "");
  return *delayed;
}

std::vector<double> Wave(size_t count, double phase = 0) {
  std::vector<double> values(count);
  for (size_t i = 0; i < count; ++i) values[i] = std::sin(0.7 * static_cast<double>(i) + phase);
  return values;
}

std::vector<double> Outputs(const Program& program, size_t steps, const std::vector<double>& x) {
  Session session(program);
  EXPECT_TRUE(session.SetExtent("T", steps));
  EXPECT_TRUE(session.SetExtent("B", 1));
  EXPECT_TRUE(session.Initialize(3));
  EXPECT_TRUE(session.Set("x", x));
  EXPECT_TRUE(session.Inference());
  return *session.Get("y");
}

Program Compiled(const ir::Graph& graph) {
  auto program = CompileToMemory(graph);
  EXPECT_TRUE(program) << program.error().message;
  return *program;
}

TEST(StateDelay, OfOneStepIsTheProgramAsItWas) {
  const ir::Graph graph = Cell("lstm");
  EXPECT_EQ(ir::PrintText(Delayed(graph, 1)), ir::PrintText(graph));
}

// Every third step knows nothing of the others: three sequences at a third of the rate, to the last bit.
TEST(StateDelay, OfThreeStepsIsThreeSequencesInTurn) {
  constexpr size_t kSteps = 5, kInputs = 3, kUnits = 6, kDelay = 3;
  for (const char* cell : {"lstm", "gru", "elman"}) {
    const Program plain = Compiled(Cell(cell)), delayed = Compiled(Delayed(Cell(cell), kDelay));
    const std::vector<double> x = Wave(kSteps * kDelay * kInputs);
    const std::vector<double> together = Outputs(delayed, kSteps * kDelay, x);
    for (size_t first = 0; first < kDelay; ++first) {
      std::vector<double> own, expected;
      for (size_t t = first; t < kSteps * kDelay; t += kDelay) {
        own.insert(own.end(), x.begin() + static_cast<long>(t * kInputs),
                   x.begin() + static_cast<long>((t + 1) * kInputs));
        expected.insert(expected.end(), together.begin() + static_cast<long>(t * kUnits),
                        together.begin() + static_cast<long>((t + 1) * kUnits));
      }
      EXPECT_EQ(Outputs(plain, kSteps, own), expected) << cell << ", every third from " << first;
    }
  }
}

// The same as a person would write it, with the older values as states.
TEST(StateDelay, OfAFractionMixesTwoValues) {
  auto model = [](const std::string& states, const std::string& past, const std::string& next) {
    return GraphOf(fmt::format(R"(
      cell late(I, H) {{
        input x: [I]
        state h: [H]{}
        param W: [H, I], U: [H, H], b: [H]
        past = {}
        h' = tanh(W @ x + U @ past + b)
        {}
        output h'
      }}
      model m(I, H) {{
        input x: [I] over T
        y = scan late(H=H) over x
        output y
      }})",
                               states, past, next),
                   "m", {{"I", 3}, {"H", 6}});
  };
  const ir::Graph written = model(", h2: [H], h3: [H]", "0.75 * h2 + 0.25 * h3", "h2' = h; h3' = h2");
  const ir::Graph delayed = Delayed(model("", "h", ""), 2.25);
  EXPECT_EQ(Outputs(Compiled(delayed), 9, Wave(27)), Outputs(Compiled(written), 9, Wave(27)));
  EXPECT_GE(delayed.FindInput("y.ago2_h0"), 0);
  EXPECT_GE(delayed.FindOutput("y.ago3_hT"), 0);
}

// Interpreter, finite differences and the unrolled program agree about the gradients, also of older beginnings.
TEST(StateDelay, HasGradients) {
  for (const char* cell : {"lstm", "gru", "fast", "indrnn"}) {
    const std::string name = cell == std::string("fast") ? "peephole_lstm" : cell;
    for (const double steps : {2.0, 1.5, 2.1769}) {
      auto report =
          Gradcheck(Delayed(Cell(name), steps), {.sizes = {{"T", 6}, {"B", 2}}, .precision = Precision::kF64});
      ASSERT_TRUE(report) << report.error().message;
      EXPECT_TRUE(report->passed()) << name << " " << steps << "\n" << PrintReport(*report);
    }
  }
}

// The same of cells that nobody wrote.
TEST(StateDelay, OfRandomCellsHasGradients) {
  int tried = 0;
  for (uint64_t seed = 1; seed <= 24; ++seed) {
    const RandomCell cell = MakeRandomCell(seed);
    auto delayed = DelayStates(GraphOf(cell.source, "random", cell.extents), 1.4);
    if (!delayed || cell.stops_gradients) continue;  // a step that selects a state has none
    EXPECT_EQ(ir::Verify(*delayed), "");
    auto report = Gradcheck(*delayed, {.sizes = {{"T", 4}, {"B", 2}}, .seed = seed, .precision = Precision::kF64});
    ASSERT_TRUE(report) << report.error().message;
    EXPECT_TRUE(report->passed()) << "seed " << seed << "\n" << cell.source << PrintReport(*report);
    ++tried;
  }
  EXPECT_GE(tried, 10);
}

// A step at a time gives the bits of the whole sequence.
TEST(StateDelay, Streams) {
  for (const double steps : {1.0, 2.0, 1.5}) {
    const Program program = Compiled(Delayed(Cell("lstm"), steps));
    const std::vector<double> x = Wave(8 * 3);
    const std::vector<double> expected = Outputs(program, 8, x);
    Stream stream(program);
    ASSERT_TRUE(stream.parameters().Initialize(3));
    std::vector<double> y;
    for (size_t t = 0; t < 8; ++t) {
      ASSERT_TRUE(stream.Set("x", std::span(x).subspan(t * 3, 3)));
      ASSERT_TRUE(stream.Step());
      const std::vector<double> row = *stream.Get("y");
      y.insert(y.end(), row.begin(), row.end());
    }
    EXPECT_EQ(y, expected) << steps;
  }
}

TEST(StateDelay, IsRefusedWhereAStateIsKept) {
  const ir::Graph with_lengths =
      GraphOf("model m(H) {\n  input x: [3] over T by n\n  y = scan gru(H=H) over x\n  output y\n}\n", "m", {{"H", 4}});
  EXPECT_EQ(DelayStates(with_lengths, 2).error().message,
            "`h` can't be delayed: a step keeps or drops it as a whole (a length, `reset`, zoneout)");
  EXPECT_EQ(DelayStates(Cell("gru"), 0.5).error().message,
            "states can't be delayed by 0.5 steps: 1 to 64 are possible");
}

}  // namespace
}  // namespace recurve

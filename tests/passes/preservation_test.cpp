// tests/passes/preservation_test.cpp: every pass keeps the meaning of cells, of random programs and of their
// derivatives.
//
// After each pass the graph verifies and its outputs are those of the graph before all passes, within 1e-10 relative:
// passes reorder sums of tens of terms of order one, whose rounding is of order 1e-15; derivatives of derivatives of
// random programs amplify it by their size, hence the margin. A wrong term changes the leading digits.
//
// RECURVE_SEED=N runs the one program of a failure; RECURVE_COUNT=N runs that many.

#include <gtest/gtest.h>

#include <cstdlib>
#include <string>
#include <vector>

#include "compiler/derivative.h"
#include "compiler/passes.h"
#include "ir/interpreter.h"
#include "ir/text.h"
#include "ir/verifier.h"
#include "tests/derivative/cells.h"
#include "tests/derivative/numeric.h"
#include "tests/derivative/random_graph.h"

namespace recurve {
namespace {

using ir::Graph;

constexpr double kTolerance = 1e-10;

void ExpectPreserved(const Graph& graph, const ir::Bindings& bindings, Random& random) {
  std::vector<ir::Tensor> inputs = RandomInputs(graph, bindings, random);
  std::vector<ir::Tensor> expected = ir::Interpret(graph, bindings, inputs);
  Graph last = graph;
  RunPasses(graph, [&](const Pass& pass, const Graph& after) {
    if (testing::Test::HasFailure()) return;
    ASSERT_EQ(ir::Verify(after), "") << pass.name << " of\n" << ir::PrintText(last);
    std::vector<ir::Tensor> actual = ir::Interpret(after, bindings, inputs);
    ASSERT_EQ(actual.size(), expected.size());
    for (size_t i = 0; i < actual.size(); ++i) {
      EXPECT_EQ(after.outputs()[i].name, graph.outputs()[i].name);
      EXPECT_LT(Difference(expected[i], actual[i]), kTolerance)
          << pass.name << ", output " << graph.outputs()[i].name << " of\n"
          << ir::PrintText(last);
    }
    last = after;
  });
}

// Several steps, and none: a sum over no step is zero and a scan of no step yields its initial values.
void ExpectPreserved(const Graph& graph, Random& random) {
  ExpectPreserved(graph, {{"T", 3}, {"B", 2}, {"S", 2}}, random);
  ExpectPreserved(graph, {{"T", 0}, {"B", 1}, {"S", 1}}, random);
}

template <typename Check>
void ForRandomGraphs(int64_t count, Check check) {
  const char* seed_text = std::getenv("RECURVE_SEED");
  const char* count_text = std::getenv("RECURVE_COUNT");
  int64_t first = seed_text ? std::atoll(seed_text) : 0;
  if (seed_text) count = 1;
  if (count_text) count = std::atoll(count_text);
  for (int64_t seed = first; seed < first + count; ++seed) {
    SCOPED_TRACE("RECURVE_SEED=" + std::to_string(seed));
    Random random(seed);
    check(RandomGraph(random), random);
    if (testing::Test::HasFailure()) return;
  }
}

struct Row {
  std::string name;
  Graph graph;
};

class Cells : public testing::TestWithParam<Row> {};

TEST_P(Cells, AreKept) {
  Random random(1);
  ExpectPreserved(GetParam().graph, random);
}

TEST_P(Cells, DerivativesAreKept) {
  Random random(2);
  ExpectPreserved(Vjp(GetParam().graph, RealInputs(GetParam().graph)), random);
}

TEST_P(Cells, DerivativesOfDerivativesAreKept) {
  Random random(3);
  std::vector<std::string> wrt = RealInputs(GetParam().graph);
  ExpectPreserved(Vjp(SquaredGradientNorm(GetParam().graph, wrt), wrt), random);
}

INSTANTIATE_TEST_SUITE_P(Preservation, Cells,
                         testing::Values(Row{"Elman", Elman(false)}, Row{"ReversedElman", Elman(true)},
                                         Row{"Lstm", Lstm(false)}, Row{"ReversedLstm", Lstm(true)},
                                         Row{"Nested", Nested()}),
                         [](const auto& row) { return row.param.name; });

TEST(Preservation, OfRandomPrograms) {
  ForRandomGraphs(300, [](const Graph& graph, Random& random) { ExpectPreserved(graph, random); });
}

TEST(Preservation, OfTheirDerivatives) {
  ForRandomGraphs(150,
                  [](const Graph& graph, Random& random) { ExpectPreserved(Vjp(graph, RealInputs(graph)), random); });
}

TEST(Preservation, OfDerivativesOfDerivatives) {
  ForRandomGraphs(15, [](const Graph& graph, Random& random) {
    std::vector<std::string> wrt = RealInputs(graph);
    ExpectPreserved(Vjp(SquaredGradientNorm(graph, wrt), wrt), random);
  });
}

}  // namespace
}  // namespace recurve

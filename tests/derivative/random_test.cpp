// tests/derivative/random_test.cpp: random programs: finite differences, the unrolled program and the split agree with
// the derivative.
//
// RECURVE_SEED=N runs the one program of a failure; RECURVE_COUNT=N runs that many.

#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

#include "compiler/derivative.h"
#include "compiler/unroll.h"
#include "ir/text.h"
#include "ir/verifier.h"
#include "tests/derivative/numeric.h"
#include "tests/derivative/random_graph.h"

namespace recurve {
namespace {

using ir::Graph;

int64_t Environment(const char* name, int64_t otherwise) {
  const char* value = std::getenv(name);
  return value ? std::atoll(value) : otherwise;
}

// Runs `check(graph, random)` on programs of consecutive seeds until one fails, and prints that one.
template <typename Check>
void ForRandomGraphs(int64_t count, Check check) {
  int64_t first = Environment("RECURVE_SEED", 0);
  if (std::getenv("RECURVE_SEED") != nullptr) count = 1;
  count = Environment("RECURVE_COUNT", count);
  for (int64_t seed = first; seed < first + count; ++seed) {
    SCOPED_TRACE("RECURVE_SEED=" + std::to_string(seed));
    Random random(seed);
    Graph graph = RandomGraph(random);
    check(graph, random);
    if (testing::Test::HasFailure()) FAIL() << ir::PrintText(graph);
  }
}

TEST(RandomGraphs, GradientIsFiniteDifference) {
  ForRandomGraphs(400, [](const Graph& graph, Random& random) {
    ExpectVjpIsFiniteDifference(graph, RealInputs(graph), {{"T", 3}, {"B", 2}}, random);
  });
}

TEST(RandomGraphs, GradientIsThatOfTheUnrolledProgram) {
  ForRandomGraphs(200, [](const Graph& graph, Random& random) {
    ir::Bindings bindings{{"T", 3}, {"B", 2}};
    std::vector<std::string> wrt = RealInputs(graph);
    Graph vjp = Vjp(graph, wrt), unrolled = Unroll(graph, "T", 3);
    ASSERT_EQ(ir::Verify(unrolled), "");
    ExpectSameOutputs(vjp, Vjp(unrolled, wrt), bindings, RandomInputs(vjp, bindings, random));
  });
}

TEST(RandomGraphs, GradientComposesWithItself) {
  ForRandomGraphs(60, [](const Graph& graph, Random& random) {
    std::vector<std::string> wrt = RealInputs(graph);
    ExpectVjpIsFiniteDifference(SquaredGradientNorm(graph, wrt), wrt, {{"T", 2}, {"B", 2}}, random);
  });
}

TEST(RandomGraphs, SplitIsTheJointGraph) {
  ForRandomGraphs(100,
                  [](const Graph& graph, Random& random) { ExpectSplitIsJoint(graph, {{"T", 3}, {"B", 2}}, random); });
}

}  // namespace
}  // namespace recurve

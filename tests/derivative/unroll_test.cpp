// tests/derivative/unroll_test.cpp: a bound time axis leaves no scan over it and means the same.

#include <gtest/gtest.h>

#include <algorithm>

#include "compiler/unroll.h"
#include "ir/builder.h"
#include "ir/verifier.h"
#include "tests/derivative/cells.h"
#include "tests/derivative/numeric.h"

namespace recurve {
namespace {

using ir::Dim;
using ir::Expr;
using ir::Graph;
using ir::Op;

void ExpectUnrolledIsSame(const Graph& graph, const std::string& axis, int64_t extent) {
  Graph unrolled = Unroll(graph, axis, extent);
  EXPECT_EQ(ir::Verify(unrolled), "");
  std::vector<std::string> axes = ir::SymbolicAxes(unrolled);
  EXPECT_EQ(std::ranges::find(axes, axis), axes.end());
  ir::Bindings bindings{{"T", 2}, {"S", 3}, {"B", 2}};
  bindings[axis] = extent;
  Random random(41);
  ExpectSameOutputs(graph, unrolled, bindings, RandomInputs(graph, bindings, random));
}

TEST(Unroll, MeansTheSame) {
  for (int64_t extent : {1, 2, 5}) {
    ExpectUnrolledIsSame(Elman(false), "T", extent);
    ExpectUnrolledIsSame(Lstm(true), "T", extent);
  }
}

TEST(Unroll, ReachesIntoBodies) {
  ExpectUnrolledIsSame(Nested(), "T", 3);
  ExpectUnrolledIsSame(Nested(), "S", 3);
  ExpectUnrolledIsSame(Unroll(Nested(), "S", 2), "T", 3);
}

TEST(Unroll, LeavesNoScan) {
  Graph unrolled = Unroll(Lstm(false), "T", 4);
  for (ir::NodeId id = 0; id < unrolled.size(); ++id) {
    EXPECT_NE(unrolled[id].op, Op::kScan);
    EXPECT_NE(unrolled[id].op, Op::kScanResult);
  }
}

TEST(Unroll, TurnsTheExtentIntoANumber) {
  Graph graph;
  Expr x = graph.AddInput("x", ir::Role::kData, {Dim("T"), 2});
  graph.AddOutput("mean", ir::ReduceSum(x, {0}) / ir::BroadcastTo(ir::Extent(graph, Dim("T")), {2}, {}));
  ExpectUnrolledIsSame(graph, "T", 4);
}

TEST(Unroll, BindsAnAxisWithoutScan) { ExpectUnrolledIsSame(Elman(false), "B", 2); }

}  // namespace
}  // namespace recurve

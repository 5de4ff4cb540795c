// tests/derivative/split_test.cpp: forward and backward, run one after the other, are the joint graph; what is packed
// leaves the programs' meaning alone.

#include <gtest/gtest.h>

#include <string>

#include "compiler/derivative.h"
#include "compiler/split.h"
#include "ir/builder.h"
#include "tests/derivative/cells.h"
#include "tests/derivative/numeric.h"

namespace recurve {
namespace {

using ir::Dim;
using ir::Expr;
using ir::Graph;
using ir::Op;
using ir::Role;

std::vector<std::string> InputNames(const Graph& graph) {
  std::vector<std::string> names;
  for (ir::NodeId id : graph.inputs()) names.push_back(graph[id].As<ir::InputAttr>().name);
  return names;
}

TEST(SplitForwardBackward, IsTheJointGraph) {
  ir::Bindings bindings{{"T", 3}, {"S", 2}, {"B", 2}};
  Random random(51);
  for (const Graph& graph : {Elman(false), Lstm(true), Nested()}) ExpectSplitIsJoint(graph, bindings, random);
}

// y = tanh(x W^T), z = 2 y: what backward needs is y, and x, which the caller has.
Graph Layer() {
  Graph graph;
  Expr x = graph.AddInput("x", Role::kData, {Dim("B"), 3});
  Expr w = graph.AddInput("W", Role::kParameter, {4, 3});
  graph.AddInput("unused", Role::kData, {Dim("B")});
  Expr y = Tanh(ir::Contract(x, w, "bi,oi->bo"));
  graph.AddOutput("z", y * (1.0 - y));
  return graph;
}

TEST(SplitForwardBackward, GivesEachProgramItsInputs) {
  SplitPrograms split = SplitForwardBackward(Vjp(Layer(), {{"W"}}), 1);
  EXPECT_EQ(InputNames(split.forward), (std::vector<std::string>{"x", "W", "unused"}));
  EXPECT_EQ(InputNames(split.backward), (std::vector<std::string>{"x", "z_adj", "tape0"}));
  EXPECT_EQ(split.backward[split.backward.FindInput("tape0")].As<ir::InputAttr>().role, Role::kTape);
}

TEST(SplitForwardBackward, TapesNeitherInputsNorCheapValues) {
  SplitPrograms split = SplitForwardBackward(Vjp(Layer(), {{"x", "W"}}), 1);
  ASSERT_EQ(split.forward.outputs().size(), 2u);
  EXPECT_EQ(split.forward[split.forward.FindOutput("tape0")].op, Op::kTanh);
}

TEST(SplitForwardBackward, LeavesTheScanInForward) {
  Graph primal = Lstm(false);
  SplitPrograms split = SplitForwardBackward(Vjp(primal, RealInputs(primal)), 3);
  int scans = 0;
  for (ir::NodeId id = 0; id < split.backward.size(); ++id) scans += split.backward[id].op == Op::kScan;
  EXPECT_EQ(scans, 1);
}

TEST(ExtractPacked, MovesArithmeticOnParametersOnce) {
  auto program = [] {
    Graph graph;
    Expr x = graph.AddInput("x", Role::kData, {Dim("B"), 3});
    Expr w = graph.AddInput("W", Role::kParameter, {3, 3});
    Expr antisymmetric = w - Transpose(w, {1, 0});
    graph.AddOutput("y", ir::Contract(x, Transpose(antisymmetric, {1, 0}), "bi,oi->bo"));
    return graph;
  };
  std::vector<Graph> programs{program(), program()};
  Graph pack = ExtractPacked(programs);
  EXPECT_EQ(InputNames(pack), std::vector<std::string>{"W"});
  ASSERT_EQ(pack.outputs().size(), 1u);
  EXPECT_EQ(pack[pack.FindOutput("packed0")].op, Op::kSub);
  for (const Graph& rest : programs) {
    EXPECT_EQ(InputNames(rest), (std::vector<std::string>{"x", "W", "packed0"}));
    EXPECT_EQ(rest[rest.FindInput("packed0")].As<ir::InputAttr>().role, Role::kPacked);
    for (ir::NodeId id = 0; id < rest.size(); ++id) EXPECT_NE(rest[id].op, Op::kSub);
  }
}

TEST(ExtractPacked, LeavesMovedAndRepeatedParametersInPlace) {
  Graph graph;
  Expr x = graph.AddInput("x", Role::kData, {Dim("B"), 2});
  Expr w = graph.AddInput("W", Role::kParameter, {4});
  graph.AddOutput("y", x * ir::BroadcastTrailing(ir::Slice(w, 0, 1, 2), {Dim("B"), 2}));
  std::vector<Graph> programs{graph};
  Graph pack = ExtractPacked(programs);
  EXPECT_TRUE(pack.outputs().empty());
  EXPECT_EQ(InputNames(programs[0]), (std::vector<std::string>{"x", "W"}));
}

TEST(ExtractPacked, LeavesWhatASizeDetermines) {
  Graph graph;
  Expr w = graph.AddInput("W", Role::kParameter, {});
  graph.AddOutput("y", w * ir::Extent(graph, Dim("B")));
  std::vector<Graph> programs{graph};
  EXPECT_TRUE(ExtractPacked(programs).outputs().empty());
}

}  // namespace
}  // namespace recurve

// tests/ir/verifier_test.cpp: graphs that are not well formed, each by one stroke, and the sentence about it.

#include "ir/verifier.h"

#include <gtest/gtest.h>

#include <memory>

#include "ir/builder.h"
#include "tests/ir/ir_testing.h"

namespace recurve::ir {
namespace {

Graph Doubled() {
  Graph graph;
  graph.name = "doubled";
  Expr x = graph.AddInput("x", Role::kData, {Dim("B"), 2});
  graph.AddOutput("y", x + x);
  return graph;
}

TEST(Verifier, AcceptsAWellFormedGraph) {
  EXPECT_EQ(Verify(Doubled()), "");
  EXPECT_EQ(Verify(Graph()), "");
}

TEST(Verifier, RefusesAnOperandThatComesLater) {
  Graph graph = Doubled();
  graph.Add({.op = Op::kTanh, .args = {2}, .type = graph.type(0), .label = "t"});
  EXPECT_EQ(Verify(graph), "node 2 `t`: `tanh` reads a value that does not stand before it");
}

TEST(Verifier, RefusesATypeThatDoesNotFollow) {
  Graph graph = Doubled();
  graph.Add({.op = Op::kTanh, .args = {0}, .type = {Element::kReal, {3}}});
  EXPECT_EQ(Verify(graph), "node 2: `tanh` has another type than its operands give");
}

TEST(Verifier, SaysWhatTheInferenceRuleSays) {
  Graph graph = Doubled();
  graph.Add({.op = Op::kTanh, .type = graph.type(0)});
  EXPECT_EQ(Verify(graph), "node 2: `tanh` needs 1 operand and has 0");
}

TEST(Verifier, RefusesInputsOfOneName) {
  Graph graph = Doubled();
  graph.AddInput("x", Role::kState, {});
  EXPECT_EQ(Verify(graph), "two inputs are named `x`");
}

TEST(Verifier, RefusesOutputsOfOneName) {
  Graph graph = Doubled();
  graph.AddOutput("y", NodeId{0});
  EXPECT_EQ(Verify(graph), "two outputs are named `y`");
}

TEST(Verifier, RefusesAnOutputOutsideTheGraph) {
  Graph graph = Doubled();
  graph.AddOutput("z", NodeId{7});
  EXPECT_EQ(Verify(graph), "output `z` is not a value of the graph");
}

TEST(Verifier, RefusesAScanWithoutABody) {
  Graph graph;
  graph.Add({.op = Op::kScan, .attr = ScanAttr{.time = Dim("T")}});
  EXPECT_EQ(Verify(graph), "node 0: `scan` needs a body");
}

TEST(Verifier, RefusesAScanAsAnOutput) {
  Graph graph;
  NodeId scan = graph.Add({.op = Op::kScan, .attr = ScanAttr{.body = std::make_shared<Graph>(), .time = Dim("T")}});
  EXPECT_EQ(Verify(graph), "");
  graph.AddOutput("s", scan);
  EXPECT_EQ(Verify(graph), "output `s` is a scan, not a result of one");
}

TEST(Verifier, LooksIntoScanBodies) {
  Graph body = Doubled();
  body.Add({.op = Op::kTanh, .args = {9}, .label = "deep"});
  Graph graph;
  graph.Add({.op = Op::kScan, .attr = ScanAttr{.body = std::make_shared<Graph>(body), .time = Dim("T")}, .label = "s"});
  EXPECT_EQ(Verify(graph),
            "node 0 `s`: `scan` has a body in which node 2 `deep`: `tanh` reads a value that does not stand before it");
}

TEST(Verifier, RefusesABodyWhoseInputsHaveOtherRoles) {
  Graph graph;
  Expr x = graph.AddInput("x", Role::kData, {Dim("B"), 2});
  graph.Add({.op = Op::kScan,
             .args = {x.id()},
             .attr = ScanAttr{.body = std::make_shared<Graph>(Doubled()), .time = Dim("T")}});
  EXPECT_EQ(Verify(graph), "node 1: `scan` has a body whose input `x` is of another role");
}

}  // namespace
}  // namespace recurve::ir

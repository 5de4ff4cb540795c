// tests/ir/graph_test.cpp: the table of operations and the lists that a graph keeps.

#include "ir/graph.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

#include "ir/builder.h"
#include "tests/ir/ir_testing.h"

namespace recurve::ir {
namespace {

TEST(Operations, HaveTheNameArityAndCostOfTheirRow) {
  EXPECT_EQ(Name(Op::kTanh), "tanh");
  EXPECT_EQ(Name(Op::kScanResult), "result");
  EXPECT_EQ(ElementwiseArity(Op::kNeg), 1);
  EXPECT_EQ(ElementwiseArity(Op::kAdd), 2);
  EXPECT_EQ(ElementwiseArity(Op::kSelect), 3);
  EXPECT_EQ(ElementwiseArity(Op::kContract), 0);
  EXPECT_EQ(CostOf(Op::kAdd), Cost::kCheap);
  EXPECT_EQ(CostOf(Op::kTanh), Cost::kCostly);
  EXPECT_EQ(CostOf(Op::kContract), Cost::kCostly);
}

// The text form tells operations apart by these words.
TEST(Operations, HaveDistinctNames) {
  std::set<std::string_view> names;
  int rows = 0;
#define UNARY(Kind, text, ...) names.insert(text), ++rows;
#define BINARY(Kind, text, ...) names.insert(text), ++rows;
#define TERNARY(Kind, text, ...) names.insert(text), ++rows;
#define STRUCTURAL(Kind, text) names.insert(text), ++rows;
#include "ir/ops.def"
  EXPECT_EQ(static_cast<int>(names.size()), rows);
}

TEST(Graph, FindsInputsAndOutputsByName) {
  Graph graph = Read("graph g { %a = input data [] %b = input data named c' [] return y = %b, z = %a }");
  EXPECT_EQ(graph.FindInput("a"), 0);
  EXPECT_EQ(graph.FindInput("c'"), 1);
  EXPECT_EQ(graph.FindInput("b"), -1);
  EXPECT_EQ(graph.FindOutput("y"), 1);
  EXPECT_EQ(graph.FindOutput("a"), -1);
}

TEST(Graph, ListsItsSymbolicAxesWithTheBatchLast) {
  Graph graph = Read(R"(graph g {
    %x = input data [B, T, 4]
    %s = scan S {
      %n = extent R
      return stacked y = %n
    }
    %q = extent Q
    return
  })");
  EXPECT_EQ(SymbolicAxes(graph), (std::vector<std::string>{"T", "S", "R", "Q", "B"}));
}

TEST(Graph, ListsInputsInTheOrderTheyWereAdded) {
  Graph graph;
  Expr a = graph.AddInput("a", Role::kData, {});
  Expr t = Tanh(a);
  Expr i = graph.AddIndexInput("i", Role::kData, {}, 5);
  graph.SetLabel(t.id(), "t");
  EXPECT_EQ(graph.inputs(), (std::vector<NodeId>{a.id(), i.id()}));
  EXPECT_EQ(graph[i.id()].As<InputAttr>().classes, 5);
  EXPECT_EQ(graph[t.id()].label, "t");
}

}  // namespace
}  // namespace recurve::ir

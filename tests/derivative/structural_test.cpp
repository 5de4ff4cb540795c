// tests/derivative/structural_test.cpp: the adjoint of every operation that moves, contracts or reduces.

#include <gtest/gtest.h>

#include <functional>
#include <string>

#include "compiler/derivative.h"
#include "compiler/graph_util.h"
#include "ir/builder.h"
#include "tests/derivative/numeric.h"

namespace recurve {
namespace {

using ir::Dim;
using ir::Expr;
using ir::Graph;
using ir::Op;
using ir::Role;

const Dim kBatch("B");

struct Row {
  std::string name;
  // The value, from a [B, 6], w [4, 6], v [6] and tokens [B] below 4; any shape.
  std::function<Expr(Expr a, Expr w, Expr v, Expr tokens)> build;
};

// `a` on the left and `w`, `v` on the right; each row is multiplied with itself, so that second derivatives exist.
const Row kRows[] = {
    {"BroadcastAlongBatch", [](Expr, Expr, Expr v, Expr) { return ir::BroadcastTrailing(v, {kBatch, 6}); }},
    {"BroadcastInTheMiddle", [](Expr a, Expr, Expr, Expr) { return ir::BroadcastTo(a, {kBatch, 3, 6, 2}, {0, 2}); }},
    {"Reshape", [](Expr a, Expr, Expr, Expr) { return ir::Reshape(a, {kBatch, 2, 3}); }},
    {"Transpose", [](Expr a, Expr, Expr, Expr) { return ir::Transpose(ir::Reshape(a, {kBatch, 2, 3}), {2, 0, 1}); }},
    {"OneSlice", [](Expr a, Expr, Expr, Expr) { return ir::Slice(a, 1, 1, 3); }},
    {"SlicesThatCover",
     [](Expr a, Expr, Expr, Expr) { return Tanh(ir::Slice(a, 1, 0, 3)) * Sigmoid(ir::Slice(a, 1, 3, 3)); }},
    {"SlicesThatOverlap", [](Expr a, Expr, Expr, Expr) { return ir::Slice(a, 1, 0, 4) * ir::Slice(a, 1, 2, 4); }},
    {"SlicesOfTwoAxes",
     [](Expr, Expr w, Expr, Expr) {
       return ir::Slice(w, 0, 1, 2) *
              ir::Concat({{ir::Slice(w, 0, 3, 1), ir::Slice(ir::Slice(w, 1, 0, 6), 0, 0, 1)}}, 0);
     }},
    {"SlicesAndTheWhole",
     [](Expr a, Expr, Expr, Expr) { return a * ir::Concat({{ir::Slice(a, 1, 4, 2), ir::Slice(a, 1, 0, 4)}}, 1); }},
    {"Concat",
     [](Expr a, Expr, Expr v, Expr) { return ir::Concat({{a, ir::BroadcastTrailing(v, {kBatch, 6}), a}}, 1); }},
    {"Contract", [](Expr a, Expr w, Expr, Expr) { return ir::Contract(a, w, "bi,oi->bo"); }},
    {"ContractTransposedResult", [](Expr a, Expr w, Expr, Expr) { return ir::Contract(w, a, "oi,bi->ob"); }},
    {"ContractOuterProduct", [](Expr a, Expr, Expr v, Expr) { return ir::Contract(a, v, "bi,j->jbi"); }},
    {"ContractOverBatch", [](Expr a, Expr, Expr, Expr) { return ir::Contract(a, a, "bi,bj->ij"); }},
    {"ContractToScalar", [](Expr, Expr, Expr v, Expr) { return ir::Contract(v, v * v, "i,i->"); }},
    {"ContractRowByRow", [](Expr a, Expr, Expr, Expr) { return ir::Contract(a, Tanh(a), "bi,bi->b"); }},
    {"ReduceSum", [](Expr a, Expr, Expr, Expr) { return ir::ReduceSum(a * a, {1}); }},
    {"ReduceSumOverBatch", [](Expr a, Expr, Expr, Expr) { return ir::ReduceSum(a * a, {0}); }},
    {"ReduceMax", [](Expr a, Expr, Expr, Expr) { return ir::ReduceMax(a); }},
    {"Gather", [](Expr, Expr w, Expr, Expr tokens) { return ir::Gather(w, tokens); }},
    {"ScatterAdd", [](Expr a, Expr, Expr, Expr tokens) { return ir::ScatterAdd(tokens, a, 4); }},
    {"OneHot", [](Expr, Expr w, Expr, Expr tokens) { return ir::Contract(ir::OneHot(tokens, 4), w, "bv,vi->bi"); }},
    {"IotaAndExtent",
     [](Expr a, Expr, Expr v, Expr) {
       Expr mean = ir::ReduceSum(a, {0}) / ir::BroadcastTo(ir::Extent(*a.graph(), kBatch), {6}, {});
       return mean * v * ir::Iota(*a.graph(), 6);
     }},
};

class StructuralGradient : public testing::TestWithParam<Row> {
 protected:
  Graph Build() const {
    Graph graph;
    Expr a = graph.AddInput("a", Role::kData, {kBatch, 6});
    Expr w = graph.AddInput("w", Role::kParameter, {4, 6});
    Expr v = graph.AddInput("v", Role::kParameter, {6});
    Expr tokens = graph.AddIndexInput("tokens", Role::kData, {kBatch}, 4);
    Expr y = GetParam().build(a, w, v, tokens);
    graph.AddOutput("y", y * y);
    return graph;
  }
};

TEST_P(StructuralGradient, IsFiniteDifference) {
  Random random(11);
  ExpectVjpIsFiniteDifference(Build(), {"a", "w", "v"}, {{"B", 3}}, random);
}

TEST_P(StructuralGradient, ComposesWithItself) {
  Random random(12);
  ExpectVjpIsFiniteDifference(SquaredGradientNorm(Build(), {"a", "w", "v"}), {"a", "w", "v"}, {{"B", 3}}, random);
}

INSTANTIATE_TEST_SUITE_P(Rows, StructuralGradient, testing::ValuesIn(kRows),
                         [](const testing::TestParamInfo<Row>& info) { return info.param.name; });

int CountOf(const Graph& graph, Op op) {
  int count = 0;
  for (ir::NodeId id = 0; id < graph.size(); ++id) count += graph[id].op == op;
  return count;
}

TEST(Vjp, JoinsSlicesOfOneValueInOneConcat) {
  Graph graph;
  Expr a = graph.AddInput("a", Role::kData, {8});
  graph.AddOutput("p", ir::Slice(a, 0, 0, 2));
  graph.AddOutput("q", ir::Slice(a, 0, 5, 3));
  graph.AddOutput("r", ir::Slice(a, 0, 0, 2));
  Graph vjp = Vjp(graph, {{"a"}});
  EXPECT_EQ(CountOf(vjp, Op::kConcat), 1);
  EXPECT_EQ(CountOf(vjp, Op::kConstant), 1) << "one gap";
  EXPECT_EQ(CountOf(vjp, Op::kAdd), 1) << "two slices of the same range";
}

TEST(Vjp, BuildsNothingForInputsThatNobodyAsksFor) {
  Graph graph;
  Expr a = graph.AddInput("a", Role::kData, {2});
  Expr b = graph.AddInput("b", Role::kData, {2});
  graph.AddOutput("y", Sin(a) * b);
  Graph vjp = Vjp(graph, {{"b"}});
  EXPECT_EQ(CountOf(vjp, Op::kMul), 2);
  EXPECT_EQ(CountOf(vjp, Op::kCos), 0);
}

TEST(Vjp, IsZeroWhereNoGradientFlows) {
  Graph graph;
  Expr a = graph.AddInput("a", Role::kData, {2});
  graph.AddOutput("y", Floor(a));
  Graph vjp = Vjp(graph, {{"a"}});
  std::vector<ir::Tensor> inputs(2, ir::Tensor::Filled({2}, 1.5));
  EXPECT_EQ(ir::Interpret(vjp, {}, inputs)[1].values, (std::vector<double>{0, 0}));
}

TEST(Vjp, GivesTiesOfAMaximumEqualShares) {
  Graph graph;
  graph.AddOutput("y", ir::ReduceMax(graph.AddInput("a", Role::kData, {3})));
  Graph vjp = Vjp(graph, {{"a"}});
  ir::Tensor a{{3}, {2, 1, 2}};
  EXPECT_EQ(ir::Interpret(vjp, {}, {{a, ir::Tensor{{}, {1}}}})[1].values, (std::vector<double>{0.5, 0, 0.5}));
}

TEST(Vjp, NumbersNamesThatAreTaken) {
  Graph graph;
  Expr a = graph.AddInput("a", Role::kData, {2});
  graph.AddOutput("y", a * a);
  Graph twice = Vjp(Vjp(graph, {{"a"}}), {{"a"}});
  std::vector<std::string> inputs, outputs;
  for (ir::NodeId id : twice.inputs()) inputs.push_back(twice[id].As<ir::InputAttr>().name);
  for (const ir::Output& output : twice.outputs()) outputs.push_back(output.name);
  EXPECT_EQ(inputs, (std::vector<std::string>{"a", "y_adj", "y_adj2", "a_adj_adj"}));
  EXPECT_EQ(outputs, (std::vector<std::string>{"y", "a_adj", "a_adj2"}));
}

TEST(Vjp, LabelsAdjointsAfterTheirValues) {
  Graph graph;
  Expr a = graph.AddInput("a", Role::kData, {2});
  Expr f = Sigmoid(a);
  graph.SetLabel(f.id(), "f");
  graph.AddOutput("y", Tanh(f));
  Graph vjp = Vjp(graph, {{"a"}});
  ir::NodeId a_adj = vjp.FindOutput("a_adj");
  EXPECT_EQ(vjp[a_adj].label, "a_adj");
  EXPECT_EQ(vjp[vjp[a_adj].args[0]].label, "f_adj");
}

TEST(Gradient, HasOneLossAndNoAdjointInputs) {
  Graph graph;
  Expr a = graph.AddInput("a", Role::kData, {2});
  graph.AddOutput("other", Tanh(a));
  graph.AddOutput("loss", ir::ReduceSum(a * a, {0}));
  Graph gradient = Gradient(graph, "loss", {{"a"}});
  EXPECT_EQ(gradient.inputs().size(), 1u);
  std::vector<ir::Tensor> outputs = ir::Interpret(gradient, {}, {{ir::Tensor{{2}, {3, -1}}}});
  ASSERT_EQ(outputs.size(), 2u);
  EXPECT_EQ(outputs[0].values, std::vector<double>{10});
  EXPECT_EQ(outputs[1].values, (std::vector<double>{6, -2}));
}

TEST(Unreachable, NamesInputsBehindStopGradient) {
  Graph graph;
  Expr a = graph.AddInput("a", Role::kParameter, {2});
  Expr b = graph.AddInput("b", Role::kParameter, {2});
  graph.AddInput("unused", Role::kParameter, {2});
  graph.AddOutput("y", Tanh(a) + StopGradient(b) + Floor(b));
  EXPECT_EQ(Unreachable(graph, {{"a", "b", "unused"}}), (std::vector<std::string>{"b", "unused"}));
}

}  // namespace
}  // namespace recurve

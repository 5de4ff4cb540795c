// tests/derivative/scan_test.cpp: the adjoint of a scan against finite differences and against the unrolled program.

#include <gtest/gtest.h>

#include <functional>
#include <string>

#include "compiler/derivative.h"
#include "compiler/graph_util.h"
#include "compiler/unroll.h"
#include "ir/builder.h"
#include "ir/text.h"
#include "tests/derivative/cells.h"
#include "tests/derivative/numeric.h"

namespace recurve {
namespace {

using ir::Expr;
using ir::Graph;
using ir::NodeId;
using ir::Op;

struct Row {
  std::string name;
  std::function<Graph()> build;
};

const Row kRows[] = {
    {"Elman", [] { return Elman(false); }},
    {"ElmanInReverse", [] { return Elman(true); }},
    {"Lstm", [] { return Lstm(false); }},
    {"LstmInReverse", [] { return Lstm(true); }},
    {"ScanInTheBodyOfAScan", [] { return Nested(); }},
};

class ScanGradient : public testing::TestWithParam<Row> {
 protected:
  Graph graph_ = GetParam().build();
  std::vector<std::string> wrt_ = RealInputs(graph_);
};

TEST_P(ScanGradient, IsFiniteDifference) {
  for (int64_t steps : {1, 3, 5}) {
    Random random(steps);
    ExpectVjpIsFiniteDifference(graph_, wrt_, {{"T", steps}, {"S", 2}, {"B", 2}}, random);
  }
}

TEST_P(ScanGradient, IsTheDerivativeOfTheUnrolledProgram) {
  for (int64_t steps : {1, 3, 5}) {
    Random random(steps);
    ir::Bindings bindings{{"T", steps}, {"S", 2}, {"B", 2}};
    Graph vjp = Vjp(graph_, wrt_);
    std::vector<ir::Tensor> inputs = RandomInputs(vjp, bindings, random);
    ExpectSameOutputs(vjp, Vjp(Unroll(graph_, "T", steps), wrt_), bindings, inputs);
    ExpectSameOutputs(vjp, Unroll(vjp, "T", steps), bindings, inputs);
  }
}

TEST_P(ScanGradient, ComposesWithItself) {
  Random random(21);
  Graph norm = SquaredGradientNorm(graph_, wrt_);
  ExpectVjpIsFiniteDifference(norm, wrt_, {{"T", 3}, {"S", 2}, {"B", 2}}, random);
}

TEST_P(ScanGradient, ComposesWithItselfTwice) {
  Random random(22);
  Graph norm = SquaredGradientNorm(graph_, {wrt_[0]});
  ExpectVjpIsFiniteDifference(Vjp(norm, wrt_), wrt_, {{"T", 2}, {"S", 2}, {"B", 2}}, random);
}

TEST_P(ScanGradient, OfSomeInputsIsThatOfAll) {
  ir::Bindings bindings{{"T", 3}, {"S", 2}, {"B", 2}};
  Random random(23);
  Graph all = Vjp(graph_, wrt_);
  std::vector<ir::Tensor> inputs = RandomInputs(all, bindings, random);
  std::vector<ir::Tensor> expected = ir::Interpret(all, bindings, inputs);
  for (size_t i = 0; i < wrt_.size(); ++i) {
    std::vector<ir::Tensor> actual = ir::Interpret(Vjp(graph_, {{wrt_[i]}}), bindings, inputs);
    EXPECT_LT(Difference(expected[graph_.outputs().size() + i], actual.back()), 1e-12) << wrt_[i];
  }
}

INSTANTIATE_TEST_SUITE_P(Rows, ScanGradient, testing::ValuesIn(kRows),
                         [](const testing::TestParamInfo<Row>& info) { return info.param.name; });

// The scans of a graph in order.
std::vector<const ir::ScanAttr*> ScansOf(const Graph& graph) {
  std::vector<const ir::ScanAttr*> scans;
  for (NodeId id = 0; id < graph.size(); ++id) {
    if (graph[id].op == Op::kScan) scans.push_back(&graph[id].As<ir::ScanAttr>());
  }
  return scans;
}

std::vector<std::string> NamesOfInputs(const Graph& graph, ir::Role role) {
  std::vector<std::string> names;
  for (NodeId id : graph.inputs()) {
    if (graph[id].As<ir::InputAttr>().role == role) names.push_back(graph[id].As<ir::InputAttr>().name);
  }
  return names;
}

class LstmAdjoint : public testing::Test {
 protected:
  Graph primal_ = Lstm(false);
  Graph vjp_ = Vjp(primal_, RealInputs(primal_));
  const ir::ScanAttr& forward_ = *ScansOf(vjp_).at(0);
  const ir::ScanAttr& adjoint_ = *ScansOf(vjp_).at(1);
  const Graph& body_ = *adjoint_.body;
};

TEST_F(LstmAdjoint, TapeIsWhatTheAdjointMentions) {
  std::vector<std::string> stacked;
  for (size_t i = forward_.carries; i < forward_.body->outputs().size(); ++i) {
    stacked.push_back(forward_.body->outputs()[i].name);
  }
  EXPECT_EQ(stacked, (std::vector<std::string>{"y", "h", "c", "i", "f", "g", "o", "squashed"}));
}

TEST_F(LstmAdjoint, TakesAndGivesAdjoints) {
  EXPECT_TRUE(adjoint_.reverse);
  EXPECT_EQ(NamesOfInputs(body_, ir::Role::kCarry),
            (std::vector<std::string>{"h'_adj", "c'_adj", "W_adj_sum", "U_adj_sum", "b_adj_sum"}));
  EXPECT_EQ(NamesOfInputs(body_, ir::Role::kElement),
            (std::vector<std::string>{"y_adj", "h", "c", "i", "f", "g", "o", "squashed", "x"}));
  EXPECT_EQ(NamesOfInputs(body_, ir::Role::kInvariant), (std::vector<std::string>{"W", "U"}));
  std::vector<std::string> outputs;
  for (const ir::Output& output : body_.outputs()) outputs.push_back(output.name);
  EXPECT_EQ(outputs, (std::vector<std::string>{"h_adj", "c_adj", "W_adj_sum'", "U_adj_sum'", "b_adj_sum'", "x_adj"}));
}

TEST_F(LstmAdjoint, MultipliesTheCellsAdjointByExactlyTheForgetGate) {
  const ir::Node& c_adj = body_[body_.FindOutput("c_adj")];
  ASSERT_EQ(c_adj.op, Op::kMul);
  EXPECT_EQ(body_[c_adj.args[0]].label, "c'_adj_total");
  EXPECT_EQ(c_adj.args[1], body_.FindInput("f"));
}

TEST_F(LstmAdjoint, HasNoNeutralConstants) {
  for (NodeId id = 0; id < body_.size(); ++id) {
    for (NodeId arg : body_[id].args) {
      if (body_[arg].op != Op::kConstant) continue;
      EXPECT_NE(body_[id].op, Op::kAdd);
      EXPECT_NE(body_[id].op, Op::kMul);
    }
  }
}

// A body with one carry `s` and one element `x`; T steps.
Graph OneCarry(const std::function<void(Graph& body, Expr s, Expr x, Expr w)>& build) {
  auto body = std::make_shared<Graph>();
  Expr s = body->AddInput("s", ir::Role::kCarry, {3});
  Expr x = body->AddInput("x", ir::Role::kElement, {3});
  Expr w = body->AddInput("w", ir::Role::kInvariant, {3});
  build(*body, s, x, w);
  Graph graph;
  Expr s0 = graph.AddInput("s0", ir::Role::kState, {3});
  Expr xs = graph.AddInput("x", ir::Role::kData, {ir::Dim("T"), 3});
  Expr ws = graph.AddInput("w", ir::Role::kParameter, {3});
  Expr scan = ir::Scan(graph, {{s0, xs, ws}}, {.body = body, .carries = 1, .sequences = 1, .time = ir::Dim("T")});
  for (int i = 0; i < static_cast<int>(body->outputs().size()); ++i) {
    graph.AddOutput("result" + std::to_string(i), ir::ScanResult(scan, i));
  }
  return graph;
}

std::vector<std::string> TapeNames(const Graph& primal) {
  Graph vjp = Vjp(primal, RealInputs(primal));
  const Graph& body = *ScansOf(vjp).at(0)->body;
  std::vector<std::string> names;
  for (size_t i = ScansOf(primal).at(0)->body->outputs().size(); i < body.outputs().size(); ++i) {
    names.push_back(body.outputs()[i].name);
  }
  return names;
}

Expr Labelled(Expr a, std::string label) {
  a.graph()->SetLabel(a.id(), std::move(label));
  return a;
}

TEST(Tape, IsEmptyForALinearScan) {
  Graph graph = OneCarry([](Graph& body, Expr s, Expr x, Expr) { body.AddOutput("s'", s + x * 2.0); });
  EXPECT_EQ(TapeNames(graph), std::vector<std::string>{});
}

TEST(Tape, HoldsTheCarryBeforeTheStep) {
  Graph graph = OneCarry([](Graph& body, Expr s, Expr x, Expr) { body.AddOutput("s'", Labelled(s * x, "s'")); });
  EXPECT_EQ(TapeNames(graph), std::vector<std::string>{"s"});
}

TEST(Tape, LeavesOutCheapValuesOfStoredOnes) {
  Graph graph = OneCarry([](Graph& body, Expr s, Expr x, Expr) {
    Expr z = Labelled(Sigmoid(s), "z");
    body.AddOutput("s'", (1.0 - z) * Labelled(Tanh(x + s), "n") + z * s);
  });
  EXPECT_EQ(TapeNames(graph), (std::vector<std::string>{"s", "z", "n"}));
}

TEST(Tape, NamesAValueWithoutLabelAfterItsOperation) {
  Graph graph = OneCarry([](Graph& body, Expr s, Expr x, Expr) { body.AddOutput("s'", Tanh(Sigmoid(s) * x)); });
  EXPECT_EQ(TapeNames(graph), (std::vector<std::string>{"sigmoid_s", "tanh"}));
}

TEST(Tape, HoldsTheOperandOfABroadcast) {
  Graph graph = OneCarry([](Graph& body, Expr s, Expr x, Expr) {
    Expr scale = Labelled(ir::ReduceSum(s, {0}), "scale");
    body.AddOutput("s'", ir::BroadcastTo(scale, {3}, {}) * x);
  });
  EXPECT_EQ(TapeNames(graph), std::vector<std::string>{"scale"});
}

TEST(Tape, LeavesOutWhatInvariantsDetermine) {
  Graph graph = OneCarry([](Graph& body, Expr s, Expr, Expr w) { body.AddOutput("s'", s * Exp(w)); });
  EXPECT_EQ(TapeNames(graph), std::vector<std::string>{"s"});
}

TEST(Tape, UsesResultsThatAreStackedAlready) {
  Graph graph = OneCarry([](Graph& body, Expr s, Expr x, Expr) {
    Expr next = Tanh(s + x);
    body.AddOutput("s'", next);
    body.AddOutput("y", next);
  });
  EXPECT_EQ(TapeNames(graph), std::vector<std::string>{});
}

// Bodies at the edge of what a scan may be.
TEST(Vjp, OfACarryThatIsHandedThrough) {
  Graph graph = OneCarry([](Graph& body, Expr s, Expr x, Expr) {
    body.AddOutput("s'", s);
    body.AddOutput("y", s * x);
  });
  Random random(31);
  ExpectVjpIsFiniteDifference(graph, RealInputs(graph), {{"T", 3}}, random);
}

TEST(Vjp, OfACarryThatIsOverwritten) {
  Graph graph = OneCarry([](Graph& body, Expr, Expr x, Expr w) { body.AddOutput("s'", x * w); });
  Random random(32);
  ExpectVjpIsFiniteDifference(graph, RealInputs(graph), {{"T", 3}}, random);
}

TEST(Vjp, OfACarryThatBecomesAConstant) {
  Graph graph = OneCarry([](Graph& body, Expr s, Expr x, Expr) {
    body.AddOutput("s'", ir::Constant(body, {3}, 0.5));
    body.AddOutput("y", s * x);
  });
  Random random(33);
  ExpectVjpIsFiniteDifference(graph, RealInputs(graph), {{"T", 3}}, random);
}

TEST(Vjp, OfAnInputThatIsElementAndInvariantAndCarry) {
  auto body = std::make_shared<Graph>();
  Expr s = body->AddInput("s", ir::Role::kCarry, {3, 3});
  Expr x = body->AddInput("x", ir::Role::kElement, {3});
  Expr w = body->AddInput("w", ir::Role::kInvariant, {3, 3});
  body->AddOutput("s'", Tanh(ir::Contract(s, w, "ij,kj->ik") + ir::BroadcastTrailing(x, {3, 3})));
  Graph graph;
  Expr a = graph.AddInput("a", ir::Role::kData, {3, 3});
  Expr scan = ir::Scan(graph, {{a, a, a}}, {.body = body, .carries = 1, .sequences = 1, .time = 3});
  graph.AddOutput("y", ir::ScanResult(scan, 0));
  Random random(34);
  ExpectVjpIsFiniteDifference(graph, {"a"}, {}, random);
  ExpectVjpIsFiniteDifference(SquaredGradientNorm(graph, {"a"}), {"a"}, {}, random);
}

TEST(Vjp, OfTokensGatheredInTheBody) {
  auto body = std::make_shared<Graph>();
  Expr s = body->AddInput("s", ir::Role::kCarry, {ir::Dim("B"), 3});
  Expr token = body->AddIndexInput("token", ir::Role::kElement, {ir::Dim("B")}, 4);
  Expr table = body->AddInput("table", ir::Role::kInvariant, {4, 3});
  body->AddOutput("s'", Tanh(s * ir::Gather(table, token)));
  Graph graph;
  Expr s0 = graph.AddInput("s0", ir::Role::kState, {ir::Dim("B"), 3});
  Expr tokens = graph.AddIndexInput("tokens", ir::Role::kData, {ir::Dim("T"), ir::Dim("B")}, 4);
  Expr embedding = graph.AddInput("table", ir::Role::kParameter, {4, 3});
  Expr scan =
      ir::Scan(graph, {{s0, tokens, embedding}}, {.body = body, .carries = 1, .sequences = 1, .time = ir::Dim("T")});
  graph.AddOutput("y", ir::ScanResult(scan, 0));
  Random random(35);
  ExpectVjpIsFiniteDifference(graph, {"s0", "table"}, {{"T", 3}, {"B", 2}}, random);
}

// A scan over no step hands the initial value through, whatever its body does with a carry.
TEST(Vjp, OfAScanOverNoStepAtAll) {
  const Graph graphs[] = {
      OneCarry([](Graph& body, Expr s, Expr x, Expr w) { body.AddOutput("s'", Tanh(s * x + w)); }),
      OneCarry([](Graph& body, Expr, Expr x, Expr w) { body.AddOutput("s'", x * w); }),
      OneCarry([](Graph& body, Expr, Expr, Expr) { body.AddOutput("s'", ir::Constant(body, {3}, 0.5)); }),
  };
  for (const Graph& graph : graphs) {
    Graph vjp = Vjp(graph, {{"s0"}});
    Random random(36);
    std::vector<ir::Tensor> inputs = RandomInputs(vjp, {{"T", 0}}, random);
    EXPECT_EQ(ir::Interpret(vjp, {{"T", 0}}, inputs).back().values, inputs.back().values);
  }
}

TEST(Vjp, PassesAScanOverNoStepToTheScanBefore) {
  auto first = std::make_shared<Graph>(), second = std::make_shared<Graph>();
  first->AddOutput("s'", Tanh(first->AddInput("s", ir::Role::kCarry, {3})));
  second->AddInput("s", ir::Role::kCarry, {3});
  second->AddOutput("s'", ir::Constant(*second, {3}, 0.5));
  Graph graph;
  Expr s = graph.AddInput("s0", ir::Role::kState, {3});
  s = ir::ScanResult(ir::Scan(graph, {{s}}, {.body = first, .carries = 1, .time = 2}), 0);
  s = ir::ScanResult(ir::Scan(graph, {{s}}, {.body = second, .carries = 1, .time = ir::Dim("T")}), 0);
  graph.AddOutput("y", s);
  Random random(37);
  ExpectVjpIsFiniteDifference(graph, {"s0"}, {{"T", 0}}, random);
}

}  // namespace
}  // namespace recurve

// tests/driver/gradcheck_test.cpp: a check of gradients that finds wrong ones, and only those.

#include "compiler/gradcheck.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>

#include "compiler/roundoff.h"
#include "ir/builder.h"

namespace recurve {
namespace {

using ir::Dim;
using ir::Expr;
using ir::Graph;
using ir::Role;

// y = tanh(x W^T) summed over steps: a product, a function and a scan.
Graph SmallCell() {
  Graph body;
  body.name = "step";
  Expr h = body.AddInput("h", Role::kCarry, {Dim("B"), 3});
  Expr x = body.AddInput("x", Role::kElement, {Dim("B"), 2});
  Expr w = body.AddInput("W", Role::kInvariant, {3, 2});
  body.AddOutput("h", h * 0.5 + Tanh(Contract(x, w, "bi,oi->bo")));

  Graph graph;
  graph.name = "small";
  Expr xs = graph.AddInput("x", Role::kData, {Dim("T"), Dim("B"), 2});
  Expr weights = graph.AddInput("W", Role::kParameter, {3, 2}, {ir::Init::Kind::kUniform, -1, 1});
  Expr start = graph.AddInput("h0", Role::kState, {Dim("B"), 3});
  const Expr operands[] = {start, xs, weights};
  Expr scan = Scan(graph, operands, {std::make_shared<const Graph>(body), 1, 1, Dim("T"), false});
  graph.AddOutput("hT", ScanResult(scan, 0));
  return graph;
}

// One input and one output, elementwise.
template <typename Function>
Graph Elementwise(Function function) {
  Graph graph;
  graph.name = "elementwise";
  graph.AddOutput("y", function(graph.AddInput("x", Role::kData, {8})));
  return graph;
}

double Largest(const std::vector<double>& errors) { return *std::ranges::max_element(errors); }

TEST(Gradcheck, ArgumentsAreThoseThatCanHaveAGradient) {
  const Trial trial = MakeTrial(SmallCell(), {}, 1);
  EXPECT_EQ(trial.wrt, (std::vector<std::string>{"x", "W", "h0"}));
}

TEST(Gradcheck, TheSameSeedDrawsTheSameTrial) {
  const Trial a = MakeTrial(SmallCell(), {}, 7), b = MakeTrial(SmallCell(), {}, 7), c = MakeTrial(SmallCell(), {}, 8);
  EXPECT_EQ(a.arguments[0].values, b.arguments[0].values);
  EXPECT_NE(a.arguments[0].values, c.arguments[0].values);
}

TEST(Gradcheck, SizesAreTheCallers) {
  const Trial trial = MakeTrial(SmallCell(), {{"T", 7}}, 1);
  EXPECT_EQ(trial.arguments[0].shape, (std::vector<int64_t>{7, 2, 2}));
}

TEST(Gradcheck, RightGradientsAgree) {
  const Trial trial = MakeTrial(SmallCell(), {}, 1);
  EXPECT_LE(Largest(FiniteDifferenceErrors(trial, 64, 1)), kFiniteDifferenceTolerance);
  EXPECT_LE(Largest(UnrolledErrors(trial)), kUnrolledTolerance);
}

TEST(Gradcheck, FiniteDifferencesFindOneWrongElement) {
  Trial trial = MakeTrial(SmallCell(), {}, 1);
  trial.reference[2].values[3] *= 1.001;  // dL/dW
  const std::vector<double> errors = FiniteDifferenceErrors(trial, 64, 1);
  EXPECT_LE(errors[0], kFiniteDifferenceTolerance);
  EXPECT_GT(errors[1], kFiniteDifferenceTolerance);
}

TEST(Gradcheck, OneRandomDirectionFindsAWrongElementThatIsNotLookedAt) {
  Trial trial = MakeTrial(SmallCell(), {}, 1);
  trial.reference[2].values[3] *= 1.1;
  EXPECT_GT(FiniteDifferenceErrors(trial, /*elements=*/0, 1)[1], kFiniteDifferenceTolerance);
}

TEST(Gradcheck, TheUnrolledDerivativeFindsAWrongElement) {
  Trial trial = MakeTrial(SmallCell(), {}, 1);
  trial.reference[2].values[3] *= 1 + 1e-7;
  EXPECT_GT(UnrolledErrors(trial)[1], kUnrolledTolerance);
}

TEST(Gradcheck, AKinkNearAnArgumentIsNoError) {
  Trial trial = MakeTrial(Elementwise([](Expr x) { return Relu(x); }), {}, 1);
  trial.arguments[0].values[0] = 5e-4;  // within the first step, outside the others
  trial.reference = ir::Interpret(trial.joint, trial.sizes, trial.arguments);
  EXPECT_LE(Largest(FiniteDifferenceErrors(trial, 8, 1)), kFiniteDifferenceTolerance);
}

TEST(Gradcheck, AKinkAtAnArgumentIsNoError) {
  Trial trial = MakeTrial(Elementwise([](Expr x) { return Abs(x); }), {}, 1);
  trial.arguments[0].values[0] = 1e-7;
  trial.reference = ir::Interpret(trial.joint, trial.sizes, trial.arguments);
  EXPECT_LE(Largest(FiniteDifferenceErrors(trial, 8, 1)), kFiniteDifferenceTolerance);
}

TEST(Gradcheck, CurvatureDoesNotExcuseAWrongElement) {
  Trial trial = MakeTrial(Elementwise([](Expr x) { return Sin(x * 30.0); }), {}, 1);
  EXPECT_LE(Largest(FiniteDifferenceErrors(trial, 8, 1)), kFiniteDifferenceTolerance);
  trial.reference[1].values[2] += 0.01 * std::abs(trial.reference[1].values[2]) + 0.01;
  EXPECT_GT(Largest(FiniteDifferenceErrors(trial, 8, 1)), kFiniteDifferenceTolerance);
}

TEST(Gradcheck, AReportNamesWhatDisagrees) {
  GradcheckReport report;
  report.rows = {{.name = "y", .compiled = 1e-7, .tolerance = 1e-6, .passed = true},
                 {.name = "W_adj", .finite_differences = 1e-2, .unrolled = 0, .passed = false}};
  EXPECT_FALSE(report.passed());
  const std::string text = PrintReport(report);
  EXPECT_NE(text.find("FAILED"), std::string::npos);
  EXPECT_GT(text.find("FAILED"), text.find("W_adj"));
  EXPECT_NE(text.find("disagreement"), std::string::npos);
}

// The tolerance of a graph of one input and one output, in units of `unit`.
double ToleranceInUnits(const Graph& graph, const std::vector<double>& x, MathAccuracy math = MathAccuracy::kAccurate) {
  constexpr double kUnit = 1e-8;
  const ir::Tensor input{{static_cast<int64_t>(x.size())}, x};
  const auto reference = ir::Interpret(graph, {}, {&input, 1});
  return RoundoffTolerance(graph, {}, {&input, 1}, reference, kUnit, 8, math)[0] / kUnit;
}

const std::vector<double> kHalves(8, 0.5);

TEST(Roundoff, MovesAreExact) {
  EXPECT_LE(ToleranceInUnits(Elementwise([](Expr x) { return Slice(Neg(x), 0, 0, 8); }), kHalves), 0.5);
}

TEST(Roundoff, AFunctionIsOffByAFewRoundoffs) {
  const double units = ToleranceInUnits(Elementwise([](Expr x) { return Tanh(x); }), kHalves);
  EXPECT_GT(units, 1);
  EXPECT_LT(units, 8 * 4);
}

TEST(Roundoff, AFastFunctionIsAllowedMore) {
  const Graph tanh = Elementwise([](Expr x) { return Tanh(x); });
  EXPECT_NEAR(ToleranceInUnits(tanh, kHalves, MathAccuracy::kFast) / ToleranceInUnits(tanh, kHalves), 3, 1e-6);
  const Graph log = Elementwise([](Expr x) { return Log(x); });
  EXPECT_EQ(ToleranceInUnits(log, kHalves, MathAccuracy::kFast), ToleranceInUnits(log, kHalves));
}

TEST(Roundoff, CancellationIsSeen) {
  // (x + 1000) - 1000 keeps three digits fewer than x.
  const double units = ToleranceInUnits(Elementwise([](Expr x) { return (x + 1000.0) - 1000.0; }), kHalves);
  EXPECT_GT(units, 1000);
}

TEST(Roundoff, SumsGrowWithTheRootOfTheirTerms) {
  auto sum = [](int64_t terms) {
    Graph graph;
    graph.name = "sum";
    graph.AddOutput("y", ReduceSum(graph.AddInput("x", Role::kData, {terms}), {0}));
    return ToleranceInUnits(graph, std::vector<double>(terms, 1.0)) / static_cast<double>(terms);
  };
  EXPECT_GT(sum(400), 4 * sum(4));
  EXPECT_LT(sum(400), 25 * sum(4));
}

TEST(Roundoff, ThePerturbedGraphHasTheSameOutputs) {
  const Graph graph = SmallCell();
  const ir::Bindings sizes{{"T", 3}, {"B", 2}};
  const Graph moved = PerturbRoundoff(graph, sizes, 1e-8, 1);
  EXPECT_EQ(moved.outputs()[0].name, "hT");
  EXPECT_EQ(moved.type(moved.outputs()[0].node), graph.type(graph.outputs()[0].node));
}

}  // namespace
}  // namespace recurve

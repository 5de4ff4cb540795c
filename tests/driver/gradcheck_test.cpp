// tests/driver/gradcheck_test.cpp: a check of gradients that finds wrong ones, and only those.

#include "compiler/gradcheck.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>

#include "compiler/compile.h"
#include "compiler/derivative.h"
#include "compiler/roundoff.h"
#include "ir/builder.h"
#include "ir/verifier.h"

namespace recurve {
namespace {

using ir::Dim;
using ir::Expr;
using ir::Graph;
using ir::Role;

// h' = decay h + tanh(x W^T): a product, a function and a scan.
Graph SmallCell(double decay = 0.5) {
  Graph body;
  body.name = "step";
  Expr h = body.AddInput("h", Role::kCarry, {Dim("B"), 3});
  Expr x = body.AddInput("x", Role::kElement, {Dim("B"), 2});
  Expr w = body.AddInput("W", Role::kInvariant, {3, 2});
  body.AddOutput("h", h * decay + Tanh(Contract(x, w, "bi,oi->bo")));

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

// The largest magnitude in a tensor.
double Size(const ir::Tensor& tensor) {
  double size = 0;
  for (double value : tensor.values) size = std::max(size, std::abs(value));
  return size;
}

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

// The mean of softmax(x): 1 / 8 whatever x is, so that its gradient is zero and what is computed is noise.
Graph MeanOfSoftmax() {
  Graph graph;
  graph.name = "mean_of_softmax";
  Expr e = Exp(graph.AddInput("x", Role::kData, {8}));
  graph.AddOutput("y", ReduceSum(e / BroadcastTo(ReduceSum(e, {0}), {8}, {}), {0}) / 8.0);
  return graph;
}

TEST(Gradcheck, AGradientThatCancelsIsComparedWithItsNoise) {
  Trial trial = MakeTrial(MeanOfSoftmax(), {}, 1);
  ASSERT_LE(Size(trial.reference[1]), 1e-15);
  trial.reference[1].values[3] += 1e-17;
  EXPECT_LE(UnrolledErrors(trial)[0], kUnrolledTolerance);
  trial.reference[1].values[3] += 1e-12;
  EXPECT_GT(UnrolledErrors(trial)[0], kUnrolledTolerance);
}

TEST(Gradcheck, AMillionthInTheProgramIsFoundInEveryGradient) {
  const Trial trial = MakeTrial(SmallCell(), {}, 1);
  auto errors_of = [&](double decay) {
    auto program = CompileToMemory(SmallCell(decay), {.precision = Precision::kF64});
    EXPECT_TRUE(program) << program.error().message;
    return ErrorsOf(*program, trial);
  };
  auto right = errors_of(0.5), wrong = errors_of(0.5 * (1 + 1e-6));
  ASSERT_TRUE(right && wrong);
  for (size_t k = 0; k < trial.reference.size(); ++k) {
    EXPECT_LE(right->errors[k], right->tolerances[k]) << trial.joint.outputs()[k].name;
    EXPECT_GT(wrong->errors[k], 1e5 * wrong->tolerances[k]) << trial.joint.outputs()[k].name;
  }
}

TEST(Gradcheck, AMillionthOfAGradientIsFoundByTheUnrolledDerivative) {
  for (size_t k = 1; k < 4; ++k) {
    Trial trial = MakeTrial(SmallCell(), {}, 1);
    trial.reference[k].values[1] += 1e-6 * Size(trial.reference[k]);
    EXPECT_GT(UnrolledErrors(trial)[k - 1], kUnrolledTolerance) << trial.wrt[k - 1];
  }
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
  // Up to what a unit of 1e-8 leaves in the second order.
  EXPECT_NEAR(ToleranceInUnits(tanh, kHalves, MathAccuracy::kFast) / ToleranceInUnits(tanh, kHalves), 3, 1e-7);
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

TEST(Roundoff, ErrorsThatCancelOnlyBySymmetryAreSeen) {
  // Equal elements move alike, and what moves alike does not survive taking the mean away once more.
  auto centre = [](Expr x) { return x - BroadcastTo(ReduceSum(x, {0}) / 8.0, {8}, {}); };
  EXPECT_GT(ToleranceInUnits(Elementwise([&](Expr x) { return centre(centre(x)); }), kHalves), 1);
}

TEST(Roundoff, AddedErrorsAreThoseOfEachOutput) {
  const Graph joint = Vjp(SmallCell(), std::vector<std::string>{"x", "W", "h0"});
  const Graph added = PropagateRoundoff(joint, {{"T", 3}, {"B", 2}}, 0x1p-24);
  EXPECT_EQ(ir::Verify(added), "");
  ASSERT_EQ(added.outputs().size(), 2 * joint.outputs().size());
  for (size_t k = 0; k < joint.outputs().size(); ++k) {
    const ir::Output& error = added.outputs()[joint.outputs().size() + k];
    EXPECT_EQ(error.name, joint.outputs()[k].name + "_error");
    EXPECT_EQ(added.type(error.node), joint.type(joint.outputs()[k].node));
  }
}

TEST(Roundoff, AddedErrorsOfASumAreTheRootOfSquares) {
  // Two products of one roundoff each, then the sum of both: sqrt(1 + 1 + 2 * 2) roundoffs of a quarter.
  const Graph graph = PropagateRoundoff(Elementwise([](Expr x) { return x * x + x * x; }), {}, 0x1p-24);
  const ir::Tensor input{{8}, kHalves};
  EXPECT_NEAR(ir::Interpret(graph, {}, {&input, 1})[1].values[0], 0.25 * std::sqrt(6), 1e-12);
}

TEST(Roundoff, AddedErrorsGrowThroughTime) {
  // h' = 2 h + x from exact numbers: each step doubles the error so far and rounds twice.
  Graph body;
  body.name = "step";
  Expr h = body.AddInput("h", Role::kCarry, {});
  body.AddOutput("h", h * 2.0 + body.AddInput("x", Role::kElement, {}));
  Graph graph;
  graph.name = "doubling";
  Expr xs = graph.AddInput("x", Role::kData, {Dim("T")});
  const Expr operands[] = {graph.AddInput("h0", Role::kState, {}), xs};
  graph.AddOutput("hT", ScanResult(Scan(graph, operands, {std::make_shared<const Graph>(body), 1, 1, Dim("T")}), 0));
  const ir::Bindings sizes{{"T", 2}};
  const std::vector<ir::Tensor> inputs{{{2}, {0, 0}}, {{}, {1}}};
  // Step 1: 2 for the product, 2 for the sum. Step 2: twice that, 4 and 4.
  EXPECT_NEAR(ir::Interpret(PropagateRoundoff(graph, sizes, 0x1p-24), sizes, inputs)[1].values[0],
              std::sqrt(4 * 8 + 32), 1e-12);
}

TEST(Roundoff, WhatErrorsDecideMayJump) {
  // Each is exact in double; computed another way, x / 3 * 3 might be the next number to x.
  auto third = [](Expr x) { return x / 3.0 * 3.0; };
  const std::function<Expr(Expr)> tied[] = {
      [&](Expr x) { return Equal(third(x), x); },
      [&](Expr x) { return Select(Less(third(x), x), x, x + 7.0); },
      [&](Expr x) { return Sign(third(x) - x); },
      [&](Expr x) { return Floor(third(x) * 2.0); },
  };
  for (const auto& f : tied) EXPECT_GT(ToleranceInUnits(Elementwise(f), kHalves), 0x1p23);
  const std::function<Expr(Expr)> decided[] = {
      [&](Expr x) { return Equal(third(x), third(x) + 0.01); },
      [&](Expr x) { return Equal(x, x); },
      [&](Expr x) { return Sign(third(x)); },
      [&](Expr x) { return Floor(third(x) * 0.5 + 0.1); },
  };
  for (const auto& f : decided) EXPECT_LE(ToleranceInUnits(Elementwise(f), kHalves), 2);
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

// tests/derivative/elementwise_test.cpp: every row of ir/ops.def tests its own gradient columns.
//
// Points are drawn from (-2, 2). A point counts where two step sizes agree on the difference quotient: that leaves out
// kinks and places outside a function's domain without a list of them, and does not look at the gradient column.

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <string>

#include "compiler/derivative.h"
#include "compiler/derivative_rules.h"
#include "ir/builder.h"
#include "ir/interpreter.h"
#include "ir/verifier.h"

namespace recurve {
namespace {

using ir::Expr;
using ir::Graph;
using ir::Op;
using ir::Tensor;

constexpr int kPoints = 200;
constexpr const char* kNames[] = {"a", "b", "c"};

struct Row {
  Op op;
  std::string name;
};

std::vector<Row> ElementwiseRows() {
  return {
#define UNARY(Kind, ...) {Op::k##Kind, #Kind},
#define BINARY(Kind, ...) {Op::k##Kind, #Kind},
#define TERNARY(Kind, ...) {Op::k##Kind, #Kind},
#include "ir/ops.def"
  };
}

class ElementwiseGradient : public testing::TestWithParam<Row> {
 protected:
  double Value(const std::vector<Tensor>& points, int64_t i, int operand, double step) const {
    double x[3] = {0, 0, 0};
    for (size_t k = 0; k < points.size(); ++k) x[k] = points[k].values[i];
    x[operand] += step;
    return ir::EvaluateElementwise(GetParam().op, x[0], x[1], x[2]);
  }
  double Quotient(const std::vector<Tensor>& points, int64_t i, int operand, double step) const {
    return (Value(points, i, operand, step) - Value(points, i, operand, -step)) / (2 * step);
  }
};

TEST_P(ElementwiseGradient, IsFiniteDifference) {
  Op op = GetParam().op;
  int arity = ir::ElementwiseArity(op);
  Graph graph;
  std::vector<Expr> args;
  std::vector<std::string> wrt;
  for (int k = 0; k < arity; ++k) {
    args.push_back(graph.AddInput(kNames[k], ir::Role::kData, {kPoints}));
    wrt.push_back(kNames[k]);
  }
  graph.AddOutput("y", ir::Elementwise(op, args));
  Graph vjp = Vjp(graph, wrt);
  ASSERT_EQ(ir::Verify(vjp), "");

  std::mt19937_64 random(7);
  std::uniform_real_distribution<double> uniform(-2, 2);
  std::vector<Tensor> inputs(arity + 1, Tensor::Filled({kPoints}, 0));
  for (Tensor& input : inputs) {
    for (double& value : input.values) value = uniform(random);
  }
  std::vector<Tensor> results = ir::Interpret(vjp, {}, inputs);
  std::vector<Tensor> points(inputs.begin(), inputs.end() - 1);

  for (int operand = 0; operand < arity; ++operand) {
    int counted = 0;
    for (int64_t i = 0; i < kPoints; ++i) {
      double coarse = Quotient(points, i, operand, 1e-3), fine = Quotient(points, i, operand, 1e-5);
      if (!(std::abs(coarse - fine) < 1e-3 * (1 + std::abs(fine)))) continue;
      ++counted;
      // Through stop_gradient the value varies and no gradient is meant to flow.
      double expected = op == Op::kStopGradient ? 0 : fine * inputs.back().values[i];
      EXPECT_NEAR(results[1 + operand].values[i], expected, 1e-7 * (1 + std::abs(expected)))
          << kNames[operand] << " at point " << i;
    }
    EXPECT_GT(counted, kPoints / 4) << "too few points tell anything";
  }
}

INSTANTIATE_TEST_SUITE_P(Rows, ElementwiseGradient, testing::ValuesIn(ElementwiseRows()),
                         [](const testing::TestParamInfo<Row>& info) { return info.param.name; });

TEST(GradientFlows, IsWhatTheColumnSays) {
  EXPECT_TRUE(GradientFlows(Op::kTanh, 0));
  EXPECT_FALSE(GradientFlows(Op::kFloor, 0));
  EXPECT_FALSE(GradientFlows(Op::kSelect, 0));
  EXPECT_TRUE(GradientFlows(Op::kSelect, 1));
  EXPECT_TRUE(GradientFlows(Op::kSelect, 2));
  EXPECT_FALSE(GradientFlows(Op::kGather, 1));
}

}  // namespace
}  // namespace recurve

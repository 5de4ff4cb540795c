// tests/ir/elementwise_test.cpp: the elementwise rows of ops.def in double.
//
// Every row is run through a graph, without being named here. The rows that <cmath> knows are compared with it in long
// double, at points that include zeros of both signs, the ends of the range, infinities and NaN.

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <map>
#include <string>
#include <vector>

#include "ir/builder.h"
#include "ir/interpreter.h"
#include "tests/ir/ir_testing.h"

namespace recurve::ir {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

const std::vector<double> kPoints = {-kInfinity, -745, -40, -3.5, -1,  -0.5, -1e-10, -0.0, 0.0,       1e-10,
                                     0.25,       0.5,  1,   2,    3.7, 20,   40,     710,  kInfinity, kNaN};

std::vector<Op> ElementwiseOps() {
  return {
#define UNARY(Kind, ...) Op::k##Kind,
#define BINARY(Kind, ...) Op::k##Kind,
#define TERNARY(Kind, ...) Op::k##Kind,
#include "ir/ops.def"
  };
}

using Real = long double;

Real SoftplusOf(Real a) { return a > 0 ? a + std::log1p(std::exp(-a)) : std::log1p(std::exp(a)); }

// What a row means, written once more from the mathematics. Unused operands are 0.
const std::map<std::string_view, std::function<Real(Real, Real, Real)>> kReferences = {
    {"neg", [](Real a, Real, Real) { return -a; }},
    {"abs", [](Real a, Real, Real) { return std::fabs(a); }},
    {"sign", [](Real a, Real, Real) { return std::isnan(a) || a == 0 ? a : std::copysign(Real(1), a); }},
    {"floor", [](Real a, Real, Real) { return std::floor(a); }},
    {"relu", [](Real a, Real, Real) { return std::isnan(a) ? a : std::fmax(a, Real(0)); }},
    {"sqrt", [](Real a, Real, Real) { return std::sqrt(a); }},
    {"rsqrt", [](Real a, Real, Real) { return 1 / std::sqrt(a); }},
    {"exp", [](Real a, Real, Real) { return std::exp(a); }},
    {"expm1", [](Real a, Real, Real) { return std::expm1(a); }},
    {"log", [](Real a, Real, Real) { return std::log(a); }},
    {"log1p", [](Real a, Real, Real) { return std::log1p(a); }},
    {"tanh", [](Real a, Real, Real) { return std::tanh(a); }},
    {"sigmoid", [](Real a, Real, Real) { return 1 / (1 + std::exp(-a)); }},
    {"logsigmoid", [](Real a, Real, Real) { return -SoftplusOf(-a); }},
    {"softplus", [](Real a, Real, Real) { return SoftplusOf(a); }},
    {"sin", [](Real a, Real, Real) { return std::sin(a); }},
    {"cos", [](Real a, Real, Real) { return std::cos(a); }},
    {"erf", [](Real a, Real, Real) { return std::erf(a); }},
    {"stop_gradient", [](Real a, Real, Real) { return a; }},
    {"add", [](Real a, Real b, Real) { return a + b; }},
    {"sub", [](Real a, Real b, Real) { return a - b; }},
    {"mul", [](Real a, Real b, Real) { return a * b; }},
    {"div", [](Real a, Real b, Real) { return a / b; }},
    {"min", [](Real a, Real b, Real) { return std::isnan(a) || std::isnan(b) ? kNaN : std::fmin(a, b); }},
    {"max", [](Real a, Real b, Real) { return std::isnan(a) || std::isnan(b) ? kNaN : std::fmax(a, b); }},
    {"pow", [](Real a, Real b, Real) { return std::pow(a, b); }},
    {"less", [](Real a, Real b, Real) { return std::isless(a, b) ? 1.0 : 0.0; }},
    {"less_equal", [](Real a, Real b, Real) { return std::islessequal(a, b) ? 1.0 : 0.0; }},
    {"equal", [](Real a, Real b, Real) { return std::islessequal(a, b) && std::isgreaterequal(a, b) ? 1.0 : 0.0; }},
    {"training", [](Real a, Real, Real) { return a; }},
    {"select", [](Real a, Real b, Real c) { return a == 0 ? c : b; }},
};

// A row composes at most three functions of <cmath>, each within one unit in the last place.
constexpr int kUlps = 4;

bool Agree(double value, double reference) {
  if (std::isnan(reference) || std::isinf(reference))
    return std::isnan(reference) == std::isnan(value) && (std::isnan(value) || value == reference);
  double unit = std::nextafter(std::fabs(reference), kInfinity) - std::fabs(reference);
  return std::fabs(value - reference) <= kUlps * unit;
}

// Calls body(a, b, c) for every combination of points of an operation's operands.
void ForEachPoint(Op op, const std::function<void(double, double, double)>& body) {
  const std::vector<double> unused = {0};
  for (double a : kPoints) {
    for (double b : ElementwiseArity(op) > 1 ? kPoints : unused) {
      for (double c : ElementwiseArity(op) > 2 ? kPoints : unused) body(a, b, c);
    }
  }
}

class ElementwiseRow : public testing::TestWithParam<Op> {};

TEST_P(ElementwiseRow, IsEvaluatedAtEveryElement) {
  Op op = GetParam();
  std::vector<Tensor> inputs(ElementwiseArity(op));
  std::vector<double> expected;
  ForEachPoint(op, [&](double a, double b, double c) {
    double operands[] = {a, b, c};
    for (size_t i = 0; i < inputs.size(); ++i) inputs[i].values.push_back(operands[i]);
    expected.push_back(EvaluateElementwise(op, a, b, c));
  });
  Graph graph;
  std::vector<Expr> args;
  for (size_t i = 0; i < inputs.size(); ++i) {
    inputs[i].shape = {inputs[i].size()};
    args.push_back(graph.AddInput(fmt::format("x{}", i), Role::kData, {Dim("N")}));
  }
  graph.AddOutput("y", Elementwise(op, args));
  Tensor y = Interpret(graph, {{"N", inputs[0].size()}}, inputs)[0];
  ASSERT_EQ(y.values.size(), expected.size());
  for (size_t i = 0; i < expected.size(); ++i) {
    EXPECT_TRUE(y.values[i] == expected[i] || (std::isnan(y.values[i]) && std::isnan(expected[i]))) << i;
  }
}

TEST_P(ElementwiseRow, AgreesWithTheMathematics) {
  Op op = GetParam();
  auto reference = kReferences.find(Name(op));
  if (reference == kReferences.end()) return;  // a new row need not be in <cmath>
  ForEachPoint(op, [&](double a, double b, double c) {
    double value = EvaluateElementwise(op, a, b, c);
    double expected = static_cast<double>(reference->second(a, b, c));
    EXPECT_TRUE(Agree(value, expected)) << fmt::format("{}({}, {}, {}) = {}, not {}", Name(op), a, b, c, value,
                                                       expected);
  });
}

INSTANTIATE_TEST_SUITE_P(Rows, ElementwiseRow, testing::ValuesIn(ElementwiseOps()),
                         [](const auto& row) { return std::string(Name(row.param)); });

TEST(Elementwise, EveryReferenceIsOfARow) {
  for (const auto& [name, reference] : kReferences) {
    bool known = false;
    for (Op op : ElementwiseOps()) known |= Name(op) == name;
    EXPECT_TRUE(known) << name;
  }
}

// The signs of zeros are what minimum and maximum of IEEE 754-2019 say.
TEST(Elementwise, MinimumPrefersTheNegativeZero) {
  EXPECT_TRUE(std::signbit(EvaluateElementwise(Op::kMin, 0.0, -0.0)));
  EXPECT_TRUE(std::signbit(EvaluateElementwise(Op::kMin, -0.0, 0.0)));
  EXPECT_FALSE(std::signbit(EvaluateElementwise(Op::kMax, 0.0, -0.0)));
  EXPECT_FALSE(std::signbit(EvaluateElementwise(Op::kMax, -0.0, 0.0)));
}

TEST(Elementwise, StructuralOperationsAreNotEvaluatedByElement) {
  EXPECT_DEATH(EvaluateElementwise(Op::kConcat, 1), "not elementwise");
}

}  // namespace
}  // namespace recurve::ir

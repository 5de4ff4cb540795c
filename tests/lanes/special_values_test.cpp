// tests/lanes/special_values_test.cpp: zeros, infinities, NaN, limits and symmetries, to the bit.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>

#include "tests/lanes/lane_kernel.h"

namespace recurve {
namespace {

using Function = Lane (*)(Lane);

constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

template <typename T>
bool SameBits(T a, T b) {
  return (std::isnan(a) && std::isnan(b)) || (a == b && std::signbit(a) == std::signbit(b));
}

// The rows hold for both precisions; the largest and the least numbers are those of the precision.
constexpr double kLargest = 1e301, kLeastNormal = 1e-301, kLeast = 1e-302;

template <typename T>
T InPrecision(double value) {
  using Limits = std::numeric_limits<T>;
  double magnitude = std::abs(value);
  T result = magnitude == kLargest       ? Limits::max()
             : magnitude == kLeastNormal ? Limits::min()
             : magnitude == kLeast       ? Limits::denorm_min()
                                         : T(magnitude);
  return std::copysign(result, T(value));
}

struct Row {
  const char* name;
  Function function;
  double argument, result;
};

const Row kRows[] = {
    {"exp", lane_math::exp, 0.0, 1.0},
    {"exp", lane_math::exp, -0.0, 1.0},
    {"exp", lane_math::exp, kInf, kInf},
    {"exp", lane_math::exp, -kInf, 0.0},
    {"exp", lane_math::exp, kLargest, kInf},
    {"exp", lane_math::exp, -kLargest, 0.0},
    {"exp", lane_math::exp, kLeast, 1.0},
    {"exp", lane_math::exp, kNan, kNan},
    {"expm1", lane_math::expm1, 0.0, 0.0},
    {"expm1", lane_math::expm1, -0.0, -0.0},
    {"expm1", lane_math::expm1, kLeast, kLeast},
    {"expm1", lane_math::expm1, -kLeastNormal, -kLeastNormal},
    {"expm1", lane_math::expm1, kInf, kInf},
    {"expm1", lane_math::expm1, kLargest, kInf},
    {"expm1", lane_math::expm1, -kInf, -1.0},
    {"expm1", lane_math::expm1, -kLargest, -1.0},
    {"expm1", lane_math::expm1, kNan, kNan},
    {"log", lane_math::log, 1.0, 0.0},
    {"log", lane_math::log, 0.0, -kInf},
    {"log", lane_math::log, -0.0, -kInf},
    {"log", lane_math::log, kInf, kInf},
    {"log", lane_math::log, -1.0, kNan},
    {"log", lane_math::log, -kLeast, kNan},
    {"log", lane_math::log, -kInf, kNan},
    {"log", lane_math::log, kNan, kNan},
    {"log1p", lane_math::log1p, 0.0, 0.0},
    {"log1p", lane_math::log1p, -0.0, -0.0},
    {"log1p", lane_math::log1p, kLeast, kLeast},
    {"log1p", lane_math::log1p, -kLeastNormal, -kLeastNormal},
    {"log1p", lane_math::log1p, -1.0, -kInf},
    {"log1p", lane_math::log1p, -1.5, kNan},
    {"log1p", lane_math::log1p, kInf, kInf},
    {"log1p", lane_math::log1p, -kInf, kNan},
    {"log1p", lane_math::log1p, kNan, kNan},
    {"sqrt", lane_math::sqrt, 4.0, 2.0},
    {"sqrt", lane_math::sqrt, -0.0, -0.0},
    {"sqrt", lane_math::sqrt, -1.0, kNan},
    {"sqrt", lane_math::sqrt, kInf, kInf},
    {"tanh", lane_math::tanh, 0.0, 0.0},
    {"tanh", lane_math::tanh, -0.0, -0.0},
    {"tanh", lane_math::tanh, kLeast, kLeast},
    {"tanh", lane_math::tanh, -kLeast, -kLeast},
    {"tanh", lane_math::tanh, kLeastNormal, kLeastNormal},
    {"tanh", lane_math::tanh, 20.0, 1.0},
    {"tanh", lane_math::tanh, -20.0, -1.0},
    {"tanh", lane_math::tanh, kLargest, 1.0},
    {"tanh", lane_math::tanh, kInf, 1.0},
    {"tanh", lane_math::tanh, -kInf, -1.0},
    {"tanh", lane_math::tanh, kNan, kNan},
    {"sigmoid", lane_math::sigmoid, 0.0, 0.5},
    {"sigmoid", lane_math::sigmoid, -0.0, 0.5},
    {"sigmoid", lane_math::sigmoid, kLeast, 0.5},
    {"sigmoid", lane_math::sigmoid, 40.0, 1.0},
    {"sigmoid", lane_math::sigmoid, kInf, 1.0},
    {"sigmoid", lane_math::sigmoid, kLargest, 1.0},
    {"sigmoid", lane_math::sigmoid, -kInf, 0.0},
    {"sigmoid", lane_math::sigmoid, -kLargest, 0.0},
    {"sigmoid", lane_math::sigmoid, kNan, kNan},
    {"sin", lane_math::sin, 0.0, 0.0},
    {"sin", lane_math::sin, -0.0, -0.0},
    {"sin", lane_math::sin, kLeast, kLeast},
    {"sin", lane_math::sin, kInf, kNan},
    {"sin", lane_math::sin, -kInf, kNan},
    {"sin", lane_math::sin, kNan, kNan},
    {"cos", lane_math::cos, 0.0, 1.0},
    {"cos", lane_math::cos, -kLeast, 1.0},
    {"cos", lane_math::cos, kInf, kNan},
    {"cos", lane_math::cos, -kInf, kNan},
    {"cos", lane_math::cos, kNan, kNan},
    {"erf", lane_math::erf, 0.0, 0.0},
    {"erf", lane_math::erf, -0.0, -0.0},
    {"erf", lane_math::erf, 6.0, 1.0},
    {"erf", lane_math::erf, -kInf, -1.0},
    {"erf", lane_math::erf, kLargest, 1.0},
    {"erf", lane_math::erf, kNan, kNan},
    {"floor", lane_math::floor, -0.0, -0.0},
    {"floor", lane_math::floor, 0.75, 0.0},
    {"floor", lane_math::floor, 2.5, 2.0},
    {"floor", lane_math::floor, -2.5, -3.0},
    {"floor", lane_math::floor, -kLeast, -1.0},
    {"floor", lane_math::floor, 8388607.5, 8388607.0},
    {"floor", lane_math::floor, -8388608.0, -8388608.0},
    {"floor", lane_math::floor, kLargest, kLargest},
    {"floor", lane_math::floor, -kInf, -kInf},
    {"floor", lane_math::floor, kNan, kNan},
    {"sign", lane_math::sign, -0.0, -0.0},
    {"sign", lane_math::sign, kLeast, 1.0},
    {"sign", lane_math::sign, -kInf, -1.0},
    {"sign", lane_math::sign, kNan, kNan},
    {"abs", lane_math::abs, -0.0, 0.0},
    {"abs", lane_math::abs, -kInf, kInf},
};

template <typename T>
void ExpectRowsOfOneFunction(Function function, LaneShape shape) {
  LaneKernel<T> kernel(shape, [&](LaneBuilder&, Lane a, Lane, Lane) { return function(a); });
  std::vector<const Row*> rows;
  std::vector<T> arguments;
  for (const Row& row : kRows) {
    if (row.function != function) continue;
    rows.push_back(&row);
    arguments.push_back(InPrecision<T>(row.argument));
  }
  std::vector<T> results = kernel(arguments);
  for (size_t i = 0; i < rows.size(); ++i) {
    EXPECT_TRUE(SameBits(results[i], InPrecision<T>(rows[i]->result)))
        << fmt::format("{}({}) is {} and should be {}; width {}, fused {}", rows[i]->name, arguments[i], results[i],
                       InPrecision<T>(rows[i]->result), shape.width, shape.fused_multiply_add);
  }
}

TEST(SpecialValues, AreExactInEveryWidthAndPrecision) {
  Function done = nullptr;  // rows of a function stand together
  for (const Row& row : kRows) {
    if (row.function == done) continue;
    done = row.function;
    for (int width : {1, 4, 5, 8}) {
      for (bool fused : {true, false}) {
        ExpectRowsOfOneFunction<float>(done, {.width = width, .fused_multiply_add = fused});
        ExpectRowsOfOneFunction<double>(done, {.width = width, .fused_multiply_add = fused});
        ExpectRowsOfOneFunction<float>(done,
                                       {.width = width, .fused_multiply_add = fused, .math = MathAccuracy::kFast});
      }
    }
  }
}

// Arguments of every binade, positive.
template <typename T>
std::vector<T> Binades() {
  std::vector<T> all;
  using Limits = std::numeric_limits<T>;
  for (int exponent = Limits::min_exponent - Limits::digits; exponent < Limits::max_exponent; ++exponent) {
    for (double fraction : {1.0, 1.2345678901234, 1.5, 1.987654321}) all.push_back(std::ldexp(T(fraction), exponent));
  }
  return all;
}

template <typename T>
void ExpectSymmetry(Function function, T sign, MathAccuracy math = MathAccuracy::kAccurate) {
  LaneKernel<T> kernel({.width = 4, .math = math}, [&](LaneBuilder&, Lane a, Lane, Lane) { return function(a); });
  std::vector<T> positive = Binades<T>(), negative;
  for (T a : positive) negative.push_back(-a);
  std::vector<T> above = kernel(positive), below = kernel(negative);
  for (size_t i = 0; i < positive.size(); ++i) EXPECT_TRUE(SameBits(below[i], sign * above[i])) << positive[i];
}

TEST(Symmetry, TanhErfAndSinAreOddToTheBit) {
  for (Function odd : {lane_math::tanh, lane_math::erf, lane_math::sin}) {
    ExpectSymmetry<float>(odd, -1);
    ExpectSymmetry<double>(odd, -1);
  }
  ExpectSymmetry<float>(lane_math::tanh, -1, MathAccuracy::kFast);
}

TEST(Symmetry, CosIsEvenToTheBit) {
  ExpectSymmetry<float>(lane_math::cos, 1);
  ExpectSymmetry<double>(lane_math::cos, 1);
}

template <typename T>
void ExpectBounded(Function function, T lowest, T highest, MathAccuracy math = MathAccuracy::kAccurate) {
  for (bool fused : {true, false}) {
    LaneKernel<T> kernel({.width = 4, .fused_multiply_add = fused, .math = math},
                         [&](LaneBuilder&, Lane a, Lane, Lane) { return function(a); });
    std::vector<T> arguments = Binades<T>();
    for (int i = -4000; i <= 4000; ++i) arguments.push_back(T(i) / 200);
    for (size_t i = 0, count = arguments.size(); i < count; ++i) arguments.push_back(-arguments[i]);
    std::vector<T> results = kernel(arguments);
    for (size_t i = 0; i < arguments.size(); ++i) {
      EXPECT_TRUE(results[i] >= lowest && results[i] <= highest) << results[i] << " at " << arguments[i];
    }
  }
}

TEST(Bounds, TanhErfSinAndCosStayWithinOne) {
  for (Function function : {lane_math::tanh, lane_math::erf, lane_math::sin, lane_math::cos}) {
    ExpectBounded<float>(function, -1, 1);
    ExpectBounded<double>(function, -1, 1);
  }
}

TEST(Bounds, SigmoidStaysBetweenZeroAndOne) {
  ExpectBounded<float>(lane_math::sigmoid, 0, 1);
  ExpectBounded<double>(lane_math::sigmoid, 0, 1);
}

TEST(Bounds, HoldForFastFunctions) {
  ExpectBounded<float>(lane_math::tanh, -1, 1, MathAccuracy::kFast);
  ExpectBounded<float>(lane_math::sigmoid, 0, 1, MathAccuracy::kFast);
}

// Every float from where the fast one's clamp sets in, and from where the accurate one's result rounds to 1.
TEST(Saturation, OfTanhIsExactlyOne) {
  for (bool fused : {true, false}) {
    for (auto [math, from] :
         {std::pair{MathAccuracy::kFast, fused ? 8.52F : 9.25F}, {MathAccuracy::kAccurate, 9.25F}}) {
      LaneKernel<float> tanh({.width = 8, .fused_multiply_add = fused, .math = math},
                             [](LaneBuilder&, Lane a, Lane, Lane) { return lane_math::tanh(a); });
      std::vector<float> arguments;
      for (float a = from; a < 10.0F; a = std::nextafter(a, 11.0F)) arguments.push_back(a);
      for (float y : tanh(arguments)) ASSERT_EQ(y, 1.0F);
      for (float& a : arguments) a = -a;
      for (float y : tanh(arguments)) ASSERT_EQ(y, -1.0F);
    }
  }
}

struct BoundRow {
  double a, b, smaller, larger;
};

TEST(MinAndMax, PropagateNanFromEitherSide) {
  const BoundRow rows[] = {{1, 2, 1, 2},          {2, 1, 1, 2},         {kNan, 1, kNan, kNan},
                           {1, kNan, kNan, kNan}, {-kInf, 3, -kInf, 3}, {kNan, kNan, kNan, kNan},
                           {-1, -2, -2, -1}};
  LaneKernel<float> min({.width = 8}, [](LaneBuilder&, Lane a, Lane b, Lane) { return lane_math::min(a, b); });
  LaneKernel<float> max({.width = 8}, [](LaneBuilder&, Lane a, Lane b, Lane) { return lane_math::max(a, b); });
  for (const BoundRow& row : rows) {
    EXPECT_TRUE(SameBits(min({float(row.a)}, {float(row.b)})[0], float(row.smaller))) << row.a << ' ' << row.b;
    EXPECT_TRUE(SameBits(max({float(row.a)}, {float(row.b)})[0], float(row.larger))) << row.a << ' ' << row.b;
  }
}

TEST(MinAndMax, AgainstAConstantPropagateNan) {
  for (double bound : {0.0, 3.0, -2.0}) {
    LaneKernel<float> min({.width = 8}, [&](LaneBuilder&, Lane a, Lane, Lane) { return lane_math::min(a, bound); });
    LaneKernel<float> max({.width = 8}, [&](LaneBuilder&, Lane a, Lane, Lane) { return lane_math::max(a, bound); });
    for (float a : {-5.f, -1.f, 1.f, 5.f, float(kInf), -float(kInf)}) {
      EXPECT_EQ(min({a})[0], std::min(a, float(bound)));
      EXPECT_EQ(max({a})[0], std::max(a, float(bound)));
    }
    EXPECT_TRUE(std::isnan(min({float(kNan)})[0]));
    EXPECT_TRUE(std::isnan(max({float(kNan)})[0]));
  }
}

TEST(Pow, SpecialValuesFollowC) {
  const double interesting[] = {0.0, -0.0, 1, -1, 0.5, -0.5, 2, -2, 3, -3, 2.5, -2.5, 1e30, -1e30, kInf, -kInf, kNan};
  for (bool fused : {true, false}) {
    LaneKernel<float> pow({.width = 8, .fused_multiply_add = fused},
                          [](LaneBuilder&, Lane a, Lane b, Lane) { return lane_math::pow(a, b); });
    for (double a : interesting) {
      for (double b : interesting) {
        auto exact = static_cast<float>(std::pow(double(float(a)), double(float(b))));
        float result = pow({float(a)}, {float(b)})[0];
        EXPECT_TRUE(SameBits(result, exact) || std::abs(result - exact) <= 1e-6F * std::abs(exact))
            << a << " to the power " << b << " is " << result << " and should be " << exact;
      }
    }
  }
}

}  // namespace
}  // namespace recurve

// tests/lanes/accuracy_test.cpp: the errors that compiler/lane_math.h promises.
//
// A row is a function and the largest errors allowed, those of the header. f32 is measured on every 997th bit pattern
// of the range against the host's library in double, f64 on random numbers against long double. RECURVE_EXHAUSTIVE=1 in
// the environment measures f32 on every pattern and f64 on a hundred times as many numbers, and prints what it finds
// (an hour).

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <random>

#include "tests/lanes/lane_kernel.h"
#include "tests/lanes/seed.h"
#include "tests/lanes/ulp.h"

namespace recurve {
namespace {

constexpr bool kFused = true, kUnfused = false;

template <typename R>
R Sigmoid(R a) {
  R e = std::exp(-std::abs(a));
  return (a >= 0 ? R(1) : e) / (R(1) + e);
}

struct Limits {
  double fused, unfused;
};

struct Row {
  const char* name;
  Lane (*function)(Lane);
  double (*in_double)(double);
  long double (*in_long_double)(long double);
  double f32_lowest, f32_highest;
  double f64_lowest, f64_highest;
  Limits f32, f64;
};

constexpr double kInf = std::numeric_limits<double>::infinity();

#define LIBRARY(name) lane_math::name, [](double a) { return std::name(a); }, [](long double a) { return std::name(a); }

const Row kRows[] = {
    {"Exp", LIBRARY(exp), -kInf, kInf, -kInf, kInf, {0.93, 1.21}, {1.1, 1.4}},
    {"Expm1", LIBRARY(expm1), -kInf, kInf, -kInf, kInf, {1.7, 2}, {2.5, 2.5}},
    {"Log", LIBRARY(log), -kInf, kInf, -kInf, kInf, {0.85, 0.85}, {0.9, 0.9}},
    {"Log1p", LIBRARY(log1p), -kInf, kInf, -kInf, kInf, {1.5, 1.5}, {1.5, 1.5}},
    {"Sqrt", LIBRARY(sqrt), -kInf, kInf, -kInf, kInf, {0.5, 0.5}, {0.51, 0.51}},
    {"Tanh", LIBRARY(tanh), -kInf, kInf, -kInf, kInf, {2.5, 2.5}, {2.5, 2.7}},
    {"Sigmoid",
     lane_math::sigmoid,
     Sigmoid<double>,
     Sigmoid<long double>,
     -87.3,
     kInf,
     -708.3,
     kInf,
     {2.5, 2.5},
     {2.5, 2.5}},
    {"Sin", LIBRARY(sin), -1e4, 1e4, -1e4, 1e4, {1.7, 2.2}, {1.8, 1.8}},
    {"Cos", LIBRARY(cos), -1e4, 1e4, -1e4, 1e4, {1.7, 2.2}, {1.8, 1.8}},
    {"Erf", LIBRARY(erf), -kInf, kInf, -kInf, kInf, {1.3, 1.7}, {1.3, 1.8}},
};

// What MathAccuracy::kFast is allowed, f32 only. exp is held to it where its result is not flushed to zero.
struct FastRow {
  const char* name;
  Lane (*function)(Lane);
  double (*in_double)(double);
  double lowest, highest;
  Limits limits;
};

const FastRow kFastRows[] = {
    {"Exp", lane_math::exp, [](double a) { return std::exp(a); }, -86.9, kInf, {5.7, 2.5}},
    {"Tanh", lane_math::tanh, [](double a) { return std::tanh(a); }, -kInf, kInf, {5.3, 2.5}},
    {"Sigmoid", lane_math::sigmoid, Sigmoid<double>, -87.3, kInf, {4.6, 2.5}},
};

struct Worst {
  double error = 0;
  double argument = 0;
};

bool IsExhaustive() { return std::getenv("RECURVE_EXHAUSTIVE") != nullptr; }

constexpr int kBlock = 1 << 14;

// Calls measure(arguments) for blocks of f32 numbers between the bounds.
template <typename Measure>
void ForSampledFloats(double lowest, double highest, const Measure& measure) {
  uint64_t stride = IsExhaustive() ? 1 : 997;
  std::vector<float> arguments;
  for (uint64_t pattern = 0; pattern < uint64_t{1} << 32; pattern += stride) {
    auto a = std::bit_cast<float>(static_cast<uint32_t>(pattern));
    if (a >= lowest && a <= highest) arguments.push_back(a);
    if (arguments.size() == kBlock) {
      measure(arguments);
      arguments.clear();
    }
  }
  measure(arguments);
}

// The same for f64: half of the numbers have random exponents, half lie evenly between -20 and 20.
template <typename Measure>
void ForRandomDoubles(double lowest, double highest, const Measure& measure) {
  std::mt19937_64 random(Seed());
  std::uniform_real_distribution<double> exponent(-60, 10), even(-20, 20);
  for (int block = 0; block < (IsExhaustive() ? 2000 : 20); ++block) {
    std::vector<double> arguments;
    for (int i = 0; i < kBlock; ++i) {
      double a = i % 2 == 0 ? even(random) : std::copysign(std::exp2(exponent(random)), even(random));
      if (i % 16 == 1) a = std::bit_cast<double>(random());
      if (a >= lowest && a <= highest) arguments.push_back(a);
    }
    measure(arguments);
  }
}

template <typename T, typename Reference>
Worst LargestError(Lane (*function)(Lane), LaneShape shape, double lowest, double highest, Reference reference) {
  shape.width = 32 / sizeof(T);
  LaneKernel<T> kernel(shape, [&](LaneBuilder&, Lane a, Lane, Lane) { return function(a); });
  Worst worst;
  auto measure = [&](const std::vector<T>& arguments) {
    std::vector<T> results = kernel(arguments);
    for (size_t i = 0; i < arguments.size(); ++i) {
      Wider<T> exact = reference(Wider<T>(arguments[i]));
      if (results[i] == T(exact)) continue;  // half a unit at most
      double error = UlpError(results[i], exact);
      if (error > worst.error) worst = {error, arguments[i]};
    }
  };
  if constexpr (sizeof(T) == 4) {
    ForSampledFloats(lowest, highest, measure);
  } else {
    ForRandomDoubles(lowest, highest, measure);
  }
  return worst;
}

class Accuracy : public testing::TestWithParam<Row> {};

template <typename T>
void ExpectWithin(const Row& row, bool fused, double limit) {
  Worst worst;
  if constexpr (sizeof(T) == 4) {
    worst =
        LargestError<T>(row.function, {.fused_multiply_add = fused}, row.f32_lowest, row.f32_highest, row.in_double);
  } else {
    worst = LargestError<T>(row.function, {.fused_multiply_add = fused}, row.f64_lowest, row.f64_highest,
                            row.in_long_double);
  }
  std::string found = fmt::format("{} f{}{}: {:.3f} ULP at {:a} = {}, seed {}", row.name, 8 * sizeof(T),
                                  fused ? "" : " unfused", worst.error, worst.argument, worst.argument, Seed());
  EXPECT_LE(worst.error, limit) << found;
  testing::Test::RecordProperty(fused ? "fused" : "unfused", found);
  if (IsExhaustive()) fmt::print("{}\n", found);
}

TEST_P(Accuracy, SinglePrecision) { ExpectWithin<float>(GetParam(), kFused, GetParam().f32.fused); }
TEST_P(Accuracy, SinglePrecisionUnfused) { ExpectWithin<float>(GetParam(), kUnfused, GetParam().f32.unfused); }
TEST_P(Accuracy, DoublePrecision) { ExpectWithin<double>(GetParam(), kFused, GetParam().f64.fused); }
TEST_P(Accuracy, DoublePrecisionUnfused) { ExpectWithin<double>(GetParam(), kUnfused, GetParam().f64.unfused); }

INSTANTIATE_TEST_SUITE_P(LaneMath, Accuracy, testing::ValuesIn(kRows),
                         [](const auto& info) { return std::string(info.param.name); });

TEST(FastMath, StaysWithinItsLimits) {
  for (const FastRow& row : kFastRows) {
    for (bool fused : {true, false}) {
      Worst worst = LargestError<float>(row.function, {.fused_multiply_add = fused, .math = MathAccuracy::kFast},
                                        row.lowest, row.highest, row.in_double);
      std::string found = fmt::format("fast {}{}: {:.3f} ULP at {:a} = {}", row.name, fused ? "" : " unfused",
                                      worst.error, worst.argument, worst.argument);
      EXPECT_LE(worst.error, fused ? row.limits.fused : row.limits.unfused) << found;
      if (IsExhaustive()) fmt::print("{}\n", found);
    }
  }
}

// The bits of a formula under both settings.
template <typename T>
bool IsTheSameFast(Lane (*function)(Lane), const std::vector<T>& arguments) {
  auto formula = [&](LaneBuilder&, Lane a, Lane, Lane) { return function(a); };
  LaneKernel<T> accurate({.width = 4}, formula), fast({.width = 4, .math = MathAccuracy::kFast}, formula);
  return accurate(arguments) == fast(arguments);
}

TEST(FastMath, IsTheAccurateOneInDoublePrecisionAndForOtherFunctions) {
  std::vector<double> doubles;
  std::vector<float> floats;
  for (double a = 0.01; a < 10; a *= 1.01) doubles.push_back(a), floats.push_back(static_cast<float>(a));
  for (const Row& row : kRows) {
    bool has_fast = std::ranges::any_of(kFastRows, [&](const FastRow& fast) { return fast.function == row.function; });
    EXPECT_TRUE(IsTheSameFast(row.function, doubles)) << row.name;
    EXPECT_EQ(IsTheSameFast(row.function, floats), !has_fast) << row.name;
  }
}

// pow has two arguments: bases over many binades, and exponents that keep the power within e^-limit .. e^limit.
template <typename T>
double LargestErrorOfPow(bool fused, double limit) {
  LaneKernel<T> kernel({.width = 32 / sizeof(T), .fused_multiply_add = fused},
                       [](LaneBuilder&, Lane a, Lane b, Lane) { return lane_math::pow(a, b); });
  std::mt19937_64 random(Seed());
  std::uniform_real_distribution<double> binade(-20, 20), part(-1, 1);
  double worst = 0;
  for (int block = 0; block < (IsExhaustive() ? 1000 : 20); ++block) {
    std::vector<T> a, b;
    for (int i = 0; i < kBlock; ++i) {
      a.push_back(T(i % 2 == 0 ? std::exp2(binade(random)) : 1.0 + 0.5 * part(random)));
      b.push_back(T(part(random) * limit / std::abs(std::log(double(a.back())))));
      if (!std::isfinite(b.back())) b.back() = 1;
    }
    std::vector<T> y = kernel(a, b);
    for (int i = 0; i < kBlock; ++i) worst = std::max(worst, UlpError(y[i], std::pow(Wider<T>(a[i]), Wider<T>(b[i]))));
  }
  if (IsExhaustive()) fmt::print("Pow f{} fused {} up to e^{}: {:.3f} ULP\n", 8 * sizeof(T), fused, limit, worst);
  return worst;
}

TEST(Pow, SinglePrecisionForModeratePowers) {
  EXPECT_LE(LargestErrorOfPow<float>(kFused, 20), 2.5) << "seed " << Seed();
  EXPECT_LE(LargestErrorOfPow<float>(kUnfused, 20), 2.5) << "seed " << Seed();
}

TEST(Pow, SinglePrecisionForAllNormalPowers) {
  EXPECT_LE(LargestErrorOfPow<float>(kFused, 87), 8) << "seed " << Seed();
  EXPECT_LE(LargestErrorOfPow<float>(kUnfused, 87), 8) << "seed " << Seed();
}

TEST(Pow, DoublePrecisionForModeratePowers) {
  EXPECT_LE(LargestErrorOfPow<double>(kFused, 20), 2.5) << "seed " << Seed();
  EXPECT_LE(LargestErrorOfPow<double>(kUnfused, 20), 2.5) << "seed " << Seed();
}

TEST(Pow, DoublePrecisionForAllNormalPowers) {
  EXPECT_LE(LargestErrorOfPow<double>(kFused, 708), 64) << "seed " << Seed();
  EXPECT_LE(LargestErrorOfPow<double>(kUnfused, 708), 64) << "seed " << Seed();
}

}  // namespace
}  // namespace recurve

// tests/lanes/ops_table_test.cpp: every elementwise row of ir/ops.def as vector code against the interpreter.
//
// The rows come from the table, so that a new row is tested without a word here. RECURVE_SEED=N draws other numbers.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <random>

#include "ir/interpreter.h"
#include "tests/lanes/lane_kernel.h"
#include "tests/lanes/seed.h"
#include "tests/lanes/ulp.h"

namespace recurve {
namespace {

// A row may chain a few functions of lane_math.h, whose own errors are below 8 ULP on these arguments.
constexpr double kTolerance = 16;

// Numbers of every magnitude that a formula's branches may turn on; the second half are random.
template <typename T>
std::vector<T> Samples(std::mt19937_64& random) {
  using Limits = std::numeric_limits<T>;
  std::vector<T> samples = {
      0,  Limits::denorm_min(), Limits::min(), Limits::epsilon(), T(0.25), T(0.5), 1, T(1.5), 2, 3, T(17.25),
      80, Limits::infinity()};
  for (size_t i = 0, count = samples.size(); i < count; ++i) samples.push_back(-samples[i]);
  samples.push_back(Limits::quiet_NaN());
  std::uniform_real_distribution<T> uniform(-8, 8);
  for (int i = 0; i < 23; ++i) samples.push_back(uniform(random));
  return samples;
}

class OpsTable : public testing::TestWithParam<ir::Op> {};

template <typename T>
void ExpectLikeInterpreter(ir::Op op, LaneShape shape) {
  LaneKernel<T> kernel(shape, RowFormula(op));
  std::mt19937_64 random(Seed());
  std::vector<T> samples = Samples<T>(random), a, b, c;
  for (T x : samples) {
    for (T y : ir::ElementwiseArity(op) > 1 ? samples : std::vector<T>{1}) {
      a.push_back(x);
      b.push_back(y);
      c.push_back(samples[random() % samples.size()]);
    }
  }
  std::vector<T> results = kernel(a, b, c);
  for (size_t i = 0; i < a.size(); ++i) {
    double exact = ir::EvaluateElementwise(op, a[i], b[i], c[i]);
    EXPECT_LE(UlpError(results[i], exact), kTolerance)
        << fmt::format("{}({}, {}, {}) is {} and should be {}; width {}, seed {}", ir::Name(op), a[i], b[i], c[i],
                       results[i], exact, shape.width, Seed());
  }
}

TEST_P(OpsTable, AgreesWithInterpreter) {
  for (LaneShape shape :
       {LaneShape{.width = 1}, LaneShape{.width = 4}, LaneShape{.width = 5}, LaneShape{.width = 8},
        LaneShape{.width = 8, .fused_multiply_add = false}, LaneShape{.width = 8, .math = MathAccuracy::kFast}}) {
    ExpectLikeInterpreter<float>(GetParam(), shape);
    ExpectLikeInterpreter<double>(GetParam(), shape);
  }
}

INSTANTIATE_TEST_SUITE_P(Rows, OpsTable, testing::ValuesIn(kElementwiseOps),
                         [](const auto& info) { return std::string(ir::Name(info.param)); });

}  // namespace
}  // namespace recurve

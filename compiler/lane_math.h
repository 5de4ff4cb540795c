// compiler/lane_math.h: what the formulas of ir/ops.def may say about lanes: operators, comparisons and functions.
//
// Every function below becomes straight-line vector code: fused multiply-adds, bit operations and selects, and no call,
// no table, no branch. They are written once for f32 and f64 and differ in their constants (lane_constants.h).
//
//   using namespace lane_math;
//   Lane y = select(a > 0.0, a, exp(a) - 1.0);
//
// A contract states the lanes, the range, the largest error and the special values. Errors are in units in the last
// place (ULP) of the exact result, or of the least normal number for results below it. Those of exp, log, tanh and
// sigmoid in f32 hold for all 2^32 arguments (those of expm1 and log1p do where multiply-adds are fused), the others
// for some millions with a little to spare; tests/lanes/accuracy_test.cpp checks every one. "Unfused" is for targets
// without a fused multiply-add, where it differs. "Fast" is for LaneShape::math = MathAccuracy::kFast, and f32 only:
// exp, tanh and sigmoid have such a form; all others have none and are what they are without it.
//
// Unless a contract says otherwise a NaN argument gives NaN and the sign of a zero is kept as IEEE 754 asks.
// The form follows that of Highway's hwy/contrib/math.

#ifndef RECURVE_COMPILER_LANE_MATH_H_
#define RECURVE_COMPILER_LANE_MATH_H_

#include "compiler/lanes.h"

namespace recurve::lane_math {

// IEEE 754 arithmetic, one rounding each. A number beside a Lane stands in every lane, rounded to its precision.
Lane operator-(Lane a);
Lane operator+(Lane a, Lane b);
Lane operator-(Lane a, Lane b);
Lane operator*(Lane a, Lane b);
Lane operator/(Lane a, Lane b);
Lane operator+(Lane a, double b);
Lane operator-(Lane a, double b);
Lane operator*(Lane a, double b);
Lane operator/(Lane a, double b);
Lane operator+(double a, Lane b);
Lane operator-(double a, Lane b);
Lane operator*(double a, Lane b);
Lane operator/(double a, Lane b);

// False where an operand is NaN, except that NaN != b is true.
Mask operator<(Lane a, Lane b);
Mask operator<=(Lane a, Lane b);
Mask operator>(Lane a, Lane b);
Mask operator>=(Lane a, Lane b);
Mask operator==(Lane a, Lane b);
Mask operator!=(Lane a, Lane b);
Mask operator<(Lane a, double b);
Mask operator<=(Lane a, double b);
Mask operator>(Lane a, double b);
Mask operator>=(Lane a, double b);
Mask operator==(Lane a, double b);
Mask operator!=(Lane a, double b);

// Lane by lane, and without short cuts: both sides are computed.
Mask operator!(Mask a);
Mask operator&(Mask a, Mask b);
Mask operator|(Mask a, Mask b);

// Where the condition holds `yes`, elsewhere `no`.
Lane select(Mask condition, Lane yes, Lane no);
Lane select(Mask condition, Lane yes, double no);
Lane select(Mask condition, double yes, Lane no);
Lane select(Mask condition, double yes, double no);

// Exact. sign is 1, -1, or the argument itself where that is a zero or NaN.
Lane abs(Lane a);
Lane sign(Lane a);
// `magnitude` with the sign bit of `sign`.
Lane copysign(Lane magnitude, Lane sign);

// The largest integer that is not above a. Exact for all arguments; +-Inf is itself.
Lane floor(Lane a);

// The smaller, the larger. A NaN on either side is the result; of two zeros either may be. A constant bound, which is
// not NaN, costs one instruction on x86 where two variables cost three.
Lane min(Lane a, Lane b);
Lane min(Lane a, double b);
Lane max(Lane a, Lane b);
Lane max(Lane a, double b);

// Returns the square root of a, correctly rounded.
//   Lanes  f32, f64    Range  all; NaN below -0
Lane sqrt(Lane a);

// Returns e^a.
//   Lanes  f32, f64    Range  all; subnormal results are right, +Inf above the largest number, exp(-Inf) = 0
//   Error  f32 <= 0.93 (unfused 1.21), f64 <= 1.1 (unfused 1.4)
//   Fast   f32 <= 5.7 (unfused 2.5), of results from e^-86.9 on; below, they become 0 instead of subnormal
Lane exp(Lane a);

// Returns e^a - 1, accurate where a is small.
//   Lanes  f32, f64    Range  all; exactly -1 for very negative arguments, +Inf above the largest number
//   Error  f32 <= 1.7 (unfused 2), f64 <= 2.5
Lane expm1(Lane a);

// Returns the natural logarithm.
//   Lanes  f32, f64    Range  all, subnormal arguments too; log(0) = -Inf, NaN below zero, log(Inf) = Inf
//   Error  f32 <= 0.85, f64 <= 0.9
Lane log(Lane a);

// Returns log(1 + a), accurate where a is small.
//   Lanes  f32, f64    Range  all; log1p(-1) = -Inf, NaN below -1, log1p(Inf) = Inf
//   Error  f32 <= 1.5, f64 <= 1.5
Lane log1p(Lane a);

// Returns the hyperbolic tangent. tanh(-a) = -tanh(a) in every bit.
//   Lanes  f32, f64    Range  all; saturates to exactly +-1 and never passes it
//   Error  f32 <= 2.5, f64 <= 2.5 (unfused 2.7)
//   Fast   f32 <= 5.3 (unfused: no other than the accurate one); saturates as above, from |a| = 8.52 on
Lane tanh(Lane a);

// Returns 1 / (1 + e^-a), the logistic function.
//   Lanes  f32, f64    Range  all; between 0 and 1, which it reaches. Results below the least normal number lose bits
//                      and become 0 (f32: a < -88.3, f64: a < -709.4)
//   Error  f32 <= 2.5, f64 <= 2.5, of normal results
//   Fast   f32 <= 4.6 (unfused: no other than the accurate one), of normal results
Lane sigmoid(Lane a);

// Return the sine and the cosine of a, in radians. sin(-a) = -sin(a) and cos(-a) = cos(a) in every bit.
//   Lanes  f32, f64    Range  |a| <= 10^4. Beyond, the error grows with |a| until the digits mean nothing, but the
//                      result stays in [-1, 1]; NaN for +-Inf
//   Error  f32 <= 1.7 (unfused 2.2), f64 <= 1.8
Lane sin(Lane a);
Lane cos(Lane a);

// Returns the error function, 2 / sqrt(pi) times the integral of e^(-t*t) from 0 to a. erf(-a) = -erf(a) in every bit.
//   Lanes  f32, f64    Range  all; saturates to exactly +-1
//   Error  f32 <= 1.3 (unfused 1.7), f64 <= 1.3 (unfused 1.8)
Lane erf(Lane a);

// Returns a^b.
//   Lanes  f32, f64    Range  all. A negative a has a power where b is an integer, NaN elsewhere. Zeros and
//                      infinities follow C's pow: pow(a, 0) = pow(1, b) = 1 even for NaN, pow(0, b > 0) = 0
//   Error  f32 <= 2.5 while |b log(a)| <= 20 and 8 everywhere, f64 <= 2.5 and 64. Exact powers may come out inexact
Lane pow(Lane a, Lane b);
Lane pow(Lane a, double b);

}  // namespace recurve::lane_math

#endif  // RECURVE_COMPILER_LANE_MATH_H_

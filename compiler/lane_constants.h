// compiler/lane_constants.h: the numbers behind lane_math.cpp, one table per precision.
//
// Polynomials are minimax fits by Remez exchange in 80 digits, in the norm that the function's relative error asks for,
// then rounded to the precision; the lowest power comes first. The error given beside each is the largest of the
// rounded polynomial, relative to the function that it serves. Half a unit in the last place is 6.0e-8 in f32
// and 1.1e-16 in f64.

#ifndef RECURVE_COMPILER_LANE_CONSTANTS_H_
#define RECURVE_COMPILER_LANE_CONSTANTS_H_

#include <cstdint>
#include <span>

namespace recurve::lane_math {

using Polynomial = std::span<const double>;

struct LaneConstants {
  // The format: bits of the fraction, what is added to an exponent, the least normal number.
  int fraction_bits;
  int exponent_bias;
  double least_normal;
  // The bits of 1 and of sqrt(1/2), where log splits a number into a fraction around 1 and an exponent.
  uint64_t one_bits, sqrt_half_bits;
  // Nearer to zero e^a - 1 and log(1 + a) are a.
  double tiny;
  // e^lowest rounds to zero and e^highest to infinity.
  double exp_lowest, exp_highest;
  // e^lowest - 1 rounds to -1; tanh(highest) and erf(highest) round to 1.
  double expm1_lowest, tanh_highest, erf_highest;
  // 1 / (1 + e^-a) is 0 below and 1 above: 2^n of the bounds has the exponent bits of infinity and of zero.
  double sigmoid_lowest, sigmoid_highest;
  // ln 2 = high + low; high times an exponent is exact.
  double ln2_high, ln2_low;
  // pi / 2 = the sum of the parts. With a fused multiply-add a part has all bits; without, so few that part times a
  // multiple of up to 6400 is exact.
  std::span<const double> half_pi_fused, half_pi_unfused;

  Polynomial exp;  // (e^r - 1 - r) / r^2,                    |r| <= ln(2)/2; relative to e^r - 1
  Polynomial
      coth;  // r coth(r/2) in z = r^2,                 |r| <= ln(2)/2; the error below is that of (c + r)/(c - r), e^r
  Polynomial log;       // (2 atanh(s)/s - 2) / z in z = s^2,      0 <= s <= 0.1717; relative to 2 atanh(s)
  Polynomial sin;       // (sin(r) - r) / r^3 in z = r^2,          |r| <= pi/4
  Polynomial cos;       // (cos(r) - 1 + r^2/2) / r^4 in z = r^2,  |r| <= pi/4
  Polynomial erf_near;  // erf(a)/a - 1 in z = a^2,                0 <= a <= 1
  Polynomial erfc_log;  // -log(erfc(a)) in a - 2,                 0.98 <= a <= erf_highest; relative to erf(a)

  // What MathAccuracy::kFast uses; f64 has none of it.
  Polynomial fast_exp;  // e^r, |r| <= ln(2)/2
  double fast_exp_lowest;
  // tanh(a)/a is the quotient of the two in z = a^2, 0 <= a <= fast_tanh_highest.
  Polynomial fast_tanh_numerator, fast_tanh_denominator;
  double fast_tanh_highest;
};

namespace f32 {
inline constexpr double kHalfPiFused[] = {0x1.921fb6p+0, -0x1.777a5cp-25, -0x1.ee59dap-50};
inline constexpr double kHalfPiUnfused[] = {0x1.92p+0, 0x1.fb4p-12, 0x1.444p-24, 0x1.68c234p-39};
// 1.7e-8
inline constexpr double kExp[] = {0.4999999701976776, 0.1666654348373413, 0.041667211800813675, 0.008366579189896584,
                                  0.0013881942722946405};
// 2.5e-9
inline constexpr double kCoth[] = {2.0, 0.1666658222675323, -0.002763812430202961};
// 1.2e-7
inline constexpr double kFastExp[] = {
    1.0, 0.9999996423721313, 0.4999901056289673, 0.16667692363262177, 0.041916098445653915, 0.008297611959278584};
// 1.2e-8; the denominator's highest term is 1, both start with the same number, and the quotient times
// fast_tanh_highest rounds to 1 or above.
inline constexpr double kFastTanhNumerator[] = {1229984.25, 164965.171875, 4344.9228515625, 26.10676383972168,
                                                0.017504766583442688};
inline constexpr double kFastTanhDenominator[] = {1229984.25, 574959.75, 32000.484375, 411.59527587890625, 1.0};
// 9.4e-10
inline constexpr double kLog[] = {0.6666677594184875, 0.3997747600078583, 0.2987368702888489};
// 8.8e-9
inline constexpr double kSin[] = {-0.16666655242443085, 0.008332155644893646, -0.0001951461163116619};
// 1.2e-10
inline constexpr double kCos[] = {0.04166664555668831, -0.0013887310633435845, 2.443250377837103e-05};
// 2.4e-9
inline constexpr double kErfNear[] = {0.12837916612625122,   -0.3761262595653534,  0.1128358542919159,
                                      -0.026853814721107483, 0.005188330542296171, -0.0008010202436707914,
                                      7.853849820094183e-05};
// 6.2e-9
inline constexpr double kErfcLog[] = {5.364941120147705,     4.418159484863281,      0.9237545132637024,
                                      0.01648980937898159,   -0.0035454134922474623, 0.0007065740646794438,
                                      -0.0001888179685920477};
}  // namespace f32

namespace f64 {
inline constexpr double kHalfPiFused[] = {0x1.921fb54442d18p+0, 0x1.1a62633145c07p-54, -0x1.f1976b7ed8fbcp-110};
inline constexpr double kHalfPiUnfused[] = {0x1.921fb54440000p+0, 0x1.68c234c4c8000p-39, -0x1.9d747f23e0000p-79,
                                            -0x1.976b7ed8fbbadp-118};
// 3.2e-17
inline constexpr double kExp[] = {
    0.5000000000000006,    0.16666666666666588,   0.041666666666576105,  0.008333333333389962,  0.0013888888931795674,
    0.0001984126971832878, 2.480150497793488e-05, 2.755740787930159e-06, 2.762616181503197e-07, 2.50537717780417e-08};
// 1.8e-18
inline constexpr double kCoth[] = {2.0,
                                   0.16666666666666432,
                                   -0.0027777777776220214,
                                   6.613756169593334e-05,
                                   -1.6533775499944922e-06,
                                   4.134294009700951e-08};
// 3.1e-19
inline constexpr double kLog[] = {0.6666666666666666,  0.4000000000000631,  0.2857142856906619,  0.222222226497846,
                                  0.18181775424904373, 0.15387101338071496, 0.13249878297149253, 0.13253520877532562};
// 8.5e-18
inline constexpr double kSin[] = {-0.1666666666666663,    0.008333333333322018,    -0.00019841269829504375,
                                  2.7557313590414285e-06, -2.5050742698243386e-08, 1.5895924714399325e-10};
// 1.5e-18
inline constexpr double kCos[] = {0.041666666666666595,   -0.0013888888888872904, 2.4801587288751232e-05,
                                  -2.755731414910191e-07, 2.0875696597172144e-09, -1.1358310203458176e-11};
// 2.7e-17
inline constexpr double kErfNear[] = {0.12837916709551256,    -0.3761263890318352,     0.112837916709442,
                                      -0.026866170643113415,  0.005223977606130842,    -0.0008548325929766244,
                                      0.00012055293586936943, -1.4924712439534701e-05, 1.644713269978536e-06,
                                      -1.620631875296039e-07, 1.371098870415537e-08,   -7.779462971700658e-10};
// 3.0e-17
inline constexpr double kErfcLog[] = {5.364941264616636,      4.418160805994421,      0.9237508418239887,
                                      0.01646511813721892,    -0.0035707563488717848, 0.0007323993785254272,
                                      -0.0001353093238442616, 2.070647220712216e-05,  -1.952206169394883e-06,
                                      -2.03735740639859e-07,  1.7319914463530005e-07, -5.7684497748042554e-08,
                                      1.3967844913877205e-08, -2.615477887249327e-09, 2.669969990118907e-10,
                                      7.183344202434642e-11,  -3.869377136186742e-11, 5.294344364121918e-12};
}  // namespace f64

inline constexpr LaneConstants kFloat{
    .fraction_bits = 23,
    .exponent_bias = 127,
    .least_normal = 0x1p-126,
    .one_bits = 0x3f800000,
    .sqrt_half_bits = 0x3f3504f3,
    .tiny = 0x1p-25,
    .exp_lowest = -104,
    .exp_highest = 89,
    .expm1_lowest = -18,
    .tanh_highest = 9.25,
    .erf_highest = 4,
    .sigmoid_lowest = -89,
    .sigmoid_highest = 88,
    .ln2_high = 0x1.62e4p-1,
    .ln2_low = 1.428606765330187e-06,
    .half_pi_fused = f32::kHalfPiFused,
    .half_pi_unfused = f32::kHalfPiUnfused,
    .exp = f32::kExp,
    .coth = f32::kCoth,
    .log = f32::kLog,
    .sin = f32::kSin,
    .cos = f32::kCos,
    .erf_near = f32::kErfNear,
    .erfc_log = f32::kErfcLog,
    .fast_exp = f32::kFastExp,
    .fast_exp_lowest = -87.5,
    .fast_tanh_numerator = f32::kFastTanhNumerator,
    .fast_tanh_denominator = f32::kFastTanhDenominator,
    .fast_tanh_highest = 8.52,
};

inline constexpr LaneConstants kDouble{
    .fraction_bits = 52,
    .exponent_bias = 1023,
    .least_normal = 0x1p-1022,
    .one_bits = 0x3ff0000000000000,
    .sqrt_half_bits = 0x3fe6a09e667f3bcd,
    .tiny = 0x1p-54,
    .exp_lowest = -746,
    .exp_highest = 710,
    .expm1_lowest = -38,
    .tanh_highest = 19.5,
    .erf_highest = 6,
    .sigmoid_lowest = -710,
    .sigmoid_highest = 709,
    .ln2_high = 0x1.62e42fefa4p-1,
    .ln2_low = -1.7239444525614835e-13,
    .half_pi_fused = f64::kHalfPiFused,
    .half_pi_unfused = f64::kHalfPiUnfused,
    .exp = f64::kExp,
    .coth = f64::kCoth,
    .log = f64::kLog,
    .sin = f64::kSin,
    .cos = f64::kCos,
    .erf_near = f64::kErfNear,
    .erfc_log = f64::kErfcLog,
};

inline const LaneConstants& ConstantsFor(int element_bytes) { return element_bytes == 8 ? kDouble : kFloat; }

}  // namespace recurve::lane_math

#endif  // RECURVE_COMPILER_LANE_CONSTANTS_H_

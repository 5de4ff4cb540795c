// compiler/lane_math.cpp: elementary functions from multiply-adds and bits.
//
// The exponential family (exp, expm1, sigmoid, tanh but for the fast one, the far part of erf) stands on one reduction.
// Adding the shifter, 1.5 times 2^fraction_bits, to a number leaves its nearest integer n in the low bits of the sum,
// so that
//
//   x = n ln 2 + r,  |r| <= ln(2)/2,  e^x = 2^n e^r
//
// needs no rounding instruction and no conversion: the sum's bits, shifted into the exponent, are 2^n (the bias is
// part of the shifter). sin and cos reduce by pi/2 in the same way. Logarithms take the exponent's bits apart and
// evaluate 2 atanh(s), s = f/(2 + f).
//
// Every function is one straight line: special values come from clamps before and selects after, never from branches.
// Sources: Cody & Waite, Software Manual for the Elementary Functions, 1980 (reductions); fdlibm, e_log.c (the form of
// log); Dekker 1971, A floating-point technique for extending the available precision (pow); Muller, Elementary
// Functions, 3rd ed. 2016.

#include "compiler/lane_math.h"

#include <cmath>
#include <limits>
#include <span>
#include <vector>

#include "compiler/lane_bits.h"
#include "compiler/lane_constants.h"

namespace recurve::lane_math {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kLn2 = 0.6931471805599453;
constexpr double kLog2E = 1.4426950408889634;
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

const LaneConstants& ConstantsOf(Lane a) { return ConstantsFor(a.lanes->shape().element_bytes); }
Lane Like(Lane a, double value) { return a.lanes->Constant(value); }

// a * b + c.
Lane MultiplyAdd(Lane a, Lane b, Lane c) { return a.lanes->FusedMultiplyAdd(a, b, c); }
Lane MultiplyAdd(Lane a, Lane b, double c) { return MultiplyAdd(a, b, Like(a, c)); }
Lane MultiplyAdd(Lane a, double b, Lane c) { return MultiplyAdd(a, Like(a, b), c); }

bool IsFused(Lane a) { return a.lanes->shape().fused_multiply_add; }
bool IsFast(Lane a) { return a.lanes->shape().math == MathAccuracy::kFast && a.lanes->shape().element_bytes == 4; }

// An odd function at a, from its value at |a|.
Lane OddValue(Lane a, Lane magnitude, Lane value) { return FromBits(BitsOf(value) ^ (BitsOf(a) ^ BitsOf(magnitude))); }

Lane Clamp(Lane a, double lowest, double highest) { return max(min(a, highest), lowest); }

// c[0] + c[1] x + c[2] x^2 + ... Long ones are Horner's rule in x^2 over pairs: as many multiply-adds in half the
// latency. Code generation shares x^2 with a caller who needs it too.
Lane Evaluate(Polynomial c, Lane x) {
  int last = static_cast<int>(c.size()) - 1;
  if (last < 4) {
    Lane sum = Like(x, c[last]);
    for (int i = last - 1; i >= 0; --i) sum = MultiplyAdd(sum, x, c[i]);
    return sum;
  }
  auto pair = [&](int i) { return i == last ? Like(x, c[i]) : MultiplyAdd(x, c[i + 1], Like(x, c[i])); };
  Lane square = x * x;
  int start = last / 2 * 2;
  Lane sum = pair(start);
  for (int i = start - 2; i >= 0; i -= 2) sum = MultiplyAdd(sum, square, pair(i));
  return sum;
}

// The same by Horner's rule, for two terms or more: the fewest operations, where there is other work to fill its
// latency.
Lane Horner(Polynomial c, Lane x) {
  size_t i = c.size() - 2;
  Lane sum = c.back() == 1 ? x + c[i] : MultiplyAdd(x, c.back(), Like(x, c[i]));
  while (i-- > 0) sum = MultiplyAdd(sum, x, c[i]);
  return sum;
}

// x = n * step + remainder, with n + bias in the low bits of `biased`.
struct Reduction {
  Lane remainder;
  Bits biased;
};

// `parts` sum up to the step, largest first.
Reduction Reduce(Lane x, double inverse_step, std::span<const double> parts, double bias) {
  const LaneConstants& k = ConstantsOf(x);
  double shifter = 1.5 * static_cast<double>(uint64_t{1} << k.fraction_bits) + bias;
  Lane shifted = MultiplyAdd(x, inverse_step, Like(x, shifter));
  Lane n = shifted - shifter;
  for (double part : parts) x = MultiplyAdd(n, -part, x);
  return {x, BitsOf(shifted)};
}

// x = sign * n ln 2 + remainder. Where speed is worth more than the last bits and a product keeps all of its own, one
// part of ln 2 is enough: its error, 1.9e-9, is multiplied by n <= 128.
Reduction ReduceByLn2(Lane x, double bias, double sign = 1, bool fast = false) {
  const LaneConstants& k = ConstantsOf(x);
  const double exact[] = {sign * k.ln2_high, sign * k.ln2_low}, rounded[] = {sign * kLn2};
  std::span<const double> parts = exact;
  if (fast && IsFused(x)) parts = rounded;
  return Reduce(x, sign * kLog2E, parts, bias);
}

// 2^n, where n + exponent_bias is in the low bits and between 0 (the result is zero) and all ones (infinity).
Lane PowerOfTwo(Bits biased, const LaneConstants& k) { return FromBits(biased << k.fraction_bits); }

// e^r and e^r - 1 for |r| <= ln(2)/2.
Lane ExpOfRemainder(Lane r) { return MultiplyAdd(r, MultiplyAdd(r, Evaluate(ConstantsOf(r).exp, r), 1.0), 1.0); }
Lane Expm1OfRemainder(Lane r) { return MultiplyAdd(r * r, Evaluate(ConstantsOf(r).exp, r), r); }

// (e^(2r) - 1) / 2 for |2r| <= ln(2)/2: the polynomial of e^r - 1 with its coefficients moved by powers of two.
Lane HalfExpm1OfTwice(Lane r) {
  Polynomial exp = ConstantsOf(r).exp;
  std::vector<double> moved(exp.begin(), exp.end());
  for (size_t i = 0; i < moved.size(); ++i) moved[i] = std::ldexp(moved[i], static_cast<int>(i) + 1);
  return MultiplyAdd(r * r, Evaluate(moved, r), r);
}

// c = r coth(r/2) is even in r, and e^r = (c + r) / (c - r): half the terms of the exponential's own series, where the
// quotient disappears in one that is there anyway.
Lane Coth(Lane r) { return Horner(ConstantsOf(r).coth, r * r); }

// r coth(r): the same polynomial with its coefficients moved by powers of two.
Lane CothOfTwice(Lane r) {
  Polynomial coth = ConstantsOf(r).coth;
  std::vector<double> moved(coth.begin(), coth.end());
  for (size_t i = 0; i < moved.size(); ++i) moved[i] = std::ldexp(moved[i], 2 * static_cast<int>(i) - 1);
  return Horner(moved, r * r);
}

// e^(x + tail), |tail| small against 1 where x is not clamped. 2^n in two factors, each of them normal: the last
// product rounds once into a subnormal number or infinity.
Lane ExpOfSum(Lane x, const Lane* tail) {
  const LaneConstants& k = ConstantsOf(x);
  auto [r, biased] = ReduceByLn2(Clamp(x, k.exp_lowest, k.exp_highest), 2 * k.exponent_bias);
  if (tail != nullptr) r = r + *tail;
  Bits half = biased >> 1;
  return ExpOfRemainder(r) * PowerOfTwo(half, k) * PowerOfTwo(biased - half, k);
}

// A positive number is 2^exponent (1 + fraction), sqrt(1/2) <= 1 + fraction < sqrt(2).
struct Split {
  Lane fraction, exponent;
  Bits biased_exponent;
};

// x has been scaled by 2^exponent_offset, which the exponent leaves out and the biased exponent does not.
Split SplitNormal(Lane x, Lane exponent_offset) {
  const LaneConstants& k = ConstantsOf(x);
  double integers = static_cast<double>(uint64_t{1} << k.fraction_bits);
  uint64_t fraction_mask = (uint64_t{1} << k.fraction_bits) - 1;
  Bits bits = BitsOf(x) + (k.one_bits - k.sqrt_half_bits);
  Bits biased = bits >> k.fraction_bits;
  // The bits of `integers`, a number whose last place is 1, with the exponent in its low bits.
  uint64_t integer_bits = uint64_t(k.exponent_bias + k.fraction_bits) << k.fraction_bits;
  Lane exponent = FromBits(biased | integer_bits) - (exponent_offset + (integers + k.exponent_bias));
  Lane fraction = FromBits((bits & fraction_mask) + k.sqrt_half_bits) - 1.0;
  return {fraction, exponent, biased};
}

Split SplitPositive(Lane x) {
  const LaneConstants& k = ConstantsOf(x);
  double scale = static_cast<double>(uint64_t{1} << (k.fraction_bits + 1));
  Mask subnormal = x < k.least_normal;
  return SplitNormal(select(subnormal, x * scale, x), select(subnormal, Like(x, k.fraction_bits + 1), 0.0));
}

// exponent * ln 2 + log(1 + f), summed from the small terms to the large ones.
Lane LogOfSplit(Lane f, Lane exponent) {
  const LaneConstants& k = ConstantsOf(f);
  Lane s = f / (f + 2.0);
  Lane z = s * s;
  Lane half_square = 0.5 * f * f;
  Lane correction = s * MultiplyAdd(z, Evaluate(k.log, z), half_square);
  Lane small = half_square - MultiplyAdd(exponent, k.ln2_low, correction);
  return MultiplyAdd(exponent, k.ln2_high, f - small);
}

// log's special values, where x is the argument of a logarithm whose value is y.
Lane WithPoles(Lane x, Lane y) {
  y = select(x < kInfinity, y, x);
  return select(x > 0.0, y, select(x == 0.0, Like(x, -kInfinity), kNan));
}

// a + b and a * b without an error: the rounded result and what it lacks.
struct Sum {
  Lane high, low;
};

// Wants |a| >= |b| or a = 0.
Sum ExactSum(Lane a, Lane b) {
  Lane high = a + b;
  return {high, b - (high - a)};
}

Sum ExactProduct(Lane a, Lane b) {
  Lane high = a * b;
  const LaneShape& shape = a.lanes->shape();
  if (shape.fused_multiply_add) return {high, MultiplyAdd(a, b, -high)};
  // Halves have so few bits that their products are exact.
  int dropped_bits = ConstantsOf(a).fraction_bits / 2 + 1;
  uint64_t upper_mask = ~((uint64_t{1} << dropped_bits) - 1);
  auto halves = [&](Lane x) {
    Lane upper = FromBits(BitsOf(x) & upper_mask);
    return Sum{upper, x - upper};
  };
  auto [a_high, a_low] = halves(a);
  auto [b_high, b_low] = halves(b);
  Lane low = a_high * b_high - high;
  low = low + a_high * b_low;
  low = low + a_low * b_high;
  return {high, low + a_low * b_low};
}

// log(a) for positive a to half as many bits again as a Lane has.
Sum LogAsSum(Lane a) {
  const LaneConstants& k = ConstantsOf(a);
  Split split = SplitPositive(a);
  Lane f = split.fraction;
  // s = f / (2 + f); the quotient's error follows from the remainder.
  Sum denominator = ExactSum(Like(f, 2.0), f);
  Lane inverse = 1.0 / denominator.high;
  Lane s = f * inverse;
  Sum product = ExactProduct(s, denominator.high);
  Lane remainder = (f - product.high) - product.low - s * denominator.low;
  Lane s_low = remainder * inverse;
  Lane z = s * s;
  Lane tail = MultiplyAdd(s * z, Evaluate(k.log, z), 2.0 * s_low);
  Sum log = ExactSum(split.exponent * k.ln2_high, 2.0 * s);
  return ExactSum(log.high, log.low + MultiplyAdd(split.exponent, k.ln2_low, tail));
}

// tanh(x) for 0 <= x <= tanh_highest. With x = n ln(2)/2 + r, scale = 2^-n and c = r coth(r)
//
//   tanh(x) = (c (1 - scale) + r (1 + scale)) / (c (1 + scale) + r (1 - scale)),
//
// r / c near zero. The error of c stands above and below, so that most of it cancels. ln(2)/2 needs no second part:
// where n is large, scale makes its error small.
Lane TanhFused(Lane x) {
  const LaneConstants& k = ConstantsOf(x);
  const double parts[] = {-0.5 * kLn2};
  auto [r, biased] = Reduce(x, -2 * kLog2E, parts, k.exponent_bias);
  Lane scale = PowerOfTwo(biased, k);
  Lane less = 1.0 - scale, more = 1.0 + scale;
  Lane coth = CothOfTwice(r);
  return MultiplyAdd(coth, less, r * more) / MultiplyAdd(coth, more, r * less);
}

// The products above cost a rounding each without a fused multiply-add, 4.3 ULP in all. Here tanh(x) = t / (1 - t) with
// t = (1 - e^(-2x)) / 2: no sum cancels, and 1 - t, below 1 where t / (1 + t) for the growing exponential has 1 + t
// above, rounds half as coarsely for small x.
Lane TanhUnfused(Lane x) {
  const LaneConstants& k = ConstantsOf(x);
  const double parts[] = {0.5 * k.ln2_high, 0.5 * k.ln2_low};
  auto [r, biased] = Reduce(-x, 2 * kLog2E, parts, k.exponent_bias);
  Lane scale = PowerOfTwo(biased, k);
  Lane t = MultiplyAdd(-HalfExpm1OfTwice(r), scale, MultiplyAdd(scale, -0.5, Like(scale, 0.5)));
  return t / (1.0 - t);
}

// e^a by one multiplication with 2^n: the polynomial is doubled and the scale halved, so that it is finite wherever the
// result is, and zero before it would be subnormal.
Lane FastExp(Lane a) {
  const LaneConstants& k = ConstantsOf(a);
  auto [r, biased] =
      ReduceByLn2(Clamp(a, k.fast_exp_lowest, k.exp_highest), k.exponent_bias - 1, /*sign=*/1, /*fast=*/true);
  std::vector<double> doubled(k.fast_exp.begin(), k.fast_exp.end());
  for (double& coefficient : doubled) coefficient *= 2;
  return Horner(doubled, r) * PowerOfTwo(biased, k);
}

// A quotient of polynomials, whose rounding errors may pass 1: the last clamp. Without a fused multiply-add it is off
// by more than 6 ULP.
Lane FastTanh(Lane a) {
  const LaneConstants& k = ConstantsOf(a);
  Lane x = Clamp(a, -k.fast_tanh_highest, k.fast_tanh_highest);
  Lane z = x * x;
  return Clamp(x * Horner(k.fast_tanh_numerator, z) / Horner(k.fast_tanh_denominator, z), -1.0, 1.0);
}

// sin(a + quarter_turns * pi/2) for a that is not negative.
Lane SinAfterTurns(Lane a, int quarter_turns) {
  const LaneConstants& k = ConstantsOf(a);
  auto parts = IsFused(a) ? k.half_pi_fused : k.half_pi_unfused;
  auto [remainder, quadrant] = Reduce(a, 0.6366197723675814, parts, quarter_turns);
  // The clamp is for arguments out of range.
  Lane r = Clamp(remainder, -0.8, 0.8);
  Lane z = r * r;
  Lane sine = MultiplyAdd(r * z, Evaluate(k.sin, z), r);
  Lane cosine = MultiplyAdd(z * z, Evaluate(k.cos, z), MultiplyAdd(z, -0.5, Like(z, 1.0)));
  Lane magnitude = select(TestBit(quadrant, 0, SignBit(a)), cosine, sine);
  Bits sign = (quadrant << (SignBit(a) - 1)) & SignMask(a);
  return FromBits(BitsOf(magnitude) ^ sign);
}

}  // namespace

Lane exp(Lane a) { return IsFast(a) ? FastExp(a) : ExpOfSum(a, nullptr); }

Lane expm1(Lane a) {
  const LaneConstants& k = ConstantsOf(a);
  // Half of 2^n is finite where 2^n is not yet.
  auto [r, biased] = ReduceByLn2(Clamp(a, k.expm1_lowest, k.exp_highest), k.exponent_bias - 1);
  Lane half_scale = PowerOfTwo(biased, k);
  Lane half = MultiplyAdd(Expm1OfRemainder(r), half_scale, half_scale - 0.5);
  return select(abs(a) < k.tiny, a, half + half);
}

Lane log(Lane a) {
  Split split = SplitPositive(a);
  return WithPoles(a, LogOfSplit(split.fraction, split.exponent));
}

Lane log1p(Lane a) {
  const LaneConstants& k = ConstantsOf(a);
  Lane u = a + 1.0;
  Lane lost = a - (u - 1.0);
  Split split = SplitNormal(u, Like(u, 0.0));
  // `lost` at the scale of the fraction; half of it times 2^(1 - exponent), which the largest exponent makes zero.
  Lane scale = PowerOfTwo(uint64_t(2 * k.exponent_bias + 1) - split.biased_exponent, k);
  Lane fraction = MultiplyAdd(0.5 * lost, scale, split.fraction);
  return select(abs(a) < k.tiny, a, WithPoles(u, LogOfSplit(fraction, split.exponent)));
}

Lane tanh(Lane a) {
  if (IsFast(a) && IsFused(a)) return FastTanh(a);
  Lane magnitude = abs(a);
  Lane x = min(magnitude, ConstantsOf(a).tanh_highest);
  return OddValue(a, magnitude, IsFused(a) ? TanhFused(x) : TanhUnfused(x));
}

Lane sigmoid(Lane a) {
  const LaneConstants& k = ConstantsOf(a);
  // e^-a = 2^n (coth - r) / (coth + r) with r = a + n ln 2.
  auto [r, biased] =
      ReduceByLn2(Clamp(a, k.sigmoid_lowest, k.sigmoid_highest), k.exponent_bias, /*sign=*/-1, IsFast(a));
  Lane coth = Coth(r);
  Lane sum = coth + r;
  return sum / MultiplyAdd(coth - r, PowerOfTwo(biased, k), sum);
}

Lane sin(Lane a) {
  Lane magnitude = abs(a);
  return OddValue(a, magnitude, SinAfterTurns(magnitude, 0));
}

Lane cos(Lane a) { return SinAfterTurns(abs(a), 1); }

Lane erf(Lane a) {
  const LaneConstants& k = ConstantsOf(a);
  Lane magnitude = abs(a);
  Lane z = magnitude * magnitude;
  Lane near = MultiplyAdd(magnitude, Evaluate(k.erf_near, z), magnitude);
  Lane erfc_log = Evaluate(k.erfc_log, min(magnitude, k.erf_highest) - 2.0);
  auto [r, biased] = ReduceByLn2(-erfc_log, k.exponent_bias);
  Lane far = MultiplyAdd(-ExpOfRemainder(r), PowerOfTwo(biased, k), 1.0);
  return OddValue(a, magnitude, select(magnitude < 1.0, near, far));
}

Lane pow(Lane a, Lane b) {
  const LaneConstants& k = ConstantsOf(a);
  Lane base = abs(a);
  Sum log = LogAsSum(base);
  // A larger exponent has the same powers: zero, one and infinity.
  Lane exponent = Clamp(b, -0x1p64, 0x1p64);
  Sum product = ExactProduct(exponent, log.high);
  Mask moderate = abs(product.high) < 2 * k.exp_highest;
  Lane tail = select(moderate, MultiplyAdd(exponent, log.low, product.low), 0.0);
  Lane power = ExpOfSum(product.high, &tail);

  Mask grows = (base < 1.0) & (b < 0.0);
  Mask shrinks = (base > 1.0) & (b < 0.0);
  Lane pole = select(grows | ((base > 1.0) & !shrinks), kInfinity, 0.0);
  power = select((base == 0.0) | (base == kInfinity), pole, power);

  Lane half = 0.5 * b;
  Mask integer = floor(b) == b;
  Mask odd = integer & (floor(half) != half);
  power = select(odd, copysign(power, a), power);
  power = select((a < 0.0) & (a > -kInfinity) & !integer, kNan, power);
  power = select(a != a, a, select(b != b, b, power));
  return select((a == 1.0) | (b == 0.0), 1.0, power);
}

Lane pow(Lane a, double b) { return pow(a, Like(a, b)); }

}  // namespace recurve::lane_math

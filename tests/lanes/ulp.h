// tests/lanes/ulp.h: errors in units in the last place of the exact result.

#ifndef RECURVE_TESTS_LANES_ULP_H_
#define RECURVE_TESTS_LANES_ULP_H_

#include <algorithm>
#include <cmath>
#include <limits>

namespace recurve {

// The next wider type, in which the host's library is the reference.
template <typename T>
struct WiderType;
template <>
struct WiderType<float> {
  using type = double;
};
template <>
struct WiderType<double> {
  using type = long double;
};
template <typename T>
using Wider = typename WiderType<T>::type;

// How far `result` is from `exact`. The unit is that of the least normal number for anything smaller. Infinity counts
// as the power of two after the largest number, so that a result that overflows too early or too late is off by little.
// NaN is right only where it is expected, and then exact.
template <typename T>
double UlpError(T result, Wider<T> exact) {
  using Limits = std::numeric_limits<T>;
  constexpr double kWrong = std::numeric_limits<double>::infinity();
  if (std::isnan(exact)) return std::isnan(result) ? 0 : kWrong;
  if (std::isnan(result)) return kWrong;
  const Wider<T> beyond = std::ldexp(Wider<T>(1), Limits::max_exponent);
  exact = std::clamp(exact, -beyond, beyond);
  Wider<T> got = std::isinf(result) ? std::copysign(beyond, Wider<T>(result)) : Wider<T>(result);
  if (got == exact) return 0;
  int exponent = exact == 0 ? Limits::min_exponent - 1 : std::ilogb(exact);
  exponent = std::clamp(exponent, Limits::min_exponent - 1, Limits::max_exponent - 1);
  return static_cast<double>(std::abs(std::ldexp(got - exact, Limits::digits - 1 - exponent)));
}

}  // namespace recurve

#endif  // RECURVE_TESTS_LANES_ULP_H_

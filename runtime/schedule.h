// runtime/schedule.h: how the step size of an optimizer changes while it trains.
//
// Sources: Loshchilov & Hutter 2017, SGDR: stochastic gradient descent with warm restarts, equation 5 (cosine); Goyal
// et al. 2017, Accurate, large minibatch SGD, section 2.2 (linear warm-up).

#ifndef RECURVE_RUNTIME_SCHEDULE_H_
#define RECURVE_RUNTIME_SCHEDULE_H_

#include <cmath>
#include <cstdint>
#include <numbers>

namespace recurve {

struct Schedule {
  enum class Kind : uint8_t { kConstant, kStep, kCosine } kind = Kind::kConstant;
  uint64_t warmup = 0;    // so many steps rise linearly to the full rate
  uint64_t every = 1000;  // step: after so many steps the rate is `factor` of what it was
  double factor = 0.5;

  // What the rate is multiplied with in the step of that number, from 1, of `total` in all.
  double At(uint64_t step, uint64_t total) const {
    if (step <= warmup) return static_cast<double>(step) / static_cast<double>(warmup);
    const auto since = static_cast<double>(step - warmup - 1);
    switch (kind) {
      case Kind::kConstant: return 1;
      case Kind::kStep: return std::pow(factor, std::floor(since / static_cast<double>(every)));
      case Kind::kCosine: {
        const double all = total > warmup ? static_cast<double>(total - warmup) : 1;
        return since >= all ? 0 : 0.5 * (1 + std::cos(std::numbers::pi * since / all));
      }
    }
    return 1;
  }
};

}  // namespace recurve

#endif  // RECURVE_RUNTIME_SCHEDULE_H_

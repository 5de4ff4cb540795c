// bench/model.cpp: time of the products against time of the weights.

#include "bench/model.h"

#include <algorithm>

namespace recurve::bench {

const Limits::Bandwidth* LevelOf(double bytes, const Limits& limits, int threads) {
  for (const Limits::Bandwidth& bandwidth : limits.bandwidths) {
    const double share = bandwidth.level.is_shared ? bytes : bytes / threads;
    if (share <= static_cast<double>(bandwidth.level.capacity_bytes)) return &bandwidth;
  }
  return nullptr;
}

Bound Bind(const Work& work, const Limits& limits, int threads) {
  if (limits.operations[threads] == 0) return {};
  const double in_steps = work.operations_in_steps / limits.operations[threads];
  const double others = work.operations / limits.operations[threads] - in_steps;
  const Limits::Bandwidth* often = LevelOf(work.bytes_a_step, limits, threads);
  const Limits::Bandwidth* once = LevelOf(work.bytes_once, limits, threads);
  if (often == nullptr || once == nullptr || often->bytes[threads] == 0 || once->bytes[threads] == 0)
    return {in_steps + others, "FMA"};
  const double of_steps = work.steps * work.bytes_a_step / often->bytes[threads];
  const double of_others = work.bytes_once / once->bytes[threads];
  return {std::max(in_steps, of_steps) + std::max(others, of_others), of_steps > in_steps ? often->level.name : "FMA"};
}

}  // namespace recurve::bench

// bench/model.cpp: time of the products against time of the weights.

#include "bench/model.h"

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
  Bound bound{work.operations / limits.operations[threads], "FMA"};
  const Limits::Bandwidth* often = LevelOf(work.bytes_a_step, limits, threads);
  const Limits::Bandwidth* once = LevelOf(work.bytes_once, limits, threads);
  if (often == nullptr || once == nullptr || often->bytes[threads] == 0 || once->bytes[threads] == 0) return bound;
  const double seconds =
      work.steps * work.bytes_a_step / often->bytes[threads] + work.bytes_once / once->bytes[threads];
  if (seconds > bound.seconds) bound = {seconds, often->level.name};
  return bound;
}

}  // namespace recurve::bench

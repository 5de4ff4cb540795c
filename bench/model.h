// bench/model.h: the limit that binds a kernel, and the time that it allows.
//
// A call must do its products and must read its weights. Products take at least their operations at the measured
// multiply-add peak. The weights of products with the state must be read again at every step, from the cache level that
// holds them, at that level's measured bandwidth; those of products with the input once. Products with the state wait
// for each other, and the others come before or after all of them: so the bound is the greater of both times for the
// former, and the greater for the latter, one after the other. Elementwise work, inputs, outputs and tape are not
// counted, so that 100 % cannot be reached at a small size.
//
// With two threads each reads its half of the weights, which then only needs to fit into the caches of one core.
// Source: Williams, Waterman & Patterson 2009, Roofline, CACM 52(4).

#ifndef RECURVE_BENCH_MODEL_H_
#define RECURVE_BENCH_MODEL_H_

#include <string>

#include "bench/limits.h"

namespace recurve::bench {

struct Work {
  double operations = 0;           // of products
  double operations_in_steps = 0;  // those with the state
  double steps = 1;
  double bytes_a_step = 0;  // weights of products with the state
  double bytes_once = 0;    // weights of products with the input
  // Operations for each byte of weights that is read.
  double intensity() const { return operations / (steps * bytes_a_step + bytes_once); }
};

struct Bound {
  double seconds = 0;
  std::string limit;  // "FMA" or the name of a level
};

// The bound of a call on that many threads. Zero seconds where the limits were not measured.
Bound Bind(const Work& work, const Limits& limits, int threads);

// The level that `bytes` of weights are read from when `threads` share them.
const Limits::Bandwidth* LevelOf(double bytes, const Limits& limits, int threads);

}  // namespace recurve::bench

#endif  // RECURVE_BENCH_MODEL_H_

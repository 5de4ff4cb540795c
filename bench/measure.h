// bench/measure.h: the grid as Google Benchmark's benchmarks.
//
// Every limit and every (point, pass, threads) is one benchmark. Google Benchmark filters, repeats and writes JSON; it
// interleaves all repetitions in random order, so that a drift of the clock meets limits and kernels alike. One thread
// is measured in processor time, which a busy machine disturbs little; two in wall time.

#ifndef RECURVE_BENCH_MEASURE_H_
#define RECURVE_BENCH_MEASURE_H_

#include <expected>
#include <memory>
#include <string>
#include <vector>

#include "bench/figures.h"
#include "runtime/error.h"
#include "runtime/team.h"

namespace recurve::bench {

struct MeasureOptions {
  std::string only;  // a regular expression over figures' names; empty is all. Limits are always measured.
  int repetitions = 5;
  std::vector<std::string> arguments;  // Google Benchmark's own
};

// Runs everything and prints medians as they come. Fails if a kernel does.
std::expected<Figures, Error> Measure(const MeasureOptions& options, std::shared_ptr<Team> team);

}  // namespace recurve::bench

#endif  // RECURVE_BENCH_MEASURE_H_

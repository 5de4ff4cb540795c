// bench/cold.h: compile times of a process that has just begun.

#ifndef RECURVE_BENCH_COLD_H_
#define RECURVE_BENCH_COLD_H_

#include <expected>
#include <string_view>

#include "bench/figures.h"
#include "runtime/error.h"

namespace recurve::bench {

// Runs this program again as `--cold=CELL`, a few times, and takes the medians: with an empty cache of compiled
// programs ($RECURVE_CACHE_DIR), and with what that start left in it.
std::expected<CompileTime, Error> MeasureCompileTime(std::string_view cell);

// What that child does: compiles forward and backward at I = H = 256 and prints the milliseconds that pass. Returns
// the process's exit code.
int CompileInThisProcess(std::string_view cell);

}  // namespace recurve::bench

#endif  // RECURVE_BENCH_COLD_H_

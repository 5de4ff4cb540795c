// bench/machine.h: what this machine can do at most, measured in the process that measures the kernels.
//
// Clock rates drift, neighbours come and go: a percentage is only worth something beside a peak of the same minute.

#ifndef RECURVE_BENCH_MACHINE_H_
#define RECURVE_BENCH_MACHINE_H_

#include <cstddef>
#include <string>

namespace recurve::bench {

// Floating-point operations of one fused multiply-add pass over `rounds` rounds: independent accumulators enough to
// hide the latency, in the widest vectors that the processor has. The result only keeps the work alive.
struct FmaWork {
  double operations = 0;
  float result = 0;
};
FmaWork RunFma(size_t rounds);

// Reads `bytes` of memory once in vectors, and returns their sum.
float ReadOnce(const float* data, size_t bytes);

// "AVX-512", "AVX2" or "generic": what RunFma and ReadOnce use.
std::string VectorUnit();
// The processor's name as the system tells it.
std::string ProcessorName();

}  // namespace recurve::bench

#endif  // RECURVE_BENCH_MACHINE_H_

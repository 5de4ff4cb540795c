// bench/machine.h: the loops that measure what this machine can do at most, one instance per vector unit.

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

// Reads `bytes` of memory in vectors so many times, and returns the sum of what was read. `data` is aligned to 64
// bytes, since a load that straddles two lines costs two.
float Read(const float* data, size_t bytes, size_t times);

// Runs `cycles` additions that wait for one another: a cycle each.
void RunCycles(size_t cycles);

// "AVX-512", "AVX2" or "generic": what RunFma and Read use.
std::string VectorUnit();
// The processor's name as the system tells it.
std::string ProcessorName();

}  // namespace recurve::bench

#endif  // RECURVE_BENCH_MACHINE_H_

// bench/limits.h: what this machine can do at most, measured in the process that measures the kernels.
//
// Clock rates drift, neighbours come and go: a percentage is only worth something beside a limit of the same minute. So
// a limit is measured again and again between the kernels, like them, and its median is taken.

#ifndef RECURVE_BENCH_LIMITS_H_
#define RECURVE_BENCH_LIMITS_H_

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "runtime/aligned_memory.h"
#include "runtime/team.h"

namespace recurve::bench {

constexpr int kMaxThreads = 2;

// A level of the memory hierarchy.
struct Level {
  std::string name;        // "L1", "L2", "L3" or "DRAM"
  size_t capacity_bytes;   // of one core, or of all together if shared; DRAM: without bound
  bool is_shared = false;  // by all cores
  size_t measured_bytes;   // what is read over and over to measure it, by all threads together if shared
};

// The levels of this machine as the system describes them, the fastest first.
std::vector<Level> MemoryLevels();

// All figures by number of threads, 0 where nothing was measured. Those of a filter that left limits out are 0.
struct Limits {
  double operations[kMaxThreads + 1] = {};  // floating-point operations a second
  struct Bandwidth {
    Level level;
    double bytes[kMaxThreads + 1] = {};  // read a second, all threads together
  };
  std::vector<Bandwidth> bandwidths;
  double barrier_seconds = 0;  // two threads
  double cycles = 0;           // a second
};

// Runs the loops of machine.h on one or two threads.
class LimitLoops {
 public:
  explicit LimitLoops(std::shared_ptr<Team> team) : team_(std::move(team)) {}

  // Each runs once, a few milliseconds, and returns how much it did: operations, bytes, barriers, cycles.
  double Multiply(int threads);
  double Read(const Level& level, int threads);
  double Meet();
  double Count();

 private:
  // Calls `work(index)` in `threads` threads at once.
  template <typename Work>
  void Together(int threads, Work work);

  std::shared_ptr<Team> team_;
  AlignedMemory memory_[kMaxThreads];
};

}  // namespace recurve::bench

#endif  // RECURVE_BENCH_LIMITS_H_

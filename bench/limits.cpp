// bench/limits.cpp: cache sizes from the system; the loops of machine.h on one or two threads.

#include "bench/limits.h"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <limits>

#include "bench/machine.h"

namespace recurve::bench {
namespace {

constexpr size_t kMultiplyRounds = 200'000, kBarriers = 2'000, kCycles = 10'000'000;
// A measurement reads this much, from DRAM at least twice the last cache.
constexpr size_t kReadBytes = size_t{64} << 20, kDramBytes = size_t{256} << 20;

// A cache that processor 0 sees: its size, and whether others see it too. Zero where the system does not tell.
struct Cache {
  size_t bytes = 0;
  bool is_shared = false;
};
Cache FindCache(int level) {
  for (int index = 0; index < 8; ++index) {
    const std::string folder = fmt::format("/sys/devices/system/cpu/cpu0/cache/index{}/", index);
    auto word = [&](const char* name) {
      std::string text;
      std::ifstream(folder + name) >> text;
      return text;
    };
    if (word("level") != std::to_string(level) || word("type") == "Instruction") continue;
    const std::string size = word("size"), processors = word("shared_cpu_list");
    if (size.empty()) continue;
    const size_t unit = size.back() == 'M' ? size_t{1} << 20 : size.back() == 'K' ? size_t{1} << 10 : 1;
    return {std::stoul(size) * unit, processors.find_first_of(",-") != std::string::npos};
  }
  return {};
}

volatile float sink;

}  // namespace

std::vector<Level> MemoryLevels() {
  Cache caches[] = {FindCache(1), FindCache(2), FindCache(3)};
  const size_t usual[] = {size_t{32} << 10, size_t{1} << 20, size_t{16} << 20};
  for (int i = 0; i < 3; ++i) {
    if (caches[i].bytes == 0) caches[i] = {usual[i], i == 2};
  }
  const auto [l1, l2, l3] = caches;
  // Well inside a level, well outside the one before.
  return {{"L1", l1.bytes, l1.is_shared, l1.bytes * 3 / 4},
          {"L2", l2.bytes, l2.is_shared, l2.bytes / 2},
          {"L3", l3.bytes, l3.is_shared, std::max(4 * l2.bytes, l3.bytes / 4)},
          {"DRAM", std::numeric_limits<size_t>::max(), true, std::max(kDramBytes, 2 * l3.bytes)}};
}

// work(i) for every i below `threads`, at the same time.
template <typename Work>
void LimitLoops::Together(int threads, Work work) {
  if (threads == 1) return work(0);
  const recurve_team& team = team_->lent();
  team.parallel_for(&team, [](void* called, size_t i) { (*static_cast<Work*>(called))(i); }, &work);
}

double LimitLoops::Multiply(int threads) {
  Together(threads, [](size_t) { sink = RunFma(kMultiplyRounds).result; });
  return threads * RunFma(1).operations * kMultiplyRounds;
}

double LimitLoops::Read(const Level& level, int threads) {
  const size_t bytes = level.is_shared ? level.measured_bytes / static_cast<size_t>(threads) : level.measured_bytes;
  const size_t rounds = std::max<size_t>(1, kReadBytes / bytes);
  for (int i = 0; i < threads; ++i) memory_[i].Reserve(bytes);
  Together(threads, [&](size_t index) {
    const auto* data = reinterpret_cast<const float*>(memory_[index].data());
    sink = bench::Read(data, bytes, rounds);
  });
  return static_cast<double>(threads) * static_cast<double>(rounds * bytes);
}

double LimitLoops::Meet() {
  const recurve_team& team = team_->lent();
  Together(2, [&](size_t index) {
    for (size_t i = 0; i < kBarriers; ++i) team.barrier(&team, index);
  });
  return kBarriers;
}

double LimitLoops::Count() {
  RunCycles(kCycles);
  return kCycles;
}

}  // namespace recurve::bench

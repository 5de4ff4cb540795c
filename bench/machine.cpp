// bench/machine.cpp: multiply-add and read loops, one instance per vector unit.

#include "bench/machine.h"

#include <fstream>

#ifdef __x86_64__
#include <immintrin.h>
#endif

namespace recurve::bench {
namespace {

// Each accumulator is a chain of its own: with a latency of 4 to 5 cycles and two units, ten chains are enough. The
// factor is just below 1, so that values stay normal however long the loop runs. Volatile, since a compiler that knows
// the numbers runs the loop itself.
volatile float start_value = 0.5f, factor_value = 0.999999f, term_value = 1e-6f;

// The body of both functions for one vector type; the target attribute of the caller must allow its instructions, which
// a template cannot inherit.
#define RECURVE_FMA_LOOP(Vector, chains, splat, fma, lane_sum)                    \
  Vector factor = splat(factor_value), term = splat(term_value);                  \
  Vector sums[chains];                                                            \
  _Pragma("GCC unroll 32") for (auto& sum : sums) sum = splat(start_value);       \
  for (size_t round = 0; round < rounds; ++round) {                               \
    _Pragma("GCC unroll 32") for (auto& sum : sums) sum = fma(sum, factor, term); \
  }                                                                               \
  float total = 0;                                                                \
  for (const auto& sum : sums) total += lane_sum(sum);                            \
  return {2.0 * sizeof(Vector) / sizeof(float) * (chains) * static_cast<double>(rounds), total};

// The block is read as several runs of consecutive lines at once, each with sums of its own: one run alone does not
// keep enough lines in flight beyond L2, and too few sums would wait for their additions in L1. Lanes are added up
// once, after all times: of a block in L1 that takes as long as to read it.
#define RECURVE_READ_LOOP(Vector, splat, load, add, lane_sum)                                                         \
  constexpr size_t kRuns = 4, kSums = 2, kLanes = sizeof(Vector) / sizeof(float), kChunk = kSums * kLanes;            \
  Vector sums[kRuns][kSums];                                                                                          \
  _Pragma("GCC unroll 4") for (auto& run : sums) { _Pragma("GCC unroll 2") for (auto& sum : run) sum = splat(0.0f); } \
  const size_t chunks = bytes / sizeof(float) / (kRuns * kChunk), run_length = chunks * kChunk;                       \
  for (size_t time = 0; time < times; ++time) {                                                                       \
    for (size_t i = 0; i < run_length; i += kChunk) {                                                                 \
      _Pragma("GCC unroll 4") for (size_t r = 0; r < kRuns; ++r) {                                                    \
        _Pragma("GCC unroll 2") for (size_t s = 0; s < kSums; ++s) sums[r][s] =                                       \
            add(sums[r][s], load(data + r * run_length + i + s * kLanes));                                            \
      }                                                                                                               \
    }                                                                                                                 \
  }                                                                                                                   \
  float total = 0;                                                                                                    \
  for (const auto& run : sums) {                                                                                      \
    for (const auto& sum : run) total += lane_sum(sum);                                                               \
  }                                                                                                                   \
  return total;

#ifdef __x86_64__
__attribute__((target("avx2,fma"))) float LaneSum256(__m256 v) {
  alignas(32) float lanes[8];
  _mm256_store_ps(lanes, v);
  float sum = 0;
  for (float lane : lanes) sum += lane;
  return sum;
}
__attribute__((target("avx2,fma"))) FmaWork RunFma256(size_t rounds) {
  RECURVE_FMA_LOOP(__m256, 12, _mm256_set1_ps, _mm256_fmadd_ps, LaneSum256)
}
__attribute__((target("avx2,fma"))) float Read256(const float* data, size_t bytes, size_t times) {
  RECURVE_READ_LOOP(__m256, _mm256_set1_ps, _mm256_loadu_ps, _mm256_add_ps, LaneSum256)
}

__attribute__((target("avx512f"))) float LaneSum512(__m512 v) {
  alignas(64) float lanes[16];
  _mm512_store_ps(lanes, v);
  float sum = 0;
  for (float lane : lanes) sum += lane;
  return sum;
}
__attribute__((target("avx512f"))) FmaWork RunFma512(size_t rounds) {
  RECURVE_FMA_LOOP(__m512, 24, _mm512_set1_ps, _mm512_fmadd_ps, LaneSum512)
}
__attribute__((target("avx512f"))) float Read512(const float* data, size_t bytes, size_t times) {
  RECURVE_READ_LOOP(__m512, _mm512_set1_ps, _mm512_loadu_ps, _mm512_add_ps, LaneSum512)
}

bool HasAvx512() { return __builtin_cpu_supports("avx512f"); }
bool HasAvx2() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }
#endif

// Any other processor: four lanes, and whatever the compiler makes of them.
using Four __attribute__((vector_size(16))) = float;
Four SplatFour(float value) { return Four{value, value, value, value}; }
Four FmaFour(Four a, Four b, Four c) { return a * b + c; }
Four AddFour(Four a, Four b) { return a + b; }
Four LoadFour(const float* data) { return Four{data[0], data[1], data[2], data[3]}; }
float LaneSumFour(Four v) { return v[0] + v[1] + v[2] + v[3]; }
FmaWork RunFmaGeneric(size_t rounds) { RECURVE_FMA_LOOP(Four, 12, SplatFour, FmaFour, LaneSumFour) }
float ReadGeneric(const float* data, size_t bytes, size_t times) {
  RECURVE_READ_LOOP(Four, SplatFour, LoadFour, AddFour, LaneSumFour)
}

}  // namespace

FmaWork RunFma(size_t rounds) {
#ifdef __x86_64__
  if (HasAvx512()) return RunFma512(rounds);
  if (HasAvx2()) return RunFma256(rounds);
#endif
  return RunFmaGeneric(rounds);
}

float Read(const float* data, size_t bytes, size_t times) {
#ifdef __x86_64__
  if (HasAvx512()) return Read512(data, bytes, times);
  if (HasAvx2()) return Read256(data, bytes, times);
#endif
  return ReadGeneric(data, bytes, times);
}

void RunCycles(size_t cycles) {
  size_t sum = 0, term = cycles;
  for (size_t i = 0; i < cycles; i += 16) {
    // The empty instruction makes the compiler believe that the sum changed, or it would multiply instead.
#pragma GCC unroll 16
    for (int link = 0; link < 16; ++link) {
      sum += term;
      __asm__ volatile("" : "+r"(sum));
    }
  }
}

std::string VectorUnit() {
#ifdef __x86_64__
  if (HasAvx512()) return "AVX-512";
  if (HasAvx2()) return "AVX2";
#endif
  return "generic";
}

std::string ProcessorName() {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);) {
    if (line.starts_with("model name")) return line.substr(line.find(':') + 2);
  }
  return "unknown processor";
}

}  // namespace recurve::bench

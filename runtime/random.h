// runtime/random.h: random numbers that are the same bits on every machine.
//
// A counter-based generator: number n of stream s under seed k is a function of (k, s, n) alone, so any part of a
// sequence can be had without the part before it, and saving a position is saving one number. Distributions use integer
// arithmetic, comparisons, correctly rounded operations and explicit fma only: no library function, nothing that a
// compiler may contract differently.
// Sources: Salmon, Moraes, Dror & Shaw 2011, Parallel random numbers: as easy as 1, 2, 3 (Philox 4x32-10);
//   Lemire 2019, Fast random integer generation in an interval; Karney 2016, Sampling exactly from the normal
//   distribution (algorithm N).

#ifndef RECURVE_RUNTIME_RANDOM_H_
#define RECURVE_RUNTIME_RANDOM_H_

#include <array>
#include <cmath>
#include <cstdint>
#include <string_view>
#include <utility>

namespace recurve {

// One block of four words; a bijection of the counter for every key.
inline std::array<uint32_t, 4> Philox(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key) {
  for (int round = 0; round < 10; ++round) {
    const uint64_t a = uint64_t{0xD2511F53} * counter[0];
    const uint64_t b = uint64_t{0xCD9E8D57} * counter[2];
    counter = {static_cast<uint32_t>(b >> 32) ^ counter[1] ^ key[0], static_cast<uint32_t>(b),
               static_cast<uint32_t>(a >> 32) ^ counter[3] ^ key[1], static_cast<uint32_t>(a)};
    key = {key[0] + 0x9E3779B9, key[1] + 0xBB67AE85};
  }
  return counter;
}

// A stream number from a name (FNV-1a).
constexpr uint64_t StreamOf(std::string_view name) {
  uint64_t hash = 0xcbf29ce484222325;
  for (const char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  return hash;
}

class Random {
 public:
  explicit Random(uint64_t seed, uint64_t stream = 0) : seed_(seed), stream_(stream) {}

  // The next 32 random bits.
  uint32_t Bits() {
    const uint64_t block = position_ / 4;
    if (block != block_ || !has_block_) {
      words_ = Philox({Low(block), High(block), Low(stream_), High(stream_)}, {Low(seed_), High(seed_)});
      block_ = block;
      has_block_ = true;
    }
    return words_[position_++ % 4];
  }

  // Uniform in [0, 1), a multiple of 2^-53.
  double Uniform() {
    const uint64_t high = Bits() >> 5, low = Bits() >> 6;  // 27 and 26 bits
    return static_cast<double>(high << 26 | low) * 0x1p-53;
  }
  double Uniform(double from, double to) { return std::fma(to - from, Uniform(), from); }

  // Normal with mean 0 and deviation 1.
  double Normal() {
    for (;;) {
      // k with probability proportional to exp(-k^2 / 2), x in [0, 1) with density exp(-x (2k + x) / 2).
      int k = 0;
      while (Chance(0.5)) ++k;
      if (!AllChances(k * (k - 1), 0.5)) continue;
      const double x = Uniform();
      if (!AllChances(k + 1, x * (2 * k + x) / (2 * k + 2))) continue;
      const double y = k + x;
      return (Bits() & 1) != 0 ? y : -y;
    }
  }
  double Normal(double mean, double deviation) { return std::fma(deviation, Normal(), mean); }

  // Uniform in [0, limit), limit > 0.
  uint32_t Below(uint32_t limit) {
    uint64_t product = uint64_t{Bits()} * limit;
    if (static_cast<uint32_t>(product) < limit) {
      const uint32_t threshold = -limit % limit;
      while (static_cast<uint32_t>(product) < threshold) product = uint64_t{Bits()} * limit;
    }
    return static_cast<uint32_t>(product >> 32);
  }

  // A uniformly random order of fewer than 2^32 elements.
  template <typename Range>
  void Shuffle(Range& range) {
    for (uint32_t i = static_cast<uint32_t>(range.size()); i > 1; --i) std::swap(range[i - 1], range[Below(i)]);
  }

  // How many words have been drawn; a generator set to that position goes on from there.
  uint64_t position() const { return position_; }
  void SetPosition(uint64_t position) { position_ = position; }

 private:
  static uint32_t Low(uint64_t word) { return static_cast<uint32_t>(word); }
  static uint32_t High(uint64_t word) { return static_cast<uint32_t>(word >> 32); }

  // True with probability exp(-p), 0 <= p <= 1: a falling run p > u1 > u2 > ... has even length (von Neumann 1951).
  bool Chance(double p) {
    bool is_even = true;
    for (double last = p;; is_even = !is_even) {
      const double next = Uniform();
      if (next >= last) return is_even;
      last = next;
    }
  }
  bool AllChances(int count, double p) {
    for (int i = 0; i < count; ++i) {
      if (!Chance(p)) return false;
    }
    return true;
  }

  uint64_t seed_;
  uint64_t stream_;
  uint64_t position_ = 0;
  uint64_t block_ = 0;
  bool has_block_ = false;
  std::array<uint32_t, 4> words_{};
};

}  // namespace recurve

#endif  // RECURVE_RUNTIME_RANDOM_H_

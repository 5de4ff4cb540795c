// The generator's published answers, and that its distributions are what they say.

#include "runtime/random.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <vector>

#include <gtest/gtest.h>

namespace recurve {
namespace {

// Rows of kat_vectors, Random123 (Salmon et al. 2011).
TEST(Random, PhiloxGivesThePublishedAnswers) {
  using Words = std::array<uint32_t, 4>;
  EXPECT_EQ(Philox({0, 0, 0, 0}, {0, 0}), (Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(Philox({~0u, ~0u, ~0u, ~0u}, {~0u, ~0u}), (Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(Philox({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
            (Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(Random, PositionIsTheWholeState) {
  Random a(5, 6);
  for (int i = 0; i < 7; ++i) a.Bits();
  Random b(5, 6);
  b.SetPosition(a.position());
  for (int i = 0; i < 9; ++i) EXPECT_EQ(a.Bits(), b.Bits());
}

TEST(Random, StreamsDiffer) {
  EXPECT_NE(Random(1, 1).Bits(), Random(1, 2).Bits());
  EXPECT_NE(Random(1, 1).Bits(), Random(2, 1).Bits());
}

// The share of samples below each point, against the normal distribution. 4.5 deviations of a share of n samples is
// exceeded once in 150 000 points; the seed is fixed, so the test does not flicker.
TEST(Random, NormalHasTheNormalDistribution) {
  constexpr int kSamples = 200000;
  Random random(3);
  std::vector<double> samples(kSamples);
  for (double& sample : samples) sample = random.Normal();
  for (double point = -3.5; point <= 3.5; point += 0.25) {
    const double expected = 0.5 * std::erfc(-point / std::sqrt(2));
    const double share =
        static_cast<double>(std::ranges::count_if(samples, [&](double x) { return x < point; })) / kSamples;
    EXPECT_NEAR(share, expected, 4.5 * std::sqrt(expected * (1 - expected) / kSamples)) << "at " << point;
  }
}

TEST(Random, NormalTakesMeanAndDeviation) {
  Random a(8), b(8);
  EXPECT_EQ(a.Normal(3, 0.5), std::fma(0.5, b.Normal(), 3));
}

TEST(Random, UniformStaysInsideAndFillsTheRange) {
  Random random(4);
  double low = 1, high = 0, sum = 0;
  for (int i = 0; i < 100000; ++i) {
    const double x = random.Uniform();
    low = std::min(low, x);
    high = std::max(high, x);
    sum += x;
  }
  EXPECT_GE(low, 0);
  EXPECT_LT(low, 1e-3);
  EXPECT_LT(high, 1);
  EXPECT_GT(high, 1 - 1e-3);
  EXPECT_NEAR(sum / 100000, 0.5, 4.5 * std::sqrt(1.0 / 12 / 100000));
}

TEST(Random, BelowIsEven) {
  Random random(9);
  int counts[7] = {};
  for (int i = 0; i < 70000; ++i) ++counts[random.Below(7)];
  for (const int count : counts) EXPECT_NEAR(count, 10000, 4.5 * std::sqrt(10000.0));
}

TEST(Random, ShuffleKeepsTheElements) {
  std::vector<int> order(100);
  std::iota(order.begin(), order.end(), 0);
  Random random(2);
  random.Shuffle(order);
  EXPECT_FALSE(std::ranges::is_sorted(order));
  std::ranges::sort(order);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(order[static_cast<size_t>(i)], i);
}

}  // namespace
}  // namespace recurve

// tests/lanes/horizontal_test.cpp: sums and maxima over the lanes, in their fixed order.

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <numeric>

#include "tests/lanes/lane_kernel.h"

namespace recurve {
namespace {

LaneFormula Sum() {
  return [](LaneBuilder& lanes, Lane a, Lane, Lane) { return lanes.Splat(lanes.HorizontalSum(a)); };
}
LaneFormula Max() {
  return [](LaneBuilder& lanes, Lane a, Lane, Lane) { return lanes.Splat(lanes.HorizontalMax(a)); };
}

// The upper half is added to the lower one until one lane is left; the first half is the longer one.
float SumByHalves(std::vector<float> lanes) {
  while (lanes.size() > 1) {
    size_t half = (lanes.size() + 1) / 2;
    for (size_t i = half; i < lanes.size(); ++i) lanes[i - half] += lanes[i];
    lanes.resize(half);
  }
  return lanes[0];
}

std::vector<float> Unequal(int width) {
  std::vector<float> lanes(width);
  for (int i = 0; i < width; ++i) lanes[i] = std::exp2(static_cast<float>(7 * i % 29)) / 3;
  return lanes;
}

constexpr int kWidths[] = {1, 2, 3, 4, 5, 7, 8, 16};

TEST(HorizontalSum, AddsHalvesInEveryWidth) {
  for (int width : kWidths) {
    LaneKernel<float> sum({.width = width}, Sum());
    EXPECT_EQ(sum(Unequal(width)), std::vector(width, SumByHalves(Unequal(width)))) << width;
  }
}

TEST(HorizontalSum, OfNegativeZerosIsNegativeZero) {
  LaneKernel<float> sum({.width = 5}, Sum());
  EXPECT_TRUE(std::signbit(sum(std::vector(5, -0.0F))[0]));
}

TEST(HorizontalMax, FindsTheLargestInEveryLane) {
  for (int width : kWidths) {
    LaneKernel<float> max({.width = width}, Max());
    for (int largest = 0; largest < width; ++largest) {
      std::vector<float> lanes(width, -3.0F);
      lanes[largest] = -2.0F;
      EXPECT_EQ(max(lanes)[0], -2.0F) << width << ' ' << largest;
    }
  }
}

TEST(HorizontalMax, IsNanWhereALaneIs) {
  for (int width : kWidths) {
    LaneKernel<float> max({.width = width}, Max());
    for (int lane = 0; lane < width; ++lane) {
      std::vector<float> lanes(width, 1.0F);
      lanes[lane] = std::numeric_limits<float>::quiet_NaN();
      EXPECT_TRUE(std::isnan(max(lanes)[0])) << width << ' ' << lane;
    }
  }
}

}  // namespace
}  // namespace recurve

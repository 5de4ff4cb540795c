// tests/lanes/storage_test.cpp: every 16-bit number widens to itself, and every f32 rounds to the nearest one.

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

#include "compiler/lane_storage.h"
#include "compiler/target.h"
#include "tests/lanes/lane_kernel.h"

namespace recurve {
namespace {

// The value of a 16-bit number, from its definition.
double ValueOf(uint16_t bits, Storage storage) {
  const int mantissa_bits = storage == Storage::kBf16 ? 7 : 10, exponent_bits = 15 - mantissa_bits;
  const int mantissa = bits & ((1 << mantissa_bits) - 1), top = (1 << exponent_bits) - 1;
  const int exponent = (bits >> mantissa_bits) & top, bias = top / 2;
  const double sign = (bits >> 15) != 0 ? -1 : 1;
  if (exponent == top) return mantissa != 0 ? std::nan("") : sign * std::numeric_limits<double>::infinity();
  if (exponent == 0) return sign * std::ldexp(mantissa, 1 - bias - mantissa_bits);
  return sign * std::ldexp((1 << mantissa_bits) + mantissa, exponent - bias - mantissa_bits);
}

struct Row {
  Storage storage;
  bool half_conversions;
  int width;
};

class Conversions : public testing::TestWithParam<Row> {
 protected:
  void SetUp() override {
    if (GetParam().half_conversions && !MakeTarget({})->facts().half_conversions)
      GTEST_SKIP() << "this machine has no instructions for f16";
  }
  LaneShape Shape() const { return {.width = GetParam().width, .half_conversions = GetParam().half_conversions}; }
  // The stored numbers stand in the low halves of the elements.
  std::vector<float> Widened(const std::vector<float>& stored) const {
    LaneKernel<float> kernel(Shape(), [](LaneBuilder& lanes, Lane a, Lane, Lane) {
      llvm::Value* bits = lanes.ir().CreateBitCast(a.value, lanes.bits_type());
      llvm::Type* narrow = bits->getType()->getWithNewBitWidth(16);
      return Widen(lanes, lanes.ir().CreateTrunc(bits, narrow), GetParam().storage);
    });
    return kernel(stored);
  }
  std::vector<float> Narrowed(const std::vector<float>& values) const {
    LaneKernel<float> kernel(Shape(), [](LaneBuilder& lanes, Lane a, Lane, Lane) {
      llvm::Value* wide = lanes.ir().CreateZExt(Narrow(a, GetParam().storage), lanes.bits_type());
      return lanes.Wrap(lanes.ir().CreateBitCast(wide, lanes.type()));
    });
    return kernel(values);
  }
};

TEST_P(Conversions, WidenEveryNumber) {
  std::vector<float> stored;
  for (uint32_t bits = 0; bits < 0x10000; ++bits) stored.push_back(std::bit_cast<float>(bits));
  const std::vector<float> widened = Widened(stored);
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const double expected = ValueOf(static_cast<uint16_t>(bits), GetParam().storage);
    if (std::isnan(expected)) {
      ASSERT_TRUE(std::isnan(widened[bits])) << bits;
    } else {
      ASSERT_EQ(widened[bits], expected) << bits;
      ASSERT_EQ(std::signbit(widened[bits]), std::signbit(expected)) << bits;
    }
  }
}

// Each number, the middle of it and the next one, and the f32 on both sides of the middle.
TEST_P(Conversions, RoundToTheNearestTiesToEven) {
  const Storage storage = GetParam().storage;
  const uint32_t infinity = storage == Storage::kBf16 ? 0x7f80 : 0x7c00;
  std::vector<float> values;
  std::vector<uint32_t> expected;
  auto add = [&](float value, uint32_t bits) {
    for (uint32_t sign : {0u, 0x8000u}) {
      values.push_back(sign != 0 ? -value : value);
      expected.push_back(bits | sign);
    }
  };
  for (uint32_t bits = 0; bits < infinity; ++bits) {
    const double here = ValueOf(static_cast<uint16_t>(bits), storage);
    // What would come after the largest number is where infinity begins to be nearer.
    const double next = bits + 1 < infinity ? ValueOf(static_cast<uint16_t>(bits + 1), storage)
                                            : 2 * here - ValueOf(static_cast<uint16_t>(bits - 1), storage);
    const auto middle = static_cast<float>((here + next) / 2);
    add(static_cast<float>(here), bits);
    add(middle, bits % 2 == 0 ? bits : bits + 1);
    add(std::nextafter(middle, 0.0f), bits);
    add(std::nextafter(middle, std::numeric_limits<float>::infinity()), bits + 1);
  }
  add(std::numeric_limits<float>::infinity(), infinity);
  add(std::numeric_limits<float>::max(), infinity);
  const std::vector<float> narrowed = Narrowed(values);
  for (size_t i = 0; i < values.size(); ++i)
    ASSERT_EQ(std::bit_cast<uint32_t>(narrowed[i]), expected[i]) << std::hexfloat << values[i];
}

TEST_P(Conversions, KeepNan) {
  std::vector<float> nans;
  for (uint32_t bits : {0x7f800001u, 0x7fc00000u, 0x7fffffffu, 0xff800001u, 0xffffffffu})
    nans.push_back(std::bit_cast<float>(bits));
  for (float narrowed : Narrowed(nans)) {
    const auto bits = static_cast<uint16_t>(std::bit_cast<uint32_t>(narrowed));
    EXPECT_TRUE(std::isnan(ValueOf(bits, GetParam().storage))) << bits;
  }
}

INSTANTIATE_TEST_SUITE_P(Storage, Conversions,
                         testing::Values(Row{Storage::kBf16, false, 1}, Row{Storage::kBf16, false, 8},
                                         Row{Storage::kBf16, false, 16}, Row{Storage::kF16, false, 1},
                                         Row{Storage::kF16, false, 8}, Row{Storage::kF16, false, 16},
                                         Row{Storage::kF16, true, 1}, Row{Storage::kF16, true, 2},
                                         Row{Storage::kF16, true, 8}, Row{Storage::kF16, true, 16}),
                         [](const auto& info) {
                           const Row& row = info.param;
                           return std::string(row.storage == Storage::kBf16 ? "bf16" : "f16") +
                                  (row.half_conversions ? "Instructions" : "Arithmetic") + std::to_string(row.width);
                         });

}  // namespace
}  // namespace recurve

// compiler/lane_storage.cpp: conversions between f32 and 16 bits. The integer forms of f16 follow Giesen 2012,
// half_to_float and float_to_half (fgiesen.wordpress.com, public domain).

#include "compiler/lane_storage.h"

#include "compiler/lane_bits.h"

namespace recurve {
namespace {

using lane_math::Bits;
using lane_math::BitsOf;
using lane_math::FromBits;
using lane_math::LikeBits;

constexpr uint64_t kSign = 0x80000000, kInfinity = 0x7f800000;
constexpr int kMantissaGap = 23 - 10;                // bits of f32's mantissa that f16 lacks
constexpr uint64_t kRebias = (127 - 15) << 23;       // between the exponents of f16 and f32
constexpr uint64_t kLeastNormal = (127 - 14) << 23;  // 2^-14, f16's least normal number, as f32
constexpr uint64_t kHalfInfinity = 0x7c00, kHalfNan = 0x7e00;

llvm::Type* Shaped(LaneBuilder& lanes, llvm::Type* element) {
  return lanes.shape().width == 1 ? element : llvm::FixedVectorType::get(element, lanes.shape().width);
}

Bits Select(llvm::Value* condition, Bits a, Bits b) {
  return {a.lanes, Ir(a).CreateSelect(condition, a.value, b.value)};
}
llvm::Value* IsBelow(Bits a, uint64_t limit) { return Ir(a).CreateICmpULT(a.value, LikeBits(a, limit).value); }

Bits RoundToBf16(Lane a) {
  Bits bits = BitsOf(a);
  Bits rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
  llvm::Value* is_nan = Ir(bits).CreateFCmpUNO(a.value, a.value);
  return Select(is_nan, (bits >> 16) | 0x40, rounded);  // quiet, since the upper half alone may look infinite
}

// A subnormal f16 is m * 2^-24: put beside the mantissa of 2^-14 it is 2^-14 too large.
Lane WidenF16(Bits half) {
  LaneBuilder& lanes = *half.lanes;
  Bits sign = (half & 0x8000) << 16;
  Bits magnitude = (half & 0x7fff) << kMantissaGap;
  Bits normal = magnitude + kRebias;
  Bits special = magnitude | kInfinity;
  llvm::Value* least = LikeBits(half, kLeastNormal).value;
  Lane shifted = FromBits(magnitude + kLeastNormal);
  Lane subnormal = lanes.Wrap(lanes.ir().CreateFSub(shifted.value, lanes.ir().CreateBitCast(least, lanes.type())));
  Bits finite = Select(IsBelow(magnitude, 0x400 << kMantissaGap), BitsOf(subnormal), normal);
  Bits result = Select(IsBelow(magnitude, kHalfInfinity << kMantissaGap), finite, special);
  return FromBits({&lanes, lanes.ir().CreateOr(result.value, sign.value)});
}

// Below 2^-14 the sum with 0.5, whose unit in the last place is 2^-24, rounds.
Bits RoundToF16(Lane a) {
  LaneBuilder& lanes = *a.lanes;
  Bits bits = BitsOf(a);
  Bits sign = (bits & kSign) >> 16;
  Bits magnitude = bits & (kSign - 1);
  constexpr uint64_t kOverflow = (127 + 16) << 23;
  Bits special = Select(IsBelow(magnitude, kInfinity + 1), LikeBits(bits, kHalfInfinity), LikeBits(bits, kHalfNan));
  constexpr uint64_t kHalf = 126 << 23;
  Lane sum = lanes.Wrap(lanes.ir().CreateFAdd(FromBits(magnitude).value, lanes.Constant(0.5).value));
  Bits subnormal = BitsOf(sum) - LikeBits(bits, kHalf);
  Bits odd = (magnitude >> kMantissaGap) & 1;
  Bits normal = (magnitude - LikeBits(bits, kRebias) + 0xfff + odd) >> kMantissaGap;
  Bits finite = Select(IsBelow(magnitude, kLeastNormal), subnormal, normal);
  Bits result = Select(IsBelow(magnitude, kOverflow), finite, special);
  return {&lanes, lanes.ir().CreateOr(result.value, sign.value)};
}

}  // namespace

llvm::Type* StoredElement(LaneBuilder& lanes, Storage storage) {
  return storage == Storage::kSame ? lanes.element_type() : lanes.ir().getInt16Ty();
}

Lane Widen(LaneBuilder& lanes, llvm::Value* stored, Storage storage) {
  llvm::IRBuilder<>& ir = lanes.ir();
  if (storage == Storage::kSame) return lanes.Wrap(stored);
  if (storage == Storage::kF16 && lanes.shape().half_conversions) {
    return lanes.Wrap(ir.CreateFPExt(ir.CreateBitCast(stored, Shaped(lanes, ir.getHalfTy())), lanes.type()));
  }
  Bits bits{&lanes, ir.CreateZExt(stored, lanes.bits_type())};
  return storage == Storage::kBf16 ? FromBits(bits << 16) : WidenF16(bits);
}

Lane WidenOfPair(LaneBuilder& lanes, llvm::Value* words, bool upper) {
  Bits bits{&lanes, words};
  return FromBits(upper ? bits & 0xffff0000 : bits << 16);
}

llvm::Value* Narrow(Lane a, Storage storage) {
  LaneBuilder& lanes = *a.lanes;
  llvm::IRBuilder<>& ir = lanes.ir();
  if (storage == Storage::kSame) return a.value;
  llvm::Type* stored = Shaped(lanes, ir.getInt16Ty());
  if (storage == Storage::kF16 && lanes.shape().half_conversions) {
    return ir.CreateBitCast(ir.CreateFPTrunc(a.value, Shaped(lanes, ir.getHalfTy())), stored);
  }
  Bits rounded = storage == Storage::kBf16 ? RoundToBf16(a) : RoundToF16(a);
  return ir.CreateTrunc(rounded.value, stored);
}

}  // namespace recurve

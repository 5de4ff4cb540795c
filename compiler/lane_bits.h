// compiler/lane_bits.h: the representation of lanes as integers.
//
// A Bits is the vector of integers under a Lane, as wide as its elements. Shifts, masks and sums on it take
// floating-point numbers apart and put them together: 2^n from n, the sign, the exponent.
//
//   Lane magnitude = FromBits(BitsOf(a) & ~SignMask(a));

#ifndef RECURVE_COMPILER_LANE_BITS_H_
#define RECURVE_COMPILER_LANE_BITS_H_

#include <cstdint>

#include "compiler/lanes.h"

namespace recurve::lane_math {

// The bits of a Lane as unsigned integers, which wrap.
struct Bits {
  LaneBuilder* lanes = nullptr;
  llvm::Value* value = nullptr;
};

inline llvm::IRBuilder<>& Ir(Bits a) { return a.lanes->ir(); }
inline Bits LikeBits(Bits a, uint64_t value) { return {a.lanes, llvm::ConstantInt::get(a.lanes->bits_type(), value)}; }

inline Bits operator+(Bits a, Bits b) { return {a.lanes, Ir(a).CreateAdd(a.value, b.value)}; }
inline Bits operator-(Bits a, Bits b) { return {a.lanes, Ir(a).CreateSub(a.value, b.value)}; }
inline Bits operator^(Bits a, Bits b) { return {a.lanes, Ir(a).CreateXor(a.value, b.value)}; }
inline Bits operator+(Bits a, uint64_t b) { return a + LikeBits(a, b); }
inline Bits operator-(uint64_t a, Bits b) { return LikeBits(b, a) - b; }
inline Bits operator&(Bits a, uint64_t b) { return {a.lanes, Ir(a).CreateAnd(a.value, LikeBits(a, b).value)}; }
inline Bits operator|(Bits a, uint64_t b) { return {a.lanes, Ir(a).CreateOr(a.value, LikeBits(a, b).value)}; }
inline Bits operator<<(Bits a, int count) { return {a.lanes, Ir(a).CreateShl(a.value, LikeBits(a, count).value)}; }
inline Bits operator>>(Bits a, int count) { return {a.lanes, Ir(a).CreateLShr(a.value, LikeBits(a, count).value)}; }

inline Bits BitsOf(Lane a) { return {a.lanes, a.lanes->ir().CreateBitCast(a.value, a.lanes->bits_type())}; }
inline Lane FromBits(Bits a) { return a.lanes->Wrap(Ir(a).CreateBitCast(a.value, a.lanes->type())); }

// The position of the sign, which is the highest bit.
inline int SignBit(Lane a) { return 8 * a.lanes->shape().element_bytes - 1; }
inline uint64_t SignMask(Lane a) { return uint64_t{1} << SignBit(a); }

// Whether bit `position` is set. Looking at the sign is free where a select reads it.
inline Mask TestBit(Bits a, int position, int sign_bit) {
  Bits moved = a << (sign_bit - position);
  return {a.lanes, Ir(a).CreateICmpSLT(moved.value, LikeBits(a, 0).value)};
}

}  // namespace recurve::lane_math

#endif  // RECURVE_COMPILER_LANE_BITS_H_

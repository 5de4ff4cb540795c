// compiler/lane_storage.h: lanes of f32 as 16-bit numbers in memory.
//
// Arithmetic is in f32; weights and tape may be stored in half the bytes. Reading widens exactly, writing rounds to the
// nearest number, ties to even. Only generic operations, none of which becomes a library call on any target:
//
//   bf16   the upper half of an f32: shifts, and an addition that rounds
//   f16    LLVM's conversions where the target has instructions for them (LaneShape::half_conversions), else integer
//          and f32 arithmetic that neither reads nor makes subnormal f32, so that a unit that flushes those is right
//          too
//
// Not fptrunc to bfloat: it is a library call on most targets, and flushes subnormal numbers on x86.

#ifndef RECURVE_COMPILER_LANE_STORAGE_H_
#define RECURVE_COMPILER_LANE_STORAGE_H_

#include "compiler/interface.h"
#include "compiler/lanes.h"

namespace recurve {

// The element of a stored vector: the lanes' own, or i16.
llvm::Type* StoredElement(LaneBuilder& lanes, Storage storage);

// The stored numbers as lanes. `stored` has as many elements as the lanes (a scalar for one).
//   Lanes   f32 (any for kSame)          Range   all; NaN stays NaN
//   Error   none
Lane Widen(LaneBuilder& lanes, llvm::Value* stored, Storage storage);

// Of a pair of bf16 in each 32-bit word the one in the lower or the upper half.
Lane WidenOfPair(LaneBuilder& lanes, llvm::Value* words, bool upper);

// The lanes as stored numbers.
//   Range   all; NaN stays NaN, what exceeds the largest number by half a unit or more becomes infinite
//   Error   half a unit in the last place: 2^-9 relative for bf16, 2^-12 for f16 (2^-25 absolute below 2^-14)
llvm::Value* Narrow(Lane a, Storage storage);

}  // namespace recurve

#endif  // RECURVE_COMPILER_LANE_STORAGE_H_

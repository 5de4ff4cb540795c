// compiler/lanes.h: vector values of one target, with the operators that the formulas of ir/ops.def use.
//
// A Lane is an LLVM value of type <N x float>, <N x double>, or the scalar type when N is 1. A Mask is the matching
// vector of i1. Both remember the builder that makes code for them, so that a formula reads like arithmetic:
//
//   LaneBuilder lanes(ir_builder, {.element_bytes = 4, .width = 8, .fused_multiply_add = true});
//   Lane y = lanes.Elementwise(ir::Op::kSigmoid, {{x}});
//
// Contains no target intrinsics: generic vector types and llvm.fma (or llvm.fmuladd) only. No fast-math flags.

#ifndef RECURVE_COMPILER_LANES_H_
#define RECURVE_COMPILER_LANES_H_

#include <llvm/IR/IRBuilder.h>

#include <span>

#include "compiler/interface.h"
#include "ir/graph.h"

namespace recurve {

struct LaneShape {
  int element_bytes = 4;           // 4: float, 8: double
  int width = 8;                   // lanes in a vector; 1 is a scalar
  bool fused_multiply_add = true;  // false: llvm.fmuladd, where the target has no fused instruction
  bool half_conversions = false;   // fpext from and fptrunc to f16 are instructions and not calls
  bool scalar_selects = true;      // false: a scalar is selected by its bits, where LLVM would make a branch of it
  MathAccuracy math = MathAccuracy::kAccurate;
};

class LaneBuilder;

struct Lane {
  LaneBuilder* lanes = nullptr;
  llvm::Value* value = nullptr;
};

struct Mask {
  LaneBuilder* lanes = nullptr;
  llvm::Value* value = nullptr;
};

class LaneBuilder {
 public:
  LaneBuilder(llvm::IRBuilder<>& ir, LaneShape shape) : ir_(ir), shape_(shape) {}

  llvm::IRBuilder<>& ir() { return ir_; }
  const LaneShape& shape() const { return shape_; }
  llvm::Type* element_type() const;
  llvm::Type* type() const;  // the vector, or the element when width is 1
  // The integers as wide as an element, in the same shape: the bits of a Lane.
  llvm::Type* bits_type() const;

  Lane Wrap(llvm::Value* value) { return {this, value}; }
  Lane Constant(double value);
  // The scalar in every lane.
  Lane Splat(llvm::Value* scalar);
  // a * b + c with one rounding where the target has it.
  Lane FusedMultiplyAdd(Lane a, Lane b, Lane c);
  // The value column of an elementwise row of ir/ops.def; one operand per arity. Also `random`, of five operands.
  Lane Elementwise(ir::Op op, std::span<const Lane> operands);
  // The lanes of a longer vector, or of one as long, from `first` on.
  llvm::Value* LanesOf(llvm::Value* vector, int first);
  // Sum or maximum over the lanes, in a fixed order (halves): a scalar. A NaN in any lane is the result.
  llvm::Value* HorizontalSum(Lane a);
  llvm::Value* HorizontalMax(Lane a);

 private:
  Lane Random(std::span<const Lane> operands);
  // Folds the upper half onto the lower one until one lane is left; `identity` stands in where a half is too short.
  template <typename Combine>
  llvm::Value* Fold(llvm::Value* value, double identity, Combine combine);

  llvm::IRBuilder<>& ir_;
  LaneShape shape_;
};

}  // namespace recurve

#endif  // RECURVE_COMPILER_LANES_H_

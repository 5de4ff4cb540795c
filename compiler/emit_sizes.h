// compiler/emit_sizes.h: sizes as code: of chunks, and of the regions of workspace and tape.

#ifndef RECURVE_COMPILER_EMIT_SIZES_H_
#define RECURVE_COMPILER_EMIT_SIZES_H_

#include <functional>
#include <string>
#include <vector>

#include "compiler/emit_kernel.h"

namespace recurve {

// The size of the axis with that name, of a program or of chunks.
using AxisFunction = std::function<Value*(const std::string&)>;

// A size in elements.
Value* EmitSize(llvm::IRBuilder<>& builder, const EmitTypes& types, const Size& size, const AxisFunction& axis);
// The steps of the longest chunk (plan.h says how many), at most all.
Value* EmitChunkSteps(llvm::IRBuilder<>& builder, const EmitTypes& types, const Chunks& chunks,
                      const AxisFunction& axis);
// How many chunks of `steps` there are of `all` the steps that they cut.
Value* EmitChunkCount(llvm::IRBuilder<>& builder, const EmitTypes& types, Value* all, Value* steps);

// Where regions of one memory begin (plan.h says how they lie).
class Regions {
 public:
  Regions(llvm::IRBuilder<>& builder, const EmitTypes& types, AxisFunction axis)
      : builder_(builder), types_(types), axis_(std::move(axis)), end_(types.Word(0)) {}

  // Bytes before the region's first element, an element of which takes `bytes`.
  Value* Add(const Buffer& buffer, int bytes);
  Value* Bytes() const { return end_; }

 private:
  llvm::IRBuilder<>& builder_;
  const EmitTypes& types_;
  AxisFunction axis_;
  Value* end_;
};

// Adds word NAME(const word* extents): the bytes that the regions take. `chunks` are those whose names sizes mention.
void EmitBytes(EmitModule& emit, const std::string& name, const std::vector<Chunks>& chunks,
               const std::function<void(Regions&)>& add);

// Code around kernels runs once a call or a step. Where its size is no matter LLVM shall translate it quickly and not
// look for a better form: that is a fifth of the time that a compilation takes.
void TranslateQuickly(const EmitTypes& types, llvm::Function& function);

}  // namespace recurve

#endif  // RECURVE_COMPILER_EMIT_SIZES_H_

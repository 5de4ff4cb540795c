// compiler/emit_pack.h: weights rearranged into panels, column by column.

#ifndef RECURVE_COMPILER_EMIT_PACK_H_
#define RECURVE_COMPILER_EMIT_PACK_H_

#include <functional>

#include "compiler/emit_kernel.h"

namespace recurve {

// Writes the blocks [begin, end) of a panel set to its place behind `packed`; `buffer` gives the address of a buffer of
// the entry. What a panel holds beyond the last unit is zero.
void EmitPacking(EmitModule& emit, llvm::IRBuilder<>& builder, const Panels& panels, Value* packed,
                 const std::function<Value*(int)>& buffer, Value* begin, Value* end);

}  // namespace recurve

#endif  // RECURVE_COMPILER_EMIT_PACK_H_

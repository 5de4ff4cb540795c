// compiler/emit.h: a plan into LLVM code, literally.
//
// Every kernel becomes an internal function of the entry's frame and the loop indices around it; register tiles are
// internal functions that never inline, so that nothing of the lane programs is hoisted over their loops. An entry
// fills its frame (sizes, buffer addresses, thread) and walks the statements.

#ifndef RECURVE_COMPILER_EMIT_H_
#define RECURVE_COMPILER_EMIT_H_

#include "compiler/plan.h"

namespace llvm {
class Module;
}  // namespace llvm

namespace recurve {

// Adds code for every entry of the plan, and the functions that size workspace and tape, to a module that a target has
// configured; without the descriptor.
void Emit(const Plan& plan, llvm::Module& module);

}  // namespace recurve

#endif  // RECURVE_COMPILER_EMIT_H_

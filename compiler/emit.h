// compiler/emit.h: a plan into LLVM code, literally.
//
// Every kernel becomes an internal function of the entry's frame and the loop indices around it; register tiles are
// internal functions that never inline, so that nothing of the lane programs is hoisted over their loops. An entry
// fills its frame (sizes, buffer addresses, thread) and walks the statements.

#ifndef RECURVE_COMPILER_EMIT_H_
#define RECURVE_COMPILER_EMIT_H_

#include <span>
#include <string>
#include <vector>

#include "compiler/plan.h"

namespace llvm {
class Module;
}  // namespace llvm

namespace recurve {

// A function that an entry calls and that stands by itself: a kernel, or all of an entry for a batch of one.
struct PlannedFunction {
  std::string name;
  int entry = 0;           // index into Plan::entries
  int kernel = -1;         // index into EntryPlan::kernels; -1: all of them, for a batch of one
  std::vector<int> loops;  // numbers of the time loops around the call, outermost first
  bool one_row = false;    // of a kernel: for a batch of one
};

// Adds code for every entry of the plan, and the functions that size workspace and tape, to a module that a target has
// configured; without the descriptor.
void Emit(const Plan& plan, llvm::Module& module);

// The same in several modules, which are to be linked. Adds entries and sizes, and declares what they call; the module
// is finished by EmitFunctions.
std::vector<PlannedFunction> EmitEntries(const Plan& plan, llvm::Module& module);
// Adds some of what entries call to a module of its own, or to that of the entries. Modules of different contexts may
// be filled at the same time.
void EmitFunctions(const Plan& plan, std::span<const PlannedFunction> functions, llvm::Module& module);

}  // namespace recurve

#endif  // RECURVE_COMPILER_EMIT_H_

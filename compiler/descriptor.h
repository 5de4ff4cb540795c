// compiler/descriptor.h: the constant by which a compiled program describes itself.
//
// A module that defines the entries of a program gets `NAME_program`, a `recurve_program` (runtime/abi.h) laid out for
// the module's target, and behind it the tables of entries, slots, shapes and names. The constant is all that a loader
// looks up; the rest is reached from it.

#ifndef RECURVE_COMPILER_DESCRIPTOR_H_
#define RECURVE_COMPILER_DESCRIPTOR_H_

#include "compiler/interface.h"

namespace llvm {
class Module;
}  // namespace llvm

namespace recurve {

// Adds the descriptor to a module that its target has configured. Functions are found by their symbols (interface.h);
// one that the module lacks is declared, and then refused by name when the object is checked. Gives the size of the
// tape, if the program has one, the symbol under which C programs reach it.
void EmitDescriptor(llvm::Module& module, const ProgramInterface& program);

}  // namespace recurve

#endif  // RECURVE_COMPILER_DESCRIPTOR_H_

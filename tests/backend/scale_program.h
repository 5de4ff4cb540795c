// tests/backend/scale_program.h: a program small enough to write by hand, for every test of the back end.
//
// `scale` multiplies rows of four by a parameter. `pack` copies the parameter; `forward` writes y = x * W, copies x to
// the workspace (a call of memcpy) and clears the tape (a call of memset), so that it has every kind of slot and
// symbol.

#ifndef RECURVE_TESTS_BACKEND_SCALE_PROGRAM_H_
#define RECURVE_TESTS_BACKEND_SCALE_PROGRAM_H_

#include <llvm/IR/LLVMContext.h>
#include <llvm/IR/Module.h>

#include <memory>
#include <string>
#include <string_view>

#include "compiler/interface.h"
#include "compiler/target.h"

namespace recurve {

// A module and the context that it lives in.
struct TestModule {
  std::unique_ptr<llvm::LLVMContext> context;
  std::unique_ptr<llvm::Module> module;
};

// LLVM's text configured for a target, where SIZE stands for an integer of the target's pointer width. A mistake in the
// text fails the test.
TestModule ParseModule(std::string text, const Target& target);

ProgramInterface ScaleInterface(const Target& target, std::string name = "scale");
// The program's module with its descriptor; `factor` is multiplied in, so that two programs can differ.
TestModule ScaleModule(const ProgramInterface& program, const Target& target, double factor = 1);

// The target of this machine, or the one that is spelled; a failure fails the test.
Target TargetOrDie(const TargetSpec& spec = {});

}  // namespace recurve

#endif  // RECURVE_TESTS_BACKEND_SCALE_PROGRAM_H_

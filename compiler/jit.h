// compiler/jit.h: from a module to code that can be called in this process.
//
// A module becomes an object exactly as it does for a file (object.h), with the same check of its symbols, and
// the object is linked into memory. So what runs here is what is exported, and an object that was kept from an
// earlier run loads without a compiler.
//
//   std::expected<LoadedCode, Error> code = Jit(*module, program, target);
//   code->program->entries[0].run(slots);
//
// Every program has a linker session of its own: programs do not see each other, may share names, and may be compiled,
// called and dropped from any threads.

#ifndef RECURVE_COMPILER_JIT_H_
#define RECURVE_COMPILER_JIT_H_

#include <expected>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "compiler/interface.h"
#include "compiler/target.h"
#include "runtime/abi.h"
#include "runtime/error.h"

namespace recurve {

struct LoadedCode {
  const recurve_program* program = nullptr;
  std::shared_ptr<const void> keep_alive;  // the code's memory is freed with the last copy
};

// Compiles a module that has its descriptor (descriptor.h) and loads it. Fails if the target is not this machine, and
// as CompileObject does. The module is left as it was.
std::expected<LoadedCode, Error> Jit(const llvm::Module& module, const ProgramInterface& program, const Target& target);

// The two halves of it. An object for this process; fails as Jit does, and uses the module up. It may call what is
// `elsewhere` in the program.
std::expected<std::string, Error> ConsumeIntoObjectForHere(llvm::Module& module, const Target& target,
                                                           std::span<const std::string> elsewhere = {});
// Loads a program of one object or several that were made so, here or in an earlier process. `name` is the program's.
std::expected<LoadedCode, Error> LoadObjects(std::span<const std::string> objects, std::string_view name);
std::expected<LoadedCode, Error> LoadObject(std::string_view object, std::string_view name);

}  // namespace recurve

#endif  // RECURVE_COMPILER_JIT_H_

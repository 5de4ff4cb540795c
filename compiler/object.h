// compiler/object.h: from a module to bytes: an object file, assembly, or LLVM's text.
//
// An object is read back before anyone gets it. A kernel may call nothing but memcpy and memset, which every C library
// and every freestanding toolchain has; any other undefined symbol is an error that names it. It is nearly always a
// mathematical function that the target has no instruction for.

#ifndef RECURVE_COMPILER_OBJECT_H_
#define RECURVE_COMPILER_OBJECT_H_

#include <cstdint>
#include <expected>
#include <string>
#include <string_view>
#include <vector>

#include "compiler/target.h"
#include "runtime/error.h"

namespace llvm {
class Error;
}  // namespace llvm

namespace recurve {

struct ObjectReport {
  uint64_t text_bytes = 0;
  uint64_t read_only_bytes = 0;        // constants, tables and the descriptor
  std::vector<std::string> undefined;  // C names, sorted; what every linker supplies by itself is left out
};

// The module must be configured by the same target (Target::Configure), and is left as it was. Fails if the module does
// not verify, the target cannot express it, or the object wants another symbol than memcpy and memset.
std::expected<std::string, Error> CompileObject(const llvm::Module& module, const Target& target);
// The same without a copy: the module is used up and only fit to be dropped.
std::expected<std::string, Error> ConsumeIntoObject(llvm::Module& module, const Target& target);
std::expected<std::string, Error> CompileAssembly(const llvm::Module& module, const Target& target);
std::string PrintLlvm(const llvm::Module& module);

// Reads an object of any format that LLVM knows.
std::expected<ObjectReport, Error> InspectObject(std::string_view object);

// The one place where LLVM's errors become ours: "ATTEMPT: what LLVM says".
Error FromLlvm(std::string_view attempt, llvm::Error error);

}  // namespace recurve

#endif  // RECURVE_COMPILER_OBJECT_H_

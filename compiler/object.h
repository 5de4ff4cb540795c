// compiler/object.h: from a module to bytes: an object file, assembly, or LLVM's text.
//
// An object is read back before anyone gets it, and refused if it does not keep what is promised of it: it calls
// nothing outside of itself (a function that it would call is nearly always a mathematical one that the target has no
// instruction for), it has no memory that is written or that belongs to a thread, and the stack of each function is
// known: no recursion, no frame whose size depends on data.

#ifndef RECURVE_COMPILER_OBJECT_H_
#define RECURVE_COMPILER_OBJECT_H_

#include <cstdint>
#include <expected>
#include <map>
#include <span>
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
  std::vector<std::string> writable;   // names of sections that can be written at run time
  std::vector<std::string> undefined;  // C names, sorted; what every linker supplies by itself is left out
  // Of exported functions: their frames and those of all that they call, return addresses included, but for what a
  // team's own functions take, which are the caller's. Known to who compiled the object, not to who reads it.
  std::map<std::string, uint64_t> stack_bytes;
};

// The module must be configured by the same target (Target::Configure), and is left as it was. Fails if the module does
// not verify, the target cannot express it, or the object breaks a promise. Fills `report` if there is one.
std::expected<std::string, Error> CompileObject(const llvm::Module& module, const Target& target,
                                                ObjectReport* report = nullptr);
// The same without a copy: the module is used up and only fit to be dropped. What is `elsewhere` it may call: C names
// of functions of other objects of the same program.
std::expected<std::string, Error> ConsumeIntoObject(llvm::Module& module, const Target& target,
                                                    ObjectReport* report = nullptr,
                                                    std::span<const std::string> elsewhere = {});
std::expected<std::string, Error> CompileAssembly(const llvm::Module& module, const Target& target);
std::string PrintLlvm(const llvm::Module& module);

// The object in an archive of the format that the target's linkers read (`ar`), with a table of symbols.
std::expected<std::string, Error> MakeArchive(std::string_view object, std::string_view member);

// Reads an object of any format that LLVM knows.
std::expected<ObjectReport, Error> InspectObject(std::string_view object);

// The one place where LLVM's errors become ours: "ATTEMPT: what LLVM says".
Error FromLlvm(std::string_view attempt, llvm::Error error);

}  // namespace recurve

#endif  // RECURVE_COMPILER_OBJECT_H_

// compiler/versions.h: one object with code for several levels of x86-64, of which the best that a machine has runs.
//
// Every version is emitted as a program of its own under a name of its own, from a plan of its own: tiles, panels and
// the layout of packed weights differ. The names that callers know are indirect functions (ELF's STT_GNU_IFUNC): when
// the object is loaded a resolver asks the processor, once, and from then on a call is as direct as any other. So the
// object still writes to no memory of its own. All names choose alike, and so `forward` finds what `pack` wrote.
// Limits: Linux and the BSDs with a loader that knows such functions (glibc, FreeBSD's; not musl), and x86-64 only.
// Source: x86-64 psABI, microarchitecture levels; Intel SDM, volume 2, CPUID and XGETBV.

#ifndef RECURVE_COMPILER_VERSIONS_H_
#define RECURVE_COMPILER_VERSIONS_H_

#include <expected>
#include <string>
#include <vector>

#include "compiler/interface.h"
#include "compiler/target.h"

namespace llvm {
class Module;
}  // namespace llvm

namespace recurve {

// The targets that "x86-64-v2,x86-64-v3,x86-64-v4" in the place of a triple asks for, from the least to the best. Any
// other triple is itself. Fails where names with commas between them are not all levels, or one comes twice, or a cpu
// is named beside them.
std::expected<std::vector<TargetSpec>, Error> VersionsOf(const TargetSpec& spec);

// The best of them.
std::expected<Target, Error> BestVersionOf(const TargetSpec& spec);

// The name under which a version of the program is emitted: "lstm_x86_64_v3".
std::string VersionName(const std::string& program, const Target& target);

// Makes functions that are of no target yet, those of the version that has just been emitted, internal and of this one.
void ConfineVersion(llvm::Module& module, const Target& target);

// The names that callers know, for versions from the least to the best. Before the descriptor is emitted.
void EmitDispatch(llvm::Module& module, const ProgramInterface& program, const std::vector<Target>& targets);

}  // namespace recurve

#endif  // RECURVE_COMPILER_VERSIONS_H_

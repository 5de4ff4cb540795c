// compiler/compile_key.h: all that a program is compiled from, as a name for it (object_cache.h).
//
// Equal keys mean equal code. A key is a digest (BLAKE3, 256 bits) of the source or the graph, the entry, every option,
// this machine as code generation sees it, and the compiler itself: a digest of its sources taken when it was built,
// LLVM's version, and, where LLVM is a shared library, which file that is.
//
// Whatever else code generation comes to depend on belongs here. A new member of an options struct cannot be forgotten:
// the key takes those structs apart member by member, and does not compile otherwise.

#ifndef RECURVE_COMPILER_COMPILE_KEY_H_
#define RECURVE_COMPILER_COMPILE_KEY_H_

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "compiler/compile.h"
#include "ir/graph.h"

namespace recurve {

// Of a program that is compiled for this process; 64 hexadecimal digits. Text and graph never share a key.
std::string KeyOfText(std::string_view text, std::string_view entry,
                      const std::map<std::string, int64_t, std::less<>>& extents, const CompileOptions& options);
std::string KeyOfGraph(const ir::Graph& graph, const CompileOptions& options);

}  // namespace recurve

#endif  // RECURVE_COMPILER_COMPILE_KEY_H_

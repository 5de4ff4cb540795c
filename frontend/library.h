// frontend/library.h: the part of the language that is written in the language.
//
// The files of frontend/library are part of the program: the build turns them into text constants. Their functions are
// in scope everywhere, their cells in every model; a user's definition of the same name wins.

#ifndef RECURVE_FRONTEND_LIBRARY_H_
#define RECURVE_FRONTEND_LIBRARY_H_

#include <span>
#include <string_view>

#include "frontend/ast.h"

namespace recurve::frontend {

struct LibraryFile {
  std::string_view name;  // "lstm.cell"
  std::string_view text;
};
std::span<const LibraryFile> LibraryFiles();
// Cells that step parameters along their gradients (compiler/update.h); in scope nowhere.
std::span<const LibraryFile> OptimizerFiles();

// The definitions of all files, parsed once. A mistake in them is ours and stops the program.
std::span<const Ast> LibraryAsts();

// Whether a range lies in a library file.
bool IsLibrary(const Range& range);

}  // namespace recurve::frontend

#endif  // RECURVE_FRONTEND_LIBRARY_H_

// frontend/library.cpp: the embedded files, parsed on first use.

#include "frontend/library.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <vector>

#include "frontend/parser.h"

namespace recurve::frontend {
namespace {

std::vector<Ast> ParseLibrary() {
  std::vector<Ast> asts;
  for (const LibraryFile& file : LibraryFiles()) {
    Diagnostics diagnostics;
    auto source = std::make_shared<Source>("library/" + std::string(file.name), std::string(file.text));
    asts.push_back(Parse(source, diagnostics));
    if (diagnostics.has_errors()) {
      fmt::print(stderr, "recurve: internal error: the library does not parse\n{}", diagnostics.Render());
      std::abort();
    }
  }
  return asts;
}

}  // namespace

std::span<const Ast> LibraryAsts() {
  static const std::vector<Ast> asts = ParseLibrary();
  return asts;
}

bool IsLibrary(const Range& range) {
  return range.source != nullptr &&
         std::ranges::any_of(LibraryAsts(), [&](const Ast& ast) { return ast.source.get() == range.source; });
}

}  // namespace recurve::frontend

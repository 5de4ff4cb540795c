// frontend/frontend.h: the front door: a text in, graphs out, every mistake as readable text.
//
// A program is read once, with extents as names; a graph is built from it for each choice of numbers. Messages are
// rendered as in a compiler: place, what was seen, the source line with a caret, notes at the other places.
//
//   LoadResult loaded = Load("lstm.cell", text);
//   if (!loaded.program) return Fail(loaded.messages);
//   BuildResult built = Build(*loaded.program, "lstm", {{"I", 4}, {"H", 8}});
//
// No function here aborts, prints or exits, whatever the text.

#ifndef RECURVE_FRONTEND_FRONTEND_H_
#define RECURVE_FRONTEND_FRONTEND_H_

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "frontend/extent.h"
#include "ir/graph.h"

namespace recurve::frontend {

struct CheckedProgram;

// A cell or a model that a program defines, in the order of the file.
struct Entry {
  std::string name;
  bool is_model = false;
  std::vector<std::string> extents;  // each needs a number when a graph is built
};

// A checked program; copies share it, and it may be read from several threads.
struct Program {
  std::shared_ptr<const CheckedProgram> checked;
  std::vector<Entry> entries;
};

struct LoadResult {
  std::optional<Program> program;  // empty iff there is an error
  std::string messages;            // rendered errors and warnings, each line ended; empty when there are none
};
LoadResult Load(std::string_view file_name, std::string_view text);

struct BuildResult {
  std::optional<ir::Graph> graph;  // verifies (ir/verifier.h); the order of its inputs and outputs: graph_builder.h
  std::string messages;
};
BuildResult Build(const Program& program, std::string_view entry, const Extents& extents);

// The definition of `entry` as the parser understood it: one statement a line, every operator in parentheses. Empty for
// an unknown entry.
std::string PrintAst(const Program& program, std::string_view entry);

}  // namespace recurve::frontend

#endif  // RECURVE_FRONTEND_FRONTEND_H_

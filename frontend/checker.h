// frontend/checker.h: what a program means, before any number is known.
//
// `Check` types every definition of a file with extents as names, so that a mismatch shows whatever the numbers will
// be, and reports what is declared and never used. `Elaborate` gives the typed terms of one cell or model; loops are
// unrolled there, so a count that is an extent (`for l in 1..L`) needs its number. Where none is given, two rounds
// stand for all.

#ifndef RECURVE_FRONTEND_CHECKER_H_
#define RECURVE_FRONTEND_CHECKER_H_

#include <memory>
#include <optional>

#include "frontend/ast.h"
#include "frontend/diagnostics.h"
#include "frontend/typed_program.h"

namespace recurve::frontend {

struct CheckedProgram {
  Ast ast;

  // The cell or model of that name, or null.
  const Definition* Find(std::string_view name) const;
};

// Empty when a mistake was reported, be it by the parser. Broken definitions are passed over in silence.
std::optional<CheckedProgram> Check(Ast ast, Diagnostics& diagnostics);

// The terms of a cell or model of a checked program; empty when a mistake was reported, which only the number of rounds
// of a loop can bring to light.
std::shared_ptr<const TypedDefinition> Elaborate(const CheckedProgram& program, const Definition& definition,
                                                 const Extents& numbers, Diagnostics& diagnostics);

}  // namespace recurve::frontend

#endif  // RECURVE_FRONTEND_CHECKER_H_

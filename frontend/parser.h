// frontend/parser.h: a text as a syntax tree.
//
// Recursive descent, one function per rule of the grammar in frontend/README.md. After a mistake the parser skips to
// the end of the statement and goes on, so that one run reports every mistake. Nesting is bounded, and with it the
// depth of every later walk.

#ifndef RECURVE_FRONTEND_PARSER_H_
#define RECURVE_FRONTEND_PARSER_H_

#include <memory>

#include "frontend/ast.h"
#include "frontend/diagnostics.h"

namespace recurve::frontend {

// The deepest tree of operators and brackets, and the longest text, that is read.
inline constexpr int kDeepestExpression = 200;
inline constexpr int kDeepestBlock = 16;
inline constexpr size_t kLongestSource = size_t{1} << 24;

// A definition in which a mistake was reported is there and marked as broken, so that the others can be checked.
Ast Parse(std::shared_ptr<const Source> source, Diagnostics& diagnostics);

}  // namespace recurve::frontend

#endif  // RECURVE_FRONTEND_PARSER_H_

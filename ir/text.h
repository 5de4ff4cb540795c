// ir/text.h: the text form of a graph, printed and read back.
//
// `ReadText(PrintText(graph))` prints as the same text. The grammar is in ir/README.md.

#ifndef RECURVE_IR_TEXT_H_
#define RECURVE_IR_TEXT_H_

#include <expected>
#include <string>
#include <string_view>

#include "ir/graph.h"

namespace recurve::ir {

std::string PrintText(const Graph& graph);

// A mistake in a text: 1-based line and column, and what was seen.
struct TextError {
  int line = 0;
  int column = 0;
  std::string message;
};

// Reads one graph. Never aborts on any input; the result verifies (verifier.h).
std::expected<Graph, TextError> ReadText(std::string_view text);

// "[T, B, 4]" and the like.
std::string PrintShape(const Shape& shape);

}  // namespace recurve::ir

#endif  // RECURVE_IR_TEXT_H_

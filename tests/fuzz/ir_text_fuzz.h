// tests/fuzz/ir_text_fuzz.h: what must hold for every text given to the reader, shared by the libFuzzer program and the
// seeded test.

#ifndef RECURVE_TESTS_FUZZ_IR_TEXT_FUZZ_H_
#define RECURVE_TESTS_FUZZ_IR_TEXT_FUZZ_H_

#include <algorithm>
#include <expected>
#include <string>
#include <string_view>

#include "ir/text.h"
#include "ir/verifier.h"

namespace recurve::ir {

// A text that does not read is refused with a sentence and a place inside it. A text that reads gives a graph that
// verifies, and whose printed form reads back and prints as itself. Returns what was broken, or nothing.
inline std::string BrokenPromiseOf(std::string_view text) {
  std::expected<Graph, TextError> graph = ReadText(text);
  if (!graph) {
    const TextError& error = graph.error();
    auto lines = 1 + std::ranges::count(text, '\n');
    bool inside = error.line >= 1 && error.line <= lines && error.column >= 1;
    return inside && !error.message.empty() ? "" : "the error has no place or no sentence";
  }
  if (std::string why = Verify(*graph); !why.empty()) return "what was read does not verify: " + why;
  std::string printed = PrintText(*graph);
  std::expected<Graph, TextError> again = ReadText(printed);
  if (!again) return "the printed text does not read: " + again.error().message + "\n" + printed;
  if (std::string twice = PrintText(*again); twice != printed) return "prints twice:\n" + printed + "and\n" + twice;
  return {};
}

}  // namespace recurve::ir

#endif  // RECURVE_TESTS_FUZZ_IR_TEXT_FUZZ_H_

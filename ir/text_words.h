// ir/text_words.h: the words that the printer and the reader of the text form share.

#ifndef RECURVE_IR_TEXT_WORDS_H_
#define RECURVE_IR_TEXT_WORDS_H_

#include <algorithm>
#include <array>
#include <string_view>

#include "ir/graph.h"

namespace recurve::ir {

// In the order of Role and of Init::Kind.
inline constexpr std::array<std::string_view, 10> kRoleWords = {
    "data", "parameter", "constant", "state", "adjoint", "tape", "packed", "carry", "element", "invariant"};
inline constexpr std::array<std::string_view, 3> kInitWords = {"constant", "uniform", "normal"};

// How deep scans nest in a text that is read.
inline constexpr int kMaxScanDepth = 32;
inline constexpr int64_t kMostCheckpoints = 1 << 16;

inline bool IsDigit(char c) { return c >= '0' && c <= '9'; }
// The characters of names that need no quotes: `encoder.W`, `1.forward.U`, `c'`.
inline bool IsWordCharacter(char c) {
  return IsDigit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '.' || c == '\'';
}
inline bool IsWord(std::string_view text) { return !text.empty() && std::ranges::all_of(text, IsWordCharacter); }
inline bool IsNumber(std::string_view text) { return !text.empty() && std::ranges::all_of(text, IsDigit); }

}  // namespace recurve::ir

#endif  // RECURVE_IR_TEXT_WORDS_H_

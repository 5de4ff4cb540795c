// runtime/text_data.h: a text as a sequence of tokens, one a character.
//
//   auto text = recurve::ReadFile("book.txt");
//   const recurve::Vocabulary vocabulary = recurve::Vocabulary::Of(*text);
//   std::vector<int32_t> tokens = *vocabulary.Encode(*text);
//   const auto [training, held_out] = recurve::SplitTail(std::span(tokens), 0.1);

#ifndef RECURVE_RUNTIME_TEXT_DATA_H_
#define RECURVE_RUNTIME_TEXT_DATA_H_

#include <cstdint>
#include <expected>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "runtime/error.h"

namespace recurve {

// The characters of a text, each a number. Characters are those of UTF-8, in the order of their code points; a byte
// that is not part of a well-formed character is a character by itself, so that every file can be read.
class Vocabulary {
 public:
  // The characters that occur in a text.
  static Vocabulary Of(std::string_view text);
  // Any symbols, such as words, each once.
  static Vocabulary OfSymbols(const std::set<std::string, std::less<>>& symbols);
  // Reads what Serialize wrote.
  static std::expected<Vocabulary, Error> Deserialize(std::string_view serialized);
  // One line of ASCII, for the metadata of a weight file.
  std::string Serialize() const;

  size_t size() const { return symbols_.size(); }
  // Fails on a character that the vocabulary does not have, and names it.
  std::expected<std::vector<int32_t>, Error> Encode(std::string_view text) const;
  // The token of one symbol, or -1.
  int32_t Find(std::string_view symbol) const;
  // The text of one token in [0, size).
  std::string_view Decode(int32_t token) const { return symbols_[static_cast<size_t>(token)]; }
  bool operator==(const Vocabulary&) const = default;

 private:
  std::vector<std::string> symbols_;  // sorted by bytes, which is the order of code points
};

// The characters of a text, as a vocabulary sees them.
std::vector<std::string_view> Characters(std::string_view text);

// The first part of a sequence, to train on, and its tail, held out: floor(fraction * size) elements, 0 <= fraction
// < 1.
template <typename T>
std::pair<std::span<const T>, std::span<const T>> SplitTail(std::span<const T> sequence, double fraction) {
  const size_t first = sequence.size() - static_cast<size_t>(static_cast<double>(sequence.size()) * fraction);
  return {sequence.first(first), sequence.subspan(first)};
}

}  // namespace recurve

#endif  // RECURVE_RUNTIME_TEXT_DATA_H_

// runtime/pair_data.h: pairs of texts, one to be read and one to be found: a word and its language, a word and how it
// is spoken, a sentence and its translation.
//
// A file has a pair a line, with a tab between the two. What a token is differs: a character, a word between spaces, or
// the whole text, which is then a class.
//
//   auto pairs = recurve::ReadPairs("words.tsv");
//   const recurve::PairColumn source = recurve::PairColumn::Of(pairs->sources, recurve::TokenUnit::kCharacter);
//   std::vector<int32_t> tokens = source.Encode("word");

#ifndef RECURVE_RUNTIME_PAIR_DATA_H_
#define RECURVE_RUNTIME_PAIR_DATA_H_

#include <cstdint>
#include <expected>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/text_data.h"

namespace recurve {

struct PairTexts {
  std::vector<std::string> sources, targets;  // as many of each
};

// Fails on a line without exactly one tab, and on a file without lines; says where.
std::expected<PairTexts, Error> ReadPairs(const std::string& path);

enum class TokenUnit : uint8_t { kCharacter, kWord, kWhole };

// The tokens of one side. Token 0 of a sequence is no symbol of it: in a source it stands for every symbol that was not
// there when the column was made, in a target for its beginning and its end.
class PairColumn {
 public:
  static PairColumn Of(std::span<const std::string> texts, TokenUnit unit);
  // Words if some text has a space in it, else characters.
  static TokenUnit LikelyUnit(std::span<const std::string> texts);
  // One line of ASCII, for the metadata of a weight file, and back.
  std::string Serialize() const;
  static std::expected<PairColumn, Error> Deserialize(std::string_view serialized);

  TokenUnit unit() const { return unit_; }
  // How many tokens there are, token 0 of sequences included.
  size_t classes() const { return vocabulary_.size() + (unit_ == TokenUnit::kWhole ? 0 : 1); }
  // Of a whole text that the column does not have: -1.
  std::vector<int32_t> Encode(std::string_view text) const;
  // Words with spaces between them.
  std::string Decode(std::span<const int32_t> tokens) const;
  bool operator==(const PairColumn&) const = default;

 private:
  TokenUnit unit_ = TokenUnit::kCharacter;
  Vocabulary vocabulary_;
};

// Insertions, deletions and substitutions that make one sequence the other, at least (Levenshtein 1966).
size_t EditDistance(std::span<const int32_t> a, std::span<const int32_t> b);

}  // namespace recurve

#endif  // RECURVE_RUNTIME_PAIR_DATA_H_

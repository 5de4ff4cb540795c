#include "runtime/text_data.h"

#include <algorithm>
#include <set>

#include <fmt/format.h>

namespace recurve {
namespace {

// The length in bytes of the well-formed UTF-8 character that a text begins with, or 1.
size_t CharacterLength(std::string_view text) {
  const auto byte = [&](size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0u; };
  const auto follows = [&](size_t i, unsigned low = 0x80, unsigned high = 0xBF) {
    return byte(i) >= low && byte(i) <= high;
  };
  const unsigned lead = byte(0);
  if (lead >= 0xC2 && lead <= 0xDF) return follows(1) ? 2 : 1;
  // The second byte's range keeps out overlong forms, surrogates and what lies beyond U+10FFFF.
  if (lead >= 0xE0 && lead <= 0xEF) {
    return follows(1, lead == 0xE0 ? 0xA0 : 0x80, lead == 0xED ? 0x9F : 0xBF) && follows(2) ? 3 : 1;
  }
  if (lead >= 0xF0 && lead <= 0xF4) {
    return follows(1, lead == 0xF0 ? 0x90 : 0x80, lead == 0xF4 ? 0x8F : 0xBF) && follows(2) && follows(3) ? 4 : 1;
  }
  return 1;
}

// Calls `action` with each character; stops when it returns false.
template <typename Action>
void ForEachCharacter(std::string_view text, Action action) {
  while (!text.empty()) {
    const size_t length = CharacterLength(text);
    if (!action(text.substr(0, length))) return;
    text.remove_prefix(length);
  }
}

std::string Hexadecimal(std::string_view symbol) {
  std::string digits;
  for (const char c : symbol) digits += fmt::format("{:02x}", static_cast<unsigned char>(c));
  return digits;
}

}  // namespace

Vocabulary Vocabulary::Of(std::string_view text) {
  std::set<std::string, std::less<>> symbols;
  ForEachCharacter(text, [&](std::string_view symbol) {
    if (!symbols.contains(symbol)) symbols.emplace(symbol);
    return true;
  });
  return OfSymbols(symbols);
}

Vocabulary Vocabulary::OfSymbols(const std::set<std::string, std::less<>>& symbols) {
  Vocabulary vocabulary;
  vocabulary.symbols_.assign(symbols.begin(), symbols.end());
  return vocabulary;
}

int32_t Vocabulary::Find(std::string_view symbol) const {
  const auto found = std::ranges::lower_bound(symbols_, symbol);
  return found == symbols_.end() || *found != symbol ? -1 : static_cast<int32_t>(found - symbols_.begin());
}

std::string Vocabulary::Serialize() const {
  std::string text;
  for (const std::string& symbol : symbols_) text += (text.empty() ? "" : " ") + Hexadecimal(symbol);
  return text;
}

std::expected<Vocabulary, Error> Vocabulary::Deserialize(std::string_view serialized) {
  Vocabulary vocabulary;
  std::string symbol;
  int digit = 0, count = 0;
  for (size_t i = 0; i <= serialized.size() && !serialized.empty(); ++i) {
    const char c = i < serialized.size() ? serialized[i] : ' ';
    if (c == ' ' && count % 2 == 0 && !symbol.empty()) {
      vocabulary.symbols_.push_back(std::move(symbol));
      symbol.clear();
      count = 0;
      continue;
    }
    const int value = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
    if (value < 0) return std::unexpected(Error{fmt::format("cannot read a vocabulary: character {} is no digit", i)});
    if (++count % 2 == 0) symbol += static_cast<char>(digit * 16 + value);
    digit = value;
  }
  if (!std::ranges::is_sorted(vocabulary.symbols_, std::ranges::less_equal())) {
    return std::unexpected(Error{"cannot read a vocabulary: its characters are not in order"});
  }
  return vocabulary;
}

std::expected<std::vector<int32_t>, Error> Vocabulary::Encode(std::string_view text) const {
  std::vector<int32_t> tokens;
  tokens.reserve(text.size());
  std::string_view unknown;
  ForEachCharacter(text, [&](std::string_view symbol) {
    const int32_t token = Find(symbol);
    if (token < 0) unknown = symbol;
    tokens.push_back(token);
    return token >= 0;
  });
  if (!unknown.empty()) {
    return std::unexpected(
        Error{fmt::format("the text has the character 0x{} at byte {}, which the vocabulary of {} does not",
                          Hexadecimal(unknown), unknown.data() - text.data(), symbols_.size())});
  }
  return tokens;
}

std::vector<std::string_view> Characters(std::string_view text) {
  std::vector<std::string_view> characters;
  ForEachCharacter(text, [&](std::string_view symbol) {
    characters.push_back(symbol);
    return true;
  });
  return characters;
}

}  // namespace recurve

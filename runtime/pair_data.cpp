#include "runtime/pair_data.h"

#include <algorithm>
#include <numeric>
#include <set>

#include <fmt/format.h>

#include "runtime/file.h"

namespace recurve {
namespace {

constexpr std::string_view kUnitNames[] = {"characters", "words", "whole"};

std::vector<std::string_view> SymbolsOf(std::string_view text, TokenUnit unit) {
  if (unit == TokenUnit::kWhole) return {text};
  if (unit == TokenUnit::kCharacter) return Characters(text);
  std::vector<std::string_view> words;
  while (!text.empty()) {
    const size_t end = std::min(text.find(' '), text.size());
    if (end > 0) words.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return words;
}

}  // namespace

std::expected<PairTexts, Error> ReadPairs(const std::string& path) {
  auto text = ReadFile(path);
  if (!text) return std::unexpected(text.error());
  PairTexts pairs;
  std::string_view rest = *text;
  for (size_t number = 1; !rest.empty(); ++number) {
    std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(line.size() + 1, rest.size()));
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.empty()) continue;
    const size_t tab = line.find('\t');
    if (tab == std::string_view::npos || tab == 0 || tab + 1 == line.size() ||
        line.find('\t', tab + 1) != std::string_view::npos) {
      return std::unexpected(
          Error{fmt::format("`{}`, line {}: a pair is two texts with one tab between them", path, number)});
    }
    pairs.sources.emplace_back(line.substr(0, tab));
    pairs.targets.emplace_back(line.substr(tab + 1));
  }
  if (pairs.sources.empty()) return std::unexpected(Error{fmt::format("`{}` has no pairs", path)});
  return pairs;
}

PairColumn PairColumn::Of(std::span<const std::string> texts, TokenUnit unit) {
  std::set<std::string, std::less<>> symbols;
  for (const std::string& text : texts) {
    for (std::string_view symbol : SymbolsOf(text, unit)) {
      if (!symbols.contains(symbol)) symbols.emplace(symbol);
    }
  }
  PairColumn column;
  column.unit_ = unit;
  column.vocabulary_ = Vocabulary::OfSymbols(symbols);
  return column;
}

TokenUnit PairColumn::LikelyUnit(std::span<const std::string> texts) {
  const bool has_space = std::ranges::any_of(texts, [](const std::string& text) { return text.contains(' '); });
  return has_space ? TokenUnit::kWord : TokenUnit::kCharacter;
}

std::string PairColumn::Serialize() const {
  return fmt::format("{}: {}", kUnitNames[static_cast<size_t>(unit_)], vocabulary_.Serialize());
}

std::expected<PairColumn, Error> PairColumn::Deserialize(std::string_view serialized) {
  for (size_t unit = 0; unit < std::size(kUnitNames); ++unit) {
    const std::string begin = fmt::format("{}: ", kUnitNames[unit]);
    if (!serialized.starts_with(begin)) continue;
    auto vocabulary = Vocabulary::Deserialize(serialized.substr(begin.size()));
    if (!vocabulary) return std::unexpected(vocabulary.error());
    PairColumn column;
    column.unit_ = static_cast<TokenUnit>(unit);
    column.vocabulary_ = *std::move(vocabulary);
    return column;
  }
  return std::unexpected(Error{"cannot read the tokens of a column: it does not say what they are"});
}

std::vector<int32_t> PairColumn::Encode(std::string_view text) const {
  std::vector<int32_t> tokens;
  for (std::string_view symbol : SymbolsOf(text, unit_)) {
    const int32_t found = vocabulary_.Find(symbol);
    tokens.push_back(unit_ == TokenUnit::kWhole ? found : found + 1);
  }
  return tokens;
}

std::string PairColumn::Decode(std::span<const int32_t> tokens) const {
  std::string text;
  for (const int32_t token : tokens) {
    const int32_t symbol = unit_ == TokenUnit::kWhole ? token : token - 1;
    if (symbol < 0) continue;
    if (unit_ == TokenUnit::kWord && !text.empty()) text += ' ';
    text += vocabulary_.Decode(symbol);
  }
  return text;
}

size_t EditDistance(std::span<const int32_t> a, std::span<const int32_t> b) {
  std::vector<size_t> row(b.size() + 1);  // distances of what has been read of `a` to every beginning of `b`
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 0; i < a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i + 1;
    for (size_t j = 0; j < b.size(); ++j) {
      const size_t substituted = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({substituted, row[j] + 1, row[j + 1] + 1});
    }
  }
  return row.back();
}

}  // namespace recurve

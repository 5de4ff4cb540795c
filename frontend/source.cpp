// frontend/source.cpp: lines, columns and quotations.

#include "frontend/source.h"

#include <algorithm>

namespace recurve::frontend {
namespace {

// A continuation byte of UTF-8 belongs to the character before it.
bool BeginsCharacter(char byte) { return (static_cast<unsigned char>(byte) & 0xC0) != 0x80; }

}  // namespace

Source::Source(std::string name, std::string text) : name_(std::move(name)), text_(std::move(text)), line_starts_{0} {
  for (uint32_t i = 0; i < text_.size(); ++i) {
    if (text_[i] == '\n') line_starts_.push_back(i + 1);
  }
}

Position Source::PositionOf(uint32_t offset) const {
  offset = std::min<uint32_t>(offset, static_cast<uint32_t>(text_.size()));
  auto next = std::ranges::upper_bound(line_starts_, offset);
  uint32_t start = *(next - 1);
  auto column = std::count_if(text_.begin() + start, text_.begin() + offset, BeginsCharacter);
  return {static_cast<int>(next - line_starts_.begin()), static_cast<int>(column) + 1};
}

std::string_view Source::Line(int line) const {
  if (line < 1 || line > static_cast<int>(line_starts_.size())) return {};
  std::string_view rest = std::string_view(text_).substr(line_starts_[line - 1]);
  rest = rest.substr(0, rest.find('\n'));
  if (rest.ends_with('\r')) rest.remove_suffix(1);
  return rest;
}

std::string Range::Quote() const {
  constexpr size_t kLongest = 48;
  if (source == nullptr) return {};
  std::string quote;
  for (char byte : std::string_view(source->text()).substr(begin, end - begin)) {
    bool space = static_cast<unsigned char>(byte) <= ' ';
    if (!space) {
      quote += byte;
    } else if (!quote.empty() && quote.back() != ' ') {
      quote += ' ';
    }
  }
  while (quote.ends_with(' ')) quote.pop_back();
  if (quote.size() <= kLongest) return quote;
  size_t head = kLongest / 2, tail = quote.size() - kLongest / 2;
  while (head > 0 && !BeginsCharacter(quote[head])) --head;
  while (tail < quote.size() && !BeginsCharacter(quote[tail])) ++tail;
  return quote.substr(0, head) + "..." + quote.substr(tail);
}

Range Join(const Range& first, const Range& last) { return {first.source, first.begin, std::max(first.end, last.end)}; }

}  // namespace recurve::frontend

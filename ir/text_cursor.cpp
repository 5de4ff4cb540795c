// ir/text_cursor.cpp: blanks, words, strings and numbers of the IR's text.

#include "ir/text_cursor.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "ir/text_words.h"

namespace recurve::ir {
namespace {

bool IsBlank(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

// The value of a hexadecimal digit, or -1.
int HexDigit(char c) {
  if (IsDigit(c)) return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

}  // namespace

void TextCursor::SkipBlanks() {
  while (!at_end()) {
    if (text_[position_] == '#') {
      position_ = std::min(text_.find('\n', position_), text_.size());
    } else if (IsBlank(text_[position_])) {
      ++position_;
    } else {
      return;
    }
  }
}

std::string_view TextCursor::PeekWord() const {
  std::string_view rest = text_.substr(position_);
  return rest.substr(0, std::ranges::find_if_not(rest, IsWordCharacter) - rest.begin());
}

void TextCursor::Advance(size_t size) {
  position_ += size;
  SkipBlanks();
}

bool TextCursor::Take(char c) {
  if (!At(c)) return false;
  Advance(1);
  return true;
}

bool TextCursor::TakeWord(std::string_view word) {
  if (PeekWord() != word) return false;
  Advance(word.size());
  return true;
}

bool TextCursor::Expect(char c) { return Take(c) || FailToFind(fmt::format("`{}`", c)); }
bool TextCursor::ExpectWord(std::string_view word) { return TakeWord(word) || FailToFind(fmt::format("`{}`", word)); }

bool TextCursor::ReadWord(std::string_view what, std::string* word) {
  *word = PeekWord();
  if (word->empty()) return FailToFind(what);
  Advance(word->size());
  return true;
}

bool TextCursor::ReadName(std::string_view what, std::string* name) {
  return At('"') ? ReadString(what, name) : ReadWord(what, name);
}

bool TextCursor::ReadString(std::string_view what, std::string* string) {
  string->clear();
  if (!At('"')) return FailToFind(what);
  for (size_t at = position_ + 1; at < text_.size(); ++at) {
    char c = text_[at];
    if (c == '"') {
      Advance(at + 1 - position_);
      return true;
    }
    if (c == '\n') break;
    if (c != '\\') {
      *string += c;
      continue;
    }
    std::string_view escape = text_.substr(at + 1, 3);
    if (escape.starts_with('"') || escape.starts_with('\\')) {
      *string += escape[0];
      ++at;
    } else if (escape.size() == 3 && escape[0] == 'x' && HexDigit(escape[1]) >= 0 && HexDigit(escape[2]) >= 0) {
      *string += static_cast<char>(HexDigit(escape[1]) * 16 + HexDigit(escape[2]));
      at += 3;
    } else {
      return FailAt(at, "the escape is none of `\\\"`, `\\\\` and `\\x` with two lower case digits");
    }
  }
  return Fail("the string does not end on its line");
}

bool TextCursor::ReadDigits(std::string_view what, int64_t* value) {
  const char* first = text_.data() + position_;
  auto [last, code] = std::from_chars(first, text_.data() + text_.size(), *value);
  if (code == std::errc::invalid_argument) return FailToFind(what);
  if (code == std::errc::result_out_of_range) return Fail("the number does not fit 64 bits");
  Advance(last - first);
  return true;
}

bool TextCursor::ReadInteger(int64_t* value) { return ReadDigits("an integer", value); }

bool TextCursor::ReadSmallInteger(int* value) {
  size_t start = position_;
  int64_t wide = 0;
  if (!ReadInteger(&wide)) return false;
  *value = static_cast<int>(wide);
  return *value == wide || FailAt(start, "the number does not fit 32 bits");
}

bool TextCursor::ReadNumber(double* value) {
  const char* first = text_.data() + position_;
  auto [last, code] = std::from_chars(first, text_.data() + text_.size(), *value);
  if (code == std::errc::invalid_argument) return FailToFind("a number");
  if (code == std::errc::result_out_of_range) return Fail("the number does not fit a double");
  Advance(last - first);
  return true;
}

bool TextCursor::ReadReference(std::string* label, int64_t* number) {
  size_t start = position_;
  *number = 1;
  label->clear();
  if (!At('%')) return FailToFind("a value");
  ++position_;
  if (IsNumber(PeekWord())) return ReadDigits("a number", number);
  bool quoted = At('"');
  if (!ReadName("the name of a value", label)) return false;
  if (quoted && label->empty()) return FailAt(start, "the name of the value is empty");
  return !Take('~') || ReadDigits("a number", number);
}

bool TextCursor::FailAt(size_t position, std::string message) {
  if (error_.line != 0) return false;
  std::string_view before = text_.substr(0, position);
  size_t line_start = before.rfind('\n') == before.npos ? 0 : before.rfind('\n') + 1;
  error_.line = static_cast<int>(1 + std::ranges::count(before, '\n'));
  error_.column = static_cast<int>(1 + position - line_start);
  error_.message = std::move(message);
  return false;
}

bool TextCursor::FailToFind(std::string_view what) {
  if (at_end()) return Fail(fmt::format("the text ends where {} would stand", what));
  std::string_view word = PeekWord();
  char c = text_[position_];
  if (!word.empty()) return Fail(fmt::format("`{}` stands where {} would", word.substr(0, 40), what));
  if (c > ' ' && c <= '~') return Fail(fmt::format("`{}` stands where {} would", c, what));
  return Fail(fmt::format("the byte 0x{:02x} stands where {} would", static_cast<unsigned char>(c), what));
}

}  // namespace recurve::ir

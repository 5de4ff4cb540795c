// frontend/lexer.cpp: one loop over the text.

#include "frontend/lexer.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <utility>

namespace recurve::frontend {
namespace {

struct Spelling {
  TokenKind kind;
  std::string_view text;
};

constexpr Spelling kKeywords[] = {
#define KEYWORD(Kind, text) {TokenKind::k##Kind, text},
#include "frontend/tokens.def"
};
constexpr Spelling kPunctuation[] = {
#define PUNCTUATION(Kind, text) {TokenKind::k##Kind, text},
#include "frontend/tokens.def"
};

bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool BeginsName(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool ContinuesName(char c) { return BeginsName(c) || IsDigit(c); }

// Whether a line end after a token of this kind ends the statement.
bool EndsStatement(TokenKind kind) {
  constexpr TokenKind kEnding[] = {
      TokenKind::kName,       TokenKind::kNumber,       TokenKind::kPrime,
      TokenKind::kRightParen, TokenKind::kRightBracket, TokenKind::kRightBrace,
      TokenKind::kState,  // `from encoded.state`
  };
  return std::ranges::find(kEnding, kind) != std::end(kEnding);
}

// The length of the number at the beginning of `text`: digits, a fraction, an exponent. `1..3` is a range of rounds,
// not a fraction.
size_t NumberLength(std::string_view text) {
  size_t i = 0;
  auto digits = [&] {
    while (i < text.size() && IsDigit(text[i])) ++i;
  };
  digits();
  if (i + 1 < text.size() && text[i] == '.' && IsDigit(text[i + 1])) {
    ++i;
    digits();
  }
  if (i < text.size() && (text[i] == 'e' || text[i] == 'E')) {
    size_t exponent = i + 1;
    if (exponent < text.size() && (text[exponent] == '+' || text[exponent] == '-')) ++exponent;
    if (exponent < text.size() && IsDigit(text[exponent])) {
      i = exponent;
      digits();
    }
  }
  return i;
}

}  // namespace

std::string_view Describe(TokenKind kind) {
  switch (kind) {
    case TokenKind::kName: return "a name";
    case TokenKind::kNumber: return "a number";
    case TokenKind::kLineEnd: return "the end of the line";
    case TokenKind::kFileEnd: return "the end of the file";
#define KEYWORD(Kind, text) \
  case TokenKind::k##Kind: return "`" text "`";
#define PUNCTUATION(Kind, text) \
  case TokenKind::k##Kind: return "`" text "`";
#include "frontend/tokens.def"
  }
  std::unreachable();
}

std::vector<Token> Lex(const Source& source, Diagnostics& diagnostics) {
  std::string_view text = source.text();
  std::vector<Token> tokens;
  size_t at = 0;
  auto range = [&](size_t length) {
    return Range{&source, static_cast<uint32_t>(at), static_cast<uint32_t>(at + length)};
  };
  auto append = [&](TokenKind kind, size_t length, double number = 0) {
    tokens.push_back({kind, range(length), text.substr(at, length), number});
    at += length;
  };
  while (at < text.size()) {
    char c = text[at];
    if (c == '\n') {
      if (!tokens.empty() && EndsStatement(tokens.back().kind)) {
        append(TokenKind::kLineEnd, 1);
      } else {
        ++at;
      }
    } else if (c == ' ' || c == '\t' || c == '\r') {
      ++at;
    } else if (c == '#') {
      at = std::min(text.find('\n', at), text.size());
    } else if (BeginsName(c)) {
      size_t length = 1;
      while (at + length < text.size() && ContinuesName(text[at + length])) ++length;
      TokenKind kind = TokenKind::kName;
      for (const Spelling& keyword : kKeywords) {
        if (keyword.text == text.substr(at, length)) kind = keyword.kind;
      }
      append(kind, length);
    } else if (IsDigit(c)) {
      size_t length = NumberLength(text.substr(at));
      double number = 0;
      auto result = std::from_chars(text.data() + at, text.data() + at + length, number);
      if (result.ec != std::errc()) {
        // A tiny number rounds to zero; a huge one has no meaning.
        std::string_view digits = text.substr(at, length);
        if (digits.find("e-") == std::string_view::npos && digits.find("E-") == std::string_view::npos) {
          diagnostics.Report(Kind::kNumberTooLarge, range(length),
                             fmt::format("`{}` is beyond the largest number", range(length).Quote()));
        }
        number = 0;
      }
      append(TokenKind::kNumber, length, number);
    } else {
      const Spelling* found = nullptr;
      for (const Spelling& punctuation : kPunctuation) {
        if (found == nullptr && text.substr(at).starts_with(punctuation.text)) found = &punctuation;
      }
      if (found != nullptr) {
        append(found->kind, found->text.size());
      } else {
        size_t length = 1;  // all bytes of one character
        while (at + length < text.size() && (static_cast<unsigned char>(text[at + length]) & 0xC0) == 0x80) ++length;
        bool printable = static_cast<unsigned char>(c) > ' ' && c != 0x7F;
        diagnostics.Report(Kind::kUnknownCharacter, range(length),
                           printable ? fmt::format("the character `{}` begins nothing", range(length).Quote())
                                     : fmt::format("the byte {:#04x} begins nothing", static_cast<unsigned char>(c)));
        at += length;
      }
    }
  }
  if (!tokens.empty() && EndsStatement(tokens.back().kind)) append(TokenKind::kLineEnd, 0);
  // The end is behind the last token: what follows is blank or comment.
  if (!tokens.empty()) {
    const Token& last = tokens.back();
    at = last.kind == TokenKind::kLineEnd ? last.range.begin : last.range.end;
  }
  append(TokenKind::kFileEnd, 0);
  return tokens;
}

}  // namespace recurve::frontend

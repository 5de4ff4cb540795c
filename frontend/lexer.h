// frontend/lexer.h: a text as a list of tokens.
//
// A comment runs from `#` to the end of its line. A line end is a token where it can end a statement: after a name, a
// number, `'` or a closing bracket. After an operator, a comma or a keyword the statement goes on. Inside brackets it
// is for the parser to say.

#ifndef RECURVE_FRONTEND_LEXER_H_
#define RECURVE_FRONTEND_LEXER_H_

#include <string_view>
#include <vector>

#include "frontend/diagnostics.h"
#include "frontend/source.h"

namespace recurve::frontend {

enum class TokenKind : uint8_t {
  kName,
  kNumber,
  kLineEnd,
  kFileEnd,
#define KEYWORD(Kind, text) k##Kind,
#define PUNCTUATION(Kind, text) k##Kind,
#include "frontend/tokens.def"
};

// How a message names a token of this kind: "`scan`", "a name", "the end of the line".
std::string_view Describe(TokenKind kind);

struct Token {
  TokenKind kind = TokenKind::kFileEnd;
  Range range;
  std::string_view text;  // in the source
  double number = 0;      // of kNumber
};

// The last token is kFileEnd. Characters that begin no token are reported and skipped.
std::vector<Token> Lex(const Source& source, Diagnostics& diagnostics);

}  // namespace recurve::frontend

#endif  // RECURVE_FRONTEND_LEXER_H_

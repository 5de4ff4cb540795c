// tests/frontend/parser_test.cpp: tokens, precedence, line ends, and what survives a mistake.

#include "frontend/parser.h"

#include <gtest/gtest.h>

#include "frontend/lexer.h"
#include "frontend/library.h"

namespace recurve::frontend {
namespace {

std::vector<TokenKind> Kinds(const std::string& text) {
  Source source("test.cell", text);
  Diagnostics diagnostics;
  std::vector<TokenKind> kinds;
  for (const Token& token : Lex(source, diagnostics)) kinds.push_back(token.kind);
  EXPECT_FALSE(diagnostics.has_errors()) << diagnostics.Render();
  return kinds;
}

// The body of `fn f(x) = text` as the printer shows it, or the messages.
std::string Shown(const std::string& text) {
  Diagnostics diagnostics;
  Ast ast = Parse(std::make_shared<Source>("t", "fn f(x) = " + text + "\n"), diagnostics);
  if (diagnostics.has_errors()) return diagnostics.all().front().message;
  std::string printed = Print(ast.definitions.at(0));
  size_t begin = printed.find("return ") + 7;
  return printed.substr(begin, printed.find('\n', begin) - begin);
}

int Mistakes(const std::string& text) {
  Diagnostics diagnostics;
  Parse(std::make_shared<Source>("t", text), diagnostics);
  return diagnostics.errors();
}

TEST(Lexer, EndsAStatementWhereALineCanEndIt) {
  using enum TokenKind;
  EXPECT_EQ(Kinds("a = b\nc"), (std::vector{kName, kEqual, kName, kLineEnd, kName, kLineEnd, kFileEnd}));
  EXPECT_EQ(Kinds("a =\n b +\n c"), (std::vector{kName, kEqual, kName, kPlus, kName, kLineEnd, kFileEnd}));
}

TEST(Lexer, TellsRangesFromFractions) {
  using enum TokenKind;
  EXPECT_EQ(Kinds("1..L"), (std::vector{kNumber, kDotDot, kName, kLineEnd, kFileEnd}));
  EXPECT_EQ(Kinds("1.5e-3"), (std::vector{kNumber, kLineEnd, kFileEnd}));
}

TEST(Lexer, SkipsComments) { EXPECT_EQ(Kinds("# nothing\n# here"), (std::vector{TokenKind::kFileEnd})); }

TEST(Lexer, ReadsNumbers) {
  Source source("t", "0 1.25 3e2 1e-400");
  Diagnostics diagnostics;
  std::vector<Token> tokens = Lex(source, diagnostics);
  EXPECT_EQ(tokens[0].number, 0);
  EXPECT_EQ(tokens[1].number, 1.25);
  EXPECT_EQ(tokens[2].number, 300);
  EXPECT_EQ(tokens[3].number, 0);  // rounds to zero
  EXPECT_FALSE(diagnostics.has_errors());
}

struct PrecedenceRow {
  const char* text;
  const char* shown;
};

TEST(Parser, GroupsOperators) {
  constexpr PrecedenceRow kRows[] = {
      {"a + b * c", "(a + (b * c))"},
      {"a - b - c", "((a - b) - c)"},
      {"a / b * c", "((a / b) * c)"},
      {"z * U @ h", "(z * (U @ h))"},
      {"U @ V @ x", "(U @ (V @ x))"},
      {"W^T @ x", "(W^T @ x)"},
      {"(W - U)^T @ x", "((W - U)^T @ x)"},
      {"-x^2", "(-(x ^ 2))"},
      {"x^-1", "(x ^ (-1))"},
      {"x^2^3", "(x ^ (2 ^ 3))"},
      {"-a * b", "((-a) * b)"},
      {"-W @ x", "(-(W @ x))"},
      {"W @ -x", "(W @ (-x))"},
      {"a - -b", "(a - (-b))"},
      {"a + b < c * d", "((a + b) < (c * d))"},
      {"select(a != b, a, b)", "select((a != b), a, b)"},
      {"x[0:H/2]", "x[0:(H / 2)]"},
      {"W[:, a:]", "W[:, a:]"},
      {"table[tokens]", "table[tokens]"},
      {"y.state.h", "y.state.h"},
      {"f(\n  a,\n  b\n)", "f(a, b)"},
      {"(a\n  + b)", "(a + b)"},
  };
  for (const PrecedenceRow& row : kRows) EXPECT_EQ(Shown(row.text), row.shown) << row.text;
}

TEST(Parser, RefusesAComparisonOfAComparison) {
  EXPECT_EQ(Shown("a < b < c"), "`<` compares the result of a comparison");
}

TEST(Parser, PrintsWhatParsesToTheSame) {
  for (const Ast& ast : LibraryAsts()) {
    for (const Definition& definition : ast.definitions) {
      std::string once = Print(definition);
      Diagnostics diagnostics;
      Ast again = Parse(std::make_shared<Source>("again", once), diagnostics);
      ASSERT_FALSE(diagnostics.has_errors()) << diagnostics.Render();
      EXPECT_EQ(Print(again.definitions.at(0)), once);
    }
  }
}

TEST(Parser, PrintsEveryStatement) {
  const std::string text =
      "model m(I, L) {\n"
      "  input x: [I] over T by n\n"
      "  input k: int[I]\n"
      "  const a: [] ~ constant(2)\n"
      "  let c = lstm(H=(2 * I))\n"
      "  y, z = reverse scan c over x, x from w.state reset (k > 0)\n"
      "  for l in 1..L {\n"
      "    repeat r in 2 {\n"
      "      u, h' = split(x, 2)\n"
      "    }\n"
      "  }\n"
      "  output o = (a * x)\n"
      "  loss mse(y, x)\n"
      "  return a, x\n"
      "}\n";
  Diagnostics diagnostics;
  Ast ast = Parse(std::make_shared<Source>("t", text), diagnostics);
  EXPECT_FALSE(diagnostics.has_errors()) << diagnostics.Render();
  EXPECT_EQ(Print(ast.definitions.at(0)), text);
}

TEST(Parser, ReportsEachBrokenStatementOnce) {
  EXPECT_EQ(Mistakes("cell c(I) {\n a = (1 +\n b = )\n c = 2\n d = [\n}\n"), 2);
  EXPECT_EQ(Mistakes("cell c(I) {\n input 3\n state x\n param W: [,]\n}\n"), 3);
}

TEST(Parser, GoesOnBehindABrokenHeader) {
  Diagnostics diagnostics;
  Ast ast = Parse(std::make_shared<Source>("t", "cell (I) {\n a = 1\n}\ncell good(I) { output x }\n"), diagnostics);
  EXPECT_EQ(diagnostics.errors(), 1) << diagnostics.Render();
  ASSERT_EQ(ast.definitions.size(), 2u);
  EXPECT_TRUE(ast.definitions[0].broken);
  EXPECT_FALSE(ast.definitions[1].broken);
}

TEST(Parser, SurvivesDeepNesting) {
  for (const char* open : {"(", "f(", "-", "x[", "a ^ ", "repeat r in 2 { "}) {
    std::string text = "cell c(I) { y = ";
    if (open[0] == 'r') text = "cell c(I) { ";
    for (int i = 0; i < 100'000; ++i) text += open;
    EXPECT_GE(Mistakes(text), 1) << open;
  }
  std::string chain = "fn f(x) = x";
  for (int i = 0; i < 100'000; ++i) chain += " + x";
  EXPECT_EQ(Mistakes(chain), 1);
}

TEST(Source, CountsCharactersNotBytes) {
  Source source("t", "# \xE2\x82\xAC x\nab");
  EXPECT_EQ(source.PositionOf(6).column, 5);
  EXPECT_EQ(source.PositionOf(8).line, 2);
}

TEST(Diagnostics, SuggestsTheClosestName) {
  EXPECT_EQ(DidYouMean("sigmod", {"sin", "sigmoid", "sqrt"}), "; did you mean `sigmoid`?");
  EXPECT_EQ(DidYouMean("q", {"a", "b"}), "");
  EXPECT_EQ(DidYouMean("gates", {"table"}), "");
}

}  // namespace
}  // namespace recurve::frontend

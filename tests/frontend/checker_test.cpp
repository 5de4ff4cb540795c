// tests/frontend/checker_test.cpp: what the typing rules make of an expression, row by row.

#include <gtest/gtest.h>

#include <algorithm>

#include "frontend/checker.h"
#include "frontend/parser.h"

namespace recurve::frontend {
namespace {

// The shape of `text` in a cell with some declarations, or the kind of the first mistake.
std::string TypeOf(const std::string& text) {
  std::string program =
      "cell c(I, H, D) {\n"
      "  input x: [I], s: []\n"
      "  state h: [H], C: [D, H]\n"
      "  param W: [4*H, I], U: [H, H], b: [H], g: []\n"
      "  value = " +
      text +
      "\n"
      "  h' = h\n  C' = C\n"
      "  output y = value\n"
      "}\n";
  Diagnostics diagnostics;
  std::optional<CheckedProgram> checked =
      Check(Parse(std::make_shared<Source>("t", program), diagnostics), diagnostics);
  if (!checked) {
    for (const Diagnostic& diagnostic : diagnostics.all()) {
      if (SeverityOf(diagnostic.kind) == Severity::kError) return std::string(KindName(diagnostic.kind));
    }
  }
  auto typed = Elaborate(*checked, checked->ast.definitions[0], {}, diagnostics);
  return Text(typed->terms[typed->outputs[0].term].type);
}

struct TypeRow {
  const char* text;
  const char* type;
};

TEST(Typing, GivesEveryExpressionItsShape) {
  constexpr TypeRow kRows[] = {
      {"x", "[I]"},
      {"2", "[]"},
      {"H", "[]"},
      {"W @ x", "[4*H]"},
      {"W^T @ (W @ x)", "[I]"},
      {"transpose(W)", "[I, 4*H]"},
      {"x @ W^T", "[4*H]"},
      {"U @ U", "[H, H]"},
      {"U - U^T - g * eye(H)", "[H, H]"},
      {"C @ h", "[D]"},
      {"C @ U", "[D, H]"},
      {"outer(x, h)", "[I, H]"},
      {"dot(h, b)", "[]"},
      {"h + 1", "[H]"},
      {"s * h", "[H]"},
      {"C + b", "[D, H]"},
      {"b + C", "[D, H]"},
      {"sum(C)", "[D]"},
      {"max(h)", "[]"},
      {"max(h, b)", "[H]"},
      {"mean(h) * h", "[H]"},
      {"var(h)", "[]"},
      {"min(h)", "[]"},
      {"norm(h)", "[]"},
      {"logsumexp(h)", "[]"},
      {"softmax(h)", "[H]"},
      {"layernorm(W @ x)", "[4*H]"},
      {"rmsnorm(h)", "[H]"},
      {"concat(x, h)", "[H+I]"},
      {"concat(h, x) + concat(x, h)", "[H+I]"},
      {"concat(C, C)", "[D, 2*H]"},
      {"x[0:I-1]", "[I-1]"},
      {"x[1:]", "[I-1]"},
      {"(W @ x)[H:3*H]", "[2*H]"},
      {"W[0:H, :]", "[H, I]"},
      {"x[0]", "[]"},
      {"x[0:2*H/H]", "[2]"},
      {"select(h > 0, h, 0)", "[H]"},
      {"h^2", "[H]"},
      {"clamp(h, -1, 1)", "[H]"},
      {"stop_gradient(h)", "[H]"},
      {"size(h)", "[]"},
      // What does not fit.
      {"W @ h", "ShapeMismatch"},
      {"x + h", "ShapeMismatch"},
      {"concat(x, C)", "ShapeMismatch"},
      {"dot(x, h)", "ShapeMismatch"},
      {"h @ h", "RankMismatch"},
      {"sum(s)", "RankMismatch"},
      {"h^T", "RankMismatch"},
      {"C[0:2]", "RankMismatch"},
      {"x[0:I+1]", "SliceOutOfRange"},
      {"split(h, 2)", "ValueCount"},
      {"nothing", "UnknownName"},
      {"value", "UnknownName"},
      {"h'", "UsedBeforeDefinition"},
      {"argmax(h)", "NotSupportedYet"},
      {"one_hot(h)", "ElementMismatch"},
  };
  for (const TypeRow& row : kRows) EXPECT_EQ(TypeOf(row.text), row.type) << row.text;
}

std::vector<std::string> KindsOf(const std::string& program) {
  Diagnostics diagnostics;
  Check(Parse(std::make_shared<Source>("t", program), diagnostics), diagnostics);
  std::vector<std::string> kinds;
  for (const Diagnostic& diagnostic : diagnostics.all()) kinds.emplace_back(KindName(diagnostic.kind));
  return kinds;
}

TEST(Checker, ReportsEveryMistakeOfOneRun) {
  EXPECT_EQ(KindsOf("cell c(I, H) {\n"
                    "  input x: [I]\n"
                    "  state h: [H], k: [H]\n"
                    "  param W: [3*H, I]\n"
                    "  a, b = split(W @ h, 3)\n"
                    "  h' = tahn(a) + nothing\n"
                    "  output y = x + h\n"
                    "}\n"),
            (std::vector<std::string>{"ShapeMismatch", "ValueCount", "UnknownName", "UnknownName", "ShapeMismatch",
                                      "StateNeverAssigned"}));
}

TEST(Checker, SaysNothingMoreAboutAValueThatHasAMistake) {
  EXPECT_EQ(KindsOf("cell c(I, H) {\n"
                    "  input x: [I]\n"
                    "  state h: [H]\n"
                    "  a = nothing + x\n"
                    "  b = a + h\n"
                    "  c, d = split(concat(b, a), 2)\n"
                    "  h' = c @ d + softmax(b)\n"
                    "}\n"),
            (std::vector<std::string>{"UnknownName"}));
}

TEST(Checker, AUsersDefinitionWinsOverTheLibrary) {
  // With the library's lstm the extent H could not be inferred.
  EXPECT_EQ(KindsOf("fn tanh(x) = 2 * x\n"
                    "cell lstm(I) {\n  input x: [I]\n  output tanh(x)\n}\n"
                    "model m(I) {\n  input x: [I] over T\n  y = scan lstm over x\n  output y\n}\n"),
            std::vector<std::string>{});
}

TEST(Checker, LibraryFunctionsDoNotSeeTheUsersOnes) {
  EXPECT_EQ(KindsOf("fn mean(x) = x\n"
                    "cell c(I) {\n  input x: [I]\n  output y = layernorm(x) * var(x) + mean(x)\n}\n"),
            std::vector<std::string>{});
}

TEST(Checker, DiscardsWhatIsCalledUnderscore) {
  EXPECT_EQ(KindsOf("cell c(I) {\n  input x: [3*I]\n  _, a, _ = split(x, 3)\n  output a\n}\n"),
            std::vector<std::string>{});
}

TEST(Checker, ChecksALoopWhoseCountIsAnExtent) {
  EXPECT_EQ(KindsOf("model m(I, H, L) {\n"
                    "  input x: [I] over T\n"
                    "  y = x\n"
                    "  for l in 1..L { y = scan lstm(H=H) over y }\n"
                    "  output y\n"
                    "}\n"),
            std::vector<std::string>{});
  // The second round adds [H] to [I].
  EXPECT_EQ(KindsOf("model m(I, H, L) {\n"
                    "  input x: [I] over T\n"
                    "  y = x\n"
                    "  for l in 1..L { y = scan lstm(H=H) over y + x }\n"
                    "  output y\n"
                    "}\n"),
            std::vector<std::string>{"ShapeMismatch"});
}

TEST(Checker, UncalledFunctionsAreCheckedToo) {
  EXPECT_EQ(KindsOf("fn f(x) = tahn(x, y)\n"), (std::vector<std::string>{"UnknownName", "UnknownName"}));
}

TEST(Checker, EndsOnCallsThatDoubleForever) {
  std::string program;
  for (int i = 1; i < 30; ++i)
    program += "fn f" + std::to_string(i) + "(x) = f" + std::to_string(i - 1) + "(f" + std::to_string(i - 1) + "(x))\n";
  program += "fn f0(x) = x + x\ncell c(I) {\n  input x: [I]\n  output y = f29(x)\n}\n";
  std::vector<std::string> kinds = KindsOf(program);
  EXPECT_NE(std::ranges::find(kinds, "ProgramTooLarge"), kinds.end());
}

}  // namespace
}  // namespace recurve::frontend

// frontend/parser.cpp: recursive descent over the tokens, operators by precedence.

#include "frontend/parser.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "frontend/lexer.h"

namespace recurve::frontend {
namespace {

// How tightly an operator binds; `@` and `^` group from the right, so that `U @ V @ x` is two matrix-vector products.
struct Binding {
  TokenKind token;
  Operator op;
  int precedence;
  bool from_right = false;
};
constexpr int kComparison = 1, kSum = 2, kTerm = 3, kProduct = 4, kPower = 5;
constexpr Binding kBindings[] = {
    {TokenKind::kLess, Operator::kLess, kComparison},
    {TokenKind::kLessEqual, Operator::kLessEqual, kComparison},
    {TokenKind::kGreater, Operator::kGreater, kComparison},
    {TokenKind::kGreaterEqual, Operator::kGreaterEqual, kComparison},
    {TokenKind::kEqualEqual, Operator::kEqual, kComparison},
    {TokenKind::kNotEqual, Operator::kNotEqual, kComparison},
    {TokenKind::kPlus, Operator::kAdd, kSum},
    {TokenKind::kMinus, Operator::kSubtract, kSum},
    {TokenKind::kStar, Operator::kMultiply, kTerm},
    {TokenKind::kSlash, Operator::kDivide, kTerm},
    {TokenKind::kAt, Operator::kProduct, kProduct, true},
    {TokenKind::kCaret, Operator::kPower, kPower, true},
};

const Binding* FindBinding(TokenKind token) {
  const Binding* found = std::ranges::find(kBindings, token, &Binding::token);
  return found == std::end(kBindings) ? nullptr : found;
}

bool BeginsDefinition(TokenKind kind) {
  return kind == TokenKind::kCell || kind == TokenKind::kModel || kind == TokenKind::kFn;
}

bool IsKeyword(TokenKind kind) { return kind >= TokenKind::kCell && kind <= TokenKind::kInt; }

class Parser {
 public:
  Parser(const Source& source, Diagnostics& diagnostics)
      : diagnostics_(diagnostics), tokens_(Lex(source, diagnostics)) {}

  std::vector<Definition> File() {
    std::vector<Definition> definitions;
    while (!At(TokenKind::kFileEnd)) {
      if (Take(TokenKind::kLineEnd) || Take(TokenKind::kSemicolon)) continue;
      if (BeginsDefinition(Peek().kind)) {
        definitions.push_back(ParseDefinition());
        continue;
      }
      Fail(fmt::format("{} where a cell, a model or a function should begin", Seen()));
      while (!BeginsDefinition(Peek().kind) && !At(TokenKind::kFileEnd)) ++at_;
    }
    return definitions;
  }

 private:
  // Tokens.
  // ------------------------------------------------------------------------------------------------------------

  // The next token. Inside brackets a line end does not count when the next line goes on with an operator, a comma or a
  // closing bracket; before anything else it stands, so that a forgotten bracket costs one statement, not the file.
  const Token& Peek() {
    if (brackets_ > 0 && tokens_[at_].kind == TokenKind::kLineEnd) {
      TokenKind next = tokens_[at_ + 1].kind;
      if (FindBinding(next) != nullptr || next == TokenKind::kComma || next == TokenKind::kRightParen ||
          next == TokenKind::kRightBracket) {
        ++at_;
      }
    }
    return tokens_[at_];
  }
  bool At(TokenKind kind) { return Peek().kind == kind; }
  bool Take(TokenKind kind) {
    if (!At(kind)) return false;
    ++at_;
    return true;
  }
  // A word that is a name anywhere else.
  bool TakeWord(std::string_view word) {
    if (!At(TokenKind::kName) || Peek().text != word) return false;
    ++at_;
    return true;
  }
  const Token& Next() { return tokens_[std::min(at_ + 1, tokens_.size() - 1)]; }

  // What stands at the next token, for a message.
  std::string Seen() {
    const Token& token = Peek();
    bool named = token.kind == TokenKind::kName || token.kind == TokenKind::kNumber;
    return named ? fmt::format("`{}`", token.range.Quote()) : std::string(Describe(token.kind));
  }

  // Mistakes.
  // ----------------------------------------------------------------------------------------------------------

  // Reports at the next token, once a statement: after a mistake all rules return until `Recover`.
  void Fail(std::string message, Kind kind = Kind::kSyntax, const Range* opened = nullptr) {
    if (failed_) return;
    failed_ = true;
    Diagnostic& report = diagnostics_.Report(kind, Peek().range, std::move(message));
    if (opened != nullptr) report.Note(*opened, fmt::format("`{}` opened here", opened->Quote()));
  }
  bool Expect(TokenKind kind, const Range* opened = nullptr) {
    if (failed_) return false;
    if (Take(kind)) return true;
    Fail(fmt::format("{} where {} should stand", Seen(), Describe(kind)), Kind::kSyntax, opened);
    return false;
  }
  Name ExpectName(std::string_view what) {
    if (failed_) return {};
    const Token& token = Peek();
    if (Take(TokenKind::kName)) return {std::string(token.text), token.range};
    if (IsKeyword(token.kind)) {
      Fail(fmt::format("{} is a word of the language and cannot name {}", Seen(), what));
    } else {
      Fail(fmt::format("{} where the name of {} should stand", Seen(), what));
    }
    return {};
  }
  // Skips to where the next statement can begin.
  void Recover() {
    failed_ = false;
    brackets_ = 0;
    while (!At(TokenKind::kLineEnd) && !At(TokenKind::kSemicolon) && !At(TokenKind::kRightBrace) &&
           !At(TokenKind::kFileEnd) && !BeginsDefinition(Peek().kind)) {
      if (tokens_[at_++].kind == TokenKind::kLeftBrace) SkipBraces(1);
    }
  }
  // Skips to behind the `}` that closes `open` blocks.
  void SkipBraces(int open) {
    while (open > 0 && !At(TokenKind::kFileEnd) && !BeginsDefinition(Peek().kind)) {
      if (At(TokenKind::kLeftBrace)) ++open;
      if (At(TokenKind::kRightBrace)) --open;
      ++at_;
    }
  }
  // After a mistake in the header of a block: goes on at the `{` of the same line, if there is one.
  void RecoverToBlock() {
    if (!failed_) return;
    size_t ahead = at_;
    while (tokens_[ahead].kind != TokenKind::kLeftBrace && tokens_[ahead].kind != TokenKind::kLineEnd &&
           tokens_[ahead].kind != TokenKind::kFileEnd) {
      ++ahead;
    }
    if (tokens_[ahead].kind != TokenKind::kLeftBrace) return;
    at_ = ahead;
    failed_ = false;
    brackets_ = 0;
  }

  // Definitions and blocks.
  // --------------------------------------------------------------------------------------------

  Definition ParseDefinition() {
    Definition definition;
    int errors = diagnostics_.errors();
    definition.range = Peek().range;
    definition.kind = At(TokenKind::kCell)    ? Definition::Kind::kCell
                      : At(TokenKind::kModel) ? Definition::Kind::kModel
                                              : Definition::Kind::kFunction;
    std::string_view what = definition.kind == Definition::Kind::kCell    ? "a cell"
                            : definition.kind == Definition::Kind::kModel ? "a model"
                                                                          : "a function";
    ++at_;
    definition.name = ExpectName(what);
    Range opened = Peek().range;
    if (Expect(TokenKind::kLeftParen)) {
      ++brackets_;
      if (!At(TokenKind::kRightParen)) {
        do {
          definition.parameters.push_back(
              ExpectName(definition.kind == Definition::Kind::kFunction ? "an argument" : "an extent"));
        } while (!failed_ && Take(TokenKind::kComma));
      }
      Expect(TokenKind::kRightParen, &opened);
      --brackets_;
    }
    if (definition.kind == Definition::Kind::kFunction && !failed_ && Take(TokenKind::kEqual)) {
      ReturnStatement statement;
      statement.values.push_back(ParseExpr());
      definition.body.emplace_back(std::move(statement));
      EndStatement();
    } else {
      RecoverToBlock();
      definition.body = ParseBlock();
    }
    definition.range = Join(definition.range, tokens_[at_ - 1].range);
    definition.broken = diagnostics_.errors() != errors;
    failed_ = false;
    return definition;
  }

  // `{` statements `}`
  std::vector<Statement> ParseBlock() {
    std::vector<Statement> statements;
    Range opened = Peek().range;
    if (!Expect(TokenKind::kLeftBrace)) {
      Recover();
      return statements;
    }
    if (blocks_ == kDeepestBlock) {
      Fail("blocks nest too deep here", Kind::kNestingTooDeep);
      SkipBraces(1);
      return statements;
    }
    ++blocks_;
    while (!Take(TokenKind::kRightBrace)) {
      if (At(TokenKind::kFileEnd) || BeginsDefinition(Peek().kind)) {
        Fail(fmt::format("{} where `}}` should close a block", Seen()), Kind::kSyntax, &opened);
        failed_ = false;
        break;
      }
      if (Take(TokenKind::kLineEnd) || Take(TokenKind::kSemicolon)) continue;
      ParseStatement(statements);
      EndStatement();
    }
    --blocks_;
    return statements;
  }

  void EndStatement() {
    if (!failed_ && !At(TokenKind::kLineEnd) && !At(TokenKind::kSemicolon) && !At(TokenKind::kRightBrace) &&
        !At(TokenKind::kFileEnd)) {
      Fail(fmt::format("{} where the statement should end", Seen()));
    }
    if (failed_) Recover();
  }

  // Statements.
  // --------------------------------------------------------------------------------------------------------

  void ParseStatement(std::vector<Statement>& statements) {
    if (At(TokenKind::kInput)) return ParseDeclarations(Declaration::Kind::kInput, statements);
    if (At(TokenKind::kState)) return ParseDeclarations(Declaration::Kind::kState, statements);
    if (At(TokenKind::kParam)) return ParseDeclarations(Declaration::Kind::kParameter, statements);
    if (At(TokenKind::kConst)) return ParseDeclarations(Declaration::Kind::kConstant, statements);
    if (At(TokenKind::kName)) return ParseEquation(statements);
    if (At(TokenKind::kOutput)) return ParseOutputs(statements);
    if (At(TokenKind::kLoss)) return ParseLoss(statements);
    if (At(TokenKind::kReturn)) return ParseReturn(statements);
    if (At(TokenKind::kLet)) return ParseInstance(statements);
    if (At(TokenKind::kRepeat) || At(TokenKind::kFor)) return ParseLoop(statements);
    Fail(fmt::format("{} where a statement should begin", Seen()));
  }

  void ParseLoss(std::vector<Statement>& statements) {
    Range begin = Peek().range;
    ++at_;
    Expr value = ParseExpr();
    Range range = Join(begin, value.range);
    if (!failed_) statements.emplace_back(LossStatement{std::move(value), range});
  }

  void ParseReturn(std::vector<Statement>& statements) {
    ++at_;
    ReturnStatement statement;
    do {
      statement.values.push_back(ParseExpr());
    } while (!failed_ && Take(TokenKind::kComma));
    if (!failed_) statements.emplace_back(std::move(statement));
  }

  // let c = lstm(H=H)
  void ParseInstance(std::vector<Statement>& statements) {
    ++at_;
    Name name = ExpectName("an instance");
    Expect(TokenKind::kEqual);
    CellUse use = ParseCellUse();
    if (!failed_) statements.emplace_back(Instance{std::move(name), std::move(use)});
  }

  // input x: [I] over T, y: int[V]
  void ParseDeclarations(Declaration::Kind kind, std::vector<Statement>& statements) {
    ++at_;
    do {
      Declaration declaration;
      declaration.kind = kind;
      declaration.name = ExpectName("what is declared");
      Expect(TokenKind::kColon);
      bool index = !failed_ && Take(TokenKind::kInt);
      Range opened = Peek().range;
      if (Expect(TokenKind::kLeftBracket)) {
        ++brackets_;
        if (index) {
          declaration.classes = ParseExpr();
        } else if (!At(TokenKind::kRightBracket)) {
          do {
            declaration.shape.push_back(ParseExpr());
          } while (!failed_ && Take(TokenKind::kComma));
        }
        Expect(TokenKind::kRightBracket, &opened);
        --brackets_;
      }
      if (!failed_ && Take(TokenKind::kOver)) declaration.time = ExpectName("a time axis");
      if (!failed_ && declaration.time && TakeWord("by")) declaration.lengths = ExpectName("the lengths of sequences");
      if (!failed_ && At(TokenKind::kEqual)) {
        if (kind == Declaration::Kind::kState) {
          ++at_;
          declaration.initial = ParseExpr();
        } else {
          Fail("`=` after a declaration; a parameter's distribution follows `~`, as in `~ constant(0)`");
        }
      }
      if (!failed_ && At(TokenKind::kTilde)) {
        if (kind == Declaration::Kind::kParameter || kind == Declaration::Kind::kConstant) {
          ++at_;
          declaration.distribution = ParseExpr();
        } else {
          Fail("`~` after something that is no parameter");
        }
      }
      if (!failed_) statements.emplace_back(std::move(declaration));
    } while (!failed_ && Take(TokenKind::kComma));
  }

  std::vector<Target> ParseTargets() {
    std::vector<Target> targets;
    do {
      Target target;
      target.name = ExpectName("a value");
      if (!failed_ && At(TokenKind::kPrime)) {
        target.next = true;
        target.name.range = Join(target.name.range, Peek().range);
        ++at_;
      }
      targets.push_back(std::move(target));
    } while (!failed_ && Take(TokenKind::kComma));
    return targets;
  }

  // i, f = value, or y = scan ...
  void ParseEquation(std::vector<Statement>& statements) {
    Range begin = Peek().range;
    std::vector<Target> targets = ParseTargets();
    if (!failed_ && !At(TokenKind::kEqual)) {
      Fail(fmt::format("{} where `=` should follow what an equation defines", Seen()));
    }
    if (failed_) return;
    ++at_;
    bool reverse = Next().kind == TokenKind::kScan && TakeWord("reverse");
    if (Take(TokenKind::kScan)) {
      ScanStatement scan;
      scan.targets = std::move(targets);
      scan.reverse = reverse;
      scan.use = ParseCellUse();
      if (Expect(TokenKind::kOver)) {
        do {
          scan.sequences.push_back(ParseExpr());
        } while (!failed_ && Take(TokenKind::kComma));
      }
      if (!failed_ && Take(TokenKind::kFrom)) {
        scan.from = ExpectName("a scan");
        Expect(TokenKind::kDot);
        Expect(TokenKind::kState);
      }
      if (!failed_ && TakeWord("reset")) scan.reset = ParseExpr();
      scan.range = Join(begin, tokens_[at_ - 1].range);
      if (!failed_) statements.emplace_back(std::move(scan));
      return;
    }
    Equation equation{std::move(targets), ParseExpr()};
    if (!failed_) statements.emplace_back(std::move(equation));
  }

  // lstm(I=4, H=H) or lstm
  CellUse ParseCellUse() {
    CellUse use;
    use.range = Peek().range;
    use.cell = ExpectName("a cell");
    Range opened = Peek().range;
    if (failed_ || !Take(TokenKind::kLeftParen)) return use;
    ++brackets_;
    if (!At(TokenKind::kRightParen)) {
      do {
        Name extent = ExpectName("an extent");
        Expect(TokenKind::kEqual);
        use.arguments.push_back({std::move(extent), ParseExpr()});
      } while (!failed_ && Take(TokenKind::kComma));
    }
    Expect(TokenKind::kRightParen, &opened);
    --brackets_;
    use.range = Join(use.range, tokens_[at_ - 1].range);
    return use;
  }

  // output h', name = value
  void ParseOutputs(std::vector<Statement>& statements) {
    ++at_;
    do {
      OutputStatement output;
      if (At(TokenKind::kName) && Next().kind == TokenKind::kEqual) {
        output.name = ExpectName("an output");
        ++at_;
      }
      output.value = ParseExpr();
      if (!failed_) statements.emplace_back(std::move(output));
    } while (!failed_ && Take(TokenKind::kComma));
  }

  void ParseLoop(std::vector<Statement>& statements) {
    auto loop = std::make_unique<Loop>();
    loop->is_for = At(TokenKind::kFor);
    loop->range = Peek().range;
    ++at_;
    loop->variable = ExpectName("a round");
    Expect(TokenKind::kIn);
    loop->count = ParseExpr();
    if (loop->is_for && Expect(TokenKind::kDotDot)) {
      loop->first = std::move(loop->count);
      loop->count = ParseExpr();
    }
    loop->range = Join(loop->range, tokens_[at_ - 1].range);
    bool header_failed = failed_;
    RecoverToBlock();
    loop->body = ParseBlock();
    if (!header_failed) statements.emplace_back(std::move(loop));
  }

  // Expressions.
  // -------------------------------------------------------------------------------------------------------

  Expr ParseExpr() { return ParseBinary(kComparison); }

  // Operators that bind at least as tightly as `precedence`. A leading `-` binds looser than `@` and `^`, and tighter
  // than `*`.
  Expr ParseBinary(int precedence) {
    if (failed_) return {};
    if (depth_ >= kDeepestExpression) {
      Fail("an expression nests too deep here", Kind::kNestingTooDeep);
      return {};
    }
    ++depth_;
    Expr left;
    if (Range minus = Peek().range; Take(TokenKind::kMinus)) {
      left.kind = Expr::Kind::kNegate;
      left.children.push_back(ParseBinary(std::max(precedence, kProduct)));
      left.range = Join(minus, left.children[0].range);
      Grow(left);
    } else {
      left = ParsePostfix();
    }
    bool compared = false;
    while (!failed_) {
      const Binding* binding = FindBinding(Peek().kind);
      if (binding == nullptr || binding->precedence < precedence) break;
      if (binding->precedence == kComparison && std::exchange(compared, true)) {
        Fail(fmt::format("{} compares the result of a comparison", Seen()));
        break;
      }
      ++at_;
      Expr node;
      node.kind = Expr::Kind::kBinary;
      node.op = binding->op;
      node.children.push_back(std::move(left));
      node.children.push_back(ParseBinary(binding->precedence + (binding->from_right ? 0 : 1)));
      node.range = Join(node.children[0].range, node.children[1].range);
      Grow(node);
      left = std::move(node);
    }
    --depth_;
    return left;
  }

  // A primary with `[...]` and `^T` behind it.
  Expr ParsePostfix() {
    Expr base = ParsePrimary();
    while (!failed_) {
      bool transposed = At(TokenKind::kCaret) && Next().kind == TokenKind::kName && Next().text == "T";
      if (!transposed && !At(TokenKind::kLeftBracket)) break;
      Range opened = Peek().range;
      Expr node;
      if (transposed) {
        at_ += 2;
        node.kind = Expr::Kind::kTranspose;
        node.children.push_back(std::move(base));
      } else {
        ++at_;
        ++brackets_;
        node.kind = Expr::Kind::kIndex;
        node.children.push_back(std::move(base));
        do {
          node.children.push_back(ParseIndex());
        } while (!failed_ && Take(TokenKind::kComma));
        Expect(TokenKind::kRightBracket, &opened);
        --brackets_;
      }
      node.range = Join(node.children[0].range, tokens_[at_ - 1].range);
      Grow(node);
      base = std::move(node);
    }
    return base;
  }

  // An index: an expression, or a span whose ends may be left out.
  Expr ParseIndex() {
    auto all = [&] {
      Expr expr;
      expr.kind = Expr::Kind::kAll;
      expr.range = {Peek().range.source, Peek().range.begin, Peek().range.begin};
      return expr;
    };
    Expr first = At(TokenKind::kColon) ? all() : ParseExpr();
    if (failed_ || !Take(TokenKind::kColon)) return first;
    Expr span;
    span.kind = Expr::Kind::kSpan;
    bool open = At(TokenKind::kRightBracket) || At(TokenKind::kComma);
    span.children.push_back(std::move(first));
    span.children.push_back(open ? all() : ParseExpr());
    span.range = Join(span.children[0].range, span.children[1].range);
    Grow(span);
    return span;
  }

  Expr ParsePrimary() {
    const Token token = Peek();
    Expr expr;
    expr.range = token.range;
    if (Take(TokenKind::kNumber)) {
      expr.kind = Expr::Kind::kNumber;
      expr.number = token.number;
    } else if (Take(TokenKind::kName)) {
      expr.text = token.text;
      ParseNamed(expr);
    } else if (Take(TokenKind::kLeftParen)) {
      ++brackets_;
      expr = ParseExpr();
      Expect(TokenKind::kRightParen, &token.range);
      --brackets_;
      expr.range = Join(token.range, tokens_[at_ - 1].range);
    } else if (At(TokenKind::kScan)) {
      Fail("`scan` inside an expression; it stands alone on the right of `=`");
    } else {
      Fail(fmt::format("{} where an expression should begin", Seen()));
    }
    return expr;
  }

  // What a name begins: itself, h', a call, or encoded.state.h.
  void ParseNamed(Expr& expr) {
    expr.kind = Expr::Kind::kName;
    if (At(TokenKind::kPrime)) {
      expr.kind = Expr::Kind::kNext;
      expr.range = Join(expr.range, Peek().range);
      ++at_;
    } else if (At(TokenKind::kLeftParen)) {
      ParseArguments(expr);
    } else if (Take(TokenKind::kDot)) {
      expr.kind = Expr::Kind::kFinal;
      Expect(TokenKind::kState);
      Expect(TokenKind::kDot);
      expr.member = ExpectName("a state").text;
      expr.range = Join(expr.range, tokens_[at_ - 1].range);
    }
  }

  void ParseArguments(Expr& call) {
    call.kind = Expr::Kind::kCall;
    Range opened = Peek().range;
    ++at_;
    ++brackets_;
    if (!At(TokenKind::kRightParen)) {
      do {
        call.children.push_back(ParseExpr());
      } while (!failed_ && Take(TokenKind::kComma));
    }
    Expect(TokenKind::kRightParen, &opened);
    --brackets_;
    call.range = Join(call.range, tokens_[at_ - 1].range);
    Grow(call);
  }

  // Sets the depth of a node from its children's; a long chain of operators is deep too.
  void Grow(Expr& expr) {
    for (const Expr& child : expr.children) expr.depth = std::max(expr.depth, child.depth + 1);
    if (expr.depth > kDeepestExpression) Fail("an expression nests too deep here", Kind::kNestingTooDeep);
  }

  Diagnostics& diagnostics_;
  std::vector<Token> tokens_;
  size_t at_ = 0;
  int brackets_ = 0;
  int depth_ = 0;
  int blocks_ = 0;
  bool failed_ = false;
};

}  // namespace

Ast Parse(std::shared_ptr<const Source> source, Diagnostics& diagnostics) {
  if (source->text().size() > kLongestSource) {
    diagnostics.Report(Kind::kProgramTooLarge, {}, fmt::format("`{}` is longer than 16 MiB", source->name()));
    return {source, {}};
  }
  return {source, Parser(*source, diagnostics).File()};
}

}  // namespace recurve::frontend

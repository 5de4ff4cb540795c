// frontend/ast_printer.cpp: the syntax tree as text that parses to the same tree.

#include <fmt/format.h>

#include <type_traits>
#include <utility>

#include "frontend/ast.h"

namespace recurve::frontend {
namespace {

std::string Print(const Expr& expr);

template <typename Items, typename Function>
std::string List(const Items& items, Function&& text) {
  std::string result;
  for (const auto& item : items) {
    if (!result.empty()) result += ", ";
    result += text(item);
  }
  return result;
}

std::string PrintAll(const std::vector<Expr>& exprs) {
  return List(exprs, [](const Expr& expr) { return Print(expr); });
}

std::string Print(const Expr& expr) {
  switch (expr.kind) {
    case Expr::Kind::kError: return "<error>";
    case Expr::Kind::kNumber: return fmt::format("{}", expr.number);
    case Expr::Kind::kName: return expr.text;
    case Expr::Kind::kNext: return expr.text + "'";
    case Expr::Kind::kFinal: return fmt::format("{}.state.{}", expr.text, expr.member);
    case Expr::Kind::kCall: return fmt::format("{}({})", expr.text, PrintAll(expr.children));
    case Expr::Kind::kNegate: return fmt::format("(-{})", Print(expr.children[0]));
    case Expr::Kind::kBinary:
      return fmt::format("({} {} {})", Print(expr.children[0]), Spelling(expr.op), Print(expr.children[1]));
    case Expr::Kind::kTranspose: return fmt::format("{}^T", Print(expr.children[0]));
    case Expr::Kind::kIndex: {
      auto indices = std::vector<const Expr*>();
      for (size_t i = 1; i < expr.children.size(); ++i) indices.push_back(&expr.children[i]);
      return fmt::format("{}[{}]", Print(expr.children[0]), List(indices, [](const Expr* i) { return Print(*i); }));
    }
    case Expr::Kind::kSpan: return fmt::format("{}:{}", Print(expr.children[0]), Print(expr.children[1]));
    case Expr::Kind::kAll: return "";
  }
  std::unreachable();
}

std::string Print(const std::vector<Target>& targets) {
  return List(targets, [](const Target& target) { return target.name.text + (target.next ? "'" : ""); });
}

std::string Print(const CellUse& use) {
  if (use.arguments.empty()) return use.cell.text;
  auto argument = [](const CellUse::Argument& a) { return fmt::format("{}={}", a.extent.text, Print(a.value)); };
  return fmt::format("{}({})", use.cell.text, List(use.arguments, argument));
}

std::string_view Keyword(Declaration::Kind kind) {
  switch (kind) {
    case Declaration::Kind::kInput: return "input";
    case Declaration::Kind::kState: return "state";
    case Declaration::Kind::kParameter: return "param";
    case Declaration::Kind::kConstant: return "const";
  }
  std::unreachable();
}

// Appends statements, two spaces deeper a block.
struct Printer {
  std::string text;
  std::string indent = "  ";

  void Line(const std::string& line) { text += indent + line + "\n"; }

  void operator()(const Declaration& declaration) {
    std::string line = fmt::format("{} {}: ", Keyword(declaration.kind), declaration.name.text);
    line += declaration.classes ? fmt::format("int[{}]", Print(*declaration.classes))
                                : fmt::format("[{}]", PrintAll(declaration.shape));
    if (declaration.time) line += " over " + declaration.time->text;
    if (declaration.lengths) line += " by " + declaration.lengths->text;
    if (declaration.initial) line += " = " + Print(*declaration.initial);
    if (declaration.distribution) line += " ~ " + Print(*declaration.distribution);
    Line(line);
  }
  void operator()(const Equation& equation) {
    Line(fmt::format("{} = {}", Print(equation.targets), Print(equation.value)));
  }
  void operator()(const ScanStatement& scan) {
    Line(fmt::format("{} = {}scan {} over {}{}{}", Print(scan.targets), scan.reverse ? "reverse " : "", Print(scan.use),
                     PrintAll(scan.sequences), scan.from ? fmt::format(" from {}.state", scan.from->text) : "",
                     scan.reset ? " reset " + Print(*scan.reset) : ""));
  }
  void operator()(const Instance& instance) {
    Line(fmt::format("let {} = {}", instance.name.text, Print(instance.use)));
  }
  void operator()(const OutputStatement& output) {
    Line(fmt::format("output {}{}", output.name ? output.name->text + " = " : "", Print(output.value)));
  }
  void operator()(const LossStatement& loss) { Line("loss " + Print(loss.value)); }
  void operator()(const ReturnStatement& statement) { Line("return " + PrintAll(statement.values)); }
  void operator()(const std::unique_ptr<Loop>& loop) {
    Line(loop->is_for ? fmt::format("for {} in {}..{} {{", loop->variable.text, Print(*loop->first), Print(loop->count))
                      : fmt::format("repeat {} in {} {{", loop->variable.text, Print(loop->count)));
    indent += "  ";
    All(loop->body);
    indent.resize(indent.size() - 2);
    Line("}");
  }
  void All(const std::vector<Statement>& statements) {
    for (const Statement& statement : statements) std::visit(*this, statement);
  }
};

std::string_view Keyword(Definition::Kind kind) {
  switch (kind) {
    case Definition::Kind::kCell: return "cell";
    case Definition::Kind::kModel: return "model";
    case Definition::Kind::kFunction: return "fn";
  }
  std::unreachable();
}

}  // namespace

std::string_view Spelling(Operator op) {
  switch (op) {
    case Operator::kAdd: return "+";
    case Operator::kSubtract: return "-";
    case Operator::kMultiply: return "*";
    case Operator::kDivide: return "/";
    case Operator::kProduct: return "@";
    case Operator::kPower: return "^";
    case Operator::kLess: return "<";
    case Operator::kLessEqual: return "<=";
    case Operator::kGreater: return ">";
    case Operator::kGreaterEqual: return ">=";
    case Operator::kEqual: return "==";
    case Operator::kNotEqual: return "!=";
  }
  std::unreachable();
}

std::string Print(const Definition& definition) {
  Printer printer;
  printer.text = fmt::format("{} {}({}) {{\n", Keyword(definition.kind), definition.name.text,
                             List(definition.parameters, [](const Name& name) { return name.text; }));
  printer.All(definition.body);
  return printer.text + "}\n";
}

}  // namespace recurve::frontend

// frontend/elaborate_expressions.cpp: expressions to terms, and expressions to extents.

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "frontend/builtins.h"
#include "frontend/elaborator.h"
#include "frontend/library.h"

namespace recurve::frontend {
namespace {

constexpr size_t kDeepestCall = 32;
// Of expressions within calls within expressions; bounds the stack.
constexpr int kDeepestEvaluation = 1000;
constexpr int64_t kMostParts = 256;
constexpr double kLargestLiteral = 1e9;

std::optional<ir::Op> ElementwiseOf(Operator op) {
  switch (op) {
    case Operator::kAdd: return ir::Op::kAdd;
    case Operator::kSubtract: return ir::Op::kSub;
    case Operator::kMultiply: return ir::Op::kMul;
    case Operator::kDivide: return ir::Op::kDiv;
    case Operator::kPower: return ir::Op::kPow;
    case Operator::kLess:
    case Operator::kGreater: return ir::Op::kLess;
    case Operator::kLessEqual:
    case Operator::kGreaterEqual: return ir::Op::kLessEqual;
    case Operator::kEqual:
    case Operator::kNotEqual: return ir::Op::kEqual;
    case Operator::kProduct: return std::nullopt;
  }
  std::unreachable();
}

// The number a literal is, with its sign.
std::optional<double> Literal(const Expr& expr) {
  if (expr.kind == Expr::Kind::kNumber) return expr.number;
  if (expr.kind == Expr::Kind::kNegate && expr.children[0].kind == Expr::Kind::kNumber) return -expr.children[0].number;
  return std::nullopt;
}

// How many steps ago an index such as `-2` is.
std::optional<int64_t> DelayOf(const Expr& index) {
  std::optional<double> number = Literal(index);
  if (!number || *number >= 0 || *number != std::floor(*number) || *number < -kLargestLiteral) return std::nullopt;
  return static_cast<int64_t>(-*number);
}

}  // namespace

TermId Elaborator::Evaluate(const Expr& expr) {
  std::vector<TermId> values = EvaluateAll(expr);
  if (values.size() == 1) return values[0];
  reporter_.Report(
      Kind::kValueCount, expr.range,
      fmt::format("`{}` gives {} where one is wanted", expr.range.Quote(), Counted(values.size(), "value")));
  return kNoTerm;
}

std::vector<TermId> Elaborator::EvaluateAll(const Expr& expr) {
  if (Exhausted(expr.range)) return {kNoTerm};
  if (depth_ >= kDeepestEvaluation) {
    reporter_.Report(Kind::kNestingTooDeep, expr.range, "calls and expressions nest too deep here");
    return {kNoTerm};
  }
  ++depth_;
  std::vector<TermId> values;
  switch (expr.kind) {
    case Expr::Kind::kError: values = {kNoTerm}; break;
    case Expr::Kind::kNumber: values = {typing_.Number(expr.number, expr.range)}; break;
    case Expr::Kind::kName: values = {EvaluateName(expr)}; break;
    case Expr::Kind::kNext: values = {EvaluateNext(expr)}; break;
    case Expr::Kind::kFinal: values = {EvaluateFinal(expr)}; break;
    case Expr::Kind::kCall: values = EvaluateCall(expr); break;
    case Expr::Kind::kNegate:
      if (std::optional<double> literal = Literal(expr)) {
        values = {typing_.Number(*literal, expr.range)};
      } else {
        values = {typing_.Elementwise(ir::Op::kNeg, {Evaluate(expr.children[0])}, expr.range)};
      }
      break;
    case Expr::Kind::kBinary: values = {EvaluateBinary(expr)}; break;
    case Expr::Kind::kTranspose: values = {typing_.Transpose(Evaluate(expr.children[0]), expr.range)}; break;
    case Expr::Kind::kIndex: values = {EvaluateIndex(expr)}; break;
    case Expr::Kind::kSpan:
    case Expr::Kind::kAll: values = {kNoTerm}; break;  // only inside an index, which reads them itself
  }
  --depth_;
  return values;
}

TermId Elaborator::EvaluateName(const Expr& expr) {
  Binding* binding = Find(expr.text);
  if (binding == nullptr) {
    ReportUnknown(expr.text, expr.range);
    return kNoTerm;
  }
  Use(*binding);
  switch (binding->kind) {
    case Binding::Kind::kLocal:
    case Binding::Kind::kInput:
    case Binding::Kind::kState:
    case Binding::Kind::kParameter: return binding->term;
    case Binding::Kind::kExtent: return typing_.ExtentValue(binding->extent, expr.range);
    case Binding::Kind::kInstance:
      reporter_.Report(Kind::kNotAValue, expr.range,
                       fmt::format("`{0}` is a cell with its parameters; `scan {0} over ...` runs it", expr.text));
      return kNoTerm;
  }
  std::unreachable();
}

TermId Elaborator::EvaluateNext(const Expr& expr) {
  Binding* binding = Find(expr.text);
  if (binding == nullptr || binding->kind != Binding::Kind::kState) {
    if (binding == nullptr) {
      ReportUnknown(expr.text, expr.range);
    } else {
      reporter_
          .Report(Kind::kNotAState, expr.range,
                  fmt::format("`{}'` is primed and `{}` is no state", expr.text, expr.text))
          .Note(binding->range, fmt::format("`{}` declared here", expr.text));
    }
    return kNoTerm;
  }
  Use(*binding);
  const TypedState& state = result_.states[binding->index];
  if (!assigned_.contains(binding->index)) {
    reporter_.Report(Kind::kUsedBeforeDefinition, expr.range,
                     fmt::format("`{}'` is read before its equation", expr.text));
    return kNoTerm;
  }
  return state.next;
}

TermId Elaborator::EvaluateFinal(const Expr& expr) {
  Binding* binding = Find(expr.text);
  if (binding == nullptr) {
    ReportUnknown(expr.text, expr.range);
    return kNoTerm;
  }
  Use(*binding);
  if (binding->scan < 0) {
    if (binding->term != kNoTerm || binding->kind != Binding::Kind::kLocal) {
      reporter_
          .Report(Kind::kNotAState, expr.range, fmt::format("`{}` is no result of a scan and has no state", expr.text))
          .Note(binding->range, fmt::format("`{}` defined here", expr.text));
    }
    return kNoTerm;
  }
  const TypedScan& scan = result_.scans[binding->scan];
  const TypedDefinition& cell = *result_.instances[scan.instance].cell;
  auto state = std::ranges::find(cell.states, expr.member, &TypedState::name);
  if (state == cell.states.end()) {
    std::vector<std::string> names;
    for (const TypedState& candidate : cell.states) names.push_back(candidate.name);
    reporter_
        .Report(Kind::kUnknownName, expr.range,
                fmt::format("`{}` has no state `{}`{}", cell.name, expr.member, DidYouMean(expr.member, names)))
        .Note(cell.range, fmt::format("`{}` declared here", cell.name));
    return kNoTerm;
  }
  return FinalState(binding->scan, static_cast<int>(state - cell.states.begin()), expr.range);
}

TermId Elaborator::EvaluateBinary(const Expr& expr) {
  TermId left = Evaluate(expr.children[0]);
  if (std::optional<double> exponent = Literal(expr.children[1]); exponent && expr.op == Operator::kPower) {
    return left == kNoTerm ? kNoTerm : typing_.Power(left, *exponent, expr.range);
  }
  TermId right = Evaluate(expr.children[1]);
  std::optional<ir::Op> op = ElementwiseOf(expr.op);
  if (!op) return typing_.MatrixProduct(left, right, expr.range);
  if (expr.op == Operator::kGreater || expr.op == Operator::kGreaterEqual) std::swap(left, right);
  TermId value = typing_.Elementwise(*op, {left, right}, expr.range);
  if (expr.op != Operator::kNotEqual) return value;
  return typing_.Elementwise(ir::Op::kSub, {typing_.Number(1, expr.range), value}, expr.range);
}

// x[-2] is x two steps ago: states of the cell's own that hand a value on, step by step.
TermId Elaborator::EvaluateDelay(const Expr& expr, TermId value, int64_t steps) {
  constexpr int64_t kMostStepsAgo = 64;
  if (result_.is_model) {
    reporter_.Report(Kind::kMisplaced, expr.range,
                     fmt::format("`{}` in a model; `scan delay over ...` delays a sequence", expr.range.Quote()));
    return kNoTerm;
  }
  if (steps > kMostStepsAgo) {
    reporter_.Report(Kind::kExtentOutOfRange, expr.range,
                     fmt::format("`{}` is more than {} steps ago", expr.range.Quote(), kMostStepsAgo));
    return kNoTerm;
  }
  if (!HasSteps(value, expr.range) || !IsOfOneStep(value, expr.range, "a delayed value")) return kNoTerm;
  for (int64_t ago = 1; ago <= steps; ++ago) {
    auto [delay, fresh] = delays_.emplace(std::pair(value, ago), kNoTerm);
    if (fresh) {
      const Term& source = result_.terms[value];
      const std::string label = source.label.empty() ? fmt::format("value{}", delays_.size()) : source.label;
      Term state{.op = ir::Op::kInput,
                 .type = {.shape = source.type.shape, .lead = {.batch = true}},
                 .label = fmt::format("ago{}_{}", ago, label),
                 .range = expr.range};
      TermId before = ago == 1 ? value : delays_.at({value, ago - 1});
      std::string name = state.label;
      delay->second = typing_.Add(std::move(state));
      assigned_.emplace(static_cast<int>(result_.states.size()), expr.range);
      result_.states.push_back({.name = std::move(name), .current = delay->second, .next = before});
    }
  }
  return delays_.at({value, steps});
}

// Four things are written `a[...]`: a row of a table by an integer value, a range of each axis, an element of a vector
// and, with a negative number, a value of an earlier step.
TermId Elaborator::EvaluateIndex(const Expr& expr) {
  TermId base = Evaluate(expr.children[0]);
  size_t indices = expr.children.size() - 1;
  const Expr& first = expr.children[1];
  if (indices == 1 && first.kind != Expr::Kind::kSpan && !IsExtent(first)) {
    TermId index = Evaluate(first);
    if (index == kNoTerm || base == kNoTerm) return kNoTerm;
    if (typing_.type(index).element == ir::Element::kIndex) return typing_.Gather(base, index, expr.range);
    Diagnostic& diagnostic = reporter_.Report(
        Kind::kElementMismatch, expr.range,
        fmt::format("`{}` looks up by `{}`, which is no integer", expr.range.Quote(), Text(typing_.type(index))));
    typing_.Explain(diagnostic, index);
    return kNoTerm;
  }
  if (base == kNoTerm) return kNoTerm;
  if (std::optional<int64_t> ago = indices == 1 ? DelayOf(first) : std::nullopt) {
    return EvaluateDelay(expr, base, *ago);
  }
  size_t axes = typing_.type(base).shape.size();
  if (indices != axes) {
    Diagnostic& diagnostic = reporter_.Report(
        Kind::kRankMismatch, expr.range,
        fmt::format("`{}` names {} of `{}`; one range an axis is wanted", expr.range.Quote(),
                    indices == 1 ? "one axis" : fmt::format("{} axes", indices), Text(typing_.type(base))));
    typing_.Explain(diagnostic, base);
    return kNoTerm;
  }
  TermId value = base;
  for (size_t i = 0; i < indices; ++i) {
    const Expr& index = expr.children[i + 1];
    int axis = static_cast<int>(axes - 1 - i);
    if (index.kind == Expr::Kind::kSpan) {
      const Expr &begin = index.children[0], &finish = index.children[1];
      std::optional<Extent> start = begin.kind == Expr::Kind::kAll ? Extent() : EvaluateExtent(begin);
      std::optional<Extent> end =
          finish.kind == Expr::Kind::kAll ? typing_.type(base).shape[i] : EvaluateExtent(finish);
      if (!start || !end || value == kNoTerm) return kNoTerm;
      value = typing_.Slice(value, axis, *start, *end, expr.range);
      continue;
    }
    std::optional<Extent> element = EvaluateExtent(index);
    if (!element) return kNoTerm;
    if (axes != 1) {
      reporter_.Report(Kind::kNotSupportedYet, expr.range,
                       fmt::format("`{}`: one row or column of a matrix is not supported yet; a range of one is",
                                   expr.range.Quote()));
      return kNoTerm;
    }
    value = typing_.Element(value, *element, expr.range);
  }
  return value;
}

std::vector<TermId> Elaborator::EvaluateCall(const Expr& expr) {
  bool from_library = IsLibrary(expr.range);
  if (const Definition* function = shared_.index.FindFunction(expr.text, expr.children.size(), from_library)) {
    std::vector<TermId> args;
    for (const Expr& child : expr.children) args.push_back(Evaluate(child));
    return Inline(*function, args, expr.range);
  }
  if (expr.text == "split" && expr.children.size() == 2) return EvaluateSplit(expr);
  if (expr.text == "eye" && expr.children.size() == 1) {
    std::optional<Extent> size = EvaluateExtent(expr.children[0]);
    return {size ? typing_.Identity(*size, expr.range) : kNoTerm};
  }
  std::vector<TermId> args;
  for (const Expr& child : expr.children) args.push_back(Evaluate(child));
  if (const SequenceFunction* function = FindSequenceFunction(expr.text); function != nullptr && args.size() == 1) {
    return {(this->*function->make)(args[0], expr.range)};
  }
  const Builtin* builtin = FindBuiltin(expr.text, expr.children.size());
  if (builtin == nullptr) {
    ReportUnknownFunction(expr);
    return {kNoTerm};
  }
  return {builtin->apply(typing_, args, expr.range)};
}

std::vector<TermId> Elaborator::EvaluateSplit(const Expr& expr) {
  TermId value = Evaluate(expr.children[0]);
  std::optional<Extent> parts = EvaluateExtent(expr.children[1]);
  if (!parts) return {kNoTerm};
  std::optional<int64_t> count = parts->constant();
  if (!count || *count < 1 || *count > kMostParts) {
    reporter_.Report(Kind::kExtentExpression, expr.children[1].range,
                     fmt::format("`{}` parts; a split has between 1 and {} parts", parts->Text(), kMostParts));
    return {kNoTerm};
  }
  // A mistake yields parts all the same, so that the equation's count is checked and nothing else is said.
  return value == kNoTerm ? std::vector<TermId>(*count, kNoTerm) : typing_.Split(value, *count, expr.range);
}

std::vector<TermId> Elaborator::Inline(const Definition& function, const std::vector<TermId>& args,
                                       const Range& range) {
  shared_.called.insert(&function);
  if (reporter_.IsActive(function) || definition_ == &function) {
    reporter_.Report(Kind::kRecursiveFunction, range, fmt::format("`{}` calls itself here", function.name.text))
        .Note(function.name.range, fmt::format("`{}` declared here", function.name.text));
    return {kNoTerm};
  }
  if (function.broken) return {kNoTerm};
  if (reporter_.depth() >= kDeepestCall) {
    reporter_.Report(Kind::kNestingTooDeep, range, "calls nest too deep here");
    return {kNoTerm};
  }
  reporter_.Enter(function, range);
  std::vector<TermId> returned;
  auto outer_returned = std::exchange(returned_, &returned);
  auto outer_body = std::exchange(body_, &function.body);
  auto outer_base = std::exchange(base_, frames_.size());
  auto outer_loops = std::exchange(loops_, 0);
  frames_.emplace_back();
  for (size_t i = 0; i < args.size(); ++i) {
    Binding argument{.kind = Binding::Kind::kInput, .term = args[i], .range = function.parameters[i].range};
    Declare(function.parameters[i], argument, "argument");
  }
  Walk(function.body);
  frames_.pop_back();
  loops_ = outer_loops;
  base_ = outer_base;
  body_ = outer_body;
  returned_ = outer_returned;
  reporter_.Leave();
  if (returned.empty()) {
    reporter_.Report(Kind::kValueCount, function.name.range, fmt::format("`{}` returns nothing", function.name.text));
    return {kNoTerm};
  }
  return returned;
}

void Elaborator::ReportUnknownFunction(const Expr& expr) {
  std::set<size_t> arities = shared_.index.Arities(expr.text);
  if (expr.text == "split") arities.insert(2);
  if (expr.text == "eye" || FindSequenceFunction(expr.text) != nullptr) arities.insert(1);
  Range name = {expr.range.source, expr.range.begin, expr.range.begin + static_cast<uint32_t>(expr.text.size())};
  if (!arities.empty()) {
    std::string counts;
    for (size_t arity : arities) counts += fmt::format("{}{}", counts.empty() ? "" : " or ", arity);
    reporter_.Report(
        Kind::kArgumentCount, expr.range,
        fmt::format("`{}` has {} and takes {}", expr.range.Quote(), Counted(expr.children.size(), "argument"), counts));
  } else if (IsPlanned(expr.text)) {
    reporter_.Report(Kind::kNotSupportedYet, name, fmt::format("`{}` is not supported yet", expr.text));
  } else if (shared_.index.FindEntry(expr.text) != nullptr) {
    reporter_.Report(Kind::kNotAValue, expr.range,
                     fmt::format("`{0}` is a cell; `scan {0} over ...` in a model runs it", expr.text));
  } else {
    std::vector<std::string> names = shared_.index.FunctionNames();
    names.insert(names.end(), {"split", "eye"});
    for (const SequenceFunction& function : SequenceFunctions()) names.emplace_back(function.name);
    reporter_.Report(Kind::kUnknownName, name,
                     fmt::format("no function is called `{}`{}", expr.text, DidYouMean(expr.text, names)));
  }
}

// Extents. -----------------------------------------------------------------------------------------------------------

bool Elaborator::IsExtent(const Expr& expr) {
  switch (expr.kind) {
    case Expr::Kind::kNumber: return true;
    case Expr::Kind::kName: {
      Binding* binding = Find(expr.text);
      return binding != nullptr && (binding->kind == Binding::Kind::kExtent ||
                                    (binding->term != kNoTerm && result_.terms[binding->term].op == ir::Op::kConstant));
    }
    case Expr::Kind::kNegate:
    case Expr::Kind::kBinary:
      return std::ranges::all_of(expr.children, [&](const Expr& child) { return IsExtent(child); });
    case Expr::Kind::kError:
    case Expr::Kind::kNext:
    case Expr::Kind::kFinal:
    case Expr::Kind::kCall:
    case Expr::Kind::kTranspose:
    case Expr::Kind::kIndex:
    case Expr::Kind::kSpan:
    case Expr::Kind::kAll: return false;
  }
  std::unreachable();
}

std::optional<Extent> Elaborator::EvaluateExtent(const Expr& expr) {
  auto fail = [&](std::string_view why) -> std::optional<Extent> {
    reporter_.Report(Kind::kExtentExpression, expr.range, fmt::format("`{}` {}", expr.range.Quote(), why));
    return std::nullopt;
  };
  auto whole = [&](double number) -> std::optional<Extent> {
    if (number != std::floor(number) || std::abs(number) > kLargestLiteral) return fail("is no size: a size is whole");
    return Extent(static_cast<int64_t>(number));
  };
  switch (expr.kind) {
    case Expr::Kind::kNumber: return whole(expr.number);
    case Expr::Kind::kName: {
      Binding* binding = Find(expr.text);
      if (binding == nullptr) {
        ReportUnknown(expr.text, expr.range);
        return std::nullopt;
      }
      Use(*binding);
      if (binding->kind == Binding::Kind::kExtent) return binding->extent;
      if (binding->kind == Binding::Kind::kInstance) return fail("is no extent");
      if (binding->term == kNoTerm) return std::nullopt;
      // An argument of a function may be an extent or a number.
      const Term& term = result_.terms[binding->term];
      if (term.op != ir::Op::kConstant) return fail("is a value, and a size is known before any value is");
      if (const Extent* extent = std::get_if<Extent>(&term.value)) return *extent;
      return whole(std::get<double>(term.value));
    }
    case Expr::Kind::kNegate: {
      std::optional<Extent> value = EvaluateExtent(expr.children[0]);
      return value ? Difference(Extent(), *value) : std::nullopt;
    }
    case Expr::Kind::kBinary: {
      std::optional<Extent> a = EvaluateExtent(expr.children[0]), b = EvaluateExtent(expr.children[1]);
      if (!a || !b) return std::nullopt;
      std::optional<Extent> result;
      if (expr.op == Operator::kAdd) {
        result = Sum(*a, *b);
      } else if (expr.op == Operator::kSubtract) {
        result = Difference(*a, *b);
      } else if (expr.op == Operator::kMultiply) {
        result = Product(*a, *b);
      } else if (expr.op == Operator::kDivide) {
        result = Quotient(*a, *b);
        if (!result) return fail("does not divide exactly");
      } else {
        return fail("is no extent: extents have `+ - * /`");
      }
      return result ? result : fail("is too large an extent");
    }
    case Expr::Kind::kError: return std::nullopt;
    case Expr::Kind::kNext:
    case Expr::Kind::kFinal:
    case Expr::Kind::kCall:
    case Expr::Kind::kTranspose:
    case Expr::Kind::kIndex:
    case Expr::Kind::kSpan:
    case Expr::Kind::kAll: return fail("is no extent: extents are numbers and names with `+ - * /`");
  }
  std::unreachable();
}

std::optional<Shape> Elaborator::EvaluateShape(const std::vector<Expr>& exprs) {
  Shape shape;
  bool known = true;
  for (const Expr& expr : exprs) {
    std::optional<Extent> extent = EvaluateExtent(expr);
    if (extent && extent->constant() && *extent->constant() < 1) {
      reporter_.Report(Kind::kExtentOutOfRange, expr.range, fmt::format("an extent of `{}`", extent->Text()));
      extent = std::nullopt;
    }
    known = known && extent;
    if (extent) shape.push_back(*extent);
  }
  return known ? std::optional(shape) : std::nullopt;
}

}  // namespace recurve::frontend

// frontend/typing.cpp: one function per rule.

#include "frontend/typing.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "frontend/library.h"

namespace recurve::frontend {

std::string Text(const Shape& shape) {
  std::string text;
  for (const Extent& extent : shape) text += (text.empty() ? "" : ", ") + extent.Text();
  return "[" + text + "]";
}

std::string Text(const Type& type) {
  return type.element == ir::Element::kIndex ? fmt::format("int[{}]", type.classes.Text()) : Text(type.shape);
}

Diagnostic& Reporter::Report(Kind kind, const Range& range, std::string message) {
  // The innermost call that the user wrote, if what is wrong shows inside the library.
  size_t user = calls_.size();
  Range place = range;
  while (user > 0 && IsLibrary(place)) place = calls_[--user].range;
  if (!(place == range) && !IsLibrary(place)) {
    return diagnostics_.Report(kind, place, std::move(message))
        .Note(range, fmt::format("seen here in `{}`", calls_.back().definition->name.text));
  }
  Diagnostic& diagnostic = diagnostics_.Report(kind, range, std::move(message));
  if (!calls_.empty()) {
    diagnostic.Note(calls_.back().range, fmt::format("`{}` used here", calls_.back().definition->name.text));
  }
  return diagnostic;
}

bool Reporter::IsActive(const Definition& definition) const {
  return std::ranges::find(calls_, &definition, &Call::definition) != calls_.end();
}

TermId Typing::Add(Term term) {
  if (terms_.size() >= kMostTerms) {
    if (terms_.size() == kMostTerms) {
      reporter_.Report(Kind::kProgramTooLarge, term.range,
                       fmt::format("the program unrolls to more than {} operations here", kMostTerms));
      terms_.push_back({});  // says it once
    }
    return kNoTerm;
  }
  terms_.push_back(std::move(term));
  return static_cast<TermId>(terms_.size()) - 1;
}

TermId Typing::Declared(const Name& name, Type type) {
  return Add(
      {.op = ir::Op::kInput, .type = std::move(type), .label = name.text, .range = name.range, .declared = true});
}

TermId Typing::Number(double value, const Range& range) {
  return Add({.op = ir::Op::kConstant, .value = value, .range = range});
}

TermId Typing::ExtentValue(Extent value, const Range& range) {
  return Add({.op = ir::Op::kConstant, .value = std::move(value), .range = range});
}

bool Typing::Broadcasts(const Shape& from, const Shape& to) {
  return from.size() <= to.size() && std::equal(from.rbegin(), from.rend(), to.rbegin());
}

void Typing::Explain(Diagnostic& diagnostic, TermId id) {
  const Term& term = terms_[id];
  if (term.label.empty()) {
    diagnostic.Note(term.range, fmt::format("`{}` is `{}`", term.range.Quote(), Text(term.type)));
  } else {
    diagnostic.Note(term.range, fmt::format("`{}` {} here as `{}`{}", term.label,
                                            term.declared ? "declared" : "defined", Text(term.type),
                                            term.type.lead.time.empty() ? "" : " over `" + term.type.lead.time + "`"));
  }
}

TermId Typing::Mismatch(Kind kind, const Range& range, std::string_view verb, TermId a, std::string_view word,
                        TermId b) {
  Diagnostic& diagnostic = reporter_.Report(
      kind, range, fmt::format("`{}` {} `{}` {} `{}`", range.Quote(), verb, Text(type(a)), word, Text(type(b))));
  Explain(diagnostic, a);
  if (a != b) Explain(diagnostic, b);
  return kNoTerm;
}

bool Typing::AllReal(const std::vector<TermId>& args, const Range& range) {
  for (TermId arg : args) {
    if (arg == kNoTerm) return false;
  }
  for (TermId arg : args) {
    if (type(arg).element == ir::Element::kReal) continue;
    Diagnostic& diagnostic =
        reporter_.Report(Kind::kElementMismatch, range,
                         fmt::format("`{}` takes real values and has `{}`", range.Quote(), Text(type(arg))));
    Explain(diagnostic, arg);
    return false;
  }
  return true;
}

bool Typing::JoinLeads(const std::vector<TermId>& args, const Range& range, Lead* lead) {
  TermId timed = kNoTerm;
  for (TermId arg : args) {
    const Lead& other = type(arg).lead;
    lead->batch = lead->batch || other.batch;
    if (other.time.empty()) continue;
    if (timed != kNoTerm && lead->time != other.time) {
      Diagnostic& diagnostic = reporter_.Report(
          Kind::kTimeMismatch, range,
          fmt::format("`{}` combines a value over `{}` with one over `{}`", range.Quote(), lead->time, other.time));
      Explain(diagnostic, timed);
      Explain(diagnostic, arg);
      return false;
    }
    timed = arg;
    lead->time = other.time;
  }
  return true;
}

TermId Typing::Elementwise(ir::Op op, std::vector<TermId> args, const Range& range) {
  Type result;
  if (!AllReal(args, range) || !JoinLeads(args, range, &result.lead)) return kNoTerm;
  TermId widest = *std::ranges::max_element(args, {}, [&](TermId id) { return type(id).shape.size(); });
  for (TermId arg : args) {
    if (!Broadcasts(type(arg).shape, type(widest).shape)) {
      TermId first = std::ranges::find(args, arg) < std::ranges::find(args, widest) ? arg : widest;
      return Mismatch(Kind::kShapeMismatch, range, "combines", first, "with", first == arg ? widest : arg);
    }
  }
  result.shape = type(widest).shape;
  return Add({.op = op, .args = std::move(args), .type = std::move(result), .range = range});
}

TermId Typing::Contract(TermId a, TermId b, const std::string& labels, Shape shape, const Range& range) {
  Type result{.shape = std::move(shape)};
  if (!JoinLeads({a, b}, range, &result.lead)) return kNoTerm;
  return Add({.op = ir::Op::kContract, .args = {a, b}, .type = std::move(result), .labels = labels, .range = range});
}

TermId Typing::MatrixProduct(TermId a, TermId b, const Range& range) {
  if (!AllReal({a, b}, range)) return kNoTerm;
  const Shape &left = type(a).shape, &right = type(b).shape;
  size_t rank_a = left.size(), rank_b = right.size();
  bool fits = rank_a >= 1 && rank_a <= 2 && rank_b >= 1 && rank_b <= 2 && rank_a + rank_b > 2;
  if (!fits) {
    return Mismatch(Kind::kRankMismatch, range, "multiplies", a, "by", b);
  }
  if (left.back() != right.front()) return Mismatch(Kind::kShapeMismatch, range, "multiplies", a, "by", b);
  if (rank_b == 1) return Contract(a, b, "oi,i->o", {left[0]}, range);
  if (rank_a == 1) return Contract(a, b, "i,io->o", {right[1]}, range);
  return Contract(a, b, "oi,ij->oj", {left[0], right[1]}, range);
}

TermId Typing::Transpose(TermId a, const Range& range) {
  if (!AllReal({a}, range)) return kNoTerm;
  if (type(a).shape.size() != 2) {
    Diagnostic& diagnostic =
        reporter_.Report(Kind::kRankMismatch, range,
                         fmt::format("`{}` transposes `{}`, which is no matrix", range.Quote(), Text(type(a))));
    Explain(diagnostic, a);
    return kNoTerm;
  }
  Type result = type(a);
  std::swap(result.shape[0], result.shape[1]);
  return Add({.op = ir::Op::kTranspose, .args = {a}, .type = std::move(result), .range = range});
}

bool Typing::WantsAxes(TermId a, size_t fewest, const Range& range) {
  if (type(a).shape.size() >= fewest) return true;
  Diagnostic& diagnostic = reporter_.Report(
      Kind::kRankMismatch, range, fmt::format("`{}` wants an axis and has `{}`", range.Quote(), Text(type(a))));
  Explain(diagnostic, a);
  return false;
}

TermId Typing::Outer(TermId a, TermId b, const Range& range) {
  if (!AllReal({a, b}, range)) return kNoTerm;
  if (type(a).shape.size() != 1 || type(b).shape.size() != 1) {
    return Mismatch(Kind::kRankMismatch, range, "multiplies", a, "by", b);
  }
  return Contract(a, b, "i,j->ij", {type(a).shape[0], type(b).shape[0]}, range);
}

TermId Typing::Dot(TermId a, TermId b, const Range& range) {
  if (!AllReal({a, b}, range)) return kNoTerm;
  if (type(a).shape.size() != 1 || type(b).shape.size() != 1) {
    return Mismatch(Kind::kRankMismatch, range, "multiplies", a, "by", b);
  }
  if (type(a).shape != type(b).shape) return Mismatch(Kind::kShapeMismatch, range, "multiplies", a, "by", b);
  return Contract(a, b, "i,i->", {}, range);
}

TermId Typing::Reduce(ir::Op op, TermId a, const Range& range) {
  if (!AllReal({a}, range) || !WantsAxes(a, 1, range)) return kNoTerm;
  Type result = type(a);
  result.shape.pop_back();
  return Add({.op = op, .args = {a}, .type = std::move(result), .range = range});
}

std::vector<TermId> Typing::Split(TermId a, int64_t parts, const Range& range) {
  std::vector<TermId> result(parts, kNoTerm);
  if (!AllReal({a}, range) || !WantsAxes(a, 1, range)) return result;
  const Extent whole = type(a).shape.back();
  std::optional<Extent> part = Quotient(whole, Extent(parts));
  if (!part || (whole.constant() && !part->constant())) {
    Diagnostic& diagnostic =
        reporter_.Report(Kind::kShapeMismatch, range,
                         fmt::format("`{}` splits `{}` into {} equal parts", range.Quote(), Text(type(a)), parts));
    Explain(diagnostic, a);
    return result;
  }
  for (int64_t i = 0; i < parts; ++i) {
    std::optional<Extent> start = Product(*part, Extent(i));
    if (!start) return result;
    Type piece = type(a);
    piece.shape.back() = *part;
    result[i] = Add({.op = ir::Op::kSlice, .args = {a}, .type = std::move(piece), .value = *start, .range = range});
  }
  return result;
}

TermId Typing::Concat(const std::vector<TermId>& parts, const Range& range) {
  Type result;
  if (!AllReal(parts, range) || !JoinLeads(parts, range, &result.lead)) return kNoTerm;
  Extent total;
  for (TermId part : parts) {
    if (!WantsAxes(part, 1, range)) return kNoTerm;
    const Shape &first = type(parts[0]).shape, &shape = type(part).shape;
    if (first.size() != shape.size() || !std::equal(first.begin(), first.end() - 1, shape.begin())) {
      return Mismatch(Kind::kShapeMismatch, range, "joins", parts[0], "with", part);
    }
    std::optional<Extent> sum = Sum(total, shape.back());
    if (!sum) {
      reporter_.Report(Kind::kExtentExpression, range, fmt::format("`{}` joins too many extents", range.Quote()));
      return kNoTerm;
    }
    total = *sum;
  }
  result.shape = type(parts[0]).shape;
  result.shape.back() = total;
  return Add({.op = ir::Op::kConcat, .args = parts, .type = std::move(result), .range = range});
}

TermId Typing::Slice(TermId a, int axis, const Extent& start, const Extent& end, const Range& range) {
  if (!AllReal({a}, range)) return kNoTerm;
  Type result = type(a);
  Extent& extent = result.shape[result.shape.size() - 1 - axis];
  std::optional<Extent> size = Difference(end, start), rest = Difference(extent, end);
  auto below = [](const std::optional<Extent>& x, int64_t least) {
    return x && x->constant() && *x->constant() < least;
  };
  if (!size || !rest || below(start, 0) || below(size, 1) || below(rest, 0)) {
    Diagnostic& diagnostic = reporter_.Report(Kind::kSliceOutOfRange, range,
                                              fmt::format("`{}` takes elements `{}` to `{}` of `{}`", range.Quote(),
                                                          start.Text(), end.Text(), extent.Text()));
    Explain(diagnostic, a);
    return kNoTerm;
  }
  if (*size == extent && start == Extent()) return a;
  extent = *size;
  return Add(
      {.op = ir::Op::kSlice, .args = {a}, .type = std::move(result), .value = start, .axis = axis, .range = range});
}

TermId Typing::Element(TermId a, const Extent& index, const Range& range) {
  std::optional<Extent> end = Sum(index, Extent(1));
  TermId slice = end ? Slice(a, 0, index, *end, range) : kNoTerm;
  if (slice == kNoTerm) return kNoTerm;
  Type result = type(slice);
  result.shape.pop_back();
  return Add({.op = ir::Op::kReshape, .args = {slice}, .type = std::move(result), .range = range});
}

TermId Typing::Gather(TermId table, TermId index, const Range& range) {
  if (!AllReal({table}, range) || index == kNoTerm || !WantsAxes(table, 1, range)) return kNoTerm;
  if (type(table).lead.batch) {
    Diagnostic& diagnostic = reporter_.Report(
        Kind::kElementMismatch, range, fmt::format("`{}` looks up in a table that is no parameter", range.Quote()));
    Explain(diagnostic, table);
    return kNoTerm;
  }
  if (type(table).shape[0] != type(index).classes) {
    return Mismatch(Kind::kShapeMismatch, range, "looks up in", table, "by", index);
  }
  Type result{.shape = Shape(type(table).shape.begin() + 1, type(table).shape.end()), .lead = type(index).lead};
  return Add({.op = ir::Op::kGather, .args = {table, index}, .type = std::move(result), .range = range});
}

TermId Typing::OneHot(TermId index, const Range& range) {
  if (index == kNoTerm) return kNoTerm;
  if (type(index).element != ir::Element::kIndex) {
    Diagnostic& diagnostic =
        reporter_.Report(Kind::kElementMismatch, range,
                         fmt::format("`{}` takes an integer and has `{}`", range.Quote(), Text(type(index))));
    Explain(diagnostic, index);
    return kNoTerm;
  }
  Type result{.shape = {type(index).classes}, .lead = type(index).lead};
  return Add({.op = ir::Op::kOneHot, .args = {index}, .type = std::move(result), .range = range});
}

TermId Typing::Identity(const Extent& size, const Range& range) {
  return Add({.op = ir::Op::kIota, .type = {.shape = {size, size}}, .value = size, .range = range});
}

TermId Typing::Size(TermId a, const Range& range) {
  if (!AllReal({a}, range) || !WantsAxes(a, 1, range)) return kNoTerm;
  return ExtentValue(type(a).shape.back(), range);
}

TermId Typing::Power(TermId a, double exponent, const Range& range) {
  constexpr double kMostFactors = 8;
  if (exponent == 0.5) return Elementwise(ir::Op::kSqrt, {a}, range);
  if (exponent == -0.5) return Elementwise(ir::Op::kRsqrt, {a}, range);
  double count = std::abs(exponent);
  if (count < 1 || count > kMostFactors || count != std::floor(count)) {
    return Elementwise(ir::Op::kPow, {a, Number(exponent, range)}, range);
  }
  // Square and multiply, from the highest bit.
  TermId power = a;
  int bit = 8;
  while ((static_cast<int>(count) & bit) == 0) bit >>= 1;
  for (bit >>= 1; bit != 0; bit >>= 1) {
    power = Elementwise(ir::Op::kMul, {power, power}, range);
    if ((static_cast<int>(count) & bit) != 0) power = Elementwise(ir::Op::kMul, {power, a}, range);
  }
  return exponent < 0 ? Elementwise(ir::Op::kDiv, {Number(1, range), power}, range) : power;
}

}  // namespace recurve::frontend

// frontend/elaborate_sequences.cpp: what depends on a value's place in its sequence: the number of its step, lengths,
// random numbers, reductions over steps.

#include <fmt/format.h>

#include <algorithm>

#include "frontend/elaborator.h"

namespace recurve::frontend {
namespace {

// Beside softmax and the like: far below every value, and a number in every precision.
constexpr double kLowest = -1e30;

}  // namespace

std::span<const Elaborator::SequenceFunction> Elaborator::SequenceFunctions() {
  static constexpr SequenceFunction kRows[] = {
      {"step", &Elaborator::Step},
      {"length", &Elaborator::Length},
      {"random", &Elaborator::Random},
      {"random_once", &Elaborator::RandomOnce},
      {"sum_over_steps", &Elaborator::SumOverSteps},
      {"max_over_steps", &Elaborator::MaxOverSteps},
      {"last", &Elaborator::Last},
      {"mask", &Elaborator::Mask},
  };
  return kRows;
}

const Elaborator::SequenceFunction* Elaborator::FindSequenceFunction(std::string_view name) {
  const std::span<const SequenceFunction> rows = SequenceFunctions();
  auto row = std::ranges::find(rows, name, &SequenceFunction::name);
  return row == rows.end() ? nullptr : &*row;
}

TypedAxis& Elaborator::AxisOf(const std::string& time) {
  auto found = std::ranges::find(result_.axes, time, &TypedAxis::name);
  if (found != result_.axes.end()) return *found;
  return result_.axes.emplace_back(TypedAxis{.name = time});
}

// Whether `a` is a sequence; inside a cell, whether it may differ from step to step.
bool Elaborator::HasSteps(TermId a, const Range& range) {
  const Lead& lead = typing_.type(a).lead;
  if (result_.is_model ? !lead.time.empty() : lead.batch) return true;
  Diagnostic& diagnostic = reporter_.Report(Kind::kTimeMismatch, range,
                                            fmt::format("`{}` is about steps and its operand has none", range.Quote()));
  typing_.Explain(diagnostic, a);
  return false;
}

// Whether a value of a cell is one a step, not one for each element of a memory.
bool Elaborator::IsOfOneStep(TermId a, const Range& range, std::string_view what) {
  const std::string& time = typing_.type(a).lead.time;
  if (time.empty()) return true;
  Diagnostic& diagnostic = reporter_.Report(
      Kind::kTimeMismatch, range,
      fmt::format("{} of a cell is given a value over `{}`; `sum_over_steps` and the like make one of it", what, time));
  typing_.Explain(diagnostic, a);
  return false;
}

TermId Elaborator::Step(TermId a, const Range& range) {
  if (a == kNoTerm || !HasSteps(a, range)) return kNoTerm;
  const Lead lead = typing_.type(a).lead;
  TypedAxis& axis = AxisOf(lead.time);
  if (axis.steps == kNoTerm) {
    axis.steps = typing_.Add(
        {.op = ir::Op::kInput, .type = {.lead = {.batch = true, .time = lead.time}}, .label = "step", .range = range});
  }
  return axis.steps;
}

TermId Elaborator::Length(TermId a, const Range& range) {
  if (a == kNoTerm) return kNoTerm;
  const std::string time = typing_.type(a).lead.time;
  if (time.empty()) {
    Diagnostic& diagnostic =
        reporter_.Report(Kind::kTimeMismatch, range, fmt::format("`{}` is no sequence here", range.Quote()));
    typing_.Explain(diagnostic, a);
    return kNoTerm;
  }
  TermId steps = typing_.Add({.op = ir::Op::kExtent, .labels = time, .range = range});
  TermId lengths = AxisOf(time).lengths;
  return lengths == kNoTerm ? steps : typing_.Elementwise(ir::Op::kMin, {lengths, steps}, range);
}

TermId Elaborator::Random(TermId a, const Range& range) {
  if (a == kNoTerm) return kNoTerm;
  if (!result_.is_model && !typing_.type(a).lead.time.empty()) {
    reporter_.Report(
        Kind::kNotSupportedYet, range,
        fmt::format("`{}`: random numbers of a memory inside a cell are not supported yet; `random_once` is",
                    range.Quote()));
    return kNoTerm;
  }
  Type type{.shape = typing_.type(a).shape, .lead = typing_.type(a).lead};
  return typing_.Add({.op = ir::Op::kRandom, .type = std::move(type), .range = range});
}

TermId Elaborator::RandomOnce(TermId a, const Range& range) {
  if (a == kNoTerm) return kNoTerm;
  Type type{.shape = typing_.type(a).shape, .lead = {.batch = typing_.type(a).lead.batch}};
  return typing_.Add({.op = ir::Op::kRandom, .type = std::move(type), .once = true, .range = range});
}

// 1 at the steps of the sequence, 0 in the padding after its end.
TermId Elaborator::Mask(TermId a, const Range& range) {
  if (a == kNoTerm || Length(a, range) == kNoTerm) return kNoTerm;
  TermId lengths = AxisOf(typing_.type(a).lead.time).lengths;
  if (lengths == kNoTerm) return typing_.Number(1, range);
  return typing_.Elementwise(ir::Op::kLess, {Step(a, range), lengths}, range);
}

// `a` at steps of the sequence; `otherwise` in the padding after its end.
TermId Elaborator::WithinLength(TermId a, double otherwise, const Range& range) {
  if (a == kNoTerm) return kNoTerm;
  if (AxisOf(typing_.type(a).lead.time).lengths == kNoTerm) return a;
  return WithCondition(Mask(a, range), a, typing_.Number(otherwise, range), range);
}

TermId Elaborator::WithCondition(TermId condition, TermId a, TermId b, const Range& range) {
  return typing_.Elementwise(ir::Op::kSelect, {condition, a, b}, range);
}

TermId Elaborator::OverSteps(ir::Op op, TermId a, const Range& range) {
  if (a == kNoTerm) return kNoTerm;
  Type type = typing_.type(a);
  type.lead.time.clear();
  return typing_.Add({.op = op, .args = {a}, .type = std::move(type), .axis = kOverSteps, .range = range});
}

TermId Elaborator::SumOverSteps(TermId a, const Range& range) {
  if (a == kNoTerm || Length(a, range) == kNoTerm) return kNoTerm;
  return OverSteps(ir::Op::kReduceSum, WithinLength(a, 0, range), range);
}

TermId Elaborator::MaxOverSteps(TermId a, const Range& range) {
  if (a == kNoTerm || Length(a, range) == kNoTerm) return kNoTerm;
  return OverSteps(ir::Op::kReduceMax, WithinLength(a, kLowest, range), range);
}

// All other steps count as 0, so that the sum is the last one, whatever stands in the padding.
TermId Elaborator::Last(TermId a, const Range& range) {
  TermId length = a == kNoTerm ? kNoTerm : Length(a, range);
  if (length == kNoTerm) return kNoTerm;
  // Half a step away from a tie, which rounding does not reach.
  TermId before = typing_.Elementwise(ir::Op::kSub, {length, typing_.Number(1.5, range)}, range);
  TermId late = typing_.Elementwise(ir::Op::kLess, {before, Step(a, range)}, range);
  TermId tail = WithCondition(late, a, typing_.Number(0, range), range);
  return OverSteps(ir::Op::kReduceSum, WithinLength(tail, 0, range), range);
}

// input x: [I] over T by n: the sequences over T have n steps, an integer an example.
void Elaborator::DeclareLengths(const Declaration& declaration) {
  const Name& name = *declaration.lengths;
  TypedAxis& axis = AxisOf(declaration.time->text);
  if (axis.lengths != kNoTerm) {
    const Term& lengths = result_.terms[axis.lengths];
    if (lengths.label == name.text) return;
    reporter_
        .Report(Kind::kTimeMismatch, name.range,
                fmt::format("sequences over `{}` have lengths `{}` and `{}`", axis.name, lengths.label, name.text))
        .Note(lengths.range, fmt::format("`{}` named here", lengths.label));
    return;
  }
  Type type{.element = ir::Element::kIndex, .classes = Extent(ir::kAnyIndex), .lead = {.batch = true}};
  TermId input = typing_.Declared(name, std::move(type));
  axis.lengths = typing_.Add({.op = ir::Op::kReal,
                              .args = {input},
                              .type = {.lead = {.batch = true}},
                              .label = name.text,
                              .range = name.range,
                              .declared = true});
  Binding binding{.kind = Binding::Kind::kInput, .term = axis.lengths, .range = name.range};
  if (Declare(name, binding, "lengths")) result_.inputs.push_back({name.text, input});
}

}  // namespace recurve::frontend

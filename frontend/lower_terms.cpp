// frontend/lower_terms.cpp: one case per operation that terms have.

#include "frontend/lower_terms.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <utility>

#include "frontend/graph_builder.h"
#include "ir/interpreter.h"

namespace recurve::frontend {
namespace {

// The value of an extent that CheckNumbers has found good.
int64_t Number(const Extent& extent, const Extents& numbers) { return extent.Evaluate(numbers).value_or(1); }

std::vector<bool> Needed(const std::vector<Term>& terms, TermId id) {
  std::vector<bool> needed(id + 1);
  needed[id] = true;
  for (TermId i = id; i >= 0; --i) {
    if (!needed[i]) continue;
    for (TermId arg : terms[i].args) needed[arg] = true;
  }
  return needed;
}

int LeadRank(const Lead& lead) { return (lead.time.empty() ? 0 : 1) + (lead.batch ? 1 : 0); }

// The letters of the leading axes in a contraction; the labels of terms use neither.
std::string LeadLabels(const Lead& lead) { return std::string(lead.time.empty() ? "" : "t") + (lead.batch ? "b" : ""); }

bool CheckTerm(const Term& term, const Extents& numbers, Diagnostics& diagnostics) {
  auto fail = [&](Kind kind, std::string message) {
    diagnostics.Report(kind, term.range, std::move(message));
    return false;
  };
  int64_t elements = 1;
  Shape extents = term.type.shape;
  if (term.type.element == ir::Element::kIndex) extents.push_back(term.type.classes);
  for (const Extent& extent : extents) {
    std::expected<int64_t, std::string> number = extent.Evaluate(numbers);
    if (!number) return fail(Kind::kExtentOutOfRange, number.error());
    if (*number < 1) {
      return fail(Kind::kExtentOutOfRange, fmt::format("`{}` has an extent of {}", term.range.Quote(), *number));
    }
    if (__builtin_mul_overflow(elements, *number, &elements) || elements > kLargestTensor) {
      return fail(Kind::kTensorTooLarge,
                  fmt::format("`{}` of `{}` has more than 2^31 elements", term.range.Quote(), Text(term.type)));
    }
  }
  if (term.op == ir::Op::kRandom && elements > ir::kAnyIndex) {
    return fail(Kind::kTensorTooLarge,
                fmt::format("`{}` asks for more than 2^24 random numbers an example", term.range.Quote()));
  }
  if (const Extent* value = std::get_if<Extent>(&term.value)) {
    std::expected<int64_t, std::string> number = value->Evaluate(numbers);
    if (!number) return fail(Kind::kExtentOutOfRange, number.error());
  }
  return true;
}

bool CheckSlice(const TypedDefinition& definition, const Term& term, const Extents& numbers, Diagnostics& diagnostics) {
  const Shape& from = definition.terms[term.args[0]].type.shape;
  int64_t start = Number(std::get<Extent>(term.value), numbers);
  int64_t size = Number(term.type.shape[term.type.shape.size() - 1 - term.axis], numbers);
  int64_t whole = Number(from[from.size() - 1 - term.axis], numbers);
  if (start >= 0 && start + size <= whole) return true;
  diagnostics.Report(Kind::kSliceOutOfRange, term.range,
                     fmt::format("`{}` takes elements {} to {} of {}", term.range.Quote(), start, start + size, whole));
  return false;
}

}  // namespace

bool CheckNumbers(const TypedDefinition& definition, const Extents& numbers, Diagnostics& diagnostics) {
  bool good = true;
  for (const Term& term : definition.terms) {
    bool term_good = CheckTerm(term, numbers, diagnostics);
    good = good && term_good;
    // The operand of a slice stands before it, so its numbers are known to be good.
    if (good && term.op == ir::Op::kSlice) good = CheckSlice(definition, term, numbers, diagnostics);
  }
  return good;
}

double EvaluateNumber(const TypedDefinition& definition, TermId id, const Extents& numbers) {
  if (id == kNoTerm) return 0;
  std::vector<bool> needed = Needed(definition.terms, id);
  std::vector<double> values(id + 1);
  for (TermId i = 0; i <= id; ++i) {
    if (!needed[i]) continue;
    const Term& term = definition.terms[i];
    if (term.op == ir::Op::kConstant) {
      const Extent* extent = std::get_if<Extent>(&term.value);
      values[i] = extent ? static_cast<double>(Number(*extent, numbers)) : std::get<double>(term.value);
    } else {
      auto arg = [&](size_t k) { return k < term.args.size() ? values[term.args[k]] : 0.0; };
      values[i] = ir::EvaluateElementwise(term.op, arg(0), arg(1), arg(2));
    }
  }
  return values[id];
}

ir::Shape FullShape(const Lead& lead, const Shape& shape, const Extents& numbers) {
  ir::Shape full;
  if (!lead.time.empty()) full.emplace_back(lead.time);
  if (lead.batch) full.emplace_back(std::string("B"));
  for (const Extent& extent : shape) full.emplace_back(Number(extent, numbers));
  return full;
}

TermLowering::TermLowering(ir::Graph& graph, const TypedDefinition& definition, const Extents& numbers,
                           ScanResults scan_result)
    : graph_(graph),
      definition_(definition),
      numbers_(numbers),
      scan_result_(std::move(scan_result)),
      nodes_(definition.terms.size()) {}

ir::Expr TermLowering::Lower(TermId id) {
  if (nodes_[id]) return nodes_[id];
  std::vector<bool> needed = Needed(definition_.terms, id);
  for (TermId i = 0; i <= id; ++i) {
    const Term& term = definition_.terms[i];
    // A number is made where it is used, in the shape it is wanted in.
    if (!needed[i] || nodes_[i] || (term.op == ir::Op::kConstant && i != id)) continue;
    nodes_[i] = LowerOne(term);
    if (!term.label.empty() && graph_[nodes_[i].id()].label.empty()) graph_.SetLabel(nodes_[i].id(), term.label);
  }
  return nodes_[id];
}

ir::Expr TermLowering::LowerTo(TermId id, const Lead& lead, const Shape& shape) {
  if (definition_.terms[id].op != ir::Op::kConstant) Lower(id);
  return Repeat(id, lead, shape);
}

ir::Expr TermLowering::Repeat(TermId id, const Lead& lead, const Shape& shape) {
  const Term& term = definition_.terms[id];
  ir::Shape full = FullShape(lead, shape, numbers_);
  if (term.op == ir::Op::kConstant) return ir::Constant(graph_, full, EvaluateNumber(definition_, id, numbers_));
  ir::Expr node = nodes_[id];
  if (node.shape() == full) return node;
  // The leading axes of the term go to their namesakes, its own to the last ones.
  std::vector<int> axes;
  if (!term.type.lead.time.empty()) axes.push_back(0);
  if (term.type.lead.batch) axes.push_back(lead.time.empty() ? 0 : 1);
  int own = static_cast<int>(term.type.shape.size()), rank = static_cast<int>(full.size());
  for (int i = 0; i < own; ++i) axes.push_back(rank - own + i);
  return ir::BroadcastTo(node, full, axes);
}

ir::Expr TermLowering::Contract(const Term& term) {
  size_t comma = term.labels.find(','), arrow = term.labels.find("->");
  TermId lhs = term.args[0], rhs = term.args[1];
  std::string lhs_labels = term.labels.substr(0, comma);
  std::string rhs_labels = term.labels.substr(comma + 1, arrow - comma - 1);
  auto lead = [&](TermId id) -> const Lead& { return definition_.terms[id].type.lead; };
  // The activation stands on the left, as in x @ W^T.
  if (!lead(lhs).batch && lead(rhs).batch) {
    std::swap(lhs, rhs);
    std::swap(lhs_labels, rhs_labels);
  }
  return ir::Contract(nodes_[lhs], nodes_[rhs],
                      ir::ContractAttr{LeadLabels(lead(lhs)) + lhs_labels, LeadLabels(lead(rhs)) + rhs_labels,
                                       LeadLabels(term.type.lead) + term.labels.substr(arrow + 2)});
}

// The counters of an element: its step, its row of the batch, and its number among the units. What has no batch counts
// its first axis as rows.
ir::Expr TermLowering::Random(const Term& term) {
  const RandomSource source = random_source_();
  const Lead& lead = term.type.lead;
  const ir::Shape shape = FullShape(lead, term.type.shape, numbers_);
  auto none = [&] { return ir::Constant(graph_, shape, 0); };
  const int lead_rank = LeadRank(lead), rank = static_cast<int>(shape.size());
  ir::Expr steps = source.steps && lead.batch && !term.once ? source.steps(lead.time) : ir::Expr();
  ir::Expr step = none(), row = none(), unit = none();
  if (steps) step = ir::BroadcastTo(steps, shape, steps.type().rank() == 0 ? std::vector<int>{} : std::vector<int>{0});
  int first_unit = lead_rank;
  if (lead.batch) {
    row = ir::BroadcastTo(source.rows, shape, {lead_rank - 1});
  } else if (rank > 1) {
    row = ir::BroadcastTo(ir::Iota(graph_, shape[0]), shape, {0});
    first_unit = 1;
  }
  if (first_unit < rank) {
    int64_t units = 1;
    std::vector<int> axes;
    for (int axis = first_unit; axis < rank; ++axis) {
      units *= shape[axis].extent;
      axes.push_back(axis);
    }
    ir::Expr number = ir::Reshape(ir::Iota(graph_, units), ir::Shape(shape.begin() + first_unit, shape.end()));
    unit = axes.size() == shape.size() ? number : ir::BroadcastTo(number, shape, axes);
  }
  ir::Expr site = ir::Constant(graph_, shape, static_cast<double>((*source.next_site)++));
  return ir::Random(ir::BroadcastTo(source.seed, shape, {}), site, step, row, unit);
}

ir::Expr TermLowering::LowerOne(const Term& term) {
  const Lead& lead = term.type.lead;
  int lead_rank = LeadRank(lead), last = lead_rank + static_cast<int>(term.type.shape.size()) - 1;
  auto arg = [&](size_t i) { return nodes_[term.args[i]]; };
  auto shape_of = [&](TermId id) -> const Shape& { return definition_.terms[id].type.shape; };
  switch (term.op) {
#define UNARY(Kind, ...) case ir::Op::k##Kind:
#define BINARY(Kind, ...) case ir::Op::k##Kind:
#define TERNARY(Kind, ...) case ir::Op::k##Kind:
#include "ir/ops.def"
    {
      std::vector<ir::Expr> args;
      for (TermId id : term.args) args.push_back(Repeat(id, lead, term.type.shape));
      return ir::Elementwise(term.op, args);
    }
    case ir::Op::kConstant: {
      const Extent* extent = std::get_if<Extent>(&term.value);
      return ir::Constant(graph_, {},
                          extent ? static_cast<double>(Number(*extent, numbers_)) : std::get<double>(term.value));
    }
    case ir::Op::kIota: {
      // The identity: 1 where the row is the column.
      int64_t size = Number(std::get<Extent>(term.value), numbers_);
      ir::Expr index = ir::Iota(graph_, size);
      return ir::Equal(ir::BroadcastTo(index, {size, size}, {0}), ir::BroadcastTo(index, {size, size}, {1}));
    }
    case ir::Op::kContract: return Contract(term);
    case ir::Op::kReduceSum: return ir::ReduceSum(arg(0), {term.axis == kOverSteps ? 0 : last + 1});
    case ir::Op::kReduceMax: {
      if (term.axis != kOverSteps) return ir::ReduceMax(arg(0));
      std::vector<int> axes(last + 2);  // the steps come last
      std::iota(axes.begin(), axes.end(), 1);
      axes.back() = 0;
      return ir::ReduceMax(ir::Transpose(arg(0), axes));
    }
    case ir::Op::kExtent: return ir::Extent(graph_, ir::Dim(term.labels));
    case ir::Op::kReal: return ir::Real(arg(0));
    case ir::Op::kRandom: return Random(term);
    case ir::Op::kSlice: {
      int axis = last - term.axis;
      return ir::Slice(arg(0), axis, Number(std::get<Extent>(term.value), numbers_),
                       Number(term.type.shape[axis - lead_rank], numbers_));
    }
    case ir::Op::kConcat: {
      std::vector<ir::Expr> parts;
      for (TermId id : term.args) parts.push_back(Repeat(id, lead, shape_of(id)));
      return ir::Concat(parts, last);
    }
    case ir::Op::kReshape: return ir::Reshape(arg(0), FullShape(lead, term.type.shape, numbers_));
    case ir::Op::kTranspose: {
      std::vector<int> axes(last + 1);
      std::iota(axes.begin(), axes.end(), 0);
      std::swap(axes[last - 1], axes[last]);
      return ir::Transpose(arg(0), axes);
    }
    case ir::Op::kGather: return ir::Gather(arg(0), arg(1));
    case ir::Op::kOneHot: return ir::OneHot(arg(0), Number(term.type.shape[0], numbers_));
    case ir::Op::kScanResult: return scan_result_(term.scan);
    case ir::Op::kInput:  // bound before anything is lowered
    case ir::Op::kBroadcast:
    case ir::Op::kScatterAdd:
    case ir::Op::kScan: break;  // no term has these
  }
  std::unreachable();
}

}  // namespace recurve::frontend

// compiler/derivative_rules.cpp: ir/ops.def expanded for Expr, and the adjoint of each structural operation.
//
// The formulas of the table read as they stand: the functions that they use are defined here for ir::Expr, comparisons
// yield the 1 or 0 that `select` takes for a condition.

#include "compiler/derivative_rules.h"

#include <algorithm>
#include <numeric>
#include <type_traits>
#include <utility>

#include "ir/internal_error.h"

namespace recurve {

using ir::Expr;
using ir::Graph;
using ir::Node;
using ir::NodeId;
using ir::Op;
using ir::Shape;

namespace {

// The vocabulary of the gradient columns.
namespace column {

struct None {};
constexpr None kNone;

Expr Like(Expr a, double value) { return ir::Constant(*a.graph(), a.shape(), value); }

[[maybe_unused]] Expr abs(Expr a) { return ir::Abs(a); }
[[maybe_unused]] Expr sign(Expr a) { return ir::Sign(a); }
[[maybe_unused]] Expr floor(Expr a) { return ir::Floor(a); }
[[maybe_unused]] Expr min(Expr a, Expr b) { return ir::Min(a, b); }
[[maybe_unused]] Expr min(Expr a, double b) { return ir::Min(a, Like(a, b)); }
[[maybe_unused]] Expr max(Expr a, Expr b) { return ir::Max(a, b); }
[[maybe_unused]] Expr max(Expr a, double b) { return ir::Max(a, Like(a, b)); }
[[maybe_unused]] Expr exp(Expr a) { return ir::Exp(a); }
[[maybe_unused]] Expr expm1(Expr a) { return ir::Expm1(a); }
[[maybe_unused]] Expr log(Expr a) { return ir::Log(a); }
[[maybe_unused]] Expr log1p(Expr a) { return ir::Log1p(a); }
[[maybe_unused]] Expr sqrt(Expr a) { return ir::Sqrt(a); }
[[maybe_unused]] Expr tanh(Expr a) { return ir::Tanh(a); }
[[maybe_unused]] Expr sigmoid(Expr a) { return ir::Sigmoid(a); }
[[maybe_unused]] Expr sin(Expr a) { return ir::Sin(a); }
[[maybe_unused]] Expr cos(Expr a) { return ir::Cos(a); }
[[maybe_unused]] Expr erf(Expr a) { return ir::Erf(a); }
[[maybe_unused]] Expr pow(Expr a, Expr b) { return ir::Pow(a, b); }
[[maybe_unused]] Expr select(Expr condition, Expr a, Expr b) { return ir::Select(condition, a, b); }
[[maybe_unused]] Expr select(Expr condition, Expr a, double b) { return ir::Select(condition, a, Like(a, b)); }
[[maybe_unused]] Expr select(Expr condition, double a, Expr b) { return ir::Select(condition, Like(b, a), b); }
[[maybe_unused]] Expr operator<(Expr a, Expr b) { return ir::Less(a, b); }
[[maybe_unused]] Expr operator<(Expr a, double b) { return ir::Less(a, Like(a, b)); }
[[maybe_unused]] Expr operator>(Expr a, Expr b) { return ir::Less(b, a); }
[[maybe_unused]] Expr operator>(Expr a, double b) { return ir::Less(Like(a, b), a); }
[[maybe_unused]] Expr operator<=(Expr a, Expr b) { return ir::LessEqual(a, b); }
[[maybe_unused]] Expr operator<=(Expr a, double b) { return ir::LessEqual(a, Like(a, b)); }
[[maybe_unused]] Expr operator>=(Expr a, Expr b) { return ir::LessEqual(b, a); }
[[maybe_unused]] Expr operator>=(Expr a, double b) { return ir::LessEqual(Like(a, b), a); }
[[maybe_unused]] Expr operator==(Expr a, Expr b) { return ir::Equal(a, b); }
[[maybe_unused]] Expr operator==(Expr a, double b) { return ir::Equal(a, Like(a, b)); }

Expr Flowing(Expr gradient) { return gradient; }
[[maybe_unused]] Expr Flowing(None) { std::unreachable(); }  // GradientFlows was asked first

}  // namespace column

// Whether the column, a formula over a b c y g, is one.
#define FLOWS(formula) !std::is_same_v<std::remove_cvref_t<decltype(formula)>, column::None>

bool ElementwiseGradientFlows(Op op, int operand) {
  using namespace column;
  [[maybe_unused]] Expr a, b, c, y, g;
  switch (op) {
#define UNARY(Kind, text, cost, value, grad_a) \
  case Op::k##Kind: return FLOWS(grad_a);
#define BINARY(Kind, text, cost, value, grad_a, grad_b) \
  case Op::k##Kind: return operand == 0 ? FLOWS(grad_a) : FLOWS(grad_b);
#define TERNARY(Kind, text, cost, value, grad_a, grad_b, grad_c) \
  case Op::k##Kind: return operand == 0 ? FLOWS(grad_a) : operand == 1 ? FLOWS(grad_b) : FLOWS(grad_c);
#define STRUCTURAL(Kind, text) case Op::k##Kind:
#include "ir/ops.def"
    break;
  }
  return false;
}

Expr ElementwiseGradient(const Node& node, NodeId id, int operand, Expr g, const ForwardValue& forward) {
  using namespace column;
  Expr a, b, c, y = forward(id);
  a = forward(node.args[0]);
  if (node.args.size() > 1) b = forward(node.args[1]);
  if (node.args.size() > 2) c = forward(node.args[2]);
  switch (node.op) {
#define UNARY(Kind, text, cost, value, grad_a) \
  case Op::k##Kind: return Flowing(grad_a);
#define BINARY(Kind, text, cost, value, grad_a, grad_b) \
  case Op::k##Kind: return operand == 0 ? Flowing(grad_a) : Flowing(grad_b);
#define TERNARY(Kind, text, cost, value, grad_a, grad_b, grad_c) \
  case Op::k##Kind: return operand == 0 ? Flowing(grad_a) : operand == 1 ? Flowing(grad_b) : Flowing(grad_c);
#define STRUCTURAL(Kind, text) case Op::k##Kind:
#include "ir/ops.def"
    break;
  }
  std::unreachable();
}

// The axes of a shape of that rank that are not listed.
std::vector<int> OtherAxes(int rank, const std::vector<int>& axes) {
  std::vector<int> others;
  for (int axis = 0; axis < rank; ++axis) {
    if (std::ranges::find(axes, axis) == axes.end()) others.push_back(axis);
  }
  return others;
}

std::vector<int> InversePermutation(const std::vector<int>& axes) {
  std::vector<int> inverse(axes.size());
  for (size_t i = 0; i < axes.size(); ++i) inverse[axes[i]] = static_cast<int>(i);
  return inverse;
}

// Repeats along a new last axis.
Expr AlongLastAxis(Expr a, const Shape& shape) {
  std::vector<int> axes(a.shape().size());
  std::iota(axes.begin(), axes.end(), 0);
  return ir::BroadcastTo(a, shape, std::move(axes));
}

Expr ConcatGradient(const Graph& graph, const Node& node, int operand, Expr g) {
  int axis = node.As<ir::ConcatAttr>().axis;
  auto extent = [&](int index) { return graph.type(node.args[index]).shape[axis].extent; };
  int64_t start = 0;
  for (int before = 0; before < operand; ++before) start += extent(before);
  return ir::Slice(g, axis, start, extent(operand));
}

// A contraction is linear in each operand, so an operand's adjoint is a contraction of `g` with the other operand.
// `g` stands first: it has the batch axis, and a weight stays on the right.
Expr ContractGradient(const Node& node, int operand, Expr g, const ForwardValue& forward) {
  const auto& [lhs, rhs, out] = node.As<ir::ContractAttr>();
  if (operand == 0) return ir::Contract(g, forward(node.args[1]), ir::ContractAttr{out, rhs, lhs});
  return ir::Contract(g, forward(node.args[0]), ir::ContractAttr{out, lhs, rhs});
}

// Positions that share the maximum share the gradient in equal parts: a subgradient that favours none of them.
Expr ReduceMaxGradient(const Node& node, NodeId id, Expr g, const ForwardValue& forward) {
  Expr a = forward(node.args[0]);
  Expr at_maximum = ir::Equal(a, AlongLastAxis(forward(id), a.shape()));
  Expr share = g / ir::ReduceSum(at_maximum, {a.type().rank() - 1});
  return at_maximum * AlongLastAxis(share, a.shape());
}

}  // namespace

bool GradientFlows(Op op, int operand) {
  switch (op) {
#define UNARY(Kind, ...) case Op::k##Kind:
#define BINARY(Kind, ...) case Op::k##Kind:
#define TERNARY(Kind, ...) case Op::k##Kind:
#include "ir/ops.def"
    return ElementwiseGradientFlows(op, operand);
    case Op::kBroadcast:
    case Op::kReshape:
    case Op::kTranspose:
    case Op::kSlice:
    case Op::kConcat:
    case Op::kContract:
    case Op::kReduceSum:
    case Op::kReduceMax: return true;
    case Op::kGather: return operand == 0;      // not to the index
    case Op::kScatterAdd: return operand == 1;  // not to the index
    case Op::kInput:
    case Op::kConstant:
    case Op::kIota:
    case Op::kRandom:
    case Op::kReal:
    case Op::kExtent:
    case Op::kOneHot:
    case Op::kScan:
    case Op::kScanResult: return false;
  }
  std::unreachable();
}

Expr OperandGradient(const Graph& graph, NodeId id, int operand, Expr g, const ForwardValue& forward) {
  const Node node = graph[id];  // by value: `graph` may be the one that grows
  const ir::Type type = graph.type(node.args[operand]);
  switch (node.op) {
#define UNARY(Kind, ...) case Op::k##Kind:
#define BINARY(Kind, ...) case Op::k##Kind:
#define TERNARY(Kind, ...) case Op::k##Kind:
#include "ir/ops.def"
    return ElementwiseGradient(node, id, operand, g, forward);
    case Op::kBroadcast: return ir::ReduceSum(g, OtherAxes(node.type.rank(), node.As<ir::AxesAttr>().axes));
    case Op::kReshape: return ir::Reshape(g, type.shape);
    case Op::kTranspose: return ir::Transpose(g, InversePermutation(node.As<ir::AxesAttr>().axes));
    case Op::kConcat: return ConcatGradient(graph, node, operand, g);
    case Op::kContract: return ContractGradient(node, operand, g, forward);
    case Op::kReduceSum: return ir::BroadcastTo(g, type.shape, OtherAxes(type.rank(), node.As<ir::AxesAttr>().axes));
    case Op::kReduceMax: return ReduceMaxGradient(node, id, g, forward);
    case Op::kGather:
      if (!type.shape[0].is_constant()) StopOnInternalError("the gradient of a table with a symbolic number of rows");
      return ir::ScatterAdd(forward(node.args[1]), g, type.shape[0].extent);
    case Op::kScatterAdd: return ir::Gather(g, forward(node.args[0]));
    case Op::kSlice:
    case Op::kInput:
    case Op::kConstant:
    case Op::kIota:
    case Op::kRandom:
    case Op::kReal:
    case Op::kExtent:
    case Op::kOneHot:
    case Op::kScan:
    case Op::kScanResult: break;
  }
  std::unreachable();
}

void AdjointSum::AddSlice(int axis, int64_t start, Expr contribution) {
  Part part{axis, start, contribution};
  auto same = std::ranges::find_if(parts_, [&](const Part& other) {
    return other.axis == axis && other.start == start && other.size() == part.size();
  });
  if (same == parts_.end()) {
    parts_.push_back(part);
  } else {
    same->value = ir::Add(same->value, contribution);
  }
}

Expr AdjointSum::Total(const Shape& shape) const {
  std::vector<Expr> terms = whole_;
  std::vector<Part> waiting = parts_;
  while (!waiting.empty()) {
    // The parts of one axis that fit beside the first one; what overlaps is left for a further term.
    std::vector<Part> joined, rest;
    for (const Part& part : waiting) {
      bool fits = std::ranges::all_of(joined, [&](const Part& other) {
        return part.axis == other.axis && (part.end() <= other.start || other.end() <= part.start);
      });
      (fits ? joined : rest).push_back(part);
    }
    terms.push_back(Join(std::move(joined), shape));
    waiting = std::move(rest);
  }
  if (terms.empty()) return {};
  return std::accumulate(terms.begin() + 1, terms.end(), terms[0],
                         [](Expr sum, Expr term) { return ir::Add(sum, term); });
}

// Parts of one axis without overlap as a value of the whole shape, zero in the gaps.
Expr AdjointSum::Join(std::vector<Part> parts, const Shape& shape) {
  std::ranges::sort(parts, {}, &Part::start);
  Graph& graph = *parts[0].value.graph();
  int axis = parts[0].axis;
  std::vector<Expr> pieces;
  int64_t end = 0;
  auto fill_to = [&](int64_t start) {
    if (start == end) return;
    Shape gap = shape;
    gap[axis] = start - end;
    pieces.push_back(ir::Constant(graph, gap, 0));
  };
  for (const Part& part : parts) {
    fill_to(part.start);
    pieces.push_back(part.value);
    end = part.end();
  }
  fill_to(shape[axis].extent);
  return ir::Concat(pieces, axis);
}

}  // namespace recurve

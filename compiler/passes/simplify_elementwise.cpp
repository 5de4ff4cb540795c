// compiler/passes/simplify_elementwise.cpp: constants, neutral operands, signs, and arithmetic on repeated values.

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>
#include <span>
#include <vector>

#include "compiler/graph_util.h"
#include "compiler/passes/simplify_rules.h"
#include "ir/interpreter.h"

namespace recurve {

using ir::Expr;
using ir::Graph;
using ir::Node;
using ir::NodeId;
using ir::Op;

namespace {

Expr FoldConstants(const Site& site) {
  std::array<double, 3> values = {};
  for (size_t i = 0; i < site.node.args.size(); ++i) {
    auto value = SplatOf(site.graph, site.node.args[i]);
    if (!value) return {};
    values[i] = *value;
  }
  double result = ir::EvaluateElementwise(site.node.op, values[0], values[1], values[2]);
  return Constant(site.graph, site.node.type.shape, result);
}

// x + 0, x * 1, 0 * x and the like.
Expr DropNeutralOperand(const Site& site) {
  auto is = [&](size_t i, double value) { return SplatOf(site.graph, site.node.args[i]) == value; };
  Op op = site.node.op;
  if (op == Op::kAdd && is(0, 0)) return site.arg(1);
  if ((op == Op::kAdd || op == Op::kSub) && is(1, 0)) return site.arg(0);
  if (op == Op::kSub && is(0, 0)) return Neg(site.arg(1));
  if (op == Op::kMul) {
    for (size_t i : {0, 1}) {
      if (is(i, 0)) return site.arg(i);
      if (is(i, 1)) return site.arg(1 - i);
      if (is(i, -1)) return Neg(site.arg(1 - i));
    }
  }
  if (op == Op::kDiv && (is(1, 1) || is(0, 0))) return site.arg(0);
  if (op == Op::kPow && is(1, 0)) return Constant(site.graph, site.node.type.shape, 1);
  if (op == Op::kPow && is(1, 1)) return site.arg(0);
  if (op == Op::kPow && is(1, 2)) return Mul(site.arg(0), site.arg(0));
  if (op == Op::kStopGradient) return site.arg(0);
  return {};
}

// x / 4 is x * 0.25: the reciprocal of a power of two is exact.
Expr MultiplyByReciprocal(const Site& site) {
  if (site.node.op != Op::kDiv) return {};
  auto divisor = SplatOf(site.graph, site.node.args[1]);
  int exponent = 0;
  if (!divisor || std::abs(std::frexp(*divisor, &exponent)) != 0.5 || std::abs(exponent) > 64) return {};
  return site.arg(0) * (1 / *divisor);
}

// What a program is while it is trained.
Expr TrainingOnly(const Site& site) { return site.node.op == Op::kTraining ? site.arg(0) : Expr(); }

Expr SelectKnown(const Site& site) {
  const Node& node = site.node;
  if (node.op != Op::kSelect) return {};
  if (auto condition = SplatOf(site.graph, node.args[0])) return site.arg(*condition != 0 ? 1 : 2);
  bool is_same = node.args[1] == node.args[2] || CommonSplatOf(site.graph, std::span(node.args).subspan(1));
  return is_same ? site.arg(1) : Expr();
}

// Signs move into sums and differences.
Expr AbsorbNegations(const Site& site) {
  auto is_negated = [&](size_t i) { return site.maker(i).op == Op::kNeg; };
  auto operand = [&](size_t i, size_t k = 0) { return site.graph.At(site.maker(i).args[k]); };
  Op op = site.node.op;
  if (op == Op::kNeg && is_negated(0)) return operand(0);
  if (op == Op::kNeg && site.maker(0).op == Op::kSub && site.sole_reader[0]) return Sub(operand(0, 1), operand(0, 0));
  if (op == Op::kAdd && is_negated(1)) return Sub(site.arg(0), operand(1));
  if (op == Op::kAdd && is_negated(0)) return Sub(site.arg(1), operand(0));
  if (op == Op::kSub && is_negated(1)) return Add(site.arg(0), operand(1));
  return {};
}

// f(broadcast a, broadcast b, constant) is the broadcast of f on the axes that a or b have: arithmetic on parameters
// stays as small as they are.
Expr MoveBelowBroadcast(const Site& site) {
  const Node& node = site.node;
  std::vector<bool> has_axis(node.type.rank());
  bool any = false;
  for (size_t i = 0; i < node.args.size(); ++i) {
    if (SplatOf(site.graph, node.args[i])) continue;
    if (site.maker(i).op != Op::kBroadcast) return {};
    for (int axis : site.maker(i).As<ir::AxesAttr>().axes) has_axis[axis] = true;
    any = true;
  }
  if (!any || std::ranges::count(has_axis, false) == 0) return {};

  ir::Shape shape;
  std::vector<int> kept, position(node.type.rank());
  for (int axis = 0; axis < node.type.rank(); ++axis) {
    if (!has_axis[axis]) continue;
    position[axis] = static_cast<int>(kept.size());
    kept.push_back(axis);
    shape.push_back(node.type.shape[axis]);
  }
  std::vector<Expr> operands;
  for (size_t i = 0; i < node.args.size(); ++i) {
    if (auto value = SplatOf(site.graph, node.args[i])) {
      operands.push_back(Constant(site.graph, shape, *value));
      continue;
    }
    std::vector<int> axes = site.maker(i).As<ir::AxesAttr>().axes;
    for (int& axis : axes) axis = position[axis];
    Expr operand = site.graph.At(site.maker(i).args[0]);
    operands.push_back(BroadcastIfNeeded(operand, shape, axes));
  }
  return BroadcastTo(Elementwise(node.op, operands), node.type.shape, kept);
}

// Where the parts of a concat begin, and its end.
std::vector<int64_t> BoundariesOf(const Graph& graph, const Node& concat) {
  int axis = concat.As<ir::ConcatAttr>().axis;
  std::vector<int64_t> boundaries = {0};
  for (NodeId part : concat.args) boundaries.push_back(boundaries.back() + graph.type(part).shape[axis].extent);
  return boundaries;
}

// The elements [begin, end) of a concat if they lie in one part that is a constant, or are exactly one part.
Expr PieceOf(Graph& graph, const Node& concat, int64_t begin, int64_t end) {
  std::vector<int64_t> boundaries = BoundariesOf(graph, concat);
  int axis = concat.As<ir::ConcatAttr>().axis;
  for (size_t i = 0; i < concat.args.size(); ++i) {
    if (begin < boundaries[i] || end > boundaries[i + 1]) continue;
    if (begin == boundaries[i] && end == boundaries[i + 1]) return graph.At(concat.args[i]);
    auto value = SplatOf(graph, concat.args[i]);
    if (!value) return {};
    ir::Shape shape = concat.type.shape;
    shape[axis] = end - begin;
    return Constant(graph, shape, *value);
  }
  return {};
}

// The sum of two concats whose parts line up, constants cut where needed: how the adjoints of slices, each padded with
// zeros, become one concat without a sum.
Expr AddConcats(const Site& site) {
  const Node& node = site.node;
  if (node.op != Op::kAdd && node.op != Op::kSub) return {};
  const Node a = site.maker(0), b = site.maker(1);
  if (a.op != Op::kConcat || b.op != Op::kConcat || a.attr != b.attr) return {};
  if (!site.sole_reader[0] || !site.sole_reader[1]) return {};
  std::vector<int64_t> boundaries = BoundariesOf(site.graph, a);
  for (int64_t boundary : BoundariesOf(site.graph, b)) boundaries.push_back(boundary);
  std::ranges::sort(boundaries);
  boundaries.erase(std::ranges::unique(boundaries).begin(), boundaries.end());
  std::vector<Expr> parts;
  for (size_t i = 0; i + 1 < boundaries.size(); ++i) {
    Expr piece_a = PieceOf(site.graph, a, boundaries[i], boundaries[i + 1]);
    Expr piece_b = PieceOf(site.graph, b, boundaries[i], boundaries[i + 1]);
    if (!piece_a || !piece_b) return {};
    parts.push_back(node.op == Op::kAdd ? Add(piece_a, piece_b) : Sub(piece_a, piece_b));
  }
  return Concat(parts, a.As<ir::ConcatAttr>().axis);
}

// The node computed piece by piece along an axis; the pieces end at `boundaries`.
Expr InPieces(const Site& site, int axis, const std::vector<int64_t>& boundaries) {
  std::vector<Expr> parts;
  for (size_t i = 0; i + 1 < boundaries.size(); ++i) {
    std::vector<Expr> operands;
    for (size_t k = 0; k < site.node.args.size(); ++k) {
      operands.push_back(Slice(site.arg(k), axis, boundaries[i], boundaries[i + 1] - boundaries[i]));
    }
    parts.push_back(Elementwise(site.node.op, operands));
  }
  return Concat(parts, axis);
}

// An operation on a concat that nothing else reads is one on each of its parts, which then is an operation between
// values of one width, gate by gate.
Expr MoveBelowConcat(const Site& site) {
  std::optional<int> axis;
  std::vector<int64_t> boundaries;
  for (size_t i = 0; i < site.node.args.size(); ++i) {
    if (site.maker(i).op != Op::kConcat) continue;
    std::vector<int64_t> own = BoundariesOf(site.graph, site.maker(i));
    int own_axis = site.maker(i).As<ir::ConcatAttr>().axis;
    if (!site.sole_reader[i] || (axis && (own_axis != *axis || own != boundaries))) return {};
    axis = own_axis;
    boundaries = std::move(own);
  }
  return axis ? InPieces(site, *axis, boundaries) : Expr();
}

// An output of which the graph itself reads only slices is the concat of the slices, each computed for itself.
Expr ComputeAsRead(const Site& site) {
  if (!site.is_output || site.readers.size() < 2) return {};
  std::optional<int> axis;
  std::vector<int64_t> boundaries = {0}, ends;
  for (const Node* reader : site.readers) {
    if (reader->op != Op::kSlice || (axis && *axis != reader->As<ir::SliceAttr>().axis)) return {};
    const auto& slice = reader->As<ir::SliceAttr>();
    axis = slice.axis;
    if (slice.start != 0) boundaries.push_back(slice.start);
    ends.push_back(slice.start + reader->type.shape[*axis].extent);
  }
  boundaries.push_back(site.node.type.shape[*axis].extent);
  std::ranges::sort(boundaries);
  std::ranges::sort(ends);
  // The slices end where the next begins.
  if (!std::ranges::equal(std::span(boundaries).subspan(1), ends)) return {};
  return InPieces(site, *axis, boundaries);
}

}  // namespace

Expr SimplifyElementwise(const Site& site) {
  for (auto rule : {FoldConstants, DropNeutralOperand, MultiplyByReciprocal, TrainingOnly, SelectKnown, AbsorbNegations,
                    MoveBelowBroadcast, AddConcats, MoveBelowConcat, ComputeAsRead}) {
    if (Expr simpler = rule(site)) return simpler;
  }
  return {};
}

}  // namespace recurve

// compiler/passes/simplify_reduction.cpp: contractions and reductions of moved, repeated and zero values.

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "compiler/graph_util.h"
#include "compiler/passes/simplify_rules.h"

namespace recurve {

using ir::Expr;
using ir::Graph;
using ir::Node;
using ir::NodeId;
using ir::Op;

namespace {

bool Contains(const std::vector<int>& axes, int axis) { return std::ranges::find(axes, axis) != axes.end(); }
bool Contains(const std::string& labels, char label) { return labels.find(label) != std::string::npos; }

// A transposed operand is read in place with its labels permuted.
Expr ReadTransposedInPlace(const Site& site) {
  auto labels = site.node.As<ir::ContractAttr>();
  std::string* sides[] = {&labels.lhs, &labels.rhs};
  std::vector<Expr> operands = {site.arg(0), site.arg(1)};
  bool changed = false;
  for (size_t i : {0, 1}) {
    const Node& maker = site.maker(i);
    if (maker.op != Op::kTranspose) continue;
    std::string order = *sides[i];
    for (size_t axis = 0; axis < order.size(); ++axis) order[AxesOf(maker)[axis]] = (*sides[i])[axis];
    *sides[i] = order;
    operands[i] = site.graph.At(maker.args[0]);
    changed = true;
  }
  return changed ? Contract(operands[0], operands[1], labels) : Expr();
}

// A repeated operand need not be repeated along a label that the other operand brings to the result, nor along one that
// only it has: the result is repeated instead. Along a summed label it must.
Expr ContractBeforeBroadcast(const Site& site, size_t side) {
  const Node broadcast = site.maker(side);
  if (broadcast.op != Op::kBroadcast) return {};
  auto labels = site.node.As<ir::ContractAttr>();
  std::string& own = side == 0 ? labels.lhs : labels.rhs;
  const std::string& other = side == 0 ? labels.rhs : labels.lhs;
  std::string kept;
  ir::Shape kept_shape;
  std::vector<int> kept_axes;  // of the smaller broadcast
  for (int axis = 0; axis < broadcast.type.rank(); ++axis) {
    bool is_new = !Contains(AxesOf(broadcast), axis);
    if (is_new && Contains(labels.out, own[axis])) continue;
    if (!is_new) kept_axes.push_back(static_cast<int>(kept.size()));
    kept.push_back(own[axis]);
    kept_shape.push_back(broadcast.type.shape[axis]);
  }
  if (kept.size() == own.size()) return {};

  std::string result;
  std::vector<int> result_axes;
  for (size_t axis = 0; axis < labels.out.size(); ++axis) {
    if (!Contains(kept, labels.out[axis]) && !Contains(other, labels.out[axis])) continue;
    result.push_back(labels.out[axis]);
    result_axes.push_back(static_cast<int>(axis));
  }
  own = kept;
  labels.out = result;
  Expr operand = BroadcastIfNeeded(site.graph.At(broadcast.args[0]), kept_shape, kept_axes);
  Expr contraction = side == 0 ? Contract(operand, site.arg(1), labels) : Contract(site.arg(0), operand, labels);
  return BroadcastIfNeeded(contraction, site.node.type.shape, result_axes);
}

// The product of the extents of some axes, as a value of shape `like`.
Expr CountOf(Graph& graph, const ir::Shape& shape, const std::vector<int>& axes, ir::Shape like) {
  double constant = 1;
  Expr symbolic;
  for (int axis : axes) {
    if (shape[axis].is_constant()) {
      constant *= static_cast<double>(shape[axis].extent);
    } else {
      Expr extent = Extent(graph, shape[axis]);
      symbolic = symbolic ? symbolic * extent : extent;
    }
  }
  if (!symbolic) return Constant(graph, std::move(like), constant);
  Expr count = symbolic * constant;
  return like.empty() ? count : BroadcastTo(count, std::move(like), {});
}

// A sum over axes along which the operand is repeated is a product with their extents.
Expr SumRepeated(const Site& site, Expr operand, const std::vector<int>& axes_of_operand) {
  const ir::Shape shape = site.maker(0).type.shape;
  std::vector<int> repeated, inner, result_axes;
  for (int axis : AxesOf(site.node)) {
    if (!Contains(axes_of_operand, axis)) repeated.push_back(axis);
  }
  if (repeated.empty()) return {};
  for (size_t i = 0; i < axes_of_operand.size(); ++i) {
    int axis = axes_of_operand[i];
    if (Contains(AxesOf(site.node), axis)) {
      inner.push_back(static_cast<int>(i));
    } else {
      auto removed = std::ranges::count_if(AxesOf(site.node), [&](int sum) { return sum < axis; });
      result_axes.push_back(axis - static_cast<int>(removed));
    }
  }
  Expr sum = ReduceSum(operand, inner);
  sum = sum * CountOf(site.graph, shape, repeated, sum.shape());
  return BroadcastIfNeeded(sum, site.node.type.shape, result_axes);
}

}  // namespace

Expr SimplifyContract(const Site& site) {
  for (size_t i : {0, 1}) {
    if (SplatOf(site.graph, site.node.args[i]) == 0.0) return Constant(site.graph, site.node.type.shape, 0);
  }
  if (Expr simpler = ReadTransposedInPlace(site)) return simpler;
  if (Expr simpler = ContractBeforeBroadcast(site, 0)) return simpler;
  return ContractBeforeBroadcast(site, 1);
}

Expr SimplifyReduceSum(const Site& site) {
  const Node maker = site.maker(0);
  const std::vector<int>& axes = AxesOf(site.node);
  if (auto value = SplatOf(site.graph, site.node.args[0])) {
    return SumRepeated(site, Constant(site.graph, {}, *value), {});
  }
  if (maker.op == Op::kBroadcast) return SumRepeated(site, site.graph.At(maker.args[0]), AxesOf(maker));
  if (std::ranges::all_of(axes, [&](int axis) { return maker.type.shape[axis] == ir::Dim(1); }))
    return Reshape(site.arg(0), site.node.type.shape);
  if (maker.op == Op::kNeg) return Neg(ReduceSum(site.graph.At(maker.args[0]), axes));
  if (maker.op == Op::kReduceSum && site.sole_reader[0]) {
    // Axes of the inner operand that remain after the inner sum, in order.
    std::vector<int> remaining, all = AxesOf(maker);
    for (int axis = 0; axis < site.graph.type(maker.args[0]).rank(); ++axis) {
      if (!Contains(AxesOf(maker), axis)) remaining.push_back(axis);
    }
    for (int axis : axes) all.push_back(remaining[axis]);
    std::ranges::sort(all);
    return ReduceSum(site.graph.At(maker.args[0]), all);
  }
  if (maker.op == Op::kContract && site.sole_reader[0]) {
    // Labels that both operands have may be summed by the contraction itself.
    auto labels = maker.As<ir::ContractAttr>();
    std::string out;
    for (int axis = 0; axis < maker.type.rank(); ++axis) {
      char label = labels.out[axis];
      if (!Contains(axes, axis)) {
        out.push_back(label);
      } else if (!Contains(labels.lhs, label) || !Contains(labels.rhs, label)) {
        return {};
      }
    }
    labels.out = out;
    return Contract(site.graph.At(maker.args[0]), site.graph.At(maker.args[1]), labels);
  }
  return {};
}

// The largest of equal numbers.
Expr SimplifyReduceMax(const Site& site) {
  const Node maker = site.maker(0);
  if (auto value = SplatOf(site.graph, site.node.args[0])) return Constant(site.graph, site.node.type.shape, *value);
  if (maker.op != Op::kBroadcast || Contains(AxesOf(maker), maker.type.rank() - 1)) return {};
  return BroadcastIfNeeded(site.graph.At(maker.args[0]), site.node.type.shape, AxesOf(maker));
}

Expr SimplifyGather(const Site& site) {
  auto value = SplatOf(site.graph, site.node.args[0]);
  return value ? Constant(site.graph, site.node.type.shape, *value) : Expr();
}

Expr SimplifyScatterAdd(const Site& site) {
  bool is_zero = SplatOf(site.graph, site.node.args[1]) == 0.0;
  return is_zero ? Constant(site.graph, site.node.type.shape, 0) : Expr();
}

}  // namespace recurve

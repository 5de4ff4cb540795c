// compiler/passes/simplify_movement.cpp: movement of elements, composed and cancelled.

#include <algorithm>
#include <numeric>
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

// Moving the elements of a constant is a constant.
Expr MoveConstant(const Site& site) {
  auto value = CommonSplatOf(site.graph, site.node.args);
  return value ? Constant(site.graph, site.node.type.shape, *value) : Expr();
}

// Transposing a broadcast transposes its operand (often a vector, where there is nothing to do).
Expr TransposeBroadcast(const Site& site) {
  const Node broadcast = site.maker(0);
  Expr operand = site.graph.At(broadcast.args[0]);
  std::vector<int> order, axes;
  for (int axis = 0; axis < site.node.type.rank(); ++axis) {
    auto found = std::ranges::find(AxesOf(broadcast), AxesOf(site.node)[axis]);
    if (found == AxesOf(broadcast).end()) continue;
    order.push_back(static_cast<int>(found - AxesOf(broadcast).begin()));
    axes.push_back(axis);
  }
  if (!std::ranges::is_sorted(order)) operand = Transpose(operand, order);
  return BroadcastTo(operand, site.node.type.shape, axes);
}

// The parts of a concat that a slice of it touches, cut to the slice, when these are fewer or only one.
Expr SliceConcat(const Site& site) {
  const auto& [axis, start] = site.node.As<ir::SliceAttr>();
  const Node concat = site.maker(0);
  if (concat.As<ir::ConcatAttr>().axis != axis) return {};
  int64_t end = start + site.node.type.shape[axis].extent, part_start = 0;
  std::vector<std::pair<NodeId, int64_t>> touched;
  for (NodeId part : concat.args) {
    int64_t part_end = part_start + site.graph.type(part).shape[axis].extent;
    if (part_start < end && start < part_end) touched.emplace_back(part, part_start);
    part_start = part_end;
  }
  if (touched.size() == concat.args.size()) return {};
  std::vector<Expr> parts;
  for (auto [id, first] : touched) {
    Expr part = site.graph.At(id);
    int64_t size = part.shape()[axis].extent;
    int64_t from = std::max<int64_t>(start - first, 0), to = std::min(end - first, size);
    parts.push_back(Slice(part, axis, from, to - from));
  }
  return Concat(parts, axis);
}

// `b` continues `a`: adjacent slices of one tensor, or constants of one value. Returns them joined.
Expr JoinParts(Graph& graph, Expr a, Expr b, int axis) {
  ir::Shape shape = a.shape();
  shape[axis] = shape[axis].extent + b.shape()[axis].extent;
  auto value = SplatOf(graph, a.id());
  if (value && SplatOf(graph, b.id()) == value) return Constant(graph, shape, *value);
  const Node first = graph[a.id()], second = graph[b.id()];
  if (first.op != Op::kSlice || second.op != Op::kSlice || first.args != second.args) return {};
  const auto& from = first.As<ir::SliceAttr>();
  const auto& to = second.As<ir::SliceAttr>();
  if (from.axis != axis || to.axis != axis || from.start + a.shape()[axis].extent != to.start) return {};
  return Slice(graph.At(first.args[0]), axis, from.start, shape[axis].extent);
}

}  // namespace

Expr SimplifyBroadcast(const Site& site) {
  if (Expr constant = MoveConstant(site)) return constant;
  const Node& node = site.node;
  const Node& maker = site.maker(0);
  if (maker.type == node.type) return site.arg(0);
  if (maker.op != Op::kBroadcast) return {};
  std::vector<int> axes;
  for (int axis : AxesOf(maker)) axes.push_back(AxesOf(node)[axis]);
  return BroadcastTo(site.graph.At(maker.args[0]), node.type.shape, axes);
}

Expr SimplifyReshape(const Site& site) {
  if (Expr constant = MoveConstant(site)) return constant;
  const Node& maker = site.maker(0);
  if (maker.type == site.node.type) return site.arg(0);
  if (maker.op != Op::kReshape) return {};
  return Reshape(site.graph.At(maker.args[0]), site.node.type.shape);
}

Expr SimplifyTranspose(const Site& site) {
  if (Expr constant = MoveConstant(site)) return constant;
  const std::vector<int>& order = AxesOf(site.node);
  const Node maker = site.maker(0);
  if (std::ranges::is_sorted(order)) return site.arg(0);
  if (maker.op == Op::kTranspose) {
    std::vector<int> composed;
    for (int axis : order) composed.push_back(AxesOf(maker)[axis]);
    return Transpose(site.graph.At(maker.args[0]), composed);
  }
  if (maker.op == Op::kBroadcast) return TransposeBroadcast(site);
  if (maker.op == Op::kContract && site.sole_reader[0]) {
    auto labels = maker.As<ir::ContractAttr>();
    std::string out;
    for (int axis : order) out.push_back(labels.out[axis]);
    labels.out = out;
    return Contract(site.graph.At(maker.args[0]), site.graph.At(maker.args[1]), labels);
  }
  return {};
}

Expr SimplifySlice(const Site& site) {
  if (Expr constant = MoveConstant(site)) return constant;
  const auto& [axis, start] = site.node.As<ir::SliceAttr>();
  int64_t size = site.node.type.shape[axis].extent;
  const Node maker = site.maker(0);
  if (maker.type == site.node.type) return site.arg(0);
  if (maker.op == Op::kConcat) return SliceConcat(site);
  if (maker.op == Op::kSlice && maker.As<ir::SliceAttr>().axis == axis)
    return Slice(site.graph.At(maker.args[0]), axis, maker.As<ir::SliceAttr>().start + start, size);
  if (maker.op == Op::kBroadcast) {
    Expr operand = site.graph.At(maker.args[0]);
    auto found = std::ranges::find(AxesOf(maker), axis);
    if (found != AxesOf(maker).end())
      operand = Slice(operand, static_cast<int>(found - AxesOf(maker).begin()), start, size);
    return BroadcastIfNeeded(operand, site.node.type.shape, AxesOf(maker));
  }
  return {};
}

Expr SimplifyConcat(const Site& site) {
  if (Expr constant = MoveConstant(site)) return constant;
  int axis = site.node.As<ir::ConcatAttr>().axis;
  std::vector<Expr> parts;
  bool changed = false;
  for (size_t i = 0; i < site.node.args.size(); ++i) {
    const Node maker = site.maker(i);
    if (maker.op == Op::kConcat && maker.As<ir::ConcatAttr>().axis == axis && site.sole_reader[i]) {
      for (NodeId part : maker.args) parts.push_back(site.graph.At(part));
      changed = true;
      continue;
    }
    Expr joined = parts.empty() ? Expr() : JoinParts(site.graph, parts.back(), site.arg(i), axis);
    if (joined) {
      parts.back() = joined;
      changed = true;
    } else {
      parts.push_back(site.arg(i));
    }
  }
  return changed || parts.size() == 1 ? Concat(parts, axis) : Expr();
}

}  // namespace recurve

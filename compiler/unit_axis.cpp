// compiler/unit_axis.cpp: first whether all of a value's operands can do without the axis, then the value without it.

#include "compiler/unit_axis.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "compiler/graph_util.h"
#include "ir/builder.h"

namespace recurve {
namespace {

using ir::Expr;
using ir::Graph;
using ir::Node;
using ir::NodeId;
using ir::Op;

ir::Shape Without(ir::Shape shape, int axis) {
  shape.erase(shape.begin() + axis);
  return shape;
}

class Dropper {
 public:
  explicit Dropper(const Graph& graph) : from_(graph), uses_(UseCounts(graph)), map_(EmptyMap(graph)) {
    to_.name = graph.name;
  }

  Graph Run() {
    for (NodeId id = 0; id < from_.size(); ++id) {
      const int axis = from_[id].op == Op::kReshape ? DroppedAxis(id) : -1;
      const NodeId maker = axis < 0 ? kAbsent : from_[id].args[0];
      if (maker != kAbsent && IsComputed(maker) && CanDo(maker, axis)) {
        map_[id] = Dropped(maker, axis).id();
        if (to_[map_[id]].label.empty()) to_.SetLabel(map_[id], from_[id].label);
      } else {
        map_[id] = CopyNode(from_, id, map_, to_);
      }
    }
    CopyOutputs(from_, map_, to_);
    return std::move(to_);
  }

 private:
  // The axis of size 1 that a reshape drops, or -1 if it does anything else.
  int DroppedAxis(NodeId reshape) const {
    const ir::Shape &before = from_.type(from_[reshape].args[0]).shape, &after = from_.type(reshape).shape;
    for (size_t axis = 0; axis < before.size(); ++axis) {
      if (before[axis] == ir::Dim(1) && Without(before, static_cast<int>(axis)) == after) return static_cast<int>(axis);
    }
    return -1;
  }

  bool IsComputed(NodeId id) const {
    const Op op = from_[id].op;
    return ir::IsElementwise(op) || op == Op::kReal || op == Op::kGather || op == Op::kContract || op == Op::kBroadcast;
  }

  // Calls `visit` with each operand that has the axis, and where it has it.
  template <typename Visit>
  void ForOperands(NodeId id, int axis, Visit visit) const {
    const Node& node = from_[id];
    if (ir::IsElementwise(node.op) || node.op == Op::kReal) {
      for (size_t i = 0; i < node.args.size(); ++i) visit(i, axis);
    } else if (node.op == Op::kGather) {
      visit(size_t{1}, axis);
    } else if (node.op == Op::kBroadcast) {
      const std::vector<int>& axes = node.As<ir::AxesAttr>().axes;
      const auto found = std::ranges::find(axes, axis);
      if (found != axes.end()) visit(size_t{0}, static_cast<int>(found - axes.begin()));
    } else if (node.op == Op::kContract) {
      const auto& labels = node.As<ir::ContractAttr>();
      const std::string* letters[] = {&labels.lhs, &labels.rhs};
      for (size_t i = 0; i < 2; ++i) {
        const size_t at = letters[i]->find(labels.out[static_cast<size_t>(axis)]);
        if (at != std::string::npos) visit(i, static_cast<int>(at));
      }
    }
  }

  bool CanDo(NodeId id, int axis) const {
    const Node& node = from_[id];
    if (node.op == Op::kInput || node.op == Op::kConstant) return true;
    if (uses_[id] != 1) return false;
    if (node.op == Op::kReshape) return from_.type(node.args[0]).shape == Without(node.type.shape, axis);
    if (!IsComputed(id) || (node.op == Op::kGather && axis >= from_.type(node.args[1]).rank())) return false;
    bool can = true;
    ForOperands(id, axis, [&](size_t i, int at) { can = can && CanDo(node.args[i], at); });
    return can;
  }

  Expr Dropped(NodeId id, int axis) {
    const Node node = from_[id];
    const ir::Shape shape = Without(node.type.shape, axis);
    if (node.op == Op::kInput) return ir::Reshape(to_.At(map_[id]), shape);
    if (node.op == Op::kConstant) return ir::Constant(to_, shape, node.As<ir::ConstantAttr>().value);
    if (node.op == Op::kReshape) return to_.At(map_[node.args[0]]);
    std::vector<Expr> args;
    for (NodeId arg : node.args) args.push_back(map_[arg] == kAbsent ? Expr() : to_.At(map_[arg]));
    ForOperands(id, axis, [&](size_t i, int at) { args[i] = Dropped(node.args[i], at); });
    if (ir::IsElementwise(node.op)) return ir::Elementwise(node.op, args);
    if (node.op == Op::kReal) return ir::Real(args[0]);
    if (node.op == Op::kGather) return ir::Gather(args[0], args[1]);
    if (node.op == Op::kContract) {
      auto labels = node.As<ir::ContractAttr>();
      const char letter = labels.out[static_cast<size_t>(axis)];
      for (std::string* letters : {&labels.lhs, &labels.rhs, &labels.out}) std::erase(*letters, letter);
      return ir::Contract(args[0], args[1], labels);
    }
    std::vector<int> axes;
    for (int old : node.As<ir::AxesAttr>().axes) {
      if (old != axis) axes.push_back(old > axis ? old - 1 : old);
    }
    return args[0].shape() == shape ? args[0] : ir::BroadcastTo(args[0], shape, axes);
  }

  const Graph& from_;
  std::vector<int> uses_;
  NodeMap map_;
  Graph to_;
};

}  // namespace

ir::Graph DropUnitAxes(const ir::Graph& graph) { return Dropper(graph).Run(); }

}  // namespace recurve

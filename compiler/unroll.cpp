// compiler/unroll.cpp: one walk that rewrites the axis in every type and attribute and inlines the scans over it.

#include "compiler/unroll.h"

#include <memory>
#include <utility>
#include <vector>

#include "compiler/graph_util.h"
#include "ir/builder.h"

namespace recurve {

using ir::Dim;
using ir::Expr;
using ir::Graph;
using ir::Node;
using ir::NodeId;
using ir::Op;
using ir::Shape;

namespace {

class Unroller {
 public:
  Unroller(const Graph& from, std::string_view axis, int64_t extent)
      : from_(from), axis_(axis), extent_(extent), map_(EmptyMap(from)), results_(from.size()) {
    to_.name = from.name;
  }

  Graph Run() && {
    for (NodeId id = 0; id < from_.size(); ++id) map_[id] = Rewrite(id);
    CopyOutputs(from_, map_, to_);
    return std::move(to_);
  }

 private:
  void Bind(Dim& dim) const {
    if (dim.axis == axis_) dim = extent_;
  }

  // The stand-in of a node; kAbsent for a scan that is unrolled, whose results have theirs.
  NodeId Rewrite(NodeId id) {
    const Node& node = from_[id];
    if (node.op == Op::kScanResult && map_[node.args[0]] == kAbsent) {
      NodeId result = results_[node.args[0]][node.As<ir::ResultAttr>().index];
      if (to_[result].label.empty()) to_.SetLabel(result, node.label);
      return result;
    }
    if (node.op == Op::kExtent && node.As<ir::ExtentAttr>().dim.axis == axis_) {
      return ir::Constant(to_, {}, static_cast<double>(extent_)).id();
    }
    if (node.op == Op::kScan) {
      ir::ScanAttr attr = node.As<ir::ScanAttr>();
      attr.body = std::make_shared<const Graph>(Unroll(*attr.body, axis_, extent_));
      if (attr.time.axis == axis_) {
        UnrollScan(id, attr);
        return kAbsent;
      }
      Node scan = node;
      for (NodeId& arg : scan.args) arg = map_[arg];
      scan.attr = std::move(attr);
      return to_.Add(std::move(scan));
    }
    Node copy = node;
    for (NodeId& arg : copy.args) arg = map_[arg];
    for (Dim& dim : copy.type.shape) Bind(dim);
    return to_.Add(std::move(copy));
  }

  // Element `step` of a sequence.
  NodeId ElementOf(NodeId sequence, int64_t step) {
    Expr slice = ir::Slice(to_.At(sequence), 0, step, 1);
    return ir::Reshape(slice, Shape(slice.shape().begin() + 1, slice.shape().end())).id();
  }

  // The values of all steps, joined along a new first axis.
  NodeId Stack(const std::vector<NodeId>& values) {
    std::vector<Expr> slices;
    for (NodeId value : values) {
      Shape shape = to_.type(value).shape;
      shape.insert(shape.begin(), 1);
      slices.push_back(ir::Reshape(to_.At(value), std::move(shape)));
    }
    return ir::Concat(slices, 0).id();
  }

  // `attr` has the rewritten body.
  void UnrollScan(NodeId id, const ir::ScanAttr& attr) {
    const Graph& body = *attr.body;
    std::vector<NodeId> operands;
    for (NodeId arg : from_[id].args) operands.push_back(map_[arg]);
    std::vector<NodeId> carries(operands.begin(), operands.begin() + attr.carries);
    std::vector<std::vector<NodeId>> stacked(body.outputs().size() - attr.carries, std::vector<NodeId>(extent_));

    for (int64_t count = 0; count < extent_; ++count) {
      int64_t step = attr.reverse ? extent_ - 1 - count : count;
      NodeMap map = EmptyMap(body);
      for (size_t i = 0; i < operands.size(); ++i) {
        int operand = static_cast<int>(i);
        bool is_sequence = operand >= attr.carries && operand < attr.carries + attr.sequences;
        map[body.inputs()[i]] = operand < attr.carries ? carries[i]
                                : is_sequence          ? ElementOf(operands[i], step)
                                                       : operands[i];
      }
      CopyAbsent(body, map, to_);
      std::vector<NodeId> outputs;
      for (NodeId node : OutputNodes(body)) outputs.push_back(map[node]);
      carries.assign(outputs.begin(), outputs.begin() + attr.carries);
      for (size_t i = 0; i < stacked.size(); ++i) stacked[i][step] = outputs[attr.carries + i];
    }
    results_[id] = carries;
    for (const std::vector<NodeId>& values : stacked) results_[id].push_back(Stack(values));
  }

  const Graph& from_;
  std::string_view axis_;
  int64_t extent_;
  NodeMap map_;
  std::vector<std::vector<NodeId>> results_;  // by scan that is unrolled: the stand-ins of its results
  Graph to_;
};

}  // namespace

Graph Unroll(const Graph& graph, std::string_view axis, int64_t extent) { return Unroller(graph, axis, extent).Run(); }

}  // namespace recurve

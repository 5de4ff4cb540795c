// compiler/passes/zero_sums.cpp: sums of deviations from their mean.
//
// x - mean(x) sums to zero over the axes of the mean, and so does what is made of it by factors that are the same along
// them. In the adjoint of a normalization such a value is a term of a sum,
//
//   sum(g s + d t),  d = x - mean(x),  t = a sum of g d,
//
// which without it is a sum of g alone and need not wait for t. The adjoint is in another scan than the mean, so that
// what is known of a value goes along with it into scans and out of them. Each sum that is dropped is zero but for
// rounding errors.

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "compiler/graph_util.h"
#include "compiler/passes.h"
#include "compiler/passes/scan_draft.h"
#include "compiler/passes/simplify_rules.h"

namespace recurve {

using ir::Graph;
using ir::Node;
using ir::NodeId;
using ir::Op;

namespace {

// The axes over which a value sums to zero, ascending; empty if it is not known to.
using Axes = std::vector<int>;

bool Intersect(const Axes& a, const Axes& b) {
  return std::ranges::any_of(a, [&](int axis) { return std::ranges::find(b, axis) != b.end(); });
}

class ZeroSums {
 public:
  // `zero`: what is known of the inputs of `from`, in their order.
  ZeroSums(const Graph& from, const std::vector<Axes>& zero) {
    NodeMap map = EmptyMap(from);
    to_.name = from.name;
    size_t input = 0;
    for (NodeId id = 0; id < from.size(); ++id) {
      Node node = from[id];
      for (NodeId& arg : node.args) arg = map[arg];
      Axes axes;
      if (node.op == Op::kInput && input < zero.size()) axes = zero[input++];
      if (node.op == Op::kScan) RewriteBody(node);
      map[id] = node.op == Op::kReduceSum ? Sum(node) : to_.Add(node);
      zero_.resize(static_cast<size_t>(to_.size()));
      if (axes.empty()) axes = ZeroAxesOf(to_[map[id]]);
      zero_[map[id]] = std::move(axes);
    }
    CopyOutputs(from, map, to_);
  }

  const Graph& graph() const { return to_; }
  // Of an output.
  const Axes& ZeroAxes(size_t output) const { return zero_[to_.outputs()[output].node]; }

 private:
  void RewriteBody(Node& scan) {
    auto& attr = std::get<ir::ScanAttr>(scan.attr);
    std::vector<Axes> inputs(scan.args.size());
    for (size_t i = static_cast<size_t>(attr.carries); i < scan.args.size(); ++i) {
      Axes axes = zero_[scan.args[i]];
      if (i < static_cast<size_t>(attr.carries + attr.sequences)) {
        if (!axes.empty() && axes.front() == 0) continue;
        for (int& axis : axes) --axis;
      }
      inputs[i] = std::move(axes);
    }
    const ZeroSums body(*attr.body, inputs);
    std::vector<Axes>& results = of_results_[to_.size()];
    for (size_t i = 0; i < body.graph().outputs().size(); ++i) {
      Axes axes;
      if (i >= static_cast<size_t>(attr.carries)) axes = body.ZeroAxes(i);
      for (int& axis : axes) ++axis;
      results.push_back(std::move(axes));
    }
    attr.body = std::make_shared<const Graph>(body.graph());
  }

  // A value without the terms that sum to zero, if it is an addition; kAbsent if nothing is left. `rest` holds what is
  // known of others: additions may share their terms.
  NodeId WithoutZeroTerms(NodeId id, const Axes& axes, std::map<NodeId, NodeId>& rest) {
    if (zero_[id] == axes) return kAbsent;
    if (to_[id].op != Op::kAdd) return id;
    if (const auto known = rest.find(id); known != rest.end()) return known->second;
    const NodeId a = to_[id].args[0], b = to_[id].args[1];
    const NodeId rest_of_a = WithoutZeroTerms(a, axes, rest), rest_of_b = WithoutZeroTerms(b, axes, rest);
    NodeId result = id;
    if (rest_of_a == kAbsent || rest_of_b == kAbsent) {
      result = rest_of_a == kAbsent ? rest_of_b : rest_of_a;
    } else if (rest_of_a != a || rest_of_b != b) {
      result = (to_.At(rest_of_a) + to_.At(rest_of_b)).id();
    }
    return rest[id] = result;
  }

  NodeId Sum(const Node& node) {
    const Axes& axes = AxesOf(node);
    std::map<NodeId, NodeId> known;
    const NodeId rest = axes.empty() ? node.args[0] : WithoutZeroTerms(node.args[0], axes, known);
    if (rest == node.args[0]) return to_.Add(node);
    if (rest == kAbsent) return Constant(to_, node.type.shape, 0).id();
    const NodeId sum = ReduceSum(to_.At(rest), axes).id();
    to_.SetLabel(sum, node.label);
    return sum;
  }

  // Whether a value is the same along all of these axes.
  bool IsSameAlong(NodeId id, const Axes& axes) const {
    return to_[id].op == Op::kConstant || (to_[id].op == Op::kBroadcast && !Intersect(AxesOf(to_[id]), axes));
  }

  // x - mean(x), where the mean is a sum of x times the inverse of how many there are.
  Axes AxesOfDeviation(NodeId x, NodeId mean) const {
    if (to_[mean].op != Op::kBroadcast) return {};
    const Node& scaled = to_[to_[mean].args[0]];
    if (scaled.op != Op::kMul) return {};
    for (size_t i : {0, 1}) {
      const Node& sum = to_[scaled.args[i]];
      const std::optional<double> factor = SplatOf(to_, scaled.args[1 - i]);
      if (sum.op != Op::kReduceSum || sum.args[0] != x || !factor || !IsSameAlong(mean, AxesOf(sum))) continue;
      double count = 1;
      for (int axis : AxesOf(sum)) {
        const ir::Dim& dim = to_.type(x).shape[axis];
        count *= dim.is_constant() ? static_cast<double>(dim.extent) : 0;
      }
      if (*factor == 1 / count) return AxesOf(sum);
    }
    return {};
  }

  Axes ZeroAxesOf(const Node& node) const {
    switch (node.op) {
      case Op::kNeg: return zero_[node.args[0]];
      case Op::kAdd:
      case Op::kSub: {
        const Axes &a = zero_[node.args[0]], &b = zero_[node.args[1]];
        if (!a.empty() && a == b) return a;
        return node.op == Op::kSub ? AxesOfDeviation(node.args[0], node.args[1]) : Axes{};
      }
      case Op::kMul:
        for (size_t i : {0, 1}) {
          const Axes& axes = zero_[node.args[i]];
          if (!axes.empty() && IsSameAlong(node.args[1 - i], axes)) return axes;
        }
        return {};
      case Op::kScanResult: {
        const auto found = of_results_.find(node.args[0]);
        return found == of_results_.end() ? Axes{} : found->second[node.As<ir::ResultAttr>().index];
      }
      default: return {};
    }
  }

  Graph to_;
  std::vector<Axes> zero_;  // by node of `to_`
  std::map<NodeId, std::vector<Axes>> of_results_;
};

}  // namespace

Graph DropZeroSums(const Graph& graph) { return DropDeadNodes(ZeroSums(graph, {}).graph()); }

}  // namespace recurve

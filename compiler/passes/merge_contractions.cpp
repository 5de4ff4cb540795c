// compiler/passes/merge_contractions.cpp: one product instead of several.
//
//   a W + b W        becomes  (a + b) W         everywhere
//   x W1, x W2, ...  become   x [W1, W2, ...]   outside scans
//
// The second joins weights that depend on parameters alone: joining them costs nothing at run time (split.h, pack),
// and a wide product reads x once. The results are slices of the wide one. In a body the code generator lets
// contractions that share an operand share a tile, so nothing is gained there.

#include <algorithm>
#include <string>
#include <vector>

#include "compiler/graph_util.h"
#include "compiler/passes.h"
#include "compiler/passes/equal.h"
#include "compiler/passes/scan_draft.h"

namespace recurve {

using ir::Expr;
using ir::Graph;
using ir::Node;
using ir::NodeId;
using ir::Op;

namespace {

// The sum or difference of two contractions that share an operand and that nothing else reads.
Expr AddBeforeContracting(Graph& to, const Node& sum, const std::vector<bool>& sole_reader) {
  if (sum.op != Op::kAdd && sum.op != Op::kSub) return {};
  const Node a = to[sum.args[0]], b = to[sum.args[1]];
  if (a.op != Op::kContract || b.op != Op::kContract || !sole_reader[0] || !sole_reader[1]) return {};
  const auto& labels = a.As<ir::ContractAttr>();
  if (CanonicalLabels(labels) != CanonicalLabels(b.As<ir::ContractAttr>())) return {};
  std::vector<Expr> operands = {to.At(a.args[0]), to.At(a.args[1])};
  for (size_t own : {0, 1}) {
    Expr x = to.At(a.args[own]), y = to.At(b.args[own]);
    if (a.args[1 - own] != b.args[1 - own] || x.type() != y.type()) continue;
    operands[own] = sum.op == Op::kAdd ? x + y : x - y;
    return Contract(operands[0], operands[1], labels);
  }
  return {};
}

// Contractions of one operand with weights that can be joined along one axis.
struct Family {
  std::vector<NodeId> members;
  size_t weight = 1;  // which operand differs
  int axis = 0;       // of the weight, the joined one
  int out_axis = 0;   // the same axis in the results
};

// Finds the families of a graph and remembers which member belongs to which.
class Families {
 public:
  explicit Families(const Graph& graph) : graph_(graph), family_of_(graph.size(), -1) {
    std::vector<NodeId> data;
    for (NodeId input : graph.inputs()) {
      ir::Role role = graph[input].As<ir::InputAttr>().role;
      if (role != ir::Role::kParameter && role != ir::Role::kConstant) data.push_back(input);
    }
    depends_on_data_ = DependsOn(graph, data);
    for (NodeId id = 0; id < graph.size(); ++id) {
      if (graph[id].op == Op::kContract) Admit(id);
    }
  }

  // The family of a node if it has one and is not alone in it.
  const Family* Find(NodeId id) const {
    if (family_of_[id] < 0 || families_[family_of_[id]].members.size() < 2) return nullptr;
    return &families_[family_of_[id]];
  }

 private:
  void Admit(NodeId id) {
    const Node& node = graph_[id];
    size_t weight = depends_on_data_[node.args[1]] ? 0 : 1;
    if (depends_on_data_[node.args[weight]] || !depends_on_data_[node.args[1 - weight]]) return;
    auto found = std::ranges::find_if(families_, [&](const Family& family) { return Fits(family, node, weight); });
    if (found == families_.end()) {
      Family family{.weight = weight};
      if (!FindJoinedAxis(node, family)) return;
      families_.push_back(family);
      found = families_.end() - 1;
    }
    found->members.push_back(id);
    family_of_[id] = static_cast<int>(found - families_.begin());
  }

  // The first constant axis of the weight that the other operand lacks.
  bool FindJoinedAxis(const Node& node, Family& family) const {
    const auto& labels = node.As<ir::ContractAttr>();
    const std::string& own = family.weight == 0 ? labels.lhs : labels.rhs;
    const std::string& other = family.weight == 0 ? labels.rhs : labels.lhs;
    for (size_t axis = 0; axis < own.size(); ++axis) {
      if (other.find(own[axis]) != std::string::npos) continue;
      if (!graph_.type(node.args[family.weight]).shape[axis].is_constant()) continue;
      family.axis = static_cast<int>(axis);
      family.out_axis = static_cast<int>(labels.out.find(own[axis]));
      return true;
    }
    return false;
  }

  bool Fits(const Family& family, const Node& node, size_t weight) const {
    const Node& first = graph_[family.members[0]];
    ir::Type a = graph_.type(first.args[weight]), b = graph_.type(node.args[weight]);
    if (weight != family.weight || a.rank() != b.rank()) return false;
    a.shape[family.axis] = b.shape[family.axis];
    return a == b && first.args[1 - weight] == node.args[1 - weight] &&
           CanonicalLabels(first.As<ir::ContractAttr>()) == CanonicalLabels(node.As<ir::ContractAttr>());
  }

  const Graph& graph_;
  std::vector<bool> depends_on_data_;
  std::vector<Family> families_;
  std::vector<int> family_of_;
};

// Puts the wide product into `to` and maps every member to its slice.
void BuildFamily(const Graph& graph, const Family& family, NodeMap& map, Graph& to) {
  // Weights may stand behind the first member; they depend on parameters alone, which are mapped.
  std::vector<NodeId> weights;
  for (NodeId member : family.members) weights.push_back(graph[member].args[family.weight]);
  CopyNeeded(graph, weights, map, to);
  std::vector<Expr> parts;
  for (NodeId weight : weights) parts.push_back(to.At(map[weight]));

  const Node& first = graph[family.members[0]];
  Expr data = to.At(map[first.args[1 - family.weight]]), weight = Concat(parts, family.axis);
  const auto& labels = first.As<ir::ContractAttr>();
  Expr wide = family.weight == 0 ? Contract(weight, data, labels) : Contract(data, weight, labels);
  int64_t start = 0;
  for (NodeId member : family.members) {
    int64_t size = graph.type(member).shape[family.out_axis].extent;
    map[member] = Slice(wide, family.out_axis, start, size).id();
    to.SetLabel(map[member], graph[member].label);
    start += size;
  }
}

Graph MergeIn(const Graph& graph, bool is_body) {
  Graph to;
  to.name = graph.name;
  NodeMap map = EmptyMap(graph);
  for (NodeId input : graph.inputs()) map[input] = CopyNode(graph, input, map, to);
  std::vector<int> uses = UseCounts(graph);
  Families families(graph);
  for (NodeId id = 0; id < graph.size(); ++id) {
    if (map[id] != kAbsent) continue;
    if (const Family* family = is_body ? nullptr : families.Find(id)) {
      BuildFamily(graph, *family, map, to);
      continue;
    }
    Node node = graph[id];
    std::vector<bool> sole_reader;
    for (NodeId& arg : node.args) {
      sole_reader.push_back(uses[arg] == 1);
      arg = map[arg];
    }
    if (node.op == Op::kScan) {
      auto& attr = std::get<ir::ScanAttr>(node.attr);
      attr.body = std::make_shared<const Graph>(MergeIn(*attr.body, true));
    }
    if (Expr merged = AddBeforeContracting(to, node, sole_reader)) {
      map[id] = merged.id();
      to.SetLabel(map[id], node.label);
    } else {
      map[id] = to.Add(std::move(node));
    }
  }
  CopyOutputs(graph, map, to);
  return DropDeadNodes(to);
}

}  // namespace

Graph MergeContractions(const Graph& graph) { return MergeIn(graph, false); }

}  // namespace recurve

// compiler/passes/merge_contractions.cpp: one product instead of several.
//
//   a W + b W                              becomes  (a + b) W
//   x W1 + b1, x W2 + b2 read by one scan  becomes  x [W1, W2] + [b1, b2]
//
// The second joins parameters: joining costs nothing at run time (split.h, pack), the wide product reads x once, and
// the scan reads one sequence, of which its body takes slices (simplify.cpp). Only products that nothing but one scan
// reads are joined: elsewhere the code generator lets products of one operand share a tile as they are, and a slice
// would have to be copied.

#include <algorithm>
#include <optional>
#include <span>
#include <string>
#include <utility>
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

// A product of a sequence with a parameter that one scan reads, perhaps after adding a bias.
struct Projection {
  NodeId product;
  size_t weight;          // which operand is the parameter
  int axis, out_axis;     // the joined one, of the weight and of the result
  NodeId bias = kAbsent;  // a vector along out_axis
  NodeId value;           // what the scan reads: the product, or its sum with the bias
  NodeId scan;
};

// Finds the projections of a graph, grouped by what can be joined.
class Projections {
 public:
  explicit Projections(const Graph& graph) : graph_(graph), uses_(UseCounts(graph)), reader_(graph.size(), kAbsent) {
    std::vector<NodeId> data;
    for (NodeId input : graph.inputs()) {
      ir::Role role = graph[input].As<ir::InputAttr>().role;
      if (role != ir::Role::kParameter && role != ir::Role::kConstant) data.push_back(input);
    }
    depends_on_data_ = DependsOn(graph, data);
    for (NodeId id = 0; id < graph.size(); ++id) {
      for (NodeId arg : graph[id].args) reader_[arg] = id;
    }
    for (NodeId id = 0; id < graph.size(); ++id) {
      auto projection = ProjectionAt(id);
      if (!projection) continue;
      auto fits = [&](const auto& group) { return CanJoin(group[0], *projection); };
      auto group = std::ranges::find_if(groups_, fits);
      if (group == groups_.end()) group = groups_.insert(groups_.end(), {{}});
      group->push_back(*projection);
    }
  }

  // The projections that are joined where `id` stands, the first of them; none if there is nothing to join.
  std::span<const Projection> StartingAt(NodeId id) const {
    for (const auto& group : groups_) {
      if (group.size() > 1 && group[0].product == id) return group;
    }
    return {};
  }

 private:
  bool IsParameter(NodeId id) const { return !depends_on_data_[id]; }

  std::optional<Projection> ProjectionAt(NodeId id) const {
    const Node& node = graph_[id];
    if (node.op != Op::kContract || uses_[id] != 1 || reader_[id] == kAbsent) return std::nullopt;
    size_t weight = IsParameter(node.args[1]) ? 1 : 0;
    if (!IsParameter(node.args[weight]) || IsParameter(node.args[1 - weight])) return std::nullopt;
    Projection projection{.product = id, .weight = weight, .value = id};

    // The joined axis is the first constant one of the weight that the sequence lacks.
    const auto& labels = node.As<ir::ContractAttr>();
    const std::string& own = weight == 0 ? labels.lhs : labels.rhs;
    const std::string& other = weight == 0 ? labels.rhs : labels.lhs;
    size_t axis = 0;
    while (axis < own.size() &&
           (other.find(own[axis]) != std::string::npos || !graph_.type(node.args[weight]).shape[axis].is_constant())) {
      ++axis;
    }
    if (axis == own.size()) return std::nullopt;
    projection.axis = static_cast<int>(axis);
    projection.out_axis = static_cast<int>(labels.out.find(own[axis]));
    FindBias(projection);

    projection.scan = reader_[projection.value];
    const Node* scan = projection.scan == kAbsent ? nullptr : &graph_[projection.scan];
    if (scan == nullptr || scan->op != Op::kScan || uses_[projection.value] != 1) return std::nullopt;
    const auto& attr = scan->As<ir::ScanAttr>();
    auto position = std::ranges::find(scan->args, projection.value) - scan->args.begin();
    bool is_sequence = position >= attr.carries && position < attr.carries + attr.sequences;
    return is_sequence && projection.out_axis > 0 ? std::optional(projection) : std::nullopt;
  }

  void FindBias(Projection& projection) const {
    const Node& sum = graph_[reader_[projection.product]];
    if (sum.op != Op::kAdd) return;
    const Node& bias = graph_[sum.args[0] == projection.product ? sum.args[1] : sum.args[0]];
    if (bias.op != Op::kBroadcast || !IsParameter(bias.args[0])) return;
    if (bias.As<ir::AxesAttr>().axes != std::vector<int>{projection.out_axis}) return;
    projection.bias = bias.args[0];
    projection.value = reader_[projection.product];
  }

  bool CanJoin(const Projection& a, const Projection& b) const {
    const Node &x = graph_[a.product], &y = graph_[b.product];
    if (a.weight != b.weight || a.axis != b.axis || a.scan != b.scan) return false;
    if ((a.bias == kAbsent) != (b.bias == kAbsent) || x.args[1 - a.weight] != y.args[1 - b.weight]) return false;
    ir::Type joined = graph_.type(x.args[a.weight]);
    const ir::Type& other = graph_.type(y.args[b.weight]);
    if (joined.rank() != other.rank()) return false;
    joined.shape[a.axis] = other.shape[a.axis];
    return joined == other && CanonicalLabels(x.As<ir::ContractAttr>()) == CanonicalLabels(y.As<ir::ContractAttr>());
  }

  const Graph& graph_;
  std::vector<int> uses_;
  std::vector<NodeId> reader_;  // the last one
  std::vector<bool> depends_on_data_;
  std::vector<std::vector<Projection>> groups_;
};

// Puts the wide projection into `to` and maps what the scan reads to slices of it.
void Join(const Graph& graph, std::span<const Projection> group, NodeMap& map, Graph& to) {
  // Parameters that stand further back in the graph are copied here; they depend on inputs alone.
  auto joined = [&](auto&& part_of, int axis) {
    std::vector<NodeId> parts;
    for (const Projection& projection : group) parts.push_back(part_of(projection));
    CopyNeeded(graph, parts, map, to);
    std::vector<Expr> copies;
    for (NodeId part : parts) copies.push_back(to.At(map[part]));
    return Concat(copies, axis);
  };
  const Projection& first = group[0];
  const Node& product = graph[first.product];
  const auto& labels = product.As<ir::ContractAttr>();
  Expr data = to.At(map[product.args[1 - first.weight]]);
  Expr weight = joined([&](const Projection& p) { return graph[p.product].args[p.weight]; }, first.axis);
  Expr wide = first.weight == 0 ? Contract(weight, data, labels) : Contract(data, weight, labels);
  if (first.bias != kAbsent) {
    Expr bias = joined([](const Projection& p) { return p.bias; }, 0);
    ir::Shape shape = wide.shape();
    wide = wide + BroadcastTo(bias, std::move(shape), {first.out_axis});
  }
  int64_t start = 0;
  for (const Projection& projection : group) {
    int64_t size = graph.type(projection.value).shape[first.out_axis].extent;
    Expr part = Slice(wide, first.out_axis, start, size);
    to.SetLabel(part.id(), graph[projection.value].label);
    map[projection.product] = map[projection.value] = part.id();
    start += size;
  }
}

}  // namespace

Graph MergeContractions(const Graph& graph) {
  Graph to;
  to.name = graph.name;
  NodeMap map = EmptyMap(graph);
  for (NodeId input : graph.inputs()) map[input] = CopyNode(graph, input, map, to);
  std::vector<int> uses = UseCounts(graph);
  Projections projections(graph);
  for (NodeId id = 0; id < graph.size(); ++id) {
    if (map[id] != kAbsent) continue;
    if (std::span<const Projection> group = projections.StartingAt(id); !group.empty()) {
      Join(graph, group, map, to);
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
      attr.body = std::make_shared<const Graph>(MergeContractions(*attr.body));
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

}  // namespace recurve

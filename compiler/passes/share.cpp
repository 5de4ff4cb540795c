// compiler/passes/share.cpp: equal values computed once.
//
// Two nodes are equal when their operation, operands, type and attribute are; operands are compared after sharing, so
// one walk from front to back finds all. The operands of a sum or product are put in the order of the graph first.
// Contractions are compared with their labels renamed, scans with their bodies shared.

#include <algorithm>
#include <functional>
#include <unordered_map>
#include <utility>
#include <vector>

#include "compiler/graph_util.h"
#include "compiler/passes.h"
#include "compiler/passes/equal.h"

namespace recurve {

using ir::Graph;
using ir::Node;
using ir::NodeId;
using ir::Op;

namespace {

bool IsCommutative(Op op) { return op == Op::kAdd || op == Op::kMul; }

// Coarse on purpose: nodes with equal hashes are compared.
size_t HashOf(const Node& node) {
  size_t hash = static_cast<size_t>(node.op);
  for (NodeId arg : node.args) hash = hash * 1000003 + static_cast<size_t>(arg);
  if (node.op == Op::kConstant) hash ^= std::hash<double>()(node.As<ir::ConstantAttr>().value);
  return hash;
}

}  // namespace

Graph Share(const Graph& graph) {
  Graph to;
  to.name = graph.name;
  NodeMap map = EmptyMap(graph);
  std::unordered_multimap<size_t, NodeId> seen;
  for (NodeId id = 0; id < graph.size(); ++id) {
    Node node = graph[id];
    for (NodeId& arg : node.args) arg = map[arg];
    if (IsCommutative(node.op)) std::ranges::sort(node.args);
    if (node.op == Op::kScan) {
      auto& attr = std::get<ir::ScanAttr>(node.attr);
      attr.body = std::make_shared<const Graph>(Share(*attr.body));
    }
    if (node.op != Op::kInput) {
      auto [begin, end] = seen.equal_range(HashOf(node));
      auto found = std::find_if(begin, end, [&](const auto& entry) { return AreEqual(to[entry.second], node); });
      if (found != end) map[id] = found->second;
    }
    if (map[id] == kAbsent) {
      size_t hash = HashOf(node);
      map[id] = to.Add(std::move(node));
      seen.emplace(hash, map[id]);
    } else if (to[map[id]].label.empty()) {
      to.SetLabel(map[id], graph[id].label);
    }
  }
  CopyOutputs(graph, map, to);
  return to;
}

}  // namespace recurve

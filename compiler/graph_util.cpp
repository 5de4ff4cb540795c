// compiler/graph_util.cpp: copying and dependence. Operands precede users, so each question is one walk over the list.

#include "compiler/graph_util.h"

#include <utility>

namespace recurve {

using ir::Graph;
using ir::Node;
using ir::NodeId;
using ir::Op;

NodeMap EmptyMap(const Graph& from) { return NodeMap(from.size(), kAbsent); }

NodeId CopyNode(const Graph& from, NodeId id, const NodeMap& map, Graph& to) {
  Node node = from[id];
  for (NodeId& arg : node.args) arg = map[arg];
  return to.Add(std::move(node));
}

void CopyAbsent(const Graph& from, NodeMap& map, Graph& to) {
  for (NodeId id = 0; id < from.size(); ++id) {
    if (map[id] == kAbsent) map[id] = CopyNode(from, id, map, to);
  }
}

void CopyNeeded(const Graph& from, std::span<const NodeId> roots, NodeMap& map, Graph& to) {
  std::vector<bool> present(from.size());
  for (NodeId id = 0; id < from.size(); ++id) present[id] = map[id] != kAbsent;
  std::vector<bool> needed = NeededBy(from, roots, present);
  for (NodeId id = 0; id < from.size(); ++id) {
    if (needed[id] && map[id] == kAbsent) map[id] = CopyNode(from, id, map, to);
  }
}

void CopyOutputs(const Graph& from, const NodeMap& map, Graph& to) {
  for (const ir::Output& output : from.outputs()) to.AddOutput(output.name, map[output.node]);
}

ir::Expr AddInputOfType(Graph& graph, std::string name, ir::Role role, const ir::Type& type, int64_t classes) {
  switch (type.element) {
    case ir::Element::kReal: return graph.AddInput(std::move(name), role, type.shape);
    case ir::Element::kIndex: return graph.AddIndexInput(std::move(name), role, type.shape, classes);
  }
  std::unreachable();
}

int64_t ClassesOf(const Graph& graph, NodeId id) {
  if (graph.type(id).element == ir::Element::kReal) return 0;
  while (graph[id].op != Op::kInput) {
    if (graph[id].op == Op::kScanResult) {
      const ir::ScanAttr& attr = graph[graph[id].args[0]].As<ir::ScanAttr>();
      return ClassesOf(*attr.body, attr.body->outputs()[graph[id].As<ir::ResultAttr>().index].node);
    }
    id = graph[id].args[0];
  }
  return graph[id].As<ir::InputAttr>().classes;
}

std::vector<NodeId> OutputNodes(const Graph& graph) {
  std::vector<NodeId> nodes;
  for (const ir::Output& output : graph.outputs()) nodes.push_back(output.node);
  return nodes;
}

std::vector<bool> DependsOn(const Graph& graph, std::span<const NodeId> roots) {
  std::vector<bool> depends(graph.size(), false);
  for (NodeId root : roots) depends[root] = true;
  for (NodeId id = 0; id < graph.size(); ++id) {
    for (NodeId arg : graph[id].args) depends[id] = depends[id] || depends[arg];
  }
  return depends;
}

std::vector<bool> NeededBy(const Graph& graph, std::span<const NodeId> roots, const std::vector<bool>& stops) {
  std::vector<bool> needed(graph.size(), false);
  for (NodeId root : roots) needed[root] = true;
  for (NodeId id = graph.size() - 1; id >= 0; --id) {
    if (!needed[id] || (!stops.empty() && stops[id])) continue;
    for (NodeId arg : graph[id].args) needed[arg] = true;
  }
  return needed;
}

std::vector<int> UseCounts(const Graph& graph) {
  std::vector<int> uses(graph.size(), 0);
  for (NodeId id = 0; id < graph.size(); ++id) {
    for (NodeId arg : graph[id].args) ++uses[arg];
  }
  for (const ir::Output& output : graph.outputs()) ++uses[output.node];
  return uses;
}

std::vector<std::vector<NodeId>> ResultsOfScans(const Graph& graph) {
  std::vector<std::vector<NodeId>> results(graph.size());
  for (NodeId id = 0; id < graph.size(); ++id) {
    if (graph[id].op == Op::kScanResult) results[graph[id].args[0]].push_back(id);
  }
  return results;
}

std::string StateOfCarry(const Graph& graph, NodeId scan, int carry) {
  for (const ir::Output& output : graph.outputs()) {
    const Node& node = graph[output.node];
    const bool is_it = node.op == Op::kScanResult && node.args[0] == scan && node.As<ir::ResultAttr>().index == carry &&
                       output.name.ends_with('T');
    if (is_it) return output.name.substr(0, output.name.size() - 1);
  }
  return "";
}

bool IsLeaf(Op op) { return op == Op::kConstant || op == Op::kIota || op == Op::kExtent; }

bool IsDataMovement(Op op) {
  return op == Op::kBroadcast || op == Op::kReshape || op == Op::kTranspose || op == Op::kSlice || op == Op::kConcat;
}

std::string UniqueNames::operator()(const std::string& name) {
  std::string unique = name;
  for (int number = 2; !taken_.insert(unique).second; ++number) unique = name + std::to_string(number);
  return unique;
}

}  // namespace recurve

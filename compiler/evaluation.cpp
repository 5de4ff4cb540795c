// compiler/evaluation.cpp: one walk, and Prune for what nothing needs any more.

#include "compiler/evaluation.h"

#include <memory>
#include <utility>

#include "compiler/graph_util.h"
#include "compiler/passes.h"

namespace recurve {
namespace {

using ir::Graph;
using ir::Node;
using ir::NodeId;
using ir::Op;

Graph WithSecondOperands(const Graph& graph) {
  Graph to;
  to.name = graph.name;
  NodeMap map = EmptyMap(graph);
  for (NodeId id = 0; id < graph.size(); ++id) {
    if (graph[id].op == Op::kTraining) {
      map[id] = map[graph[id].args[1]];
      if (to[map[id]].label.empty()) to.SetLabel(map[id], graph[id].label);
      continue;
    }
    Node node = graph[id];
    for (NodeId& arg : node.args) arg = map[arg];
    if (node.op == Op::kScan) {
      auto& attr = std::get<ir::ScanAttr>(node.attr);
      attr.body = std::make_shared<const Graph>(WithSecondOperands(*attr.body));
    }
    map[id] = to.Add(std::move(node));
  }
  CopyOutputs(graph, map, to);
  return to;
}

}  // namespace

bool DiffersInTraining(const Graph& graph) {
  for (NodeId id = 0; id < graph.size(); ++id) {
    if (graph[id].op == Op::kTraining) return true;
    if (graph[id].op == Op::kScan && DiffersInTraining(*graph[id].As<ir::ScanAttr>().body)) return true;
  }
  return false;
}

Graph InEvaluation(const Graph& graph) {
  // A program without any keeps its nodes as they are.
  return DiffersInTraining(graph) ? Prune(WithSecondOperands(graph)) : graph;
}

}  // namespace recurve

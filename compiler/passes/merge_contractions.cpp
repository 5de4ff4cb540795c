// compiler/passes/merge_contractions.cpp: one product instead of several.
//
//   a W + b W   becomes   (a + b) W
//
// Products of one operand with several weights stay apart: the code generator lets them share a tile where they meet,
// fuses the bias of each into its own product, and packs weights as they are; joined weights would have to be copied.

#include <memory>
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

}  // namespace

Graph MergeContractions(const Graph& graph) {
  Graph to;
  to.name = graph.name;
  NodeMap map = EmptyMap(graph);
  std::vector<int> uses = UseCounts(graph);
  for (NodeId id = 0; id < graph.size(); ++id) {
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

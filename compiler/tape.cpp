// compiler/tape.cpp: rule 2 is a walk from back to front, rules 3 and 4 a walk from front to back.

#include "compiler/tape.h"

#include <algorithm>

#include "compiler/graph_util.h"

namespace recurve {

using ir::Graph;
using ir::Node;
using ir::NodeId;
using ir::Op;

namespace {

bool IsRecomputable(Op op) {
  return IsDataMovement(op) || op == Op::kRandom || op == Op::kReal ||
         (ir::IsElementwise(op) && ir::CostOf(op) == ir::Cost::kCheap);
}

}  // namespace

std::vector<NodeId> ChooseTape(const Graph& forward, std::vector<bool> mentioned, const std::vector<bool>& free,
                               const std::vector<bool>& again) {
  std::vector<bool> available(forward.size());
  for (NodeId id = 0; id < forward.size(); ++id) available[id] = free[id] || IsLeaf(forward[id].op);
  auto computable = [&](NodeId id) {
    return (again[id] || IsRecomputable(forward[id].op)) &&
           std::ranges::all_of(forward[id].args, [&](NodeId arg) { return available[arg]; });
  };
  for (NodeId id = 0; id < forward.size(); ++id) available[id] = available[id] || computable(id);

  for (NodeId id = forward.size() - 1; id >= 0; --id) {
    const Node& node = forward[id];
    if (again[id]) {
      for (NodeId arg : node.args) mentioned[arg] = mentioned[arg] || mentioned[id];
      mentioned[id] = false;
      continue;
    }
    // The operands of a slice or a concat are larger than it, or several.
    bool may_grow = !IsRecomputable(node.op) || node.op == Op::kSlice || node.op == Op::kConcat;
    if (!mentioned[id] || available[id] || may_grow) continue;
    std::vector<NodeId> others = node.args;
    std::erase_if(others, [&](NodeId arg) { return available[arg]; });
    if (std::ranges::adjacent_find(others, std::ranges::not_equal_to()) != others.end()) continue;
    mentioned[id] = false;
    mentioned[others[0]] = true;
  }

  std::vector<NodeId> tape;
  for (NodeId id = 0; id < forward.size(); ++id) {
    if (!available[id]) available[id] = computable(id);
    if (available[id]) continue;
    // A cheap value becomes available later at best: what it needs stands before it.
    if (mentioned[id]) {
      tape.push_back(id);
      available[id] = true;
    }
  }
  return tape;
}

}  // namespace recurve

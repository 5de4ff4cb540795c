// compiler/passes/prune.cpp: dead values, also those that only look alive because a scan carries them along.
//
// A carry is alive when its final value is wanted, or when a value that is alive needs it; carries that feed only
// themselves or each other fall out because the search starts from what is wanted. A carry that never changes becomes
// an invariant. Operands and stacked values that nothing needs, or that stand twice, are left out by ScanDraft::Build.

#include <vector>

#include "compiler/graph_util.h"
#include "compiler/passes.h"
#include "compiler/passes/scan_draft.h"

namespace recurve {

using ir::Graph;
using ir::Node;
using ir::NodeId;
using ir::Op;

namespace {

// The carries that the wanted results need, themselves among them.
std::vector<bool> LiveCarries(const ScanDraft& draft, const std::vector<bool>& wanted) {
  size_t count = draft.carries.size();
  std::vector<bool> live(wanted.begin(), wanted.begin() + static_cast<int>(count));
  for (bool grows = true; grows;) {
    std::vector<NodeId> roots;
    for (size_t i = 0; i < count; ++i) {
      if (live[i]) roots.push_back(draft.carries[i].next);
    }
    for (size_t i = 0; i < draft.stacked.size(); ++i) {
      if (wanted[count + i]) roots.push_back(draft.stacked[i].inner);
    }
    std::vector<bool> needed = NeededBy(*draft.body, roots);
    grows = false;
    for (size_t i = 0; i < count; ++i) {
      if (live[i] || !needed[draft.carries[i].input]) continue;
      live[i] = grows = true;
    }
  }
  return live;
}

std::vector<NodeId> PruneScan(Graph& to, const Node& scan, const std::vector<bool>& wanted) {
  ScanDraft draft(scan);
  const ScanDraft before = draft;
  std::vector<bool> live = LiveCarries(draft, wanted);
  draft.carries.clear();
  draft.stacked.clear();
  for (size_t i = 0; i < before.carries.size(); ++i) {
    const ScanDraft::Carry& carry = before.carries[i];
    if (live[i] && carry.next == carry.input) {
      draft.invariants.push_back({carry.init, carry.input});
    } else if (live[i]) {
      draft.carries.push_back(carry);
    }
  }
  for (size_t i = 0; i < before.stacked.size(); ++i) {
    if (wanted[before.carries.size() + i]) draft.stacked.push_back(before.stacked[i]);
  }

  std::vector<NodeId> built = draft.Build(to);
  auto next = built.begin();
  std::vector<NodeId> results;
  for (size_t i = 0; i < wanted.size(); ++i) {
    if (i < live.size() && before.carries[i].next == before.carries[i].input) {
      results.push_back(before.carries[i].init);
    } else {
      results.push_back((i < live.size() ? live[i] : wanted[i]) ? *next++ : kAbsent);
    }
  }
  return results;
}

// Nodes of a graph and of all bodies in it, and what they read and write.
int SizeWithBodies(const Graph& graph) {
  int size = graph.size();
  for (NodeId id = 0; id < graph.size(); ++id) {
    if (graph[id].op != Op::kScan) continue;
    const Graph& body = *graph[id].As<ir::ScanAttr>().body;
    size += SizeWithBodies(body) + static_cast<int>(body.outputs().size());
  }
  return size;
}

}  // namespace

Graph Prune(const Graph& graph) {
  // A result that an outer scan drops may have been the only reason for one of a scan in its body.
  Graph pruned = RewriteScans(graph, PruneScan);
  for (int size = SizeWithBodies(graph); SizeWithBodies(pruned) < size;) {
    size = SizeWithBodies(pruned);
    pruned = RewriteScans(pruned, PruneScan);
  }
  return pruned;
}

}  // namespace recurve

// compiler/passes/sink.cpp: after a scan, the products that its carry does not depend on.
//
// A readout P @ h_t, or the adjoint of an input, dz_t @ W, is read by no later step. Its operands are stacked instead
// and the product is taken once for all steps, with everything that is computed from it. A reduction that no later step
// reads sinks too when that stacks nothing more: what remains in the scan is then closer to its sequential core. Sums
// from which the same value is made, such as the two in the adjoint of a normalization, sink together.

#include <algorithm>

#include "compiler/graph_util.h"
#include "compiler/passes.h"
#include "compiler/passes/after_scan.h"

namespace recurve {

using ir::Graph;
using ir::Node;
using ir::NodeId;
using ir::Op;

namespace {

bool IsReduction(Op op) { return op == Op::kReduceSum || op == Op::kReduceMax; }

// The body nodes that are computed after the scan: contractions and reductions that no carry needs, and all that needs
// them. One stays if something that needs it has no lifted form or if its operands are not worth stacking.
std::vector<bool> SunkNodes(const ScanDraft& draft, const std::vector<NodeId>& stacked) {
  const Graph& body = *draft.body;
  std::vector<bool> needed = NeededBy(body, draft.CarryNexts());
  std::vector<bool> timed = draft.Timed();
  std::vector<bool> sunk(body.size());
  for (NodeId id = 0; id < body.size(); ++id) {
    if (body[id].op != Op::kContract && !IsReduction(body[id].op)) continue;
    if (needed[id] || !timed[id] || sunk[id]) continue;
    std::vector<NodeId> roots{id};
    std::vector<bool> moved;
    std::vector<NodeId> newly_stacked;
    bool is_liftable = true, is_complete = false;
    while (is_liftable && !is_complete) {
      moved = DependsOn(body, roots);
      for (NodeId user = 0; user < body.size(); ++user) {
        is_liftable = is_liftable && (!moved[user] || IsLiftable(body, user, timed));
      }
      if (!is_liftable) break;
      AfterScan trial(draft, moved, stacked);
      for (NodeId value : stacked) {
        if (moved[value]) trial.Lift(value);
      }
      newly_stacked = trial.newly_stacked();
      // Other reductions that the same values want go with this one.
      const std::vector<bool> wanted = NeededBy(body, newly_stacked);
      is_complete = true;
      for (NodeId other = 0; other < body.size(); ++other) {
        if (!wanted[other] || !IsReduction(body[other].op) || needed[other] || !timed[other] || moved[other]) continue;
        roots.push_back(other);
        is_complete = false;
      }
    }
    if (!is_liftable) continue;
    if (IsReduction(body[id].op) && !newly_stacked.empty()) continue;
    if (!IsWorthStacking(draft, newly_stacked, id)) continue;
    for (NodeId user = 0; user < body.size(); ++user) sunk[user] = sunk[user] || moved[user];
  }
  return sunk;
}

std::vector<NodeId> SinkFromScan(Graph& to, const Node& scan, const std::vector<bool>& wanted) {
  ScanDraft draft(scan);
  std::vector<NodeId> stacked;
  for (size_t i = 0; i < draft.stacked.size(); ++i) {
    if (wanted[draft.carries.size() + i]) stacked.push_back(draft.stacked[i].inner);
  }
  std::vector<bool> sunk = SunkNodes(draft, stacked);
  std::erase_if(stacked, [&](NodeId id) { return sunk[id]; });

  const ScanDraft before = draft;
  auto lift_sunk = [&](AfterScan& after) {
    std::vector<NodeId> roots;
    for (const auto& value : before.stacked) {
      if (sunk[value.inner]) roots.push_back(after.Lift(value.inner).id());
    }
    return roots;
  };
  AfterScan trial(before, sunk, stacked);
  lift_sunk(trial);
  std::vector<NodeId> added = WithoutRedundant(before, stacked, trial.newly_stacked());
  stacked.insert(stacked.end(), added.begin(), added.end());

  AfterScan after(before, sunk, stacked);
  std::vector<NodeId> roots = lift_sunk(after);
  std::erase_if(draft.stacked, [&](const auto& value) { return sunk[value.inner]; });
  for (NodeId inner : added) draft.stacked.push_back({inner, draft.NameOf(inner)});

  std::vector<NodeId> built = draft.Build(to);
  size_t carries = draft.carries.size();
  auto result = [&](NodeId inner) {
    auto found = std::ranges::find(draft.stacked, inner, &ScanDraft::Stacked::inner);
    return built[carries + (found - draft.stacked.begin())];
  };
  std::vector<NodeId> spliced = after.Splice(to, roots, result);
  std::vector<NodeId> results(built.begin(), built.begin() + static_cast<int>(carries));
  auto next_spliced = spliced.begin();
  for (const auto& value : before.stacked) {
    results.push_back(sunk[value.inner] ? *next_spliced++ : result(value.inner));
  }
  return results;
}

}  // namespace

Graph Sink(const Graph& graph) { return RewriteScans(graph, SinkFromScan); }

}  // namespace recurve

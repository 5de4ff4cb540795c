// compiler/passes/sink.cpp: after a scan, the products that its carry does not depend on.
//
// A readout P @ h_t, or the adjoint of an input, dz_t @ W, is read by no later step. Its operands are stacked instead
// and the product is taken once for all steps, with everything that is computed from it. A reduction that no later step
// reads sinks too when that stacks nothing more: what remains in the scan is then closer to its sequential core. Sums
// from which the same value is made, such as the two in the adjoint of a normalization, sink together.

#include <algorithm>
#include <optional>

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

// Body nodes that are computed after the scan, and what it stacks for them in addition.
struct Move {
  std::vector<bool> nodes;
  std::vector<NodeId> newly_stacked;
};

// All that needs one of `roots`; nothing if some of it has no lifted form.
std::optional<Move> MoveOf(const ScanDraft& draft, const std::vector<NodeId>& roots,
                           const std::vector<NodeId>& stacked) {
  const Graph& body = *draft.body;
  const std::vector<bool> timed = draft.Timed();
  Move move{.nodes = DependsOn(body, roots), .newly_stacked = {}};
  for (NodeId user = 0; user < body.size(); ++user) {
    if (move.nodes[user] && !IsLiftable(body, user, timed)) return std::nullopt;
  }
  AfterScan trial(draft, move.nodes, stacked);
  for (NodeId value : stacked) {
    if (move.nodes[value]) trial.Lift(value);
  }
  move.newly_stacked = trial.newly_stacked();
  return move;
}

// The body nodes that are computed after the scan: contractions and reductions that no carry needs, and all that needs
// them. One stays if something that needs it has no lifted form or if its operands are not worth stacking.
std::vector<bool> SunkNodes(const ScanDraft& draft, const std::vector<NodeId>& stacked) {
  const Graph& body = *draft.body;
  const std::vector<bool> needed = NeededBy(body, draft.CarryNexts()), timed = draft.Timed();
  std::vector<bool> sunk(body.size());
  auto may_sink = [&](NodeId id) { return !needed[id] && timed[id] && !sunk[id]; };
  for (NodeId id = 0; id < body.size(); ++id) {
    const bool is_reduction = IsReduction(body[id].op);
    if ((body[id].op != Op::kContract && !is_reduction) || !may_sink(id)) continue;
    std::optional<Move> move = MoveOf(draft, {id}, stacked);
    if (is_reduction && move && !move->newly_stacked.empty()) {
      // Once more, with the other reductions that the same values want.
      std::vector<NodeId> roots{id};
      const std::vector<bool> wanted = NeededBy(body, move->newly_stacked);
      for (NodeId other = 0; other < body.size(); ++other) {
        if (wanted[other] && IsReduction(body[other].op) && may_sink(other)) roots.push_back(other);
      }
      move = MoveOf(draft, roots, stacked);
    }
    if (!move || (is_reduction && !move->newly_stacked.empty())) continue;
    if (!IsWorthStacking(draft, move->newly_stacked, id)) continue;
    for (NodeId node = 0; node < body.size(); ++node) sunk[node] = sunk[node] || move->nodes[node];
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

// compiler/passes/scan_draft.h: a scan taken apart, so that a pass can say in what the next one differs.
//
// A draft points into the old body and never edits it: its operands say which body node each of them stands for (an
// input or, where a pass has moved a computation out of the loop, the node that computed the value), its results say
// which body node each of them is. `Build` makes the smallest body that fits: it copies what the results need, leaves
// out operands that nothing needs, passes an operand once that stands in two places and stacks a value once.
//
//   ScanDraft draft(scan);
//   draft.invariants.push_back({moved, inner});      // body node `inner` is computed outside, as node `moved`
//   std::vector<ir::NodeId> results = draft.Build(to);

#ifndef RECURVE_COMPILER_PASSES_SCAN_DRAFT_H_
#define RECURVE_COMPILER_PASSES_SCAN_DRAFT_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "ir/builder.h"
#include "ir/graph.h"

namespace recurve {

struct ScanDraft {
  struct Carry {
    ir::NodeId init;   // outside
    ir::NodeId input;  // in the old body, as is `next`
    ir::NodeId next;
    std::string name;  // of the body's output
  };
  struct Operand {
    ir::NodeId outer;
    ir::NodeId inner;
    // What `inner` is of the new body's input; the input itself when empty.
    std::function<ir::Expr(ir::Expr)> view = nullptr;
  };
  // A body node that has this value, in every element and at every step.
  struct Splat {
    ir::NodeId inner;
    double value;
  };
  struct Stacked {
    ir::NodeId inner;
    std::string name;
  };

  // `scan`: a scan whose operands are nodes of the graph that the new scan is built into.
  explicit ScanDraft(const ir::Node& scan);

  // Appends the scan and one `result` node for each carry, then for each of `stacked`. Appends nothing and returns
  // nothing when there are neither.
  std::vector<ir::NodeId> Build(ir::Graph& outer) const;

  std::vector<ir::NodeId> CarryInputs() const;
  std::vector<ir::NodeId> CarryNexts() const;
  // For each body node whether it may differ from step to step: whether it depends on a carry or an element.
  std::vector<bool> Timed() const;
  // What a body's input or output that is `inner` may be called.
  std::string NameOf(ir::NodeId inner) const;
  // The element or invariant that stands for a body node, or null.
  const Operand* FindElement(ir::NodeId inner) const;
  const Operand* FindInvariant(ir::NodeId inner) const;

  std::shared_ptr<const ir::Graph> body;
  ir::Dim time;
  bool reverse = false;
  std::vector<Carry> carries;
  std::vector<Operand> elements;
  std::vector<Operand> invariants;
  std::vector<Splat> splats;
  std::vector<Stacked> stacked;
};

// Rebuilds a graph without its dead nodes, innermost scans first. `rewrite` is given each scan with its operands in
// `to` and returns what stands for each of its results, in order; `wanted` tells which of them anyone reads.
using ScanRewrite = std::vector<ir::NodeId> (*)(ir::Graph& to, const ir::Node& scan, const std::vector<bool>& wanted);
ir::Graph RewriteScans(const ir::Graph& graph, const ScanRewrite& rewrite);

// A copy without the nodes that no output needs; inputs stay.
ir::Graph DropDeadNodes(const ir::Graph& graph);

}  // namespace recurve

#endif  // RECURVE_COMPILER_PASSES_SCAN_DRAFT_H_

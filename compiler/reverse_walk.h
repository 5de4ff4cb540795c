// compiler/reverse_walk.h: from the adjoints of a graph's outputs back to those of its inputs.
//
// The same walk serves a whole program and the body of a scan; they differ in how a forward value is mentioned (there
// it is a node of the same graph, here it becomes the tape) and in where the seeds come from. Scans are prepared on the
// way forward (Augment), where the tape is added to them, and called on the way back.

#ifndef RECURVE_COMPILER_REVERSE_WALK_H_
#define RECURVE_COMPILER_REVERSE_WALK_H_

#include <map>
#include <utility>
#include <vector>

#include "compiler/activity.h"
#include "compiler/derivative_rules.h"
#include "compiler/graph_util.h"
#include "ir/graph.h"

namespace recurve {

// A scan with the tape among its results, its adjoint, and how the adjoint is called. Numbers name operands and results
// of the scan; the adjoint takes and gives, in this order:
//   Carries    the adjoints of the final values of `carries`, then zeros for `sums`
//   Sequences  the adjoints of the results `stacked`, the results `tape`, the operands `elements_again`
//   Invariants the operands `invariants_again`
//   Results    the adjoints of the operands `carries`, `sums` and (stacked over time) `elements`
struct ScanDerivative {
  ir::ScanAttr forward;
  ir::ScanAttr adjoint;
  std::vector<int> carries;
  std::vector<int> sums;
  std::vector<int> stacked;
  std::vector<int> tape;
  std::vector<int> elements_again;
  std::vector<int> invariants_again;
  std::vector<int> elements;
};

// A copy of a graph in which every active scan has its tape.
struct Augmented {
  ir::Graph graph;
  NodeMap map;                                               // of the original's nodes
  std::map<ir::NodeId, ScanDerivative> scans;                // by the original's scan
  std::map<std::pair<ir::NodeId, int>, ir::NodeId> results;  // (the original's scan, index): a result in the copy
};

Augmented Augment(const ir::Graph& graph, const Activity& activity);

class ReverseWalk {
 public:
  // `primal` is differentiated, `augmented` is its augmented copy, and the adjoints are appended to `to`, in which
  // `forward` yields the values of the augmented copy.
  ReverseWalk(const ir::Graph& primal, const Activity& activity, const Augmented& augmented, ForwardValue forward,
              ir::Graph& to)
      : primal_(primal),
        activity_(activity),
        augmented_(augmented),
        forward_(std::move(forward)),
        to_(to),
        sums_(primal.size()),
        totals_(primal.size()) {}

  // Adds to the adjoint of a value before the walk. What does not vary takes no notice.
  void Seed(ir::NodeId id, ir::Expr adj);
  void Run();
  // After the walk: the adjoint of a value, empty where none arrived.
  ir::Expr Adjoint(ir::NodeId id) const { return totals_[id]; }

 private:
  void Contribute(ir::NodeId id, ir::Expr adj);
  void NameTotal(ir::NodeId id);
  void Propagate(ir::NodeId id);
  void PropagateScan(ir::NodeId id);
  ir::Expr ResultAdjoint(ir::NodeId scan, const ir::ScanAttr& forward, int index);

  const ir::Graph& primal_;
  const Activity& activity_;
  const Augmented& augmented_;
  ForwardValue forward_;  // by node of augmented_.graph
  ir::Graph& to_;
  std::vector<AdjointSum> sums_;
  std::vector<ir::Expr> totals_;
  std::map<std::pair<ir::NodeId, int>, AdjointSum> result_sums_;  // by scan and index
};

}  // namespace recurve

#endif  // RECURVE_COMPILER_REVERSE_WALK_H_

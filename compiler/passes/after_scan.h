// compiler/passes/after_scan.h: computing with the values of a scan's steps once the scan has run.
//
// Sink and DeferSums move a computation behind a scan: the values it reads are stacked by the scan and the operations
// on them are lifted over time. What already exists as a sequence is used first:
//
//   elements, stacked values         as they are
//   parts of a stacked concat        slices of it
//   invariants and what is of them   computed again, without a time axis
//   cheap elementwise operations,    computed again from such values, for that stores nothing
//   slices, transposes, broadcasts
//   anything else                    stacked
//
// The moved computation is built in a graph of its own, since the scan whose results it reads is built after it is
// known what it reads. `Splice` puts it behind the scan.

#ifndef RECURVE_COMPILER_PASSES_AFTER_SCAN_H_
#define RECURVE_COMPILER_PASSES_AFTER_SCAN_H_

#include <span>
#include <vector>

#include "compiler/graph_util.h"
#include "compiler/passes/lifter.h"
#include "compiler/passes/scan_draft.h"
#include "ir/builder.h"

namespace recurve {

class AfterScan {
 public:
  // `moved`: the nodes that are computed after the scan, whatever it costs; all of them have a lifted form. `stacked`:
  // the values that the scan stacks anyway. References to the draft are kept; its operands are read when splicing.
  AfterScan(const ScanDraft& draft, std::vector<bool> moved, std::span<const ir::NodeId> stacked);
  AfterScan(const AfterScan&) = delete;
  AfterScan& operator=(const AfterScan&) = delete;

  // The graph in which the computation grows, and a body node's value in it.
  ir::Graph& graph() { return graph_; }
  const ir::Graph& body() const { return *draft_.body; }
  const ir::Dim& time() const { return draft_.time; }
  bool timed(ir::NodeId inner) const { return timed_[inner]; }
  ir::Expr Lift(ir::NodeId inner) { return lifter_.Lift(inner); }
  ir::Expr Sequence(ir::NodeId inner) { return lifter_.Sequence(inner); }

  // Whether a body node's value can be had without stacking more.
  bool IsAvailable(ir::NodeId inner) const { return available_[inner]; }
  // Body nodes that the scan must stack in addition, in the order they were asked for.
  const std::vector<ir::NodeId>& newly_stacked() const { return newly_stacked_; }

  // Copies into `outer` what `roots` need and returns them there. `result(inner)` is the sequence of a stacked value.
  std::vector<ir::NodeId> Splice(ir::Graph& outer, std::span<const ir::NodeId> roots,
                                 const std::function<ir::NodeId(ir::NodeId)>& result) const;

 private:
  // Where a value stands in a stacked concat.
  struct Part {
    ir::NodeId concat = kAbsent;
    int axis = 0;
    int64_t start = 0;
  };

  ir::NodeId Leaf(ir::NodeId inner);
  ir::NodeId AddPlaceholder(ir::NodeId inner);
  void UpdateAvailable();

  const ScanDraft& draft_;
  std::vector<bool> timed_, moved_, is_stacked_, available_;
  std::vector<Part> part_of_;
  std::vector<ir::NodeId> newly_stacked_;
  ir::Graph graph_;
  Lifter lifter_;
  std::vector<ir::NodeId> inner_of_placeholder_;  // in the order of graph_.inputs()
};

// How many axes other than the batch a value has: a vector of units counts 1, a matrix-valued state 2.
int RankOfExample(const ir::Shape& shape);

// The rule for storage: a value is worth stacking when an example's part of it has no more axes than what the scan
// reads or writes at every step anyway, or than `result`, the value that is computed from it. A vector is stacked for
// the sake of a number; a matrix-valued state never for the sake of a vector.
bool IsWorthStacking(const ScanDraft& draft, std::span<const ir::NodeId> values, ir::NodeId result);

// `candidates` without those that can be had from `stacked` and the other candidates. What is asked for first may be
// cheap to compute from what is asked for later: a gate's adjoint, then the concat of all
// of them.
std::vector<ir::NodeId> WithoutRedundant(const ScanDraft& draft, std::span<const ir::NodeId> stacked,
                                         std::vector<ir::NodeId> candidates);

}  // namespace recurve

#endif  // RECURVE_COMPILER_PASSES_AFTER_SCAN_H_

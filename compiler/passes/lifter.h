// compiler/passes/lifter.h: the operations of one time step, for all steps at once.
//
// Lifting a body node over time is the same operation on operands with a leading time axis: axes move by one, a
// contraction gets a fresh label, an elementwise operation sees all steps. Operands that are the same at every step
// stay without the time axis where the operation allows it (a contraction with a weight), and are broadcast elsewhere.
//
//   bo = contract x[B, I], W[O, I] "bi,oi->bo"   becomes   tbo = contract xs[T, B, I], W[O, I] "tbi,oi->tbo"

#ifndef RECURVE_COMPILER_PASSES_LIFTER_H_
#define RECURVE_COMPILER_PASSES_LIFTER_H_

#include <functional>
#include <vector>

#include "compiler/graph_util.h"
#include "ir/graph.h"

namespace recurve {

// Whether the operation of a body node has a lifted form; `timed` as ScanDraft::Timed. Nested scans, tables that
// change with time and scatters (which would add over time, see defer_sums.cpp) have none.
bool IsLiftable(const ir::Graph& body, ir::NodeId id, const std::vector<bool>& timed);

class Lifter {
 public:
  // `leaf(inner)` is the value in `target` of a body node that is not computed from its operands ([T, ...] when it is
  // timed), or kAbsent for one that is. It must answer for every input that is reached. References are kept.
  Lifter(ir::Graph& target, const ir::Graph& body, ir::Dim time, std::vector<bool> timed,
         std::function<ir::NodeId(ir::NodeId)> leaf);

  // The value of a body node: [T, ...] when it is timed, else the same for every step.
  ir::Expr Lift(ir::NodeId inner);
  // The value of a body node with a time axis in any case.
  ir::Expr Sequence(ir::NodeId inner);

 private:
  ir::Expr LiftOperation(const ir::Node& node);

  ir::Graph& target_;
  const ir::Graph& body_;
  ir::Dim time_;
  std::vector<bool> timed_;
  std::function<ir::NodeId(ir::NodeId)> leaf_;
  NodeMap lifted_;
};

// A letter that none of the labels uses.
char FreshLabel(const ir::ContractAttr& labels);

}  // namespace recurve

#endif  // RECURVE_COMPILER_PASSES_LIFTER_H_

// compiler/derivative_rules.h: the derivative of single operations: the gradient columns of ir/ops.def and their
// structural counterparts.
//
// A rule says what an operand's adjoint receives, given the adjoint `g` of the result. It speaks of operands and result
// through existing nodes and computes none of them again. Slices are the exception: what a slice gives back is a part
// of its operand's adjoint, and the parts of one value are joined at the end (AdjointSum).

#ifndef RECURVE_COMPILER_DERIVATIVE_RULES_H_
#define RECURVE_COMPILER_DERIVATIVE_RULES_H_

#include <functional>
#include <vector>

#include "ir/builder.h"
#include "ir/graph.h"

namespace recurve {

// Whether a gradient flows from the result of `op` to operand number `operand`: its column is not kNone. A scan and its
// results are not asked about here, theirs is a question about the body.
bool GradientFlows(ir::Op op, int operand);

// A forward value, by its node in the differentiated graph, as a node of the graph under construction.
using ForwardValue = std::function<ir::Expr(ir::NodeId)>;

// What operand number `operand` of node `id` receives for the adjoint `g` of the node: a value of the operand's shape.
// Wants GradientFlows and any operation but input, scan, result and slice.
ir::Expr OperandGradient(const ir::Graph& graph, ir::NodeId id, int operand, ir::Expr g, const ForwardValue& forward);

// The adjoint of one value while its contributions arrive. They are joined when the total is asked for: a single
// contribution is the total itself, slices of one axis become one concat with zeros in the gaps.
class AdjointSum {
 public:
  bool empty() const { return whole_.empty() && parts_.empty(); }

  void Add(ir::Expr contribution) { whole_.push_back(contribution); }
  // A contribution to elements [start, start + its extent) of `axis` alone.
  void AddSlice(int axis, int64_t start, ir::Expr contribution);

  // The sum, of shape `shape`, in order of arrival; an empty Expr when nothing arrived.
  ir::Expr Total(const ir::Shape& shape) const;

 private:
  struct Part {
    int axis;
    int64_t start;
    ir::Expr value;

    int64_t size() const { return value.shape()[axis].extent; }
    int64_t end() const { return start + size(); }
  };

  static ir::Expr Join(std::vector<Part> parts, const ir::Shape& shape);

  std::vector<ir::Expr> whole_;
  std::vector<Part> parts_;
};

}  // namespace recurve

#endif  // RECURVE_COMPILER_DERIVATIVE_RULES_H_

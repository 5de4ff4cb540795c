// compiler/derivative.h: the derivative of a graph, as a graph.
//
// Reverse mode. `Vjp` extends a graph by the adjoint of each of its values, from the outputs back to the inputs; the
// gradient columns of ir/ops.def give the elementwise rules. The adjoint of a scan is a scan over reversed time whose
// body is the adjoint of the body: given dL/d(next carry) and dL/d(stacked values) it yields dL/d(carry) and
// dL/d(element), and adds to dL/d(invariants). The forward values that the adjoint body mentions are the tape: cheap
// elementwise ones are recomputed from their operands when that stores nothing more, all others become stacked results
// of the forward scan. Since the result is a graph of the same operations, `Vjp` composes with itself.
// Source: Werbos 1990, Backpropagation through time, Proc. IEEE 78(10); Griewank & Walther 2008, chapter 3.

#ifndef RECURVE_COMPILER_DERIVATIVE_H_
#define RECURVE_COMPILER_DERIVATIVE_H_

#include <span>
#include <string>
#include <vector>

#include "ir/graph.h"

namespace recurve {

// The vector-Jacobian product of a graph.
//   Inputs    those of `graph`, then for each real output `y` an input `y_adj` (kAdjoint) of its shape
//   Outputs   those of `graph`, then for each name in `wrt` an output `name_adj` of the input's shape: the sum over
//             outputs of y_adj times dy/dinput; zero where no gradient flows
// `wrt` names real inputs of the graph. A name that is taken, as in the derivative of a derivative, gets a number:
// `W_adj2`. Values that have a label give their adjoints one: `f_adj` for `f`.
ir::Graph Vjp(const ir::Graph& graph, std::span<const std::string> wrt);

// Names of the inputs in `wrt` that no gradient can reach from any output (only through kNone columns, or not at all).
std::vector<std::string> Unreachable(const ir::Graph& graph, std::span<const std::string> wrt);

// The scalar output `loss` and its gradients alone: Vjp with the constant 1 for `loss_adj` and no other output.
//   Inputs    those of `graph`
//   Outputs   `loss`, then `name_adj` for each name in `wrt`
ir::Graph Gradient(const ir::Graph& graph, const std::string& loss, std::span<const std::string> wrt);

}  // namespace recurve

#endif  // RECURVE_COMPILER_DERIVATIVE_H_

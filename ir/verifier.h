// ir/verifier.h: what holds for every graph between passes.

#ifndef RECURVE_IR_VERIFIER_H_
#define RECURVE_IR_VERIFIER_H_

#include <string>

#include "ir/graph.h"

namespace recurve::ir {

// Empty when the graph is well formed (operands precede users, types are what InferType says, attributes belong to
// their operation, names of inputs and of outputs are distinct, scan bodies are well formed and use the roles kCarry,
// kElement and kInvariant in this order); otherwise a sentence that names the node at fault.
std::string Verify(const Graph& graph);

}  // namespace recurve::ir

#endif  // RECURVE_IR_VERIFIER_H_

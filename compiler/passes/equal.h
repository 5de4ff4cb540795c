// compiler/passes/equal.h: when two nodes, or two graphs, are the same computation.

#ifndef RECURVE_COMPILER_PASSES_EQUAL_H_
#define RECURVE_COMPILER_PASSES_EQUAL_H_

#include "ir/graph.h"

namespace recurve {

// The same contraction with its labels named a, b, ... in order of appearance.
ir::ContractAttr CanonicalLabels(const ir::ContractAttr& labels);

// Nodes of one graph. Contractions are compared with their labels renamed, scans with their bodies; labels for people
// do not count. Two inputs are never equal.
bool AreEqual(const ir::Node& a, const ir::Node& b);

// Node for node, in the same order; the names of inputs and outputs do not count.
bool AreEqual(const ir::Graph& a, const ir::Graph& b);

}  // namespace recurve

#endif  // RECURVE_COMPILER_PASSES_EQUAL_H_

// compiler/passes.h: graph to graph, meaning preserved.
//
// A pass is a value: its name, what it is for, and a function. The one array `kPasses` drives the order, --dump-after,
// timing and, in tests, verification after every pass.

#ifndef RECURVE_COMPILER_PASSES_H_
#define RECURVE_COMPILER_PASSES_H_

#include <functional>
#include <span>
#include <string_view>

#include "ir/graph.h"

namespace recurve {

struct Pass {
  std::string_view name;
  std::string_view purpose;
  ir::Graph (*run)(const ir::Graph&);
};

// Folds constants, drops neutral operations, moves transposes into contractions, joins slices and concats. Also in
// scan bodies, as every pass.
ir::Graph Simplify(const ir::Graph& graph);
// Computes equal values once.
ir::Graph Share(const ir::Graph& graph);
// Drops nodes, carries, elements, invariants and stacked results that no output needs. Inputs of the graph stay.
ir::Graph Prune(const ir::Graph& graph);
// Drops terms of sums that add up to zero but for rounding: deviations from their mean, also those of another scan.
ir::Graph DropZeroSums(const ir::Graph& graph);
// Computes before a scan what does not depend on its carry and is worth it: contractions (one product over time
// instead of one a step) with the elementwise operations between and after them, and all that depends on invariants
// alone.
ir::Graph Hoist(const ir::Graph& graph);
// Computes after a scan the contractions, and what needs them, that its carry does not depend on.
ir::Graph Sink(const ir::Graph& graph);
// Turns a carry that is only ever added to into stacked terms and a sum over time after the scan; a sum of
// contractions becomes one contraction over time and batch.
ir::Graph DeferSums(const ir::Graph& graph);
// Adds before contracting: a sum of contractions that share an operand is one contraction of a sum.
ir::Graph MergeContractions(const ir::Graph& graph);

std::span<const Pass> Passes();

// Runs all passes in order. `after`, when set, sees the graph after each.
ir::Graph RunPasses(ir::Graph graph, const std::function<void(const Pass&, const ir::Graph&)>& after = nullptr);

}  // namespace recurve

#endif  // RECURVE_COMPILER_PASSES_H_

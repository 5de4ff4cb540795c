// compiler/passes/passes.cpp: the passes in their order, and why it is this one.
//
// Sums are deferred before products sink: a deferred weight gradient stacks the adjoint that the adjoint of the input,
// dz W, then finds stacked. The last three clean up what the moves leave behind.

#include <utility>

#include "compiler/passes.h"

namespace recurve {
namespace {

constexpr Pass kPasses[] = {
    {"simplify", "fold constants, drop neutral operations, move transposes into contractions", Simplify},
    {"share", "compute equal values once", Share},
    {"prune", "drop what no output needs, also inside scans", Prune},
    {"drop_zero_sums", "leave out of a sum what adds up to zero, such as deviations from their mean", DropZeroSums},
    {"hoist", "compute before a scan what does not depend on its carry", Hoist},
    {"defer_sums", "sum over time after a scan instead of in a carry", DeferSums},
    {"sink", "compute after a scan the products that its carry does not depend on", Sink},
    {"merge_contractions", "one product instead of a sum of products that share an operand", MergeContractions},
    {"simplify_moved", "simplify once more, after the moves", Simplify},
    {"share_moved", "share once more, after the moves", Share},
    {"prune_moved", "prune once more, after the moves", Prune},
};

}  // namespace

std::span<const Pass> Passes() { return kPasses; }

ir::Graph RunPasses(ir::Graph graph, const std::function<void(const Pass&, const ir::Graph&)>& after) {
  for (const Pass& pass : kPasses) {
    graph = pass.run(graph);
    if (after) after(pass, graph);
  }
  return graph;
}

}  // namespace recurve

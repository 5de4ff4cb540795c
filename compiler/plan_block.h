// compiler/plan_block.h: one graph (an entry's, or a scan's body) into kernels and statements.
//
// Every value has a form (how it comes about) and a phase (when it is there at the earliest, plan_schedule.h). A value
// that somebody needs in memory (the activations of a product, an operand of a scan, an output) is a root: it is stored
// by the kernel of its phase and space, where a space is the rows and units that a kernel walks. Everything else is
// computed inside the kernels that want it. A kernel's lane program is found by demand: from what it stores back to
// loads, constants and sums of products, with slices and concatenations along the units resolved to an offset on the
// way. When the demand meets a value that can't be computed there (a sum of another phase, a concatenation that it
// straddles), that value becomes a root and the planning of this graph starts again; each round adds a root, so it
// ends.

#ifndef RECURVE_COMPILER_PLAN_BLOCK_H_
#define RECURVE_COMPILER_PLAN_BLOCK_H_

#include <string>
#include <vector>

#include "compiler/plan.h"

namespace recurve {

// The entry under construction; blocks add to it.
struct EntryContext {
  Plan* plan = nullptr;
  EntryPlan* entry = nullptr;
  bool packs = false;     // whether weights may be packed ahead (not in `pack` itself)
  int loops = 0;          // time loops so far
  int panel_buffer = -1;  // shared by the kernels that pack as they run

  int AddBuffer(Buffer buffer);
  // Workspace for a value, with room for `guard` elements before and after it.
  View AddWorkspace(const std::string& name, const ir::Shape& shape, Size guard = {0, {}});
};

// Plans `graph`: input i is read through inputs[i]; output i is stored through each view in destinations[i].
std::vector<Statement> PlanBlock(EntryContext& context, const ir::Graph& graph, const std::vector<View>& inputs,
                                 const std::vector<std::vector<View>>& destinations);

}  // namespace recurve

#endif  // RECURVE_COMPILER_PLAN_BLOCK_H_

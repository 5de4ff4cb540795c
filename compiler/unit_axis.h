// compiler/unit_axis.h: one step of a sequence is a value.
//
// What a program computes for all steps at once before a scan is, in a program of one step, a sequence one step long
// whose only element the step reads. Computed as a value it can share a kernel with what reads it.

#ifndef RECURVE_COMPILER_UNIT_AXIS_H_
#define RECURVE_COMPILER_UNIT_AXIS_H_

#include "ir/graph.h"

namespace recurve {

// The same program without an axis of size 1 in values that are only read without it (by a reshape that drops it): from
// that reshape back to inputs, through elementwise operations, products, broadcasts and gathers. Nothing is computed
// twice, and nothing that others read keeps a second form. What nobody reads any more is left for the passes to drop.
ir::Graph DropUnitAxes(const ir::Graph& graph);

}  // namespace recurve

#endif  // RECURVE_COMPILER_UNIT_AXIS_H_

// compiler/plan_collapse.h: axes that every view of a kernel walks as one become one.
//
// [T, B, units] with dense operands is a kernel over T * B rows: longer loops, and products with more rows to tile.

#ifndef RECURVE_COMPILER_PLAN_COLLAPSE_H_
#define RECURVE_COMPILER_PLAN_COLLAPSE_H_

#include "compiler/plan.h"

namespace recurve {

// Merges adjacent row axes, and adjacent reduced axes, where the strides of every view allow it. Afterwards a kernel
// has at least one row axis, and a product at least one reduced axis.
void CollapseAxes(Kernel& kernel);

}  // namespace recurve

#endif  // RECURVE_COMPILER_PLAN_COLLAPSE_H_

// compiler/plan_rows.h: kernels that go from row to row together.
//
// A normalisation over the units of a row is a sum, a few numbers, another sum and a map: phases that each walk all
// rows and wait for the one before. But nothing leaves its row. Such kernels run one after the other on a few rows at a
// time, which stay in the first-level cache, and threads share the rows without a barrier in between.

#ifndef RECURVE_COMPILER_PLAN_ROWS_H_
#define RECURVE_COMPILER_PLAN_ROWS_H_

#include <vector>

#include "compiler/plan.h"

namespace recurve {

// Replaces runs of such kernels by row loops, in these statements and in the loops among them.
std::vector<Statement> GroupByRows(EntryPlan& entry, std::vector<Statement> statements, Precision precision);

}  // namespace recurve

#endif  // RECURVE_COMPILER_PLAN_ROWS_H_

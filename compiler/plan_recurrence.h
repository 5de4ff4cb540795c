// compiler/plan_recurrence.h: scans whose states stay in registers.
//
// When no step of a scan multiplies by a weight and nothing crosses from one unit or row to another (IndRNN, SRU,
// minGRU, QRNN, diagonal gates, and the adjoints of all of them), the whole step is one Map kernel and every vector of
// units is a recurrence of its own. Time can then go inside: one kernel call runs all steps of a vector with its states
// in registers, and touches no memory but what it reads and leaves. There is no barrier between steps.
//
// That pays while the rows of a step lie close together. With a large batch each step of a vector would be on another
// page, and states in the first-level cache cost next to nothing: there the steps stay outside.

#ifndef RECURVE_COMPILER_PLAN_RECURRENCE_H_
#define RECURVE_COMPILER_PLAN_RECURRENCE_H_

#include <vector>

#include "compiler/plan.h"

namespace recurve {

// Adds a Recurrence that `loop` may run instead, if its body is one kernel that can be one. `slots`: the buffers of the
// carries.
void AddRecurrence(const Plan& plan, EntryPlan& entry, TimeLoop& loop, const std::vector<int>& slots);

}  // namespace recurve

#endif  // RECURVE_COMPILER_PLAN_RECURRENCE_H_

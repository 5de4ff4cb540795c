// compiler/plan_recurrence.h: scans whose states stay in registers.
//
// When no step of a scan multiplies by a weight and nothing crosses from one unit or row to another (IndRNN, SRU,
// minGRU, QRNN, diagonal gates, and the adjoints of all of them), the whole step is one Map kernel and every vector of
// units is a recurrence of its own. Time can then go inside: one kernel call runs all steps of a vector with its states
// in registers, and touches no memory but what it reads and leaves. There is no barrier between steps.
//
// A step waits for the one before it. So many vectors run side by side as fill that time with work: of one row where it
// has enough of them, else of several rows. Units that fill no vector share one with those of other rows.
//
// With a single narrow row there is nothing to run side by side but time itself. Where every next state is linear,
// h' = a * h + b, several steps are taken at a time (Recurrence::LookAhead): from P = a2 * a1 and Q = a2 * b1 + b2,
// which do not wait for h, h'' = P * h + Q. That costs a few operations more, so that it is done only where waiting
// costs more than they do. It rounds differently, by as much as a sum in another order does; and since P may be
// infinite, or 0 * h not a number, states that are not finite may spread where they otherwise would have been cut off.
// The adjoint of such a scan is such a scan.
//
// Registers pay while the rows of a step lie close together. With a large batch each step of a vector would be on
// another page, and states in the first-level cache cost next to nothing: there the steps stay outside.

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

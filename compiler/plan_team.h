// compiler/plan_team.h: how a team of threads shares an entry.
//
// Members share an entry by rows, if its batch is large enough: each takes its rows of the batch through all kernels
// and all steps, and meets the others only outside of time loops. Otherwise they share each kernel by blocks of units
// or by rows, and meet after every phase of every step, unless that costs more than it gains: then the first member
// runs the loop, or the whole entry, alone. Sizes are known when the entry is called, so that the plan states rules
// (EntryTeam, LoopTeam) that the code evaluates.
//
// Rows can be split where every kernel of every loop walks the batch on one axis of its rows and sums over it nowhere:
// then no row reads what another row wrote. A split by rows reads all weights in every member, one by units a part of
// them each; so it wants weights that stay in the second-level cache, or enough rows to use each one read. A split by
// units sends the new state of every step from core to core.

#ifndef RECURVE_COMPILER_PLAN_TEAM_H_
#define RECURVE_COMPILER_PLAN_TEAM_H_

#include "compiler/plan.h"

namespace recurve {

// Adds the rules of every entry and outermost time loop, and marks the batch axis of kernels.
void PlanTeam(Plan& plan);

// The time loops around which there is no other.
std::vector<const TimeLoop*> OutermostLoops(const std::vector<Statement>& statements);

// What PrintPlan says about it.
std::string TextOf(const EntryTeam& team);
std::string TextOf(const LoopTeam& team);

}  // namespace recurve

#endif  // RECURVE_COMPILER_PLAN_TEAM_H_

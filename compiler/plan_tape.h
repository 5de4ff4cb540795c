// compiler/plan_tape.h: what forward writes to the tape and does not read again.
//
// A tape larger than the near caches is gone from them before backward wants it. A line that is stored as usual is
// first read from memory and displaces another; one stored around the caches does neither. How large a tape is depends
// on batch and time, so that the call decides.

#ifndef RECURVE_COMPILER_PLAN_TAPE_H_
#define RECURVE_COMPILER_PLAN_TAPE_H_

#include "compiler/plan.h"

namespace recurve {

// A tape of more bytes is far; 0 where caches are unknown, and nothing is far.
int64_t FarTapeBytes(const Plan& plan);
// Marks the stores of `forward` that fill whole aligned vectors of a region that it never reads.
void MarkFarStores(const Plan& plan, EntryPlan& entry);
bool HasFarStores(const EntryPlan& entry);

}  // namespace recurve

#endif  // RECURVE_COMPILER_PLAN_TAPE_H_

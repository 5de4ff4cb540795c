// compiler/cost.h: how much a planned kernel computes and how long that takes about, as formulas of the axes' sizes.
//
// The plan decides by these formulas how a team shares an entry, the command line divides them by measured time, and
// remarks name the largest. FLOPs are exact by a convention: a multiply-add counts two, an elementwise operation one,
// padding nothing. Cycles are an estimate for one core with two vector units and warm second-level cache: good enough
// to tell a microsecond from ten, and the same number on every machine.

#ifndef RECURVE_COMPILER_COST_H_
#define RECURVE_COMPILER_COST_H_

#include <functional>
#include <vector>

#include "compiler/plan.h"

namespace recurve {

// Of one call, whatever loops stand around it; a kernel of a chunk loop counts all of its chunks.
Amount FlopsOf(const Plan& plan, const Kernel& kernel);
Amount CyclesOf(const Plan& plan, const Kernel& kernel);
// Vectors that members of a team who share the kernel by units may send each other in one call: of a buffer of which a
// product or a sum reads more units than it computes, and of one that is written.
struct SharedVectors {
  int buffer = 0;
  bool is_written = false;
  Amount vectors;
};
std::vector<SharedVectors> SharedVectorsOf(const Plan& plan, const Kernel& kernel);
// Bytes of packed weights that one call reads.
int64_t WeightBytes(const Plan& plan, const Kernel& kernel);

// How often the loop's body runs, at least: the first step of each segment counts once.
Size StepsOf(const TimeLoop& loop);

// Kernel calls of the statements, each with the number of times that the loops among them run it.
using CallVisitor = std::function<void(const Kernel& kernel, const Size& times)>;
void ForEachCall(const EntryPlan& entry, const std::vector<Statement>& statements, const CallVisitor& visit);

// Of all calls among the statements, loops multiplied out.
Amount FlopsOf(const Plan& plan, const EntryPlan& entry, const std::vector<Statement>& statements);
Amount CyclesOf(const Plan& plan, const EntryPlan& entry, const std::vector<Statement>& statements);

}  // namespace recurve

#endif  // RECURVE_COMPILER_COST_H_

// compiler/plan_sums.h: sums over rows: how they are blocked, and which share a kernel.
//
// Gradients of gains and biases are sums over all rows of a chunk, of values that are made of the same ones; the
// adjoint of a normalization wants several sums over the units of a row. One kernel reads the values once for all of
// its sums; each sum has the bits it would have alone.

#ifndef RECURVE_COMPILER_PLAN_SUMS_H_
#define RECURVE_COMPILER_PLAN_SUMS_H_

#include "compiler/plan.h"

namespace recurve {

// Of a Reduce whose units are results: how many vectors of them side by side, and how many terms before the next ones.
void BlockSums(const Plan& plan, Kernel& kernel);

// Lets `kernel` compute the sums of `other` too, if both walk the same terms, of the same units or over them, and read
// something in common; whether it does. They must be called at the same place.
bool JoinSums(const Plan& plan, const Kernel& other, Kernel& kernel);

}  // namespace recurve

#endif  // RECURVE_COMPILER_PLAN_SUMS_H_

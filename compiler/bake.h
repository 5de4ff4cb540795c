// compiler/bake.h: a plan whose weights are known: they become read-only data of the program.
//
// For firmware and plug-ins, which ship one trained model: its parameters are no arguments any more, `pack` is gone,
// and what it would have written stands in the object, in flash on a microcontroller. The bytes are those that `pack`
// writes: the packing of the target's plan is compiled for and run on this machine, since what panels look like is a
// matter of the plan and not of the machine that fills them (both must be little-endian).

#ifndef RECURVE_COMPILER_BAKE_H_
#define RECURVE_COMPILER_BAKE_H_

#include <expected>

#include "compiler/plan.h"
#include "runtime/parameters.h"

namespace recurve {

// The part of the plan that packs weights, as a plan of its own.
Plan PackingOf(const Plan& plan);

// The plan with the values of `parameters`, which hold a program of PackingOf(plan), as constants.
std::expected<Plan, Error> WithWeights(Plan plan, Parameters& parameters);

}  // namespace recurve

#endif  // RECURVE_COMPILER_BAKE_H_

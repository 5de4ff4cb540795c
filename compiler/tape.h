// compiler/tape.h: which forward values are stored for the backward part, and which are computed again.
//
// The rule, for the values that the backward part mentions:
//   1. What the backward part is given anyway (elements, invariants, program inputs) and leaves are free.
//   2. A value made by data movement or cheap arithmetic from free values and just one other, none of them larger than
//      itself, stands for that other one: of a broadcast the operand is mentioned, of `1 - z` it is `z`.
//   3. Contractions, reductions, costly elementwise values, results of scans and carries are stored.
//   4. Cheap elementwise values, random numbers and data movement are computed again when all their operands are free,
//      stored or computed again themselves; otherwise they are stored.
// So computing again never stores more, and never repeats what is expensive, but for values that the caller wants to be
// computed again at any price, to save their memory: of those the operands are mentioned instead.

#ifndef RECURVE_COMPILER_TAPE_H_
#define RECURVE_COMPILER_TAPE_H_

#include <vector>

#include "ir/graph.h"

namespace recurve {

// The values of `forward` to store, in order. All vectors are by node; `again` marks what shall not be stored. Every
// mentioned value can be computed from the tape, free values and leaves by cheap operations, data movement and what
// `again` marks.
std::vector<ir::NodeId> ChooseTape(const ir::Graph& forward, std::vector<bool> mentioned, const std::vector<bool>& free,
                                   const std::vector<bool>& again);

}  // namespace recurve

#endif  // RECURVE_COMPILER_TAPE_H_

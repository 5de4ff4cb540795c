// compiler/batch_first.h: a program whose sequences are laid out batch by batch.
//
// Everything inside is time-first ([T, B, ...]): a step of all rows is one contiguous block, which is what a product
// wants. Callers whose data is [B, T, ...], as files and other frameworks often have it, may say so; rows are then
// moved at the boundary, once each way.

#ifndef RECURVE_COMPILER_BATCH_FIRST_H_
#define RECURVE_COMPILER_BATCH_FIRST_H_

#include "ir/graph.h"

namespace recurve {

// The program with every input and output [time, B, ...] as [B, time, ...]; so are then their adjoints, and steps,
// whose time is one, are as they were.
ir::Graph BatchFirst(const ir::Graph& graph);

}  // namespace recurve

#endif  // RECURVE_COMPILER_BATCH_FIRST_H_

// compiler/split.h: one graph into the programs that a caller runs at different times.
//
// The graph that Vjp makes computes outputs and gradients together. A caller runs the forward part first and the
// backward part later; what the second needs of the first is the tape. Values that depend on parameters alone are
// computed once a change of parameters, by `pack`.

#ifndef RECURVE_COMPILER_SPLIT_H_
#define RECURVE_COMPILER_SPLIT_H_

#include <span>

#include "ir/graph.h"

namespace recurve {

struct SplitPrograms {
  // Inputs: those without role kAdjoint. Outputs: the primal outputs, then the tape as outputs `tape0`, `tape1`, ...
  ir::Graph forward;
  // Inputs: those of the joint graph that it uses (parameters, data) and every adjoint, then `tape0`, `tape1`, ...
  // (kTape). Outputs: the gradients.
  ir::Graph backward;
};

// `primal_outputs`: how many leading outputs of `joint` belong to the forward program. Cheap elementwise values and
// pure data movement are recomputed in the backward program when their operands are there anyway.
SplitPrograms SplitForwardBackward(const ir::Graph& joint, int primal_outputs);

// Moves what depends on parameters (kParameter, kConstant) alone out of `programs` into one graph that `pack` runs:
// each such value that a program still needs becomes its input `packed0`, `packed1`, ... (kPacked) and an output of the
// same name of the returned graph. Only values that cost arithmetic move; constants, slices, transposes, broadcasts and
// the parameters themselves stay where they are used. Names count on across `programs`.
ir::Graph ExtractPacked(std::span<ir::Graph> programs);

}  // namespace recurve

#endif  // RECURVE_COMPILER_SPLIT_H_

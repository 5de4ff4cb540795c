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

// What of the forward values the backward program gets, besides what it is given anyway.
enum class TapePolicy : uint8_t {
  // What is expensive; cheap elementwise values and pure data movement are computed again (tape.h).
  kStore,
  // Nothing that has a time axis: the backward program computes it again, scans too. Those get numbers in both programs
  // (ScanAttr::checkpoint), so that a plan can begin them in mid-sequence (Griewank & Walther 2000, "Algorithm 799:
  // revolve", of which this is the case of one level and equal segments; Chen et al. 2016, "Training deep nets with
  // sublinear memory cost").
  kRecompute,
  // Likewise, but results of scans that forward itself uses are stored: no scan waits for another to be computed again.
  kRecomputeApart,
};

// `primal_outputs`: how many leading outputs of `joint` belong to the forward program.
SplitPrograms SplitForwardBackward(const ir::Graph& joint, int primal_outputs, TapePolicy policy = TapePolicy::kStore);

// Moves what depends on parameters (kParameter, kConstant) alone out of `programs` into one graph that `pack` runs:
// each such value that a program still needs becomes its input `packed0`, `packed1`, ... (kPacked) and an output of the
// same name of the returned graph. Only values that cost arithmetic move; constants, slices, transposes, broadcasts and
// the parameters themselves stay where they are used. Names count on across `programs`.
ir::Graph ExtractPacked(std::span<ir::Graph> programs);

}  // namespace recurve

#endif  // RECURVE_COMPILER_SPLIT_H_

// compiler/streaming.h: a program over sequences as one that takes a step at a time.
//
// A program of two time axes, one of which goes by steps, first reads the other whole: `encode` computes all that the
// steps want of it, the states that they begin with and what they look at.
//
// The number of a step is a state too, `steps`, a number that all rows share, if the program asks for it.
//
// A state that a cell gives a beginning of its own is no argument of a program over whole sequences. A program for one
// step must be told it in every step, and somebody must know where it begins: that is `reset`, a program of its own.

#ifndef RECURVE_COMPILER_STREAMING_H_
#define RECURVE_COMPILER_STREAMING_H_

#include "ir/graph.h"

namespace recurve {

struct StreamingPrograms {
  ir::Graph step;   // one step along `time`: a state NAME comes in as NAME0 and leaves as NAMET
  ir::Graph reset;  // outputs NAME, for each state, at the beginning of a sequence; empty if all are zero there
  // Of two axes: from all inputs without `time` to the first states, outputs NAME, and what `step` has as inputs.
  ir::Graph encode;
};

// Nothing if no axis can go by steps: there is none, or of two neither one's scan begins with or looks at what the
// other one has come to, or both do. A beginning that depends on anything but parameters (another scan's last state) is
// left in the step of a program of one axis.
StreamingPrograms StreamingOf(const ir::Graph& inference);

}  // namespace recurve

#endif  // RECURVE_COMPILER_STREAMING_H_

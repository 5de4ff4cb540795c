// compiler/streaming.h: a program over sequences as one that takes a step at a time.
//
// A state that a cell gives a beginning of its own is no argument of a program over whole sequences. A program for one
// step must be told it in every step, and somebody must know where it begins: that is `reset`, a program of its own.

#ifndef RECURVE_COMPILER_STREAMING_H_
#define RECURVE_COMPILER_STREAMING_H_

#include <string_view>

#include "ir/graph.h"

namespace recurve {

struct StreamingPrograms {
  ir::Graph step;   // one step along `time`: a state NAME comes in as NAME0 and leaves as NAMET
  ir::Graph reset;  // outputs NAME, for each state, at the beginning of a sequence; empty if all are zero there
};

// A beginning that depends on anything but parameters (another scan's last state) is left in the step.
StreamingPrograms StreamingOf(const ir::Graph& inference, std::string_view time);

}  // namespace recurve

#endif  // RECURVE_COMPILER_STREAMING_H_

// compiler/state_delay.h: a program whose states come from longer ago than one step.
//
// A recurrent model of a signal knows its sample rate only by its states: each was computed one sample before. Where
// the model runs at a higher rate than it was trained for, they must come from as many samples ago as the rates are
// apart, and linear interpolation gives a state between two samples. Parameters stay what they are. Source: Carson,
// Wright, Chowdhury, Valimaki & Bilbao 2024, Sample rate independent recurrent neural networks for audio effects
// processing, DAFx24.

#ifndef RECURVE_COMPILER_STATE_DELAY_H_
#define RECURVE_COMPILER_STATE_DELAY_H_

#include <expected>

#include "ir/graph.h"
#include "runtime/error.h"

namespace recurve {

// The longest, in steps.
inline constexpr double kMostDelay = 64;

// Every state of every scan is read `steps` steps after it was computed, which is 1 in a graph as it was built; between
// two whole numbers of steps it is a mixture of two values. The older values of a state `h` are states `ago2_h`,
// `ago3_h`, ..., with the beginning of `h` where that is its own, else inputs `ago2_h0`, ... beside `h0`. Fails for
// less than 1 or more than kMostDelay steps, and where a step keeps or drops a state instead of computing it (sequences
// with lengths, `reset`, zoneout in training): what its older values should be then is not said.
std::expected<ir::Graph, Error> DelayStates(const ir::Graph& graph, double steps);

}  // namespace recurve

#endif  // RECURVE_COMPILER_STATE_DELAY_H_

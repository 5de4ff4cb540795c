// compiler/flow.h: how far back a recurrence's gradient reaches: what is known as vanishing and exploding gradients.
//
// For each scan over time, along a sequence of random inputs, in double by the reference interpreter:
//   ds_T/ds_t    the derivative of the last states by those after step t, as the product of the steps' Jacobians; its
//                norm is the largest factor by which a small change of the states is still there at the end
//   radius       the spectral radius of one step's Jacobian, from the norm of its powers (Gelfand's formula)
//   memory       how many steps back that norm is above 1/e
//   gates        the means of the cell's sigmoids
// A Jacobian is the derivative (vjp) of the scan's body with one row of the batch for each of its own rows.
// Sources: Bengio, Simard & Frasconi 1994, Learning long-term dependencies with gradient descent is difficult; Pascanu,
// Mikolov & Bengio 2013, On the difficulty of training recurrent neural networks.

#ifndef RECURVE_COMPILER_FLOW_H_
#define RECURVE_COMPILER_FLOW_H_

#include <cstdint>
#include <expected>
#include <string>
#include <vector>

#include "ir/graph.h"
#include "runtime/error.h"
#include "runtime/weights.h"

namespace recurve {

struct GateFlow {
  std::string name;
  std::vector<double> means;  // per step
};

struct ScanFlow {
  std::string name;
  size_t states = 0;          // numbers of state of one example
  std::vector<double> norms;  // of ds_T/ds_t for t = 0 .. T; the last is 1
  std::vector<double> radii;  // of some steps, evenly spread
  std::vector<GateFlow> gates;

  // The most steps back for which the norm is 1/e at least, at most T.
  size_t memory() const;
};

// Most numbers of state: a Jacobian has their square.
inline constexpr size_t kMostFlowStates = 512;

// The scans of the graph, which has all of its parameters in `weights`. Fails if there is none, or a parameter is
// missing.
std::expected<std::vector<ScanFlow>, Error> MeasureFlow(const ir::Graph& graph, const WeightFile& weights,
                                                        int64_t steps, uint64_t seed);

}  // namespace recurve

#endif  // RECURVE_COMPILER_FLOW_H_

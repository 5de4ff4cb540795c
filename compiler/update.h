// compiler/update.h: one step of an optimizer on all parameters of a program, as a program.
//
// An optimizer is a cell (frontend/library/optimizers): its state `p` is the parameter, its other states what it keeps
// between steps, its input `gradient` the gradient, and every scalar input a setting, the same for all parameters; its
// one step is the update. Of each parameter W of n elements the update takes W_adj and overwrites W and W.STATE, all as
// [n]. The input `length` is no setting: it is the Euclidean length of all gradients together, and an output too.

#ifndef RECURVE_COMPILER_UPDATE_H_
#define RECURVE_COMPILER_UPDATE_H_

#include <expected>
#include <span>
#include <string>

#include "ir/graph.h"
#include "runtime/error.h"

namespace recurve {

// `optimizer` is a cell of `source`, or of the library's optimizers where `source` is empty.
struct OptimizerSource {
  std::string optimizer, source;
  bool operator==(const OptimizerSource&) const = default;
};

// The update of the trained parameters of `primal` among `wrt`. Fails if the cell has not the form above.
std::expected<ir::Graph, Error> UpdateOf(const ir::Graph& primal, std::span<const std::string> wrt,
                                         const OptimizerSource& source);

}  // namespace recurve

#endif  // RECURVE_COMPILER_UPDATE_H_

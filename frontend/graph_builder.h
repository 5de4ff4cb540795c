// frontend/graph_builder.h: a cell or model with numbers for its extents, as a graph of the tensor language.
//
// Cell     inputs    the cell's inputs [T, B, ...]; a state `h` without an initial value of its own as `h0` [B, ...]
//                    (kState); parameters
//          outputs   each `output` [T, B, ...], then the last state `hT` [B, ...]
// Model    inputs    the model's inputs ([T, B, ...] over a time axis, else [B, ...]); `y.h0` for each state of each
//                    scan `y` that begins nowhere else; the model's parameters, then those of each instance, `y.W`
//          outputs   each `output`, then `loss` [], then `y.hT` for each state of each scan
//
// A scan is one scan node over the cell's step. `loss` is the mean over the batch and time axes. Values carry the
// names of the source as labels.

#ifndef RECURVE_FRONTEND_GRAPH_BUILDER_H_
#define RECURVE_FRONTEND_GRAPH_BUILDER_H_

#include <optional>
#include <string_view>

#include "frontend/checker.h"
#include "frontend/diagnostics.h"
#include "ir/graph.h"

namespace recurve::frontend {

inline constexpr int64_t kLargestExtent = int64_t{1} << 24;
inline constexpr int64_t kLargestTensor = int64_t{1} << 31;  // elements

// Empty when a mistake was reported: an unknown entry, an extent without a number, a size beyond the limits.
std::optional<ir::Graph> BuildGraph(const CheckedProgram& program, std::string_view entry, const Extents& extents,
                                    Diagnostics& diagnostics);

}  // namespace recurve::frontend

#endif  // RECURVE_FRONTEND_GRAPH_BUILDER_H_

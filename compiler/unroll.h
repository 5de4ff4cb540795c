// compiler/unroll.h: binding a time axis to a number, and scans over it to straight lines.
//
// Two uses: the streaming step is the program at T = 1; the derivative of the unrolled program is an independent
// witness of the derivative through `scan`.

#ifndef RECURVE_COMPILER_UNROLL_H_
#define RECURVE_COMPILER_UNROLL_H_

#include <string_view>

#include "ir/graph.h"

namespace recurve {

// Replaces axis `axis` by the constant `extent` everywhere and every scan over it by `extent` copies of its body
// (elements are slices of the sequence reshaped to drop the time axis; stacked results are concatenations).
ir::Graph Unroll(const ir::Graph& graph, std::string_view axis, int64_t extent);

}  // namespace recurve

#endif  // RECURVE_COMPILER_UNROLL_H_

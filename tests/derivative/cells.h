// tests/derivative/cells.h: recurrent layers built by hand, to have programs without the frontend.

#ifndef RECURVE_TESTS_DERIVATIVE_CELLS_H_
#define RECURVE_TESTS_DERIVATIVE_CELLS_H_

#include "ir/graph.h"

namespace recurve {

// h' = tanh(x W^T + h U^T + b) over T.
//   Inputs    x [T, B, 3], W [4, 3], U [4, 4], b [4], h0 [B, 4]
//   Outputs   h [T, B, 4] and hT [B, 4]
ir::Graph Elman(bool reverse);

// The LSTM with a forget gate, gates in order i f g o (Gers, Schmidhuber & Cummins 2000).
//   Inputs    x [T, B, 3], W [8, 3], U [8, 2], b [8], h0 and c0 [B, 2]
//   Outputs   h [T, B, 2], hT and cT [B, 2]
ir::Graph Lstm(bool reverse);

// A scan in the body of a scan: an Elman scan over T inside each step of a scan over S.
//   Inputs    x [S, T, B, 2], W [2, 2], U [2, 2], h0 [B, 2]
//   Outputs   y [S, B, 2] and hS [B, 2]
ir::Graph Nested();

}  // namespace recurve

#endif  // RECURVE_TESTS_DERIVATIVE_CELLS_H_

// tests/derivative/random_graph.h: random programs with scans, for tests that compare two ways to the same numbers.
//
// A program has parameters, tokens, states, one or two scans (forward or reverse, several carries, sequences and
// invariants, now and then a scan of constant length inside a body) and outputs of every kind. Values stay of order
// one.

#ifndef RECURVE_TESTS_DERIVATIVE_RANDOM_GRAPH_H_
#define RECURVE_TESTS_DERIVATIVE_RANDOM_GRAPH_H_

#include "ir/graph.h"
#include "tests/derivative/numeric.h"

namespace recurve {

// Axes `T` and `B`.
ir::Graph RandomGraph(Random& random);

}  // namespace recurve

#endif  // RECURVE_TESTS_DERIVATIVE_RANDOM_GRAPH_H_

// tests/derivative/numeric.h: witnesses of a gradient: finite differences of the interpreter.
//
// A directional difference (L(x + h d) - L(x - h d)) / 2h of L = sum of y_adj * y costs two evaluations and sees an
// error in any element of any gradient, since d is random. Tolerance: with h = 1e-5 and values of order one, truncation
// is of order h^2 = 1e-10 and rounding of order 1e-16 / h = 1e-11, each times a modest constant (sums of tens of terms,
// third derivatives of composed functions); 2e-7 of the sizes involved leaves two to three digits and a wrong term
// none.

#ifndef RECURVE_TESTS_DERIVATIVE_NUMERIC_H_
#define RECURVE_TESTS_DERIVATIVE_NUMERIC_H_

#include <random>
#include <span>
#include <string>
#include <vector>

#include "ir/graph.h"
#include "ir/interpreter.h"

namespace recurve {

using Random = std::mt19937_64;

ir::Tensor RandomTensor(std::vector<int64_t> shape, Random& random);

// A value for every input: reals in (-1, 1), indices below their classes.
std::vector<ir::Tensor> RandomInputs(const ir::Graph& graph, const ir::Bindings& bindings, Random& random);

// Names of the real inputs without role kAdjoint.
std::vector<std::string> RealInputs(const ir::Graph& graph);

// Checks Vjp(graph, wrt) with random inputs and output adjoints against finite differences; verifies it as well.
void ExpectVjpIsFiniteDifference(const ir::Graph& graph, const std::vector<std::string>& wrt,
                                 const ir::Bindings& bindings, Random& random);

// A graph with the one scalar output `norm`: the squared norm of the gradient of `loss` with respect to `wrt`, where
// the loss is the sum of squares of all outputs of `graph`.
ir::Graph SquaredGradientNorm(const ir::Graph& graph, const std::vector<std::string>& wrt);

// Checks that two graphs with the same inputs have the same outputs, but for rounding (sums in another order).
void ExpectSameOutputs(const ir::Graph& expected, const ir::Graph& actual, const ir::Bindings& bindings,
                       std::span<const ir::Tensor> inputs);

// Checks that forward, backward and pack of Vjp(primal, all real inputs) give the bits of the joint graph.
void ExpectSplitIsJoint(const ir::Graph& primal, const ir::Bindings& bindings, Random& random);

// Largest absolute difference relative to the largest magnitude (at least 1).
double Difference(const ir::Tensor& a, const ir::Tensor& b);

}  // namespace recurve

#endif  // RECURVE_TESTS_DERIVATIVE_NUMERIC_H_

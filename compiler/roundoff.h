// compiler/roundoff.h: how far rounding may move a program's results, derived from the program itself.
//
// A tolerance that someone chose says little: a cell that divides by a small variance loses digits that another keeps.
// The program itself is asked, twice, at the inputs in question. Both ways start from the rounding error of single
// operations, in double:
//
//   A sum of n products    sqrt(n) roundoffs of the sum of their absolute values, the usual size for any order of
//                          summation (Higham 2002, Accuracy and Stability, section 4.2)
//   a + b, a - b           one roundoff of |a| + |b|: passes may regroup sums
//   exp, tanh, sigmoid...  four roundoffs of the result, twelve where they are the fast ones; of results far from a
//                          power of two that is half as many ULP (compiler/lane_math.h promises 2.5 and 6)
//   moves and selections   none
//
// Monte Carlo arithmetic (`PerturbRoundoff`) moves every value by a pseudo-random amount of that size. What the outputs
// then move by is what rounding does to this program, cancellation, amplification through time and kinks included. The
// same operation with the same result errs in the same way, as in a machine: a maximum stays equal to the element that
// it is.
//
// That is also its limit. Where a gradient is zero by symmetry, as behind mean(softmax(x)) or sum(layernorm(x)), equal
// values move alike and their errors cancel as they do; a program in which passes have distributed a sum over such
// values computes them by two routes, whose errors are two. So errors are also added up (`PropagateRoundoff`):
//
//   error(f(a, b))^2 = (df/da error(a))^2 + (df/db error(b))^2 + roundoff(f)^2
//
// with the gradient columns of ir/ops.def. Operands count as independent, even the same value by two routes: nothing
// cancels. The result is that of random errors of whatever program computes the same values in another order, with as
// much noise behind a cancellation as the largest terms that went into it carry. It is of first order, and knows no
// kinks. But it knows jumps: where the operands of a comparison (or of sign and floor) are nearer than their errors,
// its result may be the other one, and the error is the whole jump. No draw meets two values that are equal in one
// precision only, such as a state that has come to rest.
//
// `RoundoffTolerance` takes the larger of both, and at least the smallest normal number: of the draws at eight times
// the unit roundoff, which covers what a few of them miss, and three times the errors added up. An error anywhere
// within a roundoff has a standard deviation of 1/sqrt(3) of it, so that this is five standard deviations: one element
// in a million is further off. Sources: Parker 1997, Monte Carlo arithmetic, UCLA CSD-970002; Higham 2002, section 2.8
// (rounding errors as independent random variables).

#ifndef RECURVE_COMPILER_ROUNDOFF_H_
#define RECURVE_COMPILER_ROUNDOFF_H_

#include <cstdint>
#include <span>
#include <vector>

#include "compiler/interface.h"
#include "ir/graph.h"
#include "ir/interpreter.h"

namespace recurve {

// Half the distance from 1 to the next number of the precision: 2^-24 or 2^-53.
double UnitRoundoff(Precision precision);

// The number of a 16-bit storage that is nearest to `value`, ties to even; infinite beyond the largest. kSame leaves
// it.
double RoundToStorage(double value, Storage storage);

// What a 16-bit storage may move `value` by: nothing if it is one of its numbers, else half a unit in the last place.
double StorageRoundoff(double value, Storage storage);

// The graph in which every rounded value is moved by up to `unit` times its rounding error's size, in a direction
// that depends on the value, the operation and `seed`. `bindings` give the lengths of sums over symbolic axes.
ir::Graph PerturbRoundoff(const ir::Graph& graph, const ir::Bindings& bindings, double unit, uint64_t seed,
                          MathAccuracy math = MathAccuracy::kAccurate);

// The graph whose outputs are those of `graph`, then for each output `y` an output `y_error` of its shape: the roundoff
// that reaches its elements, in multiples of the unit roundoff `unit`. `bindings` as above.
ir::Graph PropagateRoundoff(const ir::Graph& graph, const ir::Bindings& bindings, double unit,
                            MathAccuracy math = MathAccuracy::kAccurate);

// For each output of `graph` at `inputs`, how far any of its elements may lie from the interpreter's. `draws` >= 1.
std::vector<double> RoundoffTolerance(const ir::Graph& graph, const ir::Bindings& bindings,
                                      std::span<const ir::Tensor> inputs, std::span<const ir::Tensor> reference,
                                      double unit, int draws, MathAccuracy math = MathAccuracy::kAccurate);

}  // namespace recurve

#endif  // RECURVE_COMPILER_ROUNDOFF_H_

// compiler/roundoff.h: how far rounding may move a program's results, derived from the program itself.
//
// A tolerance that someone chose says little: a cell that divides by a small variance loses digits that another keeps.
// Monte Carlo arithmetic asks the program instead. Every value that an engine would round is moved by a pseudo-random
// amount of the size of its rounding error, in double; what the outputs then move by is what rounding does to this
// program at these inputs, cancellation and amplification through time included.
//
//   A sum of n products    sqrt(n) roundoffs of the sum of their absolute values, the usual size for any order of
//                          summation (Higham 2002, Accuracy and Stability, section 4.2)
//   a + b, a - b           one roundoff of |a| + |b|: passes may regroup sums
//   exp, tanh, sigmoid...  four roundoffs of the result, twelve where they are the fast ones; of results far from a
//                          power of two that is half as many ULP (compiler/lane_math.h promises 2.5 and 6)
//   moves and selections   none
//
// `RoundoffTolerance` takes the largest movement over several draws at eight times the unit roundoff. The factor covers
// what a few draws miss. Source: Parker 1997, Monte Carlo arithmetic, UCLA CSD-970002.

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

// For each output of `graph` at `inputs`, how far any of its elements may lie from the interpreter's. `draws` >= 1.
std::vector<double> RoundoffTolerance(const ir::Graph& graph, const ir::Bindings& bindings,
                                      std::span<const ir::Tensor> inputs, std::span<const ir::Tensor> reference,
                                      double unit, int draws, MathAccuracy math = MathAccuracy::kAccurate);

}  // namespace recurve

#endif  // RECURVE_COMPILER_ROUNDOFF_H_

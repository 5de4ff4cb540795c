// compiler/gradcheck.h: does everything that knows a program's gradients agree?
//
// A Trial is a program with random arguments and random weights `y_adj` of its outputs, so that the sum of y_adj * y is
// a scalar whose gradient is what the derivative yields. Four ways to know it are compared:
//
//   the derivative, interpreted     Vjp through `scan`: what all others are compared with
//   finite differences              of the interpreter, knowing nothing of derivatives
//   the unrolled program            Vjp of straight lines, knowing nothing of `scan`
//   compiled code                   outputs and gradients, within what rounding explains (roundoff.h)
//
// A program with weights and tape in 16 bits is given weights that are such numbers, so that its outputs are those of
// f32. Its gradients also differ by what rounding the tape does: the forward and backward parts are interpreted with
// every taped value moved by its rounding error, up or down.
//
// Errors are relative to the largest element of a tensor.
//
//   auto report = recurve::Gradcheck(graph, {.seed = 1});
//   fmt::print("{}", recurve::PrintReport(*report));

#ifndef RECURVE_COMPILER_GRADCHECK_H_
#define RECURVE_COMPILER_GRADCHECK_H_

#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <vector>

#include "compiler/interface.h"
#include "ir/graph.h"
#include "ir/interpreter.h"
#include "runtime/error.h"
#include "runtime/program.h"

namespace recurve {

struct Trial {
  ir::Graph primal;
  ir::Graph joint;               // Vjp of `primal` with respect to `wrt`
  std::vector<std::string> wrt;  // parameters, real data and states
  ir::Bindings sizes;
  std::vector<ir::Tensor> arguments;  // of `joint`; the first ones are those of `primal`
  std::vector<ir::Tensor> reference;  // what `joint` yields, interpreted: outputs, then gradients
};

// Draws a trial. `sizes` bind symbolic axes; those that are left out become 2 for `B` and 4, 3, 4, 3, ... for the
// others. Parameters come from their distributions, those that start at one number from around it; all are numbers of
// f32, parameters also of the storage.
Trial MakeTrial(const ir::Graph& graph, ir::Bindings sizes, uint64_t seed, Storage store = Storage::kSame);

// The largest error of each gradient (beside `wrt`) against five-point central differences, in one random direction
// and at up to `elements` elements. A kink or a jump of the program within a step spoils that step only, so four steps
// get a try; a point that is not smooth within the smallest is left out.
std::vector<double> FiniteDifferenceErrors(const Trial& trial, int elements, uint64_t seed);

// The largest error of each gradient against the derivative of the unrolled program; 0 where rounding in double
// explains one above kUnrolledTolerance, as in a gradient that cancels to nothing.
std::vector<double> UnrolledErrors(const Trial& trial);

// Errors of a compiled program beside `joint`'s outputs, and how large rounding may make them.
struct CompiledErrors {
  std::vector<double> errors;
  std::vector<double> tolerances;
};
// `store` and `math` are what the program was compiled with. Fails when the program lacks an entry or a tensor.
std::expected<CompiledErrors, Error> ErrorsOf(const Program& program, const Trial& trial,
                                              Storage store = Storage::kSame,
                                              MathAccuracy math = MathAccuracy::kAccurate);

struct GradcheckOptions {
  ir::Bindings sizes;
  uint64_t seed = 1;
  Precision precision = Precision::kF32;        // of the compiled code; everything else is double
  Storage store = Storage::kSame;               // likewise
  MathAccuracy math = MathAccuracy::kAccurate;  // likewise
  int elements = 64;                            // compared by finite differences, per argument
};

struct GradcheckRow {
  std::string name;
  int64_t elements = 0;
  std::optional<double> finite_differences, unrolled;  // of gradients only
  double compiled = 0, tolerance = 0;
  bool passed = false;
};

struct GradcheckReport {
  std::vector<GradcheckRow> rows;  // outputs, then gradients
  Precision precision = Precision::kF32;
  Storage store = Storage::kSame;
  uint64_t seed = 0;
  bool passed() const;
};

// Largest error that finite differences and the unrolled derivative may show.
inline constexpr double kFiniteDifferenceTolerance = 1e-6;
inline constexpr double kUnrolledTolerance = 1e-9;

// Compiles `graph` for this machine and compares. Fails when it cannot be compiled.
std::expected<GradcheckReport, Error> Gradcheck(const ir::Graph& graph, const GradcheckOptions& options);

// A table, one row a tensor, and a closing line.
std::string PrintReport(const GradcheckReport& report);

}  // namespace recurve

#endif  // RECURVE_COMPILER_GRADCHECK_H_

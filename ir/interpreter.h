// ir/interpreter.h: the meaning of a graph, in double, one loop per operation.
//
// Slow and plain on purpose: it is what every other engine is compared with.
//
//   ir::Bindings bindings{{"T", 5}, {"B", 2}};
//   std::vector<ir::Tensor> outputs = ir::Interpret(graph, bindings, inputs);

#ifndef RECURVE_IR_INTERPRETER_H_
#define RECURVE_IR_INTERPRETER_H_

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "ir/graph.h"

namespace recurve::ir {

// A dense row-major array. Indices (kIndex) are stored as doubles with whole values.
struct Tensor {
  std::vector<int64_t> shape;
  std::vector<double> values;

  static Tensor Filled(std::vector<int64_t> shape, double value);
  int64_t size() const { return static_cast<int64_t>(values.size()); }
};

// The size of every symbolic axis.
using Bindings = std::map<std::string, int64_t, std::less<>>;

// The concrete extents of a shape.
std::vector<int64_t> Extents(const Shape& shape, const Bindings& bindings);

// Evaluates a verified graph. `inputs` follow graph.inputs() and have their extents; the result follows
// graph.outputs(). Indices must be in range. A wrong input is the caller's mistake and stops the program.
std::vector<Tensor> Interpret(const Graph& graph, const Bindings& bindings, std::span<const Tensor> inputs);

// The value column of an elementwise operation, in double; unused operands are ignored.
double EvaluateElementwise(Op op, double a, double b = 0, double c = 0);

}  // namespace recurve::ir

#endif  // RECURVE_IR_INTERPRETER_H_

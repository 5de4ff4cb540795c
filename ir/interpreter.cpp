// ir/interpreter.cpp: every operation as one plain loop over doubles.
//
// A graph is evaluated front to back, each node into a dense tensor of its own. Elementwise operations expand the value
// column of ops.def. Whatever moves, sums or multiplies along axes is one walk over nested loops that are described by
// a stride per tensor (0 where a tensor stands still), so that a broadcast, a transpose, a slice, a sum and a
// contraction differ in their strides alone.

#include "ir/interpreter.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <limits>
#include <numeric>

#include "ir/internal_error.h"

namespace recurve::ir {
namespace {

// What the value column of ops.def may say, for double.
namespace real {

using std::abs, std::cos, std::erf, std::exp, std::expm1, std::floor, std::log, std::log1p, std::pow, std::sin,
    std::sqrt, std::tanh;

double select(bool condition, double yes, double no) { return condition ? yes : no; }
// Zeros and NaN are their own sign.
double sign(double a) { return a > 0 ? 1.0 : a < 0 ? -1.0 : a; }
// minimum and maximum of IEEE 754-2019: a NaN on either side is the result, and -0 is less than +0.
double min(double a, double b) {
  if (std::isnan(a) || std::isnan(b)) return std::numeric_limits<double>::quiet_NaN();
  return a < b || (a == b && std::signbit(a)) ? a : b;
}
double max(double a, double b) { return -min(-a, -b); }
// The exponential never overflows, so both tails are exact to rounding.
double sigmoid(double a) {
  double e = std::exp(-std::abs(a));
  return (a >= 0 ? 1.0 : e) / (1.0 + e);
}

double Evaluate(Op op, double a, double b, double c) {
  switch (op) {
#define ROW(Kind, text, cost, value, ...) \
  case Op::k##Kind: return value;
#define UNARY(...) ROW(__VA_ARGS__)
#define BINARY(...) ROW(__VA_ARGS__)
#define TERNARY(...) ROW(__VA_ARGS__)
#define STRUCTURAL(Kind, text) case Op::k##Kind:
#include "ir/ops.def"
#undef ROW
    break;
  }
  StopOnInternalError(fmt::format("`{}` is not elementwise", Name(op)));
}

}  // namespace real

using Sizes = std::vector<int64_t>;

int64_t Product(std::span<const int64_t> sizes) {
  return std::accumulate(sizes.begin(), sizes.end(), int64_t{1}, std::multiplies<>());
}

// The distance, in elements, between neighbours along each axis of a dense row-major tensor.
Sizes DenseStrides(const Sizes& shape) {
  Sizes strides(shape.size(), 1);
  for (int axis = static_cast<int>(shape.size()) - 2; axis >= 0; --axis)
    strides[axis] = strides[axis + 1] * shape[axis + 1];
  return strides;
}

// One of several nested loops: how far a step moves in the result and in up to two operands.
struct Loop {
  int64_t count = 0;
  int64_t result = 0, lhs = 0, rhs = 0;
};

// Which element of the result and of the operands an iteration is at.
struct Position {
  int64_t result = 0, lhs = 0, rhs = 0;
};

// Calls body(position) for every iteration, the last loop innermost.
template <typename Body>
void Walk(std::span<const Loop> loops, Position at, const Body& body) {
  if (loops.empty()) return body(at);
  const Loop& loop = loops.front();
  bool innermost = loops.size() == 1;
  for (int64_t i = 0; i < loop.count; ++i) {
    if (innermost) {
      body(at);
    } else {
      Walk(loops.subspan(1), at, body);
    }
    at = {at.result + loop.result, at.lhs + loop.lhs, at.rhs + loop.rhs};
  }
}

// Copies into every element of `result` the element of `from` that the loops put beside it.
void Copy(std::span<const Loop> loops, Position start, const Tensor& from, Tensor& result) {
  Walk(loops, start, [&](const Position& at) { result.values[at.result] = from.values[at.lhs]; });
}

// Loops over a dense result, with no step in the operands yet.
std::vector<Loop> LoopsOver(const Sizes& shape) {
  Sizes strides = DenseStrides(shape);
  std::vector<Loop> loops(shape.size());
  for (size_t axis = 0; axis < shape.size(); ++axis) loops[axis] = {.count = shape[axis], .result = strides[axis]};
  return loops;
}

Tensor Zeros(Sizes shape) { return Tensor::Filled(std::move(shape), 0.0); }

Tensor Elementwise(Op op, const Tensor& a, const Tensor& b, const Tensor& c) {
  Tensor y = Zeros(a.shape);
  for (size_t i = 0; i < y.values.size(); ++i) y.values[i] = real::Evaluate(op, a.values[i], b.values[i], c.values[i]);
  return y;
}

Tensor Broadcast(const Tensor& a, const std::vector<int>& axes, Sizes shape) {
  std::vector<Loop> loops = LoopsOver(shape);
  Sizes strides = DenseStrides(a.shape);
  for (size_t i = 0; i < axes.size(); ++i) loops[axes[i]].lhs = strides[i];
  Tensor y = Zeros(std::move(shape));
  Copy(loops, {}, a, y);
  return y;
}

Tensor Transpose(const Tensor& a, const std::vector<int>& axes) {
  Sizes strides = DenseStrides(a.shape), shape;
  for (int axis : axes) shape.push_back(a.shape[axis]);
  std::vector<Loop> loops = LoopsOver(shape);
  for (size_t i = 0; i < axes.size(); ++i) loops[i].lhs = strides[axes[i]];
  Tensor y = Zeros(std::move(shape));
  Copy(loops, {}, a, y);
  return y;
}

Tensor Slice(const Tensor& a, const SliceAttr& attr, int64_t size) {
  Sizes strides = DenseStrides(a.shape), shape = a.shape;
  shape[attr.axis] = size;
  std::vector<Loop> loops = LoopsOver(shape);
  for (size_t i = 0; i < loops.size(); ++i) loops[i].lhs = strides[i];
  Tensor y = Zeros(std::move(shape));
  Copy(loops, {.lhs = attr.start * strides[attr.axis]}, a, y);
  return y;
}

Tensor Concat(std::span<const Tensor* const> parts, int axis) {
  Sizes shape = parts[0]->shape;
  shape[axis] = 0;
  for (const Tensor* part : parts) shape[axis] += part->shape[axis];
  Tensor y = Zeros(shape);
  Sizes strides = DenseStrides(shape);
  int64_t start = 0;
  for (const Tensor* part : parts) {
    std::vector<Loop> loops = LoopsOver(part->shape);
    for (size_t i = 0; i < loops.size(); ++i) {
      loops[i].lhs = loops[i].result;
      loops[i].result = strides[i];
    }
    Copy(loops, {.result = start * strides[axis]}, *part, y);
    start += part->shape[axis];
  }
  return y;
}

// Result axes outside, summed labels inside: each element of the result is finished before the next.
Tensor Contract(const Tensor& lhs, const Tensor& rhs, const ContractAttr& labels) {
  Sizes lhs_strides = DenseStrides(lhs.shape), rhs_strides = DenseStrides(rhs.shape), shape;
  std::vector<Loop> loops;
  auto add_loop = [&](char label) {
    Loop loop;
    if (size_t axis = labels.lhs.find(label); axis != std::string::npos) {
      loop.count = lhs.shape[axis];
      loop.lhs = lhs_strides[axis];
    }
    if (size_t axis = labels.rhs.find(label); axis != std::string::npos) {
      loop.count = rhs.shape[axis];
      loop.rhs = rhs_strides[axis];
    }
    loops.push_back(loop);
  };
  for (char label : labels.out) {
    add_loop(label);
    shape.push_back(loops.back().count);
  }
  Sizes strides = DenseStrides(shape);
  for (size_t axis = 0; axis < shape.size(); ++axis) loops[axis].result = strides[axis];
  for (char label : labels.lhs) {
    if (labels.out.find(label) == std::string::npos) add_loop(label);
  }
  Tensor y = Zeros(std::move(shape));
  Walk(loops, {}, [&](const Position& at) { y.values[at.result] += lhs.values[at.lhs] * rhs.values[at.rhs]; });
  return y;
}

Tensor ReduceSum(const Tensor& a, const std::vector<int>& axes) {
  Sizes shape;
  std::vector<Loop> loops, reduced;
  Sizes a_strides = DenseStrides(a.shape);
  for (int axis = 0; axis < static_cast<int>(a.shape.size()); ++axis) {
    Loop loop{.count = a.shape[axis], .lhs = a_strides[axis]};
    if (std::ranges::find(axes, axis) != axes.end()) {
      reduced.push_back(loop);
    } else {
      loops.push_back(loop);
      shape.push_back(loop.count);
    }
  }
  Sizes strides = DenseStrides(shape);
  for (size_t axis = 0; axis < shape.size(); ++axis) loops[axis].result = strides[axis];
  loops.insert(loops.end(), reduced.begin(), reduced.end());
  Tensor y = Zeros(std::move(shape));
  Walk(loops, {}, [&](const Position& at) { y.values[at.result] += a.values[at.lhs]; });
  return y;
}

// The largest of no elements is minus infinity.
Tensor ReduceMax(const Tensor& a) {
  Sizes shape(a.shape.begin(), a.shape.end() - 1);
  Tensor y = Tensor::Filled(std::move(shape), -std::numeric_limits<double>::infinity());
  int64_t row = a.shape.back();
  for (int64_t i = 0; i < y.size(); ++i) {
    for (int64_t j = 0; j < row; ++j) y.values[i] = real::max(y.values[i], a.values[i * row + j]);
  }
  return y;
}

// Word 0 of a block. Salmon, Moraes, Dror & Shaw 2011, Parallel random numbers: as easy as 1, 2, 3.
uint32_t Philox(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key) {
  for (int round = 0; round < 10; ++round) {
    const uint64_t a = uint64_t{0xD2511F53} * counter[0], b = uint64_t{0xCD9E8D57} * counter[2];
    counter = {static_cast<uint32_t>(b >> 32) ^ counter[1] ^ key[0], static_cast<uint32_t>(b),
               static_cast<uint32_t>(a >> 32) ^ counter[3] ^ key[1], static_cast<uint32_t>(a)};
    key = {key[0] + 0x9E3779B9, key[1] + 0xBB67AE85};
  }
  return counter[0];
}

// See builder.h.
Tensor Random(std::span<const Tensor* const> args) {
  Tensor y = Zeros(args[0]->shape);
  for (size_t i = 0; i < y.values.size(); ++i) {
    auto word = [&](int operand) { return static_cast<uint32_t>(args[operand]->values[i]); };
    y.values[i] = static_cast<double>(Philox({word(2), word(3), word(4), 0}, {word(0), word(1)}) >> 8) * 0x1p-24;
  }
  return y;
}

int64_t IndexAt(const Tensor& index, int64_t at, int64_t classes) {
  double value = index.values[at];
  if (!(value >= 0 && value < static_cast<double>(classes)) || value != std::floor(value))
    StopOnInternalError(fmt::format("index {} at {} is not in [0, {})", value, at, classes));
  return static_cast<int64_t>(value);
}

Tensor Gather(const Tensor& table, const Tensor& index) {
  Sizes shape = index.shape;
  shape.insert(shape.end(), table.shape.begin() + 1, table.shape.end());
  int64_t row = Product(std::span(table.shape).subspan(1));
  Tensor y = Zeros(std::move(shape));
  for (int64_t k = 0; k < index.size(); ++k)
    std::copy_n(table.values.begin() + IndexAt(index, k, table.shape[0]) * row, row, y.values.begin() + k * row);
  return y;
}

Tensor ScatterAdd(const Tensor& index, const Tensor& updates, Sizes shape) {
  int64_t row = Product(std::span(shape).subspan(1));
  Tensor y = Zeros(std::move(shape));
  for (int64_t k = 0; k < index.size(); ++k) {
    int64_t to = IndexAt(index, k, y.shape[0]) * row;
    for (int64_t j = 0; j < row; ++j) y.values[to + j] += updates.values[k * row + j];
  }
  return y;
}

Tensor OneHot(const Tensor& index, Sizes shape) {
  int64_t classes = shape.back();
  Tensor y = Zeros(std::move(shape));
  for (int64_t k = 0; k < index.size(); ++k) y.values[k * classes + IndexAt(index, k, classes)] = 1.0;
  return y;
}

std::vector<Tensor> EvaluateGraph(const Graph& graph, const Bindings& bindings, std::span<const Tensor* const> inputs);

// The results in ScanAttr's order: final carries, then stacked values.
std::vector<Tensor> EvaluateScan(const ScanAttr& attr, const Bindings& bindings,
                                 std::span<const Tensor* const> operands) {
  const Graph& body = *attr.body;
  int64_t steps = Extents({attr.time}, bindings)[0];
  int results = static_cast<int>(body.outputs().size());
  // operands[i] while `current` holds what the body sees: the carry, one element, or the invariant itself.
  std::vector<Tensor> current(attr.carries + attr.sequences), stacked;
  std::vector<const Tensor*> body_inputs(operands.begin(), operands.end());
  for (int i = 0; i < attr.carries + attr.sequences; ++i) {
    if (i < attr.carries) {
      current[i] = *operands[i];
    } else {
      current[i] = Zeros({operands[i]->shape.begin() + 1, operands[i]->shape.end()});
    }
    body_inputs[i] = &current[i];
  }
  for (int i = attr.carries; i < results; ++i) {
    Sizes shape = Extents(body.type(body.outputs()[i].node).shape, bindings);
    shape.insert(shape.begin(), steps);
    stacked.push_back(Zeros(std::move(shape)));
  }
  for (int64_t step = 0; step < steps; ++step) {
    int64_t t = attr.reverse ? steps - 1 - step : step;
    for (int i = attr.carries; i < attr.carries + attr.sequences; ++i)
      std::copy_n(operands[i]->values.begin() + t * current[i].size(), current[i].size(), current[i].values.begin());
    std::vector<Tensor> outputs = EvaluateGraph(body, bindings, body_inputs);
    for (int i = 0; i < results; ++i) {
      if (i < attr.carries) {
        current[i] = std::move(outputs[i]);
      } else {
        std::ranges::copy(outputs[i].values, stacked[i - attr.carries].values.begin() + t * outputs[i].size());
      }
    }
  }
  current.resize(attr.carries);
  std::ranges::move(stacked, std::back_inserter(current));
  return current;
}

Tensor EvaluateNode(const Node& node, const Bindings& bindings, std::span<const Tensor* const> args) {
  auto extents = [&] { return Extents(node.type.shape, bindings); };
  switch (node.op) {
#define UNARY(Kind, ...) \
  case Op::k##Kind: return Elementwise(node.op, *args[0], *args[0], *args[0]);
#define BINARY(Kind, ...) \
  case Op::k##Kind: return Elementwise(node.op, *args[0], *args[1], *args[1]);
#define TERNARY(Kind, ...) \
  case Op::k##Kind: return Elementwise(node.op, *args[0], *args[1], *args[2]);
#include "ir/ops.def"
    case Op::kConstant: return Tensor::Filled(extents(), node.As<ConstantAttr>().value);
    case Op::kIota: {
      Tensor y = Zeros(extents());
      std::iota(y.values.begin(), y.values.end(), 0.0);
      return y;
    }
    case Op::kExtent: return Tensor::Filled({}, static_cast<double>(Extents({node.As<ExtentAttr>().dim}, bindings)[0]));
    case Op::kBroadcast: return Broadcast(*args[0], node.As<AxesAttr>().axes, extents());
    case Op::kReshape: return {extents(), args[0]->values};
    case Op::kTranspose: return Transpose(*args[0], node.As<AxesAttr>().axes);
    case Op::kSlice: {
      const SliceAttr& attr = node.As<SliceAttr>();
      return Slice(*args[0], attr, node.type.shape[attr.axis].extent);
    }
    case Op::kConcat: return Concat(args, node.As<ConcatAttr>().axis);
    case Op::kContract: return Contract(*args[0], *args[1], node.As<ContractAttr>());
    case Op::kReduceSum: return ReduceSum(*args[0], node.As<AxesAttr>().axes);
    case Op::kReduceMax: return ReduceMax(*args[0]);
    case Op::kGather: return Gather(*args[0], *args[1]);
    case Op::kScatterAdd: return ScatterAdd(*args[0], *args[1], extents());
    case Op::kOneHot: return OneHot(*args[0], extents());
    case Op::kReal: return *args[0];
    case Op::kRandom: return Random(args);
    case Op::kInput:
    case Op::kScan:
    case Op::kScanResult: break;
  }
  StopOnInternalError(fmt::format("`{}` is not evaluated on its own", Name(node.op)));
}

// Inputs and scan results are borrowed, so that a scan does not copy its invariants at every step.
std::vector<Tensor> EvaluateGraph(const Graph& graph, const Bindings& bindings, std::span<const Tensor* const> inputs) {
  std::vector<Tensor> owned(graph.size());
  std::vector<const Tensor*> value(graph.size(), nullptr);
  std::vector<std::vector<Tensor>> scan_results(graph.size());
  std::vector<const Tensor*> args;
  size_t next_input = 0;
  for (NodeId id = 0; id < graph.size(); ++id) {
    const Node& node = graph[id];
    if (node.op == Op::kInput) {
      value[id] = inputs[next_input++];
      continue;
    }
    if (node.op == Op::kScanResult) {
      value[id] = &scan_results[node.args[0]][node.As<ResultAttr>().index];
      continue;
    }
    args.clear();
    for (NodeId arg : node.args) args.push_back(value[arg]);
    if (node.op == Op::kScan) {
      scan_results[id] = EvaluateScan(node.As<ScanAttr>(), bindings, args);
    } else {
      owned[id] = EvaluateNode(node, bindings, args);
      value[id] = &owned[id];
    }
  }
  std::vector<Tensor> outputs;
  for (const Output& output : graph.outputs()) outputs.push_back(*value[output.node]);
  return outputs;
}

}  // namespace

Tensor Tensor::Filled(std::vector<int64_t> shape, double value) {
  size_t size = Product(shape);
  return {std::move(shape), std::vector<double>(size, value)};
}

std::vector<int64_t> Extents(const Shape& shape, const Bindings& bindings) {
  std::vector<int64_t> extents;
  for (const Dim& dim : shape) {
    if (dim.is_constant()) {
      extents.push_back(dim.extent);
    } else if (auto bound = bindings.find(dim.axis); bound != bindings.end()) {
      extents.push_back(bound->second);
    } else {
      StopOnInternalError(fmt::format("axis `{}` has no size", dim.axis));
    }
  }
  return extents;
}

std::vector<Tensor> Interpret(const Graph& graph, const Bindings& bindings, std::span<const Tensor> inputs) {
  if (inputs.size() != graph.inputs().size())
    StopOnInternalError(
        fmt::format("graph `{}` has {} inputs and is given {}", graph.name, graph.inputs().size(), inputs.size()));
  std::vector<const Tensor*> borrowed;
  for (size_t i = 0; i < inputs.size(); ++i) {
    const Node& input = graph[graph.inputs()[i]];
    Sizes expected = Extents(input.type.shape, bindings);
    if (inputs[i].shape != expected || inputs[i].size() != Product(expected))
      StopOnInternalError(fmt::format("input `{}` of graph `{}` is {} with {} values and is declared {}",
                                      input.As<InputAttr>().name, graph.name, inputs[i].shape, inputs[i].size(),
                                      expected));
    borrowed.push_back(&inputs[i]);
  }
  return EvaluateGraph(graph, bindings, borrowed);
}

double EvaluateElementwise(Op op, double a, double b, double c) { return real::Evaluate(op, a, b, c); }

}  // namespace recurve::ir

// compiler/flow.cpp: the trajectory of a scan, its Jacobians, and what their products say.

#include "compiler/flow.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "compiler/derivative.h"
#include "compiler/graph_util.h"
#include "ir/interpreter.h"
#include "runtime/random.h"

namespace recurve {
namespace {

using ir::Graph;
using ir::Node;
using ir::NodeId;
using ir::Op;
using ir::Tensor;

// [n, n], row-major.
struct Square {
  size_t n = 0;
  std::vector<double> values;

  static Square Identity(size_t n) {
    Square one{n, std::vector<double>(n * n)};
    for (size_t i = 0; i < n; ++i) one.values[i * n + i] = 1;
    return one;
  }
};

Square operator*(const Square& a, const Square& b) {
  Square product{a.n, std::vector<double>(a.n * a.n)};
  for (size_t i = 0; i < a.n; ++i) {
    for (size_t k = 0; k < a.n; ++k) {
      const double factor = a.values[i * a.n + k];
      for (size_t j = 0; j < a.n; ++j) product.values[i * a.n + j] += factor * b.values[k * a.n + j];
    }
  }
  return product;
}

double Length(const std::vector<double>& values) {
  double sum = 0;
  for (double value : values) sum += value * value;
  return std::sqrt(sum);
}

// The largest singular value, by power iteration on the matrix and its transpose.
double NormOf(const Square& matrix) {
  std::vector<double> x(matrix.n, 1), y(matrix.n);
  double norm = 0;
  for (int round = 0; round < 50; ++round) {
    const double length = Length(x);
    if (length == 0 || !std::isfinite(length)) return length;
    for (double& value : x) value /= length;
    std::ranges::fill(y, 0);
    for (size_t i = 0; i < matrix.n; ++i) {
      for (size_t j = 0; j < matrix.n; ++j) y[i] += matrix.values[i * matrix.n + j] * x[j];
    }
    norm = Length(y);
    std::ranges::fill(x, 0);
    for (size_t i = 0; i < matrix.n; ++i) {
      for (size_t j = 0; j < matrix.n; ++j) x[j] += matrix.values[i * matrix.n + j] * y[i];
    }
  }
  return norm;
}

// lim ||M^k||^(1/k), with k = 2^10: right also where the largest eigenvalues are a complex pair.
double RadiusOf(Square matrix) {
  constexpr int kSquarings = 10;
  double log_norm = 0;
  for (int i = 0; i <= kSquarings; ++i) {
    const double length = Length(matrix.values);
    if (length == 0) return 0;
    log_norm += std::log(length) / std::pow(2.0, i);
    for (double& value : matrix.values) value /= length;
    if (i < kSquarings) matrix = matrix * matrix;
  }
  return std::exp(log_norm);
}

Tensor DrawnInput(const Graph& graph, NodeId id, const ir::Bindings& sizes, uint64_t seed) {
  const auto& input = graph[id].As<ir::InputAttr>();
  Tensor tensor = Tensor::Filled(ir::Extents(graph.type(id).shape, sizes), 0);
  if (input.role != ir::Role::kData) return tensor;
  Random random(seed, StreamOf(input.name));
  for (double& value : tensor.values) {
    if (graph.type(id).element == ir::Element::kReal) {
      value = random.Normal();
    } else {
      value = input.classes == ir::kAnyIndex ? 1 : random.Below(static_cast<uint32_t>(input.classes));
    }
  }
  return tensor;
}

// `rows` copies of a tensor whose first axis is a batch of one.
Tensor Repeated(const Tensor& one, int64_t rows) {
  Tensor many{one.shape, {}};
  many.shape[0] = rows;
  for (int64_t r = 0; r < rows; ++r) many.values.insert(many.values.end(), one.values.begin(), one.values.end());
  return many;
}

class ScanMeter {
 public:
  // `operands` are those of the scan, for a batch of one.
  ScanMeter(const Node& scan, std::vector<Tensor> operands, int64_t steps)
      : attr_(scan.As<ir::ScanAttr>()), body_(*attr_.body), operands_(std::move(operands)), steps_(steps) {
    for (int c = 0; c < attr_.carries; ++c) states_ += operands_[c].values.size();
    for (int c = 0; c < attr_.carries; ++c) names_.push_back(body_[body_.inputs()[c]].As<ir::InputAttr>().name);
    FindGates();
    jacobian_ = Vjp(body_, names_);
  }

  size_t states() const { return states_; }

  ScanFlow Measure() {
    ScanFlow flow{.name = {}, .states = states_, .norms = {}, .radii = {}, .gates = gates_};
    std::vector<Square> jacobians;
    for (int64_t count = 0; count < steps_; ++count) {
      const int64_t step = attr_.reverse ? steps_ - 1 - count : count;
      jacobians.push_back(Jacobian(step));
      Advance(step, flow);
    }
    const int64_t every = std::max<int64_t>(1, steps_ / 25);
    for (int64_t t = 0; t < steps_; t += every) flow.radii.push_back(RadiusOf(jacobians[t]));
    Square product = Square::Identity(states_);
    flow.norms.assign(static_cast<size_t>(steps_) + 1, 1);
    for (int64_t t = steps_ - 1; t >= 0; --t) {
      product = product * jacobians[t];
      flow.norms[t] = NormOf(product);
    }
    return flow;
  }

 private:
  // Sigmoids by the names of their values or of what goes into them; the body then has them as outputs too.
  void FindGates() {
    UniqueNames unique;
    gated_ = body_;
    for (NodeId id = 0; id < body_.size(); ++id) {
      if (body_[id].op != Op::kSigmoid) continue;
      std::string name = body_[id].label.empty() ? body_[body_[id].args[0]].label : body_[id].label;
      if (name.empty()) name = "sigmoid";
      gates_.push_back({unique(name), {}});
      gated_.AddOutput("gate " + gates_.back().name, id);
    }
  }

  // The body's operands at a step, for so many equal rows.
  std::vector<Tensor> OperandsAt(int64_t step, int64_t rows) const {
    std::vector<Tensor> inputs;
    for (size_t i = 0; i < operands_.size(); ++i) {
      const int operand = static_cast<int>(i);
      Tensor tensor = operands_[i];
      if (operand >= attr_.carries && operand < attr_.carries + attr_.sequences) {
        const auto size = tensor.values.size() / static_cast<size_t>(steps_);
        tensor.shape.erase(tensor.shape.begin());
        const auto begin = operands_[i].values.begin() + static_cast<ptrdiff_t>(step * static_cast<int64_t>(size));
        tensor.values.assign(begin, begin + static_cast<ptrdiff_t>(size));
      }
      const ir::Shape& shape = body_.type(body_.inputs()[i]).shape;
      const bool has_batch = !shape.empty() && !shape[0].is_constant() && shape[0].axis == "B";
      inputs.push_back(has_batch ? Repeated(tensor, rows) : tensor);
    }
    return inputs;
  }

  // Row i of the batch asks for the gradient of the next state's number i.
  Square Jacobian(int64_t step) {
    const auto n = static_cast<int64_t>(states_);
    std::vector<Tensor> inputs = OperandsAt(step, n);
    const ir::Bindings sizes{{"B", n}};
    for (size_t i = inputs.size(); i < jacobian_.inputs().size(); ++i)
      inputs.push_back(Tensor::Filled(ir::Extents(jacobian_.type(jacobian_.inputs()[i]).shape, sizes), 0));
    size_t first = 0;
    for (int c = 0; c < attr_.carries; ++c) {
      const std::string name = body_.outputs()[c].name + "_adj";
      for (size_t i = 0; i < jacobian_.inputs().size(); ++i) {
        if (jacobian_[jacobian_.inputs()[i]].As<ir::InputAttr>().name != name) continue;
        const size_t width = inputs[i].values.size() / states_;
        for (size_t u = 0; u < width; ++u) inputs[i].values[(first + u) * width + u] = 1;
      }
      first += operands_[c].values.size();
    }
    const std::vector<Tensor> results = ir::Interpret(jacobian_, sizes, inputs);
    Square jacobian{states_, std::vector<double>(states_ * states_)};
    size_t column = 0;
    for (int c = 0; c < attr_.carries; ++c) {
      const Tensor& adjoint = results[body_.outputs().size() + static_cast<size_t>(c)];
      const size_t width = adjoint.values.size() / states_;
      for (size_t row = 0; row < states_; ++row) {
        for (size_t u = 0; u < width; ++u)
          jacobian.values[row * states_ + column + u] = adjoint.values[row * width + u];
      }
      column += width;
    }
    return jacobian;
  }

  void Advance(int64_t step, ScanFlow& flow) {
    std::vector<Tensor> results = ir::Interpret(gated_, {{"B", 1}}, OperandsAt(step, 1));
    for (int c = 0; c < attr_.carries; ++c) operands_[c] = results[c];
    for (size_t g = 0; g < gates_.size(); ++g) {
      const std::vector<double>& values = results[body_.outputs().size() + g].values;
      double sum = 0;
      for (double value : values) sum += value;
      flow.gates[g].means.push_back(sum / static_cast<double>(values.size()));
    }
  }

  const ir::ScanAttr& attr_;
  const Graph& body_;
  std::vector<Tensor> operands_;
  int64_t steps_;
  size_t states_ = 0;
  std::vector<std::string> names_;
  Graph jacobian_, gated_;
  std::vector<GateFlow> gates_;
};

// The graph with the operands of a scan as its outputs; a scan needs its symbolic axes alone.
Graph OperandsOf(const Graph& graph, NodeId scan) {
  Graph to;
  to.name = graph.name;
  NodeMap map = EmptyMap(graph);
  for (NodeId id : graph.inputs()) map[id] = CopyNode(graph, id, map, to);
  CopyNeeded(graph, graph[scan].args, map, to);
  for (size_t i = 0; i < graph[scan].args.size(); ++i) to.AddOutput(fmt::format("{}", i), map[graph[scan].args[i]]);
  return to;
}

}  // namespace

size_t ScanFlow::memory() const {
  const size_t steps = norms.size() - 1;
  size_t back = 0;
  while (back < steps && norms[steps - back - 1] >= std::exp(-1.0)) ++back;
  return back;
}

std::expected<std::vector<ScanFlow>, Error> MeasureFlow(const ir::Graph& graph, const WeightFile& weights,
                                                        int64_t steps, uint64_t seed) {
  auto fail = [&](const std::string& flaw) {
    return std::unexpected(Error{fmt::format("cannot follow the gradient of `{}`: {}", graph.name, flaw)});
  };
  ir::Bindings sizes;
  for (const std::string& axis : ir::SymbolicAxes(graph)) sizes[axis] = axis == "B" ? 1 : steps;
  std::vector<Tensor> inputs;
  for (NodeId id : graph.inputs()) {
    const auto& input = graph[id].As<ir::InputAttr>();
    if (input.role != ir::Role::kParameter && input.role != ir::Role::kConstant) {
      inputs.push_back(DrawnInput(graph, id, sizes, seed));
      continue;
    }
    Tensor tensor = Tensor::Filled(ir::Extents(graph.type(id).shape, sizes), 0);
    const WeightTensor* stored = weights.Find(input.name);
    if (stored == nullptr || stored->values.size() != tensor.values.size())
      return fail(fmt::format("the weights have no `{}` of {} numbers", input.name, tensor.values.size()));
    tensor.values = stored->values;
    inputs.push_back(std::move(tensor));
  }
  std::vector<ScanFlow> flows;
  for (NodeId id = 0; id < graph.size(); ++id) {
    if (graph[id].op != Op::kScan || graph[id].As<ir::ScanAttr>().carries == 0) continue;
    if (graph[id].As<ir::ScanAttr>().time.is_constant()) continue;
    ScanMeter meter(graph[id], ir::Interpret(OperandsOf(graph, id), sizes, inputs), steps);
    std::string name = graph[id].label.empty() ? "scan" : graph[id].label;
    if (meter.states() > kMostFlowStates)
      return fail(
          fmt::format("`{}` has {} numbers of state, and {} is the most", name, meter.states(), kMostFlowStates));
    flows.push_back(meter.Measure());
    flows.back().name = fmt::format("{}{}", name, flows.size() > 1 ? fmt::format(" ({})", flows.size()) : "");
  }
  if (flows.empty()) return fail("it has no scan over time");
  return flows;
}

}  // namespace recurve

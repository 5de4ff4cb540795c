// tests/derivative/numeric.cpp: finite differences of the interpreter.

#include "tests/derivative/numeric.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "compiler/derivative.h"
#include "compiler/graph_util.h"
#include "compiler/split.h"
#include "ir/builder.h"
#include "ir/verifier.h"

namespace recurve {

using ir::Bindings;
using ir::Expr;
using ir::Graph;
using ir::Tensor;

namespace {

constexpr double kStep = 1e-5;
constexpr double kTolerance = 2e-7;

double Dot(const Tensor& a, const Tensor& b) {
  double sum = 0;
  for (int64_t i = 0; i < a.size(); ++i) sum += a.values[i] * b.values[i];
  return sum;
}

// L = sum of y_adj * y over the real outputs.
double Objective(const Graph& graph, const Bindings& bindings, std::span<const Tensor> inputs,
                 std::span<const Tensor> adjoints) {
  std::vector<Tensor> outputs = ir::Interpret(graph, bindings, inputs);
  double sum = 0;
  size_t next = 0;
  for (size_t i = 0; i < outputs.size(); ++i) {
    if (graph.type(graph.outputs()[i].node).element == ir::Element::kReal) sum += Dot(outputs[i], adjoints[next++]);
  }
  return sum;
}

using Named = std::map<std::string, Tensor>;

// Runs a program on values by name and adds its outputs to them.
void Run(const Graph& program, const Bindings& bindings, Named& values) {
  ASSERT_EQ(ir::Verify(program), "");
  std::vector<Tensor> inputs;
  for (ir::NodeId id : program.inputs()) inputs.push_back(values.at(program[id].As<ir::InputAttr>().name));
  std::vector<Tensor> outputs = ir::Interpret(program, bindings, inputs);
  for (size_t i = 0; i < outputs.size(); ++i) values[program.outputs()[i].name] = outputs[i];
}

}  // namespace

Tensor RandomTensor(std::vector<int64_t> shape, Random& random) {
  Tensor tensor = Tensor::Filled(std::move(shape), 0);
  std::uniform_real_distribution<double> uniform(-1, 1);
  for (double& value : tensor.values) value = uniform(random);
  return tensor;
}

std::vector<Tensor> RandomInputs(const Graph& graph, const Bindings& bindings, Random& random) {
  std::vector<Tensor> inputs;
  for (ir::NodeId id : graph.inputs()) {
    Tensor tensor = RandomTensor(ir::Extents(graph.type(id).shape, bindings), random);
    if (graph.type(id).element == ir::Element::kIndex) {
      std::uniform_int_distribution<int64_t> index(0, graph[id].As<ir::InputAttr>().classes - 1);
      for (double& value : tensor.values) value = static_cast<double>(index(random));
    }
    inputs.push_back(std::move(tensor));
  }
  return inputs;
}

std::vector<std::string> RealInputs(const Graph& graph) {
  std::vector<std::string> names;
  for (ir::NodeId id : graph.inputs()) {
    const auto& input = graph[id].As<ir::InputAttr>();
    if (graph.type(id).element == ir::Element::kReal && input.role != ir::Role::kAdjoint) names.push_back(input.name);
  }
  return names;
}

void ExpectVjpIsFiniteDifference(const Graph& graph, const std::vector<std::string>& wrt, const Bindings& bindings,
                                 Random& random) {
  ASSERT_EQ(ir::Verify(graph), "");
  Graph vjp = Vjp(graph, wrt);
  ASSERT_EQ(ir::Verify(vjp), "");

  std::vector<Tensor> inputs = RandomInputs(vjp, bindings, random);
  std::vector<Tensor> results = ir::Interpret(vjp, bindings, inputs);
  size_t primal_inputs = graph.inputs().size(), primal_outputs = graph.outputs().size();
  std::vector<Tensor> primal(inputs.begin(), inputs.begin() + primal_inputs);
  std::vector<Tensor> adjoints(inputs.begin() + primal_inputs, inputs.end());
  ASSERT_EQ(results.size(), primal_outputs + wrt.size());

  // Each input by itself, so that one wrong gradient is named.
  for (size_t k = 0; k < wrt.size(); ++k) {
    size_t which = std::ranges::find(graph.inputs(), graph.FindInput(wrt[k])) - graph.inputs().begin();
    Tensor direction = RandomTensor(primal[which].shape, random);
    auto objective_at = [&](double step) {
      std::vector<Tensor> moved = primal;
      for (int64_t i = 0; i < direction.size(); ++i) moved[which].values[i] += step * direction.values[i];
      return Objective(graph, bindings, moved, adjoints);
    };
    double actual = Dot(results[primal_outputs + k], direction);
    // A kink or a jump within one step is hardly within the other as well.
    for (double step : {kStep, kStep / 8}) {
      double expected = (objective_at(step) - objective_at(-step)) / (2 * step);
      double scale = 1 + std::abs(expected) + std::abs(objective_at(0));
      bool agrees = std::abs(actual - expected) <= kTolerance * scale;
      if (agrees) break;
      EXPECT_TRUE(agrees || step == kStep)
          << "gradient of " << wrt[k] << ": " << actual << ", differences: " << expected;
    }
  }
}

Graph SquaredGradientNorm(const Graph& graph, const std::vector<std::string>& wrt) {
  auto squared_norm = [](Expr a) {
    std::vector<int> axes;
    for (int axis = 0; axis < a.type().rank(); ++axis) axes.push_back(axis);
    return ir::ReduceSum(a * a, axes);
  };
  auto sum_of = [](std::span<const Expr> terms) {
    Expr sum = terms[0];
    for (Expr term : terms.subspan(1)) sum = sum + term;
    return sum;
  };

  Graph with_loss = graph;
  std::vector<Expr> terms;
  for (const ir::Output& output : graph.outputs()) terms.push_back(squared_norm(with_loss.At(output.node)));
  with_loss.AddOutput("loss", sum_of(terms));
  Graph gradient = Gradient(with_loss, "loss", wrt);

  terms.clear();
  for (size_t i = 1; i < gradient.outputs().size(); ++i) {
    terms.push_back(squared_norm(gradient.At(gradient.outputs()[i].node)));
  }
  Expr norm = sum_of(terms);
  Graph result;
  NodeMap map = EmptyMap(gradient);
  CopyAbsent(gradient, map, result);
  result.AddOutput("norm", map[norm.id()]);
  return result;
}

void ExpectSameOutputs(const Graph& expected, const Graph& actual, const Bindings& bindings,
                       std::span<const Tensor> inputs) {
  std::vector<Tensor> a = ir::Interpret(expected, bindings, inputs);
  std::vector<Tensor> b = ir::Interpret(actual, bindings, inputs);
  ASSERT_EQ(a.size(), b.size());
  for (size_t i = 0; i < a.size(); ++i) EXPECT_LT(Difference(a[i], b[i]), 1e-12) << expected.outputs()[i].name;
}

void ExpectSplitIsJoint(const Graph& primal, const Bindings& bindings, Random& random) {
  Graph joint = Vjp(primal, RealInputs(primal));
  std::vector<Tensor> inputs = RandomInputs(joint, bindings, random);
  std::vector<Tensor> expected = ir::Interpret(joint, bindings, inputs);
  Named values;
  for (size_t i = 0; i < inputs.size(); ++i) values[joint[joint.inputs()[i]].As<ir::InputAttr>().name] = inputs[i];

  SplitPrograms split = SplitForwardBackward(joint, static_cast<int>(primal.outputs().size()));
  std::vector<Graph> programs{split.forward, split.backward};
  Graph pack = ExtractPacked(programs);
  Named packed_values = values;
  Run(split.forward, bindings, values);
  Run(split.backward, bindings, values);
  Run(pack, bindings, packed_values);
  for (const Graph& program : programs) Run(program, bindings, packed_values);
  for (size_t i = 0; i < expected.size(); ++i) {
    const std::string& name = joint.outputs()[i].name;
    EXPECT_EQ(Difference(expected[i], values[name]), 0) << name;
    EXPECT_EQ(Difference(expected[i], packed_values[name]), 0) << name << ", packed";
  }
}

double Difference(const Tensor& a, const Tensor& b) {
  EXPECT_EQ(a.shape, b.shape);
  double scale = 1, difference = 0;
  for (int64_t i = 0; i < std::min(a.size(), b.size()); ++i) {
    scale = std::max(scale, std::abs(a.values[i]));
    // A NaN on one side is a difference.
    double error = std::abs(a.values[i] - b.values[i]);
    difference = error <= difference ? difference : error;
    if (std::isnan(error)) return INFINITY;
  }
  return difference / scale;
}

}  // namespace recurve

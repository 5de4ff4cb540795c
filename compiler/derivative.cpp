// compiler/derivative.cpp: the reverse mode of a whole graph: seeds at the outputs, one walk back, adjoints of inputs
// as outputs. The rules are in derivative_rules.cpp, the walk in reverse_walk.cpp, scans in derivative_scan.cpp.

#include "compiler/derivative.h"

#include <algorithm>
#include <functional>
#include <utility>

#include "compiler/activity.h"
#include "compiler/graph_util.h"
#include "compiler/reverse_walk.h"
#include "ir/builder.h"

namespace recurve {

using ir::Expr;
using ir::Graph;
using ir::NodeId;

namespace {

bool IsDifferentiable(const Graph& graph, const ir::Output& output) {
  return graph.type(output.node).element == ir::Element::kReal;
}

Activity ActivityFor(const Graph& graph, std::span<const std::string> wrt) {
  std::vector<bool> varied, seeded;
  for (NodeId input : graph.inputs()) {
    varied.push_back(std::ranges::find(wrt, graph[input].As<ir::InputAttr>().name) != wrt.end());
  }
  for (const ir::Output& output : graph.outputs()) seeded.push_back(IsDifferentiable(graph, output));
  return FindActivity(graph, varied, seeded);
}

// The graph, the adjoint of each differentiable output that `seed` makes, and the adjoints of `wrt` as further outputs.
Graph ReverseMode(const Graph& graph, std::span<const std::string> wrt,
                  const std::function<Expr(Graph& to, const ir::Output&)>& seed) {
  Activity activity = ActivityFor(graph, wrt);
  Augmented augmented = Augment(graph, activity);
  Graph& to = augmented.graph;
  ReverseWalk walk(graph, activity, augmented, [&](NodeId id) { return to.At(id); }, to);
  for (const ir::Output& output : graph.outputs()) {
    if (IsDifferentiable(graph, output)) walk.Seed(output.node, seed(to, output));
  }
  walk.Run();

  UniqueNames names;
  for (const ir::Output& output : graph.outputs()) names(output.name);
  for (const std::string& name : wrt) {
    NodeId input = graph.FindInput(name);
    Expr adj = walk.Adjoint(input);
    to.AddOutput(names(name + "_adj"), adj ? adj : ir::Constant(to, graph.type(input).shape, 0));
  }
  return std::move(to);
}

}  // namespace

Graph Vjp(const Graph& graph, std::span<const std::string> wrt) {
  UniqueNames names;
  for (NodeId input : graph.inputs()) names(graph[input].As<ir::InputAttr>().name);
  return ReverseMode(graph, wrt, [&](Graph& to, const ir::Output& output) {
    return to.AddInput(names(output.name + "_adj"), ir::Role::kAdjoint, graph.type(output.node).shape);
  });
}

Graph Gradient(const Graph& graph, const std::string& loss, std::span<const std::string> wrt) {
  Graph alone;
  alone.name = graph.name;
  NodeMap map = EmptyMap(graph);
  std::vector<NodeId> roots = graph.inputs();
  roots.push_back(graph.FindOutput(loss));
  CopyNeeded(graph, roots, map, alone);
  alone.AddOutput(loss, map[roots.back()]);
  return ReverseMode(alone, wrt, [&](Graph& to, const ir::Output& output) {
    return ir::Constant(to, alone.type(output.node).shape, 1);
  });
}

std::vector<std::string> Unreachable(const Graph& graph, std::span<const std::string> wrt) {
  Activity activity = ActivityFor(graph, wrt);
  std::vector<std::string> unreachable;
  for (const std::string& name : wrt) {
    if (!activity.active[graph.FindInput(name)]) unreachable.push_back(name);
  }
  return unreachable;
}

}  // namespace recurve

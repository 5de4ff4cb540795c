// compiler/batch_first.cpp: a transposition behind every input and before every output that is a sequence.

#include "compiler/batch_first.h"

#include <numeric>
#include <utility>
#include <vector>

#include "compiler/graph_util.h"
#include "ir/builder.h"

namespace recurve {
namespace {

bool IsSequence(const ir::Shape& shape) { return shape.size() >= 2 && !shape[0].is_constant() && shape[1].axis == "B"; }

ir::Expr SwapFirstTwo(ir::Expr a) {
  std::vector<int> order(a.shape().size());
  std::iota(order.begin(), order.end(), 0);
  std::swap(order[0], order[1]);
  return ir::Transpose(a, std::move(order));
}

}  // namespace

ir::Graph BatchFirst(const ir::Graph& graph) {
  ir::Graph to;
  to.name = graph.name;
  NodeMap map = EmptyMap(graph);
  for (ir::NodeId id = 0; id < graph.size(); ++id) {
    if (graph[id].op != ir::Op::kInput || !IsSequence(graph.type(id).shape)) {
      map[id] = CopyNode(graph, id, map, to);
      continue;
    }
    ir::Node input = graph[id];
    std::swap(input.type.shape[0], input.type.shape[1]);
    map[id] = SwapFirstTwo(to.At(to.Add(std::move(input)))).id();
  }
  for (const ir::Output& output : graph.outputs()) {
    const ir::Expr value = to.At(map[output.node]);
    to.AddOutput(output.name, IsSequence(value.shape()) ? SwapFirstTwo(value) : value);
  }
  return to;
}

}  // namespace recurve

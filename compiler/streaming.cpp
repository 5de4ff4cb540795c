// compiler/streaming.cpp: beginnings become inputs, and the time axis one step long.

#include "compiler/streaming.h"

#include <map>
#include <string>
#include <vector>

#include "compiler/graph_util.h"
#include "compiler/unroll.h"
#include "ir/builder.h"

namespace recurve {
namespace {

using ir::Graph;
using ir::Node;
using ir::NodeId;
using ir::Op;
using ir::Role;

// A state with a beginning of its own.
struct Beginning {
  std::string name;  // of the state
  NodeId scan = kAbsent;
  int carry = 0;
  NodeId value = kAbsent;
};

bool IsGiven(const Node& node) {
  if (node.op != Op::kInput) return false;
  const Role role = node.As<ir::InputAttr>().role;
  return role != Role::kParameter && role != Role::kConstant;
}

std::vector<Beginning> BeginningsOf(const Graph& graph, std::string_view time) {
  std::vector<NodeId> roots;
  for (NodeId id = 0; id < graph.size(); ++id) {
    if (IsGiven(graph[id]) || graph[id].op == Op::kScan) roots.push_back(id);
  }
  const std::vector<bool> depends = DependsOn(graph, roots);
  std::vector<Beginning> beginnings;
  for (const ir::Output& output : graph.outputs()) {
    const Node& node = graph[output.node];
    if (node.op != Op::kScanResult || !output.name.ends_with('T')) continue;
    const Node& scan = graph[node.args[0]];
    const auto& attr = scan.As<ir::ScanAttr>();
    const int carry = node.As<ir::ResultAttr>().index;
    if (attr.time.axis != time || carry >= attr.carries || depends[scan.args[carry]]) continue;
    beginnings.push_back({output.name.substr(0, output.name.size() - 1), node.args[0], carry, scan.args[carry]});
  }
  return beginnings;
}

Graph WithInputsFor(const std::vector<Beginning>& beginnings, const Graph& graph) {
  Graph to;
  to.name = graph.name;
  NodeMap map = EmptyMap(graph);
  for (NodeId id = 0; id < graph.size(); ++id) {
    Node node = graph[id];
    for (NodeId& arg : node.args) arg = map[arg];
    for (const Beginning& beginning : beginnings) {
      if (beginning.scan != id) continue;
      node.args[beginning.carry] =
          AddInputOfType(to, beginning.name + "0", Role::kState, graph.type(beginning.value)).id();
    }
    map[id] = to.Add(std::move(node));
  }
  CopyOutputs(graph, map, to);
  return to;
}

Graph ResetOf(const std::vector<Beginning>& beginnings, const Graph& graph) {
  Graph to;
  to.name = graph.name;
  if (beginnings.empty()) return to;
  NodeMap map = EmptyMap(graph);
  std::vector<NodeId> values;
  for (const Beginning& beginning : beginnings) values.push_back(beginning.value);
  CopyNeeded(graph, values, map, to);
  for (const Beginning& beginning : beginnings) to.AddOutput(beginning.name, map[beginning.value]);
  for (NodeId id : graph.inputs()) {
    const auto& input = graph[id].As<ir::InputAttr>();
    if (input.role != Role::kState || !input.name.ends_with('0')) continue;
    const std::string name = input.name.substr(0, input.name.size() - 1);
    to.AddOutput(name, ir::Constant(to, graph.type(id).shape, 0).id());
  }
  return to;
}

}  // namespace

StreamingPrograms StreamingOf(const ir::Graph& inference, std::string_view time) {
  const std::vector<Beginning> beginnings = BeginningsOf(inference, time);
  return {Unroll(WithInputsFor(beginnings, inference), time, 1), ResetOf(beginnings, inference)};
}

}  // namespace recurve

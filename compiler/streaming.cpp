// compiler/streaming.cpp: beginnings become inputs, and the time axis one step long.

#include "compiler/streaming.h"

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "compiler/graph_util.h"
#include "compiler/unit_axis.h"
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

// Whether somebody asks for the numbers of steps, and not whether a sequence is at its end, which has a rule of its
// own: in `step` a length is 1 or 0.
bool IsMask(const Graph& graph, NodeId reader) {
  if (graph[reader].op != Op::kLess) return false;
  const NodeId limit = graph[reader].args[1];
  const std::vector<bool> needed = NeededBy(graph, std::span(&limit, 1));
  for (NodeId id : graph.inputs()) {
    if (needed[id] && graph[id].As<ir::InputAttr>().classes == ir::kAnyIndex) return true;
  }
  return false;
}

// A program whose steps along `time` are counted by a state `steps`, if anybody asks for their numbers.
Graph WithStepsCounted(const Graph& graph, std::string_view time) {
  auto counts = [&](NodeId id) {
    return graph[id].op == Op::kIota && graph.type(id).shape.size() == 1 && graph.type(id).shape[0].axis == time;
  };
  // Numbers, and what repeats them along other axes, for anything but masks.
  std::vector<bool> wanted(graph.size()), is_number(graph.size());
  bool is_wanted = false;
  for (NodeId id = 0; id < graph.size(); ++id) {
    is_number[id] = counts(id) || (graph[id].op == Op::kBroadcast && is_number[graph[id].args[0]]);
    if (is_number[id]) continue;
    for (NodeId arg : graph[id].args) {
      if (is_number[arg] && !IsMask(graph, id)) is_wanted = wanted[id] = true;
    }
  }
  if (!is_wanted) return graph;
  Graph to;
  to.name = graph.name;
  const ir::Expr before = to.AddInput("steps0", Role::kState, {});
  NodeMap map = EmptyMap(graph), counted = EmptyMap(graph);
  for (NodeId id = 0; id < graph.size(); ++id) {
    Node node = graph[id];
    for (NodeId& arg : node.args) arg = wanted[id] && is_number[arg] ? counted[arg] : map[arg];
    map[id] = to.Add(std::move(node));
    if (counts(id)) {
      counted[id] = (to.At(map[id]) + ir::BroadcastTo(before, graph.type(id).shape, {})).id();
    } else if (is_number[id]) {
      Node repeated = graph[id];
      repeated.args = {counted[graph[id].args[0]]};
      counted[id] = to.Add(std::move(repeated));
    }
  }
  CopyOutputs(graph, map, to);
  to.AddOutput("stepsT", before + ir::Extent(to, ir::Dim(std::string(time))));
  return to;
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

// A program of two time axes, cut where the steps of `time` want something of what comes before them.
class Decoding {
 public:
  Decoding(const Graph& graph, std::string_view time, std::string_view other)
      : graph_(graph), time_(time), in_steps_(After(time)), after_other_(After(other)) {
    for (NodeId id : graph.inputs()) names_(graph[id].As<ir::InputAttr>().name);
  }

  // Whether the other axis comes first, and a scan along `time` takes something of it.
  bool IsPossible() const {
    bool takes = false;
    for (NodeId id = 0; id < graph_.size(); ++id) {
      if (!in_steps_[id] || graph_[id].op != Op::kScan) continue;
      if (graph_[id].As<ir::ScanAttr>().time.axis != time_) return false;
      for (NodeId arg : graph_[id].args) takes |= IsCut(arg);
    }
    return takes;
  }

  StreamingPrograms Run() {
    StreamingPrograms programs;
    Graph step;
    step.name = programs.encode.name = graph_.name;
    NodeMap before = EmptyMap(graph_), map = EmptyMap(graph_);
    std::vector<NodeId> steps;
    std::vector<bool> cut(in_steps_.size());
    for (NodeId id = 0; id < graph_.size(); ++id) {
      if (in_steps_[id]) steps.push_back(id);
      cut[id] = IsCut(id);
    }
    const std::vector<bool> wanted = NeededBy(graph_, steps, cut);
    for (NodeId id = 0; id < graph_.size(); ++id) {
      if (wanted[id] && !in_steps_[id] && !cut[id]) map[id] = CopyNode(graph_, id, map, step);
    }
    for (NodeId id = 0; id < graph_.size(); ++id) {
      if (!in_steps_[id]) continue;
      Node node = graph_[id];
      for (size_t k = 0; k < node.args.size(); ++k) {
        const NodeId arg = node.args[k];
        const std::string state = IsCut(arg) ? StateOf(id, static_cast<int>(k)) : "";
        if (!state.empty()) {
          node.args[k] = AddInputOfType(step, state + "0", Role::kState, graph_.type(arg)).id();
          Want(arg, state, before, programs.encode);
          continue;
        }
        if (IsCut(arg) && map[arg] == kAbsent) {
          const std::string name = names_(graph_[arg].label.empty() ? "context" : graph_[arg].label);
          map[arg] = AddInputOfType(step, name, Role::kData, graph_.type(arg)).id();
          Want(arg, name, before, programs.encode);
        }
        node.args[k] = map[arg];
      }
      map[id] = step.Add(std::move(node));
    }
    for (const ir::Output& output : graph_.outputs()) {
      if (in_steps_[output.node]) {
        step.AddOutput(output.name, map[output.node]);
      } else if (!IsState(output.name)) {
        Want(output.node, output.name, before, programs.encode);
      }
    }
    // States that begin as the caller says begin with zero here.
    for (NodeId id : step.inputs()) {
      const auto& input = step[id].As<ir::InputAttr>();
      const std::string name = input.name.substr(0, input.name.size() - 1);
      if (input.role == Role::kState && programs.encode.FindOutput(name) < 0)
        programs.encode.AddOutput(name, ir::Constant(programs.encode, step.type(id).shape, 0).id());
    }
    programs.step = DropUnitAxes(Unroll(step, time_, 1));
    return programs;
  }

 private:
  // Nodes of the axis, and those that depend on them.
  std::vector<bool> After(std::string_view axis) const {
    std::vector<NodeId> roots;
    for (NodeId id = 0; id < graph_.size(); ++id) {
      const Node& node = graph_[id];
      const bool is_along = !node.type.shape.empty() && node.type.shape[0].axis == axis;
      const bool is_scan = node.op == Op::kScan && node.As<ir::ScanAttr>().time.axis == axis;
      const bool is_extent = node.op == Op::kExtent && node.As<ir::ExtentAttr>().dim.axis == axis;
      if (is_along || is_scan || is_extent) roots.push_back(id);
    }
    return DependsOn(graph_, roots);
  }
  // What the steps must be told: it comes of the other axis. All else that they want they compute.
  bool IsCut(NodeId id) const { return !in_steps_[id] && after_other_[id]; }

  bool IsState(const std::string& output) const {
    return output.ends_with('T') && graph_.FindInput(output.substr(0, output.size() - 1) + "0") >= 0;
  }

  // The name of the state that an operand of a node is the beginning of, or an empty string.
  std::string StateOf(NodeId id, int operand) const {
    const bool is_carry = graph_[id].op == Op::kScan && operand < graph_[id].As<ir::ScanAttr>().carries;
    return is_carry ? StateOfCarry(graph_, id, operand) : "";
  }

  void Want(NodeId id, const std::string& name, NodeMap& map, Graph& encode) {
    CopyNeeded(graph_, std::span(&id, 1), map, encode);
    encode.AddOutput(name, map[id]);
  }

  const Graph& graph_;
  std::string_view time_;
  std::vector<bool> in_steps_, after_other_;
  UniqueNames names_;
};

}  // namespace

StreamingPrograms StreamingOf(const ir::Graph& inference) {
  std::vector<std::string> axes = ir::SymbolicAxes(inference);
  std::erase(axes, "B");
  if (axes.size() == 2) {
    const bool first = Decoding(inference, axes[0], axes[1]).IsPossible(),
               second = Decoding(inference, axes[1], axes[0]).IsPossible();
    if (first == second) return {};
    if (second) std::swap(axes[0], axes[1]);
    const Graph counted = WithStepsCounted(inference, axes[0]);
    return Decoding(counted, axes[0], axes[1]).Run();
  }
  if (axes.size() != 1) return {};
  const Graph counted = WithStepsCounted(inference, axes[0]);
  const std::vector<Beginning> beginnings = BeginningsOf(counted, axes[0]);
  const Graph step = Unroll(WithInputsFor(beginnings, counted), axes[0], 1);
  return {DropUnitAxes(step), ResetOf(beginnings, counted), {}};
}

}  // namespace recurve

// compiler/split.cpp: cutting a graph at the adjoint inputs, and cutting off what parameters alone determine.

#include "compiler/split.h"

#include <algorithm>
#include <string>
#include <vector>

#include "compiler/graph_util.h"
#include "compiler/tape.h"
#include "ir/builder.h"

namespace recurve {

using ir::Graph;
using ir::Node;
using ir::NodeId;
using ir::Op;
using ir::Role;

namespace {

bool HasRole(const Graph& graph, NodeId id, Role role) {
  return graph[id].op == Op::kInput && graph[id].As<ir::InputAttr>().role == role;
}

// What the forward program computes: all that the primal outputs need, and every result of a scan among it.
std::vector<bool> ForwardValues(const Graph& joint, std::span<const NodeId> primal) {
  std::vector<bool> forward = NeededBy(joint, primal);
  for (NodeId id = 0; id < joint.size(); ++id) {
    if (joint[id].op == Op::kScanResult) forward[id] = forward[joint[id].args[0]];
  }
  return forward;
}

// What the gradients mention of the forward values, directly or as operands.
std::vector<bool> MentionedValues(const Graph& joint, std::span<const NodeId> gradients,
                                  const std::vector<bool>& forward) {
  std::vector<bool> mentioned = NeededBy(joint, gradients, forward);
  for (NodeId id = 0; id < joint.size(); ++id) mentioned[id] = mentioned[id] && forward[id];
  return mentioned;
}

bool IsTime(const ir::Dim& dim) { return !dim.is_constant() && dim.axis != "B"; }

// For each value whether it has a time axis, or is a scan over one.
std::vector<bool> ValuesOverTime(const Graph& graph) {
  std::vector<bool> over_time(graph.size());
  for (NodeId id = 0; id < graph.size(); ++id) {
    const Node& node = graph[id];
    over_time[id] = node.op == Op::kScan ? IsTime(node.As<ir::ScanAttr>().time)
                                         : node.op != Op::kInput && std::ranges::any_of(node.type.shape, IsTime);
  }
  return over_time;
}

// The forward scans that the gradients need although the tape is there.
std::vector<NodeId> ScansAgain(const Graph& joint, std::span<const NodeId> tape, std::span<const NodeId> gradients,
                               const std::vector<bool>& forward) {
  std::vector<bool> stored(joint.size());
  for (NodeId id : tape) stored[id] = true;
  const std::vector<bool> needed = NeededBy(joint, gradients, stored);
  std::vector<NodeId> scans;
  for (NodeId id = 0; id < joint.size(); ++id) {
    if (joint[id].op == Op::kScan && forward[id] && needed[id]) scans.push_back(id);
  }
  return scans;
}

// The same graph, these scans numbered.
Graph WithCheckpoints(const Graph& joint, const std::vector<NodeId>& scans) {
  Graph numbered;
  numbered.name = joint.name;
  for (NodeId id = 0; id < joint.size(); ++id) {
    Node node = joint[id];
    const auto found = std::ranges::find(scans, id);
    if (found != scans.end()) std::get<ir::ScanAttr>(node.attr).checkpoint = static_cast<int>(found - scans.begin());
    numbered.Add(std::move(node));
  }
  for (const ir::Output& output : joint.outputs()) numbered.AddOutput(output.name, output.node);
  return numbered;
}

Graph BackwardProgram(const Graph& joint, std::span<const NodeId> tape, int primal_outputs) {
  Graph backward;
  backward.name = joint.name;
  std::vector<NodeId> gradients = OutputNodes(joint);
  gradients.erase(gradients.begin(), gradients.begin() + primal_outputs);
  std::vector<bool> stored(joint.size());
  for (NodeId id : tape) stored[id] = true;
  std::vector<bool> needed = NeededBy(joint, gradients, stored);
  NodeMap map = EmptyMap(joint);
  for (NodeId id : joint.inputs()) {
    if (needed[id] || HasRole(joint, id, Role::kAdjoint)) map[id] = CopyNode(joint, id, map, backward);
  }
  for (size_t i = 0; i < tape.size(); ++i) {
    map[tape[i]] = AddInputOfType(backward, "tape" + std::to_string(i), Role::kTape, joint.type(tape[i]),
                                  ClassesOf(joint, tape[i]))
                       .id();
    if (!joint[tape[i]].label.empty()) backward.SetLabel(map[tape[i]], joint[tape[i]].label);
  }
  CopyNeeded(joint, gradients, map, backward);
  for (size_t i = primal_outputs; i < joint.outputs().size(); ++i) {
    backward.AddOutput(joint.outputs()[i].name, map[joint.outputs()[i].node]);
  }
  return backward;
}

Graph ForwardProgram(const Graph& joint, std::span<const NodeId> tape, int primal_outputs) {
  Graph forward;
  forward.name = joint.name;
  std::vector<NodeId> roots(tape.begin(), tape.end());
  for (NodeId id : joint.inputs()) {
    if (!HasRole(joint, id, Role::kAdjoint)) roots.push_back(id);
  }
  for (int i = 0; i < primal_outputs; ++i) roots.push_back(joint.outputs()[i].node);
  NodeMap map = EmptyMap(joint);
  CopyNeeded(joint, roots, map, forward);
  for (int i = 0; i < primal_outputs; ++i) {
    forward.AddOutput(joint.outputs()[i].name, map[joint.outputs()[i].node]);
  }
  for (size_t i = 0; i < tape.size(); ++i) forward.AddOutput("tape" + std::to_string(i), map[tape[i]]);
  return forward;
}

// Whether a value's computation involves the size of a symbolic axis, which `pack` does not know.
bool AsksForSize(const Graph& graph, NodeId id) {
  const Node& node = graph[id];
  if (node.op == Op::kScan) {
    const ir::ScanAttr& attr = node.As<ir::ScanAttr>();
    return !attr.time.is_constant() || !ir::SymbolicAxes(*attr.body).empty();
  }
  return node.op == Op::kExtent || !std::ranges::all_of(node.type.shape, &ir::Dim::is_constant);
}

// For each node whether `pack` can compute it: parameters alone determine it, and arithmetic does.
std::vector<bool> PackableValues(const Graph& program) {
  std::vector<bool> fixed(program.size()), of_parameters(program.size()), packable(program.size());
  for (NodeId id = 0; id < program.size(); ++id) {
    const Node& node = program[id];
    if (node.op == Op::kInput) {
      fixed[id] = HasRole(program, id, Role::kParameter) || HasRole(program, id, Role::kConstant);
      of_parameters[id] = fixed[id];
      continue;
    }
    fixed[id] = !AsksForSize(program, id) && std::ranges::all_of(node.args, [&](NodeId arg) { return fixed[arg]; });
    of_parameters[id] = std::ranges::any_of(node.args, [&](NodeId arg) { return of_parameters[arg]; });
    packable[id] = fixed[id] && of_parameters[id] && !IsDataMovement(node.op) && node.op != Op::kScan;
  }
  return packable;
}

// The graph that `pack` runs, as it grows. Equal values of several programs are one value here.
class PackBuilder {
 public:
  // Moves a value of `program` here; its name among the outputs.
  std::string Move(const Graph& program, NodeId value, NodeMap& map) {
    std::vector<bool> present(program.size());
    for (NodeId id = 0; id < program.size(); ++id) present[id] = map[id] != kAbsent;
    std::vector<bool> needed = NeededBy(program, {{value}}, present);
    for (NodeId id = 0; id < program.size(); ++id) {
      if (needed[id] && !present[id]) map[id] = FindOrCopy(program, id, map);
    }
    for (const ir::Output& output : pack_.outputs()) {
      if (output.node == map[value]) return output.name;
    }
    std::string name = "packed" + std::to_string(pack_.outputs().size());
    pack_.AddOutput(name, map[value]);
    return name;
  }

  Graph Finish() && { return std::move(pack_); }

 private:
  NodeId FindOrCopy(const Graph& program, NodeId id, const NodeMap& map) {
    Node node = program[id];
    for (NodeId& arg : node.args) arg = map[arg];
    for (NodeId other = 0; other < pack_.size(); ++other) {
      const Node& present = pack_[other];
      if (present.op == node.op && present.args == node.args && present.type == node.type &&
          present.attr == node.attr) {
        return other;
      }
    }
    return pack_.Add(std::move(node));
  }

  Graph pack_;
};

Graph WithPackedInputs(const Graph& program, PackBuilder& pack) {
  std::vector<bool> packable = PackableValues(program);
  std::vector<bool> needed = NeededBy(program, OutputNodes(program), packable);
  Graph rest;
  rest.name = program.name;
  NodeMap map = EmptyMap(program), to_pack = EmptyMap(program);
  for (NodeId id : program.inputs()) map[id] = CopyNode(program, id, map, rest);
  for (NodeId id = 0; id < program.size(); ++id) {
    if (!needed[id] || !packable[id]) continue;
    std::string name = pack.Move(program, id, to_pack);
    NodeId input = rest.FindInput(name);
    map[id] = input != kAbsent ? input : rest.AddInput(name, Role::kPacked, program.type(id).shape).id();
    if (!program[id].label.empty()) rest.SetLabel(map[id], program[id].label);
  }
  CopyNeeded(program, OutputNodes(program), map, rest);
  CopyOutputs(program, map, rest);
  return rest;
}

}  // namespace

SplitPrograms SplitForwardBackward(const Graph& joint, int primal_outputs, TapePolicy policy) {
  std::vector<NodeId> primal = OutputNodes(joint);
  std::vector<NodeId> gradients(primal.begin() + primal_outputs, primal.end());
  primal.resize(primal_outputs);
  std::vector<bool> forward = ForwardValues(joint, primal);
  std::vector<bool> mentioned = MentionedValues(joint, gradients, forward);
  std::vector<bool> free(joint.size());
  for (NodeId id : joint.inputs()) free[id] = true;
  std::vector<bool> again(joint.size());
  if (policy != TapePolicy::kStore) again = ValuesOverTime(joint);
  if (policy == TapePolicy::kRecomputeApart) {
    const std::vector<bool> used = NeededBy(joint, primal);
    for (NodeId id = 0; id < joint.size(); ++id)
      again[id] = again[id] && !(used[id] && joint[id].op == Op::kScanResult);
  }
  std::vector<NodeId> tape = ChooseTape(joint, mentioned, free, again);
  if (policy == TapePolicy::kStore) {
    return {ForwardProgram(joint, tape, primal_outputs), BackwardProgram(joint, tape, primal_outputs)};
  }
  const Graph numbered = WithCheckpoints(joint, ScansAgain(joint, tape, gradients, forward));
  return {ForwardProgram(numbered, tape, primal_outputs), BackwardProgram(numbered, tape, primal_outputs)};
}

Graph ExtractPacked(std::span<Graph> programs) {
  PackBuilder pack;
  for (Graph& program : programs) program = WithPackedInputs(program, pack);
  return std::move(pack).Finish();
}

}  // namespace recurve

// compiler/passes/scan_draft.cpp: taking scans apart and putting them together.

#include "compiler/passes/scan_draft.h"

#include <algorithm>
#include <map>
#include <utility>

#include "compiler/graph_util.h"

namespace recurve {

using ir::Graph;
using ir::Node;
using ir::NodeId;
using ir::Op;

namespace {

const ScanDraft::Operand* Find(const std::vector<ScanDraft::Operand>& operands, NodeId inner) {
  auto found = std::ranges::find(operands, inner, &ScanDraft::Operand::inner);
  return found == operands.end() ? nullptr : &*found;
}

// One body under construction: inputs first, then the values that they stand for, then the rest.
class BodyBuilder {
 public:
  BodyBuilder(const ScanDraft& draft, const Graph& outer)
      : draft_(draft), from_(*draft.body), outer_(outer), map_(EmptyMap(from_)) {
    to_.name = from_.name;
  }

  void AddCarry(const ScanDraft::Carry& carry) {
    map_[carry.input] = AddInput(carry.input, ir::Role::kCarry, from_.type(carry.input));
  }

  // Adds the operands that `needed` asks for and returns the outer values of the inputs made for them, each once.
  std::vector<NodeId> AddOperands(const std::vector<ScanDraft::Operand>& operands, ir::Role role,
                                  const std::vector<bool>& needed) {
    std::vector<NodeId> passed;
    std::map<NodeId, NodeId> input_of;
    for (const ScanDraft::Operand& operand : operands) {
      if (!needed[operand.inner]) continue;
      auto [input, is_new] = input_of.try_emplace(operand.outer, kAbsent);
      if (is_new) {
        ir::Type type = outer_.type(operand.outer);
        if (role == ir::Role::kElement) type.shape.erase(type.shape.begin());
        input->second = AddInput(operand.inner, role, type);
        passed.push_back(operand.outer);
      }
      if (operand.view) {
        views_.emplace_back(&operand, input->second);
      } else {
        map_[operand.inner] = input->second;
      }
    }
    return passed;
  }

  Graph Finish(const std::vector<std::pair<std::string, NodeId>>& outputs) {
    for (const auto& splat : draft_.splats) {
      map_[splat.inner] = Constant(to_, from_.type(splat.inner).shape, splat.value).id();
    }
    for (auto [operand, input] : views_) map_[operand->inner] = operand->view(to_.At(input)).id();
    std::vector<NodeId> roots;
    for (const auto& [name, inner] : outputs) roots.push_back(inner);
    CopyNeeded(from_, roots, map_, to_);
    for (const auto& [name, inner] : outputs) to_.AddOutput(output_names_(name), map_[inner]);
    return std::move(to_);
  }

 private:
  NodeId AddInput(NodeId inner, ir::Role role, const ir::Type& type) {
    ir::Expr input = AddInputOfType(to_, input_names_(draft_.NameOf(inner)), role, type, ClassesOf(from_, inner));
    if (!from_[inner].label.empty()) to_.SetLabel(input.id(), from_[inner].label);
    return input.id();
  }

  const ScanDraft& draft_;
  const Graph& from_;
  const Graph& outer_;
  Graph to_;
  NodeMap map_;
  std::vector<std::pair<const ScanDraft::Operand*, NodeId>> views_;
  UniqueNames input_names_, output_names_;
};

}  // namespace

ScanDraft::ScanDraft(const Node& scan) {
  const auto& attr = scan.As<ir::ScanAttr>();
  body = attr.body;
  time = attr.time;
  reverse = attr.reverse;
  const auto& inputs = body->inputs();
  const auto& outputs = body->outputs();
  for (int i = 0; i < static_cast<int>(inputs.size()); ++i) {
    if (i < attr.carries) {
      carries.push_back({scan.args[i], inputs[i], outputs[i].node, outputs[i].name});
    } else {
      (i < attr.carries + attr.sequences ? elements : invariants).push_back({scan.args[i], inputs[i]});
    }
  }
  for (size_t i = attr.carries; i < outputs.size(); ++i) stacked.push_back({outputs[i].node, outputs[i].name});
}

std::vector<NodeId> ScanDraft::Build(Graph& outer) const {
  // Outputs of the new body: carries, then each stacked value once; position[i] is where stacked[i] stands.
  std::vector<std::pair<std::string, NodeId>> outputs;
  for (const Carry& carry : carries) outputs.emplace_back(carry.name, carry.next);
  std::map<NodeId, int> index_of;
  std::vector<int> position;
  for (const Stacked& value : stacked) {
    auto [found, is_new] = index_of.try_emplace(value.inner, static_cast<int>(outputs.size()));
    if (is_new) outputs.emplace_back(value.name, value.inner);
    position.push_back(found->second);
  }
  if (outputs.empty()) return {};

  // What the outputs need, not looking behind values that operands stand for.
  std::vector<bool> needed(body->size(), false);
  for (const auto& [name, inner] : outputs) needed[inner] = true;
  for (NodeId id = body->size() - 1; id >= 0; --id) {
    if (!needed[id] || FindElement(id) != nullptr || FindInvariant(id) != nullptr) continue;
    for (NodeId arg : (*body)[id].args) needed[arg] = true;
  }

  BodyBuilder builder(*this, outer);
  for (const Carry& carry : carries) builder.AddCarry(carry);
  std::vector<NodeId> sequence_operands = builder.AddOperands(elements, ir::Role::kElement, needed);
  std::vector<NodeId> invariant_operands = builder.AddOperands(invariants, ir::Role::kInvariant, needed);

  std::vector<ir::Expr> operands;
  for (const Carry& carry : carries) operands.push_back(outer.At(carry.init));
  for (NodeId id : sequence_operands) operands.push_back(outer.At(id));
  for (NodeId id : invariant_operands) operands.push_back(outer.At(id));
  ir::Expr scan = ir::Scan(outer, operands,
                           {.body = std::make_shared<const Graph>(builder.Finish(outputs)),
                            .carries = static_cast<int>(carries.size()),
                            .sequences = static_cast<int>(sequence_operands.size()),
                            .time = time,
                            .reverse = reverse});

  std::vector<NodeId> result_of_output(outputs.size());
  for (size_t i = 0; i < outputs.size(); ++i) result_of_output[i] = ir::ScanResult(scan, static_cast<int>(i)).id();
  std::vector<NodeId> results(result_of_output.begin(), result_of_output.begin() + static_cast<int>(carries.size()));
  for (int index : position) results.push_back(result_of_output[index]);
  return results;
}

std::string ScanDraft::NameOf(NodeId inner) const {
  const Node& node = (*body)[inner];
  if (node.op == Op::kInput) return node.As<ir::InputAttr>().name;
  return node.label.empty() ? std::string(Name(node.op)) : node.label;
}

std::vector<NodeId> ScanDraft::CarryInputs() const {
  std::vector<NodeId> inputs;
  for (const Carry& carry : carries) inputs.push_back(carry.input);
  return inputs;
}

std::vector<NodeId> ScanDraft::CarryNexts() const {
  std::vector<NodeId> nexts;
  for (const Carry& carry : carries) nexts.push_back(carry.next);
  return nexts;
}

std::vector<bool> ScanDraft::Timed() const {
  std::vector<NodeId> sources = CarryInputs();
  for (const Operand& element : elements) sources.push_back(element.inner);
  return DependsOn(*body, sources);
}

const ScanDraft::Operand* ScanDraft::FindElement(NodeId inner) const { return Find(elements, inner); }
const ScanDraft::Operand* ScanDraft::FindInvariant(NodeId inner) const { return Find(invariants, inner); }

Graph DropDeadNodes(const Graph& graph) {
  Graph to;
  to.name = graph.name;
  NodeMap map = EmptyMap(graph);
  std::vector<bool> needed = NeededBy(graph, OutputNodes(graph));
  for (NodeId id = 0; id < graph.size(); ++id) {
    if (needed[id] || graph[id].op == Op::kInput) map[id] = CopyNode(graph, id, map, to);
  }
  CopyOutputs(graph, map, to);
  return to;
}

Graph RewriteScans(const Graph& graph, const ScanRewrite& rewrite) {
  Graph to;
  to.name = graph.name;
  NodeMap map = EmptyMap(graph);
  std::vector<bool> needed = NeededBy(graph, OutputNodes(graph));
  std::vector<std::vector<NodeId>> result_nodes = ResultsOfScans(graph);
  std::vector<std::vector<NodeId>> results(graph.size());
  for (NodeId id = 0; id < graph.size(); ++id) {
    const Node& node = graph[id];
    if (node.op == Op::kInput) {
      map[id] = CopyNode(graph, id, map, to);
    } else if (!needed[id]) {
      continue;
    } else if (node.op == Op::kScan) {
      Node scan = node;
      for (NodeId& arg : scan.args) arg = map[arg];
      auto& attr = std::get<ir::ScanAttr>(scan.attr);
      attr.body = std::make_shared<const Graph>(RewriteScans(*attr.body, rewrite));
      std::vector<bool> wanted(attr.body->outputs().size(), false);
      for (NodeId result : result_nodes[id]) {
        if (needed[result]) wanted[graph[result].As<ir::ResultAttr>().index] = true;
      }
      results[id] = rewrite(to, scan, wanted);
    } else if (node.op == Op::kScanResult) {
      map[id] = results[node.args[0]][node.As<ir::ResultAttr>().index];
      if (to[map[id]].label.empty()) to.SetLabel(map[id], node.label);
    } else {
      map[id] = CopyNode(graph, id, map, to);
    }
  }
  CopyOutputs(graph, map, to);
  return DropDeadNodes(to);
}

}  // namespace recurve

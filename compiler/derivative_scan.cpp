// compiler/derivative_scan.cpp: a sketch of the adjoint body first, in which every mentioned forward value is an input;
// what the sketch still mentions when it is finished decides the tape; then the body itself, in which a mentioned value
// is an element, an invariant, or computed again.

#include "compiler/derivative_scan.h"

#include <algorithm>
#include <memory>
#include <string>

#include "compiler/tape.h"

namespace recurve {

using ir::Expr;
using ir::Graph;
using ir::Node;
using ir::NodeId;
using ir::Role;

namespace {

// What people call a taped value: its label, else its operation and what that is applied to, as in `sigmoid_f`.
std::string TapeName(const Graph& graph, NodeId id) {
  const Node& node = graph[id];
  if (!node.label.empty()) return node.label;
  std::string name(ir::Name(node.op));
  if (node.args.size() == 1 && !graph[node.args[0]].label.empty()) name += "_" + graph[node.args[0]].label;
  return name;
}

class ScanAdjointBuilder {
 public:
  ScanAdjointBuilder(const ir::ScanAttr& scan, const ScanActivity& activity)
      : scan_(scan),
        body_(*scan.body),
        activity_(activity),
        forward_(Augment(body_, activity.body)),
        placeholders_(EmptyMap(forward_.graph)) {}

  ScanDerivative Build() {
    Sketch();
    FindTape();
    derivative_.forward = scan_;
    derivative_.forward.body = std::make_shared<const Graph>(forward_.graph);
    derivative_.adjoint = {.body = std::make_shared<const Graph>(Assemble()),
                           .carries = Count(derivative_.carries) + Count(derivative_.sums),
                           .sequences = Count(derivative_.stacked) + Count(tape_) + Count(derivative_.elements_again),
                           .time = scan_.time,
                           .reverse = !scan_.reverse};
    return std::move(derivative_);
  }

 private:
  static int Count(const auto& items) { return static_cast<int>(items.size()); }

  std::string InputName(int operand) const { return body_[body_.inputs()[operand]].As<ir::InputAttr>().name; }
  bool IsSequence(int operand) const { return operand >= scan_.carries && operand < scan_.carries + scan_.sequences; }
  bool IsInvariant(int operand) const { return operand >= scan_.carries + scan_.sequences; }

  // An input of the sketch.
  Expr AddSketchInput(const std::string& name, const ir::Type& type) {
    return AddInputOfType(sketch_, name, Role::kElement, type);
  }

  Expr AddSeed(ReverseWalk& walk, int output) {
    const auto& [name, node] = body_.outputs()[output];
    Expr seed = AddSketchInput(input_names_(name + "_adj"), body_.type(node));
    walk.Seed(node, seed);
    return seed;
  }

  // The value itself for the time being; asked again, the same node.
  Expr Mention(NodeId id) {
    if (placeholders_[id] == kAbsent) placeholders_[id] = AddSketchInput({}, forward_.graph.type(id)).id();
    return sketch_.At(placeholders_[id]);
  }

  void Sketch() {
    ReverseWalk walk(body_, activity_.body, forward_, [this](NodeId id) { return Mention(id); }, sketch_);
    for (int output = 0; output < Count(body_.outputs()); ++output) {
      if (!activity_.seeded[output]) continue;
      if (output >= scan_.carries) {
        derivative_.stacked.push_back(output);
        stacked_seeds_.push_back(AddSeed(walk, output).id());
      } else if (activity_.varied[output]) {
        derivative_.carries.push_back(output);
        carry_seeds_.push_back(AddSeed(walk, output).id());
      }
    }
    walk.Run();

    auto add_output = [this](int operand, Expr adj) {
      sketch_.AddOutput(output_names_(InputName(operand) + "_adj"), adj);
    };
    for (int carry : derivative_.carries) {
      Expr adj = walk.Adjoint(body_.inputs()[carry]);
      add_output(carry, adj ? adj : ir::Constant(sketch_, body_.type(body_.inputs()[carry]).shape, 0));
    }
    for (int operand = 0; operand < Count(body_.inputs()); ++operand) {
      Expr adj = walk.Adjoint(body_.inputs()[operand]);
      if (!adj || !IsInvariant(operand)) continue;
      derivative_.sums.push_back(operand);
      std::string name = InputName(operand) + "_adj_sum";
      Expr sum = AddSketchInput(input_names_(name), adj.type());
      carry_seeds_.push_back(sum.id());
      Expr next = sum + adj;
      sketch_.SetLabel(next.id(), name + "'");
      sketch_.AddOutput(output_names_(name + "'"), next);
    }
    for (int operand = 0; operand < Count(body_.inputs()); ++operand) {
      Expr adj = walk.Adjoint(body_.inputs()[operand]);
      if (!adj || !IsSequence(operand)) continue;
      derivative_.elements.push_back(operand);
      add_output(operand, adj);
    }
  }

  // What the adjoint body has without a tape: elements and invariants, which are passed to it again, and what follows
  // from invariants and leaves alone, which Hoist computes once for both scans.
  std::vector<bool> FreeValues() const {
    const Graph& graph = forward_.graph;
    std::vector<bool> steady(graph.size()), free(graph.size());
    for (NodeId id = 0; id < graph.size(); ++id) {
      const Node& node = graph[id];
      if (node.op == ir::Op::kInput) {
        Role role = node.As<ir::InputAttr>().role;
        steady[id] = role == Role::kInvariant;
        free[id] = steady[id] || role == Role::kElement;
      } else if (node.op != ir::Op::kScan) {
        steady[id] = std::ranges::all_of(node.args, [&](NodeId arg) { return steady[arg]; });
        free[id] = steady[id];
      }
    }
    return free;
  }

  void FindTape() {
    std::vector<bool> used = NeededBy(sketch_, OutputNodes(sketch_));
    std::vector<bool> mentioned(forward_.graph.size());
    for (NodeId id = 0; id < forward_.graph.size(); ++id) {
      mentioned[id] = placeholders_[id] != kAbsent && used[placeholders_[id]];
      if (mentioned[id]) mentioned_.push_back(id);
    }
    tape_ = ChooseTape(forward_.graph, mentioned, FreeValues(), std::vector<bool>(forward_.graph.size()));

    std::vector<bool> stored(forward_.graph.size());
    for (NodeId id : tape_) stored[id] = true;
    std::vector<bool> needed = NeededBy(forward_.graph, mentioned_, stored);
    for (int operand = scan_.carries; operand < Count(body_.inputs()); ++operand) {
      if (!needed[forward_.graph.inputs()[operand]]) continue;
      (IsSequence(operand) ? derivative_.elements_again : derivative_.invariants_again).push_back(operand);
    }
    for (NodeId id : tape_) derivative_.tape.push_back(StackedOutput(id));
  }

  // The number of the output that stacks a value; a new one where there is none.
  int StackedOutput(NodeId id) {
    const auto& outputs = forward_.graph.outputs();
    auto found = std::ranges::find(outputs.begin() + scan_.carries, outputs.end(), id, &ir::Output::node);
    int index = static_cast<int>(found - outputs.begin());
    if (found == outputs.end()) {
      UniqueNames names;
      for (const ir::Output& output : outputs) names(output.name);
      forward_.graph.AddOutput(names(TapeName(forward_.graph, id)), id);
    }
    return index;
  }

  Graph Assemble() {
    Graph adjoint;
    adjoint.name = body_.name + "_adj";
    NodeMap from_sketch = EmptyMap(sketch_);
    auto add_seeds = [&](const std::vector<NodeId>& seeds, Role role) {
      for (NodeId id : seeds) {
        from_sketch[id] = AddInputOfType(adjoint, sketch_[id].As<ir::InputAttr>().name, role, sketch_.type(id)).id();
      }
    };
    NodeMap from_forward = EmptyMap(forward_.graph);
    auto add_forward = [&](NodeId id, Role role) {
      std::string name = input_names_(TapeName(forward_.graph, id));
      int64_t classes = ClassesOf(forward_.graph, id);
      from_forward[id] = AddInputOfType(adjoint, name, role, forward_.graph.type(id), classes).id();
    };
    add_seeds(carry_seeds_, Role::kCarry);
    add_seeds(stacked_seeds_, Role::kElement);
    for (NodeId id : tape_) add_forward(id, Role::kElement);
    for (int operand : derivative_.elements_again) add_forward(forward_.graph.inputs()[operand], Role::kElement);
    for (int operand : derivative_.invariants_again) add_forward(forward_.graph.inputs()[operand], Role::kInvariant);

    CopyNeeded(forward_.graph, mentioned_, from_forward, adjoint);
    for (NodeId id : mentioned_) from_sketch[placeholders_[id]] = from_forward[id];
    CopyNeeded(sketch_, OutputNodes(sketch_), from_sketch, adjoint);
    CopyOutputs(sketch_, from_sketch, adjoint);
    return adjoint;
  }

  const ir::ScanAttr& scan_;
  const Graph& body_;
  const ScanActivity& activity_;
  Augmented forward_;

  Graph sketch_;
  NodeMap placeholders_;               // of forward_.graph in sketch_
  std::vector<NodeId> carry_seeds_;    // of sketch_: adjoints of next carries, then sums so far
  std::vector<NodeId> stacked_seeds_;  // of sketch_: adjoints of stacked values
  std::vector<NodeId> mentioned_;      // of forward_.graph
  std::vector<NodeId> tape_;           // of forward_.graph
  UniqueNames input_names_, output_names_;
  ScanDerivative derivative_;
};

}  // namespace

ScanDerivative DeriveScan(const ir::ScanAttr& scan, const ScanActivity& activity) {
  return ScanAdjointBuilder(scan, activity).Build();
}

}  // namespace recurve

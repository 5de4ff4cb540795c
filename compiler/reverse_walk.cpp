// compiler/reverse_walk.cpp: users stand behind their operands, so that from back to front every adjoint is complete
// when its value is reached.

#include "compiler/reverse_walk.h"

#include "compiler/derivative_scan.h"

namespace recurve {

using ir::Expr;
using ir::Graph;
using ir::Node;
using ir::NodeId;
using ir::Op;

namespace {

// The scan with its tape, and behind it the tape's results.
void AugmentScan(const Graph& graph, NodeId id, const ScanActivity& activity, Augmented& augmented) {
  ScanDerivative derivative = DeriveScan(graph[id].As<ir::ScanAttr>(), activity);
  Node scan = graph[id];
  for (NodeId& arg : scan.args) arg = augmented.map[arg];
  scan.attr = derivative.forward;
  augmented.map[id] = augmented.graph.Add(std::move(scan));
  for (int index : derivative.tape) {
    Expr result = ir::ScanResult(augmented.graph.At(augmented.map[id]), index);
    augmented.graph.SetLabel(result.id(), derivative.forward.body->outputs()[index].name);
    augmented.results[{id, index}] = result.id();
  }
  augmented.scans.emplace(id, std::move(derivative));
}

}  // namespace

Augmented Augment(const Graph& graph, const Activity& activity) {
  Augmented augmented{.graph = {}, .map = EmptyMap(graph), .scans = {}, .results = {}};
  augmented.graph.name = graph.name;
  for (NodeId id = 0; id < graph.size(); ++id) {
    const Node& node = graph[id];
    if (node.op == Op::kScan && activity.active[id]) {
      AugmentScan(graph, id, activity.scans.at(id), augmented);
      continue;
    }
    if (node.op == Op::kScanResult) {
      auto taped = augmented.results.find({node.args[0], node.As<ir::ResultAttr>().index});
      if (taped != augmented.results.end()) {
        augmented.map[id] = taped->second;
        if (!node.label.empty()) augmented.graph.SetLabel(taped->second, node.label);
        continue;
      }
    }
    augmented.map[id] = CopyNode(graph, id, augmented.map, augmented.graph);
  }
  CopyOutputs(graph, augmented.map, augmented.graph);
  return augmented;
}

void ReverseWalk::Seed(NodeId id, Expr adj) { Contribute(id, adj); }

void ReverseWalk::Contribute(NodeId id, Expr adj) {
  if (activity_.varied[id]) sums_[id].Add(adj);
}

void ReverseWalk::Run() {
  for (NodeId id = primal_.size() - 1; id >= 0; --id) {
    if (primal_[id].op == Op::kScan) {
      if (activity_.active[id]) PropagateScan(id);
    } else if (!sums_[id].empty()) {
      totals_[id] = sums_[id].Total(primal_.type(id).shape);
      NameTotal(id);
      Propagate(id);
    }
  }
}

// `x_adj` for `x`; where a seed of that name is only a part of it, `x_adj_total`.
void ReverseWalk::NameTotal(NodeId id) {
  if (primal_[id].label.empty() || !to_[totals_[id].id()].label.empty()) return;
  std::string name = primal_[id].label + "_adj";
  if (to_.FindInput(name) != kAbsent) name += "_total";
  to_.SetLabel(totals_[id].id(), name);
}

void ReverseWalk::Propagate(NodeId id) {
  const Node& node = primal_[id];
  Expr g = totals_[id];
  if (node.op == Op::kScanResult) {
    result_sums_[{node.args[0], node.As<ir::ResultAttr>().index}].Add(g);
    return;
  }
  auto forward = [this](NodeId value) { return forward_(augmented_.map[value]); };
  for (size_t i = 0; i < node.args.size(); ++i) {
    int operand = static_cast<int>(i);
    if (!activity_.varied[node.args[i]] || !GradientFlows(node.op, operand)) continue;
    if (node.op == Op::kSlice) {
      sums_[node.args[i]].AddSlice(node.As<ir::SliceAttr>().axis, node.As<ir::SliceAttr>().start, g);
    } else {
      Contribute(node.args[i], OperandGradient(primal_, id, operand, g, forward));
    }
  }
}

// The adjoint of a result, zero where none arrived: a carry that only later steps depend on.
Expr ReverseWalk::ResultAdjoint(NodeId scan, const ir::ScanAttr& attr, int index) {
  ir::Type type = ir::ScanResultType(attr, index);
  Expr total = result_sums_[{scan, index}].Total(type.shape);
  return total ? total : ir::Constant(to_, type.shape, 0);
}

void ReverseWalk::PropagateScan(NodeId id) {
  const ScanDerivative& derivative = augmented_.scans.at(id);
  const std::vector<NodeId>& args = primal_[id].args;
  std::vector<Expr> operands;
  auto mention = [&](int operand) { operands.push_back(forward_(augmented_.map[args[operand]])); };
  for (int index : derivative.carries) operands.push_back(ResultAdjoint(id, derivative.forward, index));
  for (int operand : derivative.sums) operands.push_back(ir::Constant(to_, primal_.type(args[operand]).shape, 0));
  for (int index : derivative.stacked) operands.push_back(ResultAdjoint(id, derivative.forward, index));
  for (int index : derivative.tape) operands.push_back(forward_(augmented_.results.at({id, index})));
  for (int operand : derivative.elements_again) mention(operand);
  for (int operand : derivative.invariants_again) mention(operand);

  Expr adjoint = ir::Scan(to_, operands, derivative.adjoint);
  if (!primal_[id].label.empty()) to_.SetLabel(adjoint.id(), primal_[id].label + "_adj");
  int index = 0;
  for (const std::vector<int>* receivers : {&derivative.carries, &derivative.sums, &derivative.elements}) {
    for (int operand : *receivers) {
      if (activity_.varied[args[operand]]) Contribute(args[operand], ir::ScanResult(adjoint, index));
      ++index;
    }
  }
}

}  // namespace recurve

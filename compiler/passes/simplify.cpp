// compiler/passes/simplify.cpp: rules on single nodes and on the operands of scans, until none applies.
//
// Every rule leaves fewer or smaller operations or moves one closer to the inputs, so that the rounds end. The pass
// runs after differentiation: it drops stop_gradient, which means nothing any more.

#include <algorithm>
#include <iterator>
#include <utility>

#include "compiler/graph_util.h"
#include "compiler/passes.h"
#include "compiler/passes/equal.h"
#include "compiler/passes/scan_draft.h"
#include "compiler/passes/simplify_rules.h"

namespace recurve {

using ir::Expr;
using ir::Graph;
using ir::Node;
using ir::NodeId;
using ir::Op;

namespace {

// Far above what any graph has needed; a guard against two rules that would undo each other.
constexpr int kMaxRounds = 64;

Expr SimplifyNode(const Site& site) {
  switch (site.node.op) {
#define UNARY(Kind, ...) case Op::k##Kind:
#define BINARY(Kind, ...) case Op::k##Kind:
#define TERNARY(Kind, ...) case Op::k##Kind:
#include "ir/ops.def"
    return SimplifyElementwise(site);
    case Op::kBroadcast: return SimplifyBroadcast(site);
    case Op::kReshape: return SimplifyReshape(site);
    case Op::kTranspose: return SimplifyTranspose(site);
    case Op::kSlice: return SimplifySlice(site);
    case Op::kConcat: return SimplifyConcat(site);
    case Op::kContract: return SimplifyContract(site);
    case Op::kReduceSum: return SimplifyReduceSum(site);
    case Op::kReduceMax: return SimplifyReduceMax(site);
    case Op::kGather: return SimplifyGather(site);
    case Op::kScatterAdd: return SimplifyScatterAdd(site);
    case Op::kExtent: {
      const ir::Dim& dim = site.node.As<ir::ExtentAttr>().dim;
      if (dim.is_constant()) return Constant(site.graph, {}, static_cast<double>(dim.extent));
      return {};
    }
    case Op::kInput:
    case Op::kConstant:
    case Op::kIota:
    case Op::kRandom:
    case Op::kReal:
    case Op::kOneHot:
    case Op::kScan:
    case Op::kScanResult: return {};
  }
  std::unreachable();
}

// One walk over the nodes of a graph.
Graph SimplifyNodes(const Graph& graph) {
  Graph to;
  to.name = graph.name;
  NodeMap map = EmptyMap(graph);
  std::vector<int> uses = UseCounts(graph);
  std::vector<std::vector<const Node*>> readers(graph.size());
  for (NodeId id = 0; id < graph.size(); ++id) {
    for (NodeId arg : graph[id].args) readers[arg].push_back(&graph[id]);
  }
  for (NodeId id = 0; id < graph.size(); ++id) {
    Node node = graph[id];
    std::vector<bool> sole_reader;
    for (NodeId& arg : node.args) {
      sole_reader.push_back(uses[arg] == 1);
      arg = map[arg];
    }
    if (node.op == Op::kScan) {
      auto& attr = std::get<ir::ScanAttr>(node.attr);
      attr.body = std::make_shared<const Graph>(SimplifyNodes(*attr.body));
    }
    if (Expr simpler =
            SimplifyNode({to, node, std::move(sole_reader), readers[id], uses[id] > std::ssize(readers[id])})) {
      map[id] = simpler.id();
      if (to[map[id]].label.empty()) to.SetLabel(map[id], node.label);
    } else {
      map[id] = to.Add(std::move(node));
    }
  }
  CopyOutputs(graph, map, to);
  return DropDeadNodes(to);
}

// Whether another of the operands is a slice of the same tensor.
bool IsSlicedTwice(const Graph& graph, const std::vector<ScanDraft::Operand>& operands, NodeId sliced) {
  int slices = 0;
  for (const auto& operand : operands) {
    const Node& node = graph[operand.outer];
    if (operand.outer == sliced || (node.op == Op::kSlice && node.args[0] == sliced)) ++slices;
  }
  return slices > 1;
}

// Moves operands of a scan into its body where they cost less: constants, broadcasts, transposes, and slices of one
// sequence (which the body then reads as one row).
std::vector<NodeId> SimplifyScan(Graph& to, const Node& scan, const std::vector<bool>&) {
  ScanDraft draft(scan);
  const ScanDraft before = draft;
  draft.carries.clear();
  draft.elements.clear();
  draft.invariants.clear();

  auto add_invariant = [&](NodeId outer, NodeId inner) {
    const Node node = to[outer];
    if (auto value = SplatOf(to, outer)) {
      draft.splats.push_back({inner, *value});
    } else if (node.op == Op::kBroadcast) {
      draft.invariants.push_back(
          {node.args[0], inner, [shape = node.type.shape, axes = node.As<ir::AxesAttr>().axes](Expr a) {
             return BroadcastTo(a, shape, axes);
           }});
    } else if (node.op == Op::kTranspose) {
      draft.invariants.push_back(
          {node.args[0], inner, [axes = node.As<ir::AxesAttr>().axes](Expr a) { return Transpose(a, axes); }});
    } else {
      draft.invariants.push_back({outer, inner});
    }
  };

  for (const auto& element : before.elements) {
    const Node node = to[element.outer];
    bool repeats =
        node.op == Op::kBroadcast && (node.As<ir::AxesAttr>().axes.empty() || node.As<ir::AxesAttr>().axes[0] != 0);
    bool slices_step =
        node.op == Op::kSlice && node.As<ir::SliceAttr>().axis > 0 && IsSlicedTwice(to, before.elements, node.args[0]);
    if (auto value = SplatOf(to, element.outer)) {
      draft.splats.push_back({element.inner, *value});
    } else if (repeats) {
      std::vector<int> axes = node.As<ir::AxesAttr>().axes;
      for (int& axis : axes) --axis;
      Expr operand = to.At(node.args[0]);
      const ir::Shape& shape = before.body->type(element.inner).shape;
      add_invariant(BroadcastIfNeeded(operand, shape, axes).id(), element.inner);
    } else if (slices_step) {
      const auto& [axis, start] = node.As<ir::SliceAttr>();
      int64_t size = node.type.shape[axis].extent;
      draft.elements.push_back({node.args[0], element.inner, [step_axis = axis - 1, start = start, size](Expr a) {
                                  return Slice(a, step_axis, start, size);
                                }});
    } else {
      draft.elements.push_back(element);
    }
  }
  for (const auto& invariant : before.invariants) add_invariant(invariant.outer, invariant.inner);

  // A carry that starts as a constant and stays it.
  std::vector<NodeId> constant_results(before.carries.size(), kAbsent);
  for (size_t i = 0; i < before.carries.size(); ++i) {
    const ScanDraft::Carry& carry = before.carries[i];
    auto init = SplatOf(to, carry.init), next = SplatOf(*before.body, carry.next);
    if (init && init == next) {
      draft.splats.push_back({carry.input, *init});
      constant_results[i] = carry.init;
    } else {
      draft.carries.push_back(carry);
    }
  }

  std::vector<NodeId> built = draft.Build(to);
  std::vector<NodeId> results;
  auto next = built.begin();
  for (NodeId constant : constant_results) results.push_back(constant == kAbsent ? *next++ : constant);
  results.insert(results.end(), next, built.end());
  return results;
}

}  // namespace

std::optional<double> SplatOf(const Graph& graph, NodeId id) {
  if (graph[id].op != Op::kConstant) return std::nullopt;
  return graph[id].As<ir::ConstantAttr>().value;
}

std::optional<double> CommonSplatOf(const Graph& graph, std::span<const NodeId> ids) {
  auto value = SplatOf(graph, ids.front());
  bool all = std::ranges::all_of(ids, [&](NodeId id) { return SplatOf(graph, id) == value; });
  return all ? value : std::nullopt;
}

Expr BroadcastIfNeeded(Expr a, const ir::Shape& shape, std::vector<int> axes) {
  return a.shape() == shape ? a : BroadcastTo(a, shape, std::move(axes));
}

Graph Simplify(const Graph& graph) {
  Graph simple = DropDeadNodes(graph);
  for (int round = 0; round < kMaxRounds; ++round) {
    Graph simpler = RewriteScans(SimplifyNodes(simple), SimplifyScan);
    bool done = AreEqual(simple, simpler);
    simple = std::move(simpler);
    if (done) break;
  }
  return simple;
}

}  // namespace recurve

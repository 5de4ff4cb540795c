// compiler/passes/after_scan.cpp: what is stacked, what is computed again, and the storage rule.

#include "compiler/passes/after_scan.h"

#include <algorithm>
#include <string>
#include <utility>

namespace recurve {

using ir::Graph;
using ir::Node;
using ir::NodeId;
using ir::Op;

namespace {

// Computing such an operation again costs less than storing its result. A concat would be stored in any case.
bool IsCheap(Op op) {
  if (op == Op::kRandom || op == Op::kReal) return true;
  return ir::IsElementwise(op) ? CostOf(op) == ir::Cost::kCheap : IsDataMovement(op) && op != Op::kConcat;
}

}  // namespace

AfterScan::AfterScan(const ScanDraft& draft, std::vector<bool> moved, std::span<const NodeId> stacked)
    : draft_(draft),
      timed_(draft.Timed()),
      moved_(std::move(moved)),
      is_stacked_(draft.body->size()),
      lifter_(graph_, *draft.body, draft.time, timed_, [this](NodeId inner) { return Leaf(inner); }) {
  for (NodeId inner : stacked) is_stacked_[inner] = true;
  UpdateAvailable();
}

void AfterScan::UpdateAvailable() {
  const Graph& body = *draft_.body;
  available_.assign(body.size(), false);
  part_of_.assign(body.size(), {});
  for (NodeId id = 0; id < body.size(); ++id) {
    if (!is_stacked_[id] || moved_[id] || body[id].op != Op::kConcat) continue;
    Part part{.concat = id, .axis = body[id].As<ir::ConcatAttr>().axis};
    for (NodeId arg : body[id].args) {
      part_of_[arg] = part;
      part.start += body.type(arg).shape[part.axis].extent;
    }
  }
  for (NodeId id = 0; id < body.size(); ++id) {
    const Node& node = body[id];
    bool is_part = part_of_[id].concat != kAbsent;
    if (is_stacked_[id] || is_part || draft_.FindElement(id) != nullptr || !timed(id)) {
      available_[id] = true;
    } else if (IsCheap(node.op) && IsLiftable(body, id, timed_)) {
      available_[id] = std::ranges::all_of(node.args, [&](NodeId arg) { return available_[arg]; });
    }
  }
}

NodeId AfterScan::Leaf(NodeId inner) {
  if (moved_[inner]) return kAbsent;
  bool is_operand = draft_.FindElement(inner) != nullptr || draft_.FindInvariant(inner) != nullptr;
  if (is_operand || is_stacked_[inner]) return AddPlaceholder(inner);
  if (const Part& part = part_of_[inner]; timed(inner) && part.concat != kAbsent) {
    int64_t size = body().type(inner).shape[part.axis].extent;
    return Slice(Lift(part.concat), part.axis + 1, part.start, size).id();
  }
  if (available_[inner]) return kAbsent;
  is_stacked_[inner] = true;
  newly_stacked_.push_back(inner);
  UpdateAvailable();
  return AddPlaceholder(inner);
}

NodeId AfterScan::AddPlaceholder(NodeId inner) {
  ir::Type type = body().type(inner);
  if (timed(inner)) type.shape.insert(type.shape.begin(), draft_.time);
  inner_of_placeholder_.push_back(inner);
  std::string name = std::to_string(inner);
  return AddInputOfType(graph_, name, ir::Role::kElement, type, ClassesOf(body(), inner)).id();
}

std::vector<NodeId> AfterScan::Splice(Graph& outer, std::span<const NodeId> roots,
                                      const std::function<NodeId(NodeId)>& result) const {
  NodeMap map = EmptyMap(graph_);
  for (size_t i = 0; i < inner_of_placeholder_.size(); ++i) {
    NodeId inner = inner_of_placeholder_[i];
    const ScanDraft::Operand* operand = draft_.FindElement(inner);
    if (operand == nullptr) operand = draft_.FindInvariant(inner);
    map[graph_.inputs()[i]] = operand != nullptr ? operand->outer : result(inner);
  }
  CopyNeeded(graph_, roots, map, outer);
  std::vector<NodeId> copies;
  for (NodeId root : roots) copies.push_back(map[root]);
  return copies;
}

std::vector<NodeId> WithoutRedundant(const ScanDraft& draft, std::span<const NodeId> stacked,
                                     std::vector<NodeId> candidates) {
  const std::vector<bool> nothing_moved(draft.body->size());
  for (size_t i = candidates.size(); i-- > 0;) {
    std::vector<NodeId> others(stacked.begin(), stacked.end());
    others.insert(others.end(), candidates.begin(), candidates.begin() + static_cast<int>(i));
    others.insert(others.end(), candidates.begin() + static_cast<int>(i) + 1, candidates.end());
    if (AfterScan(draft, nothing_moved, others).IsAvailable(candidates[i])) {
      candidates.erase(candidates.begin() + static_cast<int>(i));
    }
  }
  return candidates;
}

int RankOfExample(const ir::Shape& shape) {
  return static_cast<int>(std::ranges::count_if(shape, [](const ir::Dim& dim) { return dim.axis != "B"; }));
}

bool IsWorthStacking(const ScanDraft& draft, std::span<const NodeId> values, NodeId result) {
  const Graph& body = *draft.body;
  int limit = RankOfExample(body.type(result).shape);
  auto admit = [&](NodeId inner) { limit = std::max(limit, RankOfExample(body.type(inner).shape)); };
  for (const auto& element : draft.elements) admit(element.inner);
  for (const auto& value : draft.stacked) admit(value.inner);
  return std::ranges::all_of(values, [&](NodeId id) { return RankOfExample(body.type(id).shape) <= limit; });
}

}  // namespace recurve

// compiler/plan_lanes.cpp: the instructions of a lane program, each value where it is wanted first.

#include "compiler/plan_block_planner.h"

#include <algorithm>

#include "compiler/plan_view.h"

namespace recurve {

using ir::Dim;
using ir::Graph;
using ir::Node;
using ir::NodeId;
using ir::Op;
using ir::Shape;
using Kind = LaneInstruction::Kind;

Draft& BlockPlanner::DraftFor(int phase, const Space& space, NodeId scan) {
  for (Draft& draft : drafts_) {
    if (draft.kernel.kind == KernelKind::kMap && draft.phase == phase && draft.space == space && draft.scan == scan)
      return draft;
  }
  Draft& draft = drafts_.emplace_back();
  draft.number = static_cast<int>(drafts_.size()) - 1;
  draft.phase = phase;
  draft.space = space;
  draft.scan = scan;
  for (const Dim& dim : space.rows) draft.kernel.rows.push_back(SizeOf(dim));
  draft.kernel.units = space.units;
  return draft;
}

int BlockPlanner::Append(Draft& draft, LaneInstruction instruction) {
  draft.kernel.program.push_back(std::move(instruction));
  return static_cast<int>(draft.kernel.program.size()) - 1;
}

// A view of a value of the space's rows as one with exactly the space's axes, starting `offset` units in.
View BlockPlanner::AlignTo(const Space& space, const View& view, int64_t offset) const {
  View aligned = view;
  if (space.added_units) {
    aligned.axes.push_back({1, Size{0, {}}});
    return aligned;
  }
  const Size& stride = aligned.axes.back().stride;
  if (offset != 0 && stride.factor != 0) aligned.offset.push_back({.stride = stride, .shift = offset});
  aligned.axes.back().extent = space.units;
  return aligned;
}

int BlockPlanner::Load(Draft& draft, const View& view, int64_t offset, const std::string& label) {
  View aligned = AlignTo(draft.space, view, offset);
  for (size_t i = 0; i < draft.kernel.program.size(); ++i) {
    const LaneInstruction& other = draft.kernel.program[i];
    if (other.kind == Kind::kLoad && other.view == aligned) return static_cast<int>(i);
  }
  return Append(draft, {.kind = Kind::kLoad, .view = std::move(aligned), .label = label});
}

// The instruction that yields units [offset, offset + the space's units) of the value.
int BlockPlanner::Demand(Draft& draft, NodeId id, int64_t offset) {
  auto key = std::pair(id, offset);
  if (auto found = draft.memo.find(key); found != draft.memo.end()) return found->second;
  const Node& node = graph_[id];
  int result = 0;
  if (std::optional<View> view = ViewOf(id); view && schedule_.MemoryAvailable(id) <= draft.phase) {
    result = Load(draft, *view, offset, node.label);
  } else if (schedule_.phase(id) < draft.phase && schedule_.HoldsSums(id)) {
    NeedInMemory(id);
  } else if (schedule_.IsSplat(id)) {
    result = DemandSplat(draft, id);
  } else if (schedule_.form(id) == Form::kPart) {
    result = Demand(draft, node.args[0], offset + node.As<ir::SliceAttr>().start);
  } else if (schedule_.form(id) == Form::kJoin) {
    result = DemandJoin(draft, id, offset);
  } else if (schedule_.form(id) == Form::kTile) {
    result = DemandSum(draft, id, offset);
  } else if (node.op == Op::kIota) {
    bool along_units = node.type.shape[0].is_constant();
    result = Append(draft, {.kind = along_units ? Kind::kUnitIndex : Kind::kRowIndex, .offset = offset});
  } else if (node.op == Op::kReal) {
    View index = AlignTo(draft.space, *ViewOf(node.args[0]), offset);
    result = Append(draft, {.kind = Kind::kIndex, .index = std::move(index), .label = node.label});
  } else if (node.op == Op::kOneHot) {
    View index = *ViewOf(node.args[0]);
    index.axes.push_back({draft.space.units, Size{0, {}}});
    result = Append(draft, {.kind = Kind::kOneHot, .index = index, .offset = offset, .label = node.label});
  } else if (node.op == Op::kGather) {
    result = DemandGather(draft, id, offset);
  } else {
    LaneInstruction instruction{.kind = Kind::kElementwise, .op = node.op, .label = node.label};
    for (NodeId arg : node.args) instruction.args.push_back(Demand(draft, arg, offset));
    // Random numbers are made anew wherever they are wanted.
    if (ir::IsElementwise(node.op) && ir::CostOf(node.op) == ir::Cost::kCostly) costly_users_[id].insert(draft.number);
    result = Append(draft, std::move(instruction));
  }
  draft.memo[key] = result;
  return result;
}

int BlockPlanner::DemandSplat(Draft& draft, NodeId id) {
  while (graph_[id].op == Op::kBroadcast) id = graph_[id].args[0];
  const Node& node = graph_[id];
  if (node.op == Op::kConstant) {
    return Append(draft, {.kind = Kind::kConstant, .value = node.As<ir::ConstantAttr>().value});
  }
  const Dim& dim = node.As<ir::ExtentAttr>().dim;
  if (dim.is_constant()) return Append(draft, {.kind = Kind::kConstant, .value = static_cast<double>(dim.extent)});
  return Append(draft, {.kind = Kind::kExtent, .axis = dim.axis});
}

int BlockPlanner::DemandJoin(Draft& draft, NodeId id, int64_t offset) {
  int64_t start = 0;
  for (NodeId part : graph_[id].args) {
    int64_t size = graph_.type(part).shape.back().extent;
    if (offset >= start && offset + draft.space.units.extent <= start + size)
      return Demand(draft, part, offset - start);
    start += size;
  }
  NeedOpaque(id);  // straddles two parts
  return 0;
}

int BlockPlanner::DemandGather(Draft& draft, NodeId id, int64_t offset) {
  const Node& node = graph_[id];
  View table = *ViewOf(node.args[0]);
  View index = *ViewOf(node.args[1]);
  LaneInstruction gather{.kind = Kind::kGather, .label = node.label};
  gather.row_stride = table.axes.front().stride;
  table.axes.erase(table.axes.begin());
  // The value's axes are those of the index, then those of a row of the table.
  std::vector<ViewAxis> index_axes = index.axes;
  for (const ViewAxis& axis : table.axes) index.axes.push_back({axis.extent, Size{0, {}}});
  for (ViewAxis& axis : index_axes) axis.stride = Size{0, {}};
  table.axes.insert(table.axes.begin(), index_axes.begin(), index_axes.end());
  gather.index = AlignTo(draft.space, index, 0);
  gather.view = AlignTo(draft.space, table, offset);
  return Append(draft, std::move(gather));
}

// A product's sum for one group of columns.
int BlockPlanner::DemandSum(Draft& draft, NodeId id, int64_t offset) {
  for (const Draft& other : drafts_) {
    if (&other == &draft || !other.sums.contains(id)) continue;
    NeedOpaque(id);  // wanted in two kernels: computed once and stored
    return 0;
  }
  draft.sums.insert(id);
  Contraction c = Normalize(graph_[id]);
  char summed = c.summed[0];
  View left = ByLabels(*ViewOf(c.left), c.left_labels, c.out.substr(0, c.out.size() - 1) + summed);
  std::vector<MapProduct>& products = draft.kernel.products;
  auto same_left = std::ranges::find(products, left, &MapProduct::left);
  int product = static_cast<int>(same_left - products.begin());
  if (same_left == products.end()) {
    products.push_back({.left = left, .label = graph_[c.left].label});
    draft.groups.emplace_back();
  }
  View weight = *ViewOf(c.right);
  PanelGroup group{context_.entry->buffers[weight.buffer].name,
                   ByLabels(weight, c.right_labels, std::string{summed, c.out.back()})};
  group.source = SliceOf(group.source, 1, offset, draft.space.units.extent);
  draft.groups[product].push_back(std::move(group));
  return Append(draft, {.kind = Kind::kSum,
                        .product = product,
                        .group = static_cast<int>(draft.groups[product].size()) - 1,
                        .label = graph_[id].label});
}

}  // namespace recurve

// compiler/plan_draft.cpp: kernels as drafts, then with tiles, panels and names.

#include "compiler/plan_block_planner.h"

#include <algorithm>

#include "compiler/graph_util.h"
#include "compiler/plan_collapse.h"
#include "compiler/plan_sums.h"
#include "compiler/plan_tile.h"
#include "compiler/plan_view.h"

namespace recurve {
namespace {

using ir::Dim;
using ir::Graph;
using ir::Node;
using ir::NodeId;
using ir::Op;
using ir::Shape;
using Kind = LaneInstruction::Kind;

constexpr int64_t kProductDepth = 256;  // terms of a long sum whose panels fit the second-level cache
constexpr int kSideBySide = 4;          // sums of one row that hide each other's latency
bool HasUnitStride(const View& view, const std::string& labels, char label) {
  size_t at = labels.find(label);
  return at != std::string::npos && view.axes[at].stride == Size{};
}

}  // namespace

// A sum or maximum over axes of a value that is computed lane by lane.
void BlockPlanner::DraftReduce(NodeId id) {
  const Node& node = graph_[id];
  const Shape& shape = graph_.type(node.args[0]).shape;
  std::vector<int> axes =
      node.op == Op::kReduceMax ? std::vector<int>{static_cast<int>(shape.size()) - 1} : node.As<ir::AxesAttr>().axes;
  bool last = !axes.empty() && axes.back() == static_cast<int>(shape.size()) - 1;
  Draft& draft = drafts_.emplace_back();
  draft.number = static_cast<int>(drafts_.size()) - 1;
  draft.phase = schedule_.phase(id);
  draft.space = last ? Space{Shape(shape.begin(), shape.end() - 1), shape.back(), false} : SpaceOf(shape);
  Kernel& kernel = draft.kernel;
  kernel.kind = KernelKind::kReduce;
  kernel.label = node.label;
  kernel.units = draft.space.units;
  kernel.reduce_units = last;
  kernel.reduce = node.op == Op::kReduceMax ? ReduceKind::kMax : ReduceKind::kSum;
  draft.reduced = node.args[0];
  int value = Demand(draft, node.args[0], 0);
  // The operand's axes, kept ones first.
  std::vector<int> order;
  for (bool reduced : {false, true}) {
    for (int axis = 0; axis < static_cast<int>(draft.space.rows.size()); ++axis) {
      if ((std::ranges::find(axes, axis) != axes.end()) != reduced) continue;
      order.push_back(axis);
      (reduced ? kernel.reduced : kernel.rows).push_back(SizeOf(draft.space.rows[axis]));
    }
  }
  order.push_back(static_cast<int>(draft.space.rows.size()));
  for (LaneInstruction& instruction : kernel.program) {
    for (View* view : {&instruction.view, &instruction.index}) {
      if (!view->axes.empty()) *view = TransposeOf(*view, order);
    }
  }
  View out = views_[id];
  if (!last && draft.space.added_units) out.axes.push_back({1, Size{0, {}}});
  kernel.stores.push_back({value, out});
}

// A contraction that fits no product kernel: batched, an inner or an outer product.
void BlockPlanner::DraftContraction(NodeId id) {
  Contraction c = Normalize(graph_[id]);
  View left = *ViewOf(c.left), right = *ViewOf(c.right);
  Draft& draft = drafts_.emplace_back();
  draft.number = static_cast<int>(drafts_.size()) - 1;
  draft.phase = schedule_.phase(id);
  Kernel& kernel = draft.kernel;
  kernel.kind = KernelKind::kReduce;
  kernel.label = graph_[id].label;

  // The units: the result's last axis where it is contiguous, else a summed axis that is contiguous on both sides.
  auto contiguous = [&](char label, bool both) {
    bool in_left = c.left_labels.find(label) != std::string::npos,
         in_right = c.right_labels.find(label) != std::string::npos;
    bool left_ok = in_left ? HasUnitStride(left, c.left_labels, label) : !both;
    bool right_ok = in_right ? HasUnitStride(right, c.right_labels, label) : !both;
    return left_ok && right_ok;
  };
  bool constant_last = !c.out.empty() && ExtentOfLabel(graph_, c, c.out.back()).is_constant();
  auto summed_unit = std::ranges::find_if(c.summed, [&](char label) { return contiguous(label, true); });
  bool by_columns = constant_last && (contiguous(c.out.back(), false) || summed_unit == c.summed.end());
  if (!by_columns && summed_unit == c.summed.end() && !c.summed.empty()) summed_unit = c.summed.end() - 1;
  std::string rows = by_columns ? c.out.substr(0, c.out.size() - 1) : c.out;
  std::string unit = by_columns ? c.out.substr(c.out.size() - 1) : c.summed.empty() ? "" : std::string{*summed_unit};
  std::string reduced = c.summed;
  if (!by_columns && !unit.empty()) reduced.erase(reduced.find(unit[0]), 1);
  for (char label : rows) kernel.rows.push_back(SizeOf(ExtentOfLabel(graph_, c, label)));
  for (char label : reduced) kernel.reduced.push_back(SizeOf(ExtentOfLabel(graph_, c, label)));
  kernel.units = unit.empty() ? Dim(1) : ExtentOfLabel(graph_, c, unit[0]);
  kernel.reduce_units = !by_columns;

  std::string order = rows + reduced + unit;
  auto load = [&](const View& view, const std::string& labels) {
    View aligned = ByLabels(view, labels, order);
    if (unit.empty()) aligned.axes.push_back({1, Size{0, {}}});
    return Append(draft, {.kind = Kind::kLoad, .view = std::move(aligned)});
  };
  int a = load(left, c.left_labels), b = load(right, c.right_labels);
  int product = Append(draft, {.kind = Kind::kElementwise, .op = Op::kMul, .args = {a, b}});
  kernel.stores.push_back({product, views_[id]});
}

// A product of two activations, such as a weight gradient: packed while it runs.
void BlockPlanner::DraftProduct(NodeId id) {
  Contraction c = Normalize(graph_[id]);
  Draft& draft = drafts_.emplace_back();
  draft.number = static_cast<int>(drafts_.size()) - 1;
  draft.phase = schedule_.phase(id);
  Kernel& kernel = draft.kernel;
  kernel.kind = KernelKind::kProduct;
  kernel.label = graph_[id].label;
  std::string rows = c.out.substr(0, c.out.size() - 1);
  for (char label : rows) kernel.rows.push_back(SizeOf(ExtentOfLabel(graph_, c, label)));
  for (char label : c.summed) kernel.reduced.push_back(SizeOf(ExtentOfLabel(graph_, c, label)));
  kernel.units = graph_.type(id).shape.back();
  kernel.left = ByLabels(*ViewOf(c.left), c.left_labels, rows + c.summed);
  kernel.right = ByLabels(*ViewOf(c.right), c.right_labels, c.summed + c.out.back());
  kernel.out = views_[id];
}

void BlockPlanner::DraftScatter(NodeId id) {
  const Node& node = graph_[id];
  Draft& draft = drafts_.emplace_back();
  draft.number = static_cast<int>(drafts_.size()) - 1;
  draft.phase = schedule_.phase(id);
  Space space = SpaceOf(graph_.type(node.args[1]).shape);
  if (node.type.rank() == 1) space = {graph_.type(node.args[1]).shape, 1, true};
  Kernel& kernel = draft.kernel;
  kernel.kind = KernelKind::kScatter;
  kernel.label = node.label;
  for (const Dim& dim : space.rows) kernel.rows.push_back(SizeOf(dim));
  kernel.units = space.units;
  View index = *ViewOf(node.args[0]);
  size_t index_rank = index.axes.size();
  while (index.axes.size() < space.rows.size()) index.axes.push_back({space.rows[index.axes.size()], Size{0, {}}});
  kernel.left = index;
  kernel.right = *ViewOf(node.args[1]);
  kernel.out = views_[id];
  kernel.table = kernel.out.axes.front();
  kernel.out.axes.erase(kernel.out.axes.begin());
  for (size_t i = 0; i < index_rank; ++i) {
    kernel.out.axes.insert(kernel.out.axes.begin() + static_cast<ptrdiff_t>(i), {space.rows[i], Size{0, {}}});
  }
  if (space.added_units) {
    kernel.right.axes.push_back({1, Size{0, {}}});
    kernel.out.axes.push_back({1, Size{0, {}}});
  }
}

// The value that this one is but moved.
NodeId BlockPlanner::Moved(NodeId id) const {
  while (IsDataMovement(graph_[id].op) && graph_[id].args.size() == 1) id = graph_[id].args[0];
  return id;
}

// What a single scan takes step by step has a kernel of its own: one with what another scan takes, such as that of the
// other direction, would fit the chunks of neither.
void BlockPlanner::FindElements() {
  std::map<NodeId, std::set<NodeId>> readers;
  for (NodeId id = 0; id < graph_.size(); ++id) {
    if (graph_[id].op != Op::kScan) continue;
    const auto& attr = graph_[id].As<ir::ScanAttr>();
    for (int i = attr.carries; i < attr.carries + attr.sequences; ++i) readers[Moved(graph_[id].args[i])].insert(id);
  }
  for (const auto& [value, scans] : readers) {
    if (scans.size() == 1) of_scan_[value] = *scans.begin();
  }
}

void BlockPlanner::DraftKernels() {
  drafts_.clear();
  costly_users_.clear();
  for (const PendingStore& store : stores_) {
    bool summed_here = schedule_.form(store.node) == Form::kTile;
    int phase = summed_here || schedule_.opaque().contains(store.node) ? schedule_.phase(store.node)
                                                                       : schedule_.LaneAvailable(store.node);
    const auto own = of_scan_.find(store.node);
    Draft& draft = DraftFor(phase, SpaceOf(graph_.type(store.node).shape), own == of_scan_.end() ? -1 : own->second);
    int value = Demand(draft, store.node, 0);
    draft.kernel.stores.push_back({value, AlignTo(draft.space, store.view, 0)});
  }
  for (NodeId id = 0; id < graph_.size(); ++id) {
    Form form = schedule_.form(id);
    if (form == Form::kReduce && graph_[id].op == Op::kContract) DraftContraction(id);
    if (form == Form::kReduce && graph_[id].op != Op::kContract) DraftReduce(id);
    if (form == Form::kProduct) DraftProduct(id);
    if (form == Form::kScatter) DraftScatter(id);
  }
  if (!restart_) ShareCostlyValues();
}

// A costly value that several kernels would compute again is stored by the first instead.
void BlockPlanner::ShareCostlyValues() {
  for (const auto& [id, users] : costly_users_) {
    bool later = std::ranges::any_of(users, [&](int user) { return drafts_[user].phase > schedule_.phase(id); });
    if (users.size() > 1 && later && !roots_.contains(id)) NeedInMemory(id);
    // A sum over values that are stored anyway reads them.
    for (int user : users) {
      NodeId reduced = drafts_[user].reduced;
      bool stored = std::ranges::find(stores_, reduced, &PendingStore::node) != stores_.end();
      if (users.size() > 1 && reduced >= 0 && stored) NeedOpaque(reduced);
    }
  }
}

int BlockPlanner::AddKernel(Kernel kernel) {
  context_.entry->kernels.push_back(std::move(kernel));
  return static_cast<int>(context_.entry->kernels.size()) - 1;
}

// Tiles, panels and a name.
void BlockPlanner::Finish(Draft& draft) {
  Kernel& kernel = draft.kernel;
  const Plan& plan = *context_.plan;
  std::vector<int> group_counts;
  int64_t units = kernel.units.is_constant() ? kernel.units.extent : 1;
  int64_t weight_bytes = 0;  // of the largest product
  for (const auto& groups : draft.groups) {
    group_counts.push_back(static_cast<int>(groups.size()));
    const int64_t weights = static_cast<int64_t>(groups.size()) * units * groups[0].source.axes[0].extent.extent;
    weight_bytes = std::max(weight_bytes, weights * StoredBytes(plan.store, plan.precision));
  }
  if (kernel.kind == KernelKind::kProduct) group_counts = {1};
  // More kinds of tiles are more code.
  const bool may_differ = kernel.kind != KernelKind::kProduct && plan.machine.l2_bytes > 0;
  const int widest = WidestTile(plan, group_counts.empty() ? 0 : *std::ranges::max_element(group_counts), weight_bytes);
  const Tiling tiling = ChooseTiling(plan.machine, plan.precision, units, group_counts, widest, may_differ);
  kernel.lanes = tiling.lanes;
  kernel.vectors = tiling.vectors;
  kernel.tile_rows = tiling.tile_rows;
  kernel.block_rows = tiling.block_rows;
  if (kernel.kind == KernelKind::kProduct) {
    kernel.chunks = tiling.products[0].block.chunks;
    // Results that no near cache holds are visited half as often; with half the rows that takes no more of the stack.
    const int depths = HasFarResults(plan, kernel) ? 2 : 1;
    kernel.block_rows = (kernel.tile_rows + depths - 1) / depths * kernel.lanes;
    kernel.depth = kProductDepth * depths;
    int64_t block = int64_t{kernel.lanes} * kernel.vectors;
    kernel.accumulates = units >= block && kernel.out.axes.back().stride == Size{};
    int64_t panel = kernel.depth * ((units + block - 1) / block) * block;
    if (context_.panel_buffer < 0) context_.panel_buffer = context_.AddBuffer({.name = "panel", .size = {0, {}}});
    Size& size = context_.entry->buffers[context_.panel_buffer].size;
    size.factor = std::max(size.factor, panel);
    kernel.panel_buffer = context_.panel_buffer;
  } else if (kernel.kind == KernelKind::kReduce && kernel.reduce_units && units >= 2 * kSideBySide * kernel.lanes) {
    kernel.vectors = kSideBySide;
  }
  CollapseAxes(kernel);
  if (kernel.kind == KernelKind::kProduct && kernel.rows.back().axes.empty()) {
    // Fewer rows than a block would hold need no room on the stack for more.
    const auto rows = static_cast<int>((kernel.rows.back().factor + kernel.lanes - 1) / kernel.lanes) * kernel.lanes;
    kernel.block_rows = std::min(kernel.block_rows, rows);
  }
  if (kernel.kind == KernelKind::kReduce && !kernel.reduce_units) BlockSums(plan, kernel);
  if (draft.chunk_time) {
    kernel.step_rows = kernel.sums_steps ? kernel.reduced.front() : kernel.rows.front();
    kernel.step_rows.axes.erase(std::ranges::find(kernel.step_rows.axes, *draft.chunk_time));
  }
  for (size_t i = 0; i < kernel.products.size(); ++i) {
    kernel.products[i].panels =
        context_.plan->AddPanels({.groups = draft.groups[i],
                                  .units = units,
                                  .depth = draft.groups[i][0].source.axes[0].extent.extent,
                                  .lanes = tiling.lanes,
                                  .block = tiling.products[i].block,
                                  .rest = tiling.products[i].rest,
                                  .format = ChooseFormat(plan.machine, plan.store, tiling.products[i].block.chunks)});
  }
  if (kernel.label.empty()) {
    for (const LaneStore& store : kernel.stores) {
      const std::string& label = kernel.program[store.value].label;
      if (!label.empty() && kernel.label.size() < 60) kernel.label += (kernel.label.empty() ? "" : ", ") + label;
    }
  }
}

}  // namespace recurve

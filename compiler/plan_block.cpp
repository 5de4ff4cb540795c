// compiler/plan_block.cpp: roots, lane programs by demand, and statements of one graph.

#include "compiler/plan_block.h"

#include <fmt/format.h>

#include <algorithm>
#include <deque>
#include <map>
#include <optional>
#include <set>

#include "compiler/plan_chunk.h"
#include "compiler/plan_collapse.h"
#include "compiler/plan_recurrence.h"
#include "compiler/plan_scan.h"
#include "compiler/plan_schedule.h"
#include "compiler/plan_segment.h"
#include "compiler/plan_tile.h"
#include "compiler/plan_view.h"
#include "ir/builder.h"

namespace recurve {
namespace {

using ir::Dim;
using ir::Graph;
using ir::Node;
using ir::NodeId;
using ir::Op;
using ir::Shape;
using Kind = LaneInstruction::Kind;

constexpr int64_t kProductDepth = 256;    // terms of a long sum whose panels fit the second-level cache
constexpr int kSideBySide = 4;            // sums of one row that hide each other's latency
constexpr int64_t kReduceBytes = 131072;  // of the terms that are summed at a time: a part of the second-level cache
constexpr int kReduceVectors = 8;         // vectors summed side by side, so that a row is read by whole cache lines

// The rows and units that a kernel walks.
struct Space {
  Shape rows;
  Dim units = 1;
  bool added_units = false;  // the value has no constant last axis; a single unit stands in

  bool operator==(const Space&) const = default;
};

Space SpaceOf(const Shape& shape) {
  if (shape.empty() || !shape.back().is_constant()) return {shape, 1, true};
  return {Shape(shape.begin(), shape.end() - 1), shape.back(), false};
}

// A view of a value as one with the axes of `order`, a list of labels; labels that the value lacks have stride 0.
View ByLabels(const View& view, const std::string& labels, const std::string& order) {
  View result = view;
  result.axes.clear();
  for (char label : order) {
    size_t at = labels.find(label);
    result.axes.push_back(at == std::string::npos ? ViewAxis{1, Size{0, {}}} : view.axes[at]);
  }
  return result;
}

bool HasUnitStride(const View& view, const std::string& labels, char label) {
  size_t at = labels.find(label);
  return at != std::string::npos && view.axes[at].stride == Size{};
}

int LoadsOf(const Kernel& kernel) {
  auto loads = [](const LaneInstruction& instruction) { return instruction.kind == Kind::kLoad; };
  return std::max(1, static_cast<int>(std::ranges::count_if(kernel.program, loads)));
}

// A kernel under construction.
struct Draft {
  int number = 0;
  int phase = 0;
  Space space;
  Kernel kernel;
  std::map<std::pair<NodeId, int64_t>, int> memo;  // (value, unit offset) -> instruction
  std::vector<std::vector<PanelGroup>> groups;     // per product
  std::set<NodeId> sums;                           // contractions summed here
  NodeId reduced = -1;                             // what a Reduce kernel sums
  std::optional<std::string> chunk_time;           // runs in chunks of this axis
  int added = -1;                                  // its number in the entry, once finished
};

class BlockPlanner {
 public:
  BlockPlanner(EntryContext& context, const Graph& graph, const std::vector<View>& inputs,
               const std::vector<std::vector<View>>& destinations)
      : context_(context),
        graph_(graph),
        inputs_(inputs),
        output_destinations_(destinations),
        schedule_(context, graph, inputs) {}

  std::vector<Statement> Run();

 private:
  struct PendingStore {
    NodeId node;
    View view;
  };

  void FindRoots();
  void AddRoot(NodeId id);
  void PlaceRoots();
  void PlaceScan(NodeId id);
  std::string NameOf(NodeId id) const;
  View Place(NodeId id, bool dense, Size guard = {0, {}});
  void StoreTo(NodeId id, const View& view);
  void SendTo(NodeId id, const View& destination);
  std::optional<View> ViewOf(NodeId id) const;

  void DraftKernels();
  Draft& DraftFor(int phase, const Space& space);
  void DraftReduce(NodeId id);
  void DraftContraction(NodeId id);
  void DraftProduct(NodeId id);
  void DraftScatter(NodeId id);
  void ShareCostlyValues();

  int Append(Draft& draft, LaneInstruction instruction);
  int Demand(Draft& draft, NodeId id, int64_t offset);
  int DemandSplat(Draft& draft, NodeId id);
  int DemandJoin(Draft& draft, NodeId id, int64_t offset);
  int DemandGather(Draft& draft, NodeId id, int64_t offset);
  int DemandSum(Draft& draft, NodeId id, int64_t offset);
  int Load(Draft& draft, const View& view, int64_t offset, const std::string& label);
  View AlignTo(const Space& space, const View& view, int64_t offset) const;

  std::vector<PhasedKernel> PhasedKernels();
  std::vector<ChunkScan> ChunkScans() const;
  bool IsSegmented() const { return context_.plan->choices.segment > 0 && context_.entry->name == "backward"; }
  bool IsRestored(const ir::ScanAttr& attr) const { return IsSegmented() && attr.checkpoint >= 0; }
  int AddSegments(const SegmentChoice& choice);
  const ChunkScan* ScanOfSteps(const Kernel& kernel, const std::vector<ChunkScan>& scans) const;
  Statement PlanSum(const Draft& draft, const ChunkScan& scan);
  void Finish(Draft& draft);
  int AddKernel(Kernel kernel);
  Statement PlanScanStatement(NodeId id, const ChunkChoice& choice, int outer);
  Statement PlanLoopStatement(NodeId id, const ChunkChoice& choice, int outer);
  Statement PlanCheckpoint(NodeId id, int segments);
  View CheckpointOf(const ir::ScanAttr& attr, int carry, int segments);

  void NeedInMemory(NodeId id) { restart_ |= extra_roots_.insert(id).second; }
  void NeedOpaque(NodeId id) { restart_ |= schedule_.MakeOpaque(id); }

  EntryContext& context_;
  const Graph& graph_;
  const std::vector<View>& inputs_;
  const std::vector<std::vector<View>>& output_destinations_;
  Schedule schedule_;

  std::set<NodeId> extra_roots_;  // found on the way; kept when planning starts again
  bool restart_ = false;

  std::set<NodeId> roots_;
  std::map<NodeId, View> views_;  // where values in memory can be read
  std::map<NodeId, std::vector<View>> destinations_;
  std::map<NodeId, ScanPlan> scans_;
  std::vector<PendingStore> stores_;
  std::deque<Draft> drafts_;
  std::map<NodeId, std::set<int>> costly_users_;  // the drafts that compute a costly value
};

// ---- Roots -------------------------------------------------------------------------------------------------------

// Makes sure that the value will be in memory.
void BlockPlanner::AddRoot(NodeId id) {
  switch (schedule_.form(id)) {
    case Form::kView:
    case Form::kPart: AddRoot(graph_[id].args[0]); break;
    case Form::kLane:
    case Form::kJoin:
    case Form::kTile: roots_.insert(id); break;
    case Form::kInput:
    case Form::kCopy:
    case Form::kProduct:
    case Form::kReduce:
    case Form::kScatter:
    case Form::kScan:
    case Form::kResult: break;
  }
}

void BlockPlanner::FindRoots() {
  roots_.clear();
  for (NodeId id : schedule_.opaque()) AddRoot(id);
  for (NodeId id : extra_roots_) AddRoot(id);
  for (NodeId id = 0; id < graph_.size(); ++id) {
    const Node& node = graph_[id];
    auto need_operands = [&](size_t first = 0) {
      for (size_t i = first; i < node.args.size(); ++i) AddRoot(node.args[i]);
    };
    switch (schedule_.form(id)) {
      case Form::kInput:
      case Form::kResult:
      case Form::kPart:
      case Form::kCopy: break;
      case Form::kLane:
        if (Schedule::ReadsIndices(node.op)) need_operands();
        break;
      case Form::kJoin:
        if (node.As<ir::ConcatAttr>().axis != node.type.rank() - 1) NeedOpaque(id);
        break;
      case Form::kReduce:
        if (node.op == Op::kContract || schedule_.HoldsSums(node.args[0])) need_operands();
        break;
      case Form::kScan: need_operands(node.As<ir::ScanAttr>().carries); break;
      case Form::kView:
      case Form::kTile:
      case Form::kProduct:
      case Form::kScatter: need_operands(); break;
    }
  }
}

// Where the value can be read, if it is in memory.
std::optional<View> BlockPlanner::ViewOf(NodeId id) const {
  if (auto found = views_.find(id); found != views_.end()) return found->second;
  const Node& node = graph_[id];
  if (schedule_.form(id) != Form::kView && schedule_.form(id) != Form::kPart) return std::nullopt;
  std::optional<View> operand = ViewOf(node.args[0]);
  if (!operand) return std::nullopt;
  if (node.op == Op::kSlice) {
    const auto& slice = node.As<ir::SliceAttr>();
    return SliceOf(*operand, slice.axis, slice.start, node.type.shape[slice.axis].extent);
  }
  if (node.op == Op::kTranspose) return TransposeOf(*operand, node.As<ir::AxesAttr>().axes);
  if (node.op == Op::kBroadcast) return BroadcastOf(*operand, node.type.shape, node.As<ir::AxesAttr>().axes);
  return ReshapeOf(*operand, node.type.shape);
}

// The kernel of the value's phase and space will store it through `view`; a concatenation part by part.
void BlockPlanner::StoreTo(NodeId id, const View& view) {
  const Node& node = graph_[id];
  if (schedule_.form(id) != Form::kJoin) {
    stores_.push_back({id, view});
    return;
  }
  int axis = node.As<ir::ConcatAttr>().axis;
  int64_t start = 0;
  for (NodeId part : node.args) {
    int64_t size = graph_.type(part).shape[axis].extent;
    StoreTo(part, SliceOf(view, axis, start, size));
    start += size;
  }
}

// Passes a destination down through views to the value that can be computed straight into it.
void BlockPlanner::SendTo(NodeId id, const View& destination) {
  const Node& node = graph_[id];
  bool through = schedule_.form(id) == Form::kView && roots_.contains(node.args[0]);
  if (through && node.op == Op::kTranspose) {
    SendTo(node.args[0], InverseTransposeOf(destination, node.As<ir::AxesAttr>().axes));
  } else if (through && node.op == Op::kReshape) {
    SendTo(node.args[0], *ReshapeOf(destination, graph_.type(node.args[0]).shape));
  } else {
    destinations_[id].push_back(destination);
  }
}

// What people call a value, also one that the source gives no name.
std::string BlockPlanner::NameOf(NodeId id) const {
  const Node& node = graph_[id];
  if (!node.label.empty()) return node.label;
  if (node.op == Op::kContract) {
    Contraction c = Normalize(node);
    const std::string &weight = graph_[c.right].label, &left = graph_[c.left].label;
    if (!weight.empty() && !left.empty()) return fmt::format("{} @ {}", weight, left);
  }
  if (node.op == Op::kReduceSum) return "sum of " + NameOf(node.args[0]);
  if (node.op == Op::kReduceMax) return "maximum of " + NameOf(node.args[0]);
  return fmt::format("{}{}", ir::Name(node.op), id);
}

// The value's place: its first fitting destination, or workspace. A destination in fewer bits than the arithmetic is
// none for a value that is read or that its kernel adds to; it gets a rounded copy.
View BlockPlanner::Place(NodeId id, bool dense, Size guard) {
  std::vector<View>& wanted = destinations_[id];
  const Node& node = graph_[id];
  bool is_read = false;
  for (NodeId other = id + 1; other < graph_.size(); ++other) {
    const std::vector<NodeId>& args = graph_[other].args;
    is_read |= std::ranges::find(args, id) != args.end();
  }
  bool may_round = !is_read && (schedule_.form(id) == Form::kResult || schedule_.form(id) == Form::kCopy);
  auto find = [&](bool rounded) {
    return std::ranges::find_if(wanted, [&](const View& view) {
      bool rounds = context_.entry->buffers[view.buffer].storage != Storage::kSame;
      return rounds == rounded && (!dense || IsDense(view));
    });
  };
  auto usable = find(false);
  if (usable == wanted.end() && may_round) usable = find(true);
  const std::string name = NameOf(id);
  if (usable == wanted.end()) return views_[id] = context_.AddWorkspace(name, node.type.shape, guard);
  View view = *usable;
  wanted.erase(usable);
  return views_[id] = view;
}

void BlockPlanner::PlaceRoots() {
  views_.clear();
  stores_.clear();
  destinations_.clear();
  scans_.clear();
  for (size_t i = 0; i < inputs_.size(); ++i) views_[graph_.inputs()[i]] = inputs_[i];
  for (size_t i = 0; i < output_destinations_.size(); ++i) {
    for (const View& view : output_destinations_[i]) SendTo(graph_.outputs()[i].node, view);
  }
  for (NodeId id = 0; id < graph_.size(); ++id) {
    switch (schedule_.form(id)) {
      case Form::kLane:
      case Form::kJoin:
      case Form::kTile:
        if (roots_.contains(id)) StoreTo(id, Place(id, false));
        break;
      case Form::kCopy: {
        NodeId operand = graph_[id].args[0];
        StoreTo(operand, *ReshapeOf(Place(id, true), graph_.type(operand).shape));
        break;
      }
      case Form::kProduct:
      case Form::kReduce:
      case Form::kScatter: Place(id, false); break;
      case Form::kScan: PlaceScan(id); break;
      case Form::kInput:
      case Form::kPart:
      case Form::kView:
      case Form::kResult: break;
    }
  }
  for (const auto& [id, views] : destinations_) {
    for (const View& view : views) StoreTo(id, view);
  }
}

void BlockPlanner::PlaceScan(NodeId id) {
  const Node& node = graph_[id];
  const auto& attr = node.As<ir::ScanAttr>();
  ScanPlan scan(attr, context_.loops++);
  for (NodeId result = id + 1; result < graph_.size(); ++result) {
    if (graph_[result].op != Op::kScanResult || graph_[result].args[0] != id) continue;
    int index = graph_[result].As<ir::ResultAttr>().index;
    if (index < attr.carries) continue;
    Shape step = graph_.type(result).shape;
    step.erase(step.begin());
    scan.AddStack(index, Place(result, false, SizeOf(step)), context_.entry->buffers);
    std::vector<View>& others = destinations_[result];
    for (const View& other : others) scan.AddStack(index, other, context_.entry->buffers);
    others.clear();
  }
  scan.PlaceCarries(context_);
  for (int i = 0; i < attr.carries && !IsRestored(attr); ++i) {
    for (const View& view : scan.InitialViews(i)) StoreTo(node.args[i], view);
  }
  for (NodeId result = id + 1; result < graph_.size(); ++result) {
    if (graph_[result].op != Op::kScanResult || graph_[result].args[0] != id) continue;
    int index = graph_[result].As<ir::ResultAttr>().index;
    if (index < attr.carries) views_[result] = scan.FinalView(index);
  }
  scans_.emplace(id, std::move(scan));
}

// ---- Lane programs -----------------------------------------------------------------------------------------------

Draft& BlockPlanner::DraftFor(int phase, const Space& space) {
  for (Draft& draft : drafts_) {
    if (draft.kernel.kind == KernelKind::kMap && draft.phase == phase && draft.space == space) return draft;
  }
  Draft& draft = drafts_.emplace_back();
  draft.number = static_cast<int>(drafts_.size()) - 1;
  draft.phase = phase;
  draft.space = space;
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

// ---- Kernels -----------------------------------------------------------------------------------------------------

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

void BlockPlanner::DraftKernels() {
  drafts_.clear();
  costly_users_.clear();
  for (const PendingStore& store : stores_) {
    bool summed_here = schedule_.form(store.node) == Form::kTile;
    int phase = summed_here || schedule_.opaque().contains(store.node) ? schedule_.phase(store.node)
                                                                       : schedule_.LaneAvailable(store.node);
    Draft& draft = DraftFor(phase, SpaceOf(graph_.type(store.node).shape));
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
  std::vector<int> group_counts;
  for (const auto& groups : draft.groups) group_counts.push_back(static_cast<int>(groups.size()));
  if (kernel.kind == KernelKind::kProduct) group_counts = {1};
  int64_t units = kernel.units.is_constant() ? kernel.units.extent : 1;
  Tiling tiling = ChooseTiling(context_.plan->machine, context_.plan->precision, units, group_counts);
  kernel.lanes = tiling.lanes;
  kernel.vectors = tiling.vectors;
  kernel.tile_rows = tiling.tile_rows;
  kernel.block_rows = tiling.block_rows;
  if (kernel.kind == KernelKind::kProduct) {
    kernel.chunks = tiling.chunks[0];
    kernel.block_rows = kernel.tile_rows * kernel.lanes;
    kernel.depth = kProductDepth;
    int64_t block = int64_t{kernel.lanes} * kernel.vectors;
    int64_t panel = kernel.depth * ((units + block - 1) / block) * block;
    if (context_.panel_buffer < 0) context_.panel_buffer = context_.AddBuffer({.name = "panel", .size = {0, {}}});
    Size& size = context_.entry->buffers[context_.panel_buffer].size;
    size.factor = std::max(size.factor, panel);
    kernel.panel_buffer = context_.panel_buffer;
  } else if (kernel.kind == KernelKind::kReduce && !kernel.reduce_units && kernel.program.size() <= 3) {
    kernel.vectors = kReduceVectors;
  } else if (kernel.kind == KernelKind::kReduce && kernel.reduce_units && units >= 2 * kSideBySide * kernel.lanes) {
    kernel.vectors = kSideBySide;
  }
  CollapseAxes(kernel);
  if (kernel.kind == KernelKind::kProduct && kernel.rows.back().axes.empty()) {
    // Fewer rows than a block would hold need no room on the stack for more.
    const auto rows = static_cast<int>((kernel.rows.back().factor + kernel.lanes - 1) / kernel.lanes) * kernel.lanes;
    kernel.block_rows = std::min(kernel.block_rows, rows);
  }
  if (kernel.kind == KernelKind::kReduce && !kernel.reduce_units && kernel.reduced.size() == 1 &&
      units > int64_t{kernel.lanes} * kernel.vectors) {
    const int64_t term_bytes = units * ElementBytes(context_.plan->precision) * LoadsOf(kernel);
    kernel.block_rows = static_cast<int>(std::clamp<int64_t>(kReduceBytes / term_bytes, 8, 64));
  }
  if (draft.chunk_time) {
    kernel.step_rows = kernel.sums_steps ? kernel.reduced.front() : kernel.rows.front();
    kernel.step_rows.axes.erase(std::ranges::find(kernel.step_rows.axes, *draft.chunk_time));
  }
  for (size_t i = 0; i < kernel.products.size(); ++i) {
    kernel.products[i].panels = context_.plan->AddPanels(
        {.groups = draft.groups[i],
         .units = units,
         .depth = draft.groups[i][0].source.axes[0].extent.extent,
         .lanes = tiling.lanes,
         .vectors = tiling.vectors,
         .chunks = tiling.chunks[i],
         .format = ChooseFormat(context_.plan->machine, context_.plan->store, tiling.chunks[i])});
  }
  if (kernel.label.empty()) {
    for (const LaneStore& store : kernel.stores) {
      const std::string& label = kernel.program[store.value].label;
      if (!label.empty() && kernel.label.size() < 60) kernel.label += (kernel.label.empty() ? "" : ", ") + label;
    }
  }
}

std::vector<PhasedKernel> BlockPlanner::PhasedKernels() {
  std::vector<PhasedKernel> kernels;
  for (Draft& draft : drafts_) kernels.push_back({&draft.kernel, draft.phase});
  return kernels;
}

// In the order of `scans_`.
std::vector<ChunkScan> BlockPlanner::ChunkScans() const {
  std::vector<ChunkScan> scans;
  for (const auto& [id, plan] : scans_) {
    const Node& node = graph_[id];
    const auto& attr = node.As<ir::ScanAttr>();
    ChunkScan scan{
        .phase = schedule_.phase(id), .time = attr.time, .reverse = attr.reverse, .is_restored = IsRestored(attr)};
    for (int i = attr.carries; i < static_cast<int>(node.args.size()); ++i) {
      View view = *ViewOf(node.args[i]);
      if (i < attr.carries + attr.sequences) {
        scan.elements.push_back(std::move(view));
      } else {
        scan.whole.push_back(view.buffer);
      }
    }
    scan.stacks = plan.StackBuffers();
    scan.slots = plan.CarryBuffers();
    scans.push_back(std::move(scan));
  }
  return scans;
}

// The time loop of a scan, in a chunk loop with the kernels that share its chunks; over the steps of the chunk loop
// `outer`, unless that is -1.
Statement BlockPlanner::PlanLoopStatement(NodeId id, const ChunkChoice& choice, int outer) {
  std::vector<View> operands;
  const Node& node = graph_[id];
  for (size_t i = 0; i < node.args.size(); ++i) {
    operands.push_back(static_cast<int>(i) < node.As<ir::ScanAttr>().carries ? View{} : *ViewOf(node.args[i]));
  }
  TimeLoop loop = scans_.at(id).PlanBody(context_, operands);
  EntryPlan& entry = *context_.entry;
  const std::vector<int> slots = scans_.at(id).CarryBuffers();
  if (choice.empty()) {
    loop.chunk = outer;
    AddRecurrence(*context_.plan, entry, loop, slots);
    return {std::move(loop)};
  }

  const int number = static_cast<int>(entry.chunks.size());
  Chunks chunks{.axis = fmt::format("chunk{}", number),
                .time = loop.time.axis,
                .reverse = loop.reverse,
                .step_rows = RowsOfStep(*context_.plan),
                .outer = outer,
                .rings = choice.rings};
  for (const std::vector<int>* chosen : {&choice.before, &choice.after}) {
    for (int k : *chosen) {
      Kernel& kernel = entry.kernels[drafts_[k].added];
      kernel.chunk = number;
      if (kernel.step_rows.axes.size() > chunks.step_rows.axes.size())
        chunks.step_rows = Size{1, kernel.step_rows.axes};
    }
  }
  int64_t row_bytes = 0;
  for (int ring : chunks.rings) {
    Buffer& buffer = entry.buffers[ring];
    row_bytes += buffer.size.factor * context_.plan->BytesOf(buffer);
    *std::ranges::find(buffer.size.axes, chunks.time) = chunks.axis;
    std::ranges::sort(buffer.size.axes);
    buffer.guard = {0, {}};
  }
  const bool sums =
      std::ranges::any_of(choice.after, [&](int k) { return entry.kernels[drafts_[k].added].sums_steps; });
  SetLength(row_bytes, sums, context_.plan->choices.chunk_rows, chunks);
  entry.chunks.push_back(std::move(chunks));
  loop.chunk = number;
  ChunkLoop statement{.chunk = number, .body = {}};
  int phase = -1;
  auto call = [&](int k) {
    if (phase >= 0 && drafts_[k].phase != phase) statement.body.push_back({Barrier{}});
    phase = drafts_[k].phase;
    statement.body.push_back({KernelCall{drafts_[k].added}});
  };
  for (int k : choice.before) call(k);
  if (phase >= 0) statement.body.push_back({Barrier{}});
  AddRecurrence(*context_.plan, entry, loop, slots);
  statement.body.push_back({std::move(loop)});
  phase = -1;
  for (int k : choice.after) call(k);
  if (phase >= 0) statement.body.push_back({Barrier{}});
  return {std::move(statement)};
}

// Where the carry of a scan at the beginning of each segment is kept: a value for each on the tape.
View BlockPlanner::CheckpointOf(const ir::ScanAttr& attr, int carry, int segments) {
  std::vector<Buffer>& tape = context_.plan->tape;
  const Shape& shape = attr.body->type(attr.body->inputs()[carry]).shape;
  Buffer buffer{.name = fmt::format("checkpoint{}.{}", attr.checkpoint, carry),
                .place = Place::kTape,
                .size = SizeOf(shape) * Size{1, {context_.plan->segments->count}}};
  const auto found = std::ranges::find(tape, buffer.name, &Buffer::name);
  buffer.tape_region = static_cast<int>(found - tape.begin());
  if (found == tape.end()) tape.push_back(buffer);
  const int number = context_.AddBuffer(std::move(buffer));
  context_.entry->chunks[segments].checkpoints.push_back(number);
  return DenseView(number, shape);
}

// Before the steps of a segment: forward keeps the carries, backward takes them.
Statement BlockPlanner::PlanCheckpoint(NodeId id, int segments) {
  const auto& attr = graph_[id].As<ir::ScanAttr>();
  const ScanPlan& scan = scans_.at(id);
  const bool restores = IsRestored(attr);
  Graph copy;
  std::vector<View> inputs;
  std::vector<std::vector<View>> destinations;
  for (int i = 0; i < attr.carries; ++i) {
    const NodeId carry = attr.body->inputs()[i];
    const std::string& name = (*attr.body)[carry].As<ir::InputAttr>().name;
    const NodeId value = copy.AddInput(name, ir::Role::kCarry, attr.body->type(carry).shape).id();
    copy.SetLabel(value, name);
    copy.AddOutput(name, value);
    const View kept = CheckpointOf(attr, i, segments);
    const std::vector<View> slots = scan.StepViews(i);
    inputs.push_back(restores ? kept : slots.front());
    destinations.push_back(restores ? slots : std::vector<View>{kept});
  }
  TimeLoop loop{.loop = scan.loop(),
                .time = attr.time,
                .reverse = attr.reverse,
                .chunk = segments,
                .only_first = true,
                .body = PlanBlock(context_, copy, inputs, destinations)};
  loop.body.push_back({Barrier{}});
  return {std::move(loop)};
}

// The scan's loop; in a forward program that keeps checkpoints, segment by segment.
Statement BlockPlanner::PlanScanStatement(NodeId id, const ChunkChoice& choice, int outer) {
  const auto& attr = graph_[id].As<ir::ScanAttr>();
  Plan& plan = *context_.plan;
  const bool keeps = plan.choices.segment > 0 && context_.entry->name == "forward" && attr.checkpoint >= 0;
  if (!keeps) return PlanLoopStatement(id, choice, outer);
  if (!plan.segments) {
    plan.segments = SegmentsOf(attr.time.axis, plan);
  }
  // Of two time axes backward will say that it can't.
  if (plan.segments->time != attr.time.axis) return PlanLoopStatement(id, choice, outer);
  const int number = AddSegments({.time = attr.time.axis, .reverse = attr.reverse});
  ChunkLoop loop{.chunk = number, .body = {PlanCheckpoint(id, number)}};
  loop.body.push_back(PlanLoopStatement(id, choice, number));
  loop.body.push_back({Barrier{}});
  return {std::move(loop)};
}

// The number of a chunk loop over segments.
int BlockPlanner::AddSegments(const SegmentChoice& choice) {
  EntryPlan& entry = *context_.entry;
  Chunks segments = *context_.plan->segments;
  segments.reverse = choice.reverse;
  segments.rings = choice.rings;
  for (int ring : choice.rings) {
    std::vector<std::string>& axes = entry.buffers[ring].size.axes;
    *std::ranges::find(axes, choice.time) = segments.axis;
    std::ranges::sort(axes);
  }
  entry.chunks.push_back(std::move(segments));
  return static_cast<int>(entry.chunks.size()) - 1;
}

// The scan whose steps a kernel sums; none if it sums something else, or steps of no scan.
const ChunkScan* BlockPlanner::ScanOfSteps(const Kernel& kernel, const std::vector<ChunkScan>& scans) const {
  if (kernel.kind == KernelKind::kScatter) return nullptr;
  const auto found = std::ranges::find_if(scans, [&](const ChunkScan& scan) {
    return !scan.time.is_constant() && !scan.is_restored && WalksSteps(kernel, scan.time.axis, true);
  });
  return found == scans.end() ? nullptr : &*found;
}

// A sum over steps that shares no chunk loop: in chunks of its own, so that its terms are grouped as they would be
// there.
Statement BlockPlanner::PlanSum(const Draft& draft, const ChunkScan& scan) {
  EntryPlan& entry = *context_.entry;
  const int number = static_cast<int>(entry.chunks.size());
  Chunks chunks{.axis = fmt::format("chunk{}", number),
                .time = scan.time.axis,
                .reverse = scan.reverse,
                .step_rows = RowsOfStep(*context_.plan)};
  SetLength(0, /*sums_steps=*/true, context_.plan->choices.chunk_rows, chunks);
  entry.chunks.push_back(std::move(chunks));
  entry.kernels[draft.added].chunk = number;
  return {ChunkLoop{.chunk = number, .body = {{KernelCall{draft.added}}}}};
}

// Phase after phase, with barriers between them.
using Phases = std::map<int, std::vector<Statement>>;
void AppendPhases(Phases phases, std::vector<Statement>& statements) {
  for (auto& [phase, list] : phases) {
    if (!statements.empty()) statements.push_back({Barrier{}});
    for (Statement& statement : list) statements.push_back(std::move(statement));
  }
}

std::vector<Statement> BlockPlanner::Run() {
  size_t buffers = context_.entry->buffers.size();
  int loops = context_.loops;
  do {
    restart_ = false;
    context_.entry->buffers.resize(buffers);
    context_.loops = loops;
    FindRoots();
    if (restart_) continue;
    PlaceRoots();
    DraftKernels();
  } while (restart_);

  EntryPlan& entry = *context_.entry;
  const std::vector<PhasedKernel> kernels = PhasedKernels();
  const std::vector<ChunkScan> scans = ChunkScans();
  const std::vector<ChunkChoice> choices = ChooseChunks(kernels, scans, entry.buffers);
  for (size_t i = 0; i < scans.size(); ++i) {
    for (const std::vector<int>* chosen : {&choices[i].before, &choices[i].after}) {
      for (int k : *chosen) drafts_[k].chunk_time = scans[i].time.axis;
    }
  }
  SegmentChoice segment;
  int segments = -1;
  const bool is_segmented =
      IsSegmented() && context_.plan->segments && std::ranges::any_of(scans, &ChunkScan::is_restored);
  if (is_segmented) {
    segment = ChooseSegment(kernels, scans, choices, entry.buffers);
    if (segment.refused.empty()) {
      segments = AddSegments(segment);
    } else {
      context_.plan->refused = segment.refused;
    }
  }

  Phases before, inside, after;
  for (Draft& draft : drafts_) {
    const bool is_in_segment = std::ranges::find(segment.kernels, draft.number) != segment.kernels.end();
    const bool is_after = std::ranges::find(segment.later, draft.number) != segment.later.end();
    const bool is_in_chunk = draft.chunk_time.has_value();
    const ChunkScan* summed = is_in_chunk ? nullptr : ScanOfSteps(draft.kernel, scans);
    if (is_in_segment) draft.chunk_time = segment.time;
    if (summed != nullptr) {
      draft.chunk_time = summed->time.axis;
      draft.kernel.sums_steps = true;
    }
    Finish(draft);
    draft.added = AddKernel(std::move(draft.kernel));
    if (is_in_segment) entry.kernels[draft.added].chunk = segments;
    Phases& phases = is_in_segment ? inside : is_after ? after : before;
    if (is_in_chunk) continue;
    phases[draft.phase].push_back(summed != nullptr ? PlanSum(draft, *summed) : Statement{KernelCall{draft.added}});
  }
  size_t i = 0;
  for (const auto& [id, plan] : scans_) {
    const bool is_in_segment = segments >= 0 && scans[i].time.axis == segment.time;
    std::vector<Statement>& phase = (is_in_segment ? inside : before)[schedule_.phase(id)];
    if (is_in_segment && scans[i].is_restored) phase.push_back(PlanCheckpoint(id, segments));
    phase.push_back(PlanScanStatement(id, choices[i++], is_in_segment ? segments : -1));
  }
  std::vector<Statement> statements;
  AppendPhases(std::move(before), statements);
  if (segments >= 0) {
    ChunkLoop loop{.chunk = segments, .body = {}};
    AppendPhases(std::move(inside), loop.body);
    loop.body.push_back({Barrier{}});
    if (!statements.empty()) statements.push_back({Barrier{}});
    statements.push_back({std::move(loop)});
  }
  AppendPhases(std::move(after), statements);
  return statements;
}

}  // namespace

std::vector<Statement> PlanBlock(EntryContext& context, const Graph& graph, const std::vector<View>& inputs,
                                 const std::vector<std::vector<View>>& destinations) {
  return BlockPlanner(context, graph, inputs, destinations).Run();
}

int EntryContext::AddBuffer(Buffer buffer) {
  entry->buffers.push_back(std::move(buffer));
  return static_cast<int>(entry->buffers.size()) - 1;
}

View EntryContext::AddWorkspace(const std::string& name, const ir::Shape& shape, Size guard) {
  return DenseView(AddBuffer({.name = name, .size = SizeOf(shape), .guard = std::move(guard)}), shape);
}

}  // namespace recurve

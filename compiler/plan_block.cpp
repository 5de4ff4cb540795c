// compiler/plan_block.cpp: what of a graph must be in memory, and where.

#include "compiler/plan_block.h"

#include <fmt/format.h>

#include <algorithm>

#include "compiler/plan_block_planner.h"
#include "compiler/plan_view.h"

namespace recurve {

using ir::Dim;
using ir::Graph;
using ir::Node;
using ir::NodeId;
using ir::Op;
using ir::Shape;
using Kind = LaneInstruction::Kind;

Space SpaceOf(const Shape& shape) {
  if (shape.empty() || !shape.back().is_constant()) return {shape, 1, true};
  return {Shape(shape.begin(), shape.end() - 1), shape.back(), false};
}

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
    // What begins anew with every segment leaves a carry in a place of its own, so that a sequence may hold one chunk.
    const Size guard = KeepsCheckpoints(attr) ? Size{0, {}} : SizeOf(step);
    scan.AddStack(index, Place(result, false, guard), context_.entry->buffers);
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

// compiler/plan_checkpoint.cpp: segments of time, and the carries that are kept where they begin.

#include <fmt/format.h>

#include <algorithm>

#include "compiler/plan_block_planner.h"
#include "compiler/plan_view.h"
#include "ir/builder.h"

namespace recurve {

using ir::Graph;
using ir::NodeId;
using ir::Shape;
using Steps = TimeLoop::Steps;

namespace {

const Shape& ShapeOfCarry(const ir::ScanAttr& attr, int carry) {
  return attr.body->type(attr.body->inputs()[carry]).shape;
}

// The same once more, with kernels of its own: in which groups of rows they run depends on what is around them.
std::vector<Statement> Again(const std::vector<Statement>& statements, EntryPlan& entry) {
  std::vector<Statement> again = statements;
  for (Statement& statement : again) {
    if (auto* call = std::get_if<KernelCall>(&statement.kind)) {
      entry.kernels.push_back(entry.kernels[call->kernel]);
      call->kernel = static_cast<int>(entry.kernels.size()) - 1;
    } else if (auto* loop = std::get_if<TimeLoop>(&statement.kind)) {
      loop->body = Again(loop->body, entry);
      if (loop->recurrence < 0) continue;
      entry.kernels.push_back(entry.kernels[loop->recurrence]);
      loop->recurrence = static_cast<int>(entry.kernels.size()) - 1;
    } else if (auto* chunk = std::get_if<ChunkLoop>(&statement.kind)) {
      chunk->body = Again(chunk->body, entry);
    }
  }
  return again;
}

}  // namespace

bool BlockPlanner::KeepsCheckpoints(const ir::ScanAttr& attr) const {
  return context_.plan->choices.segment > 0 && context_.entry->name == "forward" && attr.checkpoint >= 0;
}

// Where the carry of a scan at the beginning of each segment is kept: a value for each on the tape.
View BlockPlanner::CheckpointOf(const ir::ScanAttr& attr, int carry, int segments) {
  std::vector<Buffer>& tape = context_.plan->tape;
  Chunks& chunks = context_.entry->chunks[segments];
  const Shape& shape = ShapeOfCarry(attr, carry);
  Buffer buffer{.name = fmt::format("checkpoint{}.{}", attr.checkpoint, carry),
                .place = Place::kTape,
                .size = SizeOf(shape) * Size{1, {chunks.count}}};
  const auto found = std::ranges::find(tape, buffer.name, &Buffer::name);
  buffer.tape_region = static_cast<int>(found - tape.begin());
  if (found == tape.end()) tape.push_back(buffer);
  const int number = context_.AddBuffer(std::move(buffer));
  chunks.checkpoints.push_back(number);
  return DenseView(number, shape);
}

// Likewise of each subsegment of the segment that is being computed, in the workspace.
View BlockPlanner::InnerCheckpointOf(const ir::ScanAttr& attr, int carry, int subsegments) {
  Chunks& chunks = context_.entry->chunks[subsegments];
  const Shape& shape = ShapeOfCarry(attr, carry);
  const int number = context_.AddBuffer({.name = fmt::format("inner checkpoint{}.{}", attr.checkpoint, carry),
                                         .size = SizeOf(shape) * Size{1, {chunks.count}},
                                         .guard = SizeOf(shape)});
  chunks.checkpoints.push_back(number);
  return DenseView(number, shape);
}

// Copies every carry of a scan, at a step of a chunk.
Statement BlockPlanner::PlanCopies(NodeId id, Steps steps, int chunk, const std::vector<View>& from,
                                   const std::vector<std::vector<View>>& to) {
  const auto& attr = graph_[id].As<ir::ScanAttr>();
  Graph copy;
  for (int i = 0; i < attr.carries; ++i) {
    const std::string& name = (*attr.body)[attr.body->inputs()[i]].As<ir::InputAttr>().name;
    const NodeId value = copy.AddInput(name, ir::Role::kCarry, ShapeOfCarry(attr, i)).id();
    copy.SetLabel(value, name);
    copy.AddOutput(name, value);
  }
  TimeLoop loop{.loop = scans_.at(id).loop(),
                .time = attr.time,
                .reverse = attr.reverse,
                .chunk = chunk,
                .steps = steps,
                .body = PlanBlock(context_, copy, from, to)};
  loop.body.push_back({Barrier{}});
  return {std::move(loop)};
}

// The scan's loop; in a forward program that keeps checkpoints, segment by segment.
Statement BlockPlanner::PlanScanStatement(NodeId id, const ChunkChoice& choice, int outer) {
  const auto& attr = graph_[id].As<ir::ScanAttr>();
  if (!KeepsCheckpoints(attr)) return PlanLoopStatement(id, choice, outer);
  std::vector<Chunks>& known = context_.plan->segments;
  if (std::ranges::find(known, attr.time.axis, &Chunks::time) == known.end())
    known.push_back(SegmentsOf(attr.time.axis, *context_.plan));
  const int number = AddSegmentChunks(attr.time.axis, attr.reverse);
  std::vector<View> from;
  std::vector<std::vector<View>> to;
  for (int i = 0; i < attr.carries; ++i) {
    from.push_back(scans_.at(id).StepViews(i).front());
    to.push_back({CheckpointOf(attr, i, number)});
  }
  ChunkLoop loop{.chunk = number, .body = {PlanCopies(id, Steps::kFirst, number, from, to)}};
  loop.body.push_back(PlanLoopStatement(id, choice, number));
  loop.body.push_back({Barrier{}});
  return {std::move(loop)};
}

// Where each scan has segments of its own, what is computed of a single one that runs again, and products with what an
// adjoint yields, get kernels of their own, which run with it: one kernel for those of several would need all steps of
// each.
void BlockPlanner::KeepScansApart() {
  if (!IsSegmented() || !context_.plan->choices.segments_apart) return;
  std::vector<NodeId> origins(graph_.size(), -1);
  for (NodeId id = 0; id < graph_.size(); ++id) {
    const ir::Node& node = graph_[id];
    std::set<NodeId> scans;
    if (node.op == ir::Op::kScanResult && IsRestored(graph_[node.args[0]].As<ir::ScanAttr>())) scans = {node.args[0]};
    if (node.op != ir::Op::kScanResult && node.op != ir::Op::kScan) {
      for (NodeId arg : node.args) scans.insert(origins[arg]);
      scans.erase(-1);
    }
    if (scans.size() != 1) continue;
    origins[id] = *scans.begin();
    of_scan_[id] = origins[id];
  }
  for (NodeId id = 0; id < graph_.size(); ++id) {
    if (schedule_.form(id) != Form::kTile) continue;
    const NodeId left = Moved(Normalize(graph_[id]).left);
    if (graph_[left].op != ir::Op::kScanResult) continue;
    const NodeId scan = graph_[left].args[0];
    const auto& attr = graph_[scan].As<ir::ScanAttr>();
    if (attr.time.is_constant() || IsRestored(attr)) continue;
    schedule_.MakeOpaque(id);
    of_scan_[id] = scan;
  }
}

int BlockPlanner::AddSegmentChunks(const std::string& time, bool reverse) {
  std::vector<Chunks>& chunks = context_.entry->chunks;
  chunks.push_back(*std::ranges::find(context_.plan->segments, time, &Chunks::time));
  chunks.back().reverse = reverse;
  return static_cast<int>(chunks.size()) - 1;
}

// The segments of a backward program that computes forward again; none of another.
std::vector<BlockPlanner::SegmentLoop> BlockPlanner::AddSegments(const std::vector<PhasedKernel>& kernels,
                                                                 const std::vector<ChunkScan>& scans,
                                                                 const std::vector<ChunkChoice>& choices) {
  EntryPlan& entry = *context_.entry;
  Plan& plan = *context_.plan;
  std::vector<SegmentLoop> loops;
  if (!IsSegmented() || plan.segments.empty() || std::ranges::none_of(scans, &ChunkScan::is_restored)) return loops;
  for (SegmentChoice& choice : ChooseSegments(kernels, scans, choices, entry.buffers, plan.choices.segments_apart)) {
    if (!choice.refused.empty()) {
      plan.refused = choice.refused;
      return {};
    }
    SegmentLoop loop{.outer = AddSegmentChunks(choice.time, choice.reverse)};
    loop.chunk = loop.outer;
    if (plan.choices.subsegment > 0) {
      loop.chunk = static_cast<int>(entry.chunks.size());
      entry.chunks.push_back(SubsegmentsOf(entry.chunks[loop.outer], loop.outer, plan));
    }
    Chunks& innermost = entry.chunks[loop.chunk];
    innermost.rings = choice.rings;
    for (int ring : choice.rings) {
      std::vector<std::string>& axes = entry.buffers[ring].size.axes;
      *std::ranges::find(axes, choice.time) = innermost.axis;
      std::ranges::sort(axes);
    }
    loop.choice = std::move(choice);
    loops.push_back(std::move(loop));
  }
  return loops;
}

// The loop over segments. Scans take their carries from the tape; where there are subsegments, they first run over the
// segment to leave the carries of each.
Statement BlockPlanner::PlanSegments(SegmentLoop segment) {
  EntryPlan& entry = *context_.entry;
  const bool is_nested = segment.chunk != segment.outer;
  std::vector<Statement> take, restore, leave;
  for (NodeId id : segment.restored) {
    const auto& attr = graph_[id].As<ir::ScanAttr>();
    const ScanPlan& scan = scans_.at(id);
    std::vector<View> kept, ends, inner;
    std::vector<std::vector<View>> begins, inner_begins, next;
    for (int i = 0; i < attr.carries; ++i) {
      kept.push_back(CheckpointOf(attr, i, segment.outer));
      begins.push_back(scan.StepViews(i));
      if (!is_nested) continue;
      ends.push_back(scan.NextView(i));
      inner.push_back(InnerCheckpointOf(attr, i, segment.chunk));
      inner_begins.push_back({inner.back()});
      View after = inner.back();
      after.offset.push_back({.stride = SizeOf(ShapeOfCarry(attr, i)), .shift = attr.reverse ? -1 : 1});
      next.push_back({std::move(after)});
    }
    restore.push_back(PlanCopies(id, Steps::kFirst, segment.chunk, is_nested ? inner : kept, begins));
    if (!is_nested) continue;
    take.push_back(PlanCopies(id, Steps::kFirst, segment.chunk, kept, inner_begins));
    leave.push_back(PlanCopies(id, Steps::kLast, segment.chunk, ends, next));
  }
  auto with_barrier = [](std::vector<Statement> statements) {
    statements.push_back({Barrier{}});
    return statements;
  };
  std::vector<Statement> once_more;
  if (is_nested) {
    std::vector<Statement> scans = restore;
    AppendPhases(std::move(segment.again), scans);
    once_more = Again(with_barrier(std::move(scans)), entry);
    std::ranges::move(leave, std::back_inserter(once_more));
  }
  std::vector<Statement> body = std::move(restore);
  AppendPhases(std::move(segment.phases), body);
  ChunkLoop backward{.chunk = segment.chunk, .body = with_barrier(std::move(body))};
  if (!is_nested) return {std::move(backward)};
  // The scans go against the adjoints.
  ChunkLoop first{.chunk = segment.chunk, .against = true, .only_first = true, .body = std::move(take)};
  ChunkLoop forward{.chunk = segment.chunk, .against = true, .body = std::move(once_more)};
  ChunkLoop outer{.chunk = segment.outer, .body = {{std::move(first)}, {std::move(forward)}, {std::move(backward)}}};
  return {std::move(outer)};
}

}  // namespace recurve

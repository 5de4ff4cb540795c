// compiler/plan_statements.cpp: chunk loops, segments and phases around kernels and scans.

#include "compiler/plan_block_planner.h"

#include <fmt/format.h>

#include <algorithm>

#include "compiler/plan_recurrence.h"
#include "compiler/plan_view.h"
#include "ir/builder.h"

namespace recurve {

using ir::Dim;
using ir::Graph;
using ir::Node;
using ir::NodeId;
using ir::Op;
using ir::Shape;
using Kind = LaneInstruction::Kind;

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

}  // namespace recurve

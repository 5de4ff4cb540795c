// compiler/plan_statements.cpp: chunk loops and phases around kernels and scans.

#include "compiler/plan_block_planner.h"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>

#include "compiler/plan_recurrence.h"
#include "compiler/plan_sums.h"
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
    ChunkScan scan{.phase = schedule_.phase(id),
                   .time = attr.time,
                   .reverse = attr.reverse,
                   .is_restored = IsRestored(attr),
                   .is_apart = IsRestored(attr) && context_.plan->choices.segments_apart};
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
    if (drafts_[k].has_joined) return;
    if (phase >= 0 && drafts_[k].phase != phase) statement.body.push_back({Barrier{}});
    phase = drafts_[k].phase;
    statement.body.push_back({KernelCall{drafts_[k].added}});
  };
  for (int k : choice.before) call(k);
  if (phase >= 0) statement.body.push_back({Barrier{}});
  AddRecurrence(*context_.plan, entry, loop, slots);
  statement.body.push_back({std::move(loop)});
  phase = -1;
  // Sums first: they read what the steps have just written, and take as long as memory does.
  std::vector<int> after = choice.after;
  const auto is_after_sums = [&](int k) { return entry.kernels[drafts_[k].added].kind != KernelKind::kReduce; };
  std::ranges::sort(after, {}, [&](int k) { return std::tuple(drafts_[k].phase, is_after_sums(k), k); });
  for (int k : after) call(k);
  if (phase >= 0) statement.body.push_back({Barrier{}});
  return {std::move(statement)};
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

// Lets the kernel of an earlier sum, which runs at the same place as the kernels `beside`, add up this finished one
// too; whether it can.
bool BlockPlanner::JoinsAnother(Draft& draft, const std::vector<int>& beside) {
  for (int k : beside) {
    Draft& other = drafts_[k];
    if (other.added < 0 || other.phase != draft.phase) continue;
    if (!JoinSums(*context_.plan, draft.kernel, context_.entry->kernels[other.added])) continue;
    draft.added = other.added;
    draft.has_joined = true;
    return true;
  }
  return false;
}

void AppendPhases(Phases phases, std::vector<Statement>& statements) {
  for (auto& [phase, list] : phases) {
    if (!statements.empty()) statements.push_back({Barrier{}});
    for (Statement& statement : list) statements.push_back(std::move(statement));
  }
}

std::vector<Statement> BlockPlanner::Run() {
  size_t buffers = context_.entry->buffers.size();
  int loops = context_.loops;
  FindElements();
  KeepScansApart();
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
  std::map<int, const std::vector<int>*> after_scan;
  for (size_t i = 0; i < scans.size(); ++i) {
    for (const std::vector<int>* chosen : {&choices[i].before, &choices[i].after}) {
      for (int k : *chosen) drafts_[k].chunk_time = scans[i].time.axis;
    }
    for (int k : choices[i].after) after_scan[k] = &choices[i].after;
  }
  std::vector<SegmentLoop> segments = AddSegments(kernels, scans, choices);
  std::map<int, SegmentLoop*> segment_of_scan, segment_of_kernel;
  std::map<int, int> delayed;
  for (SegmentLoop& segment : segments) {
    for (int i : segment.choice.scans) segment_of_scan[i] = &segment;
    for (int k : segment.choice.kernels) segment_of_kernel[k] = &segment;
    for (int k : segment.choice.later) delayed[k] = segment.choice.phase;
  }

  Phases phases;
  std::vector<int> plain;  // that run in their phase, once
  for (Draft& draft : drafts_) {
    const auto segment = segment_of_kernel.find(draft.number);
    const bool is_in_segment = segment != segment_of_kernel.end();
    const bool is_in_chunk = draft.chunk_time.has_value();
    const ChunkScan* summed = is_in_chunk ? nullptr : ScanOfSum(draft.kernel, scans);
    if (is_in_segment) draft.chunk_time = segment->second->choice.time;
    if (summed != nullptr) {
      draft.chunk_time = summed->time.axis;
      draft.kernel.sums_steps = true;
    }
    Finish(draft);
    const bool is_plain = !is_in_segment && !is_in_chunk && summed == nullptr && !delayed.contains(draft.number);
    if (after_scan.contains(draft.number) && JoinsAnother(draft, *after_scan.at(draft.number))) continue;
    if (is_plain && JoinsAnother(draft, plain)) continue;
    if (is_plain) plain.push_back(draft.number);
    draft.added = AddKernel(std::move(draft.kernel));
    if (is_in_segment) entry.kernels[draft.added].chunk = segment->second->chunk;
    if (is_in_chunk) continue;
    std::pair<int, int> phase(draft.phase, -1);
    if (delayed.contains(draft.number) && !is_in_segment) phase = {delayed.at(draft.number), draft.phase};
    (is_in_segment ? segment->second->phases : phases)[phase].push_back(
        summed != nullptr ? PlanSum(draft, *summed) : Statement{KernelCall{draft.added}});
    if (is_in_segment && segment->second->yields_forward(draft.number))
      segment->second->again[phase].push_back({KernelCall{draft.added}});
  }
  int i = 0;
  for (const auto& [id, plan] : scans_) {
    SegmentLoop* const segment = segment_of_scan.contains(i) ? segment_of_scan.at(i) : nullptr;
    const std::pair<int, int> phase(schedule_.phase(id), -1);
    Statement loop = PlanScanStatement(id, choices[i], segment != nullptr ? segment->chunk : -1);
    if (segment != nullptr && scans[i].is_restored) {
      segment->restored.push_back(id);
      segment->again[phase].push_back(loop);
    }
    (segment != nullptr ? segment->phases : phases)[phase].push_back(std::move(loop));
    ++i;
  }
  for (SegmentLoop& segment : segments) {
    const std::pair<int, int> phase(segment.choice.phase, -1);
    phases[phase].push_back(PlanSegments(std::move(segment)));
  }
  std::vector<Statement> statements;
  AppendPhases(std::move(phases), statements);
  return statements;
}

}  // namespace recurve

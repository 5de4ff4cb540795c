// compiler/summary.cpp: counts of parameters and states, and each entry's operations and bytes.

#include "compiler/summary.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "compiler/cost.h"
#include "compiler/plan_access.h"

namespace recurve {
namespace {

constexpr int64_t kAlignment = RECURVE_ALIGNMENT;

Size Times(const Size& size, int64_t factor) { return size * Size{factor, {}}; }

Amount CountOf(const std::vector<TensorSummary>& tensors, bool trained) {
  Amount count;
  for (const TensorSummary& tensor : tensors) {
    if (tensor.is_trained == trained) count.Add(SizeOf(tensor.shape));
  }
  return count;
}

void AddRegion(const Plan& plan, const Buffer& buffer, MemoryFormula& memory) {
  Amount bytes;
  bytes.Add(Times(buffer.size, plan.BytesOf(buffer)));
  bytes.Add(Times(buffer.guard, 2 * plan.BytesOf(buffer)));
  const bool is_constant = std::ranges::all_of(bytes.terms, &std::vector<std::string>::empty, &Size::axes);
  if (is_constant) {
    for (Size& term : bytes.terms) term.factor = (term.factor + kAlignment - 1) / kAlignment * kAlignment;
  }
  if (std::ranges::all_of(bytes.terms, [](const Size& term) { return term.factor % kAlignment == 0; })) {
    memory.even.Add(bytes);
  } else {
    memory.rounded.push_back(std::move(bytes));
  }
  memory.even.Add(Size{kRegionGapBytes, {}});
}

// Whether the view is the table of a lookup.
bool IsTable(const Kernel& kernel, const View* view) {
  return std::ranges::any_of(kernel.program, [&](const LaneInstruction& instruction) {
    return instruction.kind == LaneInstruction::Kind::kGather && &instruction.view == view;
  });
}

// Buffers that are used otherwise than by looking up rows of them.
std::set<int> UsedAsAWhole(const EntryPlan& entry) {
  std::set<int> used;
  for (const Kernel& kernel : entry.kernels) {
    for (const Access& read : ReadsOf(kernel)) {
      if (!IsTable(kernel, read.view)) used.insert(read.view->buffer);
    }
    for (const Access& write : WritesOf(kernel)) used.insert(write.view->buffer);
  }
  return used;
}

// What a call of the kernel reads of tables of which nothing but rows is read.
Amount LookedUpBytes(const Plan& plan, const EntryPlan& entry, const Kernel& kernel, const std::set<int>& used) {
  Amount bytes;
  for (const LaneInstruction& instruction : kernel.program) {
    if (instruction.kind != LaneInstruction::Kind::kGather || used.contains(instruction.view.buffer)) continue;
    const Buffer& table = entry.buffers[instruction.view.buffer];
    if (table.place == Place::kWorkspace) continue;
    Size elements = SizeOf(kernel.units);
    for (const Size& rows : kernel.rows) elements = elements * rows;
    for (const Size& reduced : kernel.reduced) elements = elements * reduced;
    bytes.Add(Times(elements, plan.BytesOf(table)));
  }
  return bytes;
}

Amount MovedBytes(const Plan& plan, const EntryPlan& entry) {
  Amount bytes;
  if (entry.name == "pack") bytes.Add(Size{plan.packed_bytes, {}});
  std::set<int> used = UsedAsAWhole(entry);
  std::set<int> tables;
  for (const Kernel& kernel : entry.kernels) {
    for (const LaneInstruction& instruction : kernel.program) {
      if (instruction.kind == LaneInstruction::Kind::kGather) tables.insert(instruction.view.buffer);
    }
  }
  for (size_t i = 0; i < entry.buffers.size(); ++i) {
    const Buffer& buffer = entry.buffers[i];
    const int number = static_cast<int>(i);
    if (tables.contains(number) && !used.contains(number)) continue;
    const Size once = Times(buffer.size, plan.BytesOf(buffer));
    switch (buffer.place) {
      case Place::kSlot:
        // A parameter that arrives in packed panels alone has lost its slot.
        if (buffer.slot < 0) break;
        bytes.Add(once);
        if (OverwritesStates(entry.name) && entry.slots[buffer.slot].kind == RECURVE_SLOT_STATE) bytes.Add(once);
        break;
      case Place::kPacked:
        if (entry.name != "pack") bytes.Add(once);
        break;
      case Place::kTape:
      case Place::kConstant: bytes.Add(once); break;
      case Place::kWorkspace: break;
    }
  }
  ForEachCall(entry, entry.statements, [&](const Kernel& kernel, const Size& times) {
    bytes.Add(Times(times, WeightBytes(plan, kernel)));
    bytes.Add(LookedUpBytes(plan, entry, kernel, used) * times);
  });
  return bytes;
}

EntrySummary SummarizeEntry(const Plan& plan, const EntryPlan& entry) {
  EntrySummary summary{.name = entry.name,
                       .flops = FlopsOf(plan, entry, entry.statements),
                       .moved_bytes = MovedBytes(plan, entry),
                       .chunks = entry.chunks};
  for (const Buffer& buffer : entry.buffers) {
    if (buffer.needs_workspace()) AddRegion(plan, buffer, summary.workspace);
  }
  return summary;
}

}  // namespace

std::optional<double> ValueOf(const Amount& amount, const AxisSizes& sizes) {
  bool is_known = true;
  const double value = amount.At([&](const std::string& axis) {
    const auto found = sizes.find(axis);
    is_known &= found != sizes.end();
    return found == sizes.end() ? 0 : found->second;
  });
  return is_known ? std::optional(value) : std::nullopt;
}

std::optional<double> MemoryFormula::At(const AxisSizes& sizes) const {
  std::optional<double> bytes = ValueOf(even, sizes);
  for (const Amount& region : rounded) {
    const std::optional<double> exact = ValueOf(region, sizes);
    if (!bytes || !exact) return std::nullopt;
    *bytes += std::ceil(*exact / kAlignment) * kAlignment;
  }
  return bytes;
}

std::string MemoryFormula::Text() const {
  std::string text = even.Text();
  std::vector<std::pair<std::string, int>> regions;  // equal ones together
  for (const Amount& region : rounded) {
    const std::string bytes = region.Text();
    auto same = std::ranges::find(regions, bytes, &std::pair<std::string, int>::first);
    if (same == regions.end()) {
      regions.emplace_back(bytes, 1);
    } else {
      ++same->second;
    }
  }
  for (const auto& [bytes, count] : regions) {
    text += fmt::format(" + {}ceil{}({})", count == 1 ? "" : fmt::format("{}*", count), kAlignment, bytes);
  }
  return text;
}

Amount Summary::trained_count() const { return CountOf(parameters, true); }
Amount Summary::fixed_count() const { return CountOf(parameters, false); }
Amount Summary::state_count() const { return CountOf(states, true); }

const EntrySummary* Summary::FindEntry(const std::string& entry) const {
  const auto found = std::ranges::find(entries, entry, &EntrySummary::name);
  return found == entries.end() ? nullptr : &*found;
}

Summary Summarize(const ir::Graph& graph, const Plan& plan) {
  Summary summary{.name = plan.name, .element_bytes = ElementBytes(plan.precision), .packed_bytes = plan.packed_bytes};
  for (ir::NodeId id : graph.inputs()) {
    const auto& input = graph[id].As<ir::InputAttr>();
    TensorSummary tensor{.name = input.name, .shape = graph.type(id).shape};
    if (input.role == ir::Role::kState) {
      if (tensor.name.ends_with('0')) tensor.name.pop_back();
      std::erase(tensor.shape, ir::Dim("B"));
      summary.states.push_back(std::move(tensor));
    } else if (input.role == ir::Role::kParameter || input.role == ir::Role::kConstant) {
      tensor.is_trained = input.role == ir::Role::kParameter;
      summary.parameters.push_back(std::move(tensor));
    }
  }
  for (const Buffer& region : plan.tape) AddRegion(plan, region, summary.tape);
  for (const EntryPlan& entry : plan.entries) summary.entries.push_back(SummarizeEntry(plan, entry));
  return summary;
}

AxisSizes SizesIn(const EntrySummary& entry, AxisSizes sizes) {
  for (const Chunks& chunks : entry.chunks) {
    Amount step;
    step.Add(chunks.step_rows);
    const std::optional<double> rows = ValueOf(step, sizes);
    const auto time = sizes.find(chunks.time);
    if (!rows || time == sizes.end()) continue;
    double shortest = std::max(1.0, std::floor(static_cast<double>(chunks.rows) / *rows));
    if (shortest >= kMostStepsAtATime) shortest -= std::fmod(shortest, kMostStepsAtATime);
    const double steps = std::min(shortest * static_cast<double>(chunks.multiple), time->second);
    sizes[chunks.axis] = steps;
    if (!chunks.count.empty()) sizes[chunks.count] = std::ceil(sizes.at(AxisCutBy(chunks, entry.chunks)) / steps);
  }
  return sizes;
}

std::vector<std::pair<std::string, std::string>> NamesOf(const std::vector<Chunks>& chunks) {
  std::vector<std::pair<std::string, std::string>> names;
  auto add = [&](const std::string& name, std::string text) {
    const bool is_known = std::ranges::find(names, name, &std::pair<std::string, std::string>::first) != names.end();
    if (!name.empty() && !is_known) names.emplace_back(name, std::move(text));
  };
  for (const Chunks& loop : chunks) {
    Amount step;
    step.Add(loop.step_rows);
    const std::string rows = step.Text();
    const bool is_product = rows.find('*') != std::string::npos;
    add(loop.axis, fmt::format("min({}, {}max(1, floor{}({}/{})))", loop.time,
                               loop.multiple == 1 ? "" : fmt::format("{}*", loop.multiple), kMostStepsAtATime,
                               loop.rows, is_product ? fmt::format("({})", rows) : rows));
    add(loop.count, fmt::format("ceil({}/{})", AxisCutBy(loop, chunks), loop.axis));
  }
  return names;
}

std::optional<double> TrainingBytes(const Plan& plan, const AxisSizes& sizes) {
  const Summary summary = Summarize({}, plan);
  const EntrySummary* forward = summary.FindEntry("forward");
  const EntrySummary* backward = summary.FindEntry("backward");
  if (forward == nullptr || backward == nullptr) return std::nullopt;
  const std::optional<double> tape = summary.tape.At(SizesIn(*forward, sizes));
  const std::optional<double> first = forward->workspace.At(SizesIn(*forward, sizes));
  const std::optional<double> second = backward->workspace.At(SizesIn(*backward, sizes));
  if (!tape || !first || !second) return std::nullopt;
  return *tape + std::max(*first, *second);
}

size_t StreamWorkspaceBytes(const Plan& plan) {
  const Summary summary = Summarize({}, plan);
  double most = 0;
  for (const char* name : {"step", "reset"}) {
    const EntrySummary* entry = summary.FindEntry(name);
    if (entry != nullptr) most = std::max(most, entry->workspace.At({{"B", 1}}).value_or(0));
  }
  return static_cast<size_t>(most);
}

Amount AtOne(const Amount& amount, const std::string& axis) {
  Amount one;
  for (Size term : amount.terms) {
    std::erase(term.axes, axis);
    one.Add(term);
  }
  return one;
}

}  // namespace recurve

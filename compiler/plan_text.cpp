// compiler/plan_text.cpp: a plan as text for people.

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "compiler/plan.h"
#include "compiler/plan_tape.h"
#include "compiler/plan_team.h"
#include "compiler/plan_tile.h"

namespace recurve {
namespace {

std::string Text(const Size& size) {
  std::string text;
  if (size.factor != 1 || size.axes.empty()) text = fmt::format("{}", size.factor);
  for (const std::string& axis : size.axes) text += (text.empty() ? "" : "*") + axis;
  return text;
}

// " in bf16" where that is not the precision of the arithmetic.
const char* Text(Storage storage) {
  switch (storage) {
    case Storage::kSame: return "";
    case Storage::kBf16: return " in bf16";
    case Storage::kF16: return " in f16";
  }
  return "";
}

class PlanPrinter {
 public:
  PlanPrinter(const Plan& plan, const EntryPlan& entry, std::string* out) : plan_(plan), entry_(entry), out_(*out) {}

  void Print() {
    out_ += fmt::format("entry {}\n", entry_.name);
    for (const Buffer& buffer : entry_.buffers) {
      if (buffer.size.factor != 0) PrintBuffer(buffer);
    }
    out_ += fmt::format("  team {}\n", TextOf(entry_.team));
    if (HasFarStores(entry_)) out_ += fmt::format("  the tape is far from {} bytes on\n", FarTapeBytes(plan_) + 1);
    if (entry_.has_one_row_code)
      out_ += "  a batch of one without a team runs as one function, its sums in registers\n";
    PrintStatements(entry_.statements, 1);
  }

 private:
  std::string View(const struct View& view) const {
    std::string text = entry_.buffers[view.buffer].name;
    for (const OffsetTerm& term : view.offset) {
      std::string index = term.loop >= 0 ? fmt::format("t{}", term.loop) : "";
      if (!term.shift_axis.empty()) index += (index.empty() ? "" : "+") + term.shift_axis;
      if (term.shift != 0 || index.empty())
        index += fmt::format("{}{}", term.shift >= 0 && !index.empty() ? "+" : "", term.shift);
      text += fmt::format("[{}{}]", index, term.ring ? " mod 2" : "");
    }
    return text;
  }

  void PrintBuffer(const Buffer& buffer) {
    const char* place = "";
    switch (buffer.place) {
      case Place::kSlot: place = "argument"; break;
      case Place::kPacked: place = "packed"; break;
      case Place::kConstant: place = "constant"; break;
      case Place::kTape: place = "tape"; break;
      case Place::kWorkspace: place = "workspace"; break;
    }
    out_ += fmt::format("  buffer {}: {} {}{}{}\n", buffer.name, place, Text(buffer.size), Text(buffer.storage),
                        buffer.guard.factor == 0 ? "" : fmt::format(" with {} on either side", Text(buffer.guard)));
  }

  void PrintStatements(const std::vector<Statement>& statements, int depth) {
    std::string indent(static_cast<size_t>(depth) * 2, ' ');
    for (const Statement& statement : statements) {
      if (const auto* call = std::get_if<KernelCall>(&statement.kind)) {
        PrintKernel(call->kernel, indent);
      } else if (const auto* loop = std::get_if<TimeLoop>(&statement.kind)) {
        std::string time = loop->time.is_constant() ? fmt::format("{}", loop->time.extent) : loop->time.axis;
        out_ += fmt::format("{}for t{} in {}{} {{\n", indent, loop->loop, StepsOf(*loop),
                            loop->reverse ? fmt::format("{}-1 .. 0", time) : fmt::format("0 .. {}-1", time));
        if (loop->team) out_ += fmt::format("{}  team {}\n", indent, TextOf(*loop->team));
        PrintStatements(loop->body, depth + 1);
        out_ += indent + "}\n";
        if (loop->recurrence >= 0) {
          out_ += fmt::format("{}or, where a step has at most {} rows, with the states in registers:\n", indent,
                              loop->most_rows);
          PrintKernel(loop->recurrence, indent + "  ");
        }
      } else if (const auto* rows = std::get_if<RowLoop>(&statement.kind)) {
        out_ += fmt::format("{}{} rows at a time, without barriers, since nothing leaves its row {{\n", indent,
                            rows->block_rows);
        for (int kernel : rows->kernels) PrintKernel(kernel, indent + "  ");
        out_ += indent + "}\n";
      } else if (const auto* chunk = std::get_if<ChunkLoop>(&statement.kind)) {
        const Chunks& chunks = entry_.chunks[chunk->chunk];
        out_ += fmt::format("{}in chunks of {} steps of {}, {} times as many as make {} rows of {} a step{}{} {{\n",
                            indent, chunks.axis, AxisCutBy(chunks, entry_.chunks), chunks.multiple, chunks.rows,
                            Text(chunks.step_rows), chunks.reverse != chunk->against ? ", last steps first" : "",
                            chunk->only_first ? ", the first only" : "");
        PrintStatements(chunk->body, depth + 1);
        out_ += indent + "}\n";
      } else {
        out_ += indent + "barrier\n";
      }
    }
  }

  static const char* StepsOf(const TimeLoop& loop) {
    switch (loop.steps) {
      case TimeLoop::Steps::kAll: return "";
      case TimeLoop::Steps::kFirst: return "the first of ";
      case TimeLoop::Steps::kLast: return "the last of ";
    }
    return "";
  }

  void PrintKernel(int number, const std::string& indent) {
    const Kernel& kernel = entry_.kernels[number];
    std::string rows;
    for (const Size& row : kernel.rows) rows += (rows.empty() ? "" : " x ") + Text(row);
    std::string units = kernel.units.is_constant() ? fmt::format("{}", kernel.units.extent) : kernel.units.axis;
    std::string reduced;
    for (const Size& axis : kernel.reduced) reduced += " x " + Text(axis);
    const char* kind = "";
    switch (kernel.kind) {
      case KernelKind::kMap: kind = "map"; break;
      case KernelKind::kReduce: kind = kernel.reduce == ReduceKind::kSum ? "sum" : "maximum"; break;
      case KernelKind::kProduct: kind = "product"; break;
      case KernelKind::kScatter: kind = "scatter"; break;
      case KernelKind::kRecurrence: kind = "recurrence"; break;
    }
    out_ += fmt::format("{}{} kernel {}{}: rows {}, units {}{}{}\n", indent, kind, number,
                        kernel.label.empty() ? "" : " (" + kernel.label + ")", rows, units,
                        reduced.empty() ? "" : ", summed over" + reduced.substr(2),
                        kernel.kind == KernelKind::kReduce && kernel.reduce_units ? ", over the units too" : "");
    for (const MapProduct& product : kernel.products) {
      const Panels& panels = plan_.panels[product.panels];
      std::vector<std::string> sources;
      for (const PanelGroup& group : panels.groups) {
        if (std::ranges::find(sources, group.source_name) == sources.end()) sources.push_back(group.source_name);
      }
      const std::string rest =
          panels.rest ? fmt::format(", of the last units {}", fmt::join(panels.rest->chunks, " + ")) : "";
      out_ += fmt::format(
          "{}  product {} @ panels {} of {}: depth {}{}, {} column group{}, tiles of {} rows x {} vectors of {}{}\n",
          indent, View(product.left), product.panels, fmt::join(sources, ", "), panels.depth,
          AreInHalves(plan_, panels) ? " in two halves" : "", panels.groups.size(),
          panels.groups.size() == 1 ? "" : "s that share a tile", kernel.tile_rows,
          fmt::join(panels.block.chunks, " + "), kernel.lanes, rest);
    }
    if (kernel.kind == KernelKind::kRecurrence) PrintRecurrence(kernel, indent);
    if (kernel.kind == KernelKind::kReduce && kernel.block_rows > 1) {
      out_ += fmt::format("{}  {} terms of all units at a time\n", indent, kernel.block_rows);
    }
    if (kernel.has_one_row_form) out_ += fmt::format("{}  sums of a batch of one stay in registers\n", indent);
    if ((kernel.has_one_row_form || entry_.has_one_row_code) && kernel.side_by_side > 1)
      out_ += fmt::format("{}  a batch of one walks {} blocks of units side by side\n", indent, kernel.side_by_side);
    if (kernel.prefetches) {
      out_ +=
          fmt::format("{}  fetches the weights of the next units ahead, {} terms at a time\n", indent, kernel.depth);
    }
    if (kernel.alternates_terms) {
      out_ += fmt::format("{}  reads the terms of the weights forwards and backwards in turn\n", indent);
    } else if (kernel.alternates) {
      out_ += fmt::format("{}  reads the weights forwards and backwards in turn\n", indent);
    }
    if (kernel.stores_sums) out_ += fmt::format("{}  tiles store the results themselves\n", indent);
    if (kernel.accumulates) out_ += fmt::format("{}  tiles add to the results themselves\n", indent);
    if (kernel.kind == KernelKind::kProduct) {
      out_ += fmt::format("{}  {} = {} @ {}, {} terms at a time, tiles of {} rows x {} vectors of {}\n", indent,
                          View(kernel.out), View(kernel.left), View(kernel.right), kernel.depth, kernel.tile_rows,
                          fmt::join(kernel.chunks, " + "), kernel.lanes);
    }
    std::vector<std::string> loads;
    int operations = 0;
    for (const LaneInstruction& instruction : kernel.program) {
      operations += instruction.kind == LaneInstruction::Kind::kElementwise ? 1 : 0;
      if (instruction.kind == LaneInstruction::Kind::kLoad) loads.push_back(View(instruction.view));
    }
    out_ += fmt::format("{}  a team splits {}\n", indent, SplitOf(kernel));
    if (!loads.empty()) out_ += fmt::format("{}  loads {}\n", indent, fmt::join(loads, ", "));
    if (operations > 0) out_ += fmt::format("{}  computes {} elementwise operations a unit\n", indent, operations);
    for (const LaneStore& store : kernel.stores) {
      const std::string& label = kernel.program[store.value].label;
      out_ += fmt::format("{}  stores {}{}{}\n", indent, label.empty() ? "" : label + " to ", View(store.view),
                          store.to_far ? ", around the caches if the tape is far" : "");
    }
  }

  void PrintRecurrence(const Kernel& kernel, const std::string& indent) {
    const Recurrence& recurrence = kernel.recurrence;
    const std::string time = Text(SizeOf(recurrence.time));
    std::vector<std::string> kept;
    for (int load : recurrence.kept) kept.push_back(View(kernel.program[load].view));
    out_ +=
        fmt::format("{}  runs t{} in {} by itself, {} state{}{}{} in registers, {} vector{} of {}{} side by side\n",
                    indent, recurrence.loop, recurrence.reverse ? time + "-1 .. 0" : fmt::format("0 .. {}-1", time),
                    recurrence.carried.size(), recurrence.carried.size() == 1 ? "" : "s", kept.empty() ? "" : " and ",
                    fmt::join(kept, ", "), kernel.vectors, kernel.vectors == 1 ? "" : "s", kernel.lanes,
                    recurrence.rows == 1 ? "" : fmt::format(" of {} rows", recurrence.rows));
    out_ += fmt::format("{}  a step takes about {} cycles from state to state, and {} of work a vector\n", indent,
                        recurrence.latency_cycles, recurrence.work_cycles);
    if (recurrence.fold > 1) {
      out_ += fmt::format("{}  {} rows share a vector of the units that fill none\n", indent, recurrence.fold);
    }
    if (recurrence.look_ahead.factors.empty()) return;
    if (recurrence.look_ahead.steps == 1) {
      out_ += fmt::format("{}  linear in its states, but one step at a time: there is work enough\n", indent);
    } else {
      out_ += fmt::format("{}  linear in its states: {} steps at a time where fewer rows than that leave it waiting\n",
                          indent, recurrence.look_ahead.steps);
    }
  }

  // What members of a team share of a kernel, unless its loop is run by rows.
  static std::string SplitOf(const Kernel& kernel) {
    switch (kernel.kind) {
      case KernelKind::kMap:
        if (kernel.products.empty()) return fmt::format("{} rows", Text(kernel.rows.back()));
        return fmt::format("{} blocks of units if there is one for each member, else {} rows", Blocks(kernel),
                           Text(kernel.rows.back()));
      case KernelKind::kReduce:
        return IsSharedByUnits(kernel) ? "the units" : fmt::format("{} rows", Text(kernel.rows.front()));
      case KernelKind::kProduct: return "the packing by blocks of units, the product by blocks of rows";
      case KernelKind::kScatter: return "nothing: rows may meet in the table";
      case KernelKind::kRecurrence:
        return fmt::format("{} rows, and what units of one do not run side by side", Text(kernel.rows.back()));
    }
    return "";
  }
  static int64_t Blocks(const Kernel& kernel) {
    const int64_t block = int64_t{kernel.lanes} * kernel.vectors;
    return (kernel.units.extent + block - 1) / block;
  }

  const Plan& plan_;
  const EntryPlan& entry_;
  std::string& out_;
};

}  // namespace

std::string PrintPlan(const Plan& plan) {
  std::string out = fmt::format("plan {} {}{}: {} vector registers of {} bytes\n", plan.name,
                                plan.precision == Precision::kF32 ? "f32" : "f64",
                                plan.math == MathAccuracy::kFast ? " with fast math functions" : "",
                                plan.machine.vector_registers, plan.machine.vector_bytes);
  for (size_t i = 0; i < plan.panels.size(); ++i) {
    const Panels& panels = plan.panels[i];
    out +=
        fmt::format("panels {}: {} blocks of [{} terms][{} columns][{} lanes]{}{}{} at byte {}\n", i, panels.blocks(),
                    panels.depth, panels.block.count(), panels.lanes,
                    panels.rest ? fmt::format(", the last of {} columns,", panels.rest->count()) : "",
                    Text(panels.format.storage), panels.format.pairs ? ", columns in pairs," : "", panels.offset_bytes);
  }
  for (const EntryPlan& entry : plan.entries) PlanPrinter(plan, entry, &out).Print();
  return out;
}

}  // namespace recurve

// compiler/remarks.cpp: a walk over the statements of each entry.

#include "compiler/remarks.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <set>

namespace recurve {
namespace {

using Kind = Remark::Kind;

constexpr int kFullEnough = 90;  // percent of the lanes

// "`U @ h`": the weights of one product and its left side.
std::string ProductText(const Plan& plan, const EntryPlan& entry, const MapProduct& product) {
  std::vector<std::string> weights;
  for (const PanelGroup& group : plan.panels[product.panels].groups) {
    if (std::ranges::find(weights, group.source_name) == weights.end()) weights.push_back(group.source_name);
  }
  const std::string& left = product.label.empty() ? entry.buffers[product.left.buffer].name : product.label;
  return fmt::format("{} @ {}", fmt::join(weights, ", "), left);
}

std::string OutputOf(const EntryPlan& entry, const Kernel& kernel) {
  if (!kernel.label.empty()) return kernel.label;
  if (kernel.out.buffer >= 0) return entry.buffers[kernel.out.buffer].name;
  return kernel.stores.empty() ? "a value" : entry.buffers[kernel.stores[0].view.buffer].name;
}

std::set<int> Written(const Kernel& kernel) {
  std::set<int> buffers;
  for (const LaneStore& store : kernel.stores) buffers.insert(store.view.buffer);
  if (kernel.out.buffer >= 0) buffers.insert(kernel.out.buffer);
  return buffers;
}

class EntryRemarks {
 public:
  EntryRemarks(const Plan& plan, const EntryPlan& entry, std::vector<Remark>& remarks)
      : plan_(plan), entry_(entry), remarks_(remarks) {}

  void Run() {
    VisitBlock(entry_.statements, /*in_step=*/entry_.name == "step");
    if (has_loop_ && entry_.team.rows_each == 0)
      Add(Kind::kTeam, true, fmt::format("a team cannot share the steps by rows: {}", entry_.team.why));
  }

 private:
  void Add(Kind kind, bool costs, std::string text) { remarks_.push_back({kind, entry_.name, std::move(text), costs}); }

  void VisitBlock(const std::vector<Statement>& statements, bool in_step) {
    // What the phases so far of this block have written, by whom.
    std::vector<const Kernel*> earlier, present;
    for (const Statement& statement : statements) {
      if (const auto* call = std::get_if<KernelCall>(&statement.kind)) {
        VisitKernels({call->kernel}, in_step, earlier);
        present.push_back(&entry_.kernels[call->kernel]);
      } else if (const auto* rows = std::get_if<RowLoop>(&statement.kind)) {
        VisitKernels(rows->kernels, in_step, earlier);
        for (int kernel : rows->kernels) present.push_back(&entry_.kernels[kernel]);
      } else if (const auto* loop = std::get_if<TimeLoop>(&statement.kind)) {
        has_loop_ = true;
        if (loop->recurrence >= 0) {
          Add(Kind::kHoisted, false,
              fmt::format(
                  "`{}` needs no product and no other unit: all steps in one kernel with the states in registers "
                  "(up to {} rows)",
                  OutputOf(entry_, entry_.kernels[loop->recurrence]), loop->most_rows));
        }
        VisitBlock(loop->body, /*in_step=*/true);
        is_after_loop_ = true;
      } else if (const auto* chunks = std::get_if<ChunkLoop>(&statement.kind)) {
        in_chunks_ = true;
        VisitBlock(chunks->body, in_step);
        in_chunks_ = false;
        is_after_loop_ = true;
      } else if (std::holds_alternative<Barrier>(statement.kind)) {
        earlier.insert(earlier.end(), present.begin(), present.end());
        present.clear();
      }
    }
  }

  // Kernels between two barriers that run together.
  void VisitKernels(const std::vector<int>& numbers, bool in_step, const std::vector<const Kernel*>& earlier) {
    std::string wait;
    for (int number : numbers) {
      const Kernel& kernel = entry_.kernels[number];
      if (in_step) {
        VisitStepKernel(kernel);
        if (wait.empty()) wait = WaitOf(kernel, earlier);
      } else {
        VisitParallelKernel(kernel);
      }
      VisitLanes(kernel);
    }
    if (!wait.empty()) Add(Kind::kPhase, true, fmt::format("{} of the same step: one more phase in every step", wait));
  }

  // A kernel over all steps at once.
  void VisitParallelKernel(const Kernel& kernel) {
    bool over_time = false;
    for (const std::vector<Size>* axes : {&kernel.rows, &kernel.reduced}) {
      for (const Size& size : *axes) {
        over_time |= std::ranges::any_of(size.axes, [](const std::string& axis) { return axis != "B"; });
      }
    }
    if (!over_time) return;
    const char* where = in_chunks_ ? ", in chunks of steps" : "";
    for (const MapProduct& product : kernel.products) {
      const std::string text = ProductText(plan_, entry_, product);
      if (is_after_loop_) {
        Add(Kind::kHoisted, false,
            fmt::format("`{}` is not needed by the next step: one product over time after the scan{}", text, where));
      } else {
        Add(Kind::kHoisted, false,
            fmt::format("`{}` does not depend on the state: one product over time before the scan{}", text, where));
      }
    }
    if (kernel.kind == KernelKind::kProduct) {
      Add(Kind::kHoisted, false,
          fmt::format("`{}` sums over time: one product of all steps, not one in each{}", OutputOf(entry_, kernel),
                      where));
    }
  }

  void VisitStepKernel(const Kernel& kernel) {
    const std::string output = OutputOf(entry_, kernel);
    switch (kernel.kind) {
      case KernelKind::kMap:
      case KernelKind::kRecurrence: break;
      case KernelKind::kProduct:
        Add(Kind::kUnpacked, true,
            fmt::format("`{}` multiplies two values of the step: no weights to pack ahead, packed in every step",
                        output));
        break;
      case KernelKind::kReduce:
        if (kernel.program.size() == 3 && kernel.program[2].op == ir::Op::kMul &&
            kernel.program[2].kind == LaneInstruction::Kind::kElementwise) {
          Add(Kind::kUnpacked, true,
              fmt::format("`{}` contracts two values of the step: no packed weights and no register tile", output));
        } else {
          Add(Kind::kSum, true,
              fmt::format("`{}` {} over {} in every step: a pass of its own over the values{}", output,
                          kernel.reduce == ReduceKind::kSum ? "sums" : "takes a maximum",
                          kernel.reduce_units ? "units" : "axes", kernel.in_row_loop ? ", a few rows at a time" : ""));
        }
        break;
      case KernelKind::kScatter:
        Add(Kind::kGather, true, fmt::format("`{}` adds rows by index in every step, on one thread", output));
        break;
    }
    for (const LaneInstruction& instruction : kernel.program) {
      if (instruction.kind == LaneInstruction::Kind::kGather)
        Add(Kind::kGather, true,
            fmt::format("`{}` reads rows of `{}` by index in every step",
                        instruction.label.empty() ? output : instruction.label,
                        entry_.buffers[instruction.view.buffer].name));
    }
  }

  // What the kernel waits for that an earlier phase of the same step writes, or nothing.
  std::string WaitOf(const Kernel& kernel, const std::vector<const Kernel*>& earlier) const {
    // New states that take the place of the old ones are no work of the cell.
    auto is_load = [](const LaneInstruction& instruction) { return instruction.kind == LaneInstruction::Kind::kLoad; };
    if (kernel.kind == KernelKind::kMap && std::ranges::all_of(kernel.program, is_load)) return "";
    std::vector<std::string> waits;
    auto wait_for = [&](const View& view, std::string what) {
      if (view.buffer < 0) return;
      bool written =
          std::ranges::any_of(earlier, [&](const Kernel* other) { return Written(*other).contains(view.buffer); });
      if (written && std::ranges::find(waits, what) == waits.end()) waits.push_back(std::move(what));
    };
    const auto& buffers = entry_.buffers;
    for (const MapProduct& product : kernel.products) {
      wait_for(product.left, fmt::format("product `{}` waits for all of `{}`", ProductText(plan_, entry_, product),
                                         product.label.empty() ? buffers[product.left.buffer].name : product.label));
    }
    if (waits.empty()) {
      for (const LaneInstruction& instruction : kernel.program) {
        if (instruction.view.buffer < 0) continue;
        wait_for(instruction.view,
                 fmt::format("`{}` waits for `{}`", OutputOf(entry_, kernel), buffers[instruction.view.buffer].name));
      }
    }
    for (const View* view : {&kernel.left, &kernel.right}) {
      if (view->buffer < 0) continue;
      wait_for(*view, fmt::format("`{}` waits for `{}`", OutputOf(entry_, kernel), buffers[view->buffer].name));
    }
    return waits.empty() ? "" : waits.front();
  }

  void VisitLanes(const Kernel& kernel) {
    if (!kernel.units.is_constant() || kernel.lanes == 1) return;
    const int64_t units = kernel.units.extent;
    for (const MapProduct& product : kernel.products) {
      const Panels& panels = plan_.panels[product.panels];
      const int64_t sums = static_cast<int64_t>(panels.groups.size()) * units;
      const int64_t computed = panels.elements() / panels.depth;
      if (sums * 100 >= computed * kFullEnough) continue;
      Add(Kind::kLanes, true,
          fmt::format("`{}`: {} sums of `{}` fill {} % of {} lanes", OutputOf(entry_, kernel), sums,
                      ProductText(plan_, entry_, product), sums * 100 / computed, computed));
    }
    for (const LaneInstruction& instruction : kernel.program) {
      if (instruction.kind != LaneInstruction::Kind::kLoad) continue;
      const Size& stride = instruction.view.axes.back().stride;
      if (stride.factor == 0 || stride == Size{} || units == 1) continue;
      Add(Kind::kLanes, true,
          fmt::format("`{}` is read element by element: its units are not contiguous",
                      instruction.label.empty() ? entry_.buffers[instruction.view.buffer].name : instruction.label));
    }
  }

  const Plan& plan_;
  const EntryPlan& entry_;
  std::vector<Remark>& remarks_;
  bool has_loop_ = false, is_after_loop_ = false, in_chunks_ = false;
};

}  // namespace

std::string_view Name(Remark::Kind kind) {
  switch (kind) {
    case Kind::kHoisted: return "hoisted";
    case Kind::kPhase: return "phase";
    case Kind::kUnpacked: return "unpacked";
    case Kind::kSum: return "sum";
    case Kind::kGather: return "gather";
    case Kind::kLanes: return "lanes";
    case Kind::kTeam: return "team";
  }
  return "";
}

std::vector<Remark> Remarks(const Plan& plan) {
  std::vector<Remark> remarks;
  for (const EntryPlan& entry : plan.entries) {
    if (entry.name != "pack") EntryRemarks(plan, entry, remarks).Run();
  }
  return remarks;
}

std::string PrintRemarks(const std::vector<Remark>& remarks) {
  std::string text;
  for (const Remark& remark : remarks) {
    std::string line =
        fmt::format("{}: {}: {}{}\n", remark.entry, Name(remark.kind), remark.text, remark.costs ? " [costs]" : "");
    if (text.find(line) == std::string::npos) text += line;
  }
  return text;
}

std::string TitleOf(const Plan& plan, const EntryPlan& entry, const Kernel& kernel) {
  std::vector<std::string> products;
  for (const MapProduct& product : kernel.products) products.push_back(ProductText(plan, entry, product));
  const std::string output = OutputOf(entry, kernel), sum = fmt::format("{}", fmt::join(products, " + "));
  return products.empty() || output == sum ? output : output + " = " + sum;
}

}  // namespace recurve

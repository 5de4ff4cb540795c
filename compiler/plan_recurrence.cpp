// compiler/plan_recurrence.cpp: which kernels are recurrences, and how many vectors of one run side by side.

#include "compiler/plan_recurrence.h"

#include <algorithm>

namespace recurve {
namespace {

constexpr int kMostVectors = 4;       // enough chains to hide the latency of one
constexpr int64_t kStepBytes = 8192;  // of a value in one step: two pages

bool Has(const std::vector<int>& list, int value) { return std::ranges::find(list, value) != list.end(); }

// Whether `store` leaves, for the next step of the loop, just what `load` reads.
bool Carries(const View& load, const View& store, const TimeLoop& loop) {
  if (load.buffer != store.buffer || load.axes != store.axes || load.offset.size() != store.offset.size()) return false;
  const int64_t step = loop.reverse ? -1 : 1;
  bool advances = false;
  for (size_t i = 0; i < load.offset.size(); ++i) {
    OffsetTerm next = load.offset[i];
    if (next.loop == loop.loop) {
      next.shift += step;
      advances = true;
    }
    if (next != store.offset[i]) return false;
  }
  return advances;
}

// The registers that one vector of a step holds at once, about: its states and what a formula needs.
int RegistersOf(const Recurrence& recurrence) { return static_cast<int>(recurrence.carried.size()) + 5; }

}  // namespace

void AddRecurrence(const Plan& plan, EntryPlan& entry, TimeLoop& loop, const std::vector<int>& slots) {
  if (loop.body.size() != 2 || !std::holds_alternative<Barrier>(loop.body[1].kind)) return;
  const auto* call = std::get_if<KernelCall>(&loop.body[0].kind);
  if (call == nullptr) return;
  Kernel kernel = entry.kernels[call->kernel];
  if (kernel.kind != KernelKind::kMap || !kernel.products.empty() || kernel.rows.size() != 1) return;

  Recurrence recurrence{
      .loop = loop.loop, .time = loop.time, .reverse = loop.reverse, .chunk = loop.chunk, .carried = {}};
  for (size_t i = 0; i < kernel.program.size(); ++i) {
    const LaneInstruction& instruction = kernel.program[i];
    if (instruction.index.buffer >= 0 && Has(slots, instruction.index.buffer)) return;
    if (instruction.view.buffer < 0 || !Has(slots, instruction.view.buffer)) continue;
    if (instruction.kind != LaneInstruction::Kind::kLoad) return;
    auto carries = [&](const LaneStore& store) { return Carries(instruction.view, store.view, loop); };
    auto store = std::ranges::find_if(kernel.stores, carries);
    if (store == kernel.stores.end()) return;
    recurrence.carried.push_back({static_cast<int>(i), static_cast<int>(store - kernel.stores.begin())});
  }
  const int64_t whole = std::max<int64_t>(1, kernel.units.extent / kernel.lanes);
  const int fitting = std::max(1, plan.machine.vector_registers / RegistersOf(recurrence));
  kernel.kind = KernelKind::kRecurrence;
  kernel.vectors = static_cast<int>(std::min<int64_t>({kMostVectors, whole, fitting}));
  kernel.recurrence = std::move(recurrence);
  loop.recurrence = static_cast<int>(entry.kernels.size());
  loop.most_rows = std::max<int64_t>(1, kStepBytes / (kernel.units.extent * ElementBytes(plan.precision)));
  entry.kernels.push_back(std::move(kernel));
}

}  // namespace recurve

// compiler/plan_sums.cpp: the choice of blocks, and programs made one.

#include "compiler/plan_sums.h"

#include <algorithm>

namespace recurve {
namespace {

using Kind = LaneInstruction::Kind;

constexpr int64_t kReduceBytes = 1 << 20;  // of the terms that are summed at a time; measured, and flat
constexpr int64_t kMostTerms = 64;
constexpr int kReduceVectors = 8;  // sums side by side of a short program: of each row several lines
constexpr size_t kMostSums = 4;    // of a kernel

// Whether a term of every unit has an element of its own.
bool ReadsEveryTerm(const LaneInstruction& instruction) {
  return instruction.kind == Kind::kLoad && std::ranges::none_of(instruction.view.axes, [](const ViewAxis& axis) {
           return axis.stride.factor == 0 && axis.extent != ir::Dim(1);
         });
}

bool AddUpTheSame(const Kernel& a, const Kernel& b) {
  return a.reduce == ReduceKind::kSum && b.reduce == ReduceKind::kSum && a.rows == b.rows && a.reduced == b.reduced &&
         a.units == b.units && a.lanes == b.lanes && a.chunk == b.chunk && a.sums_steps == b.sums_steps &&
         a.step_rows == b.step_rows;
}

}  // namespace

void BlockSums(const Plan& plan, Kernel& kernel) {
  const auto sums = static_cast<int>(kernel.stores.size());
  // A term is a load, or two and a product. A quarter of the registers are left for it.
  if (kernel.program.size() <= 3 * kernel.stores.size())
    kernel.vectors = std::clamp(plan.machine.vector_registers * 3 / 4 / sums, 1, kReduceVectors);
  if (kernel.reduced.size() != 1 || !kernel.units.is_constant()) return;
  const int64_t units = kernel.units.extent;
  if (units <= int64_t{kernel.lanes} * kernel.vectors) return;
  const auto loads = std::max<int64_t>(1, std::ranges::count_if(kernel.program, ReadsEveryTerm));
  const int64_t term_bytes = units * ElementBytes(plan.precision) * loads;
  kernel.block_rows = static_cast<int>(std::clamp<int64_t>(kReduceBytes / term_bytes, 8, kMostTerms));
}

bool JoinSums(const Plan& plan, const Kernel& other, Kernel& kernel) {
  if (!AddUpTheSame(other, kernel)) return false;
  const bool over_rows = IsSharedByUnits(kernel) && IsSharedByUnits(other),
             over_units = ReducesUnitsOfRows(kernel) && ReducesUnitsOfRows(other) && kernel.vectors == other.vectors;
  const size_t sums = kernel.stores.size() + other.stores.size();
  if ((!over_rows && !over_units) || sums > kMostSums) return false;
  // How many vectors are side by side decides about the bits.
  if (over_units &&
      sums * static_cast<size_t>(kernel.vectors) > static_cast<size_t>(plan.machine.vector_registers * 3 / 4))
    return false;
  auto is_known = [&](const LaneInstruction& instruction) {
    return ReadsEveryTerm(instruction) && std::ranges::find(kernel.program, instruction) != kernel.program.end();
  };
  if (std::ranges::none_of(other.program, is_known)) return false;
  std::vector<int> numbers;
  for (LaneInstruction instruction : other.program) {
    for (int& argument : instruction.args) argument = numbers[argument];
    const auto same = std::ranges::find(kernel.program, instruction);
    numbers.push_back(static_cast<int>(same - kernel.program.begin()));
    if (same == kernel.program.end()) kernel.program.push_back(std::move(instruction));
  }
  for (LaneStore store : other.stores) {
    store.value = numbers[store.value];
    kernel.stores.push_back(std::move(store));
  }
  if (!kernel.label.empty() && !other.label.empty()) kernel.label += ", ";
  kernel.label += other.label;
  if (over_rows) BlockSums(plan, kernel);
  return true;
}

}  // namespace recurve

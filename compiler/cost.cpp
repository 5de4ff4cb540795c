// compiler/cost.cpp: operations and cycles of kernels.

#include "compiler/cost.h"

#include <fmt/format.h>

#include <algorithm>

namespace recurve {
namespace {

// Cycles of a vector: an operation of one instruction, one that a polynomial stands for, a load or a store, a vector of
// weights from the second-level cache. A row begins with addresses.
constexpr int64_t kCheapCycles = 1, kCostlyCycles = 9, kMemoryCycles = 1, kWeightCycles = 2, kRowCycles = 12;
constexpr int64_t kCallCycles = 40;

Size Product(const std::vector<Size>& sizes) {
  Size product;
  for (const Size& size : sizes) product = product * size;
  return product;
}

int64_t Vectors(int64_t units, int lanes) { return (units + lanes - 1) / lanes; }

Size Half(Size size) {
  size.factor = (size.factor + 1) / 2;
  return size;
}

int64_t Operations(const Kernel& kernel) {
  return std::ranges::count(kernel.program, LaneInstruction::Kind::kElementwise, &LaneInstruction::kind);
}

// Cycles of a lane program on one vector, its loads and stores included.
int64_t ProgramCycles(const Kernel& kernel) {
  int64_t cycles = static_cast<int64_t>(kernel.stores.size()) * kMemoryCycles;
  for (const LaneInstruction& instruction : kernel.program) {
    switch (instruction.kind) {
      case LaneInstruction::Kind::kConstant:
      case LaneInstruction::Kind::kExtent: break;
      case LaneInstruction::Kind::kLoad:
      case LaneInstruction::Kind::kSum:
      case LaneInstruction::Kind::kGather:
      case LaneInstruction::Kind::kOneHot:
      case LaneInstruction::Kind::kUnitIndex:
      case LaneInstruction::Kind::kRowIndex:
      case LaneInstruction::Kind::kIndex: cycles += kMemoryCycles; break;
      case LaneInstruction::Kind::kElementwise:
        cycles += ir::CostOf(instruction.op) == ir::Cost::kCostly ? kCostlyCycles : kCheapCycles;
        break;
    }
  }
  return cycles;
}

// The units as a number of vectors; a size that is known later only is one of single elements.
Size UnitVectors(const Kernel& kernel) {
  return kernel.units.is_constant() ? Size{Vectors(kernel.units.extent, kernel.lanes), {}} : SizeOf(kernel.units);
}

}  // namespace

void Amount::Add(const Size& size) {
  if (size.factor == 0) return;
  auto same = std::ranges::find(terms, size.axes, &Size::axes);
  if (same == terms.end()) {
    terms.push_back(size);
  } else {
    same->factor += size.factor;
  }
}

void Amount::Add(const Amount& other) {
  for (const Size& term : other.terms) Add(term);
}

double Amount::At(const std::function<double(const std::string&)>& axis) const {
  double sum = 0;
  for (const Size& term : terms) {
    double value = static_cast<double>(term.factor);
    for (const std::string& name : term.axes) value *= axis(name);
    sum += value;
  }
  return sum;
}

std::string Amount::Text() const {
  std::vector<Size> sorted = terms;
  std::ranges::sort(sorted, [](const Size& a, const Size& b) { return a.axes.size() > b.axes.size(); });
  std::string text;
  for (const Size& term : sorted) {
    if (!text.empty()) text += " + ";
    text += term.factor == 1 && !term.axes.empty() ? "" : fmt::format("{}", term.factor);
    for (size_t i = 0; i < term.axes.size(); ++i) text += (i > 0 || term.factor != 1 ? "*" : "") + term.axes[i];
  }
  return text.empty() ? "0" : text;
}

Amount operator*(const Amount& amount, const Size& times) {
  Amount product;
  for (const Size& term : amount.terms) product.Add(term * times);
  return product;
}

Amount FlopsOf(const Plan& plan, const Kernel& kernel) {
  const Size rows = Product(kernel.rows), reduced = Product(kernel.reduced), units = SizeOf(kernel.units);
  Amount flops;
  switch (kernel.kind) {
    case KernelKind::kRecurrence:  // of one step
    case KernelKind::kMap:
      for (const MapProduct& product : kernel.products) {
        const Panels& panels = plan.panels[product.panels];
        flops.Add(rows * Size{2 * panels.depth * static_cast<int64_t>(panels.groups.size()) * panels.units, {}});
      }
      flops.Add(rows * units * Size{Operations(kernel), {}});
      break;
    case KernelKind::kReduce: flops.Add(rows * reduced * units * Size{Operations(kernel) + 1, {}}); break;
    case KernelKind::kProduct: flops.Add(rows * reduced * units * Size{2, {}}); break;
    case KernelKind::kScatter: flops.Add(rows * units); break;
  }
  return flops;
}

Amount CyclesOf(const Plan& plan, const Kernel& kernel) {
  const Size rows = Product(kernel.rows), reduced = Product(kernel.reduced), vectors = UnitVectors(kernel);
  Amount cycles;
  cycles.Add(Size{kCallCycles, {}});
  switch (kernel.kind) {
    case KernelKind::kRecurrence:  // of one step
    case KernelKind::kMap:
      for (const MapProduct& product : kernel.products) {
        const Panels& panels = plan.panels[product.panels];
        const int64_t weights = panels.elements() / panels.lanes;  // vectors
        cycles.Add(Size{weights * kWeightCycles, {}});
        cycles.Add(Half(rows * Size{weights, {}}));
      }
      cycles.Add(rows * vectors * Size{ProgramCycles(kernel), {}});
      cycles.Add(rows * Size{kRowCycles, {}});
      break;
    case KernelKind::kReduce:
      cycles.Add(rows * reduced * vectors * Size{ProgramCycles(kernel) + 1, {}});
      cycles.Add(rows * Size{kRowCycles, {}});
      break;
    case KernelKind::kProduct: cycles.Add(Half(rows * reduced * vectors)); break;
    case KernelKind::kScatter: cycles.Add(rows * vectors * Size{3 * kMemoryCycles, {}}); break;
  }
  return cycles;
}

std::vector<SharedVectors> SharedVectorsOf(const Plan& plan, const Kernel& kernel) {
  const Size rows = Product(kernel.rows), reduced = Product(kernel.reduced), vectors = UnitVectors(kernel);
  std::vector<SharedVectors> shared;
  auto add = [&](int buffer, bool is_written, const Size& count) {
    shared.push_back({.buffer = buffer, .is_written = is_written, .vectors = {}});
    shared.back().vectors.Add(count);
  };
  switch (kernel.kind) {
    case KernelKind::kRecurrence:  // of one step
    case KernelKind::kMap:
      for (const MapProduct& product : kernel.products)
        add(product.left.buffer, false, rows * Size{Vectors(plan.panels[product.panels].depth, kernel.lanes), {}});
      for (const LaneStore& store : kernel.stores) add(store.view.buffer, true, rows * vectors);
      break;
    case KernelKind::kReduce:
      for (const LaneInstruction& instruction : kernel.program) {
        if (instruction.kind == LaneInstruction::Kind::kLoad)
          add(instruction.view.buffer, false, rows * reduced * vectors);
      }
      break;
    case KernelKind::kProduct:
      add(kernel.right.buffer, false, reduced * vectors);
      add(kernel.left.buffer, false, reduced * Size{Vectors(rows.factor, kernel.lanes), rows.axes});
      break;
    case KernelKind::kScatter: add(kernel.right.buffer, false, rows * vectors); break;
  }
  return shared;
}

int64_t WeightBytes(const Plan& plan, const Kernel& kernel) {
  int64_t bytes = 0;
  for (const MapProduct& product : kernel.products) {
    const Panels& panels = plan.panels[product.panels];
    bytes += panels.elements() * StoredBytes(panels.format.storage, plan.precision);
  }
  return bytes;
}

Size StepsOf(const TimeLoop& loop) { return loop.steps == TimeLoop::Steps::kAll ? SizeOf(loop.time) : Size{}; }

namespace {

void VisitCalls(const EntryPlan& entry, const std::vector<Statement>& statements, const Size& times,
                const CallVisitor& visit) {
  for (const Statement& statement : statements) {
    if (const auto* call = std::get_if<KernelCall>(&statement.kind)) {
      visit(entry.kernels[call->kernel], times);
    } else if (const auto* rows = std::get_if<RowLoop>(&statement.kind)) {
      for (int kernel : rows->kernels) visit(entry.kernels[kernel], times);
    } else if (const auto* loop = std::get_if<TimeLoop>(&statement.kind)) {
      VisitCalls(entry, loop->body, times * StepsOf(*loop), visit);
    } else if (const auto* chunks = std::get_if<ChunkLoop>(&statement.kind)) {
      VisitCalls(entry, chunks->body, times, visit);
    }
  }
}

}  // namespace

void ForEachCall(const EntryPlan& entry, const std::vector<Statement>& statements, const CallVisitor& visit) {
  VisitCalls(entry, statements, Size{}, visit);
}

Amount FlopsOf(const Plan& plan, const EntryPlan& entry, const std::vector<Statement>& statements) {
  Amount flops;
  ForEachCall(entry, statements,
              [&](const Kernel& kernel, const Size& times) { flops.Add(FlopsOf(plan, kernel) * times); });
  return flops;
}

Amount CyclesOf(const Plan& plan, const EntryPlan& entry, const std::vector<Statement>& statements) {
  Amount cycles;
  ForEachCall(entry, statements,
              [&](const Kernel& kernel, const Size& times) { cycles.Add(CyclesOf(plan, kernel) * times); });
  return cycles;
}

}  // namespace recurve

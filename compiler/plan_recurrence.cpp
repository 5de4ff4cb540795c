// compiler/plan_recurrence.cpp: which kernels are recurrences, and what runs side by side in one.

#include "compiler/plan_recurrence.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

namespace recurve {
namespace {

using Kind = LaneInstruction::Kind;

constexpr int kMostVectors = 4;    // side by side; more hide nothing and want more registers
constexpr int kFewestVectors = 2;  // lines come from memory in pairs
// What operations hold beside their operands. Costly ones have constants that stay from step to step, and those of
// vectors side by side overlap.
constexpr int kCheapRegisters = 4, kCostlyRegisters = 10, kCostlyOverlap = 5;
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

// ---- Cost --------------------------------------------------------------------------------------------------------

// Cycles of a core that starts two vector operations in one; they only have to say what is larger.
struct Cycles {
  double latency;
  double work;
};

Cycles CyclesOf(ir::Op op) {
  if (op == ir::Op::kDiv || op == ir::Op::kSqrt) return {13, 5};
  return ir::CostOf(op) == ir::Cost::kCostly ? Cycles{50, 12} : Cycles{4, 0.5};
}
constexpr double kLoadCycles = 0.5, kStoreCycles = 1;

// From a state to the next: the longest way through the program.
double LatencyOf(const Kernel& kernel, const Recurrence& recurrence) {
  std::vector<double> ready(kernel.program.size(), -1);  // below zero: does not wait for a state
  for (const Recurrence::Carried& carried : recurrence.carried) ready[carried.load] = 0;
  double latency = 0;
  for (size_t i = 0; i < kernel.program.size(); ++i) {
    const LaneInstruction& instruction = kernel.program[i];
    if (instruction.kind != Kind::kElementwise) continue;
    for (int arg : instruction.args) ready[i] = std::max(ready[i], ready[arg]);
    if (ready[i] >= 0) ready[i] += CyclesOf(instruction.op).latency;
  }
  for (const Recurrence::Carried& carried : recurrence.carried) {
    latency = std::max(latency, ready[kernel.stores[carried.store].value]);
  }
  return latency;
}

double WorkOf(const std::vector<LaneInstruction>& program) {
  double work = 0;
  for (const LaneInstruction& instruction : program) {
    if (instruction.kind == Kind::kElementwise) work += CyclesOf(instruction.op).work;
    if (instruction.kind == Kind::kLoad) work += kLoadCycles;
  }
  return work;
}

// ---- Linear recurrences ------------------------------------------------------------------------------------------

// Finds the factors of next states that are linear in their state.
class Linearizer {
 public:
  Linearizer(const Kernel& kernel, const Recurrence& recurrence) : kernel_(kernel) {
    for (const Recurrence::Carried& carried : recurrence.carried) loads_.push_back(carried.load);
    for (size_t i = 0; i < kernel.program.size(); ++i) {
      const LaneInstruction& instruction = kernel.program[i];
      auto of_load = [&](const Recurrence::Carried& carried) { return carried.load == static_cast<int>(i); };
      auto carried = std::ranges::find_if(recurrence.carried, of_load);
      if (carried != recurrence.carried.end()) {
        forms_.push_back({static_cast<int>(carried - recurrence.carried.begin()), kOne});
      } else if (instruction.kind == Kind::kElementwise) {
        forms_.push_back(FormOf(instruction));
      } else {
        forms_.push_back({});
      }
    }
    for (size_t c = 0; c < recurrence.carried.size(); ++c) {
      const Form& next = forms_[kernel.stores[recurrence.carried[c].store].value];
      if (next.state != static_cast<int>(c)) {
        found_ = {};
        return;
      }
      found_.factors.push_back(next.factor == kOne ? Constant(1) : next.factor);
    }
  }

  Recurrence::LookAhead Found() && { return std::move(found_); }

 private:
  static constexpr int kFree = -1, kMixed = -2;  // states
  static constexpr int kOne = -1, kZero = -2;    // factors; others are instructions

  // factor * state + something free of states
  struct Form {
    int state = kFree;
    int factor = kZero;
  };

  Form FormOf(const LaneInstruction& instruction) {
    const std::vector<int>& args = instruction.args;
    int state = kFree;
    for (int arg : args) {
      int other = forms_[arg].state;
      if (other == kFree) continue;
      if (state != kFree && state != other) return {kMixed, kZero};
      state = other;
    }
    if (state == kFree || state == kMixed) return {state, kZero};
    const Form a = forms_[args[0]], b = args.size() > 1 ? forms_[args[1]] : Form{};
    const ir::Op op = instruction.op;
    const bool a_free = a.state == kFree, b_free = b.state == kFree;
    if (op == ir::Op::kNeg) return {state, Computed(op, {a.factor})};
    if (op == ir::Op::kAdd && a_free) return b;
    if ((op == ir::Op::kAdd || op == ir::Op::kSub) && b_free) return a;
    if (op == ir::Op::kSub && a_free) return {state, Computed(ir::Op::kNeg, {b.factor})};
    if (op == ir::Op::kAdd || op == ir::Op::kSub) return {state, Computed(op, {a.factor, b.factor})};
    if (op == ir::Op::kMul && a_free) return {state, Times(b.factor, args[0])};
    if (op == ir::Op::kMul && b_free) return {state, Times(a.factor, args[1])};
    if (op == ir::Op::kDiv && b_free) return {state, Computed(op, {a.factor, args[1]})};
    // A state that may wait, as after the end of a sequence, goes step by step: what several steps at a time round
    // depends on where they begin, and so on how many steps of waiting stand before.
    const bool waits = op == ir::Op::kSelect && (IsState(args[1]) || IsState(args[2]));
    if (op == ir::Op::kSelect && a_free && !waits) {
      return {state, Computed(op, {args[0], b.factor, forms_[args[2]].factor})};
    }
    return {kMixed, kZero};
  }

  int Append(LaneInstruction instruction) {
    found_.program.push_back(std::move(instruction));
    return static_cast<int>(kernel_.program.size() + found_.program.size()) - 1;
  }
  int Constant(double value) {
    LaneInstruction constant;
    constant.kind = Kind::kConstant;
    constant.value = value;
    return Append(std::move(constant));
  }
  // An operation on factors and instructions.
  int Computed(ir::Op op, std::vector<int> args) {
    for (int& arg : args) {
      if (arg == kOne || arg == kZero) arg = Constant(arg == kOne ? 1 : 0);
    }
    LaneInstruction computed;
    computed.kind = Kind::kElementwise;
    computed.op = op;
    computed.args = std::move(args);
    return Append(std::move(computed));
  }
  int Times(int factor, int instruction) {
    return factor == kOne ? instruction : Computed(ir::Op::kMul, {factor, instruction});
  }

  // Whether the instruction loads a state.
  bool IsState(int instruction) const { return std::ranges::find(loads_, instruction) != loads_.end(); }

  const Kernel& kernel_;
  std::vector<int> loads_;  // of states
  std::vector<Form> forms_;
  Recurrence::LookAhead found_;
};

// ---- Decisions ---------------------------------------------------------------------------------------------------

// The carried values of a step, or nothing if states are used in another way than unit by unit.
std::optional<std::vector<Recurrence::Carried>> CarriedValues(const Kernel& kernel, const TimeLoop& loop,
                                                              const std::vector<int>& slots) {
  std::vector<Recurrence::Carried> carried;
  for (size_t i = 0; i < kernel.program.size(); ++i) {
    const LaneInstruction& instruction = kernel.program[i];
    if (instruction.index.buffer >= 0 && Has(slots, instruction.index.buffer)) return std::nullopt;
    if (instruction.view.buffer < 0 || !Has(slots, instruction.view.buffer)) continue;
    if (instruction.kind != Kind::kLoad) return std::nullopt;
    auto carries = [&](const LaneStore& store) { return Carries(instruction.view, store.view, loop); };
    auto store = std::ranges::find_if(kernel.stores, carries);
    if (store == kernel.stores.end()) return std::nullopt;
    carried.push_back({static_cast<int>(i), static_cast<int>(store - kernel.stores.begin())});
  }
  return carried;
}

// Loads that no step changes.
std::vector<int> SteadyLoads(const Kernel& kernel, const Recurrence& recurrence) {
  std::vector<int> steady;
  for (size_t i = 0; i < kernel.program.size(); ++i) {
    const LaneInstruction& instruction = kernel.program[i];
    if (instruction.kind != Kind::kLoad) continue;
    const View& view = instruction.view;
    bool moves = std::ranges::any_of(view.offset, [&](const OffsetTerm& t) { return t.loop == recurrence.loop; });
    bool written = std::ranges::any_of(kernel.stores, [&](const LaneStore& s) { return s.view.buffer == view.buffer; });
    if (!moves && !written) steady.push_back(static_cast<int>(i));
  }
  return steady;
}

// The most values of one vector that a step holds at once, beside `kept` ones: states until they are used, next states
// until the end, others from where they are made to where they are used. Values are stored where they are made.
int LiveValues(const Kernel& kernel, const Recurrence& recurrence) {
  const auto count = static_cast<int>(kernel.program.size());
  std::vector<int> first(count), last(count);
  for (int i = 0; i < count; ++i) {
    first[i] = last[i] = i;
    for (int arg : kernel.program[i].args) last[arg] = i;
  }
  for (const Recurrence::Carried& carried : recurrence.carried) {
    first[carried.load] = 0;
    last[kernel.stores[carried.store].value] = count;
  }
  int most = 0;
  for (int i = 0; i < count; ++i) {
    int live = 0;
    for (int k = 0; k < count; ++k) {
      if (kernel.program[k].kind == Kind::kConstant || Has(recurrence.kept, k)) continue;
      live += first[k] <= i && last[k] > i ? 1 : 0;
    }
    most = std::max(most, live);
  }
  return std::max(most, 1);
}

bool IsCostly(const Kernel& kernel) {
  return std::ranges::any_of(kernel.program, [](const LaneInstruction& instruction) {
    return instruction.kind == Kind::kElementwise && CyclesOf(instruction.op).work > 1;
  });
}

// How many steps at a time, of `vectors` vectors, with the registers that formulas leave.
int StepsAtATime(const Recurrence& recurrence, double latency, double work, int vectors, int registers) {
  if (recurrence.look_ahead.factors.empty()) return 1;
  const auto states = static_cast<double>(recurrence.carried.size());
  // A factor more to the product and one more multiply-add; the step itself computes the local sum beside its results.
  const double more = WorkOf(recurrence.look_ahead.program) + states * 2;
  int best = 1;
  double best_cycles = std::max(latency, vectors * work);
  for (int steps = 2; steps <= kMostStepsAtATime; steps *= 2) {
    // Products and sums of all the steps are held until the state is there.
    if (vectors * static_cast<int>(recurrence.carried.size()) * (2 * steps + 1) > registers) break;
    const double cycles = std::max(CyclesOf(ir::Op::kMul).latency / steps, vectors * (work + more));
    if (cycles < 0.9 * best_cycles) {
      best = steps;
      best_cycles = cycles;
    }
  }
  return best;
}

}  // namespace

void AddRecurrence(const Plan& plan, EntryPlan& entry, TimeLoop& loop, const std::vector<int>& slots) {
  if (loop.body.size() != 2 || !std::holds_alternative<Barrier>(loop.body[1].kind)) return;
  const auto* call = std::get_if<KernelCall>(&loop.body[0].kind);
  if (call == nullptr) return;
  Kernel kernel = entry.kernels[call->kernel];
  if (kernel.kind != KernelKind::kMap || !kernel.products.empty()) return;
  std::optional<std::vector<Recurrence::Carried>> carried = CarriedValues(kernel, loop, slots);
  if (!carried) return;

  Recurrence recurrence;
  recurrence.loop = loop.loop;
  recurrence.time = loop.time;
  recurrence.reverse = loop.reverse;
  recurrence.chunk = loop.chunk;
  recurrence.carried = *std::move(carried);
  const bool costly = IsCostly(kernel);
  const int registers = std::max(1, plan.machine.vector_registers - (costly ? kCostlyRegisters : kCheapRegisters));
  const double latency = LatencyOf(kernel, recurrence);
  const double work = WorkOf(kernel.program) + kStoreCycles * static_cast<double>(kernel.stores.size());
  recurrence.kept = SteadyLoads(kernel, recurrence);
  auto fitting = [&] {
    const int overlap = costly ? kCostlyOverlap : 0;
    const int held = LiveValues(kernel, recurrence) + static_cast<int>(recurrence.kept.size()) + overlap;
    return std::clamp(registers / held, kFewestVectors, kMostVectors);
  };
  const int full = static_cast<int>(kernel.units.extent) / kernel.lanes;
  const int most_with_kept = fitting();
  std::vector<int> kept = std::exchange(recurrence.kept, {});
  // Loads that are repeated come from the first-level cache: rather more vectors than those in registers.
  int most = fitting();
  if (most_with_kept >= std::min(most, std::max(1, full))) {
    recurrence.kept = std::move(kept);
    most = most_with_kept;
  }
  const int waiting = std::clamp(static_cast<int>(std::ceil(latency / work)), 1, most);
  const int rest = static_cast<int>(kernel.units.extent) % kernel.lanes;
  if (rest > 0) recurrence.fold = std::max(1, kernel.lanes / rest);
  // Vectors of a row as many as fit, which shares its pages; rows only while a step waits.
  if (full > most) {
    const int runs = (full + most - 1) / most;
    kernel.vectors = (full + runs - 1) / runs;  // 6 are 3 + 3 and not 4 + 2
  } else {
    kernel.vectors = std::max(1, full);
    recurrence.rows = std::max(1, waiting / kernel.vectors);
  }
  recurrence.latency_cycles = static_cast<int>(std::lround(latency));
  recurrence.work_cycles = static_cast<int>(std::lround(work));
  recurrence.look_ahead = Linearizer(kernel, recurrence).Found();
  recurrence.look_ahead.steps =
      recurrence.rows > 1 ? StepsAtATime(recurrence, latency, work, kernel.vectors, registers) : 1;

  kernel.kind = KernelKind::kRecurrence;
  kernel.recurrence = std::move(recurrence);
  loop.recurrence = static_cast<int>(entry.kernels.size());
  loop.most_rows = std::max<int64_t>(1, kStepBytes / (kernel.units.extent * ElementBytes(plan.precision)));
  entry.kernels.push_back(std::move(kernel));
}

}  // namespace recurve

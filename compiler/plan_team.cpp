// compiler/plan_team.cpp: which entries split by rows, and when a team pays.

#include "compiler/plan_team.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "compiler/cost.h"

namespace recurve {
namespace {

// Cycles that a barrier costs with the first lines behind it, and a vector that one core wrote and another reads or
// overwrites: measured on two cores of a Zen 5 that a hypervisor keeps apart. Neighbours meet in 400 cycles, but nobody
// knows for how long they are. What was written long ago comes like other memory.
constexpr int64_t kBarrierCycles = 2500, kVectorCycles = 30, kOldVectorCycles = 12;
// Cycles to bring a team together for an entry and to see it off, while its members still spin.
constexpr int64_t kStartCycles = 12000;
// Members that read all weights of a step want this many rows when the weights come from beyond the second-level cache.
constexpr int64_t kRowsBeyondCache = 24;

bool WalksBatch(const Size& size) { return std::ranges::find(size.axes, "B") != size.axes.end(); }

// The axis of the kernel's rows that holds the batch, or -1 if its rows cannot be split among members.
int BatchAxis(const Kernel& kernel) {
  if (kernel.kind == KernelKind::kProduct || kernel.kind == KernelKind::kScatter) return -1;
  if (std::ranges::any_of(kernel.reduced, WalksBatch) || WalksBatch(SizeOf(kernel.units))) return -1;
  if (std::ranges::count_if(kernel.rows, WalksBatch) != 1) return -1;
  const auto axis = static_cast<int>(std::ranges::find_if(kernel.rows, WalksBatch) - kernel.rows.begin());
  // With time in the same axis, it must be the one that threads split.
  const int split = kernel.kind == KernelKind::kMap ? static_cast<int>(kernel.rows.size()) - 1 : 0;
  return kernel.rows[axis].axes.size() == 1 || axis == split ? axis : -1;
}

class EntryTeams {
 public:
  EntryTeams(Plan& plan, EntryPlan& entry) : plan_(plan), entry_(entry) {}

  void Run() {
    PlanRows();
    TeamRule& units = entry_.team.units;
    units.overhead_cycles.Add(Size{kStartCycles, {}});
    AddBarriers(entry_.statements, Size{}, /*into_loops=*/false, units.overhead_cycles);
    entry_.team.rows = {.shared_cycles = CyclesOf(plan_, entry_, entry_.statements),
                        .overhead_cycles = units.overhead_cycles};
    AddParallel(entry_.statements, units);
    for (size_t i = 0; i < entry_.statements.size(); ++i) {
      std::vector<Statement> rest(entry_.statements.begin() + static_cast<ptrdiff_t>(i) + 1, entry_.statements.end());
      // What follows a loop in its chunk may be the next chunk.
      if (std::holds_alternative<ChunkLoop>(entry_.statements[i].kind)) rest.push_back(entry_.statements[i]);
      PlanLoops(entry_.statements[i], rest);
    }
    if (plan_.choices.team != TeamChoice::kByCost) ShareWhateverItCosts();
  }

 private:
  void PlanRows() {
    EntryTeam& team = entry_.team;
    std::vector<const TimeLoop*> loops = OutermostLoops(entry_.statements);
    if (loops.empty()) {
      team.why = "no time loop";
      return;
    }
    int64_t weights = 0, tile_rows = 1;
    std::set<int> written, gathered;
    for (const TimeLoop* loop : loops) {
      int64_t of_loop = 0;
      ForEachCall(entry_, loop->body, [&](const Kernel& kernel, const Size&) {
        of_loop += WeightBytes(plan_, kernel);
        if (!kernel.products.empty()) tile_rows = std::max<int64_t>(tile_rows, kernel.tile_rows);
        if (BatchAxis(kernel) < 0)
          team.why = fmt::format("`{}` meets other rows of the batch in every step", kernel.label);
        for (const LaneStore& store : kernel.stores) written.insert(store.view.buffer);
        for (const LaneInstruction& instruction : kernel.program) {
          if (instruction.kind == LaneInstruction::Kind::kGather) gathered.insert(instruction.view.buffer);
        }
      });
      weights = std::max(weights, of_loop);
    }
    if (std::ranges::any_of(gathered, [&](int buffer) { return written.contains(buffer); }))
      team.why = "a step reads a row of its own results by index";
    if (!team.why.empty()) return;
    const auto cache = static_cast<int64_t>(plan_.machine.l2_bytes);
    // A tile of two thirds of its rows is as fast as a full one.
    team.rows_each = weights <= cache / 2 ? (2 * tile_rows + 2) / 3 : std::max(tile_rows, kRowsBeyondCache);
    for (Kernel& kernel : entry_.kernels) {
      if (!kernel.in_row_loop) kernel.batch_axis = BatchAxis(kernel);
    }
  }

  // The kernels outside of time loops, and what members that share them send each other.
  void AddParallel(const std::vector<Statement>& statements, TeamRule& rule) const {
    for (const Statement& statement : statements) {
      std::vector<int> kernels;
      if (const auto* call = std::get_if<KernelCall>(&statement.kind)) kernels = {call->kernel};
      if (const auto* by_rows = std::get_if<RowLoop>(&statement.kind)) kernels = by_rows->kernels;
      for (int kernel : kernels) {
        rule.shared_cycles.Add(CyclesOf(plan_, entry_.kernels[kernel]));
        for (const SharedVectors& shared : SharedVectorsOf(plan_, entry_.kernels[kernel]))
          rule.overhead_cycles.Add(shared.vectors * Size{kOldVectorCycles, {}});
      }
      if (const auto* chunks = std::get_if<ChunkLoop>(&statement.kind)) {
        AddParallel(chunks->body, rule);
      }
    }
    if (!entry_.packs_panels) return;
    for (const Panels& panels : plan_.panels) {
      rule.shared_cycles.Add(Size{panels.elements(), {}});
    }
  }

  // What barriers cost; those of chunks and of products that pack as they run count once.
  void AddBarriers(const std::vector<Statement>& statements, const Size& times, bool into_loops, Amount& cycles) const {
    for (const Statement& statement : statements) {
      int64_t count = std::holds_alternative<Barrier>(statement.kind) ? 1 : 0;
      if (const auto* call = std::get_if<KernelCall>(&statement.kind)) {
        count = entry_.kernels[call->kernel].kind == KernelKind::kProduct ? 2 : 0;
      } else if (const auto* loop = std::get_if<TimeLoop>(&statement.kind); loop != nullptr && into_loops) {
        AddBarriers(loop->body, times * StepsOf(*loop), into_loops, cycles);
      } else if (const auto* chunks = std::get_if<ChunkLoop>(&statement.kind)) {
        AddBarriers(chunks->body, times, into_loops, cycles);
      }
      cycles.Add(times * Size{kBarrierCycles * count, {}});
    }
  }

  void ShareWhateverItCosts() {
    EntryTeam& team = entry_.team;
    if (team.rows_each > 0) team.rows_each = plan_.choices.team == TeamChoice::kByRows ? 1 : 0;
    if (team.rows_each == 0 && team.why.empty()) team.why = "chosen so";
    team.rows.overhead_cycles = team.units.overhead_cycles = {};
    for (Statement& statement : entry_.statements) ShareLoops(statement);
  }

  static void ShareLoops(Statement& statement) {
    if (auto* loop = std::get_if<TimeLoop>(&statement.kind)) loop->team->units.overhead_cycles = {};
    if (auto* chunks = std::get_if<ChunkLoop>(&statement.kind)) std::ranges::for_each(chunks->body, ShareLoops);
  }

  void PlanLoops(Statement& statement, const std::vector<Statement>& rest) {
    if (auto* loop = std::get_if<TimeLoop>(&statement.kind)) PlanLoop(*loop, rest);
    auto* chunks = std::get_if<ChunkLoop>(&statement.kind);
    if (chunks == nullptr) return;
    for (Statement& inner : chunks->body) PlanLoops(inner, rest);
  }

  // What members that share each kernel of a step send each other: what one writes and another reads. Kernels with
  // products are shared by units, others by rows, so that a sum over units finds all of its row with the member that
  // wrote it, unless a product did. A vector comes once, whoever reads it in the step.
  void AddSent(const TimeLoop& loop, Amount& cycles) const {
    std::map<int, Amount> written, sent;
    std::set<int> written_by_units;
    ForEachCall(entry_, loop.body, [&](const Kernel& kernel, const Size& times) {
      for (const SharedVectors& shared : SharedVectorsOf(plan_, kernel)) {
        if (!shared.is_written) continue;
        written.try_emplace(shared.buffer, shared.vectors * times);
        if (!kernel.products.empty()) written_by_units.insert(shared.buffer);
      }
    });
    ForEachCall(entry_, loop.body, [&](const Kernel& kernel, const Size& times) {
      for (const SharedVectors& shared : SharedVectorsOf(plan_, kernel)) {
        const bool stays = kernel.products.empty() && !written_by_units.contains(shared.buffer);
        if (!shared.is_written && !stays) sent.try_emplace(shared.buffer, shared.vectors * times);
      }
    });
    for (const auto& [buffer, vectors] : sent) {
      cycles.Add(vectors * Size{kVectorCycles, {}});
      if (const auto own = written.find(buffer); own != written.end())
        cycles.Add(own->second * Size{kVectorCycles, {}});
    }
  }

  void PlanLoop(TimeLoop& loop, const std::vector<Statement>& rest) {
    LoopTeam team;
    team.units.shared_cycles = CyclesOf(plan_, entry_, loop.body);
    AddBarriers(loop.body, Size{}, /*into_loops=*/true, team.units.overhead_cycles);
    AddSent(loop, team.units.overhead_cycles);
    team.rest.overhead_cycles.Add(Size{kStartCycles, {}});
    AddBarriers(rest, Size{}, /*into_loops=*/false, team.rest.overhead_cycles);
    AddParallel(rest, team.rest);
    for (const TimeLoop* next : OutermostLoops(rest)) {
      if (next != &loop && next->loop != loop.loop)
        team.rest.shared_cycles.Add(CyclesOf(plan_, entry_, next->body) * StepsOf(*next));
    }
    loop.team = std::move(team);
  }

  Plan& plan_;
  EntryPlan& entry_;
};

std::string TextOf(const TeamRule& rule) {
  return fmt::format("if its share of {} cycles is more than {}", rule.shared_cycles.Text(),
                     rule.overhead_cycles.Text());
}

}  // namespace

void PlanTeam(Plan& plan) {
  for (EntryPlan& entry : plan.entries) EntryTeams(plan, entry).Run();
}

std::vector<const TimeLoop*> OutermostLoops(const std::vector<Statement>& statements) {
  std::vector<const TimeLoop*> loops;
  for (const Statement& statement : statements) {
    if (const auto* loop = std::get_if<TimeLoop>(&statement.kind)) loops.push_back(loop);
    if (const auto* chunks = std::get_if<ChunkLoop>(&statement.kind)) {
      for (const TimeLoop* loop : OutermostLoops(chunks->body)) loops.push_back(loop);
    }
  }
  return loops;
}

std::string TextOf(const EntryTeam& team) {
  std::string rows = team.rows_each > 0 ? fmt::format("by rows of the batch from {} a member on, {}; ", team.rows_each,
                                                      TextOf(team.rows))
                                        : fmt::format("not by rows of the batch: {}; ", team.why);
  return fmt::format("{}else each kernel {}, what loops gain added; else alone", rows, TextOf(team.units));
}

std::string TextOf(const LoopTeam& team) {
  return fmt::format("by units in every step {}; else the first alone, and the rest is shared {}", TextOf(team.units),
                     TextOf(team.rest));
}

}  // namespace recurve

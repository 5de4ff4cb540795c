// compiler/plan_rows.cpp: groups grow phase by phase, as long as what their kernels share stays in its row.

#include "compiler/plan_rows.h"

#include <algorithm>

#include "compiler/plan_access.h"

namespace recurve {
namespace {

constexpr int64_t kRowLoopBytes =
    16 << 10;  // of the widest value in a block of rows: half of a small first-level cache

// The rest of the offset: without slices along the units, which stay in the row.
std::vector<OffsetTerm> OffsetOfRow(const View& view) {
  std::vector<OffsetTerm> terms = view.offset;
  std::erase_if(
      terms, [](const OffsetTerm& term) { return term.stride == Size{} && term.loop < 0 && term.shift_axis.empty(); });
  return terms;
}

// Different steps of one loop: no element is in both.
bool AreDifferentSteps(const std::vector<OffsetTerm>& a, const std::vector<OffsetTerm>& b) {
  if (a.size() != 1 || b.size() != 1 || a[0].loop < 0) return false;
  OffsetTerm same = a[0];
  same.shift = b[0].shift;
  return same == b[0] && a[0].shift != b[0].shift && (!a[0].ring || (a[0].shift - b[0].shift) % 2 != 0);
}

bool StaysInRow(const View& a, const View& b) {
  std::vector<OffsetTerm> at_a = OffsetOfRow(a), at_b = OffsetOfRow(b);
  if (a.axes[0].stride.factor == 0 || a.axes[0].stride != b.axes[0].stride) return false;
  return at_a == at_b || AreDifferentSteps(at_a, at_b);
}

// Whether one of the kernels writes what the other uses, for pairs of views that do not satisfy `harmless`.
template <typename Harmless>
bool Conflict(const Kernel& a, const Kernel& b, Harmless harmless) {
  auto clash = [&](const std::vector<Access>& writes, const std::vector<Access>& uses) {
    for (const Access& write : writes) {
      for (const Access& use : uses) {
        if (write.view->buffer == use.view->buffer && !harmless(*write.view, *use.view)) return true;
      }
    }
    return false;
  };
  return clash(WritesOf(a), ReadsOf(b)) || clash(WritesOf(b), ReadsOf(a)) || clash(WritesOf(a), WritesOf(b));
}

bool GoesByRows(const Kernel& kernel) {
  if (kernel.rows.size() != 1 || kernel.rows[0].axes.empty() || kernel.sums_steps) return false;
  if (kernel.kind == KernelKind::kMap) return kernel.products.empty();
  return ReducesUnitsOfRows(kernel);
}

// Whether all of a statement is done when a member of a team goes on to the next.
bool EndsInBarrier(const Statement& statement) {
  const auto* loop = std::get_if<TimeLoop>(&statement.kind);
  return loop != nullptr && !loop->body.empty() && std::holds_alternative<Barrier>(loop->body.back().kind);
}

class Grouper {
 public:
  Grouper(EntryPlan& entry, Precision precision) : entry_(entry), precision_(precision) {}

  std::vector<Statement> Run(std::vector<Statement> statements) {
    std::vector<Statement> phase;
    for (Statement& statement : statements) {
      if (std::holds_alternative<Barrier>(statement.kind)) {
        AddPhase(phase);
        phase.clear();
        ends_in_barrier_ = true;
        continue;
      }
      ends_in_barrier_ = false;
      if (auto* loop = std::get_if<TimeLoop>(&statement.kind)) {
        loop->body = GroupByRows(entry_, std::move(loop->body), precision_);
      } else if (auto* chunk = std::get_if<ChunkLoop>(&statement.kind)) {
        chunk->body = GroupByRows(entry_, std::move(chunk->body), precision_);
      }
      phase.push_back(std::move(statement));
    }
    if (!phase.empty()) AddPhase(phase);
    Flush();
    if (ends_in_barrier_) out_.push_back({Barrier{}});
    return std::move(out_);
  }

 private:
  const Kernel& At(int k) const { return entry_.kernels[k]; }

  // Adds to the open group, or closes it with a barrier and opens another.
  void AddPhase(std::vector<Statement>& phase) {
    std::vector<int> by_rows;
    std::vector<Statement> others;
    for (Statement& statement : phase) {
      const auto* call = std::get_if<KernelCall>(&statement.kind);
      bool fits =
          call != nullptr && GoesByRows(At(call->kernel)) && (by_rows.empty() || WalkTheSame(by_rows[0], call->kernel));
      if (fits) {
        by_rows.push_back(call->kernel);
      } else {
        others.push_back(std::move(statement));
      }
    }
    bool joins = is_open_ && others.empty() && std::ranges::all_of(by_rows, [&](int k) { return Joins(k); });
    if (!joins) {
      Flush();
      loose_ = std::move(others);
    }
    if (joins && !by_rows.empty()) ++phases_;
    group_.insert(group_.end(), by_rows.begin(), by_rows.end());
    is_open_ = true;
  }

  bool WalkTheSame(int a, int b) const { return At(a).rows == At(b).rows && At(a).chunk == At(b).chunk; }

  bool Joins(int k) const {
    if (group_.empty()) return false;
    for (const Statement& statement : loose_) {
      if (EndsInBarrier(statement)) continue;
      const auto* call = std::get_if<KernelCall>(&statement.kind);
      auto never = [](const View&, const View&) { return false; };
      if (call == nullptr || Conflict(At(call->kernel), At(k), never)) return false;
    }
    return std::ranges::all_of(
        group_, [&](int member) { return WalkTheSame(member, k) && !Conflict(At(member), At(k), StaysInRow); });
  }

  void Flush() {
    if (!is_open_) return;
    if (!out_.empty()) out_.push_back({Barrier{}});
    for (Statement& statement : loose_) out_.push_back(std::move(statement));
    if (phases_ > 1) {
      RowLoop loop{.kernels = group_, .rows = At(group_[0]).rows[0], .chunk = At(group_[0]).chunk};
      int64_t widest = 1;
      for (int k : group_) {
        entry_.kernels[k].in_row_loop = true;
        widest = std::max(widest, At(k).units.is_constant() ? At(k).units.extent : 1);
      }
      loop.step_rows = At(group_[0]).step_rows;
      loop.block_rows = std::max<int64_t>(1, kRowLoopBytes / (widest * ElementBytes(precision_)));
      out_.push_back({std::move(loop)});
    } else {
      for (int k : group_) out_.push_back({KernelCall{k}});
    }
    group_.clear();
    loose_.clear();
    phases_ = 1;
    is_open_ = false;
  }

  EntryPlan& entry_;
  Precision precision_;
  std::vector<Statement> out_;
  std::vector<Statement> loose_;  // of the group's first phase, before it
  std::vector<int> group_;
  int phases_ = 1;  // that the group spans
  bool is_open_ = false;
  bool ends_in_barrier_ = false;
};

}  // namespace

std::vector<Statement> GroupByRows(EntryPlan& entry, std::vector<Statement> statements, Precision precision) {
  return Grouper(entry, precision).Run(std::move(statements));
}

}  // namespace recurve

// compiler/plan_segment.cpp: what can run segment by segment, by elimination, and what then comes before and after.

#include "compiler/plan_segment.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <limits>
#include <map>
#include <set>
#include <utility>

#include "compiler/plan_access.h"

namespace recurve {
namespace {

bool Has(const std::vector<int>& list, int value) { return std::ranges::find(list, value) != list.end(); }

struct Planned {
  const std::vector<PhasedKernel>& kernels;
  const std::vector<ChunkScan>& scans;
  const std::vector<ChunkChoice>& chunks;
  const std::vector<Buffer>& buffers;

  int KernelCount() const { return static_cast<int>(kernels.size()); }
  int ScanCount() const { return static_cast<int>(scans.size()); }
  const Kernel& At(int k) const { return *kernels[k].kernel; }

  bool Reads(int k, const std::set<int>& made) const {
    return std::ranges::any_of(ReadsOf(At(k)), [&](const Access& a) { return made.contains(a.view->buffer); });
  }
  bool Reads(const ChunkScan& scan, const std::set<int>& made) const {
    return std::ranges::any_of(scan.elements, [&](const View& view) { return made.contains(view.buffer); }) ||
           std::ranges::any_of(scan.whole, [&](int buffer) { return made.contains(buffer); });
  }
  bool Writes(int k, int buffer) const {
    return std::ranges::any_of(WritesOf(At(k)), [&](const Access& a) { return a.view->buffer == buffer; });
  }
  bool Writes(const ChunkScan& scan, int buffer) const { return Has(scan.stacks, buffer) || Has(scan.slots, buffer); }

  // Grows `made` by what kernels make of it that `may` says yes to; these kernels.
  template <typename May>
  std::set<int> Follow(std::set<int>& made, May may) const {
    std::set<int> found;
    for (bool grows = true; grows;) {
      grows = false;
      for (int k = 0; k < KernelCount(); ++k) {
        if (found.contains(k) || !Reads(k, made) || !may(k)) continue;
        found.insert(k);
        for (const Access& write : WritesOf(At(k))) made.insert(write.view->buffer);
        grows = true;
      }
    }
    return found;
  }
};

std::set<int> MadeBy(const ChunkScan& scan) {
  std::set<int> made(scan.stacks.begin(), scan.stacks.end());
  made.insert(scan.slots.begin(), scan.slots.end());
  return made;
}

// The scans that share segments. Together: all of a time axis, and there is one.
std::vector<SegmentChoice> AllTogether(const Planned& planned) {
  SegmentChoice choice{.phase = std::numeric_limits<int>::max()};
  const ChunkScan* in_order = nullptr;
  for (int i = 0; i < planned.ScanCount(); ++i) {
    const ChunkScan& scan = planned.scans[i];
    if (scan.time.is_constant()) continue;
    if (!choice.time.empty() && choice.time != scan.time.axis) {
      choice.refused = fmt::format("it runs over two time axes, {} and {}", choice.time, scan.time.axis);
      return {choice};
    }
    choice.time = scan.time.axis;
    choice.scans.push_back(i);
    if (scan.is_restored) continue;
    if (in_order != nullptr && in_order->reverse != scan.reverse) {
      choice.refused = "it runs over time in both directions";
      return {choice};
    }
    in_order = &scan;
    choice.reverse = scan.reverse;
  }
  if (in_order == nullptr) choice.refused = "it has no recurrence to differentiate";
  return {choice};
}

// Apart: an adjoint with the restored scans that it is the first to need something of.
std::vector<SegmentChoice> EachApart(const Planned& planned) {
  std::map<int, SegmentChoice> choices;
  for (int i = 0; i < planned.ScanCount(); ++i) {
    if (!planned.scans[i].is_restored) continue;
    const ChunkScan& restored = planned.scans[i];
    auto at_steps = [&](int k) { return WalksSteps(planned.At(k), restored.time.axis, false); };
    std::set<int> made = MadeBy(restored);
    planned.Follow(made, at_steps);
    // An adjoint goes the other way. It reads of the scan step by step, or at least somebody reads both, as sums for
    // gradients of weights do.
    auto reads = [&](const ChunkScan& scan) { return planned.Reads(scan, made); };
    auto meets = [&](const ChunkScan& scan) {
      std::set<int> of_adjoint = MadeBy(scan);
      planned.Follow(of_adjoint, at_steps);
      bool found = false;
      for (int k = 0; k < planned.KernelCount(); ++k) found |= planned.Reads(k, made) && planned.Reads(k, of_adjoint);
      return found;
    };
    auto find = [&](const std::function<bool(const ChunkScan&)>& needs) {
      int first = -1;
      for (int j = 0; j < planned.ScanCount(); ++j) {
        const ChunkScan& scan = planned.scans[j];
        if (scan.is_restored || scan.time != restored.time || scan.reverse == restored.reverse || !needs(scan))
          continue;
        if (first < 0 || scan.phase < planned.scans[first].phase) first = j;
      }
      return first;
    };
    int first = find(reads);
    if (first < 0) first = find(meets);
    if (first < 0) return {{.refused = "a recurrence is needed again, but not for its adjoint"}};
    const ChunkScan& adjoint = planned.scans[first];
    const auto [found, is_new] = choices.try_emplace(first);
    if (is_new) found->second = {.time = adjoint.time.axis, .reverse = adjoint.reverse, .phase = adjoint.phase};
    if (is_new) found->second.scans.push_back(first);
    found->second.scans.push_back(i);
  }
  std::vector<SegmentChoice> all;
  for (auto& [adjoint, choice] : choices) all.push_back(std::move(choice));
  return all;
}

// What earlier choices have settled: kernels that run in their segments, and others that wait until after a phase.
struct Settled {
  std::set<int> members;
  std::map<int, int> delayed;
};

// What can run with such scans, by elimination.
class Chooser : Planned {
 public:
  Chooser(const Planned& planned, bool apart, SegmentChoice& choice, Settled& settled)
      : Planned(planned), choice_(choice), apart_(apart), time_(choice.time), settled_(settled) {
    for (int i = 0; i < ScanCount(); ++i) {
      std::set<int>& in_chunks = Has(choice.scans, i) ? in_chunks_ : in_other_chunks_;
      for (const std::vector<int>* chosen : {&chunks[i].before, &chunks[i].after})
        in_chunks.insert(chosen->begin(), chosen->end());
      rings_of_chunks_.insert(chunks[i].rings.begin(), chunks[i].rings.end());
      if (IsMember(i)) made_.merge(MadeBy(scans[i]));
    }
  }

  void Run() {
    auto may_join = [&](int k) {
      return !in_chunks_.contains(k) && !IsElsewhere(k) && At(k).kind != KernelKind::kScatter &&
             WalksSteps(At(k), time_, false);
    };
    if (apart_) {
      std::set<int> made = made_;
      for (int k : in_chunks_) AddWrites(k, made);
      members_ = Follow(made, may_join);
    } else {
      for (int k = 0; k < KernelCount(); ++k) {
        if (may_join(k)) members_.insert(k);
      }
    }
    members_.insert(in_chunks_.begin(), in_chunks_.end());
    while (std::erase_if(members_, [&](int k) { return !in_chunks_.contains(k) && !Fits(k); }) != 0) {
    }
    for (int k : members_) AddWrites(k, made_);
    // Whoever writes the initial value of a carry comes before its scan.
    std::set<int> made = made_;
    later_ = Follow(made, [&](int k) { return !members_.contains(k) && ReadsOfOthers(k, made); });
    choice_.refused = Conflict();
    if (!choice_.refused.empty()) return;
    const std::set<int> again = Again();
    for (int k : members_) {
      if (in_chunks_.contains(k)) continue;
      choice_.kernels.push_back(k);
      if (again.contains(k)) choice_.again.push_back(k);
    }
    for (int k : later_) {
      if (kernels[k].phase > choice_.phase) continue;
      choice_.later.push_back(k);
      settled_.delayed[k] = choice_.phase;
    }
    settled_.members.merge(std::set(members_));
    for (int b = 0; b < static_cast<int>(buffers.size()); ++b) {
      if (HoldsOneSegment(b)) choice_.rings.push_back(b);
    }
  }

 private:
  bool IsMember(int scan) const { return Has(choice_.scans, scan); }
  void AddWrites(int k, std::set<int>& made) const {
    for (const Access& write : WritesOf(At(k))) made.insert(write.view->buffer);
  }
  bool ReadsOfOthers(int k, const std::set<int>& made) const {
    return std::ranges::any_of(ReadsOf(At(k)), [&](const Access& read) {
      return made.contains(read.view->buffer) && !Writes(k, read.view->buffer);
    });
  }

  // Whether what a member reads is there in its segment: step by step from members, all of it from others.
  bool CanRead(int buffer, bool at_step) const {
    for (int w = 0; w < KernelCount(); ++w) {
      if (!Writes(w, buffer)) continue;
      if (members_.contains(w) ? !at_step || At(w).sums_steps : !IsBefore(w)) return false;
    }
    for (int i = 0; i < ScanCount(); ++i) {
      if (!Writes(scans[i], buffer)) continue;
      if (IsMember(i) ? !at_step || !Has(scans[i].stacks, buffer) : apart_ && scans[i].phase >= choice_.phase)
        return false;
    }
    return true;
  }
  bool IsBefore(int k) const {
    return !later_.contains(k) && kernels[k].phase < choice_.phase &&
           (!settled_.delayed.contains(k) || settled_.delayed.at(k) < choice_.phase);
  }
  bool IsElsewhere(int k) const { return in_other_chunks_.contains(k) || settled_.members.contains(k); }

  bool Fits(int k) const {
    return std::ranges::all_of(ReadsOf(At(k)),
                               [&](const Access& read) {
                                 return CanRead(read.view->buffer, IsAtStep(At(k), read)) ||
                                        Writes(k, read.view->buffer);
                               }) &&
           std::ranges::all_of(WritesOf(At(k)), [&](const Access& write) { return IsAtStep(At(k), write); });
  }

  // A member that needs what is made later, or all at once what is made step by step; or somebody else who needs too
  // soon what they make. Nothing if there is none.
  std::string Conflict() const {
    auto needs_all = [&](int buffer) { return fmt::format("a step needs `{}` of other steps", buffers[buffer].name); };
    for (int k : members_) {
      for (const Access& read : ReadsOf(At(k))) {
        const int buffer = read.view->buffer;
        if (!CanRead(buffer, IsAtStep(At(k), read)) && !Writes(k, buffer)) return needs_all(buffer);
      }
    }
    for (int i : choice_.scans) {
      for (const View& element : scans[i].elements) {
        if (!CanRead(element.buffer, IsAtStep(element, 0))) return needs_all(element.buffer);
      }
      for (int buffer : scans[i].whole) {
        if (!CanRead(buffer, false)) return needs_all(buffer);
      }
      for (int buffer : scans[i].slots) {
        auto writes = [&](int k) { return Writes(k, buffer); };
        if (std::ranges::any_of(later_, writes)) return needs_all(buffer);
      }
    }
    if (!apart_) return "";
    constexpr const char* kTooSoon = "`{}` is needed before its recurrence has been computed again";
    for (int k : later_) {
      if (kernels[k].phase <= choice_.phase && IsElsewhere(k)) return fmt::format(kTooSoon, At(k).label);
    }
    for (int i = 0; i < ScanCount(); ++i) {
      if (!IsMember(i) && scans[i].phase <= choice_.phase && Reads(scans[i], made_))
        return fmt::format(kTooSoon, "a state");
    }
    return "";
  }

  // The members that the restored scans cannot do without.
  std::set<int> Again() const {
    std::set<int> wanted, again;
    auto want = [&](int k) {
      for (const Access& read : ReadsOf(At(k))) wanted.insert(read.view->buffer);
    };
    for (int i : choice_.scans) {
      if (!scans[i].is_restored) continue;
      for (const View& element : scans[i].elements) wanted.insert(element.buffer);
      wanted.insert(scans[i].whole.begin(), scans[i].whole.end());
      for (const std::vector<int>* chosen : {&chunks[i].before, &chunks[i].after}) {
        for (int k : *chosen) want(k);
      }
    }
    for (bool grows = true; grows;) {
      grows = false;
      for (int k : members_) {
        auto is_wanted = [&](const Access& write) { return wanted.contains(write.view->buffer); };
        if (again.contains(k) || !std::ranges::any_of(WritesOf(At(k)), is_wanted)) continue;
        again.insert(k);
        want(k);
        grows = true;
      }
    }
    return again;
  }

  // Whether only members use the buffer, step by step.
  bool HoldsOneSegment(int b) const {
    const Buffer& buffer = buffers[b];
    if (buffer.place != Place::kWorkspace || buffer.is_index || rings_of_chunks_.contains(b) ||
        std::ranges::find(buffer.size.axes, time_) == buffer.size.axes.end()) {
      return false;
    }
    for (int i = 0; i < ScanCount(); ++i) {
      const ChunkScan& scan = scans[i];
      const bool shifted =
          std::ranges::any_of(scan.elements, [&](const View& view) { return view.buffer == b && !IsAtStep(view, 0); });
      const bool as_slots = Has(scan.slots, b) && !scan.is_restored;
      if (shifted || as_slots || Has(scan.whole, b)) return false;
      if (!IsMember(i) && (Writes(scan, b) || Reads(scan, {b}))) return false;
    }
    for (int k = 0; k < KernelCount(); ++k) {
      std::vector<Access> accesses = ReadsOf(At(k));
      std::ranges::copy(WritesOf(At(k)), std::back_inserter(accesses));
      for (const Access& access : accesses) {
        if (access.view->buffer == b && (!members_.contains(k) || !IsAtStep(At(k), access))) return false;
      }
    }
    return true;
  }

  SegmentChoice& choice_;
  bool apart_;
  std::string time_;
  Settled& settled_;
  std::set<int> in_chunks_, in_other_chunks_, rings_of_chunks_, members_, later_;
  std::set<int> made_;  // by scans and members
};

}  // namespace

std::vector<SegmentChoice> ChooseSegments(const std::vector<PhasedKernel>& kernels, const std::vector<ChunkScan>& scans,
                                          const std::vector<ChunkChoice>& chunks, const std::vector<Buffer>& buffers,
                                          bool apart) {
  const Planned planned{kernels, scans, chunks, buffers};
  std::vector<SegmentChoice> choices = apart ? EachApart(planned) : AllTogether(planned);
  std::ranges::sort(choices, {}, [](const SegmentChoice& choice) { return std::pair(choice.phase, choice.scans); });
  Settled settled;
  for (SegmentChoice& choice : choices) {
    if (choice.refused.empty()) Chooser(planned, apart, choice, settled).Run();
    if (!choice.refused.empty()) return {choice};
  }
  return choices;
}

Chunks SegmentsOf(const std::string& time, const Plan& plan) {
  Chunks segments{.axis = time + ".segment", .time = time, .step_rows = RowsOfStep(plan), .count = time + ".segments"};
  SetLength(1, /*sums_steps=*/false, plan.choices.chunk_rows, segments);
  segments.multiple = plan.choices.segment;
  return segments;
}

Chunks SubsegmentsOf(const Chunks& segments, int outer, const Plan& plan) {
  Chunks parts = segments;
  parts.axis = segments.time + ".subsegment";
  parts.count = segments.time + ".subsegments";
  parts.multiple = plan.choices.subsegment;
  parts.outer = outer;
  return parts;
}

void SetSegments(int64_t segment, int64_t subsegment, Plan& plan) {
  plan.choices.segment = segment;
  plan.choices.subsegment = subsegment;
  for (Chunks& segments : plan.segments) segments.multiple = segment;
  for (EntryPlan& entry : plan.entries) {
    for (Chunks& chunks : entry.chunks) {
      if (chunks.axis == chunks.time + ".segment") chunks.multiple = segment;
      if (chunks.axis == chunks.time + ".subsegment") chunks.multiple = subsegment;
    }
  }
}

std::vector<int64_t> SegmentLengths(const Plan& plan, const std::map<std::string, double>& sizes) {
  int64_t shortest = 1;
  for (const EntryPlan& entry : plan.entries) {
    for (const Chunks& chunks : entry.chunks) {
      if (chunks.outer >= 0 && chunks.count.empty()) shortest = std::max(shortest, chunks.multiple);
    }
  }
  double steps = 0;
  for (const Chunks& segments : plan.segments) steps = std::max(steps, sizes.at(segments.time));
  std::vector<int64_t> lengths;
  for (int64_t length = shortest; lengths.empty() || static_cast<double>(lengths.back()) < steps; length *= 2)
    lengths.push_back(length);
  return lengths;
}

}  // namespace recurve

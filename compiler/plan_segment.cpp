// compiler/plan_segment.cpp: what can run segment by segment, by elimination, and what then comes before and after.

#include "compiler/plan_segment.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "compiler/plan_access.h"

namespace recurve {
namespace {

bool Has(const std::vector<int>& list, int value) { return std::ranges::find(list, value) != list.end(); }

class Chooser {
 public:
  Chooser(const std::vector<PhasedKernel>& kernels, const std::vector<ChunkScan>& scans,
          const std::vector<ChunkChoice>& chunks, const std::vector<Buffer>& buffers)
      : kernels_(kernels), scans_(scans), buffers_(buffers) {
    for (const ChunkChoice& choice : chunks) {
      for (const std::vector<int>* chosen : {&choice.before, &choice.after})
        in_chunks_.insert(chosen->begin(), chosen->end());
      rings_of_chunks_.insert(choice.rings.begin(), choice.rings.end());
    }
  }

  SegmentChoice Run() {
    SegmentChoice choice;
    choice.refused = FindTime(choice);
    if (!choice.refused.empty()) return choice;
    time_ = choice.time;
    members_ = in_chunks_;
    for (int k = 0; k < Count(); ++k) {
      const Kernel& kernel = *kernels_[k].kernel;
      if (!in_chunks_.contains(k) && kernel.kind != KernelKind::kScatter && WalksSteps(kernel, time_, false))
        members_.insert(k);
    }
    while (std::erase_if(members_, [&](int k) { return !in_chunks_.contains(k) && !Fits(k); }) != 0) {
    }
    FindLater();
    choice.refused = Conflict();
    if (!choice.refused.empty()) return choice;
    for (int k = 0; k < Count(); ++k) {
      if (members_.contains(k) && !in_chunks_.contains(k)) choice.kernels.push_back(k);
      if (later_.contains(k)) choice.later.push_back(k);
    }
    for (int b = 0; b < static_cast<int>(buffers_.size()); ++b) {
      if (HoldsOneSegment(b)) choice.rings.push_back(b);
    }
    return choice;
  }

 private:
  int Count() const { return static_cast<int>(kernels_.size()); }
  const Kernel& At(int k) const { return *kernels_[k].kernel; }
  bool IsMember(const ChunkScan& scan) const { return scan.time.axis == time_; }

  // The axis and the order of the segments. Returns why there is none.
  std::string FindTime(SegmentChoice& choice) const {
    const ChunkScan* in_order = nullptr;
    for (const ChunkScan& scan : scans_) {
      if (scan.time.is_constant()) continue;
      if (!choice.time.empty() && choice.time != scan.time.axis)
        return fmt::format("it runs over two time axes, {} and {}", choice.time, scan.time.axis);
      choice.time = scan.time.axis;
      if (scan.is_restored) continue;
      if (in_order != nullptr && in_order->reverse != scan.reverse) return "it runs over time in both directions";
      in_order = &scan;
      choice.reverse = scan.reverse;
    }
    return in_order == nullptr ? "it has no recurrence to differentiate" : "";
  }

  bool WritesTo(int k, int buffer) const {
    return std::ranges::any_of(WritesOf(At(k)), [&](const Access& a) { return a.view->buffer == buffer; });
  }
  bool Writes(const ChunkScan& scan, int buffer) const { return Has(scan.stacks, buffer) || Has(scan.slots, buffer); }

  // Whether what a member reads is there in its segment: step by step from members, all of it from others.
  bool CanRead(int buffer, bool at_step) const {
    for (int w : members_) {
      if (WritesTo(w, buffer) && (!at_step || At(w).sums_steps)) return false;
    }
    return std::ranges::none_of(scans_, [&](const ChunkScan& scan) {
      return IsMember(scan) && Writes(scan, buffer) && (!at_step || !Has(scan.stacks, buffer));
    });
  }

  bool Fits(int k) const {
    return std::ranges::all_of(ReadsOf(At(k)),
                               [&](const Access& read) {
                                 return CanRead(read.view->buffer, IsAtStep(At(k), read)) ||
                                        WritesTo(k, read.view->buffer);
                               }) &&
           std::ranges::all_of(WritesOf(At(k)), [&](const Access& write) { return IsAtStep(At(k), write); });
  }

  // Kernels outside of the segments that need something of what is made in them.
  void FindLater() {
    std::set<int> made;
    for (const ChunkScan& scan : scans_) {
      if (!IsMember(scan)) continue;
      made.insert(scan.stacks.begin(), scan.stacks.end());
      made.insert(scan.slots.begin(), scan.slots.end());
    }
    auto add = [&](int k) {
      for (const Access& write : WritesOf(At(k))) made.insert(write.view->buffer);
    };
    for (int k : members_) add(k);
    for (bool grows = true; grows;) {
      grows = false;
      for (int k = 0; k < Count(); ++k) {
        if (members_.contains(k) || later_.contains(k)) continue;
        // Whoever writes the initial value of a carry comes before its scan.
        const bool needs = std::ranges::any_of(ReadsOf(At(k)), [&](const Access& read) {
          return made.contains(read.view->buffer) && !WritesTo(k, read.view->buffer);
        });
        if (!needs) continue;
        later_.insert(k);
        add(k);
        grows = true;
      }
    }
  }

  // A member that needs what is made later, or all at once what is made step by step; nothing if there is none.
  std::string Conflict() const {
    auto later = [&](int buffer) { return std::ranges::any_of(later_, [&](int k) { return WritesTo(k, buffer); }); };
    auto needs_all = [&](int buffer) { return fmt::format("a step needs `{}` of other steps", buffers_[buffer].name); };
    for (int k : members_) {
      for (const Access& read : ReadsOf(At(k))) {
        const int buffer = read.view->buffer;
        if (later(buffer) || !(CanRead(buffer, IsAtStep(At(k), read)) || WritesTo(k, buffer))) return needs_all(buffer);
      }
    }
    for (const ChunkScan& scan : scans_) {
      if (!IsMember(scan)) continue;
      for (const View& element : scan.elements) {
        if (later(element.buffer) || !CanRead(element.buffer, IsAtStep(element, 0))) return needs_all(element.buffer);
      }
      for (int buffer : scan.whole) {
        if (later(buffer) || !CanRead(buffer, false)) return needs_all(buffer);
      }
      for (int buffer : scan.slots) {
        if (later(buffer)) return needs_all(buffer);
      }
    }
    return "";
  }

  // Whether only members use the buffer, step by step.
  bool HoldsOneSegment(int b) const {
    const Buffer& buffer = buffers_[b];
    if (buffer.place != Place::kWorkspace || buffer.is_index || rings_of_chunks_.contains(b) ||
        std::ranges::find(buffer.size.axes, time_) == buffer.size.axes.end()) {
      return false;
    }
    for (const ChunkScan& scan : scans_) {
      const bool shifted =
          std::ranges::any_of(scan.elements, [&](const View& view) { return view.buffer == b && !IsAtStep(view, 0); });
      const bool as_slots = Has(scan.slots, b) && !scan.is_restored;
      if (shifted || as_slots || Has(scan.whole, b)) return false;
    }
    for (int k = 0; k < Count(); ++k) {
      std::vector<Access> accesses = ReadsOf(At(k));
      std::ranges::copy(WritesOf(At(k)), std::back_inserter(accesses));
      for (const Access& access : accesses) {
        if (access.view->buffer == b && (!members_.contains(k) || !IsAtStep(At(k), access))) return false;
      }
    }
    return true;
  }

  const std::vector<PhasedKernel>& kernels_;
  const std::vector<ChunkScan>& scans_;
  const std::vector<Buffer>& buffers_;
  std::string time_;
  std::set<int> in_chunks_, rings_of_chunks_, members_, later_;
};

}  // namespace

SegmentChoice ChooseSegment(const std::vector<PhasedKernel>& kernels, const std::vector<ChunkScan>& scans,
                            const std::vector<ChunkChoice>& chunks, const std::vector<Buffer>& buffers) {
  return Chooser(kernels, scans, chunks, buffers).Run();
}

Chunks SegmentsOf(const std::string& time, const Plan& plan) {
  Chunks segments{.axis = "segment", .time = time, .step_rows = RowsOfStep(plan), .count = "segments"};
  SetLength(1, /*sums_steps=*/false, plan.choices.chunk_rows, segments);
  segments.multiple = plan.choices.segment;
  return segments;
}

void SetSegment(int64_t segment, Plan& plan) {
  plan.choices.segment = plan.segments->multiple = segment;
  for (EntryPlan& entry : plan.entries) {
    for (Chunks& chunks : entry.chunks) {
      if (chunks.axis == plan.segments->axis) chunks.multiple = segment;
    }
  }
}

std::vector<int64_t> SegmentLengths(const Plan& plan, const std::map<std::string, double>& sizes) {
  int64_t shortest = 1;
  for (const EntryPlan& entry : plan.entries) {
    for (const Chunks& chunks : entry.chunks) {
      if (chunks.outer >= 0) shortest = std::max(shortest, chunks.multiple);
    }
  }
  std::vector<int64_t> lengths;
  const double steps = sizes.at(plan.segments->time);
  for (int64_t length = shortest; lengths.empty() || static_cast<double>(lengths.back()) < steps; length *= 2)
    lengths.push_back(length);
  return lengths;
}

}  // namespace recurve

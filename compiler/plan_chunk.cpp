// compiler/plan_chunk.cpp: the largest set of kernels that can share the chunks of a scan.
//
// Starts from all kernels that walk its steps and takes away those that do not fit, until the rest fits together.

#include "compiler/plan_chunk.h"

#include <algorithm>
#include <bit>
#include <set>

namespace recurve {
namespace {

bool Mentions(const Size& size, const std::string& axis) {
  return std::ranges::find(size.axes, axis) != size.axes.end();
}

bool Has(const std::vector<int>& list, int value) { return std::ranges::find(list, value) != list.end(); }

class Chooser {
 public:
  Chooser(const std::vector<PhasedKernel>& kernels, const std::vector<ChunkScan>& scans,
          const std::vector<Buffer>& buffers)
      : kernels_(kernels), scans_(scans), buffers_(buffers) {}

  std::vector<ChunkChoice> Run() {
    std::vector<ChunkChoice> choices(scans_.size());
    std::vector<size_t> order(scans_.size());
    for (size_t i = 0; i < order.size(); ++i) order[i] = i;
    std::ranges::sort(order, [&](size_t a, size_t b) { return scans_[a].phase > scans_[b].phase; });
    for (size_t i : order) {
      if (!scans_[i].time.is_constant()) choices[i] = Choose(scans_[i]);
    }
    return choices;
  }

 private:
  ChunkChoice Choose(const ChunkScan& scan) {
    scan_ = &scan;
    chosen_.clear();
    for (int k = 0; k < Count(); ++k) {
      Kernel& kernel = *kernels_[k].kernel;
      if (taken_.contains(k) || kernel.kind == KernelKind::kScatter) continue;
      kernel.sums_steps = MaySum(k);
      if (kernels_[k].phase == scan.phase && !kernel.sums_steps) continue;
      if (WalksSteps(kernel, scan.time.axis, kernel.sums_steps)) chosen_.insert(k);
    }
    while (std::erase_if(chosen_, [&](int k) { return !Fits(k); }) != 0) {
    }
    ChunkChoice choice;
    for (int k = 0; k < Count(); ++k) {
      if (!chosen_.contains(k)) {
        if (!taken_.contains(k)) kernels_[k].kernel->sums_steps = false;
        continue;
      }
      taken_.insert(k);
      (IsBefore(k) ? choice.before : choice.after).push_back(k);
    }
    auto phase_then_number = [&](int k) { return std::pair(kernels_[k].phase, k); };
    std::ranges::sort(choice.before, {}, phase_then_number);
    std::ranges::sort(choice.after, {}, phase_then_number);
    for (int b = 0; b < static_cast<int>(buffers_.size()) && !choice.empty(); ++b) {
      if (HoldsOneChunk(b)) choice.rings.push_back(b);
    }
    return choice;
  }

  int Count() const { return static_cast<int>(kernels_.size()); }
  bool IsBefore(int k) const { return kernels_[k].phase < scan_->phase && !kernels_[k].kernel->sums_steps; }

  // A sum over steps is complete after the last chunk, whenever its terms are there. A scan that starts anew in every
  // segment is in another order than the segments.
  bool MaySum(int k) const {
    if (scan_->is_restored || !WalksSteps(*kernels_[k].kernel, scan_->time.axis, true)) return false;
    if (ScanOfSum(*kernels_[k].kernel, scans_)->reverse != scan_->reverse) return false;
    for (const Access& write : WritesOf(*kernels_[k].kernel)) {
      for (int r = 0; r < Count(); ++r) {
        if (r != k && kernels_[r].phase <= scan_->phase && ReadsFrom(r, write.view->buffer)) return false;
      }
    }
    return true;
  }

  bool Fits(int k) const {
    bool connected = false;
    for (const Access& read : ReadsOf(*kernels_[k].kernel)) {
      if (!CanRead(k, read, connected)) return false;
    }
    for (const Access& write : WritesOf(*kernels_[k].kernel)) {
      if (!CanWrite(k, write.view->buffer, connected)) return false;
    }
    return connected;
  }

  // What kernel k reads is there when its chunk comes.
  bool CanRead(int k, const Access& read, bool& connected) const {
    const int buffer = read.view->buffer;
    const bool at_step = IsAtStep(*kernels_[k].kernel, read);
    for (int w = 0; w < Count(); ++w) {
      if (!WritesTo(w, buffer)) continue;
      bool shared =
          chosen_.contains(w) && !kernels_[w].kernel->sums_steps && kernels_[w].phase < kernels_[k].phase && at_step;
      bool finished = !chosen_.contains(w) && kernels_[w].phase < scan_->phase;
      if (!shared && !finished) return false;
      connected |= shared;
    }
    for (const ChunkScan& scan : scans_) {
      if (!Has(scan.stacks, buffer) && !Has(scan.slots, buffer)) continue;
      if (&scan == scan_ ? IsBefore(k) || !Has(scan.stacks, buffer) || !at_step : scan.phase >= scan_->phase)
        return false;
      connected |= &scan == scan_;
    }
    return true;
  }

  // Nobody needs the buffer that kernel k writes sooner than its last chunk ends, except at the same step.
  bool CanWrite(int k, int buffer, bool& connected) const {
    for (int r = 0; r < Count(); ++r) {
      if (r == k || !ReadsFrom(r, buffer)) continue;
      if (!chosen_.contains(r) && (scan_->is_apart || kernels_[r].phase <= scan_->phase)) return false;
      connected |= chosen_.contains(r);
    }
    for (const ChunkScan& scan : scans_) {
      bool as_element = std::ranges::any_of(scan.elements, [&](const View& view) { return view.buffer == buffer; });
      if (!as_element && !Has(scan.whole, buffer) && !Has(scan.slots, buffer)) continue;
      if (&scan != scan_) {
        if (scan_->is_apart || scan.phase <= scan_->phase) return false;
        continue;
      }
      bool at_step = std::ranges::all_of(scan.elements,
                                         [&](const View& view) { return view.buffer != buffer || IsAtStep(view, 0); });
      if (Has(scan.whole, buffer) || Has(scan.slots, buffer) || !at_step) return false;
      connected |= IsBefore(k);
    }
    return true;
  }

  bool ReadsFrom(int k, int buffer) const {
    return std::ranges::any_of(ReadsOf(*kernels_[k].kernel), [&](const Access& a) { return a.view->buffer == buffer; });
  }
  bool WritesTo(int k, int buffer) const {
    return std::ranges::any_of(WritesOf(*kernels_[k].kernel),
                               [&](const Access& a) { return a.view->buffer == buffer; });
  }

  // Whether only chosen kernels and the scan use the buffer, step by step.
  bool HoldsOneChunk(int buffer) const {
    if (buffers_[buffer].place != Place::kWorkspace || !Mentions(buffers_[buffer].size, scan_->time.axis)) return false;
    bool written = Has(scan_->stacks, buffer);
    for (const ChunkScan& scan : scans_) {
      bool as_element = std::ranges::any_of(scan.elements, [&](const View& view) { return view.buffer == buffer; });
      if (Has(scan.whole, buffer) || Has(scan.slots, buffer)) return false;
      if (&scan != scan_ && (as_element || Has(scan.stacks, buffer))) return false;
    }
    for (int k = 0; k < Count(); ++k) {
      std::vector<Access> accesses = ReadsOf(*kernels_[k].kernel);
      std::ranges::copy(WritesOf(*kernels_[k].kernel), std::back_inserter(accesses));
      for (const Access& access : accesses) {
        if (access.view->buffer != buffer) continue;
        if (!chosen_.contains(k) || !IsAtStep(*kernels_[k].kernel, access)) return false;
      }
      written |= WritesTo(k, buffer);
    }
    return written;
  }

  const std::vector<PhasedKernel>& kernels_;
  const std::vector<ChunkScan>& scans_;
  const std::vector<Buffer>& buffers_;
  const ChunkScan* scan_ = nullptr;  // the one that chooses
  std::set<int> chosen_, taken_;
};

}  // namespace

bool WalksSteps(const Kernel& kernel, const std::string& time, bool sums_steps) {
  const std::vector<Size>& axes = sums_steps ? kernel.reduced : kernel.rows;
  if (axes.empty() || axes.front() != Size{1, {time}}) return false;
  auto mentions = [&](const Size& size) { return Mentions(size, time); };
  return std::ranges::count_if(kernel.rows, mentions) + std::ranges::count_if(kernel.reduced, mentions) == 1 &&
         (kernel.units.is_constant() || kernel.units.axis != time);
}

const ChunkScan* ScanOfSum(const Kernel& kernel, const std::vector<ChunkScan>& scans) {
  if (kernel.kind == KernelKind::kScatter) return nullptr;
  const ChunkScan *first = nullptr, *first_read = nullptr;
  bool is_mixed = false;
  const std::vector<Access> reads = ReadsOf(kernel);
  for (const ChunkScan& scan : scans) {
    if (scan.time.is_constant() || scan.is_restored || !WalksSteps(kernel, scan.time.axis, true)) continue;
    if (first == nullptr) first = &scan;
    if (std::ranges::none_of(reads, [&](const Access& read) { return Has(scan.stacks, read.view->buffer); })) continue;
    if (first_read == nullptr) first_read = &scan;
    is_mixed |= first_read->reverse != scan.reverse;
  }
  return first_read == nullptr || is_mixed ? first : first_read;
}

bool IsAtStep(const View& view, int axis) {
  if (axis < 0) return false;
  const Size& stride = view.axes[axis].stride;
  bool shifted = std::ranges::any_of(view.offset, [&](const OffsetTerm& term) {
    return term.stride == stride || term.loop >= 0 || !term.shift_axis.empty();
  });
  return stride.factor != 0 && !shifted;
}

bool IsAtStep(const Kernel& kernel, const Access& access) {
  return IsAtStep(*access.view, kernel.sums_steps ? access.reduced : access.rows);
}

std::vector<ChunkChoice> ChooseChunks(const std::vector<PhasedKernel>& kernels, const std::vector<ChunkScan>& scans,
                                      const std::vector<Buffer>& buffers) {
  return Chooser(kernels, scans, buffers).Run();
}

Size RowsOfStep(const Plan& plan) {
  const bool has_batch = std::ranges::find(plan.axes, "B") != plan.axes.end();
  return has_batch ? Size{1, {"B"}} : Size{};
}

void SetLength(int64_t row_bytes, bool sums_steps, int64_t most_rows, Chunks& chunks) {
  constexpr int64_t kBytes = 262144, kRows = 128, kMultipleOfSums = 4;
  chunks.rows = std::min(kRows, most_rows);
  const int64_t fitting = std::min(kBytes / std::max<int64_t>(row_bytes, 1), most_rows) / chunks.rows;
  const int64_t wanted = sums_steps ? std::min(kMultipleOfSums, most_rows / chunks.rows) : fitting;
  chunks.multiple = static_cast<int64_t>(std::bit_floor(static_cast<uint64_t>(std::max<int64_t>(wanted, 1))));
}

}  // namespace recurve

// runtime/aligned_memory.h: memory aligned for vector code, zeroed, reused: it only ever grows.

#ifndef RECURVE_RUNTIME_ALIGNED_MEMORY_H_
#define RECURVE_RUNTIME_ALIGNED_MEMORY_H_

#ifdef __linux__
#include <sys/mman.h>
#endif

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "runtime/abi.h"

namespace recurve {

class AlignedMemory {
 public:
  // Makes room for `bytes`, and always for one element, so that data() is never null afterwards. Old contents are lost
  // when it grows; fresh memory is zero. Returns false if there is no memory, or more than half a terabyte is asked
  // for.
  bool Reserve(size_t bytes) {
    if (memory_ != nullptr && bytes <= bytes_) return true;
    if (bytes > kLargest) return false;
    const size_t alignment = bytes < kHugePage ? RECURVE_ALIGNMENT : kHugePage;
    const size_t rounded = (std::max<size_t>(bytes, 1) + alignment - 1) & ~(alignment - 1);
    memory_.reset(static_cast<std::byte*>(std::aligned_alloc(alignment, rounded)));
    bytes_ = memory_ == nullptr ? 0 : rounded;
    if (memory_ == nullptr) return false;
    if (alignment == kHugePage) AskForHugePages(memory_.get(), rounded);
    std::memset(memory_.get(), 0, rounded);
    return true;
  }

  std::byte* data() const { return memory_.get(); }
  // What it has room for.
  size_t bytes() const { return bytes_; }

 private:
  static constexpr size_t kLargest = size_t{1} << (sizeof(size_t) > 4 ? 39 : 31);
  static constexpr size_t kHugePage = size_t{2} << 20;

  // A kernel reads weights and tape from end to end, which with small pages is a look-up of an address every 4 KB, and
  // a prefetcher that stops as often. Where the system has no such pages, or does not want to, nothing is lost.
  static void AskForHugePages([[maybe_unused]] void* memory, [[maybe_unused]] size_t bytes) {
#ifdef MADV_HUGEPAGE
    madvise(memory, bytes, MADV_HUGEPAGE);
#endif
  }

  struct Release {
    void operator()(std::byte* memory) const { std::free(memory); }
  };
  std::unique_ptr<std::byte, Release> memory_;
  size_t bytes_ = 0;
};

}  // namespace recurve

#endif  // RECURVE_RUNTIME_ALIGNED_MEMORY_H_

// runtime/aligned_memory.h: memory aligned for vector code, zeroed, reused: it only ever grows.

#ifndef RECURVE_RUNTIME_ALIGNED_MEMORY_H_
#define RECURVE_RUNTIME_ALIGNED_MEMORY_H_

#include <cstddef>
#include <cstring>
#include <memory>
#include <new>

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
    const size_t rounded = bytes == 0 ? RECURVE_ALIGNMENT : (bytes + RECURVE_ALIGNMENT - 1) & ~kMask;
    memory_.reset(static_cast<std::byte*>(::operator new(rounded, kAlignment, std::nothrow)));
    bytes_ = memory_ == nullptr ? 0 : rounded;
    if (memory_ == nullptr) return false;
    std::memset(memory_.get(), 0, rounded);
    return true;
  }

  std::byte* data() const { return memory_.get(); }
  // What it has room for.
  size_t bytes() const { return bytes_; }

 private:
  static constexpr std::align_val_t kAlignment{RECURVE_ALIGNMENT};
  static constexpr size_t kLargest = size_t{1} << (sizeof(size_t) > 4 ? 39 : 31);
  static constexpr size_t kMask = RECURVE_ALIGNMENT - 1;
  struct Release {
    void operator()(std::byte* memory) const { ::operator delete(memory, kAlignment); }
  };
  std::unique_ptr<std::byte, Release> memory_;
  size_t bytes_ = 0;
};

}  // namespace recurve

#endif  // RECURVE_RUNTIME_ALIGNED_MEMORY_H_

// compiler/limits.h: what one core of this machine can do at most, measured in this process.
//
// A percentage is only worth something beside a peak of the same minute. The loops are generic IR that our own back end
// compiles for the target, so that they use the same vectors as the kernels that are compared with them.

#ifndef RECURVE_COMPILER_LIMITS_H_
#define RECURVE_COMPILER_LIMITS_H_

#include <cstddef>
#include <expected>

#include "compiler/interface.h"
#include "compiler/jit.h"
#include "compiler/target.h"
#include "runtime/error.h"

namespace recurve {

class MachineLimits {
 public:
  // Compiles the loops. Fails if the target is not this machine.
  static std::expected<MachineLimits, Error> Prepare(const Target& target, Precision precision);

  // Floating-point operations a nanosecond (GFLOP/s) of independent multiply-adds in registers; the best of some runs
  // of about a millisecond.
  double PeakFlops() const;
  // Bytes a nanosecond (GB/s) of reading `bytes` of memory again and again.
  double ReadBandwidth(size_t bytes) const;

 private:
  LoadedCode code_;
  double flops_a_round_ = 0;
  size_t bytes_a_round_ = 0;
};

}  // namespace recurve

#endif  // RECURVE_COMPILER_LIMITS_H_

// tests/lanes/lane_kernel.h: a formula over lanes as a function over arrays, compiled in this process.
//
//   LaneKernel<float> kernel({.width = 8}, [](LaneBuilder&, Lane a, Lane, Lane) { return lane_math::exp(a); });
//   std::vector<float> y = kernel(a);
//
// The kernel is `void f(const T* a, const T* b, const T* c, T* y, int64_t n)`, a loop over whole vectors.

#ifndef RECURVE_TESTS_LANES_LANE_KERNEL_H_
#define RECURVE_TESTS_LANES_LANE_KERNEL_H_

#include <llvm/ExecutionEngine/Orc/LLJIT.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "compiler/lane_math.h"

namespace recurve {

using LaneFormula = std::function<Lane(LaneBuilder& lanes, Lane a, Lane b, Lane c)>;

inline constexpr ir::Op kElementwiseOps[] = {
#define UNARY(Kind, ...) ir::Op::k##Kind,
#define BINARY(Kind, ...) ir::Op::k##Kind,
#define TERNARY(Kind, ...) ir::Op::k##Kind,
#include "ir/ops.def"
};

// A row of ir/ops.def; operands beyond its arity are ignored.
LaneFormula RowFormula(ir::Op op);

// The function that applies the formula, in a module of that name.
llvm::Function* EmitLaneKernel(llvm::Module& module, const std::string& name, LaneShape shape,
                               const LaneFormula& formula);

// An untyped kernel and the code that it lives in.
class CompiledLaneKernel {
 public:
  // `shape.fused_multiply_add` false: the host's fused instruction is switched off too.
  CompiledLaneKernel(LaneShape shape, const LaneFormula& formula);
  void* address() const { return address_; }

 private:
  std::unique_ptr<llvm::orc::LLJIT> jit_;
  void* address_ = nullptr;
};

template <typename T>
class LaneKernel {
 public:
  LaneKernel(LaneShape shape, const LaneFormula& formula) : width_(shape.width), code_(Typed(shape), formula) {}

  // One result per element of `a`; a shorter b or c is filled up with ones.
  std::vector<T> operator()(std::vector<T> a, std::vector<T> b = {}, std::vector<T> c = {}) const {
    size_t count = a.size();
    size_t padded = (count + width_ - 1) / width_ * width_;
    for (std::vector<T>* operand : {&a, &b, &c}) operand->resize(padded, T(1));
    std::vector<T> y(padded);
    auto* run = reinterpret_cast<void (*)(const T*, const T*, const T*, T*, int64_t)>(code_.address());
    run(a.data(), b.data(), c.data(), y.data(), static_cast<int64_t>(padded));
    y.resize(count);
    return y;
  }

 private:
  static LaneShape Typed(LaneShape shape) {
    shape.element_bytes = sizeof(T);
    return shape;
  }

  size_t width_;
  CompiledLaneKernel code_;
};

}  // namespace recurve

#endif  // RECURVE_TESTS_LANES_LANE_KERNEL_H_

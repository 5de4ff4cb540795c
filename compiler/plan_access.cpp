// compiler/plan_access.cpp: the views of each kind of kernel.

#include "compiler/plan_access.h"

namespace recurve {

std::vector<Access> ReadsOf(const Kernel& kernel) {
  std::vector<Access> reads;
  const int rows = static_cast<int>(kernel.rows.size());
  for (const MapProduct& product : kernel.products) reads.push_back({&product.left, 0, -1});
  for (const LaneInstruction& instruction : kernel.program) {
    for (const View* view : {&instruction.view, &instruction.index}) {
      if (view->buffer >= 0) reads.push_back({view, 0, rows});
    }
  }
  switch (kernel.kind) {
    case KernelKind::kMap:
    case KernelKind::kReduce:
    case KernelKind::kRecurrence: break;
    case KernelKind::kProduct:
      reads.push_back({&kernel.left, 0, rows});
      reads.push_back({&kernel.right, -1, 0});
      break;
    case KernelKind::kScatter:
      reads.push_back({&kernel.left, 0, -1});
      reads.push_back({&kernel.right, 0, -1});
      break;
  }
  return reads;
}

std::vector<Access> WritesOf(const Kernel& kernel) {
  std::vector<Access> writes;
  for (const LaneStore& store : kernel.stores) writes.push_back({&store.view, 0, -1});
  if (kernel.out.buffer >= 0) writes.push_back({&kernel.out, 0, -1});
  return writes;
}

}  // namespace recurve

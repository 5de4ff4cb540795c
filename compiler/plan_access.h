// compiler/plan_access.h: what a kernel reads and writes.

#ifndef RECURVE_COMPILER_PLAN_ACCESS_H_
#define RECURVE_COMPILER_PLAN_ACCESS_H_

#include <vector>

#include "compiler/plan.h"

namespace recurve {

// A view of a kernel, with the position of its first row axis and of its first reduced axis; -1 without any.
struct Access {
  const View* view;
  int rows;
  int reduced;
};

std::vector<Access> ReadsOf(const Kernel& kernel);
std::vector<Access> WritesOf(const Kernel& kernel);

}  // namespace recurve

#endif  // RECURVE_COMPILER_PLAN_ACCESS_H_

// compiler/plan_chunk.h: a scan and what is parallel in time beside it, a few steps at a time.
//
// Input projections before a scan, readouts and weight gradients after it are products over all steps at once. Run to
// their end one after the other they would send everything through memory that one of them leaves for the next. So time
// is cut into chunks: the projections of a chunk, its steps, its readouts and what it adds to the gradients, then the
// next chunk. A buffer between them holds one chunk, which stays in the caches. The products still have enough rows to
// fill their tiles.
//
// A kernel takes part when it walks the steps on its outermost axis and reads and writes at step t only what belongs to
// step t. One that sums over steps adds to its result in each chunk, if nobody needs that before the scan has ended.

#ifndef RECURVE_COMPILER_PLAN_CHUNK_H_
#define RECURVE_COMPILER_PLAN_CHUNK_H_

#include <cstdint>
#include <string>
#include <vector>

#include "compiler/plan.h"
#include "compiler/plan_access.h"

namespace recurve {

// A kernel before its axes are collapsed, and when it may run.
struct PhasedKernel {
  Kernel* kernel = nullptr;
  int phase = 0;
};

// What a scan reads and writes. Views have the time axis first; the others are of buffers that it uses as a whole.
struct ChunkScan {
  int phase = 0;
  ir::Dim time;
  bool reverse = false;
  bool is_restored = false;  // begins every segment with carries from the tape
  bool is_apart = false;     // and has segments of its own, so that what its chunks make is there for it alone
  std::vector<View> elements;
  std::vector<int> whole;   // buffers of invariants
  std::vector<int> stacks;  // buffers written at step t
  std::vector<int> slots;   // buffers of carries, some of which are stacks
};

// Whether the outermost axis of rows (or, where `sums_steps`, of what is summed) is time, and no other axis is.
bool WalksSteps(const Kernel& kernel, const std::string& time, bool sums_steps);
// The scan in whose order a sum over the steps of its time axis is made, of those in `scans` that do not start anew in
// segments: the same whatever chunks it runs in, so that the result is. It is one that the kernel reads of, if these
// all go the same way; else the first of all. Null if the kernel sums steps of none.
const ChunkScan* ScanOfSum(const Kernel& kernel, const std::vector<ChunkScan>& scans);
// Whether what stands in the view for a step belongs to that step, when `axis` walks the steps (-1: none does).
bool IsAtStep(const View& view, int axis);
bool IsAtStep(const Kernel& kernel, const Access& access);

struct ChunkChoice {
  std::vector<int> before, after;  // kernels by number, in the order of their phases
  std::vector<int> rings;          // buffers that nothing else uses: one chunk is enough

  bool empty() const { return before.empty() && after.empty(); }
};

// A choice for each scan, later ones first to choose; a kernel belongs to one scan at most. Marks the chosen kernels
// with `sums_steps`.
std::vector<ChunkChoice> ChooseChunks(const std::vector<PhasedKernel>& kernels, const std::vector<ChunkScan>& scans,
                                      const std::vector<Buffer>& buffers);

// The rows of a step: the batch, of a program that has one.
Size RowsOfStep(const Plan& plan);

// How long a chunk is: `rows` of the shortest one (steps times batch; enough to share one reading of the weights) and
// its multiple. As many as keep in the second-level cache what its kernels hand on, `row_bytes` a row; but where
// gradients are summed always the same, enough for one visit of them: how sums are grouped shall not depend on what
// else a chunk computes. At most `most_rows` in all.
void SetLength(int64_t row_bytes, bool sums_steps, int64_t most_rows, Chunks& chunks);

}  // namespace recurve

#endif  // RECURVE_COMPILER_PLAN_CHUNK_H_

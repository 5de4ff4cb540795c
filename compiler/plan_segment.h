// compiler/plan_segment.h: the steps that a backward program computes again before it goes back over them.
//
// Where forward stores no sequences (TapePolicy::kRecompute), backward holds the forward scans once more and would keep
// all that they yield. Instead time is cut into segments, last ones first: the scans run over a segment, then their
// adjoints, then the next segment. What stands between them holds one segment. A scan begins a segment with its carries
// at that step, which forward kept on the tape. A segment consists of whole chunks (plan_chunk.h), and sums are made
// chunk by chunk, so gradients have the same bits as from stored sequences.
//
// Memory for T steps in segments of S: T/S times the carries, and S times what is between forward and backward; least
// for S near the square root of T. The price is another forward pass.

#ifndef RECURVE_COMPILER_PLAN_SEGMENT_H_
#define RECURVE_COMPILER_PLAN_SEGMENT_H_

#include <map>
#include <string>
#include <vector>

#include "compiler/plan_chunk.h"

namespace recurve {

struct SegmentChoice {
  // Why the entry can't run in segments, for people; empty if it can.
  std::string refused;
  std::string time;
  bool reverse = false;
  std::vector<int> kernels;  // that run segment by segment, besides those in the chunks of a scan
  std::vector<int> later;    // that run after the last segment; all others before the first
  std::vector<int> rings;    // buffers of which one segment is enough
};

// All scans over time run segment by segment. chunks[i] is what runs in the chunks of scans[i]. `kernels` as
// ChooseChunks left them.
SegmentChoice ChooseSegment(const std::vector<PhasedKernel>& kernels, const std::vector<ChunkScan>& scans,
                            const std::vector<ChunkChoice>& chunks, const std::vector<Buffer>& buffers);

// The lengths of segments of so many of the shortest chunks, and their names in sizes.
Chunks SegmentsOf(const std::string& time, const Plan& plan);

// Gives a plan with segments others.
void SetSegment(int64_t segment, Plan& plan);
// Lengths to choose from (PlanChoices::segment), shortest first: from the longest chunk in a segment to all steps.
std::vector<int64_t> SegmentLengths(const Plan& plan, const std::map<std::string, double>& sizes);

}  // namespace recurve

#endif  // RECURVE_COMPILER_PLAN_SEGMENT_H_

// compiler/plan_segment.h: the steps that a backward program computes again before it goes back over them.
//
// Where forward stores no sequences (TapePolicy::kRecompute), backward holds the forward scans once more and would keep
// all that they yield. Instead time is cut into segments, last ones first: the scans run over a segment, then their
// adjoints, then the next segment. What stands between them holds one segment. A scan begins a segment with its carries
// at that step, which forward kept on the tape. A segment consists of whole chunks (plan_chunk.h), and sums are made
// chunk by chunk, so gradients have the same bits as from stored sequences.
//
// Memory for T steps in segments of S: T/S times the carries, and S times what is between forward and backward; least
// for S near the square root of T. The price is another forward pass. For one more, segments are cut in turn: the scans
// run over a segment of S to keep their carries every R steps, then subsegment by subsegment with their adjoints: T/S
// and S/R times the carries and R times the rest, least near the third root.
//
// All scans share the segments, or each adjoint has segments of its own with the scans that only it needs. The latter
// goes for scans of both directions and of several time axes too, but what one scan wants of another must be stored.

#ifndef RECURVE_COMPILER_PLAN_SEGMENT_H_
#define RECURVE_COMPILER_PLAN_SEGMENT_H_

#include <map>
#include <string>
#include <vector>

#include "compiler/plan_chunk.h"

namespace recurve {

// Scans that run segment by segment together, and what runs with them.
struct SegmentChoice {
  std::string refused;  // why they can't, for people; empty if they can
  std::string time;
  bool reverse = false;
  int phase = 0;             // all of it runs in
  std::vector<int> scans;    // by number
  std::vector<int> kernels;  // besides those in the chunks of a scan
  std::vector<int> again;    // those of them that yield what the restored scans read
  std::vector<int> later;    // kernels that run right after the last segment, although their phase is not later
  std::vector<int> rings;    // buffers of which one segment is enough
};

// chunks[i] is what runs in the chunks of scans[i]. `kernels` as ChooseChunks left them. If something is refused that
// is the only choice.
std::vector<SegmentChoice> ChooseSegments(const std::vector<PhasedKernel>& kernels, const std::vector<ChunkScan>& scans,
                                          const std::vector<ChunkChoice>& chunks, const std::vector<Buffer>& buffers,
                                          bool apart);

// The lengths of segments of so many of the shortest chunks, and their names in sizes.
Chunks SegmentsOf(const std::string& time, const Plan& plan);
// Those within the segments that have the number `outer` among the chunks of an entry.
Chunks SubsegmentsOf(const Chunks& segments, int outer, const Plan& plan);

// Gives a plan with segments, and perhaps subsegments, others.
void SetSegments(int64_t segment, int64_t subsegment, Plan& plan);
// Lengths to choose from (PlanChoices::segment), shortest first: from the longest chunk in a segment to all steps.
std::vector<int64_t> SegmentLengths(const Plan& plan, const std::map<std::string, double>& sizes);

}  // namespace recurve

#endif  // RECURVE_COMPILER_PLAN_SEGMENT_H_

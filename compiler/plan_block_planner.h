// compiler/plan_block_planner.h: the planner of one block, shared by the files that it is written in.
//
//   plan_block.cpp       roots: what must be in memory, and where
//   plan_lanes.cpp       lane programs: the instructions that yield a value, by demand
//   plan_draft.cpp       kernels: reductions, products, scatters; tiles and panels
//   plan_statements.cpp  the order of kernels and loops: chunks and phases
//   plan_checkpoint.cpp  segments of time around them

#ifndef RECURVE_COMPILER_PLAN_BLOCK_PLANNER_H_
#define RECURVE_COMPILER_PLAN_BLOCK_PLANNER_H_

#include <algorithm>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "compiler/plan_block.h"
#include "compiler/plan_chunk.h"
#include "compiler/plan_scan.h"
#include "compiler/plan_schedule.h"
#include "compiler/plan_segment.h"
#include "ir/graph.h"

namespace recurve {

// The rows and units that a kernel walks.
struct Space {
  ir::Shape rows;
  ir::Dim units = 1;
  bool added_units = false;  // the value has no constant last axis; a single unit stands in

  bool operator==(const Space&) const = default;
};

// The space of a value of this shape.
Space SpaceOf(const ir::Shape& shape);

// A kernel under construction.
struct Draft {
  int number = 0;
  int phase = 0;
  Space space;
  ir::NodeId scan = -1;  // it is for this scan alone, so that it may run in its chunks; or -1
  Kernel kernel;
  std::map<std::pair<ir::NodeId, int64_t>, int> memo;  // (value, unit offset) -> instruction
  std::vector<std::vector<PanelGroup>> groups;         // per product
  std::set<ir::NodeId> sums;                           // contractions summed here
  ir::NodeId reduced = -1;                             // what a Reduce kernel sums
  std::optional<std::string> chunk_time;               // runs in chunks of this axis
  int added = -1;                                      // the number of its kernel in the entry, once finished
  bool has_joined = false;                             // another's kernel, which does its work
};

// What runs in each phase, or is put off until after it: its own phase is the second number then, else -1.
using Phases = std::map<std::pair<int, int>, std::vector<Statement>>;
// Adds phase after phase, with barriers between them.
void AppendPhases(Phases phases, std::vector<Statement>& statements);

class BlockPlanner {
 public:
  BlockPlanner(EntryContext& context, const ir::Graph& graph, const std::vector<View>& inputs,
               const std::vector<std::vector<View>>& destinations)
      : context_(context),
        graph_(graph),
        inputs_(inputs),
        output_destinations_(destinations),
        schedule_(context, graph, inputs) {}

  std::vector<Statement> Run();

 private:
  struct PendingStore {
    ir::NodeId node;
    View view;
  };

  void FindRoots();
  void AddRoot(ir::NodeId id);
  void PlaceRoots();
  void PlaceScan(ir::NodeId id);
  std::string NameOf(ir::NodeId id) const;
  View Place(ir::NodeId id, bool dense, Size guard = {0, {}});
  void StoreTo(ir::NodeId id, const View& view);
  void SendTo(ir::NodeId id, const View& destination);
  std::optional<View> ViewOf(ir::NodeId id) const;

  void DraftKernels();
  Draft& DraftFor(int phase, const Space& space, ir::NodeId scan = -1);
  void DraftReduce(ir::NodeId id);
  void DraftContraction(ir::NodeId id);
  void DraftProduct(ir::NodeId id);
  void DraftScatter(ir::NodeId id);
  void ShareCostlyValues();

  int Append(Draft& draft, LaneInstruction instruction);
  int Demand(Draft& draft, ir::NodeId id, int64_t offset);
  int DemandSplat(Draft& draft, ir::NodeId id);
  int DemandJoin(Draft& draft, ir::NodeId id, int64_t offset);
  int DemandGather(Draft& draft, ir::NodeId id, int64_t offset);
  int DemandSum(Draft& draft, ir::NodeId id, int64_t offset);
  int Load(Draft& draft, const View& view, int64_t offset, const std::string& label);
  View AlignTo(const Space& space, const View& view, int64_t offset) const;

  std::vector<PhasedKernel> PhasedKernels();
  std::vector<ChunkScan> ChunkScans() const;
  bool IsSegmented() const { return context_.plan->choices.segment > 0 && context_.entry->name == "backward"; }
  bool IsRestored(const ir::ScanAttr& attr) const { return IsSegmented() && attr.checkpoint >= 0; }
  bool KeepsCheckpoints(const ir::ScanAttr& attr) const;
  Statement PlanSum(const Draft& draft, const ChunkScan& scan);
  bool JoinsAnother(Draft& draft, const std::vector<int>& beside);
  void Finish(Draft& draft);
  int AddKernel(Kernel kernel);
  Statement PlanScanStatement(ir::NodeId id, const ChunkChoice& choice, int outer);
  Statement PlanLoopStatement(ir::NodeId id, const ChunkChoice& choice, int outer);

  // Of one choice: its chunk loops and what is planned to run in the innermost.
  struct SegmentLoop {
    SegmentChoice choice;
    int outer = -1, chunk = -1;  // numbers; the same where segments are not cut in turn
    Phases phases;
    Phases again;  // what of that computes forward
    std::vector<ir::NodeId> restored;

    bool yields_forward(int k) const { return std::ranges::find(choice.again, k) != choice.again.end(); }
  };
  std::vector<SegmentLoop> AddSegments(const std::vector<PhasedKernel>& kernels, const std::vector<ChunkScan>& scans,
                                       const std::vector<ChunkChoice>& choices);
  int AddSegmentChunks(const std::string& time, bool reverse);
  Statement PlanSegments(SegmentLoop segment);
  void KeepScansApart();
  void FindElements();
  ir::NodeId Moved(ir::NodeId id) const;
  Statement PlanCopies(ir::NodeId id, TimeLoop::Steps steps, int chunk, const std::vector<View>& from,
                       const std::vector<std::vector<View>>& to);
  View CheckpointOf(const ir::ScanAttr& attr, int carry, int segments);
  View InnerCheckpointOf(const ir::ScanAttr& attr, int carry, int subsegments);

  void NeedInMemory(ir::NodeId id) { restart_ |= extra_roots_.insert(id).second; }
  void NeedOpaque(ir::NodeId id) { restart_ |= schedule_.MakeOpaque(id); }

  EntryContext& context_;
  const ir::Graph& graph_;
  const std::vector<View>& inputs_;
  const std::vector<std::vector<View>>& output_destinations_;
  Schedule schedule_;

  std::set<ir::NodeId> extra_roots_;  // found on the way; kept when planning starts again
  bool restart_ = false;

  std::set<ir::NodeId> roots_;
  std::map<ir::NodeId, View> views_;  // where values in memory can be read
  std::map<ir::NodeId, std::vector<View>> destinations_;
  std::map<ir::NodeId, ScanPlan> scans_;
  std::vector<PendingStore> stores_;
  std::deque<Draft> drafts_;
  std::map<ir::NodeId, std::set<int>> costly_users_;  // the drafts that compute a costly value
  std::map<ir::NodeId, ir::NodeId> of_scan_;          // values whose kernels are for a scan alone
};

}  // namespace recurve

#endif  // RECURVE_COMPILER_PLAN_BLOCK_PLANNER_H_

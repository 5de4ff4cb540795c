// compiler/plan_schedule.h: how each value of a graph comes about, and when it is there at the earliest.

#ifndef RECURVE_COMPILER_PLAN_SCHEDULE_H_
#define RECURVE_COMPILER_PLAN_SCHEDULE_H_

#include <set>
#include <string>
#include <vector>

#include "compiler/plan.h"
#include "compiler/plan_block.h"

namespace recurve {

// How a value comes about.
enum class Form : uint8_t {
  kInput,    // in memory before the block starts
  kLane,     // computed lane by lane
  kPart,     // a slice along the units of something computed lane by lane
  kJoin,     // a concatenation; stored part by part
  kView,     // another look at memory
  kCopy,     // a reshape that no view can express: its operand, stored densely
  kTile,     // a product with packed weights, inside a Map kernel
  kProduct,  // a product of two activations
  kReduce,   // a sum or maximum over axes, or a contraction that fits no product kernel
  kScatter,
  kScan,
  kResult,  // of a scan
};

// The labels of a contraction, with the operand that holds the result's last axis on the right.
struct Contraction {
  ir::NodeId left, right;
  std::string left_labels, right_labels, out, summed;
  bool batched = false;  // some label stands in both operands and the result
};
Contraction Normalize(const ir::Node& node);

// The size of a label of a contraction in `graph`.
ir::Dim ExtentOfLabel(const ir::Graph& graph, const Contraction& contraction, char label);

// Forms and phases of one graph. Kernels of a phase may read what earlier phases stored.
class Schedule {
 public:
  Schedule(const EntryContext& context, const ir::Graph& graph, const std::vector<View>& inputs);

  Form form(ir::NodeId id) const { return forms_[id]; }
  int phase(ir::NodeId id) const { return phases_[id]; }
  // The first phase whose kernels may compute with the value.
  int LaneAvailable(ir::NodeId id) const;
  // The first phase whose kernels may read the value from memory, once it is stored.
  int MemoryAvailable(ir::NodeId id) const;
  // Whether the value consists of sums of its own phase, so that no later kernel can compute it again.
  bool HoldsSums(ir::NodeId id) const { return holds_sums_[id]; }
  // Whether the value is one number for all lanes and needs no memory.
  bool IsSplat(ir::NodeId id) const;

  // Whether an operation looks its index operand up in memory, whatever kernel it is computed in.
  static bool ReadsIndices(ir::Op op);

  // Declares that a value is stored by its phase's kernel and only read by later ones; phases move. False if it was so
  // already.
  bool MakeOpaque(ir::NodeId id);
  const std::set<ir::NodeId>& opaque() const { return opaque_; }

 private:
  Form Classify(ir::NodeId id) const;
  bool IsWeight(ir::NodeId id) const;
  bool IsStored(Form form) const;
  const View& InputView(ir::NodeId id) const;
  void ComputePhases();

  const EntryContext& context_;
  const ir::Graph& graph_;
  const std::vector<View>& inputs_;
  std::vector<Form> forms_;
  std::vector<int> phases_;
  std::vector<bool> holds_sums_;
  std::set<ir::NodeId> opaque_;
};

}  // namespace recurve

#endif  // RECURVE_COMPILER_PLAN_SCHEDULE_H_

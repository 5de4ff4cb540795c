// compiler/plan_schedule.cpp: forms and phases.

#include "compiler/plan_schedule.h"

#include <algorithm>

#include "compiler/plan_view.h"

namespace recurve {

using ir::Node;
using ir::NodeId;
using ir::Op;

Contraction Normalize(const Node& node) {
  const auto& labels = node.As<ir::ContractAttr>();
  Contraction c{node.args[0], node.args[1], labels.lhs, labels.rhs, labels.out, {}, false};
  if (!c.out.empty() && c.right_labels.find(c.out.back()) == std::string::npos) {
    std::swap(c.left, c.right);
    std::swap(c.left_labels, c.right_labels);
  }
  for (char label : c.left_labels) {
    bool in_right = c.right_labels.find(label) != std::string::npos;
    bool in_out = c.out.find(label) != std::string::npos;
    if (in_right && in_out) c.batched = true;
    if (in_right && !in_out) c.summed += label;
  }
  return c;
}

ir::Dim ExtentOfLabel(const ir::Graph& graph, const Contraction& c, char label) {
  if (size_t at = c.left_labels.find(label); at != std::string::npos) return graph.type(c.left).shape[at];
  return graph.type(c.right).shape[c.right_labels.find(label)];
}

Schedule::Schedule(const EntryContext& context, const ir::Graph& graph, const std::vector<View>& inputs)
    : context_(context), graph_(graph), inputs_(inputs) {
  for (NodeId id = 0; id < graph_.size(); ++id) {
    forms_.push_back(Form::kLane);
    forms_[id] = Classify(id);
    // Numbers along rows are stored once: kernels that read them may walk their rows in any way.
    if (graph_[id].op == Op::kIota && !graph_[id].type.shape[0].is_constant()) opaque_.insert(id);
  }
  ComputePhases();
}

bool Schedule::MakeOpaque(NodeId id) {
  bool added = opaque_.insert(id).second;
  if (added) ComputePhases();
  return added;
}

const View& Schedule::InputView(NodeId id) const {
  return inputs_[std::ranges::find(graph_.inputs(), id) - graph_.inputs().begin()];
}

bool Schedule::ReadsIndices(Op op) { return op == Op::kGather || op == Op::kOneHot || op == Op::kReal; }

bool Schedule::IsStored(Form form) const {
  switch (form) {
    case Form::kInput:
    case Form::kView:
    case Form::kCopy:
    case Form::kProduct:
    case Form::kReduce:
    case Form::kScatter:
    case Form::kResult: return true;
    case Form::kLane:
    case Form::kPart:
    case Form::kJoin:
    case Form::kTile:
    case Form::kScan: return false;
  }
  return false;
}

bool Schedule::IsSplat(NodeId id) const {
  const Node& node = graph_[id];
  if (node.op == Op::kBroadcast) return IsSplat(node.args[0]);
  return node.op == Op::kConstant || node.op == Op::kExtent;
}

bool Schedule::IsWeight(NodeId id) const {
  const Node& node = graph_[id];
  if (node.op == Op::kInput) {
    const View& view = InputView(id);
    for (const OffsetTerm& term : view.offset) {
      if (term.loop >= 0 || !term.shift_axis.empty()) return false;
    }
    const Buffer& buffer = context_.entry->buffers[view.buffer];
    if (buffer.place == Place::kPacked) return true;
    if (buffer.place != Place::kSlot) return false;
    recurve_slot_kind kind = context_.entry->slots[buffer.slot].kind;
    return kind == RECURVE_SLOT_PARAMETER || kind == RECURVE_SLOT_CONSTANT;
  }
  return forms_[id] == Form::kView && node.op != Op::kBroadcast && IsWeight(node.args[0]);
}

Form Schedule::Classify(NodeId id) const {
  const Node& node = graph_[id];
  auto arg_form = [&](int i) { return forms_[node.args[i]]; };
  switch (node.op) {
#define UNARY(Kind, ...) case Op::k##Kind:
#define BINARY(Kind, ...) case Op::k##Kind:
#define TERNARY(Kind, ...) case Op::k##Kind:
#include "ir/ops.def"
    case Op::kConstant:
    case Op::kIota:
    case Op::kRandom:
    case Op::kReal:
    case Op::kExtent:
    case Op::kGather:
    case Op::kOneHot: return Form::kLane;
    case Op::kInput: return Form::kInput;
    case Op::kBroadcast: return IsSplat(id) ? Form::kLane : Form::kView;
    case Op::kTranspose: return Form::kView;
    case Op::kReshape: {
      if (DifferInOnesOnly(graph_.type(node.args[0]).shape, node.type.shape)) return Form::kView;
      return arg_form(0) == Form::kInput && IsDense(InputView(node.args[0])) ? Form::kView : Form::kCopy;
    }
    case Op::kSlice: {
      bool along_units = node.As<ir::SliceAttr>().axis == node.type.rank() - 1;
      return along_units && !IsStored(arg_form(0)) ? Form::kPart : Form::kView;
    }
    case Op::kConcat: return Form::kJoin;
    case Op::kReduceSum:
    case Op::kReduceMax: return Form::kReduce;
    case Op::kScatterAdd: return Form::kScatter;
    case Op::kScan: return Form::kScan;
    case Op::kScanResult: return Form::kResult;
    case Op::kContract: {
      Contraction c = Normalize(node);
      if (c.batched || c.summed.empty() || c.out.empty()) return Form::kReduce;
      std::string columns;
      for (char label : c.out) {
        if (c.right_labels.find(label) != std::string::npos) columns += label;
      }
      bool one_column_axis = columns.size() == 1 && columns[0] == c.out.back();
      if (!one_column_axis || !node.type.shape.back().is_constant()) return Form::kReduce;
      bool constant_sum = c.summed.size() == 1 && ExtentOfLabel(graph_, c, c.summed[0]).is_constant();
      return context_.packs && constant_sum && IsWeight(c.right) ? Form::kTile : Form::kProduct;
    }
  }
  return Form::kLane;
}

int Schedule::LaneAvailable(NodeId id) const {
  switch (forms_[id]) {
    case Form::kInput: return 0;
    case Form::kView: return phases_[id];
    case Form::kLane:
    case Form::kPart:
    case Form::kJoin:
    case Form::kTile: return phases_[id] + (opaque_.contains(id) ? 1 : 0);
    case Form::kCopy:
    case Form::kProduct:
    case Form::kReduce:
    case Form::kScatter:
    case Form::kScan:
    case Form::kResult: return phases_[id] + 1;
  }
  return 0;
}

int Schedule::MemoryAvailable(NodeId id) const {
  switch (forms_[id]) {
    case Form::kLane:
    case Form::kJoin:
    case Form::kTile: return phases_[id] + 1;
    case Form::kPart: return MemoryAvailable(graph_[id].args[0]);
    case Form::kInput:
    case Form::kView:
    case Form::kCopy:
    case Form::kProduct:
    case Form::kReduce:
    case Form::kScatter:
    case Form::kScan:
    case Form::kResult: return LaneAvailable(id);
  }
  return 0;
}

void Schedule::ComputePhases() {
  phases_.assign(graph_.size(), 0);
  holds_sums_.assign(graph_.size(), false);
  for (NodeId id = 0; id < graph_.size(); ++id) {
    const Node& node = graph_[id];
    int lanes = 0, memory = 0;
    for (NodeId arg : node.args) {
      lanes = std::max(lanes, LaneAvailable(arg));
      memory = std::max(memory, MemoryAvailable(arg));
    }
    switch (forms_[id]) {
      case Form::kInput: break;
      case Form::kLane: phases_[id] = ReadsIndices(node.op) ? memory : lanes; break;
      case Form::kPart:
      case Form::kJoin:
      case Form::kCopy: phases_[id] = lanes; break;
      case Form::kView:
      case Form::kTile:
      case Form::kProduct:
      case Form::kScatter: phases_[id] = memory; break;
      case Form::kReduce:
        phases_[id] = node.op == Op::kContract                                            ? memory
                      : holds_sums_[node.args[0]] && lanes == LaneAvailable(node.args[0]) ? memory
                                                                                          : lanes;
        break;
      case Form::kScan: phases_[id] = memory + 1; break;  // after the initial values are in place
      case Form::kResult: phases_[id] = phases_[node.args[0]]; break;
    }
    switch (forms_[id]) {
      case Form::kTile: holds_sums_[id] = !opaque_.contains(id); break;
      case Form::kLane:
      case Form::kPart:
      case Form::kJoin:
        for (NodeId arg : node.args) {
          if (holds_sums_[arg] && LaneAvailable(arg) == phases_[id]) holds_sums_[id] = true;
        }
        break;
      case Form::kInput:
      case Form::kView:
      case Form::kCopy:
      case Form::kProduct:
      case Form::kReduce:
      case Form::kScatter:
      case Form::kScan:
      case Form::kResult: break;
    }
  }
}

}  // namespace recurve

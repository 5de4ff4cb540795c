// compiler/plan_scan.cpp: slots of carries, and the body between them.

#include "compiler/plan_scan.h"

#include "compiler/plan_view.h"

namespace recurve {

void ScanPlan::AddStack(int output, const View& view, const std::vector<Buffer>& buffers) {
  bool guarded = buffers[view.buffer].guard.factor != 0 && view.offset.empty();
  stacks_.push_back({output, view, guarded});
}

void ScanPlan::PlaceCarries(EntryContext& context) {
  const ir::Graph& body = *attr_->body;
  for (int i = 0; i < attr_->carries; ++i) {
    ir::NodeId before = body.inputs()[i], after = body.outputs()[i].node;
    Carry carry{.ring = true, .shift = attr_->reverse ? 1 : 0};
    for (Stack& stack : stacks_) {
      ir::NodeId value = body.outputs()[stack.output].node;
      if (!stack.guarded || stack.is_carry || (value != before && value != after)) continue;
      stack.is_carry = true;
      carry = {stack.view, false, value == before ? 0 : -Direction()};
      break;
    }
    if (carry.ring) {
      ir::Shape slots = body.type(before).shape;
      slots.insert(slots.begin(), 2);
      carry.slots = context.AddWorkspace(body[before].label, slots);
    }
    carries_.push_back(std::move(carry));
  }
}

std::vector<int> ScanPlan::StackBuffers() const {
  std::vector<int> buffers;
  for (const Stack& stack : stacks_) buffers.push_back(stack.view.buffer);
  return buffers;
}

std::vector<int> ScanPlan::CarryBuffers() const {
  std::vector<int> buffers;
  for (const Carry& carry : carries_) buffers.push_back(carry.slots.buffer);
  return buffers;
}

// The slot of step t, `steps` steps on.
OffsetTerm ScanPlan::SlotOfLoop(const Carry& carry, int64_t steps) const {
  return {.loop = loop_, .shift = carry.shift + steps * Direction(), .ring = carry.ring};
}

// The slot of step 0 or of step T - 1, `steps` steps on.
OffsetTerm ScanPlan::SlotOfEnd(const Carry& carry, bool last, int64_t steps) const {
  OffsetTerm term{.shift = carry.shift + steps * Direction(), .ring = carry.ring};
  if (last) {
    term.shift -= 1;
    if (attr_->time.is_constant()) {
      term.shift += attr_->time.extent;
    } else {
      term.shift_axis = attr_->time.axis;
    }
  }
  return term;
}

View ScanPlan::InitialView(int i) const {
  return IndexFirst(carries_[i].slots, SlotOfEnd(carries_[i], attr_->reverse, 0));
}

View ScanPlan::FinalView(int i) const {
  return IndexFirst(carries_[i].slots, SlotOfEnd(carries_[i], !attr_->reverse, 1));
}

TimeLoop ScanPlan::PlanBody(EntryContext& context, const std::vector<View>& operands) const {
  std::vector<View> inputs;
  for (int i = 0; i < static_cast<int>(operands.size()); ++i) {
    if (i < attr_->carries) {
      inputs.push_back(IndexFirst(carries_[i].slots, SlotOfLoop(carries_[i], 0)));
    } else if (i < attr_->carries + attr_->sequences) {
      inputs.push_back(IndexFirst(operands[i], {.loop = loop_}));
    } else {
      inputs.push_back(operands[i]);
    }
  }
  std::vector<std::vector<View>> destinations(attr_->body->outputs().size());
  for (int i = 0; i < attr_->carries; ++i) {
    destinations[i].push_back(IndexFirst(carries_[i].slots, SlotOfLoop(carries_[i], 1)));
  }
  for (const Stack& stack : stacks_) {
    if (!stack.is_carry) destinations[stack.output].push_back(IndexFirst(stack.view, {.loop = loop_}));
  }
  TimeLoop loop{.loop = loop_,
                .time = attr_->time,
                .reverse = attr_->reverse,
                .body = PlanBlock(context, *attr_->body, inputs, destinations)};
  // What was read last is still in the caches when the next step begins.
  for (const Statement& statement : loop.body) {
    const auto* call = std::get_if<KernelCall>(&statement.kind);
    if (call == nullptr) continue;
    Kernel& kernel = context.entry->kernels[call->kernel];
    kernel.alternates = !kernel.products.empty();
  }
  loop.body.push_back({Barrier{}});
  return loop;
}

}  // namespace recurve

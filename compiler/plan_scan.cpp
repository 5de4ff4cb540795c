// compiler/plan_scan.cpp: slots of carries, and the body between them.

#include "compiler/plan_scan.h"

#include "compiler/plan_view.h"

namespace recurve {
namespace {

// A loop with more kernels that multiply gains less from forms for a single row than it costs to compile them.
constexpr size_t kMostOneRowForms = 2;

}  // namespace

void ScanPlan::AddStack(int output, const View& view, const std::vector<Buffer>& buffers) {
  const Buffer& buffer = buffers[view.buffer];
  bool guarded = buffer.guard.factor != 0 && view.offset.empty();
  stacks_.push_back({output, view, guarded, buffer.storage != Storage::kSame});
}

void ScanPlan::PlaceCarries(EntryContext& context) {
  const ir::Graph& body = *attr_->body;
  for (int i = 0; i < attr_->carries; ++i) {
    ir::NodeId before = body.inputs()[i], after = body.outputs()[i].node;
    Carry carry{.slots = {.ring = true, .shift = attr_->reverse ? 1 : 0}};
    for (Stack& stack : stacks_) {
      ir::NodeId value = body.outputs()[stack.output].node;
      if (!stack.guarded || stack.is_carry || (value != before && value != after)) continue;
      Slots slots{.view = stack.view, .shift = value == before ? 0 : -Direction()};
      if (stack.rounds && value == before) {
        carry.copies.push_back(std::move(slots));
      } else if (!stack.rounds && carry.slots.ring) {
        carry.slots = std::move(slots);
      } else {
        continue;
      }
      stack.is_carry = true;
    }
    if (carry.slots.ring) {
      ir::Shape slots = body.type(before).shape;
      slots.insert(slots.begin(), 2);
      carry.slots.view = context.AddWorkspace(body[before].label, slots);
    }
    for (Stack& stack : stacks_) {
      const bool is_before = body.outputs()[stack.output].node == before;
      stack.is_carry |= is_before && IndexFirst(stack.view, {.loop = loop_}) == SlotOfLoop(carry.slots, 0);
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
  for (const Carry& carry : carries_) {
    buffers.push_back(carry.slots.view.buffer);
    for (const Slots& copy : carry.copies) buffers.push_back(copy.view.buffer);
  }
  return buffers;
}

// The slot of step t, `steps` steps on.
View ScanPlan::SlotOfLoop(const Slots& slots, int64_t steps) const {
  return IndexFirst(slots.view, {.loop = loop_, .shift = slots.shift + steps * Direction(), .ring = slots.ring});
}

// The slot of step 0 or of step T - 1, `steps` steps on.
View ScanPlan::SlotOfEnd(const Slots& slots, bool last, int64_t steps) const {
  OffsetTerm term{.shift = slots.shift + steps * Direction(), .ring = slots.ring};
  if (last) {
    term.shift -= 1;
    if (attr_->time.is_constant()) {
      term.shift += attr_->time.extent;
    } else {
      term.shift_axis = attr_->time.axis;
    }
  }
  return IndexFirst(slots.view, std::move(term));
}

std::vector<View> ScanPlan::InitialViews(int i) const {
  std::vector<View> views{SlotOfEnd(carries_[i].slots, attr_->reverse, 0)};
  for (const Slots& copy : carries_[i].copies) views.push_back(SlotOfEnd(copy, attr_->reverse, 0));
  return views;
}

std::vector<View> ScanPlan::StepViews(int i) const {
  std::vector<View> views{SlotOfLoop(carries_[i].slots, 0)};
  for (const Slots& copy : carries_[i].copies) views.push_back(SlotOfLoop(copy, 0));
  return views;
}

View ScanPlan::NextView(int i) const { return SlotOfLoop(carries_[i].slots, 1); }

View ScanPlan::FinalView(int i) const { return SlotOfEnd(carries_[i].slots, !attr_->reverse, 1); }

TimeLoop ScanPlan::PlanBody(EntryContext& context, const std::vector<View>& operands) const {
  std::vector<View> inputs;
  for (int i = 0; i < static_cast<int>(operands.size()); ++i) {
    if (i < attr_->carries) {
      inputs.push_back(SlotOfLoop(carries_[i].slots, 0));
    } else if (i < attr_->carries + attr_->sequences) {
      inputs.push_back(IndexFirst(operands[i], {.loop = loop_}));
    } else {
      inputs.push_back(operands[i]);
    }
  }
  std::vector<std::vector<View>> destinations(attr_->body->outputs().size());
  for (int i = 0; i < attr_->carries; ++i) {
    destinations[i].push_back(SlotOfLoop(carries_[i].slots, 1));
    for (const Slots& copy : carries_[i].copies) destinations[i].push_back(SlotOfLoop(copy, 1));
  }
  for (const Stack& stack : stacks_) {
    if (!stack.is_carry) destinations[stack.output].push_back(IndexFirst(stack.view, {.loop = loop_}));
  }
  TimeLoop loop{.loop = loop_,
                .time = attr_->time,
                .reverse = attr_->reverse,
                .body = PlanBlock(context, *attr_->body, inputs, destinations)};
  std::vector<Kernel*> products;
  for (const Statement& statement : loop.body) {
    const auto* call = std::get_if<KernelCall>(&statement.kind);
    if (call == nullptr || context.entry->kernels[call->kernel].products.empty()) continue;
    products.push_back(&context.entry->kernels[call->kernel]);
  }
  for (Kernel* kernel : products) {
    // What was read last is still in the caches when the next step begins.
    kernel->alternates = true;
    kernel->alternates_terms = context.entry->name == "backward" && attr_->checkpoint < 0;
    kernel->has_one_row_form = products.size() <= kMostOneRowForms && kernel->rows == std::vector<Size>{Size{1, {"B"}}};
  }
  loop.body.push_back({Barrier{}});
  return loop;
}

}  // namespace recurve

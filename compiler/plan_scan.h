// compiler/plan_scan.h: where the carries and stacked values of a scan live.
//
// A carry is read from one slot and written to the next. When a stacked value is the carry before or after the step,
// the slots are that stack itself, shifted by one step where it is the one before (the guard around a stack holds the
// slot that sticks out): the tape then costs no copy, and where it wants both, they are one region (TapeValue). Any
// other carry alternates between two slots.
//
// A stack in 16 bits is never read by the scan, whose carries would lose their digits. One that keeps the carry before
// the step is a copy of its slots: it gets every new value, a step later, beside the two that take turns.

#ifndef RECURVE_COMPILER_PLAN_SCAN_H_
#define RECURVE_COMPILER_PLAN_SCAN_H_

#include <vector>

#include "compiler/plan_block.h"

namespace recurve {

class ScanPlan {
 public:
  // `loop` is the number of its time loop.
  ScanPlan(const ir::ScanAttr& attr, int loop) : attr_(&attr), loop_(loop) {}

  // Body output `output` is stacked in `view`, whose first axis is time.
  void AddStack(int output, const View& view, const std::vector<Buffer>& buffers);
  // Gives every carry its slots; call after the last AddStack.
  void PlaceCarries(EntryContext& context);

  // Where the carry's initial value goes: its slot, and those of its copies.
  std::vector<View> InitialViews(int carry) const;
  View FinalView(int carry) const;
  // In its loop: where a step reads the carry, then those of its copies that stand for the same step.
  std::vector<View> StepViews(int carry) const;
  // In its loop: where a step leaves the carry.
  View NextView(int carry) const;

  // The buffers that its steps write; those whose slots are carries may be used a step beyond either end.
  std::vector<int> StackBuffers() const;
  std::vector<int> CarryBuffers() const;
  int loop() const { return loop_; }
  const ir::ScanAttr& attr() const { return *attr_; }

  // The loop. operands[i] is where operand i of the scan is read; those of carries are not used.
  TimeLoop PlanBody(EntryContext& context, const std::vector<View>& operands) const;

 private:
  struct Stack {
    int output;
    View view;
    bool guarded;           // a step before and after it may be used
    bool rounds;            // stored in fewer bits than computed
    bool is_carry = false;  // the slots of a carry, which its stores fill
  };
  struct Slots {
    View view;          // first axis: the slot
    bool ring = false;  // two slots in turn
    int64_t shift = 0;  // step t reads slot t + shift
  };
  struct Carry {
    Slots slots;
    std::vector<Slots> copies;  // written like `slots`, never read
  };

  int64_t Direction() const { return attr_->reverse ? -1 : 1; }
  View SlotOfLoop(const Slots& slots, int64_t steps) const;
  View SlotOfEnd(const Slots& slots, bool last, int64_t steps) const;

  const ir::ScanAttr* attr_;
  int loop_;
  std::vector<Stack> stacks_;
  std::vector<Carry> carries_;
};

}  // namespace recurve

#endif  // RECURVE_COMPILER_PLAN_SCAN_H_

// compiler/bake.cpp: arguments turned into constants, entry by entry.

#include "compiler/bake.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <span>

namespace recurve {
namespace {

bool IsParameter(const Slot& slot) { return slot.kind == RECURVE_SLOT_PARAMETER || slot.kind == RECURVE_SLOT_CONSTANT; }

template <typename T>
std::expected<std::string, Error> BytesOf(const Parameters& parameters, const std::string& name) {
  auto values = parameters.Read<T>(name);
  if (!values) return std::unexpected(values.error());
  const auto bytes = std::as_bytes(*values);
  return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

// The number of a parameter's constant; added when it is first wanted.
std::expected<int, Error> ConstantOf(Plan& plan, const Parameters& parameters, const std::string& name) {
  const auto found = std::ranges::find(plan.constants, name, &Constant::name);
  const int number = static_cast<int>(found - plan.constants.begin());
  if (found != plan.constants.end()) return number;
  auto bytes = plan.precision == Precision::kF32 ? BytesOf<float>(parameters, name) : BytesOf<double>(parameters, name);
  if (!bytes) return std::unexpected(bytes.error());
  plan.constants.push_back({name, *std::move(bytes)});
  return number;
}

std::expected<void, Error> Bake(Plan& plan, EntryPlan& entry, const Parameters& parameters) {
  std::vector<int> place(entry.slots.size());  // of each slot that is left
  std::vector<Slot> left;
  for (size_t i = 0; i < entry.slots.size(); ++i) {
    const Slot& slot = entry.slots[i];
    place[i] = static_cast<int>(left.size());
    if (!IsParameter(slot) && slot.kind != RECURVE_SLOT_PACKED) left.push_back(slot);
  }
  for (Buffer& buffer : entry.buffers) {
    if (buffer.place != Place::kSlot || buffer.slot < 0) continue;
    const Slot& slot = entry.slots[buffer.slot];
    if (IsParameter(slot)) {
      auto constant = ConstantOf(plan, parameters, slot.name);
      if (!constant) return std::unexpected(constant.error());
      buffer.place = Place::kConstant;
      buffer.constant = *constant;
      buffer.slot = -1;
    } else {
      buffer.slot = place[buffer.slot];
    }
  }
  entry.slots = std::move(left);
  return {};
}

}  // namespace

Plan PackingOf(const Plan& plan) {
  Plan packing = plan;
  std::erase_if(packing.entries, [](const EntryPlan& entry) { return entry.name != "pack"; });
  packing.choices.only_one = false;
  return packing;
}

std::expected<Plan, Error> WithWeights(Plan plan, Parameters& parameters) {
  if (auto packed = parameters.Pack(); !packed) return std::unexpected(packed.error());
  std::erase_if(plan.entries, [](const EntryPlan& entry) { return entry.name == "pack"; });
  for (EntryPlan& entry : plan.entries) {
    if (auto baked = Bake(plan, entry, parameters); !baked) return std::unexpected(baked.error());
  }
  plan.packed_constant = static_cast<int>(plan.constants.size());
  plan.constants.push_back(
      {"weights", std::string(static_cast<const char*>(parameters.packed()), static_cast<size_t>(plan.packed_bytes))});
  return plan;
}

}  // namespace recurve

#include "runtime/parameters.h"

#include <algorithm>

#include <fmt/format.h>

#include "runtime/random.h"

namespace recurve {
namespace {

template <typename T>
void Draw(const recurve_slot& slot, Random random, std::span<T> values) {
  switch (slot.init) {
    case 1:
      for (T& value : values) value = static_cast<T>(random.Uniform(slot.init_a, slot.init_b));
      break;
    case 2:
      for (T& value : values) value = static_cast<T>(random.Normal(slot.init_a, slot.init_b));
      break;
    default:  // an int of the ABI, not an enum: whatever else it says is the constant
      std::ranges::fill(values, static_cast<T>(slot.init_a));
      break;
  }
}

}  // namespace

Parameters::Parameters(Program program) : program_(std::move(program)), values_(program_.parameters().size()) {
  for (size_t i = 0; i < values_.size(); ++i) {
    const recurve_slot& slot = *program_.parameters()[i];
    const size_t count = *ElementCount(slot, {});  // Wrap has checked it
    has_memory_ = has_memory_ && values_[i].Reserve(count * ElementBytes(program_.ElementOf(slot)));
  }
  has_memory_ = has_memory_ && packed_.Reserve(program_.descriptor().packed_bytes);
}

std::expected<void, Error> Parameters::Initialize(uint64_t seed) {
  for (const recurve_slot* slot : program_.parameters()) {
    const ElementType type = program_.ElementOf(*slot);
    const auto bytes = Values(slot->name, type, /*changes=*/true);
    if (!bytes) return std::unexpected(bytes.error());
    const Random random(seed, StreamOf(slot->name));
    switch (type) {
      case ElementType::kF32:
        Draw(*slot, random, std::span(reinterpret_cast<float*>(bytes->data), bytes->count));
        break;
      case ElementType::kF64:
        Draw(*slot, random, std::span(reinterpret_cast<double*>(bytes->data), bytes->count));
        break;
      case ElementType::kI32:
        Draw(*slot, random, std::span(reinterpret_cast<int32_t*>(bytes->data), bytes->count));
        break;
    }
  }
  return {};
}

std::expected<void*, Error> Parameters::Address(std::string_view name) const {
  if (!has_memory_) {
    return std::unexpected(Error{fmt::format("cannot hold the parameters of `{}`: out of memory", program_.name())});
  }
  for (size_t i = 0; i < values_.size(); ++i) {
    if (name == program_.parameters()[i]->name) return values_[i].data();
  }
  return std::unexpected(Error{fmt::format("program `{}` has no parameter `{}`", program_.name(), name)});
}

std::expected<Parameters::Bytes, Error> Parameters::Values(std::string_view name, ElementType type, bool changes) {
  const auto address = Address(name);
  if (!address) return std::unexpected(address.error());
  const recurve_slot& slot = *program_.FindParameter(name);
  const ElementType actual = program_.ElementOf(slot);
  if (actual != type) {
    return std::unexpected(Error{
        fmt::format("parameter `{}` of `{}` is {}, asked for as {}", name, program_.name(), Name(actual), Name(type))});
  }
  if (changes) MarkChanged();
  return Bytes{static_cast<std::byte*>(*address), *ElementCount(slot, {})};
}

std::expected<void, Error> Parameters::Pack(const recurve_team* team) {
  if (is_packed_.load(std::memory_order_acquire)) return {};
  const std::scoped_lock lock(packing_);
  if (is_packed_.load(std::memory_order_relaxed)) return {};
  if (!has_memory_) {
    return std::unexpected(Error{fmt::format("cannot hold the parameters of `{}`: out of memory", program_.name())});
  }
  if (const recurve_entry* entry = program_.FindEntry("pack")) {
    const std::vector<size_t> extents(program_.axes().size(), 1);
    const size_t workspace = entry->workspace_bytes == nullptr ? 0 : entry->workspace_bytes(extents.data());
    if (!workspace_.Reserve(workspace)) {
      return std::unexpected(Error{fmt::format("cannot pack the parameters of `{}`: out of memory", program_.name())});
    }
    std::vector<uintptr_t> slots;
    for (const recurve_slot& slot : std::span(entry->slots, static_cast<size_t>(entry->slot_count))) {
      switch (static_cast<recurve_slot_kind>(slot.kind)) {
        case RECURVE_SLOT_EXTENT: slots.push_back(1); break;
        case RECURVE_SLOT_PARAMETER:
        case RECURVE_SLOT_CONSTANT: slots.push_back(reinterpret_cast<uintptr_t>(*Address(slot.name))); break;
        case RECURVE_SLOT_PACKED: slots.push_back(reinterpret_cast<uintptr_t>(packed_.data())); break;
        case RECURVE_SLOT_WORKSPACE: slots.push_back(reinterpret_cast<uintptr_t>(workspace_.data())); break;
        case RECURVE_SLOT_INPUT:
        case RECURVE_SLOT_STATE:
        case RECURVE_SLOT_ADJOINT:
        case RECURVE_SLOT_OUTPUT:
        case RECURVE_SLOT_TAPE: slots.push_back(0); break;
        case RECURVE_SLOT_TEAM: slots.push_back(reinterpret_cast<uintptr_t>(team)); break;
      }
    }
    entry->run(slots.data());
  }
  is_packed_.store(true, std::memory_order_release);
  return {};
}

}  // namespace recurve

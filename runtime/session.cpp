#include "runtime/session.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

namespace recurve {
namespace {

constexpr std::string_view kSequenceEntries[] = {"forward", "inference", "backward", "evaluate"};
constexpr std::string_view kStepEntries[] = {"step", "reset", "encode"};

std::unexpected<Error> Fail(std::string message) { return std::unexpected(Error{std::move(message)}); }

bool IsParameterKind(int32_t kind) { return kind == RECURVE_SLOT_PARAMETER || kind == RECURVE_SLOT_CONSTANT; }

bool HasAxis(const recurve_slot& slot, size_t axis) {
  const recurve_dim dim = -1 - static_cast<recurve_dim>(axis);
  return std::find(slot.dims, slot.dims + slot.rank, dim) != slot.dims + slot.rank;
}

// Calls `action` with a span of the element type.
template <typename Action>
void Visit(ElementType type, void* data, size_t count, Action action) {
  switch (type) {
    case ElementType::kF32: action(std::span(static_cast<float*>(data), count)); break;
    case ElementType::kF64: action(std::span(static_cast<double*>(data), count)); break;
    case ElementType::kI32: action(std::span(static_cast<int32_t*>(data), count)); break;
  }
}

}  // namespace

Frame::Frame(std::shared_ptr<Parameters> parameters, std::span<const std::string_view> entries)
    : parameters_(std::move(parameters)), extents_(program().axes().size(), 1) {
  for (const std::string_view name : entries) {
    const recurve_entry* entry = program().FindEntry(name);
    if (entry == nullptr) continue;
    Call call{.entry = entry, .name = name};
    call.values.resize(static_cast<size_t>(entry->slot_count));
    for (const recurve_slot& slot : std::span(entry->slots, static_cast<size_t>(entry->slot_count))) {
      if (slot.is_index && slot.kind == RECURVE_SLOT_INPUT) call.indices.push_back(call.tensors.size());
      call.tensors.push_back(-1);
      if (!IsTensor(slot) || IsParameterKind(slot.kind)) continue;
      int index = IndexOf(slot.name);
      if (index < 0) {
        index = static_cast<int>(tensors_.size());
        tensors_.emplace_back();
        tensors_.back().slot = &slot;
        tensors_.back().wanted = slot.kind != RECURVE_SLOT_ADJOINT;
      }
      const bool writes = slot.kind == RECURVE_SLOT_OUTPUT || (slot.kind == RECURVE_SLOT_STATE && name == "step");
      tensors_[static_cast<size_t>(index)].is_written |= writes;
      call.tensors.back() = index;
    }
    calls_.push_back(std::move(call));
  }
}

int Frame::IndexOf(std::string_view name) const {
  for (size_t i = 0; i < tensors_.size(); ++i) {
    if (name == tensors_[i].slot->name) return static_cast<int>(i);
  }
  return -1;
}

const recurve_slot* Frame::FindTensor(std::string_view name) const {
  const int index = IndexOf(name);
  return index < 0 ? nullptr : tensors_[static_cast<size_t>(index)].slot;
}

std::vector<const recurve_slot*> Frame::tensors() const {
  std::vector<const recurve_slot*> slots;
  for (const TensorState& tensor : tensors_) slots.push_back(tensor.slot);
  return slots;
}

void Frame::Invalidate() {
  for (Call& call : calls_) call.is_ready = false;
}

std::expected<size_t, Error> Frame::Count(const recurve_slot& slot) const {
  if (auto count = ElementCount(slot, extents_)) return *count;
  return Fail(
      fmt::format("tensor `{}` {} of `{}` exceeds memory", slot.name, program().ShapeText(slot), program().name()));
}

std::expected<Frame::Memory, Error> Frame::Values(std::string_view name, ElementType type) {
  const int index = IndexOf(name);
  if (index < 0) {
    const bool is_parameter = program().FindParameter(name) != nullptr;
    return Fail(fmt::format("program `{}` has no tensor `{}`{}", program().name(), name,
                            is_parameter ? "; it is a parameter" : ""));
  }
  TensorState& tensor = tensors_[static_cast<size_t>(index)];
  const ElementType actual = program().ElementOf(*tensor.slot);
  if (actual != type) {
    return Fail(
        fmt::format("tensor `{}` of `{}` is {}, asked for as {}", name, program().name(), Name(actual), Name(type)));
  }
  if (tensor.bound_const) return Fail(fmt::format("tensor `{}` is bound to memory that may only be read", name));
  const auto count = Count(*tensor.slot);
  if (!count) return std::unexpected(count.error());
  if (tensor.slot->kind == RECURVE_SLOT_ADJOINT && !tensor.wanted) {
    tensor.wanted = true;
    Invalidate();
  }
  if (tensor.bound != nullptr) return Memory{tensor.bound, *count};
  if (!tensor.buffer.Reserve(*count * ElementBytes(actual))) {
    return Fail(fmt::format("cannot hold tensor `{}` {}: out of memory", name, program().ShapeText(*tensor.slot)));
  }
  return Memory{tensor.buffer.data(), *count};
}

std::expected<void, Error> Frame::Fill(std::string_view name, double value) {
  const auto memory = Values(name, program().element());
  if (!memory) return std::unexpected(memory.error());
  Visit(program().element(), memory->data, memory->count,
        [&]<typename T>(std::span<T> values) { std::ranges::fill(values, static_cast<T>(value)); });
  return {};
}

std::expected<std::vector<double>, Error> Frame::Get(std::string_view name) {
  const recurve_slot* slot = FindTensor(name);
  const ElementType type = slot == nullptr ? program().element() : program().ElementOf(*slot);
  const auto memory = Values(name, type);
  if (!memory) return std::unexpected(memory.error());
  std::vector<double> result(memory->count);
  Visit(type, memory->data, memory->count, [&](auto values) { std::ranges::copy(values, result.begin()); });
  return result;
}

std::expected<void, Error> Frame::Set(std::string_view name, std::span<const double> values) {
  const recurve_slot* slot = FindTensor(name);
  const ElementType type = slot == nullptr ? program().element() : program().ElementOf(*slot);
  const auto memory = Values(name, type);
  if (!memory) return std::unexpected(memory.error());
  if (memory->count != values.size()) {
    return Fail(fmt::format("tensor `{}` {} has {} elements, given {}", name, program().ShapeText(*slot), memory->count,
                            values.size()));
  }
  for (const double value : values) {
    if (type != ElementType::kI32) break;
    if (!(value >= 0 && value <= INT32_MAX) || value != std::floor(value)) {
      return Fail(fmt::format("tensor `{}` holds indices, given {}", name, value));
    }
  }
  Visit(type, memory->data, memory->count, [&]<typename T>(std::span<T> elements) {
    std::ranges::transform(values, elements.begin(), [](double value) { return static_cast<T>(value); });
  });
  return {};
}

std::expected<void, Error> Frame::Copy(std::string_view from, std::string_view to) {
  const recurve_slot* slot = FindTensor(from);
  const ElementType type = slot == nullptr ? program().element() : program().ElementOf(*slot);
  const auto source = Values(from, type), target = Values(to, type);
  if (!source) return std::unexpected(source.error());
  if (!target) return std::unexpected(target.error());
  if (source->count != target->count) {
    return Fail(fmt::format("tensor `{}` has {} elements, `{}` has {}", from, source->count, to, target->count));
  }
  if (source->data != target->data) std::memcpy(target->data, source->data, source->count * ElementBytes(type));
  return {};
}

std::expected<void, Error> Frame::BindMemory(std::string_view name, ElementType type, bool is_const, void* data,
                                             size_t count) {
  const int index = IndexOf(name);
  if (index < 0) return Fail(fmt::format("program `{}` has no tensor `{}`", program().name(), name));
  TensorState& tensor = tensors_[static_cast<size_t>(index)];
  if (count == 0) {
    tensor.bound = nullptr;
    tensor.bound_const = false;
    Invalidate();
    return {};
  }
  const ElementType actual = program().ElementOf(*tensor.slot);
  if (actual != type) {
    return Fail(
        fmt::format("tensor `{}` of `{}` is {}, bound to {}", name, program().name(), Name(actual), Name(type)));
  }
  const auto expected = Count(*tensor.slot);
  if (!expected) return std::unexpected(expected.error());
  if (*expected != count) {
    return Fail(fmt::format("tensor `{}` {} has {} elements, bound to {}", name, program().ShapeText(*tensor.slot),
                            *expected, count));
  }
  if (is_const && tensor.is_written) {
    return Fail(fmt::format("tensor `{}` is written, bound to memory that may only be read", name));
  }
  tensor.bound = data;
  tensor.bound_const = is_const;
  tensor.wanted = true;
  Invalidate();
  return {};
}

std::expected<void, Error> Frame::Want(std::string_view name, bool wanted) {
  const int index = IndexOf(name);
  if (index < 0) return Fail(fmt::format("program `{}` has no tensor `{}`", program().name(), name));
  TensorState& tensor = tensors_[static_cast<size_t>(index)];
  if (tensor.slot->kind != RECURVE_SLOT_OUTPUT && tensor.slot->kind != RECURVE_SLOT_ADJOINT) {
    return Fail(
        fmt::format("tensor `{}` of `{}` is read by its entries and cannot be left out", name, program().name()));
  }
  tensor.wanted = wanted;
  Invalidate();
  return {};
}

std::expected<void, Error> Frame::ResizeAxis(std::string_view axis, size_t size) {
  const auto index = program().FindAxis(axis);
  if (!index) return Fail(fmt::format("program `{}` has no axis `{}`", program().name(), axis));
  if (size == 0) return Fail(fmt::format("axis `{}` of `{}` cannot be 0", axis, program().name()));
  const size_t old = extents_[*index];
  if (old == size) return {};
  extents_[*index] = size;
  for (const TensorState& tensor : tensors_) {
    if (auto count = Count(*tensor.slot); !count) {
      extents_[*index] = old;
      return std::unexpected(count.error());
    }
  }
  for (TensorState& tensor : tensors_) {
    if (!HasAxis(*tensor.slot, *index)) continue;
    tensor.bound = nullptr;
    tensor.bound_const = false;
    if (tensor.buffer.data() != nullptr) std::memset(tensor.buffer.data(), 0, tensor.buffer.bytes());
  }
  Invalidate();
  return {};
}

// Brings a call's slot values up to date with buffers and sizes.
std::expected<void, Error> Frame::Prepare(Call& call) {
  const recurve_entry& entry = *call.entry;
  if (std::ranges::find(extents_, 0) != extents_.end())
    return Fail(fmt::format("cannot run `{}`: an axis is 0", entry.name));
  bool has_moved = false;
  const auto reserve = [&](AlignedMemory& buffer, size_t bytes,
                           std::string_view what) -> std::expected<uintptr_t, Error> {
    const std::byte* before = buffer.data();
    const bool has_room = buffer.Reserve(bytes);
    has_moved |= buffer.data() != before;
    if (has_room) return reinterpret_cast<uintptr_t>(buffer.data());
    return Fail(fmt::format("cannot run `{}` of `{}`: no memory for {} of {} bytes", entry.name, program().name(), what,
                            bytes));
  };
  for (size_t i = 0; i < call.values.size(); ++i) {
    const recurve_slot& slot = entry.slots[i];
    std::expected<uintptr_t, Error> value = 0;
    switch (static_cast<recurve_slot_kind>(slot.kind)) {
      case RECURVE_SLOT_EXTENT: value = extents_[*program().FindAxis(slot.name)]; break;
      case RECURVE_SLOT_PARAMETER:
      case RECURVE_SLOT_CONSTANT:
        if (auto address = parameters_->Address(slot.name))
          value = reinterpret_cast<uintptr_t>(*address);
        else
          value = std::unexpected(address.error());
        break;
      case RECURVE_SLOT_INPUT:
      case RECURVE_SLOT_STATE:
      case RECURVE_SLOT_ADJOINT:
      case RECURVE_SLOT_OUTPUT: {
        TensorState& tensor = tensors_[static_cast<size_t>(call.tensors[i])];
        if (!tensor.wanted) break;
        const auto count = Count(slot);
        if (!count) return std::unexpected(count.error());
        value = tensor.bound != nullptr
                    ? reinterpret_cast<uintptr_t>(tensor.bound)
                    : reserve(tensor.buffer, *count * ElementBytes(program().ElementOf(slot)), slot.name);
        break;
      }
      case RECURVE_SLOT_PACKED: value = reinterpret_cast<uintptr_t>(parameters_->packed()); break;
      case RECURVE_SLOT_TAPE: {
        const auto tape_bytes = program().descriptor().tape_bytes;
        value = reserve(tape_, tape_bytes == nullptr ? 0 : tape_bytes(extents_.data()), "a tape");
        break;
      }
      case RECURVE_SLOT_WORKSPACE:
        value = reserve(workspace_, entry.workspace_bytes == nullptr ? 0 : entry.workspace_bytes(extents_.data()),
                        "a workspace");
        break;
      case RECURVE_SLOT_TEAM: value = reinterpret_cast<uintptr_t>(threads_); break;
    }
    if (!value) return std::unexpected(value.error());
    call.values[i] = *value;
  }
  if (has_moved) Invalidate();  // under the other entries, which may share the buffer
  call.is_ready = true;
  return {};
}

std::expected<void, Error> Frame::CheckIndices(const Call& call) const {
  for (const size_t i : call.indices) {
    const recurve_slot& slot = call.entry->slots[i];
    const auto* data = reinterpret_cast<const int32_t*>(call.values[i]);
    const size_t count = *ElementCount(slot, extents_);
    // One comparison covers both ends: a negative index is a large unsigned one. The loop has no exit and vectorizes.
    const auto limit = static_cast<uint32_t>(std::clamp<int64_t>(slot.classes, 0, INT32_MAX));
    bool is_inside = true;
    for (size_t k = 0; k < count; ++k) is_inside &= static_cast<uint32_t>(data[k]) < limit;
    if (is_inside) continue;
    const auto* wrong = std::find_if(data, data + count, [&](int32_t x) { return static_cast<uint32_t>(x) >= limit; });
    return Fail(fmt::format("cannot run `{}` of `{}`: element {} of `{}` is {}, outside [0, {})", call.entry->name,
                            program().name(), wrong - data, slot.name, *wrong, slot.classes));
  }
  return {};
}

Frame::Call* Frame::FindCall(std::string_view entry) {
  const auto found = std::ranges::find(calls_, entry, &Call::name);
  return found == calls_.end() ? nullptr : &*found;
}

std::expected<void, Error> Frame::Run(std::string_view entry) {
  Call* call = FindCall(entry);
  if (call == nullptr) return Fail(fmt::format("program `{}` has no entry `{}`", program().name(), entry));
  return Run(*call);
}

std::expected<void, Error> Frame::Run(Call& call) {
  if (!parameters_->is_packed()) {
    if (auto packed = parameters_->Pack(threads_); !packed) return packed;
  }
  if (!call.is_ready) {
    if (auto prepared = Prepare(call); !prepared) return prepared;
  }
  if (!call.indices.empty()) {
    if (auto checked = CheckIndices(call); !checked) return checked;
  }
  call.entry->run(call.values.data());
  return {};
}

Session::Session(std::shared_ptr<Parameters> parameters) : Frame(std::move(parameters), kSequenceEntries) {}

std::expected<void, Error> Session::SetExtent(std::string_view axis, size_t size) {
  if (Extent(axis) != size) has_tape_ = false;
  return ResizeAxis(axis, size);
}

size_t Session::Extent(std::string_view axis) const {
  const auto index = program().FindAxis(axis);
  return index ? extents_[*index] : 0;
}

std::expected<void, Error> Session::Forward() {
  auto done = Run("forward");
  has_tape_ = done.has_value();
  return done;
}

std::expected<void, Error> Session::Evaluate() {
  return Run(program().FindEntry("evaluate") != nullptr ? "evaluate" : "forward");
}

std::expected<void, Error> Session::Inference() { return Run("inference"); }

std::expected<void, Error> Session::Backward() {
  if (!has_tape_ && program().FindEntry("backward") != nullptr) {
    return Fail(fmt::format("cannot run `backward` of `{}`: no `forward` has run with these sizes", program().name()));
  }
  return Run("backward");
}

Stream::Stream(std::shared_ptr<Parameters> parameters, size_t batch)
    : Frame(std::move(parameters), kStepEntries), step_(FindCall("step")) {
  // A program without a batch axis has streams of one; a batch that cannot be is reported by the first Step.
  if (const auto axis = program().FindAxis("B")) extents_[*axis] = batch;
}

std::expected<void, Error> Stream::SetExtent(std::string_view axis, size_t size) { return ResizeAxis(axis, size); }

std::expected<void, Error> Stream::Encode() {
  has_begun_ = true;
  return Run("encode");
}

std::expected<void, Error> Stream::Step() {
  if (!has_begun_) {
    has_begun_ = true;
    if (program().FindEntry("reset") != nullptr) {
      if (auto reset = Run("reset"); !reset) return reset;
    }
  }
  return step_ != nullptr ? Run(*step_) : Run("step");
}

std::expected<void, Error> Stream::Reset() {
  has_begun_ = true;
  if (program().FindEntry("reset") != nullptr) return Run("reset");
  for (const TensorState& tensor : tensors_) {
    if (tensor.slot->kind != RECURVE_SLOT_STATE) continue;
    if (auto done = Fill(tensor.slot->name, 0); !done) return done;
  }
  return {};
}

}  // namespace recurve

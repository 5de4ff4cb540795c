#include "runtime/program.h"

#include <dlfcn.h>

#include <limits>

#include <fmt/format.h>

namespace recurve {
namespace {

// The entries whose tensors are one family: a name means the same tensor in all of them. `step` and `pack` stand alone.
bool SharesTensors(std::string_view entry) {
  return entry != "step" && entry != "reset" && entry != "encode" && entry != "update" && entry != "pack";
}

bool IsParameter(const recurve_slot& slot) {
  return slot.kind == RECURVE_SLOT_PARAMETER || slot.kind == RECURVE_SLOT_CONSTANT;
}

bool SameShape(const recurve_slot& a, const recurve_slot& b) {
  if (a.rank != b.rank || a.is_index != b.is_index) return false;
  for (int i = 0; i < a.rank; ++i) {
    if (a.dims[i] != b.dims[i]) return false;
  }
  return true;
}

// Says what is wrong with a slot on its own, or nothing.
std::optional<std::string> FlawOf(const recurve_slot& slot, const recurve_program& program) {
  if (slot.name == nullptr) return "a slot has no name";
  if (slot.kind < RECURVE_SLOT_EXTENT || slot.kind > RECURVE_SLOT_TEAM) {
    return fmt::format("slot `{}` is of unknown kind {}", slot.name, slot.kind);
  }
  if (slot.rank < 0 || slot.rank > RECURVE_MAX_AXES || (slot.rank > 0 && slot.dims == nullptr)) {
    return fmt::format("slot `{}` has {} axes", slot.name, slot.rank);
  }
  for (int i = 0; i < slot.rank; ++i) {
    const recurve_dim dim = slot.dims[i];
    if (dim < 0 && -1 - dim >= program.axis_count) {
      return fmt::format("slot `{}` refers to axis {} of {}", slot.name, -1 - dim, program.axis_count);
    }
    if (dim < 0 && IsParameter(slot)) return fmt::format("parameter `{}` has a symbolic axis", slot.name);
  }
  if (IsParameter(slot) && !ElementCount(slot, {})) return fmt::format("parameter `{}` exceeds memory", slot.name);
  return std::nullopt;
}

// Says what is wrong with the descriptor's own fields, or nothing.
std::optional<std::string> FlawOf(const recurve_program& program) {
  if (program.name == nullptr) return "it has no name";
  if (program.element_bytes != 4 && program.element_bytes != 8) {
    return fmt::format("its elements have {} bytes", program.element_bytes);
  }
  if (program.axis_count < 0 || program.axis_count > RECURVE_MAX_AXES) {
    return fmt::format("it has {} axes", program.axis_count);
  }
  for (int i = 0; i < program.axis_count; ++i) {
    if (program.axes == nullptr || program.axes[i] == nullptr) return "an axis has no name";
  }
  if (program.entry_count < 0 || (program.entry_count > 0 && program.entries == nullptr)) return "it has no entries";
  for (int i = 0; i < program.entry_count; ++i) {
    const recurve_entry& entry = program.entries[i];
    if (entry.name == nullptr || entry.run == nullptr) return "an entry has no name or no code";
    if (entry.slot_count < 0 || (entry.slot_count > 0 && entry.slots == nullptr)) {
      return fmt::format("entry `{}` has no slots", entry.name);
    }
  }
  return std::nullopt;
}

}  // namespace

std::string_view Name(ElementType type) {
  switch (type) {
    case ElementType::kF32: return "f32";
    case ElementType::kF64: return "f64";
    case ElementType::kI32: return "i32";
  }
  return "";
}

bool IsTensor(const recurve_slot& slot) { return slot.kind >= RECURVE_SLOT_INPUT && slot.kind <= RECURVE_SLOT_OUTPUT; }

std::optional<size_t> ElementCount(const recurve_slot& slot, std::span<const size_t> extents) {
  // Half of the address space in elements of 8 bytes: later arithmetic on byte counts cannot overflow either.
  constexpr size_t kLargest = std::numeric_limits<size_t>::max() / 16;
  size_t count = 1;
  for (int i = 0; i < slot.rank; ++i) {
    const recurve_dim dim = slot.dims[i];
    const size_t extent = dim >= 0 ? static_cast<size_t>(dim) : extents[static_cast<size_t>(-1 - dim)];
    if (extent != 0 && count > kLargest / extent) return std::nullopt;
    count *= extent;
  }
  return count;
}

struct Program::Contents {
  const recurve_program* program = nullptr;
  std::shared_ptr<const void> keep_alive;
  std::vector<const recurve_slot*> parameters;
};

std::expected<Program, Error> Program::Wrap(const recurve_program* program, std::shared_ptr<const void> keep_alive) {
  if (program == nullptr) return std::unexpected(Error{"cannot use a program: its descriptor is null"});
  if (program->abi_version != RECURVE_ABI_VERSION) {
    return std::unexpected(
        Error{fmt::format("cannot use a program: it was compiled for ABI version {}, this runtime has {}",
                          program->abi_version, RECURVE_ABI_VERSION)});
  }
  if (auto flaw = FlawOf(*program)) return std::unexpected(Error{"cannot use a program: " + *flaw});
  const auto fail = [&](std::string_view flaw) {
    return std::unexpected(Error{fmt::format("cannot use program `{}`: {}", program->name, flaw)});
  };

  auto contents = std::make_shared<Contents>();
  contents->program = program;
  contents->keep_alive = std::move(keep_alive);
  std::vector<const recurve_slot*> family;
  // Adds a slot to the names seen so far, or finds that it contradicts an earlier one.
  const auto agrees = [](std::vector<const recurve_slot*>& seen, const recurve_slot& slot) {
    for (const recurve_slot* other : seen) {
      if (std::string_view(other->name) == slot.name) return SameShape(*other, slot);
    }
    seen.push_back(&slot);
    return true;
  };
  const Program result(contents);
  for (const recurve_entry& entry : result.entries()) {
    std::vector<const recurve_slot*> alone;
    for (const recurve_slot& slot : std::span(entry.slots, static_cast<size_t>(entry.slot_count))) {
      if (auto flaw = FlawOf(slot, *program)) return fail(*flaw);
      if (slot.kind == RECURVE_SLOT_EXTENT && !result.FindAxis(slot.name)) {
        return fail(fmt::format("entry `{}` asks for axis `{}`", entry.name, slot.name));
      }
      if (!IsTensor(slot)) continue;
      auto& seen = IsParameter(slot) ? contents->parameters : SharesTensors(entry.name) ? family : alone;
      if (!agrees(seen, slot)) return fail(fmt::format("`{}` has two shapes", slot.name));
    }
  }
  return result;
}

std::expected<Program, Error> Program::Load(const std::string& library, std::string_view name) {
  void* handle = dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) return std::unexpected(Error{fmt::format("cannot load `{}`: {}", library, dlerror())});
  std::shared_ptr<const void> keep_alive(handle, [](const void* loaded) { dlclose(const_cast<void*>(loaded)); });
  const std::string symbol = fmt::format("{}_program", name);
  const void* program = dlsym(handle, symbol.c_str());
  if (program == nullptr) return std::unexpected(Error{fmt::format("cannot find `{}` in `{}`", symbol, library)});
  return Wrap(static_cast<const recurve_program*>(program), std::move(keep_alive));
}

const recurve_program& Program::descriptor() const { return *contents_->program; }

std::span<const char* const> Program::axes() const {
  return {descriptor().axes, static_cast<size_t>(descriptor().axis_count)};
}

std::optional<size_t> Program::FindAxis(std::string_view name) const {
  for (size_t i = 0; i < axes().size(); ++i) {
    if (name == axes()[i]) return i;
  }
  return std::nullopt;
}

std::span<const recurve_entry> Program::entries() const {
  return {descriptor().entries, static_cast<size_t>(descriptor().entry_count)};
}

const recurve_entry* Program::FindEntry(std::string_view name) const {
  for (const recurve_entry& entry : entries()) {
    if (name == entry.name) return &entry;
  }
  return nullptr;
}

const recurve_slot* Program::FindSlot(const recurve_entry& entry, std::string_view name) {
  for (const recurve_slot& slot : std::span(entry.slots, static_cast<size_t>(entry.slot_count))) {
    if (name == slot.name) return &slot;
  }
  return nullptr;
}

std::span<const recurve_slot* const> Program::parameters() const { return contents_->parameters; }

const recurve_slot* Program::FindParameter(std::string_view name) const {
  for (const recurve_slot* slot : parameters()) {
    if (name == slot->name) return slot;
  }
  return nullptr;
}

std::string Program::ShapeText(const recurve_slot& slot) const {
  std::string text = "[";
  for (int i = 0; i < slot.rank; ++i) {
    if (i > 0) text += ", ";
    const recurve_dim dim = slot.dims[i];
    text += dim >= 0 ? fmt::format("{}", dim) : axes()[static_cast<size_t>(-1 - dim)];
  }
  return text + "]";
}

}  // namespace recurve

// compiler/c_names.cpp: reserved words, and who overwrites what.

#include "compiler/c_names.h"

#include <fmt/format.h>

#include <algorithm>

namespace recurve {
namespace {

// Words that C99 to C23 or C++98 to C++23 keep to themselves, and macros that GNU dialects define on common systems;
// each between spaces.
constexpr std::string_view kReserved =
    " "
    "NULL _Alignas _Alignof _Atomic _BitInt _Bool _Complex _Decimal128 _Decimal32 _Decimal64 _Generic _Imaginary "
    "_Noreturn _Static_assert _Thread_local alignas alignof and and_eq asm auto bitand bitor bool break case "
    "catch char char16_t char32_t char8_t class co_await co_return co_yield compl concept const const_cast "
    "consteval constexpr constinit continue decltype default delete do double dynamic_cast else enum explicit "
    "export extern false float for friend goto if inline int linux long mutable namespace new noexcept not not_eq "
    "nullptr operator or or_eq private protected public register reinterpret_cast requires restrict return short "
    "signed sizeof static static_assert static_cast struct switch template this thread_local throw true try "
    "typedef typeid typename typeof typeof_unqual union unix unsigned using virtual void volatile wchar_t while "
    "xor xor_eq ";

bool IsReserved(const std::string& word) { return kReserved.contains(" " + word + " "); }

}  // namespace

std::string CScope::Take(std::string_view name) {
  std::string wanted = CIdentifier(name);
  if (IsReserved(wanted)) wanted += '_';
  std::string identifier = wanted;
  for (int copy = 2; !taken_.insert(identifier).second; ++copy) identifier = fmt::format("{}_{}", wanted, copy);
  return identifier;
}

std::string Upper(std::string_view text) {
  std::string result(text);
  std::ranges::transform(result, result.begin(), [](char c) { return c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c; });
  return result;
}

bool CEntry::Overwrites(const Slot& slot) const {
  switch (slot.kind) {
    case RECURVE_SLOT_STATE: return OverwritesStates(entry->name);
    case RECURVE_SLOT_PACKED: return entry->name == "pack";
    case RECURVE_SLOT_TAPE: return entry->name == "forward";
    case RECURVE_SLOT_OUTPUT:
    case RECURVE_SLOT_WORKSPACE: return true;
    case RECURVE_SLOT_EXTENT:
    case RECURVE_SLOT_INPUT:
    case RECURVE_SLOT_PARAMETER:
    case RECURVE_SLOT_CONSTANT:
    case RECURVE_SLOT_ADJOINT:
    case RECURVE_SLOT_TEAM: return false;
  }
  return false;
}

bool CEntry::Has(recurve_slot_kind kind) const {
  return std::ranges::any_of(members, [&](const CMember& member) { return member.slot->kind == kind; });
}

CProgram::CProgram(const ProgramInterface& program) : interface(program), name(CIdentifier(program.name)) {
  CScope axis_names{"extents", "bytes", "largest"};
  for (const std::string& axis : program.axes) axes.push_back(axis_names.Take(axis));
  for (const EntryInterface& entry : program.entries) {
    CEntry& c_entry = entries.emplace_back(CEntry{&entry, EntrySymbol(program, entry), CIdentifier(entry.name), {}});
    CScope names;
    for (const Slot& slot : entry.slots) c_entry.members.push_back({&slot, names.Take(slot.name)});
  }
}

const CEntry* CProgram::FindFirst(std::initializer_list<std::string_view> names) const {
  for (std::string_view wanted : names) {
    auto found = std::ranges::find(entries, wanted, [](const CEntry& entry) { return entry.entry->name; });
    if (found != entries.end()) return &*found;
  }
  return nullptr;
}

std::string CProgram::AxisIdentifier(std::string_view axis) const {
  auto found = std::ranges::find(interface.axes, axis);
  return found == interface.axes.end() ? CIdentifier(axis) : axes[found - interface.axes.begin()];
}

std::string_view CProgram::ElementType() const { return interface.precision == Precision::kF32 ? "float" : "double"; }

CStream CStream::Of(const CProgram& program) {
  CStream stream;
  const CEntry* step = program.FindFirst({"step"});
  if (step == nullptr || step->Has(RECURVE_SLOT_PARAMETER) || step->Has(RECURVE_SLOT_CONSTANT)) return {};
  for (const CMember& member : step->members) {
    const Slot& slot = *member.slot;
    if (slot.kind != RECURVE_SLOT_STATE && slot.kind != RECURVE_SLOT_INPUT && slot.kind != RECURVE_SLOT_OUTPUT)
      continue;
    if (ElementsOfOne(slot.shape) == 0) return {};
    std::vector<CMember>& list = slot.kind == RECURVE_SLOT_STATE   ? stream.states
                                 : slot.kind == RECURVE_SLOT_INPUT ? stream.inputs
                                                                   : stream.outputs;
    list.push_back(member);
  }
  if (program.interface.packed_bytes == 0) stream.step = step;
  return stream;
}

int64_t ElementsOfOne(const ir::Shape& shape) {
  int64_t elements = 1;
  for (const ir::Dim& dim : shape) {
    if (dim.is_constant()) elements *= dim.extent;
    if (!dim.is_constant() && dim.axis != "B") return 0;
  }
  return elements;
}

}  // namespace recurve

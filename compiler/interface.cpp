// compiler/interface.cpp: the names by which the parts of a compiled program find each other.

#include "compiler/interface.h"

#include <algorithm>
#include <set>

namespace recurve {
namespace {

// Locale-free, unlike <cctype>.
bool IsIdentifierCharacter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

}  // namespace

std::string CIdentifier(std::string_view name) {
  std::string identifier(name);
  std::ranges::replace_if(identifier, [](char c) { return !IsIdentifierCharacter(c); }, '_');
  if (identifier.empty() || (identifier[0] >= '0' && identifier[0] <= '9')) identifier.insert(0, "_");
  return identifier;
}

std::string EntrySymbol(const ProgramInterface& program, const EntryInterface& entry) {
  return CIdentifier(program.name) + "_" + CIdentifier(entry.name);
}

std::string WorkspaceSymbol(const ProgramInterface& program, const EntryInterface& entry) {
  return EntrySymbol(program, entry) + "_workspace_bytes";
}

std::string TapeSymbol(const ProgramInterface& program) { return CIdentifier(program.name) + "_tape_bytes"; }

std::string ExportedTapeSymbol(const ProgramInterface& program) {
  return CIdentifier(program.name) + "_forward_tape_bytes";
}

std::string DescriptorSymbol(std::string_view program_name) { return CIdentifier(program_name) + "_program"; }

std::string InfoSymbol(const ProgramInterface& program) { return CIdentifier(program.name) + "_info"; }

std::vector<const Slot*> ParametersOf(const ProgramInterface& program) {
  std::vector<const Slot*> parameters;
  std::set<std::string_view> seen;
  for (const EntryInterface& entry : program.entries) {
    for (const Slot& slot : entry.slots) {
      const bool is_parameter = slot.kind == RECURVE_SLOT_PARAMETER || slot.kind == RECURVE_SLOT_CONSTANT;
      if (is_parameter && seen.insert(slot.name).second) parameters.push_back(&slot);
    }
  }
  return parameters;
}

bool HasWorkspace(const EntryInterface& entry) {
  return std::ranges::any_of(entry.slots, [](const Slot& slot) { return slot.kind == RECURVE_SLOT_WORKSPACE; });
}

}  // namespace recurve

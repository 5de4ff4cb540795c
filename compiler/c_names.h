// compiler/c_names.h: a program's entries, slots and axes under names that C accepts.
//
// Headers and examples are printed from it, so that both call everything alike.

#ifndef RECURVE_COMPILER_C_NAMES_H_
#define RECURVE_COMPILER_C_NAMES_H_

#include <initializer_list>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "compiler/interface.h"

namespace recurve {

// One scope of C names.
class CScope {
 public:
  CScope() = default;
  CScope(std::initializer_list<std::string> taken) : taken_(taken) {}

  // An identifier like `name` that is no word of C or C++ and that nobody has in this scope.
  std::string Take(std::string_view name);

 private:
  std::set<std::string> taken_;
};

std::string Upper(std::string_view text);

struct CMember {
  const Slot* slot;
  std::string identifier;
};

// An entry with the C names of its slots.
struct CEntry {
  const EntryInterface* entry;
  std::string symbol, identifier;
  std::vector<CMember> members;

  bool Overwrites(const Slot& slot) const;
  bool Has(recurve_slot_kind kind) const;
};

struct CProgram {
  explicit CProgram(const ProgramInterface& program);

  // The first entry of the program that has one of these names, in their order; null if there is none.
  const CEntry* FindFirst(std::initializer_list<std::string_view> names) const;
  std::string AxisIdentifier(std::string_view axis) const;
  std::string_view ElementType() const;  // "float"

  const ProgramInterface& interface;
  std::string name;
  std::vector<std::string> axes;  // in the order of the program's
  std::vector<CEntry> entries;
};

// How one sequence is run a step at a time with nothing but a state of its own: of a program that has `step`, and the
// weights of it inside.
struct CStream {
  const CEntry* step = nullptr;
  std::vector<CMember> states, inputs, outputs;

  // Empty `step` if the program has no such form: it wants weights, or the size of another axis than the batch.
  static CStream Of(const CProgram& program);
};

// Elements of a value for a batch of one; 0 if it has another axis of unknown size.
int64_t ElementsOfOne(const ir::Shape& shape);

}  // namespace recurve

#endif  // RECURVE_COMPILER_C_NAMES_H_

// frontend/builtins.h: the primitive functions of the language.
//
// Every elementwise row of ir/ops.def is a function of its name: a new row is in the language at once. Beside them
// stand the few functions that reduce, join or contract. `split` and `eye` take an extent and are the elaborator's.

#ifndef RECURVE_FRONTEND_BUILTINS_H_
#define RECURVE_FRONTEND_BUILTINS_H_

#include <string>
#include <string_view>
#include <vector>

#include "frontend/typing.h"

namespace recurve::frontend {

struct Builtin {
  std::string_view name;
  int arity = 1;  // kAnyArity: one or more
  TermId (*apply)(Typing& typing, const std::vector<TermId>& args, const Range& range) = nullptr;
};
inline constexpr int kAnyArity = -1;

const std::vector<Builtin>& Builtins();
const Builtin* FindBuiltin(std::string_view name, size_t arguments);

// Functions that the language plans and does not have; a person who types one deserves to be told so.
bool IsPlanned(std::string_view name);

}  // namespace recurve::frontend

#endif  // RECURVE_FRONTEND_BUILTINS_H_

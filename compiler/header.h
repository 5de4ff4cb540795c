// compiler/header.h: the C header of a compiled program.
//
// All that a C or C++ program needs to use the object, and nothing from this project: a struct of arguments for each
// entry with named members in the order of its slots, prototypes, sizes, and in comments the shapes, units, ownership,
// alignment and initial distributions, with an example on top. C99 and C++, without warnings.
//
// Names become C identifiers: other characters turn into `_`, a keyword gets a `_` behind it, and of two names that
// fall together the later one gets `_2`.

#ifndef RECURVE_COMPILER_HEADER_H_
#define RECURVE_COMPILER_HEADER_H_

#include <string>

#include "compiler/interface.h"

namespace recurve {

std::string CHeader(const ProgramInterface& program);

}  // namespace recurve

#endif  // RECURVE_COMPILER_HEADER_H_

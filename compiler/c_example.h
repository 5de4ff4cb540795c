// compiler/c_example.h: a C program that runs every entry of an object once, to start one's own from.
//
// C99, with the C library for memory and printing. It fills the arguments with small numbers and prints what comes out.

#ifndef RECURVE_COMPILER_C_EXAMPLE_H_
#define RECURVE_COMPILER_C_EXAMPLE_H_

#include <string>

#include "compiler/interface.h"

namespace recurve {

// `header` is the name under which the program includes the object's header.
std::string CExample(const ProgramInterface& program, const std::string& header);

}  // namespace recurve

#endif  // RECURVE_COMPILER_C_EXAMPLE_H_

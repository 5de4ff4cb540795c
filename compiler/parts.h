// compiler/parts.h: a program for this process as several objects, that are compiled side by side.
//
// LLVM compiles a module on one thread, and is nearly all of the time that a program takes. Kernels do not need each
// other: they are dealt out to a module per thread, each of which is emitted and compiled by itself. Whatever part a
// function is in, its code is the same.

#ifndef RECURVE_COMPILER_PARTS_H_
#define RECURVE_COMPILER_PARTS_H_

#include <expected>
#include <string>
#include <vector>

#include "compiler/emit.h"
#include "compiler/interface.h"
#include "compiler/plan.h"
#include "compiler/target.h"
#include "runtime/error.h"

namespace recurve {

// Which functions are compiled together: `count` groups of about the same work, the first of which is compiled with
// the entries.
std::vector<std::vector<PlannedFunction>> DealOut(const Plan& plan, std::vector<PlannedFunction> functions, int count);

// The objects of the program, the first of which has its entries and descriptor: no more than `most`. Fails as
// ConsumeIntoObjectForHere does.
std::expected<std::vector<std::string>, Error> CompileParts(const Plan& plan, const ProgramInterface& interface,
                                                            const Target& target, int most);

}  // namespace recurve

#endif  // RECURVE_COMPILER_PARTS_H_

// ir/internal_error.h: the third kind of failure: we are wrong.
//
// A mistake in a user's program is a diagnostic and a failure of the world is an error value; this is neither. It stops
// the program with a sentence for us, and no input of a user's may ever reach it.

#ifndef RECURVE_IR_INTERNAL_ERROR_H_
#define RECURVE_IR_INTERNAL_ERROR_H_

#include <cstdio>
#include <cstdlib>
#include <string_view>

namespace recurve {

[[noreturn]] inline void StopOnInternalError(std::string_view what) {
  std::fprintf(stderr, "recurve: internal error: %.*s\n", static_cast<int>(what.size()), what.data());
  std::abort();
}

}  // namespace recurve

#endif  // RECURVE_IR_INTERNAL_ERROR_H_

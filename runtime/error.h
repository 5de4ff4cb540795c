// runtime/error.h: the world failed (a file, a target, a symbol, a wrong argument): what was being attempted, and why
// it could not be done. One sentence, lower case, no full stop.

#ifndef RECURVE_RUNTIME_ERROR_H_
#define RECURVE_RUNTIME_ERROR_H_

#include <string>

namespace recurve {

struct Error {
  std::string message;
};

}  // namespace recurve

#endif  // RECURVE_RUNTIME_ERROR_H_

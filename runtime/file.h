// runtime/file.h: whole files, in and out.

#ifndef RECURVE_RUNTIME_FILE_H_
#define RECURVE_RUNTIME_FILE_H_

#include <expected>
#include <string>
#include <string_view>

#include "runtime/error.h"

namespace recurve {

std::expected<std::string, Error> ReadFile(const std::string& path);

// Replaces the file as one step: others see the old contents or the new ones, also after a power failure. The new
// contents are written to a temporary file in the same directory, forced to the disk, and renamed.
std::expected<void, Error> WriteFile(const std::string& path, std::string_view contents);

// The same in less time, for what can be made again and is checked when it is read: after a power failure the file may
// hold anything.
std::expected<void, Error> WriteScratchFile(const std::string& path, std::string_view contents);

}  // namespace recurve

#endif  // RECURVE_RUNTIME_FILE_H_

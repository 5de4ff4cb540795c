// tests/support/commands.h: the shell, a temporary folder, and compilers run in it.

#ifndef RECURVE_TESTS_SUPPORT_COMMANDS_H_
#define RECURVE_TESTS_SUPPORT_COMMANDS_H_

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace recurve {

struct Outcome {
  int exit_code = -1;
  std::string output;  // of both streams
};
Outcome Shell(const std::string& command);

// Removed, with what is in it, at the end of its life.
class Folder {
 public:
  Folder();
  ~Folder();
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;

  const std::filesystem::path& path() const { return path_; }
  void Write(std::string_view name, std::string_view content) const;
  // Runs a shell command in the folder; returns what it printed, with a line on its exit status if that is not 0.
  std::string Run(std::string_view command) const;

 private:
  std::filesystem::path path_;
};

// The C compilers of this machine, among gcc, clang-22 and cc; at least one, or the test fails.
std::vector<std::string> CCompilers();
// Likewise of g++, clang++-22 and c++.
std::vector<std::string> CxxCompilers();

}  // namespace recurve

#endif  // RECURVE_TESTS_SUPPORT_COMMANDS_H_

// tests/support/commands.cpp: the shell, at arm's length.

#include "tests/support/commands.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>

namespace recurve {
namespace {

std::vector<std::string> Installed(std::initializer_list<std::string_view> names) {
  std::vector<std::string> result;
  for (std::string_view name : names) {
    if (std::system(fmt::format("command -v {} >/dev/null", name).c_str()) == 0) result.emplace_back(name);
  }
  EXPECT_FALSE(result.empty()) << "no compiler is installed";
  return result;
}

}  // namespace

Folder::Folder() {
  std::string name = (std::filesystem::temp_directory_path() / "recurve-test-XXXXXX").string();
  if (mkdtemp(name.data()) == nullptr) ADD_FAILURE() << "cannot make a temporary folder";
  path_ = name;
}

Folder::~Folder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

void Folder::Write(std::string_view name, std::string_view content) const {
  std::ofstream stream(path_ / name, std::ios::binary);
  stream << content;
  EXPECT_TRUE(stream.good()) << name;
}

Outcome Shell(const std::string& command) {
  Outcome outcome;
  FILE* pipe = popen(fmt::format("({}) 2>&1", command).c_str(), "r");
  if (pipe == nullptr) return {-1, "cannot run a shell"};
  char buffer[4096];
  while (size_t count = fread(buffer, 1, sizeof buffer, pipe)) outcome.output.append(buffer, count);
  outcome.exit_code = WEXITSTATUS(pclose(pipe));
  return outcome;
}

std::string Folder::Run(std::string_view command) const {
  Outcome outcome = Shell(fmt::format("cd '{}' && ({})", path_.string(), command));
  if (outcome.exit_code != 0) outcome.output += fmt::format("\nexit status {} of `{}`", outcome.exit_code, command);
  return std::move(outcome.output);
}

std::vector<std::string> CCompilers() { return Installed({"gcc", "clang-22", "cc"}); }
std::vector<std::string> CxxCompilers() { return Installed({"g++", "clang++-22", "c++"}); }

}  // namespace recurve

// tests/backend/commands.cpp: the shell, at arm's length.

#include "tests/backend/commands.h"

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
  std::string name = (std::filesystem::temp_directory_path() / "recurve-backend-XXXXXX").string();
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

std::string Folder::Run(std::string_view command) const {
  FILE* pipe = popen(fmt::format("cd '{}' && ({}) 2>&1", path_.string(), command).c_str(), "r");
  if (pipe == nullptr) return "cannot run a shell";
  std::string output;
  char buffer[4096];
  while (size_t count = fread(buffer, 1, sizeof buffer, pipe)) output.append(buffer, count);
  int status = pclose(pipe);
  if (status != 0) output += fmt::format("\nexit status {} of `{}`", WEXITSTATUS(status), command);
  return output;
}

std::vector<std::string> CCompilers() { return Installed({"gcc", "clang-22", "cc"}); }
std::vector<std::string> CxxCompilers() { return Installed({"g++", "clang++-22", "c++"}); }

}  // namespace recurve

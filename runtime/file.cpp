#include "runtime/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <system_error>

#include <fmt/format.h>

namespace recurve {
namespace {

// A file descriptor that closes itself.
class Descriptor {
 public:
  explicit Descriptor(int number) : number_(number) {}
  ~Descriptor() {
    if (number_ >= 0) close(number_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return number_; }
  bool is_open() const { return number_ >= 0; }

 private:
  int number_;
};

std::unexpected<Error> Fail(std::string_view attempt, const std::string& path, int error = errno) {
  return std::unexpected(
      Error{fmt::format("cannot {} `{}`: {}", attempt, path, std::generic_category().message(error))});
}

bool WriteAll(int descriptor, std::string_view contents) {
  while (!contents.empty()) {
    const ssize_t written = write(descriptor, contents.data(), contents.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return false;
    contents.remove_prefix(static_cast<size_t>(written));
  }
  return true;
}

std::expected<void, Error> Replace(const std::string& path, std::string_view contents, bool durable) {
  // Threads of one process may write one file, too.
  static std::atomic<int> number = 0;
  const std::string temporary = fmt::format("{}.{}.{}.tmp", path, getpid(), ++number);
  const auto write_it = [&]() -> std::expected<void, Error> {
    const Descriptor file(open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666));
    if (!file.is_open() || !WriteAll(file.get(), contents)) return Fail("write", path);
    if (durable && fsync(file.get()) != 0) return Fail("write", path);
    if (rename(temporary.c_str(), path.c_str()) != 0) return Fail("write", path);
    return {};
  };
  auto written = write_it();
  if (!written) unlink(temporary.c_str());
  return written;
}

}  // namespace

std::expected<std::string, Error> ReadFile(const std::string& path) {
  const Descriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file.is_open()) return Fail("read", path);
  struct stat status;
  if (fstat(file.get(), &status) != 0) return Fail("read", path);
  if (S_ISDIR(status.st_mode)) return Fail("read", path, EISDIR);
  // The size is a hint: a pipe has none, and a file may grow while it is read.
  std::string contents;
  contents.reserve(static_cast<size_t>(status.st_size) + 1);
  char block[1 << 16];
  for (;;) {
    const ssize_t count = read(file.get(), block, sizeof block);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return Fail("read", path);
    if (count == 0) return contents;
    contents.append(block, static_cast<size_t>(count));
  }
}

std::expected<void, Error> WriteScratchFile(const std::string& path, std::string_view contents) {
  return Replace(path, contents, /*durable=*/false);
}

std::expected<void, Error> WriteFile(const std::string& path, std::string_view contents) {
  auto written = Replace(path, contents, /*durable=*/true);
  if (!written) return written;
  const size_t slash = path.rfind('/');
  const std::string directory = slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
  // The new name itself must reach the disk too; a file system that cannot sync a directory has done what it can.
  const Descriptor parent(open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (parent.is_open()) fsync(parent.get());
  return {};
}

}  // namespace recurve

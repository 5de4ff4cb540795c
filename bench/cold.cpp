// bench/cold.cpp: this program as its own child.

#include "bench/cold.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <vector>

#include "bench/kernels.h"

namespace recurve::bench {
namespace {

constexpr int kStarts = 5;

double Median(std::vector<double> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

// The milliseconds that a child with this cache folder reports.
std::expected<double, Error> RunChild(std::string_view cell, const std::string& cache) {
  std::error_code failure;
  const std::string self = std::filesystem::read_symlink("/proc/self/exe", failure).string();
  const std::string command = fmt::format("RECURVE_CACHE_DIR='{}' '{}' --cold={}", cache, self, cell);
  std::FILE* output = popen(command.c_str(), "r");
  if (output == nullptr) return std::unexpected(Error{fmt::format("cannot run `{}`", command)});
  double milliseconds = 0;
  const bool is_read = std::fscanf(output, "%lf", &milliseconds) == 1;
  if (pclose(output) != 0 || !is_read) return std::unexpected(Error{fmt::format("`{}` failed", command)});
  return milliseconds;
}

}  // namespace

std::expected<CompileTime, Error> MeasureCompileTime(std::string_view cell) {
  namespace fs = std::filesystem;
  std::error_code failure;
  const fs::path cache = fs::temp_directory_path(failure) / fmt::format("recurve_bench_{}", getpid());
  std::vector<double> cold, kept;
  for (int start = 0; start < kStarts; ++start) {
    for (auto* times : {&cold, &kept}) {
      auto milliseconds = RunChild(cell, cache.string());
      if (!milliseconds) return std::unexpected(std::move(milliseconds.error()));
      times->push_back(*milliseconds);
    }
    fs::remove_all(cache, failure);
  }
  return CompileTime{Median(cold), Median(kept)};
}

int CompileInThisProcess(std::string_view cell) {
  const auto start = std::chrono::steady_clock::now();
  auto program = CompilePoint({std::string(cell), {1, 1, 256, 256}}, {"forward", "backward"});
  if (!program) return fmt::print(stderr, "recurve_bench: {}\n", program.error().message), 2;
  fmt::print("{}\n", std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count());
  return 0;
}

}  // namespace recurve::bench

// bench/cold.cpp: this program as its own child.

#include "bench/cold.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <ctime>
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

}  // namespace

std::expected<CompileTime, Error> MeasureCompileTime(std::string_view cell) {
  std::error_code failure;
  const std::string self = std::filesystem::read_symlink("/proc/self/exe", failure).string();
  std::vector<double> cold, warm;
  for (int start = 0; start < kStarts; ++start) {
    const std::string command = fmt::format("'{}' --cold={}", self, cell);
    std::FILE* output = popen(command.c_str(), "r");
    if (output == nullptr) return std::unexpected(Error{fmt::format("cannot run `{}`", command)});
    CompileTime time;
    const bool is_read = std::fscanf(output, "%lf %lf", &time.cold, &time.warm) == 2;
    if (pclose(output) != 0 || !is_read) return std::unexpected(Error{fmt::format("`{}` failed", command)});
    cold.push_back(time.cold);
    warm.push_back(time.warm);
  }
  return CompileTime{Median(cold), Median(warm)};
}

int CompileInThisProcess(std::string_view cell) {
  double milliseconds[2];
  for (double& time : milliseconds) {
    const std::clock_t start = std::clock();
    auto program = CompilePoint({std::string(cell), {1, 1, 256, 256}}, {"forward", "backward"});
    if (!program) return fmt::print(stderr, "recurve_bench: {}\n", program.error().message), 2;
    time = 1e3 * static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
  }
  fmt::print("{} {}\n", milliseconds[0], milliseconds[1]);
  return 0;
}

}  // namespace recurve::bench

// bench/main.cpp: how near the kernels come to what the machine can do. The command line, and what is written where.

#include <fmt/format.h>

#include <optional>
#include <string_view>

#include "bench/cold.h"
#include "bench/measure.h"
#include "bench/report.h"
#include "bench/roofline.h"
#include "bench/serve.h"
#include "runtime/file.h"

namespace recurve::bench {
namespace {

constexpr std::string_view kUsage = R"(usage: recurve_bench [OPTION...] [Google Benchmark's options]

  --only=REGEX        only figures whose name (CELL/T,B,I,H/PASS/THREADS) has a match; limits are always measured,
                      and nothing is written
  --repetitions=N     of each figure (5, at least 2); medians are reported
  --write             put tables and picture into bench/ (README.md, roofline.svg)
  --serve             answer the requests of bench/peers/engine.h instead
)";

int Fail(const Error& error) {
  fmt::print(stderr, "recurve_bench: {}\n", error.message);
  return 2;
}

std::string BenchPath(std::string_view name) { return fmt::format("{}/bench/{}", RECURVE_SOURCE_DIR, name); }

// Replaces the figures in the README, and draws the picture.
std::expected<void, Error> WriteResults(const Figures& figures, std::string_view report) {
  auto readme = ReadFile(BenchPath("README.md"));
  if (!readme) return std::unexpected(std::move(readme.error()));
  const std::string updated = ReplaceBetweenMarkers(*readme, "figures", report);
  if (updated.empty()) return std::unexpected(Error{"bench/README.md has no markers for the figures"});
  if (auto done = WriteFile(BenchPath("README.md"), updated); !done) return done;
  return WriteFile(BenchPath("roofline.svg"), DrawRoofline(MakeRoofline(figures)));
}

int Main(int argc, char** argv) {
  MeasureOptions options;
  bool write = false, serve = false;
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    auto value = [&](std::string_view name) {
      return argument.starts_with(name) ? std::optional(argument.substr(name.size())) : std::nullopt;
    };
    if (auto cell = value("--cold=")) return CompileInThisProcess(*cell);
    if (auto only = value("--only="))
      options.only = *only;
    else if (auto count = value("--repetitions="))
      options.repetitions = std::max(2, std::atoi(std::string(*count).c_str()));
    else if (argument == "--write")
      write = true;
    else if (argument == "--serve")
      serve = true;
    else if (argument == "--help")
      return fmt::print("{}", kUsage), 0;
    else
      options.arguments.emplace_back(argument);
  }

  auto team = Team::Start(kMaxThreads, /*pin=*/true);
  if (!team) return Fail(team.error());
  if (serve) return ServeKernels(*team), 0;

  auto text = ReadFile(BenchPath("targets.txt"));
  if (!text) return Fail(text.error());
  auto targets = Targets::Parse(*text);
  if (!targets) return Fail(targets.error());
  for (const std::string& cell : MissingCells()) fmt::print("no {}: not measured\n", CellPath(cell));

  auto figures = Measure(options, *team);
  if (!figures) return Fail(figures.error());
  if (options.only.empty()) {
    for (const Point& point : Grid()) {
      if (figures->compile_times.contains(point.cell) || IsStoredInBf16(point.cell)) continue;
      auto time = MeasureCompileTime(point.cell);
      if (!time) return Fail(time.error());
      figures->compile_times[point.cell] = *time;
    }
  }
  const std::string report = Report(*figures, *targets);
  fmt::print("\n{}", report);
  if (!write || !options.only.empty()) return 0;
  if (figures->limits.operations[1] == 0) return Fail({"nothing is written: the limits were not measured"});
  if (auto done = WriteResults(*figures, report); !done) return Fail(done.error());
  return 0;
}

}  // namespace
}  // namespace recurve::bench

int main(int argc, char** argv) { return recurve::bench::Main(argc, argv); }

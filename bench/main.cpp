// bench/main.cpp: how near the kernels come to what the machine can do.
//
//   recurve_bench [--readme=FILE] [Google Benchmark's options]
//
// Every figure is the median of several repetitions in a warm process, one thread, in processor time, so that a busy
// machine disturbs little. Percentages are of the multiply-add peak measured in the same process. A forward pass that
// saves what the backward pass needs counts 2 * T * B * (products of the cell) operations, a backward pass twice that;
// elementwise work is not counted.

#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <algorithm>
#include <ctime>
#include <fstream>
#include <map>
#include <optional>
#include <sstream>
#include <vector>

#include "bench/machine.h"
#include "compiler/compile.h"
#include "runtime/session.h"

namespace recurve::bench {
namespace {

constexpr int kRepetitions = 7;
constexpr std::string_view kBegin = "<!-- figures: written by ./dev bench -->\n";
constexpr std::string_view kEnd = "<!-- end of figures -->\n";

// One measurement of the peak is a few milliseconds, one of a bandwidth reads this much.
constexpr size_t kFmaRounds = 1'000'000;
constexpr size_t kReadBytes = 256 << 20;

struct Level {
  std::string_view name;
  size_t bytes;
};
// Sizes well inside each level of today's processors.
constexpr Level kLevels[] = {{"L1", 16 << 10}, {"L2", 256 << 10}, {"L3", 6 << 20}, {"DRAM", 256 << 20}};

struct Size {
  int64_t steps, batch, inputs, units;
  std::string Text() const { return fmt::format("{},{},{},{}", steps, batch, inputs, units); }
};
constexpr Size kSizes[] = {{100, 64, 256, 256}, {25, 16, 512, 512}, {50, 32, 128, 128}};

struct CellRow {
  std::string_view name;
  int gates;  // rows of W and U, in units
};
constexpr CellRow kCells[] = {{"lstm", 4}, {"gru", 3}};

double ForwardOperations(const CellRow& cell, const Size& size) {
  return 2.0 * static_cast<double>(size.steps * size.batch * cell.gates * size.units * (size.inputs + size.units));
}

// Processor time of this process.
double ProcessorSeconds() { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; }

std::string ReadFile(const std::string& path) {
  std::ifstream stream(path);
  std::stringstream text;
  text << stream.rdbuf();
  return text.str();
}

std::expected<Program, Error> CompileCell(std::string_view cell, const Size& size) {
  const std::string path = fmt::format("{}/frontend/library/{}.cell", RECURVE_SOURCE_DIR, cell);
  return Compile(ReadFile(path), cell, {{"I", size.inputs}, {"H", size.units}},
                 {.entries = {"forward", "backward"}, .cache = false});
}

// A session with random parameters and data, and a gradient flowing into every output.
std::expected<Session, Error> MakeSession(const Program& program, const Size& size) {
  Session session(program);
  if (auto done = session.SetExtent("T", size.steps); !done) return std::unexpected(done.error());
  if (auto done = session.SetExtent("B", size.batch); !done) return std::unexpected(done.error());
  if (auto done = session.Initialize(1); !done) return std::unexpected(done.error());
  for (const recurve_slot* slot : session.tensors()) {
    if (slot->kind != RECURVE_SLOT_INPUT && slot->kind != RECURVE_SLOT_ADJOINT) continue;
    auto values = session.Tensor<float>(slot->name);
    if (!values) return std::unexpected(values.error());
    uint32_t state = 1;
    for (float& value : *values) {
      state = state * 1664525u + 1013904223u;
      value = static_cast<float>(state >> 8) * 0x1p-23f - 1;
    }
  }
  return session;
}

// The median seconds of each benchmark, by name.
class Collector : public benchmark::ConsoleReporter {
 public:
  Collector() : ConsoleReporter(OO_Tabular) {}
  void ReportRuns(const std::vector<Run>& runs) override {
    for (const Run& run : runs) {
      if (run.error_occurred) failed_ = true;
      if (run.run_type == Run::RT_Aggregate && run.aggregate_name == "median")
        medians_[run.run_name.function_name] =
            run.GetAdjustedCPUTime() / benchmark::GetTimeUnitMultiplier(run.time_unit);
    }
    ConsoleReporter::ReportRuns(runs);
  }
  // Nothing for a benchmark that a filter left out.
  std::optional<double> Median(const std::string& name) const {
    auto found = medians_.find(name);
    return found == medians_.end() ? std::nullopt : std::optional(found->second);
  }
  bool failed() const { return failed_; }

 private:
  std::map<std::string, double> medians_;
  bool failed_ = false;
};

void MeasurePeak(benchmark::State& state) {
  for ([[maybe_unused]] auto unused : state) {
    FmaWork work = RunFma(kFmaRounds);
    benchmark::DoNotOptimize(work);
  }
}

void MeasureRead(benchmark::State& state, size_t bytes) {
  std::vector<float> memory(bytes / sizeof(float), 1.0f);
  const size_t rounds = std::max<size_t>(1, kReadBytes / bytes);
  for ([[maybe_unused]] auto unused : state) {
    float sum = 0;
    for (size_t round = 0; round < rounds; ++round) sum += ReadOnce(memory.data(), bytes);
    benchmark::DoNotOptimize(sum);
  }
}

void MeasureCell(benchmark::State& state, const CellRow& cell, const Size& size, bool backward) {
  auto program = CompileCell(cell.name, size);
  if (!program) return state.SkipWithError(program.error().message.c_str());
  auto session = MakeSession(*program, size);
  if (!session) return state.SkipWithError(session.error().message.c_str());
  auto run = [&] { return backward ? session->Backward() : session->Forward(); };
  for (int warm_up = 0; warm_up < 2; ++warm_up) {
    if (auto done = session->Forward(); !done) return state.SkipWithError(done.error().message.c_str());
    if (auto done = run(); !done) return state.SkipWithError(done.error().message.c_str());
  }
  for ([[maybe_unused]] auto unused : state) {
    if (auto done = run(); !done) return state.SkipWithError(done.error().message.c_str());
  }
}

std::string CellBenchmark(const CellRow& cell, const Size& size, std::string_view pass) {
  return fmt::format("{}/{}/{}", cell.name, size.Text(), pass);
}

void Register() {
  auto add = [](const std::string& name, auto function) {
    benchmark::RegisterBenchmark(name.c_str(), function)
        ->Unit(benchmark::kMicrosecond)
        ->MinTime(0.1)
        ->Repetitions(kRepetitions)
        ->ReportAggregatesOnly();
  };
  add("peak", MeasurePeak);
  for (const Level& level : kLevels)
    add(std::string(level.name), [&level](benchmark::State& state) { MeasureRead(state, level.bytes); });
  for (const CellRow& cell : kCells) {
    for (const Size& size : kSizes) {
      for (bool backward : {false, true}) {
        add(CellBenchmark(cell, size, backward ? "backward" : "forward"),
            [&cell, &size, backward](benchmark::State& state) { MeasureCell(state, cell, size, backward); });
      }
    }
  }
}

// The medians as the table of bench/README.md.
std::string Table(const Collector& medians, double cold_seconds, double warm_seconds) {
  std::string text = fmt::format("{}, {}, f32, one thread, medians of {} warm repetitions.\n\n", ProcessorName(),
                                 VectorUnit(), kRepetitions);
  const double peak = medians.Median("peak") ? RunFma(1).operations * kFmaRounds / *medians.Median("peak") * 1e-9 : 0;
  text += fmt::format("Multiply-add peak {:.0f} GFLOP/s.", peak);
  std::string separator = " Read bandwidth:";
  for (const Level& level : kLevels) {
    if (auto seconds = medians.Median(std::string(level.name))) {
      const double bytes = static_cast<double>(std::max<size_t>(1, kReadBytes / level.bytes) * level.bytes);
      text += fmt::format("{} {} {:.0f} GB/s", separator, level.name, bytes / *seconds * 1e-9);
      separator = ",";
    }
  }
  text += fmt::format(".\nText to callable forward and backward code, LSTM: {:.0f} ms cold, {:.0f} ms warm.\n\n",
                      cold_seconds * 1e3, warm_seconds * 1e3);
  text += "| cell | T, B, I, H | forward, us | GFLOP/s | of peak | backward, us | GFLOP/s | of peak |\n";
  text += "| --- | --- | --- | --- | --- | --- | --- | --- |\n";
  for (const CellRow& cell : kCells) {
    for (const Size& size : kSizes) {
      text += fmt::format("| {} | {} |", cell.name, size.Text());
      for (bool backward : {false, true}) {
        auto seconds = medians.Median(CellBenchmark(cell, size, backward ? "backward" : "forward"));
        if (!seconds) {
          text += " - | - | - |";
          continue;
        }
        const double rate = ForwardOperations(cell, size) * (backward ? 2 : 1) / *seconds * 1e-9;
        text += fmt::format(" {:.0f} | {:.1f} | {:.0f} % |", *seconds * 1e6, rate, 100 * rate / peak);
      }
      text += "\n";
    }
  }
  return text;
}

// Puts the table between the markers of a README. False when it has none.
bool UpdateReadme(const std::string& path, const std::string& table) {
  std::string text = ReadFile(path);
  const size_t begin = text.find(kBegin), end = text.find(kEnd);
  if (begin == std::string::npos || end == std::string::npos || end < begin) return false;
  text.replace(begin + kBegin.size(), end - begin - kBegin.size(), table);
  std::ofstream(path) << text;
  return true;
}

int Main(int argc, char** argv) {
  std::string readme;
  for (int i = 1; i < argc; ++i) {
    if (!std::string_view(argv[i]).starts_with("--readme=")) continue;
    readme = std::string_view(argv[i]).substr(9);
    std::rotate(argv + i, argv + i + 1, argv + argc);
    --argc;
    break;
  }
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;

  // Cold comes first: nothing of LLVM has run in this process yet.
  double seconds[2];
  for (double& elapsed : seconds) {
    const double start = ProcessorSeconds();
    if (auto program = CompileCell(kCells[0].name, kSizes[0]); !program) {
      fmt::print(stderr, "recurve_bench: {}\n", program.error().message);
      return 2;
    }
    elapsed = ProcessorSeconds() - start;
  }

  Register();
  Collector medians;
  benchmark::RunSpecifiedBenchmarks(&medians);
  const std::string table = Table(medians, seconds[0], seconds[1]);
  fmt::print("\n{}", table);
  if (!readme.empty() && !UpdateReadme(readme, table)) {
    fmt::print(stderr, "recurve_bench: `{}` has no markers for the figures\n", readme);
    return 2;
  }
  return medians.failed() ? 2 : 0;
}

}  // namespace
}  // namespace recurve::bench

int main(int argc, char** argv) { return recurve::bench::Main(argc, argv); }

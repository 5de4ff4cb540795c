// bench/measure.cpp: registration, and medians by name.

#include "bench/measure.h"

#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <regex>

#include "bench/kernels.h"
#include "bench/limits.h"
#include "bench/machine.h"

namespace recurve::bench {
namespace {

constexpr std::string_view kLimitPrefix = "limit/";

// The median seconds of each benchmark, by name: processor time, or wall time for those of two threads.
class Collector : public benchmark::ConsoleReporter {
 public:
  Collector() : ConsoleReporter(OO_Tabular) {}
  void ReportRuns(const std::vector<Run>& runs) override {
    std::vector<Run> shown;
    for (const Run& run : runs) {
      const std::string& name = run.run_name.function_name;
      if (run.error_occurred) failure_ = fmt::format("{}: {}", name, run.error_message);
      if (run.run_type != Run::RT_Aggregate || run.aggregate_name != "median") continue;
      shown.push_back(run);
      const double time = name.ends_with("/1") ? run.GetAdjustedCPUTime() : run.GetAdjustedRealTime();
      medians_[name] = time / benchmark::GetTimeUnitMultiplier(run.time_unit);
    }
    ConsoleReporter::ReportRuns(shown);
  }
  const std::map<std::string, double>& medians() const { return medians_; }
  const std::string& failure() const { return failure_; }

 private:
  std::map<std::string, double> medians_;
  std::string failure_;
};

// Kernels of all points, compiled when they are first wanted and kept, since their repetitions are interleaved.
class Everything {
 public:
  explicit Everything(std::shared_ptr<Team> team) : loops_(team), team_(std::move(team)), levels_(MemoryLevels()) {}

  void RegisterLimits();
  void RegisterPoint(const Point& point, const std::regex& only);
  // What the limits reach, once their medians are known.
  Limits LimitsFrom(const std::map<std::string, double>& medians) const;
  const std::map<std::string, Work>& works() const { return works_; }

 private:
  template <typename Function>
  static void Register(const std::string& name, int threads, Function function) {
    auto* registered =
        benchmark::RegisterBenchmark(name.c_str(), function)->Unit(benchmark::kMicrosecond)->ReportAggregatesOnly();
    if (threads > 1) registered->UseRealTime();
  }
  // `work` returns how much it did, always the same.
  template <typename Function>
  void RegisterLimit(const std::string& name, int threads, Function work) {
    const std::string full = fmt::format("{}{}/{}", kLimitPrefix, name, threads);
    Register(full, threads, [this, full, work](benchmark::State& state) {
      if (!amounts_.contains(full)) amounts_[full] = work();  // the first run meets untouched memory
      for ([[maybe_unused]] auto unused : state) work();
    });
  }
  void MeasurePass(benchmark::State& state, const Point& point, Pass pass, int threads);

  LimitLoops loops_;
  std::shared_ptr<Team> team_;
  std::vector<Level> levels_;
  std::map<std::string, double> amounts_;  // of one run of a limit, by name
  std::map<Point, std::unique_ptr<Kernels>> kernels_;
  std::map<std::string, Work> works_;
};

void Everything::RegisterLimits() {
  for (int threads = 1; threads <= kMaxThreads; ++threads) {
    RegisterLimit("FMA", threads, [this, threads] { return loops_.Multiply(threads); });
    for (const Level& level : levels_)
      RegisterLimit(level.name, threads, [this, threads, &level] { return loops_.Read(level, threads); });
  }
  RegisterLimit("barrier", 2, [this] { return loops_.Meet(); });
  RegisterLimit("clock", 1, [this] { return loops_.Count(); });
}

void Everything::RegisterPoint(const Point& point, const std::regex& only) {
  for (Pass pass : PassesOf(point)) {
    for (int threads = 1; threads <= (point.is_streaming ? 1 : kMaxThreads); ++threads) {
      const std::string name = FigureName(point, pass, threads);
      if (!std::regex_search(name, only)) continue;
      Register(name, threads,
               [this, point, pass, threads](benchmark::State& state) { MeasurePass(state, point, pass, threads); });
    }
  }
}

void Everything::MeasurePass(benchmark::State& state, const Point& point, Pass pass, int threads) {
  auto& kernels = kernels_[point];
  if (!kernels) {
    auto made = Kernels::Make(point, team_);
    if (!made) return state.SkipWithError(made.error().message.c_str());
    kernels = std::move(*made);
  }
  works_[fmt::format("{}/{}", PointText(point), PassName(pass))] = kernels->WorkOf(pass);
  // A backward pass wants the tape of a forward pass; any other is warmed up by itself.
  const Pass before = pass == Pass::kBackward ? Pass::kForward : pass;
  if (auto done = kernels->Run(before, threads); !done) return state.SkipWithError(done.error().message.c_str());
  for ([[maybe_unused]] auto unused : state) {
    if (auto done = kernels->Run(pass, threads); !done) return state.SkipWithError(done.error().message.c_str());
  }
}

Limits Everything::LimitsFrom(const std::map<std::string, double>& medians) const {
  auto rate = [&](std::string_view name, int threads) {
    const std::string full = fmt::format("{}{}/{}", kLimitPrefix, name, threads);
    auto amount = amounts_.find(full);
    auto seconds = medians.find(full);
    return amount == amounts_.end() || seconds == medians.end() ? 0 : amount->second / seconds->second;
  };
  Limits limits;
  for (const Level& level : levels_) limits.bandwidths.push_back({level});
  for (int threads = 1; threads <= kMaxThreads; ++threads) {
    limits.operations[threads] = rate("FMA", threads);
    for (auto& bandwidth : limits.bandwidths) bandwidth.bytes[threads] = rate(bandwidth.level.name, threads);
  }
  if (const double barriers = rate("barrier", 2); barriers > 0) limits.barrier_seconds = 1 / barriers;
  limits.cycles = rate("clock", 1);
  return limits;
}

}  // namespace

std::expected<Figures, Error> Measure(const MeasureOptions& options, std::shared_ptr<Team> team) {
  // A repetition takes at least 30 ms.
  std::vector<std::string> arguments = {"recurve_bench", "--benchmark_enable_random_interleaving=true",
                                        "--benchmark_min_time=0.03",
                                        fmt::format("--benchmark_repetitions={}", options.repetitions)};
  arguments.insert(arguments.end(), options.arguments.begin(), options.arguments.end());
  std::vector<char*> pointers;
  for (std::string& argument : arguments) pointers.push_back(argument.data());
  pointers.push_back(nullptr);
  int count = static_cast<int>(arguments.size());
  benchmark::Initialize(&count, pointers.data());
  if (count > 1) return std::unexpected(Error{fmt::format("unknown option `{}`", pointers[1])});

  std::regex only;
  try {
    only.assign(options.only);
  } catch (const std::regex_error&) {
    return std::unexpected(Error{fmt::format("`{}` is not a regular expression", options.only)});
  }
  Everything everything(std::move(team));
  everything.RegisterLimits();
  for (const Point& point : Grid()) everything.RegisterPoint(point, only);
  Collector collector;
  benchmark::RunSpecifiedBenchmarks(&collector);
  benchmark::ClearRegisteredBenchmarks();
  if (!collector.failure().empty()) return std::unexpected(Error{collector.failure()});

  Figures figures{.processor = ProcessorName(), .vector_unit = VectorUnit(), .repetitions = options.repetitions};
  figures.limits = everything.LimitsFrom(collector.medians());
  figures.works = everything.works();
  for (const auto& [name, seconds] : collector.medians()) {
    if (!name.starts_with(kLimitPrefix)) figures.seconds[name] = seconds;
  }
  return figures;
}

}  // namespace recurve::bench

// compiler/command/bench.cpp: `recurve bench`: how fast a program's entries are on this machine, phase by phase.
//
// Phases are timed without changing the code: an entry runs as the only member of a team whose barrier looks at the
// clock. The plan says in which order barriers come, and so between which of them every kernel runs.

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>

#include "compiler/command/command.h"
#include "compiler/compile.h"
#include "compiler/cost.h"
#include "compiler/limits.h"
#include "compiler/remarks.h"
#include "compiler/tune.h"
#include "compiler/versions.h"
#include "runtime/session.h"

namespace recurve::command {
namespace {

using Clock = std::chrono::steady_clock;
using Json = nlohmann::ordered_json;

constexpr size_t kSteps = 100, kBatch = 32;  // unless said
constexpr double kSecondsAnEntry = 0.3;      // of measuring, unless the number of runs is given

struct Options {
  ProgramArguments program;
  CompileOptions compile;
  size_t threads = 1;
  size_t repeat = 0;
  bool json = false;
  bool tune = false;
};

// Nanoseconds.
double Now() { return std::chrono::duration<double, std::nano>(Clock::now().time_since_epoch()).count(); }

// The kernels of an entry in the order in which they run, cut where they meet a barrier. A phase is named by its first
// kernel; -1 is a stretch without any.
class PhaseWalk {
 public:
  PhaseWalk(const EntryPlan& entry, std::map<std::string, double> axes) : entry_(entry), axes_(std::move(axes)) {
    for (const Chunks& chunks : entry.chunks) axes_[chunks.axis] = StepsOf(chunks);
    if (std::ranges::any_of(entry.buffers, &Buffer::zero_if_null)) Meet();
    Walk(entry.statements);
    if (entry.packs_panels && !entry.statements.empty()) Meet();
    Meet();  // the end
  }

  const std::vector<int>& owners() const { return owners_; }  // of each stretch between barriers
  int PhaseOf(int kernel) const {
    auto found = phases_.find(kernel);
    return found == phases_.end() ? -1 : found->second;
  }

 private:
  double At(const Size& size) const {
    double value = static_cast<double>(size.factor);
    for (const std::string& axis : size.axes) value *= axes_.at(axis);
    return value;
  }

  double StepsOf(const Chunks& chunks) const {
    const double shortest = std::max(std::floor(static_cast<double>(chunks.rows) / At(chunks.step_rows)), 1.0);
    return std::min(shortest * static_cast<double>(chunks.multiple), axes_.at(chunks.time));
  }

  void Walk(const std::vector<Statement>& statements) {
    for (const Statement& statement : statements) {
      if (const auto* call = std::get_if<KernelCall>(&statement.kind)) {
        Call(call->kernel);
      } else if (const auto* rows = std::get_if<RowLoop>(&statement.kind)) {
        for (int kernel : rows->kernels) Call(kernel);
      } else if (const auto* loop = std::get_if<TimeLoop>(&statement.kind)) {
        if (loop->recurrence >= 0 &&
            At(entry_.kernels[loop->recurrence].rows[0]) <= static_cast<double>(loop->most_rows)) {
          Call(std::get<KernelCall>(loop->body.front().kind).kernel);  // does the same
          Meet();
          continue;
        }
        const double steps = loop->steps != TimeLoop::Steps::kAll ? 1
                             : loop->chunk >= 0                   ? chunk_steps_
                                                                  : At(SizeOf(loop->time));
        for (double step = 0; step < steps; ++step) Walk(loop->body);
      } else if (const auto* loop = std::get_if<ChunkLoop>(&statement.kind)) {
        const Chunks& chunks = entry_.chunks[loop->chunk];
        const double outer = chunk_steps_;
        const double all = chunks.outer < 0 ? axes_.at(chunks.time) : outer, longest = axes_.at(chunks.axis);
        // The short chunk is the last in time.
        const bool backwards = chunks.reverse != loop->against;
        const double count = std::ceil(all / longest);
        for (double i = 0; i < (loop->only_first ? 1 : count); ++i) {
          const double begin = longest * (backwards ? count - 1 - i : i);
          chunk_steps_ = std::min(longest, all - begin);
          Walk(loop->body);
        }
        chunk_steps_ = outer;
      } else {
        Meet();
      }
    }
  }

  void Call(int number) {
    const Kernel& kernel = entry_.kernels[number];
    // Two barriers for each slice of the summed axis.
    for (double slice = 0; slice < (kernel.kind == KernelKind::kProduct ? Slices(kernel) : 0); ++slice) {
      Meet();
      Begin(number);
      Meet();
      Begin(number);
    }
    Begin(number);
  }

  double Slices(const Kernel& kernel) const {
    double slices = 1;
    for (size_t i = 0; i + 1 < kernel.rows.size(); ++i) slices *= At(kernel.rows[i]);
    for (size_t i = 0; i < kernel.reduced.size(); ++i) {
      double terms = At(kernel.reduced[i]);
      if (kernel.chunk >= 0 && kernel.sums_steps && i == 0) terms = chunk_steps_ * At(kernel.step_rows);
      const bool last = i + 1 == kernel.reduced.size();
      slices *= last ? std::ceil(terms / static_cast<double>(kernel.depth)) : terms;
    }
    return slices;
  }

  void Begin(int kernel) {
    if (phase_ < 0) phase_ = PhaseOf(kernel) < 0 ? kernel : PhaseOf(kernel);
    phases_.emplace(kernel, phase_);
  }

  void Meet() {
    owners_.push_back(phase_);
    phase_ = -1;
  }

  const EntryPlan& entry_;
  std::map<std::string, double> axes_;
  std::vector<int> owners_;
  std::map<int, int> phases_;
  int phase_ = -1;
  double chunk_steps_ = 0;
};

// A team of one that takes the time at every barrier.
class Stamps {
 public:
  Stamps() : team_{1, &Stamps::RunOne, &Stamps::Take, this} {
    times_.reserve(1 << 10);
    // What a stamp costs: the shortest of many intervals.
    for (int i = 0; i < 1000; ++i) Take(&team_, 0);
    cost_ = 1e9;
    for (size_t i = 1; i < times_.size(); ++i) cost_ = std::min(cost_, times_[i] - times_[i - 1]);
  }
  const recurve_team* team() const { return &team_; }
  void Begin(size_t expected) {
    times_.clear();
    times_.reserve(expected + 1);
    times_.push_back(Now());
  }
  void End() { times_.push_back(Now()); }
  const std::vector<double>& times() const { return times_; }
  double cost() const { return cost_; }

 private:
  static void RunOne(const recurve_team*, void (*body)(void*, size_t), void* call) { body(call, 0); }
  static void Take(const recurve_team* team, size_t) { static_cast<Stamps*>(team->context)->times_.push_back(Now()); }

  recurve_team team_;
  std::vector<double> times_;
  double cost_ = 0;
};

struct PhaseResult {
  std::string title;
  double calls = 0, ns = 0, flops = 0, bound_ns = 0;
  std::string limit;
};

struct EntryResult {
  std::string name;
  double ns = 0, team_ns = 0, flops = 0, bound_ns = 0;
  size_t workspace_bytes = 0, tape_bytes = 0;
  std::vector<PhaseResult> phases;
};

class Bench {
 public:
  Bench(const Options& options, const Plan& plan, Program program, MachineLimits limits,
        std::map<std::string, double> axes)
      : options_(options),
        plan_(plan),
        program_(std::move(program)),
        limits_(std::move(limits)),
        axes_(std::move(axes)),
        peak_(limits_.PeakFlops()) {}

  double peak() const { return peak_; }

  std::expected<std::vector<EntryResult>, Error> Run() {
    if (options_.threads > 1) {
      auto team = Team::Start(options_.threads, /*pin=*/true);
      if (!team) return std::unexpected(team.error());
      team_ = *std::move(team);
    }
    std::vector<EntryResult> results;
    auto parameters = std::make_shared<Parameters>(program_);
    if (auto done = parameters->Initialize(1); !done) return std::unexpected(done.error());
    Session session(parameters);
    Stream stream(parameters, static_cast<size_t>(axes_["B"]));
    for (const auto& [axis, size] : axes_) {
      if (!program_.FindAxis(axis)) continue;
      if (auto done = session.SetExtent(axis, static_cast<size_t>(size)); !done) return std::unexpected(done.error());
    }
    const auto steps = static_cast<int32_t>(axes_.contains("T") ? axes_["T"] : kSteps);
    for (Frame* frame : {static_cast<Frame*>(&session), static_cast<Frame*>(&stream)}) {
      if (auto done = FillForTiming(*frame, steps); !done) return std::unexpected(done.error());
    }
    for (const EntryPlan& entry : plan_.entries) {
      std::function<std::expected<void, Error>()> run;
      Frame* frame = &session;
      if (entry.name == "forward") run = [&] { return session.Forward(); };
      if (entry.name == "inference") run = [&] { return session.Inference(); };
      if (entry.name == "backward") run = [&] { return session.Backward(); };
      if (entry.name == "step") {
        frame = &stream;
        run = [&] { return stream.Step(); };
      }
      if (entry.name == "pack") {
        run = [&] {
          parameters->MarkChanged();
          return parameters->Pack(team_ != nullptr && with_team_ ? &team_->lent() : nullptr);
        };
      }
      auto result = Measure(entry, *frame, run);
      if (!result) return std::unexpected(result.error());
      results.push_back(*std::move(result));
    }
    return results;
  }

 private:
  double At(const Amount& amount) const {
    return amount.At([&](const std::string& axis) { return axes_.at(axis); });
  }

  // The shortest run, in nanoseconds. Runs that are shorter than the clock can tell are timed together.
  std::expected<double, Error> Shortest(const std::function<std::expected<void, Error>()>& run) const {
    if (auto done = run(); !done) return std::unexpected(done.error());
    double begin = Now();
    if (auto done = run(); !done) return std::unexpected(done.error());
    const double once = std::max(Now() - begin, 1.0);
    const auto together = static_cast<size_t>(std::max(1.0, 2e4 / once));
    const size_t repeat =
        options_.repeat != 0
            ? options_.repeat
            : static_cast<size_t>(std::clamp(kSecondsAnEntry * 1e9 / (once * static_cast<double>(together)), 3.0, 1e4));
    double shortest = 1e300;
    for (size_t i = 0; i < repeat; ++i) {
      begin = Now();
      for (size_t j = 0; j < together; ++j) {
        if (auto done = run(); !done) return std::unexpected(done.error());
      }
      shortest = std::min(shortest, (Now() - begin) / static_cast<double>(together));
    }
    return shortest;
  }

  std::expected<EntryResult, Error> Measure(const EntryPlan& entry, Frame& frame,
                                            const std::function<std::expected<void, Error>()>& run) {
    EntryResult result{.name = entry.name};
    const recurve_entry& code = *program_.FindEntry(entry.name);
    std::vector<size_t> extents;
    for (const char* axis : program_.axes()) extents.push_back(static_cast<size_t>(axes_.at(axis)));
    if (code.workspace_bytes != nullptr) result.workspace_bytes = code.workspace_bytes(extents.data());
    const bool has_tape = entry.name == "forward" || entry.name == "backward";
    if (has_tape && program_.descriptor().tape_bytes != nullptr)
      result.tape_bytes = program_.descriptor().tape_bytes(extents.data());

    auto alone = Shortest(run);
    if (!alone) return std::unexpected(alone.error());
    result.ns = *alone;
    if (team_ != nullptr) {
      frame.UseTeam(team_);
      with_team_ = true;
      auto shared = Shortest(run);
      frame.UseTeam(nullptr);
      with_team_ = false;
      if (!shared) return std::unexpected(shared.error());
      result.team_ns = *shared;
    }
    AddPhases(entry, result);
    if (entry.name == "pack") return result;
    if (auto done = TimePhases(entry, frame, run, result); !done) return std::unexpected(done.error());
    return result;
  }

  // What every phase computes, and its bound: multiply-adds at their peak, or the weights of a step from where they
  // lie.
  void AddPhases(const EntryPlan& entry, EntryResult& result) {
    walk_.emplace(entry, axes_);
    int64_t weights = 0;
    for (const Kernel& kernel : entry.kernels) weights += WeightBytes(plan_, kernel);
    const double bandwidth = weights > 0 ? limits_.ReadBandwidth(static_cast<size_t>(weights)) : 1;
    std::map<int, PhaseResult> phases;
    ForEachCall(entry, entry.statements, [&](const Kernel& kernel, const Size& times) {
      const int number = static_cast<int>(&kernel - entry.kernels.data());
      const int id = walk_->PhaseOf(number);
      PhaseResult& phase = phases[id];
      Amount calls;
      calls.Add(times);
      phase.calls = std::max(phase.calls, At(calls));
      phase.title += (phase.title.empty() ? "" : "; ") + TitleOf(plan_, entry, kernel);
      const double flops = At(FlopsOf(plan_, kernel) * times);
      const double computing = flops / peak_;
      const double reading = static_cast<double>(WeightBytes(plan_, kernel)) * At(calls) / bandwidth;
      phase.flops += flops;
      phase.bound_ns += std::max(computing, reading);
      phase.limit = computing >= reading ? "FMA" : fmt::format("{:.0f} GB/s", bandwidth);
    });
    // In the order in which they first run.
    order_.clear();
    for (int id : walk_->owners()) {
      if (phases.contains(id) && std::ranges::find(order_, id) == order_.end()) order_.push_back(id);
    }
    for (int id : order_) {
      PhaseResult& phase = phases[id];
      result.flops += phase.flops;
      result.bound_ns += phase.bound_ns;
      result.phases.push_back(std::move(phase));
    }
  }

  // Times of the phases in the shortest of some runs; none where the barriers are not those of the plan.
  std::expected<void, Error> TimePhases(const EntryPlan& entry, Frame& frame,
                                        const std::function<std::expected<void, Error>()>& run, EntryResult& result) {
    const std::vector<int>& owners = walk_->owners();
    frame.UseThreads(stamps_.team());
    double shortest = 1e300;
    const size_t repeat = options_.repeat != 0 ? options_.repeat : 20;
    for (size_t i = 0; i < repeat; ++i) {
      stamps_.Begin(owners.size());
      if (auto done = run(); !done) return done;
      stamps_.End();
      const std::vector<double>& times = stamps_.times();
      if (times.size() != owners.size() + 1) {
        fmt::print(stderr, "recurve: `{}` met {} barriers, the plan has {}: no times of phases\n", entry.name,
                   times.size() - 1, owners.size());
        break;
      }
      if (times.back() - times.front() >= shortest) continue;
      shortest = times.back() - times.front();
      for (PhaseResult& phase : result.phases) phase.ns = 0;
      for (size_t s = 0; s < owners.size(); ++s) {
        auto at = std::ranges::find(order_, owners[s]);
        if (at == order_.end()) continue;
        const double ns = times[s + 1] - times[s] - stamps_.cost();
        result.phases[static_cast<size_t>(at - order_.begin())].ns += std::max(ns, 0.0);
      }
    }
    frame.UseThreads(nullptr);
    return {};
  }

  const Options& options_;
  const Plan& plan_;
  Program program_;
  MachineLimits limits_;
  std::map<std::string, double> axes_;
  double peak_;
  std::shared_ptr<Team> team_;
  bool with_team_ = false;
  Stamps stamps_;
  std::optional<PhaseWalk> walk_;
  std::vector<int> order_;  // ids of result.phases
};

std::string TimeText(double ns) { return ns < 1e4 ? fmt::format("{:.0f} ns", ns) : fmt::format("{:.1f} us", ns / 1e3); }

// "12.5", or a dash where nothing was measured.
std::string Percent(double part, double whole) { return whole > 0 ? fmt::format("{:.0f}", 100 * part / whole) : "-"; }

void PrintTable(const std::vector<EntryResult>& results, size_t threads) {
  for (const EntryResult& entry : results) {
    fmt::print("\n{}: {}", entry.name, TimeText(entry.ns));
    if (entry.flops > 0) {
      fmt::print(", {:.1f} GFLOP/s, {} % of the limit", entry.flops / entry.ns, Percent(entry.bound_ns, entry.ns));
    }
    if (entry.team_ns > 0) {
      fmt::print("; {} threads {}, {:.2f}x", threads, TimeText(entry.team_ns), entry.ns / entry.team_ns);
    }
    if (entry.tape_bytes > 0) fmt::print("; tape {} bytes", entry.tape_bytes);
    fmt::print("; workspace {} bytes\n", entry.workspace_bytes);
    if (entry.phases.empty()) continue;
    fmt::print("  {:>8} {:>11} {:>6} {:>8} {:>8} {:>10}  phase\n", "calls", "time", "share", "GFLOP/s", "% limit",
               "limit");
    double sum = 0;
    for (const PhaseResult& phase : entry.phases) sum += phase.ns;
    for (const PhaseResult& phase : entry.phases) {
      fmt::print("  {:>8.0f} {:>11} {:>6} {:>8} {:>8} {:>10}  {}\n", phase.calls,
                 phase.ns > 0 ? TimeText(phase.ns) : "-", Percent(phase.ns, sum),
                 phase.ns > 0 ? fmt::format("{:.1f}", phase.flops / phase.ns) : "-", Percent(phase.bound_ns, phase.ns),
                 phase.limit, phase.title);
    }
  }
}

void PrintTrials(const std::vector<Trial>& trials) {
  if (trials.empty()) return;
  fmt::print("\ntried, beside the best before it:\n");
  for (const Trial& trial : trials) {
    fmt::print("  {:<42} {:5.2f}x as fast{}\n", trial.what, trial.seconds_before / trial.seconds,
               trial.is_kept ? ", kept" : "");
  }
}

void PrintJson(const Options& options, const std::vector<EntryResult>& results, double peak,
               const std::map<std::string, double>& axes, const std::vector<Remark>& remarks,
               const std::vector<Trial>& trials) {
  Json json{{"program", options.program.entry}, {"peak_gflops", peak}, {"threads", options.threads}};
  for (const auto& [axis, size] : axes) json["axes"][axis] = size;
  for (const EntryResult& entry : results) {
    Json row{{"entry", entry.name},
             {"ns", entry.ns},
             {"gflops", entry.flops / entry.ns},
             {"percent_of_limit", 100 * entry.bound_ns / entry.ns},
             {"tape_bytes", entry.tape_bytes},
             {"workspace_bytes", entry.workspace_bytes}};
    if (entry.team_ns > 0) row["team_ns"] = entry.team_ns;
    row["phases"] = Json::array();
    for (const PhaseResult& phase : entry.phases) {
      row["phases"].push_back({{"computes", phase.title},
                               {"calls", phase.calls},
                               {"ns", phase.ns},
                               {"flops", phase.flops},
                               {"bound_ns", phase.bound_ns},
                               {"limit", phase.limit}});
    }
    json["entries"].push_back(std::move(row));
  }
  for (const Remark& remark : remarks) {
    json["remarks"].push_back(
        {{"entry", remark.entry}, {"kind", Name(remark.kind)}, {"text", remark.text}, {"costs", remark.costs}});
  }
  for (const Trial& trial : trials) {
    json["trials"].push_back({{"what", trial.what},
                              {"seconds", trial.seconds},
                              {"seconds_before", trial.seconds_before},
                              {"is_kept", trial.is_kept}});
  }
  fmt::print("{}\n", json.dump(2));
}

int Run(const Options& options) {
  auto sized = LoadSizedGraph(options.program);
  if (!sized) return sized.error();
  const ir::Graph& graph = sized->graph;
  std::map<std::string, double>& axes = sized->axes;
  for (const std::string& axis : ir::SymbolicAxes(graph)) {
    axes.emplace(axis, static_cast<double>(axis == "B" ? kBatch : kSteps));
  }

  CompileOptions compile = options.compile;
  compile.extents = sized->extents;
  compile.memory.sizes = axes;
  std::vector<Trial> trials;
  if (options.tune) {
    compile.tuning = {.sizes = axes, .threads = options.threads};
    auto tuned = TuneProgram(graph, compile);
    if (!tuned) return Fail(tuned.error());
    compile.plan = tuned->choices;
    compile.tuning = {};
    trials = std::move(tuned->trials);
  }
  auto plan = PlanProgram(graph, compile);
  if (!plan) return Fail(plan.error());
  auto program = CompileToMemory(graph, compile);
  if (!program) return Fail(program.error());
  auto target = BestVersionOf(compile.target);
  if (!target) return Fail(target.error());
  auto limits = MachineLimits::Prepare(*target, compile.precision);
  if (!limits) return Fail(limits.error());
  Bench bench(options, *plan, *std::move(program), *std::move(limits), axes);
  auto results = bench.Run();
  if (!results) return Fail(results.error());
  const std::vector<Remark> remarks = Remarks(*plan);
  if (options.json) {
    PrintJson(options, *results, bench.peak(), axes, remarks, trials);
    return kFine;
  }
  std::string sizes;
  for (const auto& [axis, size] : axes) sizes += fmt::format(" {}={:.0f}", axis, size);
  fmt::print("{} with{}; one core's multiply-adds: {:.1f} GFLOP/s\n", options.program.entry, sizes, bench.peak());
  PrintTrials(trials);
  PrintTable(*results, options.threads);
  fmt::print("\n{}", PrintRemarks(remarks));
  return kFine;
}

}  // namespace

void AddBench(CLI::App& app, int& exit_code) {
  auto* verb = app.add_subcommand("bench", "measure a program on this machine, phase by phase");
  auto options = std::make_shared<Options>();
  AddProgramArguments(*verb, options->program);
  AddPrecision(*verb, options->compile.precision);
  AddStorage(*verb, options->compile.store);
  AddMemory(*verb, options->compile.memory.bytes);
  AddTune(*verb, options->tune);
  AddMath(*verb, options->compile.math);
  verb->add_option("--entries", options->compile.entries,
                   "which of forward, backward, inference and step, with commas between them; all unless said")
      ->delimiter(',')
      ->type_name("NAMES");
  verb->add_option("--threads", options->threads, "measure a team of this size beside one thread")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  verb->add_option("--repeat", options->repeat, "runs, of which the shortest counts; as many as fit 0.3 s unless said");
  verb->add_flag("--json", options->json, "print JSON");
  verb->footer(
      "-D also sizes the axes: -D T=100 -D B=32 unless said. The limit of a phase is the multiply-adds of one core, "
      "or\n"
      "reading the weights once a call from where they lie; both are measured first. The remarks after the table are\n"
      "those of `recurve show --stage=remarks`.\n"
      "Examples:\n"
      "  recurve bench frontend/library/lstm.cell lstm -D I=128 -D H=128 -D T=50 -D B=32\n"
      "  recurve bench my.cell mine -D I=1 -D H=16 -D B=1 --entries=step --json");
  verb->callback([options, &exit_code] { exit_code = Run(*options); });
}

}  // namespace recurve::command

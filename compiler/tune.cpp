#include "compiler/tune.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <memory>
#include <utility>

#include "runtime/team.h"

namespace recurve {
namespace {

// A change must gain more than what a clock makes up.
constexpr double kLeastGain = 0.02;
// Two programs are timed in turns, each for so long at a time, and the shortest counts.
constexpr int kTurns = 5;
constexpr double kSecondsATurn = 0.01;

// A program with data, ready to run.
class Candidate {
 public:
  static std::expected<std::unique_ptr<Candidate>, Error> Of(Program program, const Tuning& tuning,
                                                             const std::shared_ptr<Team>& team) {
    auto parameters = std::make_shared<Parameters>(program);
    if (auto done = parameters->Initialize(1); !done) return std::unexpected(done.error());
    std::unique_ptr<Candidate> candidate(new Candidate(std::move(program), parameters, tuning));
    if (auto done = candidate->Prepare(tuning, team); !done) return std::unexpected(done.error());
    return candidate;
  }

  // Seconds of one run.
  std::expected<double, Error> Time() {
    const auto begin = std::chrono::steady_clock::now();
    for (int runs = 1;; ++runs) {
      if (auto done = Run(); !done) return std::unexpected(done.error());
      const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
      if (seconds >= kSecondsATurn) return seconds / runs;
    }
  }

 private:
  Candidate(Program program, const std::shared_ptr<Parameters>& parameters, const Tuning& tuning)
      : program_(std::move(program)),
        session_(parameters),
        stream_(parameters, tuning.sizes.contains("B") ? static_cast<size_t>(tuning.sizes.at("B")) : 1) {}

  std::expected<void, Error> Prepare(const Tuning& tuning, const std::shared_ptr<Team>& team) {
    double shortest = HUGE_VAL;
    for (const std::string axis : program_.axes()) {
      const auto size = tuning.sizes.find(axis);
      if (size == tuning.sizes.end() && is_stream()) continue;
      if (size == tuning.sizes.end())
        return std::unexpected(Error{fmt::format("cannot tune without a size for axis `{}`", axis)});
      if (auto done = session_.SetExtent(axis, static_cast<size_t>(size->second)); !done) return done;
      if (axis != "B") shortest = std::min(shortest, size->second);
    }
    const auto length = static_cast<int32_t>(std::isfinite(shortest) ? shortest : 1);
    for (Frame* frame : {static_cast<Frame*>(&session_), static_cast<Frame*>(&stream_)}) {
      if (auto done = FillForTiming(*frame, length); !done) return done;
      if (team != nullptr) frame->UseTeam(team);
    }
    return Run();  // weights are packed, pages are there
  }

  bool trains() const { return program_.FindEntry("forward") != nullptr; }
  bool is_stream() const { return !trains() && program_.FindEntry("inference") == nullptr; }

  std::expected<void, Error> Run() {
    if (is_stream()) return stream_.Step();
    auto done = trains() ? session_.Forward() : session_.Inference();
    if (done && program_.FindEntry("backward") != nullptr) done = session_.Backward();
    return done;
  }

  Program program_;
  Session session_;
  Stream stream_;
};

// One other value of a choice.
struct Change {
  std::string what;
  std::function<void(PlanChoices&)> apply;
};

// Of each choice its other values.
std::vector<std::vector<Change>> ChangesOf(const PlanChoices& start, const Tuning& tuning) {
  std::vector<std::vector<Change>> changes(5);
  for (const int columns : {2, 3, 6}) {
    if (columns != start.widest_tile)
      changes[0].push_back({fmt::format("register tiles of up to {} vectors", columns),
                            [=](PlanChoices& choices) { choices.widest_tile = columns; }});
  }
  for (const int64_t rows : {256, 512, 2048, 4096}) {
    if (rows != start.chunk_rows)
      changes[1].push_back({fmt::format("chunks of steps of up to {} rows", rows),
                            [=](PlanChoices& choices) { choices.chunk_rows = rows; }});
  }
  changes[2].push_back(
      {"weights fetched ahead beyond 1 MB of them", [](PlanChoices& choices) { choices.most_weight_bytes = 1 << 20; }});
  changes[2].push_back({"no weights fetched ahead",
                        [](PlanChoices& choices) { choices.most_weight_bytes = std::numeric_limits<int64_t>::max(); }});
  const auto batch = tuning.sizes.find("B");
  const bool is_one_row = batch == tuning.sizes.end() || batch->second == 1;
  for (const int blocks : {1, 2, 3, 4}) {
    if (is_one_row)
      changes[4].push_back({fmt::format("{} block{} of units at a time", blocks, blocks == 1 ? "" : "s"),
                            [=](PlanChoices& choices) { choices.side_by_side = blocks; }});
  }
  if (tuning.threads > 1) {
    changes[3].push_back(
        {"a team that shares by rows", [](PlanChoices& choices) { choices.team = TeamChoice::kByRows; }});
    changes[3].push_back(
        {"a team that shares by units", [](PlanChoices& choices) { choices.team = TeamChoice::kByUnits; }});
  }
  return changes;
}

}  // namespace

std::expected<Tuned, Error> Tune(const PlanChoices& start, const Tuning& tuning, const CompileChoices& compile) {
  std::shared_ptr<Team> team;
  if (tuning.threads > 1) {
    auto started = Team::Start(tuning.threads, /*pin=*/true);
    if (!started) return std::unexpected(started.error());
    team = *std::move(started);
  }
  auto candidate_of = [&](const PlanChoices& choices) -> std::expected<std::unique_ptr<Candidate>, Error> {
    auto program = compile(choices);
    if (!program) return std::unexpected(program.error());
    return Candidate::Of(*std::move(program), tuning, team);
  };
  auto best = candidate_of(start);
  if (!best) return std::unexpected(best.error());
  Tuned tuned{.choices = start, .trials = {}};
  for (const std::vector<Change>& changes : ChangesOf(start, tuning)) {
    const PlanChoices before = tuned.choices;
    for (const Change& change : changes) {
      PlanChoices choices = before;
      change.apply(choices);
      auto other = candidate_of(choices);
      if (!other) return std::unexpected(other.error());
      Trial trial{.what = change.what, .seconds = HUGE_VAL, .seconds_before = HUGE_VAL};
      for (int turn = 0; turn < kTurns; ++turn) {
        for (auto [candidate, shortest] :
             {std::pair(best->get(), &trial.seconds_before), std::pair(other->get(), &trial.seconds)}) {
          const auto seconds = candidate->Time();
          if (!seconds) return std::unexpected(seconds.error());
          *shortest = std::min(*shortest, *seconds);
        }
      }
      trial.is_kept = trial.seconds < (1 - kLeastGain) * trial.seconds_before;
      if (trial.is_kept) {
        best = std::move(other);
        tuned.choices = choices;
      }
      tuned.trials.push_back(std::move(trial));
    }
  }
  return tuned;
}

std::expected<Tuned, Error> TuneProgram(const ir::Graph& graph, const CompileOptions& options) {
  return Tune(options.plan, options.tuning, [&](const PlanChoices& choices) {
    CompileOptions of_trial = options;
    of_trial.plan = choices;
    of_trial.tuning = {};
    of_trial.cache = false;
    return CompileToMemory(graph, of_trial);
  });
}

std::expected<void, Error> FillForTiming(Frame& frame, int32_t length) {
  for (const recurve_slot* slot : frame.tensors()) {
    if (slot->kind == RECURVE_SLOT_OUTPUT) continue;
    if (slot->is_index == 0) {
      if (auto done = frame.Fill(slot->name, 0.1); !done) return done;
      continue;
    }
    auto values = frame.Tensor<int32_t>(slot->name);
    if (!values) return std::unexpected(values.error());
    int64_t next = 0;
    for (int32_t& value : *values)
      value = slot->classes == RECURVE_ANY_INDEX ? length : static_cast<int32_t>(next++ * 7 % slot->classes);
  }
  return {};
}

}  // namespace recurve

#include "runtime/trainer.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>

#include <fmt/format.h>

#include "runtime/sequence_model.h"
#include "runtime/session.h"
#include "runtime/weights.h"

namespace recurve {
namespace {

constexpr std::string_view kLast = "last.", kKept = "optimizer.";  // prefixes in a checkpoint

std::expected<double, Error> LossOf(Session& session) {
  const auto loss = session.Get("loss");
  if (!loss) return std::unexpected(loss.error());
  return loss->empty() ? 0 : loss->front();
}

// True if all of the text is a number.
template <typename T>
bool ParseNumber(std::string_view text, T& number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size();
}

// Turns off every output of a session but these.
std::expected<void, Error> WantOnly(Session& session, const std::vector<std::string>& names) {
  for (const recurve_slot* slot : session.tensors()) {
    if (slot->kind != RECURVE_SLOT_OUTPUT) continue;
    const bool wanted = std::ranges::find(names, slot->name) != names.end();
    if (auto done = session.Want(slot->name, wanted); !done) return done;
  }
  return {};
}

std::vector<std::string> LossAndStates(const ProgramStates& model) {
  std::vector<std::string> names{"loss"};
  for (const ProgramStates::State& state : model.states) names.push_back(state.final);
  return names;
}

// Fills in a batch's inputs and initial states.
std::expected<size_t, Error> LoadBatch(const ProgramStates& model, Batches& batches, size_t index, Session& session) {
  const auto weight = batches.Load(index, session);
  if (!weight) return weight;
  const bool continues = index > 0 && batches.continues();
  if (auto done = continues ? model.CarryStates(session) : model.ClearStates(session); !done) {
    return std::unexpected(done.error());
  }
  return weight;
}

template <typename T>
class Trainer {
 public:
  Trainer(const std::shared_ptr<Parameters>& parameters, const TrainData& data, const TrainOptions& options,
          ProgramStates model)
      : parameters_(parameters), data_(data), options_(options), model_(std::move(model)), session_(parameters) {}

  std::expected<TrainResult, Error> Run();

 private:
  std::expected<void, Error> Prepare();
  std::expected<void, Error> RunEpoch(EpochReport& report);
  std::expected<void, Error> Judge(EpochReport& report);
  std::expected<void, Error> Resume();
  WeightFile Checkpoint() const;
  bool IsStopped() const { return options_.stop != nullptr && options_.stop->load(std::memory_order_relaxed); }
  const Program& program() const { return parameters_->program(); }

  std::shared_ptr<Parameters> parameters_;
  const TrainData& data_;
  const TrainOptions& options_;
  ProgramStates model_;
  Session session_;
  Updater<T> optimizer_;
  WeightFile best_;
  TrainResult result_{.best_loss = std::numeric_limits<double>::infinity()};
};

// Leaves out all outputs that training ignores. Gradients have no symbolic axis, so their buffers stay where they are.
template <typename T>
std::expected<void, Error> Trainer<T>::Prepare() {
  std::vector<std::string> wanted = LossAndStates(model_);
  bool has_parameters = false;
  for (const recurve_slot* slot : program().parameters()) {
    if (slot->kind != RECURVE_SLOT_PARAMETER) continue;
    wanted.push_back(fmt::format("{}_adj", slot->name));
    has_parameters = true;
  }
  if (!has_parameters)
    return std::unexpected(Error{fmt::format("cannot train `{}`: it has no parameters", program().name())});
  if (auto done = optimizer_.Prepare(parameters_, session_, options_.optimizer); !done) return done;
  session_.UseTeam(options_.team);
  if (auto done = WantOnly(session_, wanted); !done) return done;
  return session_.Fill("loss_adj", 1);
}

template <typename T>
std::expected<void, Error> Trainer<T>::RunEpoch(EpochReport& report) {
  data_.training.Shuffle(options_.seed, static_cast<uint64_t>(report.epoch));
  const size_t steps = data_.training.count(), total_steps = steps * static_cast<size_t>(options_.epochs);
  double loss_sum = 0, weight_sum = 0, length_sum = 0;
  report.training_loss = std::numeric_limits<double>::infinity();  // of an epoch that is stopped before its first step
  for (size_t step = 0; step < steps && !IsStopped(); ++step) {
    const auto weight = LoadBatch(model_, data_.training, step, session_);
    if (!weight) return std::unexpected(weight.error());
    // Other random numbers in every step, and the same ones in the same step of a resumed run.
    if (auto done = model_.SetSeed(session_, options_.seed + optimizer_.steps()); !done) return done;
    if (auto done = session_.Forward(); !done) return done;
    const auto loss = LossOf(session_);
    if (!loss) return std::unexpected(loss.error());
    if (auto done = session_.Backward(); !done) return done;
    const double length = std::isfinite(*loss) ? optimizer_.Step(total_steps) : *loss;
    parameters_->MarkChanged();
    if (!std::isfinite(*loss) || !std::isfinite(length)) {
      return std::unexpected(
          Error{fmt::format("training `{}` diverged: the {} is {} in epoch {}, step {}; a smaller rate or a bound on "
                            "the gradient's length "
                            "(clip) may help",
                            program().name(), std::isfinite(*loss) ? "gradient" : "loss",
                            std::isfinite(*loss) ? length : *loss, report.epoch, step + 1)});
    }
    loss_sum += *loss * static_cast<double>(*weight);
    weight_sum += static_cast<double>(*weight);
    length_sum += length;
    if (options_.on_step) options_.on_step({report.epoch, step + 1, steps, *loss});
    report.training_loss = loss_sum / weight_sum;
    report.gradient_length = length_sum / static_cast<double>(step + 1);
  }
  return {};
}

// Measures the weights as they are, and keeps them if they are the best so far.
template <typename T>
std::expected<void, Error> Trainer<T>::Judge(EpochReport& report) {
  report.held_out_loss = report.training_loss;
  if (data_.held_out != nullptr) {
    const auto loss = Evaluate(parameters_, *data_.held_out, options_.team);
    if (!loss) return std::unexpected(loss.error());
    report.held_out_loss = *loss;
  }
  report.is_best = report.held_out_loss < result_.best_loss;
  if (!report.is_best) return {};
  result_.best_loss = report.held_out_loss;
  result_.best_epoch = report.epoch;
  best_ = Collect(*parameters_);
  best_.metadata = options_.metadata;
  best_.metadata["program"] = program().name();
  best_.metadata["loss"] = fmt::format("{}", report.held_out_loss);
  best_.metadata["epoch"] = fmt::format("{}", report.epoch);
  return options_.save.empty() ? std::expected<void, Error>() : WriteWeights(options_.save, best_);
}

// The state after an epoch. The random numbers of the next one follow from the seed and its number alone.
template <typename T>
WeightFile Trainer<T>::Checkpoint() const {
  WeightFile file = Collect(*parameters_, kLast);
  file.metadata = options_.metadata;
  file.metadata["program"] = program().name();
  file.metadata["epoch"] = fmt::format("{}", result_.epochs);
  file.metadata["steps"] = fmt::format("{}", optimizer_.steps());
  file.metadata["seed"] = fmt::format("{}", options_.seed);
  for (const auto& [name, values] : optimizer_.states()) {
    file.tensors.push_back({fmt::format("{}{}", kKept, name),
                            {values.size()},
                            program().element(),
                            std::vector<double>(values.begin(), values.end())});
  }
  return file;
}

template <typename T>
std::expected<void, Error> Trainer<T>::Resume() {
  const std::string path = CheckpointPath(options_.save);
  const auto fail = [&](std::string_view flaw) {
    return std::unexpected(Error{fmt::format("cannot resume from `{}`: {}", path, flaw)});
  };
  const auto file = ReadWeights(path);
  if (!file) return std::unexpected(file.error());
  for (const auto& [key, value] : options_.metadata) {
    if (file->Metadata(key) != value) return fail(fmt::format("it was trained with another `{}`", key));
  }
  if (file->Metadata("seed") != fmt::format("{}", options_.seed)) {
    return fail(fmt::format("it was trained with seed {}", file->Metadata("seed")));
  }
  uint64_t steps = 0;
  if (!ParseNumber(file->Metadata("epoch"), result_.epochs) || !ParseNumber(file->Metadata("steps"), steps)) {
    return fail("it does not say how far training had come");
  }
  optimizer_.SetSteps(steps);
  for (auto& [name, values] : optimizer_.states()) {
    const WeightTensor* tensor = file->Find(fmt::format("{}{}", kKept, name));
    if (tensor == nullptr || tensor->values.size() != values.size()) {
      return fail(
          fmt::format("it has no `{}{}` of {} elements; was the optimizer another one?", kKept, name, values.size()));
    }
    std::ranges::transform(tensor->values, values.begin(), [](double x) { return static_cast<T>(x); });
  }
  // The best weights so far are in the file beside it, perhaps those of an epoch that was interrupted.
  auto best = ReadWeights(options_.save);
  if (!best) return std::unexpected(best.error());
  if (!ParseNumber(best->Metadata("loss"), result_.best_loss) ||
      !ParseNumber(best->Metadata("epoch"), result_.best_epoch)) {
    return fail(fmt::format("`{}` does not say how good its weights are", options_.save));
  }
  if (auto done = Restore(*parameters_, *best); !done) return done;
  best_ = std::move(*best);
  return Restore(*parameters_, *file, kLast);
}

template <typename T>
std::expected<TrainResult, Error> Trainer<T>::Run() {
  if (auto done = Prepare(); !done) return std::unexpected(done.error());
  if (options_.resume) {
    if (auto done = Resume(); !done) return std::unexpected(done.error());
  }
  const auto run_all = [&]() -> std::expected<void, Error> {
    while (result_.epochs < options_.epochs && !IsStopped()) {
      EpochReport report{.epoch = result_.epochs + 1, .epochs = options_.epochs};
      if (auto done = RunEpoch(report); !done) return done;
      result_.was_stopped = IsStopped();
      // An interrupted epoch counts for what it achieved, but a resumption begins it anew.
      if (auto done = Judge(report); !done) return done;
      if (result_.was_stopped) return {};
      result_.epochs = report.epoch;
      if (!options_.save.empty()) {
        if (auto done = WriteWeights(CheckpointPath(options_.save), Checkpoint()); !done) return done;
      }
      if (options_.on_epoch) options_.on_epoch(report);
    }
    result_.was_stopped = IsStopped();
    return {};
  };
  const auto done = run_all();
  if (!best_.tensors.empty()) {
    if (auto restored = Restore(*parameters_, best_); !restored) return std::unexpected(restored.error());
  }
  if (!done) return std::unexpected(done.error());
  return result_;
}

}  // namespace

std::string CheckpointPath(const std::string& save) {
  constexpr std::string_view kExtension = ".safetensors";
  const bool has_extension = save.ends_with(kExtension) && save.size() > kExtension.size();
  const std::string stem = has_extension ? save.substr(0, save.size() - kExtension.size()) : save;
  return fmt::format("{}.checkpoint{}", stem, kExtension);
}

std::expected<double, Error> Evaluate(const std::shared_ptr<Parameters>& parameters, Batches& batches,
                                      const std::shared_ptr<Team>& team) {
  const ProgramStates model = ProgramStates::Of(parameters->program());
  Session session(parameters);
  session.UseTeam(team);
  if (auto done = WantOnly(session, LossAndStates(model)); !done) return std::unexpected(done.error());
  // Inference may have been compiled without the loss; `evaluate` or `forward` has it.
  const recurve_entry* inference = parameters->program().FindEntry("inference");
  const bool infers_loss = inference != nullptr && Program::FindSlot(*inference, "loss") != nullptr;
  double loss_sum = 0, weight_sum = 0;
  for (size_t index = 0; index < batches.count(); ++index) {
    const auto weight = LoadBatch(model, batches, index, session);
    if (!weight) return std::unexpected(weight.error());
    if (auto done = infers_loss ? session.Inference() : session.Evaluate(); !done) return std::unexpected(done.error());
    const auto loss = LossOf(session);
    if (!loss) return loss;
    loss_sum += *loss * static_cast<double>(*weight);
    weight_sum += static_cast<double>(*weight);
  }
  return loss_sum / weight_sum;
}

std::expected<TrainResult, Error> Train(const std::shared_ptr<Parameters>& parameters, const TrainData& data,
                                        const TrainOptions& options) {
  const Program& program = parameters->program();
  const auto fail = [&](std::string_view flaw) {
    return std::unexpected(Error{fmt::format("cannot train `{}`: {}", program.name(), flaw)});
  };
  for (const char* entry : {"forward", "backward"}) {
    if (program.FindEntry(entry) == nullptr) return fail(fmt::format("it has no entry `{}`", entry));
  }
  const recurve_slot* loss = Program::FindSlot(*program.FindEntry("forward"), "loss");
  if (loss == nullptr || loss->rank != 0) return fail("it has no scalar output `loss`");
  if (options.epochs < 1) return fail(fmt::format("{} epochs were asked for", options.epochs));
  if (!(options.optimizer.rate > 0) || !std::isfinite(options.optimizer.rate)) {
    return fail(fmt::format("the rate is {}, not a positive number", options.optimizer.rate));
  }
  if (options.resume && options.save.empty()) return fail("a resumption needs the file to which weights were saved");
  const ProgramStates model = ProgramStates::Of(program);
  return program.element() == ElementType::kF64 ? Trainer<double>(parameters, data, options, model).Run()
                                                : Trainer<float>(parameters, data, options, model).Run();
}

}  // namespace recurve

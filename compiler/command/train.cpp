// compiler/command/train.cpp: `recurve train`: a model, a text or a series, and the best weights in a file.

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <csignal>
#include <cstdlib>
#include <numbers>
#include <set>

#include "compiler/command/command.h"
#include "compiler/command/model.h"
#include "compiler/command/progress.h"
#include "runtime/batches.h"
#include "runtime/file.h"
#include "runtime/pair_data.h"
#include "runtime/pair_model.h"
#include "runtime/trainer.h"

namespace recurve::command {
namespace {

// Set by the first SIGINT; a second one ends the process as usual.
std::atomic<bool> stop_requested = false;
void RequestStop(int signal) {
  stop_requested = true;
  std::signal(signal, SIG_DFL);
}

struct Options {
  ProgramArguments program;
  std::string data;
  double held_out = 0.1;
  size_t batch = 16, length = 64;
  size_t threads = 1;
  bool tune = false;
  CompileOptions compile;
  std::vector<std::string> settings;  // "beta3=0.5"
  TrainOptions train;
};

// Data ready for batches: one of the three is filled.
struct Data {
  std::vector<int32_t> tokens;
  std::vector<double> values;  // [rows, width]
  PairTexts texts;
  PairColumn source, target;
  Pairs training, held_out;  // pairs, in tokens
  size_t rows = 0, training_rows = 0, width = 1;
  bool is_text = false;
  size_t vocabulary = 0;
};

std::expected<Data, Error> ReadText(const Options& options, std::map<std::string, std::string>& metadata) {
  auto text = ReadFile(options.data);
  if (!text) return std::unexpected(text.error());
  const Vocabulary vocabulary = Vocabulary::Of(*text);
  auto tokens = vocabulary.Encode(*text);
  if (!tokens) return std::unexpected(tokens.error());
  metadata[kVocabularyKey] = vocabulary.Serialize();
  Data data{.tokens = *std::move(tokens), .is_text = true, .vocabulary = vocabulary.size()};
  data.rows = data.tokens.size();
  return data;
}

std::expected<Data, Error> ReadNumbers(const Options& options, std::map<std::string, std::string>& metadata) {
  auto series = ReadSeries(options.data);
  if (!series) return std::unexpected(series.error());
  Data data{.rows = series->rows(), .width = series->width()};
  const size_t training = data.rows - static_cast<size_t>(static_cast<double>(data.rows) * options.held_out);
  const auto scale = Standardization::Of(*series, training);
  metadata[kStandardizationKey] = scale.Serialize();
  data.values = scale.Apply(series->values);
  return data;
}

// Which tokens the target has only the model knows: what it asks for by its extents.
std::expected<Data, Error> ReadPairData(const Options& options) {
  auto texts = ReadPairs(options.data);
  if (!texts) return std::unexpected(texts.error());
  Data data{.texts = *std::move(texts)};
  data.rows = data.texts.sources.size();
  data.source = PairColumn::Of(data.texts.sources, PairColumn::LikelyUnit(data.texts.sources));
  return data;
}

void EncodePairs(bool is_class, Data& data, std::map<std::string, std::string>& metadata) {
  const TokenUnit unit = is_class ? TokenUnit::kWhole : PairColumn::LikelyUnit(data.texts.targets);
  data.target = PairColumn::Of(data.texts.targets, unit);
  metadata[kSourceKey] = data.source.Serialize();
  metadata[kTargetKey] = data.target.Serialize();
  for (size_t i = 0; i < data.rows; ++i) {
    Pairs& part = i < data.training_rows ? data.training : data.held_out;
    part.sources.push_back(data.source.Encode(data.texts.sources[i]));
    part.targets.push_back(data.target.Encode(data.texts.targets[i]));
  }
}

// Steps of the longest sequence of a batch; a target ends with a token more.
size_t LongestOf(const Pairs& pairs) {
  size_t longest = 1;
  for (const std::vector<int32_t>& source : pairs.sources) longest = std::max(longest, source.size());
  for (const std::vector<int32_t>& target : pairs.targets) longest = std::max(longest, target.size() + 1);
  return longest;
}

using BatchesOrError = std::expected<std::unique_ptr<Batches>, Error>;

// Batches of rows [from, to).
BatchesOrError MakeBatches(const SequenceModel& model, const Data& data, size_t from, size_t to,
                           const Options& options) {
  if (data.is_text)
    return TokenBatches(model, std::span(data.tokens).subspan(from, to - from), options.batch, options.length);
  return SeriesBatches(model, std::span(data.values).subspan(from * data.width, (to - from) * data.width),
                       options.batch, options.length);
}

// Settings are numbers by name.
std::expected<void, Error> ReadOptimizer(Options& options) {
  if (auto done = ReadOptimizerFile(options.compile.optimizer); !done) return done;
  options.train.metadata["optimizer"] = options.compile.optimizer.optimizer;
  for (const std::string& setting : options.settings) {
    const size_t equals = setting.find('=');
    char* end = nullptr;
    const double number = equals == std::string::npos ? 0 : std::strtod(setting.c_str() + equals + 1, &end);
    if (equals == 0 || end == nullptr || *end != 0 || end == setting.c_str() + equals + 1)
      return std::unexpected(Error{fmt::format("`--set {}` is not NAME=NUMBER", setting)});
    options.train.optimizer.more[setting.substr(0, equals)] = number;
  }
  return {};
}

// Trains and reports; a loss of `scale` is one of `unit`.
int TrainOn(const TrainData& data, Options& options, const Program& program, const frontend::Extents& extents,
            const char* unit, double scale) {
  auto parameters = std::make_shared<Parameters>(program);
  if (auto done = parameters->Initialize(options.train.seed); !done) return Fail(done.error());
  if (options.threads > 1) {
    auto team = Team::Start(options.threads);
    if (!team) return Fail(team.error());
    options.train.team = *std::move(team);
  }
  options.train.metadata[kEntryKey] = options.program.entry;
  options.train.metadata[kExtentsKey] = FormatExtents(extents);
  options.train.metadata[kLengthKey] = std::to_string(options.length);
  options.train.metadata[kHeldOutKey] = fmt::format("{}", options.held_out);
  Progress progress(unit, scale);
  options.train.on_step = [&](const StepReport& report) { progress.Show(report); };
  options.train.on_epoch = [&](const EpochReport& report) { progress.Show(report); };
  options.train.stop = &stop_requested;
  std::signal(SIGINT, RequestStop);

  auto result = Train(parameters, data, options.train);
  if (!result) return Fail(result.error());
  fmt::print("{} after {} epochs: best {:.4f} {} in epoch {}{}\n", result->was_stopped ? "stopped" : "done",
             result->epochs, scale * result->best_loss, unit, result->best_epoch,
             options.train.save.empty() ? "" : fmt::format(", saved in {}", options.train.save));
  return kFine;
}

int RunPairs(Options& options, const Program& program, const Data& data, const frontend::Extents& extents) {
  auto model = PairModel::Of(program);
  if (!model) return Fail(model.error());
  if (model->source_classes != data.source.classes() || model->target_classes != data.target.classes()) {
    return Fail(
        {fmt::format("`{}` has {} tokens of sources and {} of targets, and the model is for {} and {}", options.data,
                     data.source.classes(), data.target.classes(), model->source_classes, model->target_classes)});
  }
  auto training = PairBatches(*model, data.training, options.batch);
  if (!training) return Fail(training.error());
  std::unique_ptr<Batches> held_out;
  if (!data.held_out.sources.empty()) {
    auto batches = PairBatches(*model, data.held_out, options.batch);
    if (!batches) return Fail(batches.error());
    held_out = *std::move(batches);
  }
  return TrainOn({.training = **training, .held_out = held_out.get()}, options, program, extents, "loss", 1);
}

int Run(Options options) {
  auto extents = ParseExtents(options.program.definitions);
  if (!extents) return Fail(extents.error());
  const bool is_pairs = options.data.ends_with(".tsv"), is_text = !is_pairs && !options.data.ends_with(".csv");
  auto data = is_pairs  ? ReadPairData(options)
              : is_text ? ReadText(options, options.train.metadata)
                        : ReadNumbers(options, options.train.metadata);
  if (!data) return Fail(data.error());
  data->training_rows = data->rows - static_cast<size_t>(static_cast<double>(data->rows) * options.held_out);

  if (is_text || is_pairs) {
    // The data decide how many tokens there are, if the model asks by the usual names.
    auto loaded = LoadProgram(options.program.file);
    if (!loaded) return loaded.error();
    auto define = [&](const char* name, size_t number) {
      for (const frontend::Entry& entry : loaded->entries) {
        const bool asks = std::ranges::find(entry.extents, name) != entry.extents.end();
        if (entry.name != options.program.entry || !asks) continue;
        extents->try_emplace(name, static_cast<int64_t>(number));
        return true;
      }
      return false;
    };
    if (is_text) define(kVocabularyExtent, data->vocabulary);
    if (is_pairs) {
      define(kVocabularyExtent, data->source.classes());
      const std::set<std::string> classes(data->texts.targets.begin(), data->texts.targets.end());
      const bool is_class = define(kClassesExtent, classes.size());
      EncodePairs(is_class, *data, options.train.metadata);
      define(kTargetExtent, data->target.classes());
    }
  }
  if (auto done = ReadOptimizer(options); !done) return Fail(done.error());
  if (options.tune) options.compile.tuning.threads = options.threads;
  const size_t length = is_pairs ? LongestOf(data->training) : options.length;
  auto program = CompileModel(options.program, *extents, options.compile, {length, options.batch});
  if (!program) return program.error();
  if (is_pairs) return RunPairs(options, *program, *data, *extents);
  auto model = SequenceModel::Of(*program);
  if (!model) return Fail(model.error());
  if (model->is_token != is_text)
    return Fail(
        {fmt::format("`{}` reads {}, and `{}` is {}", options.program.entry, model->is_token ? "characters" : "numbers",
                     options.data, is_text ? "a text (a series is a .csv file)" : "a series of numbers")});
  if (is_text && model->classes != data->vocabulary)
    return Fail({fmt::format("`{}` has {} different characters, and the model is for {}", options.data,
                             data->vocabulary, model->classes)});

  auto training = MakeBatches(*model, *data, 0, data->training_rows, options);
  if (!training) return Fail(training.error());
  std::unique_ptr<Batches> held_out;
  if (options.held_out > 0) {
    // A series' held-out predictions may look back into the training part; a text's start anew.
    const size_t look_back = is_text ? 0 : std::min(options.length, data->training_rows);
    auto batches = MakeBatches(*model, *data, data->training_rows - look_back, data->rows, options);
    if (!batches) return Fail(batches.error());
    held_out = *std::move(batches);
  }

  return TrainOn({.training = **training, .held_out = held_out.get()}, options, *program, *extents,
                 is_text ? "bits a character" : "loss", is_text ? std::numbers::log2e : 1);
}

}  // namespace

void AddTrain(CLI::App& app, int& exit_code) {
  auto* verb = app.add_subcommand("train", "train a model on a text, a series of numbers or pairs of texts");
  auto options = std::make_shared<Options>();
  OptimizerOptions& optimizer = options->train.optimizer;
  options->compile.optimizer.optimizer = "adam";
  const std::map<std::string, Schedule::Kind> schedules = {
      {"constant", Schedule::Kind::kConstant}, {"step", Schedule::Kind::kStep}, {"cosine", Schedule::Kind::kCosine}};
  AddProgramArguments(*verb, options->program);
  verb->add_option("--data", options->data,
                   "a text, a .csv file with a row a time step, or a .tsv file with a pair a line: what is\n"
                   "read, a tab, what is to be found")
      ->required();
  verb->add_option("--epochs", options->train.epochs, "passes over the data")->capture_default_str();
  verb->add_option("--batch", options->batch, "sequences side by side")->capture_default_str();
  verb->add_option("--length", options->length, "time steps that a gradient goes back")->capture_default_str();
  AddOptimizer(*verb, options->compile.optimizer);
  verb->add_option("--rate", optimizer.rate, "step size")->capture_default_str();
  verb->add_option("--momentum", optimizer.momentum, "of sgd")->capture_default_str();
  verb->add_option("--decay", optimizer.decay, "of weights: each step takes so much of them off")
      ->capture_default_str();
  verb->add_option("--set", options->settings, "a setting of an optimizer of your own")->type_name("NAME=NUMBER");
  AddChoice(*verb, "--schedule", optimizer.schedule.kind, schedules, "how the rate falls")->default_str("constant");
  verb->add_option("--warmup", optimizer.schedule.warmup, "steps in which the rate rises")->capture_default_str();
  verb->add_option("--every", optimizer.schedule.every, "steps after which schedule `step` lowers the rate")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  verb->add_option("--factor", optimizer.schedule.factor, "by which it does")->capture_default_str();
  verb->add_option("--clip", optimizer.clip, "largest length of the whole gradient; 0 leaves it")
      ->capture_default_str();
  verb->add_option("--bound", optimizer.bound, "largest number in the gradient; 0 leaves it")->capture_default_str();
  verb->add_option("--held-out", options->held_out, "share of the data, from its end, that is not trained on")
      ->check(CLI::Range(0.0, 0.9))
      ->capture_default_str();
  verb->add_option("--seed", options->train.seed, "of the weights and the order of batches")->capture_default_str();
  verb->add_option("--threads", options->threads, "results are the same bits for any number")->capture_default_str();
  AddPrecision(*verb, options->compile.precision);
  AddStorage(*verb, options->compile.store);
  AddMath(*verb, options->compile.math);
  AddMemory(*verb, options->compile.memory.bytes);
  AddTune(*verb, options->tune);
  verb->add_option("--save", options->train.save, "where the best weights go")->type_name("FILE.safetensors");
  verb->add_flag("--resume", options->train.resume, "go on from the checkpoint beside the saved weights");
  verb->footer(
      "The extent `V` of a text model is the number of different characters in the text unless -D says otherwise; of "
      "a\n"
      "model of pairs `V` counts the tokens of the first column, `W` those of the second, where it is a sequence, or "
      "`C`\n"
      "its classes. A column in which there are spaces is one of words, else of characters.\n"
      "Ctrl-C ends training after the current step and keeps the weights.\n"
      "Examples:\n"
      "  recurve train frontend/examples/characters/characters.cell characters -D E=32 -D H=128 --data=book.txt \\\n"
      "      --epochs=20 --batch=32 --length=64 --rate=0.003 --clip=1 --save=book.safetensors\n"
      "  recurve train frontend/examples/sunspots/sunspots.cell sunspots -D H=16 --data=sunspots.csv \\\n"
      "      --held-out=0.2 --length=30 --save=sunspots.safetensors --resume --epochs=400");
  verb->callback([options, &exit_code] { exit_code = Run(*options); });
}

}  // namespace recurve::command

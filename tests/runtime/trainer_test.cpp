// Training, resuming, sampling and forecasting with programs written by hand.

#include "runtime/trainer.h"

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <numbers>

#include <gtest/gtest.h>

#include "hand_program.h"
#include "runtime/generate.h"
#include "runtime/random.h"
#include "runtime/weights.h"

namespace recurve {
namespace {

using test::CharacterProgram;
using test::SeriesProgram;
using test::Wrapped;

constexpr ElementType kBoth[] = {ElementType::kF32, ElementType::kF64};

std::vector<double> Sine(size_t rows) {
  std::vector<double> values;
  for (size_t t = 0; t < rows; ++t) values.push_back(std::sin(2 * std::numbers::pi * static_cast<double>(t) / 11));
  return values;
}

// Five symbols in which the one after `a` depends on the symbol before it: only a state can tell.
const std::string& RiddleText() {
  static const std::string text = [] {
    std::string made;
    Random random(12);
    while (made.size() < 4000) made += random.Below(2) == 0 ? "bac" : "dae";
    return made;
  }();
  return text;
}

std::shared_ptr<Parameters> Fresh(const recurve_program& program, uint64_t seed = 1) {
  auto parameters = std::make_shared<Parameters>(Wrapped(program));
  EXPECT_TRUE(parameters->Initialize(seed));
  return parameters;
}

std::unique_ptr<Batches> SeriesOf(const Parameters& parameters, std::span<const double> values) {
  auto batches = SeriesBatches(*SequenceModel::Of(parameters.program()), values, 8, 15);
  EXPECT_TRUE(batches) << batches.error().message;
  return std::move(*batches);
}

std::unique_ptr<Batches> TokensOf(const Parameters& parameters, std::span<const int32_t> tokens) {
  auto batches = TokenBatches(*SequenceModel::Of(parameters.program()), tokens, 4, 20);
  EXPECT_TRUE(batches) << batches.error().message;
  return std::move(*batches);
}

// The values of all parameters, one after the other.
std::vector<double> AllValues(const Parameters& parameters) {
  std::vector<double> all;
  for (const WeightTensor& tensor : Collect(parameters).tensors) {
    all.insert(all.end(), tensor.values.begin(), tensor.values.end());
  }
  return all;
}

class Scratch {
 public:
  Scratch() {
    std::string pattern = std::filesystem::temp_directory_path() / "recurve-XXXXXX";
    path_ = mkdtemp(pattern.data());
  }
  ~Scratch() { std::filesystem::remove_all(path_); }
  std::string operator/(const char* name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

TEST(SequenceModel, IsFoundFromTheSlots) {
  const auto series = SequenceModel::Of(Wrapped(SeriesProgram(ElementType::kF32)));
  ASSERT_TRUE(series) << series.error().message;
  EXPECT_EQ(series->reads, "x");
  EXPECT_EQ(series->target, "target");
  EXPECT_EQ(series->prediction, "prediction");
  EXPECT_EQ(series->time_axis, "T");
  EXPECT_EQ(series->batch_axis, "B");
  ASSERT_EQ(series->states.size(), 1u);
  EXPECT_EQ(series->states[0].initial, "encoder.h0");
  EXPECT_EQ(series->states[0].final, "encoder.hT");
  const auto characters = SequenceModel::Of(Wrapped(CharacterProgram(ElementType::kF32)));
  ASSERT_TRUE(characters);
  EXPECT_EQ(characters->prediction, "logits");
  EXPECT_EQ(characters->classes, 5u);
}

TEST(Batches, TokensAreContiguousStreams) {
  std::vector<int32_t> tokens(23);
  for (size_t i = 0; i < tokens.size(); ++i) tokens[i] = static_cast<int32_t>(i % 5);
  Session session(Wrapped(CharacterProgram(ElementType::kF32)));
  auto batches = TokenBatches(*SequenceModel::Of(session.program()), tokens, 2, 4);
  ASSERT_TRUE(batches);
  ASSERT_EQ((*batches)->count(), 2u);  // 22 pairs in 2 streams of 11, 2 whole windows each
  ASSERT_EQ(*(*batches)->Load(1, session), 8u);
  const auto reads = *session.Tensor<int32_t>("tokens"), target = *session.Tensor<int32_t>("target");
  for (size_t t = 0; t < 4; ++t) {
    for (size_t b = 0; b < 2; ++b) {
      EXPECT_EQ(reads[t * 2 + b], tokens[b * 11 + 4 + t]);
      EXPECT_EQ(target[t * 2 + b], tokens[b * 11 + 5 + t]);
    }
  }
}

TEST(Batches, WindowsCoverTheSeriesOnceInAnyOrder) {
  std::vector<double> values(30);
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<double>(i);
  Session session(Wrapped(SeriesProgram(ElementType::kF64)));
  auto batches = SeriesBatches(*SequenceModel::Of(session.program()), values, 4, 7);
  ASSERT_TRUE(batches);
  for (uint64_t epoch = 0; epoch < 2; ++epoch) {
    (*batches)->Shuffle(1, epoch);
    std::vector<int> seen(23);
    for (size_t index = 0; index < (*batches)->count(); ++index) {
      ASSERT_TRUE((*batches)->Load(index, session));
      const auto x = *session.Get("x"), target = *session.Get("target");
      for (size_t b = 0; b < session.Extent("B"); ++b) ++seen[static_cast<size_t>(x[b])];
      for (size_t i = 0; i < x.size(); ++i) EXPECT_EQ(target[i], x[i] + 1);
    }
    EXPECT_EQ(seen, std::vector<int>(23, 1));
  }
}

TEST(Batches, ShortDataMakeShortBatches) {
  const auto series = Wrapped(SeriesProgram(ElementType::kF64));
  Session session(series);
  const std::vector<double> values = {1, 2, 3};
  auto batches = SeriesBatches(*SequenceModel::Of(series), values, 16, 100);
  ASSERT_TRUE(batches);
  EXPECT_EQ((*batches)->count(), 1u);
  EXPECT_EQ(*(*batches)->Load(0, session), 2u);
  EXPECT_EQ(SeriesBatches(*SequenceModel::Of(series), std::span(values).first(1), 1, 1).error().message,
            "cannot make batches of 1 elements: a window needs two");
  EXPECT_FALSE(SeriesBatches(*SequenceModel::Of(series), values, 0, 1));
  EXPECT_EQ(TokenBatches(*SequenceModel::Of(series), {}, 1, 1).error().message,
            "the model reads values, the data are tokens");
}

TEST(Train, LearnsASine) {
  for (const ElementType element : kBoth) {
    const auto parameters = Fresh(SeriesProgram(element));
    const std::vector<double> values = Sine(200);
    const auto training = SeriesOf(*parameters, std::span(values).first(160));
    const auto held_out = SeriesOf(*parameters, std::span(values).subspan(160));
    TrainOptions options{.epochs = 40, .optimizer = {.rate = 1e-2, .clip = 1}};
    const auto result = Train(parameters, {*training, held_out.get()}, options);
    ASSERT_TRUE(result) << result.error().message;
    EXPECT_EQ(result->epochs, 40);
    EXPECT_LT(result->best_loss, 0.05);
    EXPECT_DOUBLE_EQ(*Evaluate(parameters, *held_out), result->best_loss) << "the best weights are left";
  }
}

TEST(Train, CarriesTheStateAcrossWindows) {
  const Vocabulary vocabulary = Vocabulary::Of(RiddleText());
  ASSERT_EQ(vocabulary.size(), 5u);
  const auto tokens = *vocabulary.Encode(RiddleText());
  const auto parameters = Fresh(CharacterProgram(ElementType::kF32));
  const auto [first, tail] = SplitTail(std::span(std::as_const(tokens)), 0.2);
  const auto training = TokensOf(*parameters, first), held_out = TokensOf(*parameters, tail);
  TrainOptions options{.epochs = 15, .optimizer = {.rate = 1e-2, .clip = 5}};
  const auto result = Train(parameters, {*training, held_out.get()}, options);
  ASSERT_TRUE(result) << result.error().message;
  // Of three symbols one is a coin: ln 2 / 3 nats. Without a state across the middle symbol it would be 2 ln 2 / 3.
  EXPECT_LT(result->best_loss, 1.15 * std::numbers::ln2 / 3);

  const auto text = Sample(parameters, vocabulary, {.prompt = "bac", .length = 300, .temperature = 0.3});
  ASSERT_TRUE(text) << text.error().message;
  for (size_t i = 0; i + 3 <= text->size(); i += 3) {
    EXPECT_TRUE(text->substr(i, 3) == "bac" || text->substr(i, 3) == "dae") << text->substr(i, 3) << " at " << i;
  }
}

TEST(Train, SameSeedSameWeights) {
  const std::vector<double> values = Sine(100);
  std::vector<double> results[3];
  for (int run = 0; run < 3; ++run) {
    const auto parameters = Fresh(SeriesProgram(ElementType::kF32));
    const auto training = SeriesOf(*parameters, values);
    TrainOptions options{.epochs = 3, .seed = run == 2 ? 2u : 1u};
    if (run == 1) options.team = *Team::Start(3);
    ASSERT_TRUE(Train(parameters, {*training}, options));
    results[run] = AllValues(*parameters);
  }
  EXPECT_EQ(results[0], results[1]) << "one thread and three";
  EXPECT_NE(results[0], results[2]) << "another order of windows";
}

TEST(Train, ResumesAsIfItHadNeverStopped) {
  const Scratch scratch;
  const std::vector<double> values = Sine(100);
  for (const OptimizerOptions& optimizer :
       {OptimizerOptions{.rate = 1e-2},
        OptimizerOptions{.rate = 1e-2, .schedule = {.kind = Schedule::Kind::kStep, .warmup = 7, .every = 5}}}) {
    for (const ElementType element : kBoth) {
      const auto run = [&](const char* name, int epochs, bool resume) {
        const auto parameters = Fresh(SeriesProgram(element), resume ? 99 : 1);
        const auto training = SeriesOf(*parameters, values);
        TrainOptions options{.epochs = epochs, .optimizer = optimizer, .save = scratch / name, .resume = resume};
        const auto result = Train(parameters, {*training}, options);
        EXPECT_TRUE(result) << result.error().message;
        return *ReadWeights(CheckpointPath(scratch / name));
      };
      const WeightFile straight = run("a.safetensors", 5, false);
      run("b.safetensors", 2, false);
      const WeightFile resumed = run("b.safetensors", 5, true);
      EXPECT_EQ(straight.metadata, resumed.metadata);
      ASSERT_EQ(straight.tensors.size(), resumed.tensors.size());
      for (size_t i = 0; i < straight.tensors.size(); ++i) {
        EXPECT_EQ(straight.tensors[i].values, resumed.tensors[i].values) << straight.tensors[i].name;
      }
      EXPECT_EQ(FormatWeights(*ReadWeights(scratch / "a.safetensors")),
                FormatWeights(*ReadWeights(scratch / "b.safetensors")));
    }
  }
}

TEST(Train, StopsBetweenStepsAndKeepsTheWeights) {
  const Scratch scratch;
  const auto parameters = Fresh(SeriesProgram(ElementType::kF32));
  const auto before = AllValues(*parameters);
  const std::vector<double> values = Sine(100);
  const auto training = SeriesOf(*parameters, values);
  std::atomic<bool> stop = false;
  int steps = 0;
  TrainOptions options{.epochs = 100, .save = scratch / "w.safetensors", .stop = &stop};
  options.on_step = [&](const StepReport& report) {
    ++steps;
    stop = report.epoch == 1 && report.step == 5;
  };
  const auto result = Train(parameters, {*training}, options);
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_TRUE(result->was_stopped);
  EXPECT_EQ(result->epochs, 0);
  EXPECT_EQ(steps, 5);
  EXPECT_NE(AllValues(*parameters), before);
  const auto saved = ReadWeights(scratch / "w.safetensors");
  ASSERT_TRUE(saved) << saved.error().message;
  EXPECT_EQ(AllValues(*parameters).front(), saved->tensors.front().values.front());
}

TEST(Train, ReportsEveryEpoch) {
  const auto parameters = Fresh(SeriesProgram(ElementType::kF64));
  const std::vector<double> values = Sine(60);
  const auto training = SeriesOf(*parameters, values);
  std::vector<EpochReport> reports;
  TrainOptions options{.epochs = 4};
  options.on_epoch = [&](const EpochReport& report) { reports.push_back(report); };
  ASSERT_TRUE(Train(parameters, {*training}, options));
  ASSERT_EQ(reports.size(), 4u);
  EXPECT_EQ(reports.front().epoch, 1);
  EXPECT_TRUE(reports.front().is_best);
  EXPECT_LT(reports.back().training_loss, reports.front().training_loss);
}

TEST(Train, SaysThatItDiverged) {
  const auto parameters = Fresh(SeriesProgram(ElementType::kF32));
  std::vector<double> values = Sine(60);
  values[30] = 1e30;
  const auto training = SeriesOf(*parameters, values);
  const auto result = Train(parameters, {*training}, {.optimizer = {.rate = 1}});
  ASSERT_FALSE(result);
  EXPECT_TRUE(result.error().message.starts_with("training `series` diverged: the ")) << result.error().message;
  EXPECT_TRUE(result.error().message.ends_with("a smaller rate or a bound on the gradient's length (clip) may help"))
      << result.error().message;
}

TEST(Train, SaysWhyItCannotResume) {
  const Scratch scratch;
  const auto parameters = Fresh(SeriesProgram(ElementType::kF32));
  const std::vector<double> values = Sine(60);
  const auto training = SeriesOf(*parameters, values);
  TrainOptions options{.epochs = 1, .save = scratch / "w.safetensors", .metadata = {{"columns", "a"}}};
  options.resume = true;
  const std::string checkpoint = scratch / "w.checkpoint.safetensors";
  EXPECT_EQ(Train(parameters, {*training}, options).error().message,
            "cannot read `" + checkpoint + "`: No such file or directory");
  options.resume = false;
  ASSERT_TRUE(Train(parameters, {*training}, options));
  options.resume = true;
  options.metadata["columns"] = "b";
  EXPECT_EQ(Train(parameters, {*training}, options).error().message,
            "cannot resume from `" + checkpoint + "`: it was trained with another `columns`");
  options.metadata["columns"] = "a";
  options.seed = 5;
  EXPECT_EQ(Train(parameters, {*training}, options).error().message,
            "cannot resume from `" + checkpoint + "`: it was trained with seed 1");
  options.seed = 1;
  ASSERT_TRUE(WriteWeights(checkpoint, {}));
  EXPECT_FALSE(Train(parameters, {*training}, options));
}

TEST(Generate, ChoosesByTemperature) {
  const std::vector<double> scores = {0, std::log(3.0), -1e300};
  EXPECT_EQ(Choose(scores, 0, 0.1), 1u);
  EXPECT_EQ(Choose(scores, 1, 0.24), 0u);
  EXPECT_EQ(Choose(scores, 1, 0.26), 1u);
  EXPECT_EQ(Choose(scores, 1, 0.999999), 1u);
  EXPECT_EQ(Choose(scores, 1e9, 0.49), 0u) << "heat levels the scores that are finite";
  EXPECT_LT(Choose(std::vector<double>{NAN, NAN}, 1, 0.5), 2u);
}

TEST(Generate, SampleIsTheSeedsAndStepIsInference) {
  const Vocabulary vocabulary = Vocabulary::Of("abcde");
  const auto parameters = Fresh(CharacterProgram(ElementType::kF64));
  const auto a = Sample(parameters, vocabulary, {.length = 50, .seed = 3});
  EXPECT_EQ(*a, *Sample(parameters, vocabulary, {.length = 50, .seed = 3}));
  EXPECT_NE(*a, *Sample(parameters, vocabulary, {.length = 50, .seed = 4}));
  // The same program without its step entry.
  recurve_program without = CharacterProgram(ElementType::kF64);
  std::vector<recurve_entry> entries;
  for (const recurve_entry& entry : parameters->program().entries()) {
    if (std::string_view(entry.name) != "step") entries.push_back(entry);
  }
  without.entries = entries.data();
  without.entry_count = static_cast<int32_t>(entries.size());
  EXPECT_EQ(*a, *Sample(Fresh(without), vocabulary, {.length = 50, .seed = 3}));
}

TEST(Generate, SaysWhatDoesNotFit) {
  const auto characters = Fresh(CharacterProgram(ElementType::kF32));
  const auto series = Fresh(SeriesProgram(ElementType::kF32));
  EXPECT_EQ(Sample(characters, Vocabulary::Of("ab"), {}).error().message,
            "cannot continue a sequence with `characters`: it reads 5 tokens and scores 5, the vocabulary has 2");
  EXPECT_FALSE(Sample(characters, Vocabulary::Of("abcde"), {.prompt = "z"}));
  EXPECT_FALSE(Sample(series, Vocabulary::Of("a"), {}));
  EXPECT_FALSE(Forecast(characters, {}, 1, 1));
  EXPECT_FALSE(Forecast(series, {}, 1, 1));
  EXPECT_FALSE(PredictNext(series, Sine(5), 6, 3));
  EXPECT_FALSE(PredictNext(series, Sine(5), 0, 3));
}

TEST(Generate, PredictionsAreThoseOfEachWindow) {
  const auto parameters = Fresh(SeriesProgram(ElementType::kF64));
  const std::vector<double> values = Sine(40);
  const auto predictions = PredictNext(parameters, values, 5, 8);
  ASSERT_TRUE(predictions) << predictions.error().message;
  ASSERT_EQ(predictions->size(), 36u);
  Session session(parameters);
  for (size_t row = 5; row <= 40; ++row) {
    const size_t window = std::min<size_t>(row, 8);
    ASSERT_TRUE(session.SetExtent("T", window));
    ASSERT_TRUE(session.Set("x", std::span(values).subspan(row - window, window)) && session.Inference());
    EXPECT_EQ(session.Get("prediction")->back(), (*predictions)[row - 5]) << "row " << row;
  }
  const auto forecast = Forecast(parameters, values, 3, 8);
  ASSERT_TRUE(forecast);
  EXPECT_EQ(forecast->front(), predictions->back()) << "the first step of a forecast is the prediction beyond the end";
  std::vector<double> extended = values;
  extended.push_back(forecast->front());
  EXPECT_EQ((*forecast)[1], Forecast(parameters, extended, 1, 8)->front());
}

}  // namespace
}  // namespace recurve

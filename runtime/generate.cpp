#include "runtime/generate.h"

#include <algorithm>
#include <cmath>
#include <functional>

#include <fmt/format.h>

#include "runtime/random.h"
#include "runtime/sequence_model.h"
#include "runtime/session.h"

namespace recurve {
namespace {

std::unexpected<Error> Fail(const Program& program, std::string_view flaw) {
  return std::unexpected(Error{fmt::format("cannot continue a sequence with `{}`: {}", program.name(), flaw)});
}

// Reads a token, returns the scores of the next one.
using Reader = std::function<std::expected<std::vector<double>, Error>(int32_t)>;

Reader StreamReader(Stream& stream, const SequenceModel& model) {
  return [&](int32_t token) -> std::expected<std::vector<double>, Error> {
    const auto input = stream.Tensor<int32_t>(model.reads);
    if (!input) return std::unexpected(input.error());
    (*input)[0] = token;
    if (auto done = stream.Step(); !done) return std::unexpected(done.error());
    return stream.Get(model.prediction);
  };
}

Reader SessionReader(Session& session, const SequenceModel& model) {
  return [&](int32_t token) -> std::expected<std::vector<double>, Error> {
    const auto input = session.Tensor<int32_t>(model.reads);
    if (!input) return std::unexpected(input.error());
    (*input)[0] = token;
    if (auto done = model.SetLengths(session); !done) return std::unexpected(done.error());
    if (auto done = session.Inference(); !done) return std::unexpected(done.error());
    if (auto done = model.CarryStates(session); !done) return std::unexpected(done.error());
    return session.Get(model.prediction);
  };
}

// Whether the step entry has the tensors that a sampler needs.
bool CanStream(const Program& program, const SequenceModel& model) {
  const recurve_entry* step = program.FindEntry("step");
  return step != nullptr && Program::FindSlot(*step, model.reads) != nullptr &&
         Program::FindSlot(*step, model.prediction) != nullptr;
}

std::expected<SequenceModel, Error> SeriesModel(const Program& program) {
  auto model = SequenceModel::Of(program);
  if (!model) return model;
  if (model->is_token) return Fail(program, "it reads tokens, not values");
  if (model->prediction.empty())
    return Fail(program, fmt::format("it has no output of width {}", model->prediction_width));
  if (program.FindEntry("inference") == nullptr) return Fail(program, "it has no entry `inference`");
  return model;
}

// The last prediction of each window; windows [length, batch] begin at rows first_start, first_start + 1, ...
std::expected<std::vector<double>, Error> PredictWindows(Session& session, const SequenceModel& model,
                                                         std::span<const double> values, size_t first_start,
                                                         size_t length, size_t batch) {
  if (auto done = model.Resize(session, length, batch); !done) return std::unexpected(done.error());
  std::vector<double> reads;
  reads.reserve(length * batch * model.width);
  for (size_t t = 0; t < length; ++t) {
    for (size_t b = 0; b < batch; ++b) {
      const auto row = values.subspan((first_start + b + t) * model.width, model.width);
      reads.insert(reads.end(), row.begin(), row.end());
    }
  }
  if (auto done = session.Set(model.reads, reads); !done) return std::unexpected(done.error());
  if (auto done = model.ClearStates(session); !done) return std::unexpected(done.error());
  if (auto done = model.SetLengths(session); !done) return std::unexpected(done.error());
  if (auto done = session.Inference(); !done) return std::unexpected(done.error());
  auto all = session.Get(model.prediction);
  if (!all) return all;
  return std::vector<double>(all->end() - static_cast<ptrdiff_t>(batch * model.prediction_width), all->end());
}

}  // namespace

size_t Choose(std::span<const double> scores, double temperature, double uniform) {
  const size_t likeliest = static_cast<size_t>(std::ranges::max_element(scores) - scores.begin());
  if (!(temperature > 0)) return likeliest;
  std::vector<double> sums;  // of the probabilities, not normalized
  double sum = 0;
  for (const double score : scores) sums.push_back(sum += std::exp((score - scores[likeliest]) / temperature));
  // Scores that are not numbers leave no sum to choose by.
  if (!std::isfinite(sum)) return likeliest;
  const auto chosen = std::ranges::upper_bound(sums, uniform * sum);
  return chosen == sums.end() ? likeliest : static_cast<size_t>(chosen - sums.begin());
}

std::expected<std::string, Error> Sample(const std::shared_ptr<Parameters>& parameters, const Vocabulary& vocabulary,
                                         const SampleOptions& options) {
  const Program& program = parameters->program();
  const auto model = SequenceModel::Of(program);
  if (!model) return std::unexpected(model.error());
  if (!model->is_token) return Fail(program, "it reads values, not tokens");
  if (!model->predicts_every_step) return Fail(program, "it predicts only at the end of a sequence");
  if (model->prediction.empty())
    return Fail(program, fmt::format("it has no output of {} scores", model->prediction_width));
  if (vocabulary.size() != model->classes || model->prediction_width != model->classes) {
    return Fail(program, fmt::format("it reads {} tokens and scores {}, the vocabulary has {}", model->classes,
                                     model->prediction_width, vocabulary.size()));
  }
  if (!(options.temperature >= 0)) return Fail(program, fmt::format("the temperature is {}", options.temperature));
  auto prompt = vocabulary.Encode(options.prompt);
  if (!prompt) return std::unexpected(prompt.error());

  Random random(options.seed, StreamOf("sample"));
  std::string text;
  if (prompt->empty()) {
    prompt->push_back(static_cast<int32_t>(random.Below(static_cast<uint32_t>(vocabulary.size()))));
  }
  Session session(parameters);
  Stream stream(parameters);
  const Reader read = CanStream(program, *model) ? StreamReader(stream, *model) : SessionReader(session, *model);
  std::vector<double> scores;
  const auto advance = [&](int32_t token) -> std::expected<void, Error> {
    auto next = read(token);
    if (!next) return std::unexpected(next.error());
    scores = std::move(*next);
    return {};
  };
  for (const int32_t token : *prompt) {
    if (auto done = advance(token); !done) return std::unexpected(done.error());
  }
  for (size_t i = 0; i < options.length; ++i) {
    const auto token = static_cast<int32_t>(Choose(scores, options.temperature, random.Uniform()));
    text += vocabulary.Decode(token);
    if (i + 1 == options.length) break;
    if (auto done = advance(token); !done) return std::unexpected(done.error());
  }
  return text;
}

std::expected<std::vector<double>, Error> PredictNext(const std::shared_ptr<Parameters>& parameters,
                                                      std::span<const double> values, size_t first, size_t length) {
  const Program& program = parameters->program();
  const auto model = SeriesModel(program);
  if (!model) return std::unexpected(model.error());
  const size_t rows = values.size() / model->width;
  if (first < 1 || first > rows || length < 1) {
    return Fail(program,
                fmt::format("predictions from row {} of {} by windows of {} do not exist", first, rows, length));
  }
  Session session(parameters);
  std::vector<double> result;
  const auto add = [&](size_t start, size_t window, size_t batch) -> std::expected<void, Error> {
    const auto part = PredictWindows(session, *model, values, start, window, batch);
    if (!part) return std::unexpected(part.error());
    result.insert(result.end(), part->begin(), part->end());
    return {};
  };
  // Rows with less than a window before them take what there is.
  size_t row = first;
  for (; row < length && row <= rows; ++row) {
    if (auto done = add(0, row, 1); !done) return std::unexpected(done.error());
  }
  // All full windows at once, side by side; a batch of them at a time bounds the memory.
  while (row <= rows) {
    const size_t batch = std::min<size_t>(rows + 1 - row, 1024);
    if (auto done = add(row - length, length, batch); !done) return std::unexpected(done.error());
    row += batch;
  }
  return result;
}

std::expected<std::vector<double>, Error> Forecast(const std::shared_ptr<Parameters>& parameters,
                                                   std::span<const double> values, size_t steps, size_t length) {
  const Program& program = parameters->program();
  const auto model = SeriesModel(program);
  if (!model) return std::unexpected(model.error());
  if (model->prediction_width != model->width) {
    return Fail(program,
                fmt::format("it reads {} values a step and predicts {}", model->width, model->prediction_width));
  }
  const size_t rows = values.size() / model->width;
  if (rows < 1 || length < 1) return Fail(program, fmt::format("windows of {} in {} rows do not exist", length, rows));
  const size_t window = std::min(length, rows);
  Session session(parameters);
  std::vector<double> history(values.end() - static_cast<ptrdiff_t>(window * model->width), values.end());
  for (size_t step = 0; step < steps; ++step) {
    const auto next = PredictWindows(session, *model, history, step, window, 1);
    if (!next) return next;
    history.insert(history.end(), next->begin(), next->end());
  }
  return std::vector<double>(history.begin() + static_cast<ptrdiff_t>(window * model->width), history.end());
}

}  // namespace recurve

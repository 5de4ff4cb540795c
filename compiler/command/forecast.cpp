// compiler/command/forecast.cpp: `recurve forecast`: what a trained model expects of a series, beside simple baselines.

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <optional>

#include "compiler/command/command.h"
#include "compiler/command/model.h"
#include "runtime/baselines.h"
#include "runtime/file.h"
#include "runtime/generate.h"
#include "runtime/plot.h"

namespace recurve::command {
namespace {

struct Options {
  ProgramArguments program;
  std::vector<std::string> weights;
  std::string data, output, svg;
  size_t steps = 0, ahead = 1;
  Storage store = Storage::kSame;
  size_t order = 9;
};

// What several trainings make of one thing: their mean, and how far they lie apart.
struct Ensemble {
  std::vector<double> mean, deviation;  // the latter of samples; 0 of a single training

  static Ensemble Of(const std::vector<std::vector<double>>& members) {
    const auto count = static_cast<double>(members.size());
    Ensemble all;
    for (size_t i = 0; i < members[0].size(); ++i) {
      double sum = 0, squares = 0;
      for (const auto& member : members) sum += member[i];
      for (const auto& member : members) squares += (member[i] - sum / count) * (member[i] - sum / count);
      all.mean.push_back(sum / count);
      all.deviation.push_back(members.size() > 1 ? std::sqrt(squares / (count - 1)) : 0);
    }
    return all;
  }
  // Two deviations below or above the mean; nothing of a single training.
  std::vector<double> Edge(double sign) const {
    if (std::ranges::all_of(deviation, [](double x) { return x == 0; })) return {};
    std::vector<double> edge;
    for (size_t i = 0; i < mean.size(); ++i) edge.push_back(mean[i] + sign * 2 * deviation[i]);
    return edge;
  }
};

// Errors of forecasts `h + 1` steps ahead, from every row where so many have been observed.
struct Horizon {
  Score model, persistence, linear;
};

// Predictions of one column, in the units of the data.
struct Forecasts {
  std::vector<double> times, observed;  // of the held-out rows
  Ensemble model;
  std::vector<double> persistence, linear;
  std::vector<double> future_times;
  Ensemble future;
  std::vector<Horizon> horizons;
};

std::string Table(const Forecasts& forecasts, const Series& series, bool is_ensemble) {
  std::string text = fmt::format("{},observed,model,persistence,linear{}\n",
                                 series.time_name.empty() ? "step" : series.time_name, is_ensemble ? ",deviation" : "");
  auto deviation = [&](const Ensemble& all, size_t i) {
    return is_ensemble ? fmt::format(",{}", all.deviation[i]) : "";
  };
  for (size_t i = 0; i < forecasts.observed.size(); ++i)
    text += fmt::format("{},{},{},{},{}{}\n", forecasts.times[i], forecasts.observed[i], forecasts.model.mean[i],
                        forecasts.persistence[i], forecasts.linear[i], deviation(forecasts.model, i));
  for (size_t i = 0; i < forecasts.future.mean.size(); ++i)
    text += fmt::format("{},,{},,{}\n", forecasts.future_times[i], forecasts.future.mean[i],
                        deviation(forecasts.future, i));
  return text;
}

std::string Picture(const Forecasts& forecasts, const Series& series, const std::vector<double>& column,
                    const Options& options) {
  Plot plot{.title = fmt::format("{}: one step ahead", series.columns.back()),
            .x_label = series.time_name.empty() ? "step" : series.time_name,
            .y_label = series.columns.back()};
  plot.lines.push_back({"data", series.times, column});
  plot.lines.push_back({options.program.entry, forecasts.times, forecasts.model.mean, false, forecasts.model.Edge(-1),
                        forecasts.model.Edge(1)});
  plot.lines.push_back({fmt::format("AR({})", options.order), forecasts.times, forecasts.linear, true});
  plot.lines.push_back({"persistence", forecasts.times, forecasts.persistence, true});
  if (!forecasts.future.mean.empty()) {
    plot.lines.push_back({"fed back", forecasts.future_times, forecasts.future.mean, true, forecasts.future.Edge(-1),
                          forecasts.future.Edge(1)});
  }
  plot.shade_from = forecasts.times.front();
  plot.shade_label = "held out";
  return Draw(plot);
}

void PrintScores(const Forecasts& forecasts, size_t order) {
  fmt::print("{:12} {:>10} {:>10}\n", "", "RMSE", "MAE");
  auto row = [&](std::string_view name, const std::vector<double>& predictions) {
    const Score score = Compare(predictions, forecasts.observed);
    fmt::print("{:12} {:>10.3f} {:>10.3f}\n", name, score.rmse, score.mae);
  };
  row("model", forecasts.model.mean);
  row("persistence", forecasts.persistence);
  row(fmt::format("AR({})", order), forecasts.linear);
  if (forecasts.horizons.empty()) return;
  fmt::print("\n{:12} {:>10} {:>12} {:>10}\n", "steps ahead", "model", "persistence", fmt::format("AR({})", order));
  for (size_t h = 0; h < forecasts.horizons.size(); ++h) {
    const Horizon& horizon = forecasts.horizons[h];
    fmt::print("{:<12} {:>10.3f} {:>12.3f} {:>10.3f}\n", h + 1, horizon.model.rmse, horizon.persistence.rmse,
               horizon.linear.rmse);
  }
}

// Trained models, and how what they read is scaled.
struct Members {
  std::vector<TrainedModel> models;
  Standardization scale;
  size_t length = 0, width = 1;
};

// A forecast of each, of the last column in the units of the data, as their mean.
std::expected<Ensemble, Error> Predict(
    const Members& members,
    const std::function<std::expected<std::vector<double>, Error>(const std::shared_ptr<Parameters>&)>& predict) {
  std::vector<std::vector<double>> all;
  for (const TrainedModel& member : members.models) {
    const auto standardized = predict(member.parameters);
    if (!standardized) return std::unexpected(standardized.error());
    const std::vector<double> values = members.scale.Undo(*standardized);
    std::vector<double> column;
    for (size_t i = members.width - 1; i < values.size(); i += members.width) column.push_back(values[i]);
    all.push_back(std::move(column));
  }
  return Ensemble::Of(all);
}

// From every row of the held-out part behind which `ahead` more have been observed.
std::expected<std::vector<Horizon>, Error> HorizonsOf(const Members& members, const std::vector<double>& values,
                                                      const std::vector<double>& column, size_t first, size_t ahead,
                                                      const Autoregression& linear) {
  std::vector<std::vector<double>> model(ahead), persistence(ahead), autoregression(ahead), observed(ahead);
  for (size_t now = first; now + ahead <= column.size(); ++now) {
    const auto known = std::span(values).first(now * members.width);
    auto forecast = Predict(members, [&](const std::shared_ptr<Parameters>& parameters) {
      return Forecast(parameters, known, ahead, members.length);
    });
    if (!forecast) return std::unexpected(forecast.error());
    const std::vector<double> by_line = linear.Forecast(std::span(column).first(now), ahead);
    for (size_t h = 0; h < ahead; ++h) {
      model[h].push_back(forecast->mean[h]);
      persistence[h].push_back(column[now - 1]);
      autoregression[h].push_back(by_line[h]);
      observed[h].push_back(column[now + h]);
    }
  }
  std::vector<Horizon> horizons;
  for (size_t h = 0; h < ahead; ++h)
    horizons.push_back({Compare(model[h], observed[h]), Compare(persistence[h], observed[h]),
                        Compare(autoregression[h], observed[h])});
  return horizons;
}

int Run(const Options& options) {
  auto series = ReadSeries(options.data);
  if (!series) return Fail(series.error());
  Members members{.width = series->width()};
  for (const std::string& weights : options.weights) {
    auto model = LoadTrainedModel(options.program, weights, options.store);
    if (!model) return model.error();
    if (!members.models.empty()) {
      for (const char* key : {kStandardizationKey, kHeldOutKey, kLengthKey}) {
        if (model->weights.Metadata(key) == members.models[0].weights.Metadata(key)) continue;
        return Fail({fmt::format("`{}` and `{}` were trained with another `{}`", options.weights[0], weights, key)});
      }
    }
    members.models.push_back(*std::move(model));
  }
  const TrainedModel& model = members.models[0];
  auto scale = Standardization::Deserialize(model.weights.Metadata(kStandardizationKey));
  if (!scale) return Fail(scale.error());
  if (scale->means.size() != series->width())
    return Fail({fmt::format("`{}` has {} columns, and the model was trained on {}", options.data, series->width(),
                             scale->means.size())});
  members.scale = *scale;
  members.length = static_cast<size_t>(model.Number(kLengthKey, 64));

  const size_t rows = series->rows(), width = series->width();
  const size_t held_out = static_cast<size_t>(static_cast<double>(rows) * model.Number(kHeldOutKey, 0.1));
  const size_t first = rows - held_out;
  if (held_out == 0 || first <= options.order)
    return Fail({fmt::format("`{}` has too few rows to hold some out", options.data)});
  if (options.ahead > held_out)
    return Fail({fmt::format("{} rows are held out, too few to look {} steps ahead", held_out, options.ahead)});
  const std::vector<double> values = scale->Apply(series->values);
  auto predictions = Predict(members, [&](const std::shared_ptr<Parameters>& parameters) {
    return PredictNext(parameters, values, first, members.length);
  });
  if (!predictions) return Fail(predictions.error());
  if (predictions->mean.size() != held_out + 1)
    return Fail({fmt::format("`{}` predicts another number of values than it reads", options.program.entry)});

  // The last column stands for the series in scores and plots.
  const std::vector<double> column = series->Column(width - 1);
  Forecasts forecasts{.times = {series->times.begin() + static_cast<ptrdiff_t>(first), series->times.end()},
                      .observed = {column.begin() + static_cast<ptrdiff_t>(first), column.end()},
                      .model = *std::move(predictions),
                      .persistence = Persistence(column, first)};
  // The prediction beyond the last row is the first of those fed back.
  forecasts.model.mean.resize(held_out);
  forecasts.model.deviation.resize(held_out);
  auto linear = Autoregression::Fit(std::span(column).first(first), options.order);
  if (!linear) return Fail(linear.error());
  forecasts.linear = linear->Predict(column, first);
  if (options.ahead > 1) {
    auto horizons = HorizonsOf(members, values, column, first, options.ahead, *linear);
    if (!horizons) return Fail(horizons.error());
    forecasts.horizons = *std::move(horizons);
  }
  if (options.steps > 0) {
    auto future = Predict(members, [&](const std::shared_ptr<Parameters>& parameters) {
      return Forecast(parameters, values, options.steps, members.length);
    });
    if (!future) return Fail(future.error());
    forecasts.future = *std::move(future);
    const double step = rows > 1 ? series->times[rows - 1] - series->times[rows - 2] : 1;
    for (size_t i = 1; i <= options.steps; ++i)
      forecasts.future_times.push_back(series->times.back() + step * static_cast<double>(i));
  }

  PrintScores(forecasts, options.order);
  if (!options.output.empty()) {
    const std::string table = Table(forecasts, *series, options.weights.size() > 1);
    if (auto done = WriteFile(options.output, table); !done) return Fail(done.error());
  }
  if (!options.svg.empty()) {
    if (auto done = WriteFile(options.svg, Picture(forecasts, *series, column, options)); !done)
      return Fail(done.error());
  }
  return kFine;
}

}  // namespace

void AddForecast(CLI::App& app, int& exit_code) {
  auto* verb = app.add_subcommand("forecast", "compare a trained model's forecasts with baselines, and look ahead");
  auto options = std::make_shared<Options>();
  AddProgramArguments(*verb, options->program);
  verb->add_option("--weights", options->weights,
                   "what `recurve train --save` wrote; of several trainings that differ in their seeds, with commas\n"
                   "between them, the mean is taken, and the picture has a band of two deviations around it")
      ->required()
      ->delimiter(',');
  AddStorage(*verb, options->store);
  verb->add_option("--data", options->data, "the .csv file it was trained on, or one that goes on")->required();
  verb->add_option("--steps", options->steps, "time steps to look ahead, each prediction being fed back")
      ->capture_default_str();
  verb->add_option("--ahead", options->ahead, "score forecasts of 1 to so many steps ahead from every held-out row")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  verb->add_option("--order", options->order, "of the linear autoregression beside it")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  verb->add_option("--output", options->output, "where predictions go, as a table")->type_name("FILE.csv");
  verb->add_option("--svg", options->svg, "where a plot goes")->type_name("FILE.svg");
  verb->footer(
      "Scores are of one step ahead on the held-out rows, in the units of the data.\n"
      "Examples:\n"
      "  recurve forecast frontend/examples/sunspots/sunspots.cell sunspots --weights=sunspots.safetensors \\\n"
      "      --data=frontend/examples/sunspots/sunspots.csv --steps=22 --output=forecast.csv --svg=forecast.svg");
  verb->callback([options, &exit_code] { exit_code = Run(*options); });
}

}  // namespace recurve::command

// compiler/command/forecast.cpp: `recurve forecast`: what a trained model expects of a series, beside simple baselines.

#include <fmt/format.h>

#include <algorithm>
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
  std::string weights, data, output, svg;
  size_t steps = 0;
  Storage store = Storage::kSame;
  size_t order = 9;
};

// Predictions of one column, in the units of the data.
struct Forecasts {
  std::vector<double> times, observed;  // of the held-out rows
  std::vector<double> model, persistence, linear;
  std::vector<double> future_times, future;
};

std::string Table(const Forecasts& forecasts, const Series& series) {
  std::string text =
      fmt::format("{},observed,model,persistence,linear\n", series.time_name.empty() ? "step" : series.time_name);
  for (size_t i = 0; i < forecasts.observed.size(); ++i)
    text += fmt::format("{},{},{},{},{}\n", forecasts.times[i], forecasts.observed[i], forecasts.model[i],
                        forecasts.persistence[i], forecasts.linear[i]);
  for (size_t i = 0; i < forecasts.future.size(); ++i)
    text += fmt::format("{},,{},,\n", forecasts.future_times[i], forecasts.future[i]);
  return text;
}

std::string Picture(const Forecasts& forecasts, const Series& series, const std::vector<double>& column,
                    const Options& options) {
  Plot plot{.title = fmt::format("{}: one step ahead", series.columns.back()),
            .x_label = series.time_name.empty() ? "step" : series.time_name,
            .y_label = series.columns.back()};
  plot.lines.push_back({"data", series.times, column});
  plot.lines.push_back({options.program.entry, forecasts.times, forecasts.model});
  plot.lines.push_back({fmt::format("AR({})", options.order), forecasts.times, forecasts.linear, true});
  plot.lines.push_back({"persistence", forecasts.times, forecasts.persistence, true});
  if (!forecasts.future.empty()) plot.lines.push_back({"fed back", forecasts.future_times, forecasts.future, true});
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
  row("model", forecasts.model);
  row("persistence", forecasts.persistence);
  row(fmt::format("AR({})", order), forecasts.linear);
}

int Run(const Options& options) {
  auto model = LoadTrainedModel(options.program, options.weights, options.store);
  if (!model) return model.error();
  auto series = ReadSeries(options.data);
  if (!series) return Fail(series.error());
  auto scale = Standardization::Deserialize(model->weights.Metadata(kStandardizationKey));
  if (!scale) return Fail(scale.error());
  if (scale->means.size() != series->width())
    return Fail({fmt::format("`{}` has {} columns, and the model was trained on {}", options.data, series->width(),
                             scale->means.size())});

  const size_t rows = series->rows(), width = series->width();
  const size_t held_out = static_cast<size_t>(static_cast<double>(rows) * model->Number(kHeldOutKey, 0.1));
  const size_t first = rows - held_out, length = static_cast<size_t>(model->Number(kLengthKey, 64));
  if (held_out == 0 || first <= options.order)
    return Fail({fmt::format("`{}` has too few rows to hold some out", options.data)});
  const std::vector<double> values = scale->Apply(series->values);
  auto predictions = PredictNext(model->parameters, values, first, length);
  if (!predictions) return Fail(predictions.error());
  if (predictions->size() != (held_out + 1) * width)
    return Fail({fmt::format("`{}` predicts another number of values than it reads", options.program.entry)});

  // The last column stands for the series in scores and plots.
  auto last_column = [&](const std::vector<double>& standardized) {
    const std::vector<double> all = scale->Undo(standardized);
    std::vector<double> column;
    for (size_t i = width - 1; i < all.size(); i += width) column.push_back(all[i]);
    return column;
  };
  const std::vector<double> column = series->Column(width - 1);
  Forecasts forecasts{.times = {series->times.begin() + static_cast<ptrdiff_t>(first), series->times.end()},
                      .observed = {column.begin() + static_cast<ptrdiff_t>(first), column.end()},
                      .model = last_column(*predictions),
                      .persistence = Persistence(column, first)};
  forecasts.model.resize(held_out);  // the prediction beyond the last row is the first of those fed back
  auto linear = Autoregression::Fit(std::span(column).first(first), options.order);
  if (!linear) return Fail(linear.error());
  forecasts.linear = linear->Predict(column, first);
  if (options.steps > 0) {
    auto future = Forecast(model->parameters, values, options.steps, length);
    if (!future) return Fail(future.error());
    forecasts.future = last_column(*future);
    const double step = rows > 1 ? series->times[rows - 1] - series->times[rows - 2] : 1;
    for (size_t i = 1; i <= options.steps; ++i)
      forecasts.future_times.push_back(series->times.back() + step * static_cast<double>(i));
  }

  PrintScores(forecasts, options.order);
  if (!options.output.empty()) {
    if (auto done = WriteFile(options.output, Table(forecasts, *series)); !done) return Fail(done.error());
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
  verb->add_option("--weights", options->weights, "what `recurve train --save` wrote")->required();
  AddStorage(*verb, options->store);
  verb->add_option("--data", options->data, "the .csv file it was trained on, or one that goes on")->required();
  verb->add_option("--steps", options->steps, "time steps to look ahead, each prediction being fed back")
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

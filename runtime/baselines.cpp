#include "runtime/baselines.h"

#include <cmath>

#include <fmt/format.h>

namespace recurve {
namespace {

// Solves min |A x - y| for A [rows, columns] row-major, rows >= columns, by Householder reflections, which lose half as
// many digits as the normal equations. Returns nothing if the columns are dependent to working precision.
// Source: Golub & Van Loan, Matrix computations, algorithm 5.3.2.
std::vector<double> LeastSquares(std::vector<double> a, std::vector<double> y, size_t columns) {
  const size_t rows = y.size();
  const auto at = [&](size_t row, size_t column) -> double& { return a[row * columns + column]; };
  std::vector<double> diagonal(columns);
  for (size_t k = 0; k < columns; ++k) {
    double whole = 0, below = 0;
    for (size_t i = 0; i < rows; ++i) (i < k ? whole : below) += at(i, k) * at(i, k);
    const double length = std::sqrt(below);
    if (!(below > 1e-24 * (whole + below))) return {};
    diagonal[k] = at(k, k) > 0 ? -length : length;
    at(k, k) -= diagonal[k];  // the column below the diagonal is now the reflection's vector v, |v|^2 = 2 * scale
    const double scale = -diagonal[k] * at(k, k);
    const auto reflect = [&](auto element) {
      double dot = 0;
      for (size_t i = k; i < rows; ++i) dot += at(i, k) * element(i);
      for (size_t i = k; i < rows; ++i) element(i) -= dot / scale * at(i, k);
    };
    for (size_t j = k + 1; j < columns; ++j) reflect([&](size_t i) -> double& { return at(i, j); });
    reflect([&](size_t i) -> double& { return y[i]; });
  }
  std::vector<double> x(columns);
  for (size_t k = columns; k-- > 0;) {
    double rest = y[k];
    for (size_t j = k + 1; j < columns; ++j) rest -= at(k, j) * x[j];
    x[k] = rest / diagonal[k];
  }
  return x;
}

}  // namespace

Score Compare(std::span<const double> predictions, std::span<const double> observations) {
  const size_t count = std::min(predictions.size(), observations.size());
  Score score;
  for (size_t i = 0; i < count; ++i) {
    const double error = predictions[i] - observations[i];
    score.rmse += error * error;
    score.mae += std::abs(error);
  }
  if (count == 0) return score;
  return {std::sqrt(score.rmse / static_cast<double>(count)), score.mae / static_cast<double>(count)};
}

std::vector<double> Persistence(std::span<const double> series, size_t first) {
  if (first < 1 || first > series.size()) return {};
  const auto before = series.subspan(first - 1, series.size() - first);
  return {before.begin(), before.end()};
}

std::expected<Autoregression, Error> Autoregression::Fit(std::span<const double> series, size_t order) {
  const size_t columns = order + 1;
  if (order > series.size() / 2 || series.size() - order < columns) {
    return std::unexpected(
        Error{fmt::format("cannot fit an autoregression of order {} to {} values", order, series.size())});
  }
  std::vector<double> a, y;
  for (size_t t = order; t < series.size(); ++t) {
    a.push_back(1);
    for (size_t k = 0; k < order; ++k) a.push_back(series[t - 1 - k]);
    y.push_back(series[t]);
  }
  const std::vector<double> x = LeastSquares(std::move(a), std::move(y), columns);
  if (x.empty()) {
    return std::unexpected(Error{fmt::format(
        "cannot fit an autoregression of order {}: the series does not determine its coefficients", order)});
  }
  return Autoregression{x.front(), {x.begin() + 1, x.end()}};
}

double Autoregression::Next(std::span<const double> history) const {
  double value = intercept;
  for (size_t k = 0; k < coefficients.size(); ++k) value += coefficients[k] * history[history.size() - 1 - k];
  return value;
}

std::vector<double> Autoregression::Predict(std::span<const double> series, size_t first) const {
  std::vector<double> predictions;
  if (first < coefficients.size()) return predictions;
  for (size_t t = first; t < series.size(); ++t) predictions.push_back(Next(series.first(t)));
  return predictions;
}

std::vector<double> Autoregression::Forecast(std::span<const double> history, size_t steps) const {
  if (history.size() < coefficients.size()) return {};
  std::vector<double> values(history.begin(), history.end());
  for (size_t step = 0; step < steps; ++step) values.push_back(Next(values));
  return {values.end() - static_cast<ptrdiff_t>(steps), values.end()};
}

}  // namespace recurve

// runtime/baselines.h: what a forecast has to beat: yesterday's value, and a linear autoregression.

#ifndef RECURVE_RUNTIME_BASELINES_H_
#define RECURVE_RUNTIME_BASELINES_H_

#include <cstddef>
#include <expected>
#include <span>
#include <vector>

#include "runtime/error.h"

namespace recurve {

// How far predictions are from what happened, in the units of the data.
struct Score {
  double rmse = 0;  // root of the mean squared error
  double mae = 0;   // mean absolute error
};
// Of equally many predictions and observations; 0 of none.
Score Compare(std::span<const double> predictions, std::span<const double> observations);

// For each value from `first` (at least 1) on: the value before it.
std::vector<double> Persistence(std::span<const double> series, size_t first);

// x[t] = intercept + sum of coefficients[k] * x[t - 1 - k], by least squares.
struct Autoregression {
  double intercept = 0;
  std::vector<double> coefficients;

  // Fits all t in [order, size). Fails if the series is too short or does not determine the coefficients.
  static std::expected<Autoregression, Error> Fit(std::span<const double> series, size_t order);
  // The value after a history of at least as many values as there are coefficients.
  double Next(std::span<const double> history) const;
  // For each value from `first` (at least the order) on: the prediction from the true values before it.
  std::vector<double> Predict(std::span<const double> series, size_t first) const;
  // `steps` values after a history, each fed back.
  std::vector<double> Forecast(std::span<const double> history, size_t steps) const;
};

}  // namespace recurve

#endif  // RECURVE_RUNTIME_BASELINES_H_

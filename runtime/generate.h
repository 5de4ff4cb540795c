// runtime/generate.h: what a trained model says next: text, or the future of a series.
//
// Text comes from a stream, one character at a time with the state kept. A series is forecast from windows as long as
// those of the training, each from states of zero, because that is what the model was trained on: a state carried over
// centuries is not.

#ifndef RECURVE_RUNTIME_GENERATE_H_
#define RECURVE_RUNTIME_GENERATE_H_

#include <cstddef>
#include <cstdint>
#include <expected>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "runtime/parameters.h"
#include "runtime/text_data.h"

namespace recurve {

struct SampleOptions {
  std::string prompt;      // read first and not repeated in the result; empty starts from a random character
  size_t length = 400;     // characters
  double temperature = 1;  // scores are divided by it; 0 always takes the likeliest
  uint64_t seed = 1;
};

// Continues the prompt. The program reads tokens and predicts every step; without a `step` entry, `inference` runs over
// one step at a time. Fails if the vocabulary is not of the model's size or does not have a character of the prompt.
std::expected<std::string, Error> Sample(const std::shared_ptr<Parameters>& parameters, const Vocabulary& vocabulary,
                                         const SampleOptions& options);

// The element to take from scores (logits), by a uniform number in [0, 1). The temperature is at least 0.
size_t Choose(std::span<const double> scores, double temperature, double uniform);

// values: [rows, width], standardized as in training. For each row from `first` (at least 1) on, and one beyond the
// last, what the model predicts from the up to `length` rows before it: [rows + 1 - first, prediction width].
std::expected<std::vector<double>, Error> PredictNext(const std::shared_ptr<Parameters>& parameters,
                                                      std::span<const double> values, size_t first, size_t length);

// `steps` rows after the given ones, each prediction being fed back as if it had been observed: [steps, width]. The
// model predicts as many values as it reads.
std::expected<std::vector<double>, Error> Forecast(const std::shared_ptr<Parameters>& parameters,
                                                   std::span<const double> values, size_t steps, size_t length);

}  // namespace recurve

#endif  // RECURVE_RUNTIME_GENERATE_H_

// runtime/trainer.h: the training loop, for any program that has a `loss` output and a `backward` entry.
//
// Each epoch: every batch forward and backward and one step of the optimizer, then the loss over the held-out batches,
// then a report to the caller. The best weights are kept, and saved as they are found; a checkpoint after every epoch
// lets a later run go on as if it had never stopped. The library prints nothing.
//
//   recurve::TrainOptions options{.epochs = 20, .save = "lstm.safetensors"};
//   options.on_epoch = [](const recurve::EpochReport& report) { ... };
//   auto result = recurve::Train(parameters, {.training = *training, .held_out = held_out->get()}, options);
//
// The same seed gives the same weights, for any number of threads.

#ifndef RECURVE_RUNTIME_TRAINER_H_
#define RECURVE_RUNTIME_TRAINER_H_

#include <atomic>
#include <cstdint>
#include <expected>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "runtime/batches.h"
#include "runtime/parameters.h"
#include "runtime/team.h"
#include "runtime/update.h"

namespace recurve {

struct StepReport {
  int epoch = 1;  // from 1
  size_t step = 0, steps = 0;
  double loss = 0;
};

struct EpochReport {
  int epoch = 1, epochs = 1;
  double training_loss = 0;    // mean over the epoch, while the weights changed
  double held_out_loss = 0;    // after it; of the training batches if there are no others: training_loss
  double gradient_length = 0;  // mean, before clipping
  bool is_best = false;
};

struct TrainOptions {
  int epochs = 10;  // altogether, those before a resumption included
  uint64_t seed = 1;
  OptimizerOptions optimizer;
  std::shared_ptr<Team> team;  // null: the caller's thread

  std::string save;     // where the best weights go; empty keeps them in memory only
  bool resume = false;  // go on from the checkpoint beside `save`
  // Written into the file with the weights, e.g. a vocabulary. A resumption with other values is an error.
  std::map<std::string, std::string> metadata;

  const std::atomic<bool>* stop = nullptr;  // looked at between steps; true ends the run cleanly
  std::function<void(const StepReport&)> on_step;
  std::function<void(const EpochReport&)> on_epoch;
};

struct TrainData {
  Batches& training;
  Batches* held_out = nullptr;  // without it the training loss decides what is best
};

struct TrainResult {
  int epochs = 0;  // finished
  int best_epoch = 0;
  double best_loss = 0;
  bool was_stopped = false;
};

// Trains from the parameters' present values (initialize them first) and leaves the best ones in them. Fails if the
// program cannot be trained, a file cannot be written, or the loss is no longer a number.
std::expected<TrainResult, Error> Train(const std::shared_ptr<Parameters>& parameters, const TrainData& data,
                                        const TrainOptions& options);

// The mean loss over the batches, with the parameters as they are.
std::expected<double, Error> Evaluate(const std::shared_ptr<Parameters>& parameters, Batches& batches,
                                      const std::shared_ptr<Team>& team = nullptr);

// Where the checkpoint of a weight file is: "a/lstm.safetensors" has "a/lstm.checkpoint.safetensors".
std::string CheckpointPath(const std::string& save);

}  // namespace recurve

#endif  // RECURVE_RUNTIME_TRAINER_H_

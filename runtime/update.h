// runtime/update.h: calls a program's entry `update`, a step of the optimizer that it was compiled with.
//
// The entry has as slots the gradients W_adj, the parameters W and what is kept of each between steps, W.STATE, all
// overwritten but the gradients; numbers by name, the settings; and the length of the whole gradient as its output.

#ifndef RECURVE_RUNTIME_UPDATE_H_
#define RECURVE_RUNTIME_UPDATE_H_

#include <cstdint>
#include <expected>
#include <map>
#include <string>
#include <vector>

#include "runtime/aligned_memory.h"
#include "runtime/schedule.h"
#include "runtime/session.h"

namespace recurve {

// Settings that optimizers of the library know. `steps`, the number of the step from 1, is given by who counts it.
struct OptimizerOptions {
  double rate = 1e-3;
  double momentum = 0;                                // sgd
  double beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8;  // adam, adamw, rmsprop, adagrad
  double decay = 0;                                   // of weights
  double clip = 0;                                    // the largest length of the whole gradient; 0 leaves it
  double bound = 0;                                   // the largest number in it; 0 leaves it
  Schedule schedule;
  std::map<std::string, double> more;  // settings of other optimizers, by name
};

template <typename T>
class Updater {
 public:
  // Binds parameters and gradients, which must not move. Fails if the program has no `update` or it asks for a setting
  // that nobody gives.
  std::expected<void, Error> Prepare(const std::shared_ptr<Parameters>& parameters, Session& session,
                                     const OptimizerOptions& options);

  // One step, of `total` in all. Returns the gradient's length before clipping.
  double Step(uint64_t total);

  // What a later run needs to go on exactly from here.
  std::map<std::string, std::vector<T>>& states() { return states_; }
  const std::map<std::string, std::vector<T>>& states() const { return states_; }
  uint64_t steps() const { return steps_; }
  void SetSteps(uint64_t steps) { steps_ = steps; }

 private:
  const recurve_entry* entry_ = nullptr;
  OptimizerOptions options_;
  std::vector<uintptr_t> slots_;
  std::map<std::string, std::vector<T>> states_;
  std::map<std::string, T> settings_;
  AlignedMemory workspace_;
  T length_ = 0;
  uint64_t steps_ = 0;
};

}  // namespace recurve

#endif  // RECURVE_RUNTIME_UPDATE_H_

// runtime/optimizer.h: one step of gradient descent: plain, with momentum, or Adam; with the gradient's length bounded.
//
// Sources: Polyak 1964, Some methods of speeding up the convergence of iteration methods (momentum); Kingma & Ba 2015,
//   Adam: a method for stochastic optimization, algorithm 1; Pascanu, Mikolov & Bengio 2013, On the difficulty of
//   training recurrent neural networks (clipping the global norm).

#ifndef RECURVE_RUNTIME_OPTIMIZER_H_
#define RECURVE_RUNTIME_OPTIMIZER_H_

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace recurve {

struct OptimizerOptions {
  enum class Kind : uint8_t { kSgd, kAdam } kind = Kind::kAdam;
  double rate = 1e-3;
  double momentum = 0;                                // sgd
  double beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8;  // adam
  double clip = 0;                                    // the largest length of the whole gradient; 0 leaves it
};

// A parameter's values and gradient, of equal length, and the optimizer's memory of it.
template <typename T>
struct OptimizerSlot {
  std::span<T> values;
  std::span<const T> gradient;
  std::vector<T> first;   // momentum, or the mean of gradients
  std::vector<T> second;  // adam: the mean of squared gradients
};

// The Euclidean length, summed in double in a fixed order: eight sums side by side, so that it vectorizes.
template <typename T>
double SquaredLength(std::span<const T> values) {
  double sums[8] = {};
  const size_t whole = values.size() / 8 * 8;
  for (size_t i = 0; i < whole; i += 8) {
    for (size_t k = 0; k < 8; ++k) sums[k] += static_cast<double>(values[i + k]) * static_cast<double>(values[i + k]);
  }
  for (size_t i = whole; i < values.size(); ++i)
    sums[i % 8] += static_cast<double>(values[i]) * static_cast<double>(values[i]);
  double sum = 0;
  for (const double part : sums) sum += part;
  return sum;
}

template <typename T>
class Optimizer {
 public:
  explicit Optimizer(const OptimizerOptions& options) : options_(options) {}

  // Values and gradient stay the caller's and must not move.
  void Add(std::span<T> values, std::span<const T> gradient) {
    const bool needs_first = options_.kind == OptimizerOptions::Kind::kAdam || options_.momentum != 0;
    const bool needs_second = options_.kind == OptimizerOptions::Kind::kAdam;
    slots_.push_back({values, gradient, std::vector<T>(needs_first ? values.size() : 0),
                      std::vector<T>(needs_second ? values.size() : 0)});
  }

  // Moves every value along its gradient. Returns the gradient's length before clipping.
  double Step() {
    double squares = 0;
    for (const OptimizerSlot<T>& slot : slots_) squares += SquaredLength(slot.gradient);
    const double length = std::sqrt(squares);
    const T scale = static_cast<T>(options_.clip > 0 && length > options_.clip ? options_.clip / length : 1);
    ++steps_;
    for (OptimizerSlot<T>& slot : slots_) {
      switch (options_.kind) {
        case OptimizerOptions::Kind::kSgd: Descend(slot, scale); break;
        case OptimizerOptions::Kind::kAdam: Adapt(slot, scale); break;
      }
    }
    return length;
  }

  // What a later run needs to go on exactly from here: each slot's `first` and `second`, and how many steps were made.
  std::vector<OptimizerSlot<T>>& slots() { return slots_; }
  const std::vector<OptimizerSlot<T>>& slots() const { return slots_; }
  uint64_t steps() const { return steps_; }
  void SetSteps(uint64_t steps) { steps_ = steps; }

 private:
  void Descend(OptimizerSlot<T>& slot, T scale) {
    T* const value = slot.values.data();
    const T* const gradient = slot.gradient.data();
    const T rate = static_cast<T>(options_.rate), momentum = static_cast<T>(options_.momentum);
    if (slot.first.empty()) {
      for (size_t i = 0; i < slot.values.size(); ++i) value[i] -= rate * (scale * gradient[i]);
      return;
    }
    T* const velocity = slot.first.data();
    for (size_t i = 0; i < slot.values.size(); ++i) {
      velocity[i] = momentum * velocity[i] + scale * gradient[i];
      value[i] -= rate * velocity[i];
    }
  }

  void Adapt(OptimizerSlot<T>& slot, T scale) {
    T *const value = slot.values.data(), *const first = slot.first.data(), *const second = slot.second.data();
    const T* const gradient = slot.gradient.data();
    // Kingma & Ba's equivalent form (end of section 2): the corrections of both means go into rate and epsilon.
    const double steps = static_cast<double>(steps_);
    const double correction = std::sqrt(1 - std::pow(options_.beta2, steps));
    const T rate = static_cast<T>(options_.rate * correction / (1 - std::pow(options_.beta1, steps)));
    const T epsilon = static_cast<T>(options_.epsilon * correction);
    const T beta1 = static_cast<T>(options_.beta1), beta2 = static_cast<T>(options_.beta2);
    const T rest1 = static_cast<T>(1 - options_.beta1), rest2 = static_cast<T>(1 - options_.beta2);
    for (size_t i = 0; i < slot.values.size(); ++i) {
      const T g = scale * gradient[i];
      first[i] = beta1 * first[i] + rest1 * g;
      second[i] = beta2 * second[i] + rest2 * (g * g);
      value[i] -= rate * first[i] / (std::sqrt(second[i]) + epsilon);
    }
  }

  OptimizerOptions options_;
  std::vector<OptimizerSlot<T>> slots_;
  uint64_t steps_ = 0;
};

}  // namespace recurve

#endif  // RECURVE_RUNTIME_OPTIMIZER_H_

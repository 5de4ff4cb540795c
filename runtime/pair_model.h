// runtime/pair_model.h: how a program reads pairs, found from its slots, and pairs in batches.
//
//   source      the tokens that are read, int[S, B], with lengths int[B]
//   target      the input whose name begins with `target`: a class int[B], or tokens int[T, B] with lengths
//   previous    tokens int[T, B] that a decoder reads: the target a step later, behind a token 0
//   prediction  the first output with a score for each class of the target
//
// A target of tokens ends with a token 0, so that the model learns where to end. Which lengths are whose is what the
// entries `encode` and `step` take.

#ifndef RECURVE_RUNTIME_PAIR_MODEL_H_
#define RECURVE_RUNTIME_PAIR_MODEL_H_

#include <cstddef>
#include <cstdint>
#include <expected>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "runtime/batches.h"
#include "runtime/program.h"
#include "runtime/sequence_model.h"

namespace recurve {

struct PairModel {
  ProgramStates states;
  std::string source, source_lengths, source_axis;
  std::string target;                                 // empty: the program has none left
  std::string previous, target_lengths, target_axis;  // empty where the target is a class
  std::string prediction;
  size_t source_classes = 0, target_classes = 0;

  bool predicts_class() const { return previous.empty(); }

  // Fails if the program's inputs do not have this form, and says which.
  static std::expected<PairModel, Error> Of(const Program& program);
};

struct Pairs {
  std::vector<std::vector<int32_t>> sources;  // none empty
  std::vector<std::vector<int32_t>> targets;  // one class each, or tokens from 1 on
};

// Batches of pairs of about the same length, in a new order each epoch. `pairs` outlives them.
std::expected<std::unique_ptr<Batches>, Error> PairBatches(PairModel model, const Pairs& pairs, size_t batch);

// Sources next to each other, [longest, batch] with 0 behind the shorter ones.
std::vector<int32_t> SideBySide(std::span<const std::vector<int32_t>* const> sequences);

}  // namespace recurve

#endif  // RECURVE_RUNTIME_PAIR_MODEL_H_

// runtime/decode.h: what a trained model of pairs makes of a source: the class, or a sequence, token by token.
//
// A decoder reads its own last token. Greedily it takes the likeliest next one; a beam keeps the sequences that are
// likeliest as a whole so far; a temperature draws them. Token 0 ends a sequence.
//
//   auto found = recurve::Decode({parameters}, sources, {.beam = 4});
//   (*found)[0][0].tokens     // the best for the first source
//
// Several models, trained from different seeds say, decode together: a token has the mean of the probabilities that
// they give it.
//
// Source (beam search for sequence to sequence): Graves 2012, Sequence transduction with recurrent neural networks;
// Sutskever, Vinyals & Le 2014.

#ifndef RECURVE_RUNTIME_DECODE_H_
#define RECURVE_RUNTIME_DECODE_H_

#include <cstddef>
#include <cstdint>
#include <expected>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "runtime/parameters.h"
#include "runtime/team.h"

namespace recurve {

struct DecodeOptions {
  size_t beam = 1;         // sequences that are followed at a time; 1 is greedy
  double temperature = 0;  // above 0 a sequence is drawn, scores divided by it; goes with a beam of 1
  uint64_t seed = 1;
  size_t longest = 100;  // tokens at most
  size_t rows = 64;      // sequences that are computed side by side
  std::shared_ptr<Team> team;
  std::function<void(size_t done, size_t all)> on_progress;
};

struct Hypothesis {
  std::vector<int32_t> tokens;  // without the 0 at the end; of a class the class
  double log_probability = 0;   // natural logarithm, of the end too
};

// For each source its hypotheses from the likeliest on: up to `beam` sequences that have ended or are `longest` long,
// or, of models that find a class, all classes. Fails if a program is none of pairs (pair_model.h), or lacks entries,
// or if the models do not find the same kind of thing.
std::expected<std::vector<std::vector<Hypothesis>>, Error> Decode(
    const std::vector<std::shared_ptr<Parameters>>& models, std::span<const std::vector<int32_t>> sources,
    const DecodeOptions& options = {});

}  // namespace recurve

#endif  // RECURVE_RUNTIME_DECODE_H_

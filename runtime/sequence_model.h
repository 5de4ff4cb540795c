// runtime/sequence_model.h: how a program reads sequences, found from its slots: what training, generation and
// forecasting need to know, and no more.
//
//   reads        the one input whose name does not begin with `target`: tokens int[T, B] or values [T, B, width]
//   target       the input whose name begins with `target`: what comes next. Tokens int[T, B], values [T, B, width], or
//                without the time axis, when only the end of a sequence is judged. A model may do without
//   prediction   the first output as wide as the target: scores of every class [.., classes], or values [.., width]
//   loss         the output of that name, a scalar
//   seed         of random numbers, an integer
//   lengths      integers [B] without classes: every sequence of a file is as long as its window
//   states       an initial state `h0` continues from the output `hT`

#ifndef RECURVE_RUNTIME_SEQUENCE_MODEL_H_
#define RECURVE_RUNTIME_SEQUENCE_MODEL_H_

#include <cstddef>
#include <cstdint>
#include <expected>
#include <string>
#include <vector>

#include "runtime/program.h"
#include "runtime/session.h"

namespace recurve {

// What every program that runs over sequences may have, whatever it reads.
struct ProgramStates {
  struct State {
    std::string initial, final;  // "encoder.h0", "encoder.hT"
  };

  std::vector<State> states;
  std::string seed;  // empty: nothing random

  static ProgramStates Of(const Program& program);

  // Continues where the session's last run ended, or starts a new sequence.
  std::expected<void, Error> CarryStates(Session& session) const;
  std::expected<void, Error> ClearStates(Session& session) const;
  // Gives `number` as the seed, in the range that a seed has; does nothing where there is none.
  std::expected<void, Error> SetSeed(Session& session, uint64_t number) const;
};

struct SequenceModel : ProgramStates {
  std::string time_axis, batch_axis;
  std::string reads, target, prediction;  // target and prediction may be empty
  bool is_token = false;
  size_t classes = 0;           // tokens
  size_t width = 1;             // values read at a step; 1 for tokens
  size_t prediction_width = 0;  // last extent of the prediction
  bool predicts_every_step = true;
  std::vector<std::string> lengths;  // of the sequences, one an example

  // Fails if the program's inputs do not have this form, and says which.
  static std::expected<SequenceModel, Error> Of(const Program& program);

  // Sets the sizes of a session. Axes the model does not name stay 1.
  std::expected<void, Error> Resize(Session& session, size_t length, size_t batch) const;
  // All sequences as long as the time axis.
  std::expected<void, Error> SetLengths(Session& session) const;
};

}  // namespace recurve

#endif  // RECURVE_RUNTIME_SEQUENCE_MODEL_H_

// runtime/batches.h: a sequence cut into the batches of an epoch.
//
// Tokens: the text is cut into as many streams as the batch has rows, each a contiguous stretch; batch k holds window k
// of every stream, so the states at its end are those its successor starts with (truncated back-propagation through
// time; Williams & Peng 1990). Values: every window of the series, in a random order, each from states of zero.
// The target of a step is the next element.

#ifndef RECURVE_RUNTIME_BATCHES_H_
#define RECURVE_RUNTIME_BATCHES_H_

#include <cstddef>
#include <cstdint>
#include <expected>
#include <memory>
#include <span>
#include <vector>

#include "runtime/sequence_model.h"
#include "runtime/session.h"

namespace recurve {

class Batches {
 public:
  virtual ~Batches() = default;

  // How many batches an epoch has, at least one.
  virtual size_t count() const = 0;
  // A new order for the next epoch, where order matters not; the same for the same seed and epoch.
  virtual void Shuffle(uint64_t seed, uint64_t epoch) = 0;
  // Whether batch k continues the sequences of batch k - 1.
  virtual bool continues() const = 0;
  // Sizes the session and fills the model's inputs. Returns how many predictions the batch's loss averages.
  virtual std::expected<size_t, Error> Load(size_t index, Session& session) = 0;
};

// `tokens` outlives the batches and has at least two elements in [0, classes); a batch or length that the text does not
// fill is reduced to what it does.
std::expected<std::unique_ptr<Batches>, Error> TokenBatches(SequenceModel model, std::span<const int32_t> tokens,
                                                            size_t batch, size_t length);

// `values` [rows, width] outlives the batches and has at least two rows. If the model predicts fewer values than it
// reads, they are the last columns.
std::expected<std::unique_ptr<Batches>, Error> SeriesBatches(SequenceModel model, std::span<const double> values,
                                                             size_t batch, size_t length);

}  // namespace recurve

#endif  // RECURVE_RUNTIME_BATCHES_H_

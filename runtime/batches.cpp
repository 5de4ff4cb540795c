#include "runtime/batches.h"

#include <algorithm>
#include <numeric>

#include <fmt/format.h>

#include "runtime/random.h"

namespace recurve {
namespace {

class TokenStreams : public Batches {
 public:
  TokenStreams(SequenceModel model, std::span<const int32_t> tokens, size_t batch, size_t length)
      : model_(std::move(model)), tokens_(tokens) {
    const size_t pairs = tokens.size() - 1;  // a token and its successor
    length_ = std::min(length, pairs);
    batch_ = std::clamp<size_t>(pairs / length_, 1, batch);
    stream_ = pairs / batch_;
  }

  size_t count() const override { return stream_ / length_; }
  void Shuffle(uint64_t, uint64_t) override {}  // windows stand in the order of the text
  bool continues() const override { return true; }

  std::expected<size_t, Error> Load(size_t index, Session& session) override {
    if (auto done = model_.Resize(session, length_, batch_); !done) return std::unexpected(done.error());
    if (auto done = model_.SetLengths(session); !done) return std::unexpected(done.error());
    const auto reads = session.Tensor<int32_t>(model_.reads);
    if (!reads) return std::unexpected(reads.error());
    for (size_t b = 0; b < batch_; ++b) {
      const auto window = tokens_.subspan(b * stream_ + index * length_);
      for (size_t t = 0; t < length_; ++t) (*reads)[t * batch_ + b] = window[t];
    }
    if (model_.target.empty()) return length_ * batch_;
    const auto target = session.Tensor<int32_t>(model_.target);
    if (!target) return std::unexpected(target.error());
    for (size_t b = 0; b < batch_; ++b) {
      const auto window = tokens_.subspan(b * stream_ + index * length_ + 1);
      if (!model_.predicts_every_step) (*target)[b] = window[length_ - 1];
      for (size_t t = 0; t < length_ && model_.predicts_every_step; ++t) (*target)[t * batch_ + b] = window[t];
    }
    return target->size();
  }

 private:
  SequenceModel model_;
  std::span<const int32_t> tokens_;
  size_t batch_ = 1, length_ = 1;
  size_t stream_ = 1;  // pairs in each stream
};

class SeriesWindows : public Batches {
 public:
  SeriesWindows(SequenceModel model, std::span<const double> values, size_t batch, size_t length)
      : model_(std::move(model)), values_(values) {
    const size_t pairs = values.size() / model_.width - 1;
    length_ = std::min(length, pairs);
    starts_.resize(pairs - length_ + 1);
    batch_ = std::min(batch, starts_.size());
    std::iota(starts_.begin(), starts_.end(), 0);
  }

  size_t count() const override { return (starts_.size() + batch_ - 1) / batch_; }
  bool continues() const override { return false; }

  void Shuffle(uint64_t seed, uint64_t epoch) override {
    // From the same order each time, so that an epoch's order does not depend on the epochs before it.
    std::iota(starts_.begin(), starts_.end(), 0);
    Random(seed, StreamOf("windows") + epoch).Shuffle(starts_);
  }

  std::expected<size_t, Error> Load(size_t index, Session& session) override {
    const auto starts = std::span(starts_).subspan(index * batch_);
    const size_t batch = std::min(batch_, starts.size()), width = model_.width, narrow = model_.prediction_width;
    if (auto done = model_.Resize(session, length_, batch); !done) return std::unexpected(done.error());
    if (auto done = model_.SetLengths(session); !done) return std::unexpected(done.error());
    std::vector<double> reads(length_ * batch * width);
    for (size_t t = 0; t < length_; ++t) {
      for (size_t b = 0; b < batch; ++b) {
        std::ranges::copy(values_.subspan((starts[b] + t) * width, width),
                          reads.begin() + Offset(t * batch + b, width));
      }
    }
    if (auto done = session.Set(model_.reads, reads); !done) return std::unexpected(done.error());
    const size_t first = model_.predicts_every_step ? 0 : length_ - 1, steps = length_ - first;
    if (model_.target.empty()) return length_ * batch;
    std::vector<double> target(steps * batch * narrow);
    for (size_t t = 0; t < steps; ++t) {
      for (size_t b = 0; b < batch; ++b) {
        const auto next = values_.subspan((starts[b] + first + t + 1) * width, width);
        std::ranges::copy(next.last(narrow), target.begin() + Offset(t * batch + b, narrow));
      }
    }
    if (auto done = session.Set(model_.target, target); !done) return std::unexpected(done.error());
    return steps * batch;
  }

 private:
  static ptrdiff_t Offset(size_t row, size_t width) { return static_cast<ptrdiff_t>(row * width); }

  SequenceModel model_;
  std::span<const double> values_;
  size_t batch_ = 1, length_ = 1;
  std::vector<size_t> starts_;  // of the windows, in the order of this epoch
};

std::expected<void, Error> CheckSizes(size_t elements, size_t batch, size_t length) {
  if (batch == 0 || length == 0) {
    return std::unexpected(Error{fmt::format("cannot make batches of {} windows of length {}", batch, length)});
  }
  if (elements < 2) {
    return std::unexpected(Error{fmt::format("cannot make batches of {} elements: a window needs two", elements)});
  }
  return {};
}

}  // namespace

std::expected<std::unique_ptr<Batches>, Error> TokenBatches(SequenceModel model, std::span<const int32_t> tokens,
                                                            size_t batch, size_t length) {
  if (!model.is_token) return std::unexpected(Error{"the model reads values, the data are tokens"});
  if (auto checked = CheckSizes(tokens.size(), batch, length); !checked) return std::unexpected(checked.error());
  return std::make_unique<TokenStreams>(std::move(model), tokens, batch, length);
}

std::expected<std::unique_ptr<Batches>, Error> SeriesBatches(SequenceModel model, std::span<const double> values,
                                                             size_t batch, size_t length) {
  if (model.is_token) return std::unexpected(Error{"the model reads tokens, the data are values"});
  if (model.width == 0 || values.size() % model.width != 0) {
    return std::unexpected(
        Error{fmt::format("the model reads {} values a step, the data do not divide by it", model.width)});
  }
  if (model.prediction_width > model.width) {
    return std::unexpected(Error{fmt::format("the model predicts {} values a step from {}; the data have no others",
                                             model.prediction_width, model.width)});
  }
  if (auto checked = CheckSizes(values.size() / model.width, batch, length); !checked) {
    return std::unexpected(checked.error());
  }
  return std::make_unique<SeriesWindows>(std::move(model), values, batch, length);
}

}  // namespace recurve

#include "runtime/pair_model.h"

#include <algorithm>
#include <numeric>
#include <tuple>

#include <fmt/format.h>

#include "runtime/random.h"

namespace recurve {
namespace {

std::span<const recurve_slot> Slots(const recurve_entry& entry) {
  return {entry.slots, static_cast<size_t>(entry.slot_count)};
}

bool IsLength(const recurve_slot& slot) {
  return slot.kind == RECURVE_SLOT_INPUT && slot.is_index != 0 && slot.classes == RECURVE_ANY_INDEX && slot.rank == 1;
}

bool IsTokens(const recurve_slot& slot) {
  return slot.kind == RECURVE_SLOT_INPUT && slot.is_index != 0 && slot.classes != RECURVE_ANY_INDEX;
}

class PairsInBatches : public Batches {
 public:
  PairsInBatches(PairModel model, const Pairs& pairs, size_t batch)
      : model_(std::move(model)), pairs_(pairs), batch_(std::min(batch, pairs.sources.size())) {
    Order(0);
  }

  size_t count() const override { return starts_.size(); }
  bool continues() const override { return false; }
  void Shuffle(uint64_t seed, uint64_t epoch) override { Order(Random(seed, StreamOf("pairs") + epoch).Bits() | 1u); }

  std::expected<size_t, Error> Load(size_t index, Session& session) override {
    const size_t first = starts_[index], batch = std::min(batch_, order_.size() - first);
    std::vector<const std::vector<int32_t>*> sources;
    std::vector<double> source_lengths, target_lengths;
    size_t longest = 0, tokens = 0;
    for (size_t b = 0; b < batch; ++b) {
      const size_t pair = order_[first + b];
      sources.push_back(&pairs_.sources[pair]);
      source_lengths.push_back(static_cast<double>(pairs_.sources[pair].size()));
      const size_t ended = pairs_.targets[pair].size() + 1;
      target_lengths.push_back(static_cast<double>(ended));
      longest = std::max(longest, ended);
      tokens += ended;
    }
    std::vector<int32_t> source = SideBySide(sources);
    if (auto done = session.SetExtent("B", batch); !done) return std::unexpected(done.error());
    if (auto done = session.SetExtent(model_.source_axis, source.size() / batch); !done)
      return std::unexpected(done.error());
    if (auto done = Copy(source, model_.source, session); !done) return std::unexpected(done.error());
    if (auto done = session.Set(model_.source_lengths, source_lengths); !done) return std::unexpected(done.error());
    if (model_.predicts_class()) {
      std::vector<int32_t> classes;
      for (size_t b = 0; b < batch; ++b) classes.push_back(pairs_.targets[order_[first + b]][0]);
      if (auto done = Copy(classes, model_.target, session); !done) return std::unexpected(done.error());
      return batch;
    }
    std::vector<int32_t> target(longest * batch), previous(longest * batch);
    for (size_t b = 0; b < batch; ++b) {
      const std::vector<int32_t>& own = pairs_.targets[order_[first + b]];
      for (size_t t = 0; t < own.size(); ++t) {
        target[t * batch + b] = own[t];
        previous[(t + 1) * batch + b] = own[t];
      }
    }
    if (auto done = session.SetExtent(model_.target_axis, longest); !done) return std::unexpected(done.error());
    if (auto done = Copy(target, model_.target, session); !done) return std::unexpected(done.error());
    if (auto done = Copy(previous, model_.previous, session); !done) return std::unexpected(done.error());
    if (auto done = session.Set(model_.target_lengths, target_lengths); !done) return std::unexpected(done.error());
    return tokens;
  }

 private:
  static std::expected<void, Error> Copy(std::span<const int32_t> tokens, const std::string& name, Session& session) {
    const auto tensor = session.Tensor<int32_t>(name);
    if (!tensor) return std::unexpected(tensor.error());
    std::ranges::copy(tokens, tensor->begin());
    return {};
  }

  // Pairs by their lengths, those of one length in an order of the seed's, and batches too. 0: as they come.
  void Order(uint64_t seed) {
    std::vector<size_t> places(pairs_.sources.size());
    std::iota(places.begin(), places.end(), size_t{0});
    Random random(seed, StreamOf("order of pairs"));
    if (seed != 0) random.Shuffle(places);
    order_.resize(places.size());
    std::iota(order_.begin(), order_.end(), size_t{0});
    std::ranges::sort(order_, {}, [&](size_t pair) {
      return std::tuple(pairs_.sources[pair].size(), pairs_.targets[pair].size(), places[pair]);
    });
    starts_.clear();
    for (size_t start = 0; start < order_.size(); start += batch_) starts_.push_back(start);
    if (seed != 0) random.Shuffle(starts_);
  }

  PairModel model_;
  const Pairs& pairs_;
  size_t batch_;
  std::vector<size_t> order_, starts_;
};

}  // namespace

std::expected<PairModel, Error> PairModel::Of(const Program& program) {
  const auto fail = [&](std::string_view flaw) {
    return std::unexpected(Error{fmt::format("cannot run `{}` over pairs: {}", program.name(), flaw)});
  };
  const recurve_entry* entry = program.FindEntry("forward");
  if (entry == nullptr) entry = program.FindEntry("inference");
  if (entry == nullptr) return fail("it has neither an `inference` nor a `forward` entry");
  PairModel model{.states = ProgramStates::Of(program)};
  auto axis = [&](const recurve_slot& slot) -> std::string {
    return slot.rank == 2 && slot.dims[0] < 0 ? std::string(program.axes()[static_cast<size_t>(-1 - slot.dims[0])])
                                              : "";
  };
  const recurve_entry *encode = program.FindEntry("encode"), *step = program.FindEntry("step");
  for (const recurve_slot& slot : Slots(*entry)) {
    const bool is_encoded = encode == nullptr || Program::FindSlot(*encode, slot.name) != nullptr;
    if (IsLength(slot)) {
      (is_encoded ? model.source_lengths : model.target_lengths) = slot.name;
      continue;
    }
    if (!IsTokens(slot)) {
      if (slot.kind == RECURVE_SLOT_INPUT && slot.rank > 0)
        return fail(fmt::format("its input `{}` is neither tokens nor lengths", slot.name));
      continue;
    }
    const bool is_target = std::string_view(slot.name).starts_with("target");
    std::string& place = is_target ? model.target : is_encoded ? model.source : model.previous;
    if (!place.empty()) return fail(fmt::format("it reads both `{}` and `{}`", place, slot.name));
    place = slot.name;
    if (is_target) model.target_classes = static_cast<size_t>(slot.classes);
    if (!is_target && is_encoded) {
      model.source_classes = static_cast<size_t>(slot.classes);
      model.source_axis = axis(slot);
    }
    if (!is_target && !is_encoded) {
      model.target_axis = axis(slot);
      model.target_classes = static_cast<size_t>(slot.classes);
    }
  }
  if (model.source.empty() || model.source_axis.empty()) return fail("it has no input of tokens over time");
  if (model.source_lengths.empty())
    return fail(fmt::format("`{}` has no lengths; say `over {} by n`", model.source, model.source_axis));
  if (!model.previous.empty() && model.target_lengths.empty())
    return fail(fmt::format("`{}` has no lengths; say `over {} by k`", model.previous, model.target_axis));
  if (!model.previous.empty() && (encode == nullptr || step == nullptr))
    return fail(
        "it has no entries `encode` and `step`, which a decoder has that begins with what was read or looks at it");
  for (const recurve_slot& slot : Slots(*entry)) {
    if (slot.kind != RECURVE_SLOT_OUTPUT || slot.is_index || slot.rank == 0 || !model.prediction.empty()) continue;
    const bool is_state =
        std::ranges::find(model.states.states, slot.name, &ProgramStates::State::final) != model.states.states.end();
    const int rank = model.previous.empty() ? 2 : 3;
    const recurve_dim width = slot.dims[slot.rank - 1];
    const bool fits = model.target_classes == 0 ? width > 0 : width == static_cast<recurve_dim>(model.target_classes);
    if (is_state || slot.rank != rank || !fits) continue;
    model.prediction = slot.name;
    model.target_classes = static_cast<size_t>(width);
  }
  if (model.prediction.empty()) return fail("it has no output with a score for each class of the target");
  return model;
}

std::vector<int32_t> SideBySide(std::span<const std::vector<int32_t>* const> sequences) {
  size_t longest = 0;
  for (const auto* sequence : sequences) longest = std::max(longest, sequence->size());
  std::vector<int32_t> tokens(longest * sequences.size());
  for (size_t b = 0; b < sequences.size(); ++b) {
    for (size_t t = 0; t < sequences[b]->size(); ++t) tokens[t * sequences.size() + b] = (*sequences[b])[t];
  }
  return tokens;
}

std::expected<std::unique_ptr<Batches>, Error> PairBatches(PairModel model, const Pairs& pairs, size_t batch) {
  if (model.target.empty()) return std::unexpected(Error{"the model has no target"});
  if (pairs.sources.empty() || batch == 0) return std::unexpected(Error{"there are no pairs, or batches of none"});
  const bool has_empty = std::ranges::any_of(pairs.sources, [](const auto& source) { return source.empty(); });
  if (has_empty) return std::unexpected(Error{"a source has no tokens"});
  return std::make_unique<PairsInBatches>(std::move(model), pairs, batch);
}

}  // namespace recurve

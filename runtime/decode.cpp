#include "runtime/decode.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include <fmt/format.h>

#include "runtime/generate.h"
#include "runtime/pair_model.h"
#include "runtime/random.h"
#include "runtime/session.h"

namespace recurve {
namespace {

constexpr double kImpossible = -std::numeric_limits<double>::infinity();

// log of the probabilities that scores stand for.
std::vector<double> LogSoftmax(std::span<const double> scores) {
  const double largest = *std::ranges::max_element(scores);
  double sum = 0;
  for (const double score : scores) sum += std::exp(score - largest);
  std::vector<double> logs(scores.begin(), scores.end());
  for (double& log : logs) log -= largest + std::log(sum);
  return logs;
}

// A sequence that has not ended.
struct Alive {
  Hypothesis hypothesis;
  size_t row = 0;  // where its states are
};

// What one source has come to.
struct Search {
  std::vector<Alive> alive;
  std::vector<Hypothesis> ended;

  // No sequence that is followed can still be better than as many as are wanted.
  bool IsDone(size_t beam) const {
    if (alive.empty()) return true;
    return ended.size() >= beam && ended[beam - 1].log_probability >= alive.front().hypothesis.log_probability;
  }
  void End(Hypothesis hypothesis) {
    const auto place = std::ranges::upper_bound(ended, hypothesis.log_probability, std::ranges::greater(),
                                                &Hypothesis::log_probability);
    ended.insert(place, std::move(hypothesis));
  }
};

class Decoder {
 public:
  Decoder(const std::shared_ptr<Parameters>& parameters, PairModel model, const DecodeOptions& options)
      : parameters_(parameters),
        model_(std::move(model)),
        options_(options),
        random_(options.seed, StreamOf("decode")) {}

  using Found = std::expected<std::vector<std::vector<Hypothesis>>, Error>;

  // Sources [first, first + count) of about the same length.
  Found RunClasses(std::span<const std::vector<int32_t>* const> sources) {
    Session session(parameters_);
    session.UseTeam(options_.team);
    if (auto done = session.SetExtent("B", sources.size()); !done) return std::unexpected(done.error());
    if (auto done = SetSources(session, sources); !done) return std::unexpected(done.error());
    if (auto done = session.Inference(); !done) return std::unexpected(done.error());
    const auto scores = session.Get(model_.prediction);
    if (!scores) return std::unexpected(scores.error());
    std::vector<std::vector<Hypothesis>> found;
    for (size_t b = 0; b < sources.size(); ++b) {
      const auto logs = LogSoftmax(Row(*scores, b));
      std::vector<Hypothesis> classes;
      for (size_t c = 0; c < logs.size(); ++c) classes.push_back({{static_cast<int32_t>(c)}, logs[c]});
      std::ranges::sort(classes, {},
                        [](const Hypothesis& one) { return std::pair(-one.log_probability, one.tokens[0]); });
      found.push_back(std::move(classes));
    }
    return found;
  }

  // Rows of the batch are `beam` places for each source. A place that is not in use computes something all the same.
  Found RunSequences(std::span<const std::vector<int32_t>* const> sources) {
    const size_t beam = options_.beam, rows = sources.size() * beam;
    std::vector<const std::vector<int32_t>*> repeated;
    for (const auto* source : sources) repeated.insert(repeated.end(), beam, source);
    Stream stream(parameters_, rows);
    stream.UseTeam(options_.team);
    if (auto done = SetSources(stream, repeated); !done) return std::unexpected(done.error());
    if (auto done = stream.Encode(); !done) return std::unexpected(done.error());
    std::vector<double> previous(rows);
    const std::vector<double> takes_step(rows, 1);
    std::vector<Search> searches(sources.size());
    for (size_t i = 0; i < sources.size(); ++i) searches[i].alive.push_back({.row = i * beam});
    for (size_t length = 0; length < options_.longest; ++length) {
      if (auto done = stream.Set(model_.previous, previous); !done) return std::unexpected(done.error());
      if (stream.FindTensor(model_.target_lengths) != nullptr) {
        if (auto done = stream.Set(model_.target_lengths, takes_step); !done) return std::unexpected(done.error());
      }
      if (auto done = stream.Step(); !done) return std::unexpected(done.error());
      const auto scores = stream.Get(model_.prediction);
      if (!scores) return std::unexpected(scores.error());
      // Where each row's states come from in the next step.
      std::vector<size_t> from(rows);
      std::iota(from.begin(), from.end(), size_t{0});
      bool is_done = true;
      for (size_t i = 0; i < searches.size(); ++i) {
        if (searches[i].IsDone(beam)) continue;
        Extend(searches[i], *scores);
        for (size_t k = 0; k < searches[i].alive.size(); ++k) {
          Alive& alive = searches[i].alive[k];
          from[i * beam + k] = alive.row;
          alive.row = i * beam + k;
          previous[alive.row] = alive.hypothesis.tokens.back();
        }
        is_done &= searches[i].IsDone(beam);
      }
      if (is_done) break;
      if (auto done = Rearrange(stream, from); !done) return std::unexpected(done.error());
    }
    std::vector<std::vector<Hypothesis>> found;
    for (Search& search : searches) {
      for (Alive& alive : search.alive) search.End(std::move(alive.hypothesis));
      search.ended.resize(std::min(search.ended.size(), beam));
      found.push_back(std::move(search.ended));
    }
    return found;
  }

 private:
  std::expected<void, Error> SetSources(auto& frame, std::span<const std::vector<int32_t>* const> sources) {
    const std::vector<int32_t> tokens = SideBySide(sources);
    if (auto done = frame.SetExtent(model_.source_axis, tokens.size() / sources.size()); !done) return done;
    const auto tensor = frame.template Tensor<int32_t>(model_.source);
    if (!tensor) return std::unexpected(tensor.error());
    std::ranges::copy(tokens, tensor->begin());
    std::vector<double> lengths;
    for (const auto* source : sources) lengths.push_back(static_cast<double>(source->size()));
    return frame.Set(model_.source_lengths, lengths);
  }

  std::span<const double> Row(std::span<const double> scores, size_t row) const {
    return scores.subspan(row * model_.target_classes, model_.target_classes);
  }

  // One more token for every sequence, of which the likeliest `beam` are followed.
  void Extend(Search& search, std::span<const double> scores) {
    struct Next {
      size_t alive;
      int32_t token;
      double log_probability;
    };
    std::vector<Next> candidates;
    for (size_t k = 0; k < search.alive.size(); ++k) {
      const auto row = Row(scores, search.alive[k].row);
      const std::vector<double> logs = LogSoftmax(row);
      const double before = search.alive[k].hypothesis.log_probability;
      if (options_.temperature > 0) {
        const auto token = static_cast<int32_t>(Choose(row, options_.temperature, random_.Uniform()));
        candidates.push_back({k, token, before + logs[static_cast<size_t>(token)]});
        continue;
      }
      for (size_t c = 0; c < logs.size(); ++c) candidates.push_back({k, static_cast<int32_t>(c), before + logs[c]});
    }
    const size_t kept = std::min(options_.beam, candidates.size());
    std::ranges::partial_sort(candidates, candidates.begin() + static_cast<ptrdiff_t>(kept), std::ranges::greater(),
                              &Next::log_probability);
    std::vector<Alive> alive;
    for (const Next& next : std::span(candidates).first(kept)) {
      if (next.log_probability == kImpossible) break;
      Alive extended{search.alive[next.alive].hypothesis, search.alive[next.alive].row};
      extended.hypothesis.log_probability = next.log_probability;
      if (next.token == 0) {
        search.End(std::move(extended.hypothesis));
        continue;
      }
      extended.hypothesis.tokens.push_back(next.token);
      alive.push_back(std::move(extended));
    }
    search.alive = std::move(alive);
  }

  // States of the rows that are followed go to the places of their successors.
  std::expected<void, Error> Rearrange(Stream& stream, std::span<const size_t> from) {
    if (options_.beam == 1) return {};
    for (const recurve_slot* slot : stream.tensors()) {
      if (slot->kind != RECURVE_SLOT_STATE && !WritesState(slot->name)) continue;
      const auto values = stream.Get(slot->name);
      if (!values) return std::unexpected(values.error());
      if (values->size() < from.size()) continue;  // the number of the step, which all rows share
      const size_t width = values->size() / from.size();
      std::vector<double> moved(values->size());
      for (size_t row = 0; row < from.size(); ++row) {
        std::copy_n(values->begin() + static_cast<ptrdiff_t>(from[row] * width), width,
                    moved.begin() + static_cast<ptrdiff_t>(row * width));
      }
      if (auto done = stream.Set(slot->name, moved); !done) return done;
    }
    return {};
  }

  // The stream knows a tensor by the first entry that has it, which may be `encode`'s output.
  bool WritesState(std::string_view name) const {
    const recurve_slot* slot = Program::FindSlot(*parameters_->program().FindEntry("step"), name);
    return slot != nullptr && slot->kind == RECURVE_SLOT_STATE;
  }

  std::shared_ptr<Parameters> parameters_;
  PairModel model_;
  const DecodeOptions& options_;
  Random random_;
};

}  // namespace

std::expected<std::vector<std::vector<Hypothesis>>, Error> Decode(const std::shared_ptr<Parameters>& parameters,
                                                                  std::span<const std::vector<int32_t>> sources,
                                                                  const DecodeOptions& options) {
  auto model = PairModel::Of(parameters->program());
  if (!model) return std::unexpected(model.error());
  if (options.beam == 0 || options.rows == 0) return std::unexpected(Error{"a beam and rows of at least 1 are needed"});
  if (options.temperature > 0 && options.beam != 1)
    return std::unexpected(Error{"drawn sequences are followed one at a time: a temperature goes with a beam of 1"});
  std::vector<size_t> order(sources.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::ranges::sort(order, {}, [&](size_t i) { return std::pair(sources[i].size(), i); });
  if (!order.empty() && sources[order[0]].empty()) return std::unexpected(Error{"a source has no tokens"});
  const size_t at_once = model->predicts_class() ? options.rows : std::max<size_t>(1, options.rows / options.beam);
  Decoder decoder(parameters, *model, options);
  std::vector<std::vector<Hypothesis>> found(sources.size());
  for (size_t first = 0; first < order.size(); first += at_once) {
    const auto part = std::span(order).subspan(first, std::min(at_once, order.size() - first));
    std::vector<const std::vector<int32_t>*> rows;
    for (const size_t i : part) rows.push_back(&sources[i]);
    auto some = model->predicts_class() ? decoder.RunClasses(rows) : decoder.RunSequences(rows);
    if (!some) return some;
    for (size_t k = 0; k < part.size(); ++k) found[part[k]] = std::move((*some)[k]);
    if (options.on_progress) options.on_progress(first + part.size(), order.size());
  }
  return found;
}

}  // namespace recurve

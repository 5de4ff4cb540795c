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

// log of the mean of probabilities whose logarithms these are, element by element.
std::vector<double> LogMean(const std::vector<std::vector<double>>& logs) {
  if (logs.size() == 1) return logs[0];
  std::vector<double> means(logs[0].size());
  for (size_t c = 0; c < means.size(); ++c) {
    double sum = 0;
    for (const auto& one : logs) sum += std::exp(one[c]);
    means[c] = std::log(sum / static_cast<double>(logs.size()));
  }
  return means;
}

struct Member {
  std::shared_ptr<Parameters> parameters;
  PairModel model;
};

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
  Decoder(const std::vector<Member>& members, const DecodeOptions& options)
      : members_(members), options_(options), random_(options.seed, StreamOf("decode")) {}

  using Found = std::expected<std::vector<std::vector<Hypothesis>>, Error>;

  // Sources [first, first + count) of about the same length.
  Found RunClasses(std::span<const std::vector<int32_t>* const> sources) {
    std::vector<Numbers> scores;  // of each member
    for (const Member& member : members_) {
      Session session(member.parameters);
      session.UseTeam(options_.team);
      if (auto done = session.SetExtent("B", sources.size()); !done) return std::unexpected(done.error());
      if (auto done = SetSources(session, member.model, sources); !done) return std::unexpected(done.error());
      if (auto done = session.Inference(); !done) return std::unexpected(done.error());
      auto some = session.Get(member.model.prediction);
      if (!some) return std::unexpected(some.error());
      scores.push_back(*std::move(some));
    }
    std::vector<std::vector<Hypothesis>> found;
    for (size_t b = 0; b < sources.size(); ++b) {
      const Numbers logs = LogProbabilities(scores, b);
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
    std::vector<std::unique_ptr<Stream>> streams;
    for (const Member& member : members_) {
      Stream& stream = *streams.emplace_back(std::make_unique<Stream>(member.parameters, rows));
      stream.UseTeam(options_.team);
      if (auto done = SetSources(stream, member.model, repeated); !done) return std::unexpected(done.error());
      if (auto done = stream.Encode(); !done) return std::unexpected(done.error());
    }
    Numbers previous(rows);
    std::vector<Search> searches(sources.size());
    for (size_t i = 0; i < sources.size(); ++i) searches[i].alive.push_back({.row = i * beam});
    for (size_t length = 0; length < options_.longest; ++length) {
      std::vector<Numbers> scores;
      for (size_t m = 0; m < members_.size(); ++m) {
        auto some = Step(*streams[m], members_[m].model, previous);
        if (!some) return std::unexpected(some.error());
        scores.push_back(*std::move(some));
      }
      // Where each row's states come from in the next step.
      std::vector<size_t> from(rows);
      std::iota(from.begin(), from.end(), size_t{0});
      bool is_done = true;
      for (size_t i = 0; i < searches.size(); ++i) {
        if (searches[i].IsDone(beam)) continue;
        Extend(searches[i], scores);
        for (size_t k = 0; k < searches[i].alive.size(); ++k) {
          Alive& alive = searches[i].alive[k];
          from[i * beam + k] = alive.row;
          alive.row = i * beam + k;
          previous[alive.row] = alive.hypothesis.tokens.back();
        }
        is_done &= searches[i].IsDone(beam);
      }
      if (is_done) break;
      for (size_t m = 0; m < members_.size(); ++m) {
        if (auto done = Rearrange(*streams[m], members_[m], from); !done) return std::unexpected(done.error());
      }
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
  using Numbers = std::vector<double>;

  static std::expected<void, Error> SetSources(auto& frame, const PairModel& model,
                                               std::span<const std::vector<int32_t>* const> sources) {
    const std::vector<int32_t> tokens = SideBySide(sources);
    if (auto done = frame.SetExtent(model.source_axis, tokens.size() / sources.size()); !done) return done;
    const auto tensor = frame.template Tensor<int32_t>(model.source);
    if (!tensor) return std::unexpected(tensor.error());
    std::ranges::copy(tokens, tensor->begin());
    Numbers lengths;
    for (const auto* source : sources) lengths.push_back(static_cast<double>(source->size()));
    return frame.Set(model.source_lengths, lengths);
  }

  // The scores of the next token in every row.
  static std::expected<Numbers, Error> Step(Stream& stream, const PairModel& model, const Numbers& previous) {
    if (auto done = stream.Set(model.previous, previous); !done) return std::unexpected(done.error());
    if (stream.FindTensor(model.target_lengths) != nullptr) {
      if (auto done = stream.Set(model.target_lengths, Numbers(previous.size(), 1)); !done)
        return std::unexpected(done.error());
    }
    if (auto done = stream.Step(); !done) return std::unexpected(done.error());
    return stream.Get(model.prediction);
  }

  // Of all members together, from the scores of each.
  Numbers LogProbabilities(const std::vector<Numbers>& scores, size_t row) const {
    const size_t classes = members_[0].model.target_classes;
    std::vector<Numbers> logs;
    for (const Numbers& of_member : scores)
      logs.push_back(LogSoftmax(std::span(of_member).subspan(row * classes, classes)));
    return LogMean(logs);
  }

  // One more token for every sequence, of which the likeliest `beam` are followed.
  void Extend(Search& search, const std::vector<Numbers>& scores) {
    struct Next {
      size_t alive;
      int32_t token;
      double log_probability;
    };
    std::vector<Next> candidates;
    for (size_t k = 0; k < search.alive.size(); ++k) {
      const Numbers logs = LogProbabilities(scores, search.alive[k].row);
      const double before = search.alive[k].hypothesis.log_probability;
      if (options_.temperature > 0) {
        const auto token = static_cast<int32_t>(Choose(logs, options_.temperature, random_.Uniform()));
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
  std::expected<void, Error> Rearrange(Stream& stream, const Member& member, std::span<const size_t> from) const {
    if (options_.beam == 1) return {};
    for (const recurve_slot* slot : stream.tensors()) {
      if (slot->kind != RECURVE_SLOT_STATE && !WritesState(member, slot->name)) continue;
      const auto values = stream.Get(slot->name);
      if (!values) return std::unexpected(values.error());
      if (values->size() < from.size()) continue;  // the number of the step, which all rows share
      const size_t width = values->size() / from.size();
      Numbers moved(values->size());
      for (size_t row = 0; row < from.size(); ++row) {
        std::copy_n(values->begin() + static_cast<ptrdiff_t>(from[row] * width), width,
                    moved.begin() + static_cast<ptrdiff_t>(row * width));
      }
      if (auto done = stream.Set(slot->name, moved); !done) return done;
    }
    return {};
  }

  // The stream knows a tensor by the first entry that has it, which may be `encode`'s output.
  static bool WritesState(const Member& member, std::string_view name) {
    const recurve_slot* slot = Program::FindSlot(*member.parameters->program().FindEntry("step"), name);
    return slot != nullptr && slot->kind == RECURVE_SLOT_STATE;
  }

  const std::vector<Member>& members_;
  const DecodeOptions& options_;
  Random random_;
};

}  // namespace

std::expected<std::vector<std::vector<Hypothesis>>, Error> Decode(
    const std::vector<std::shared_ptr<Parameters>>& models, std::span<const std::vector<int32_t>> sources,
    const DecodeOptions& options) {
  std::vector<Member> members;
  for (const std::shared_ptr<Parameters>& parameters : models) {
    auto model = PairModel::Of(parameters->program());
    if (!model) return std::unexpected(model.error());
    members.push_back({parameters, *std::move(model)});
    const PairModel &first = members[0].model, &last = members.back().model;
    if (last.target_classes != first.target_classes || last.predicts_class() != first.predicts_class())
      return std::unexpected(Error{"models that decode together find the same kind of thing"});
  }
  if (members.empty()) return std::unexpected(Error{"there is no model to decode with"});
  if (options.beam == 0 || options.rows == 0) return std::unexpected(Error{"a beam and rows of at least 1 are needed"});
  if (options.temperature > 0 && options.beam != 1)
    return std::unexpected(Error{"drawn sequences are followed one at a time: a temperature goes with a beam of 1"});
  std::vector<size_t> order(sources.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::ranges::sort(order, {}, [&](size_t i) { return std::pair(sources[i].size(), i); });
  if (!order.empty() && sources[order[0]].empty()) return std::unexpected(Error{"a source has no tokens"});
  const bool is_class = members[0].model.predicts_class();
  const size_t at_once = is_class ? options.rows : std::max<size_t>(1, options.rows / options.beam);
  Decoder decoder(members, options);
  std::vector<std::vector<Hypothesis>> found(sources.size());
  for (size_t first = 0; first < order.size(); first += at_once) {
    const auto part = std::span(order).subspan(first, std::min(at_once, order.size() - first));
    std::vector<const std::vector<int32_t>*> rows;
    for (const size_t i : part) rows.push_back(&sources[i]);
    auto some = is_class ? decoder.RunClasses(rows) : decoder.RunSequences(rows);
    if (!some) return some;
    for (size_t k = 0; k < part.size(); ++k) found[part[k]] = std::move((*some)[k]);
    if (options.on_progress) options.on_progress(first + part.size(), order.size());
  }
  return found;
}

}  // namespace recurve

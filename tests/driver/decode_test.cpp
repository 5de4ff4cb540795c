// tests/driver/decode_test.cpp: programs that read one sequence and write another: `encode` and `step` are the whole
// program, and greedy, drawn and beam decoding are what they are said to be.

#include "runtime/decode.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "compiler/compile.h"
#include "runtime/pair_model.h"
#include "runtime/random.h"
#include "runtime/session.h"
#include "tests/support/commands.h"
#include "tests/support/graph_of.h"
#include "tests/support/random_model.h"

namespace recurve {
namespace {

constexpr const char* kHead =
    "  input source: int[V] over S by n\n  input previous: int[W] over T by k, target: int[W] over T\n"
    "  param letter: [V, H] ~ normal(0, 1), phoneme: [W, H] ~ normal(0, 1), P: [W, H] ~ normal(0, 1), p: [W]\n";
constexpr const char* kTail = "  logits = P @ written + p\n  output logits\n  loss cross_entropy(logits, target)\n}\n";

// Decoders that begin with what was read, look at it, or both.
const std::map<std::string, std::string> kModels = {
    {"begins",
     "  read = scan gru(H=H) over letter[source]\n"
     "  written = scan gru(H=H) over phoneme[previous] from read.state\n"},
    {"two_layers",
     "  a = reverse scan lstm(H=H) over letter[source]\n  b = reverse scan lstm(H=H) over dropout(a, 0.3)\n"
     "  c = scan lstm(H=H) over phoneme[previous] from a.state\n"
     "  written = scan lstm(H=H) over dropout(c, 0.3) from b.state\n"},
    {"looks",
     "  read = scan gru(H=H) over letter[source]\n"
     "  written = scan looking(H=H) over phoneme[previous], read\n"},
    {"both",
     "  read = scan gru(H=H) over letter[source]\n"
     "  written = scan looking(H=H) over phoneme[previous], read from read.state\n"},
    {"conditioned",
     "  read = scan gru(H=H) over letter[source]\n  summary = tanh(mean_over_steps(read))\n"
     "  written = scan gru(H=H) over concat(phoneme[previous], summary) from read.state\n"},
};

ir::Graph Model(const std::string& name, int64_t classes = 7) {
  const std::string looking =
      "cell looking(I, M, H) {\n  input x: [I], memory: [M] over S\n  state h: [H]\n"
      "  param W: [H, I], U: [H, H], C: [H, M], V: [H, M], Q: [H, H], v: [H] ~ normal(0, 1)\n"
      "  h' = tanh(W @ x + U @ h + C @ bahdanau(memory, h, V, Q, v))\n  output h'\n}\n";
  return GraphOf(fmt::format("{}model {}(V, W, H) {{\n{}{}{}", looking, name, kHead, kModels.at(name), kTail), name,
                 {{"V", 6}, {"W", classes}, {"H", 9}});
}

std::shared_ptr<Parameters> Compiled(const ir::Graph& graph, Precision precision = Precision::kF32, uint64_t seed = 3) {
  auto program = CompileToMemory(graph, {.precision = precision, .gradients = false});
  EXPECT_TRUE(program) << program.error().message;
  auto parameters = std::make_shared<Parameters>(*std::move(program));
  EXPECT_TRUE(parameters->Initialize(seed));
  return parameters;
}

class Decoders : public testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(Models, Decoders, testing::Values("begins", "two_layers", "looks", "both", "conditioned"));

// Scores of all steps when a decoder is given these tokens: by `inference`, [T][W].
std::vector<std::vector<double>> Scores(const std::shared_ptr<Parameters>& parameters, std::vector<int32_t> source,
                                        const std::vector<int32_t>& tokens) {
  Session session(parameters);
  const std::vector<double> read(source.begin(), source.end());
  std::vector<double> previous{0};
  previous.insert(previous.end(), tokens.begin(), tokens.end());
  EXPECT_TRUE(session.SetExtent("B", 1) && session.SetExtent("S", read.size()) &&
              session.SetExtent("T", previous.size()));
  const double source_length = static_cast<double>(read.size()), length = static_cast<double>(previous.size());
  EXPECT_TRUE(session.Set("source", read) && session.Set("n", std::span(&source_length, 1)));
  EXPECT_TRUE(session.Set("previous", previous) && session.Set("k", std::span(&length, 1)));
  EXPECT_TRUE(session.Inference());
  const std::vector<double> all = *session.Get("logits");
  std::vector<std::vector<double>> rows;
  const size_t width = all.size() / previous.size();
  for (size_t t = 0; t < previous.size(); ++t)
    rows.emplace_back(all.begin() + static_cast<long>(t * width), all.begin() + static_cast<long>((t + 1) * width));
  return rows;
}

// A row of the batch reads a sequence shorter than its neighbour's, and the first one stops half way.
TEST_P(Decoders, EncodedAndInStepsHaveTheBitsOfTheWholeProgram) {
  for (const Precision precision : {Precision::kF32, Precision::kF64}) {
    const auto parameters = Compiled(Model(GetParam()), precision);
    const std::vector<int32_t> long_source = {1, 2, 3, 4, 5}, short_source = {5, 1};
    const std::vector<int32_t> tokens = {3, 1, 4, 6};
    const auto expected = Scores(parameters, short_source, tokens);
    Stream stream(parameters, 2);
    ASSERT_TRUE(stream.SetExtent("S", 5));
    const std::vector<int32_t>* sources[] = {&long_source, &short_source};
    const std::vector<int32_t> both = SideBySide(sources);
    ASSERT_TRUE(stream.Set("source", std::vector<double>(both.begin(), both.end())));
    ASSERT_TRUE(stream.Set("n", std::vector<double>{5, 2}));
    ASSERT_TRUE(stream.Encode());
    for (size_t t = 0; t <= tokens.size(); ++t) {
      const double token = t == 0 ? 0 : tokens[t - 1];
      ASSERT_TRUE(stream.Set("previous", std::vector<double>{2, token}));
      if (stream.FindTensor("k") != nullptr) {
        ASSERT_TRUE(stream.Set("k", std::vector<double>{t < 2 ? 1.0 : 0.0, 1}));
      }
      ASSERT_TRUE(stream.Step());
      const std::vector<double> scores = *stream.Get("logits");
      EXPECT_EQ(std::vector<double>(scores.begin() + 7, scores.end()), expected[t]) << "step " << t;
    }
  }
}

TEST(RandomCells, EncodedAndInStepsHaveTheBitsOfTheWholeProgram) {
  constexpr size_t kRead = 4, kWritten = 3, kBatch = 2;
  for (uint64_t seed = 1; seed <= 16; ++seed) {
    const RandomCell cell = MakeRandomCell(seed);
    const std::string source = ReadsAndGoesOn(cell);
    SCOPED_TRACE(fmt::format("seed {}\n{}", seed, source));
    const auto parameters = Compiled(GraphOf(source, "m", cell.extents));
    ASSERT_NE(parameters->program().FindEntry("encode"), nullptr);
    Session session(parameters);
    ASSERT_TRUE(session.SetExtent("S", kRead) && session.SetExtent("T", kWritten) && session.SetExtent("B", kBatch));
    std::map<std::string, std::vector<double>> inputs;
    for (const recurve_slot* slot : session.tensors()) {
      if (slot->kind != RECURVE_SLOT_INPUT) continue;
      std::vector<double>& values = inputs[slot->name] = *session.Get(slot->name);
      for (size_t i = 0; i < values.size(); ++i)
        values[i] = slot->is_index ? 1 : std::sin(static_cast<double>(i * 3 + std::string_view(slot->name).size()));
      ASSERT_TRUE(session.Set(slot->name, values));
    }
    ASSERT_TRUE(session.Inference());
    Stream stream(parameters, kBatch);
    ASSERT_TRUE(stream.SetExtent("S", kRead));
    for (const auto& [name, values] : inputs) {
      if (!name.starts_with("w_") && stream.FindTensor(name) != nullptr) ASSERT_TRUE(stream.Set(name, values));
    }
    ASSERT_TRUE(stream.Encode());
    for (size_t t = 0; t < kWritten; ++t) {
      for (const auto& [name, values] : inputs) {
        if (!name.starts_with("w_") || stream.FindTensor(name) == nullptr) continue;
        const size_t width = values.size() / kWritten;
        ASSERT_TRUE(stream.Set(name, std::span(values).subspan(t * width, width)));
      }
      ASSERT_TRUE(stream.Step());
      for (const recurve_slot* slot : stream.tensors()) {
        if (!std::string_view(slot->name).starts_with("written") || std::string_view(slot->name).contains('.'))
          continue;
        const std::vector<double> all = *session.Get(slot->name), row = *stream.Get(slot->name);
        const auto begin = all.begin() + static_cast<long>(t * row.size());
        // A linear recurrence takes several steps at a time in a whole sequence, and rounds otherwise.
        const bool is_linear = seed == 6;
        for (size_t i = 0; i < row.size(); ++i) {
          if (is_linear) EXPECT_NEAR(row[i], begin[static_cast<long>(i)], 1e-6) << slot->name << " " << t;
          if (!is_linear) EXPECT_EQ(row[i], begin[static_cast<long>(i)]) << slot->name << " " << t;
        }
      }
    }
  }
}

// The likeliest token at each step, by running the whole program for every prefix.
TEST_P(Decoders, GreedyTakesTheLikeliestToken) {
  const auto parameters = Compiled(Model(GetParam()));
  const std::vector<std::vector<int32_t>> sources = {{1, 2, 3}, {4}, {5, 5, 5, 1, 2}, {2, 2}};
  const auto found = Decode({parameters}, sources, {.longest = 6, .rows = 3});
  ASSERT_TRUE(found) << found.error().message;
  for (size_t i = 0; i < sources.size(); ++i) {
    std::vector<int32_t> tokens;
    while (tokens.size() < 6) {
      const std::vector<double> scores = Scores(parameters, sources[i], tokens).back();
      const auto token = static_cast<int32_t>(std::ranges::max_element(scores) - scores.begin());
      if (token == 0) break;
      tokens.push_back(token);
    }
    ASSERT_EQ((*found)[i].size(), 1u);
    EXPECT_EQ((*found)[i][0].tokens, tokens) << "source " << i;
  }
}

using Models = std::vector<std::shared_ptr<Parameters>>;

// The mean of the probabilities that models give each token after these.
std::vector<double> Probabilities(const Models& models, const std::vector<int32_t>& source,
                                  const std::vector<int32_t>& tokens) {
  std::vector<double> means;
  for (const auto& parameters : models) {
    const std::vector<double> scores = Scores(parameters, source, tokens).back();
    double sum = 0;
    for (const double score : scores) sum += std::exp(score);
    means.resize(scores.size());
    for (size_t c = 0; c < scores.size(); ++c)
      means[c] += std::exp(scores[c]) / sum / static_cast<double>(models.size());
  }
  return means;
}

// All sequences of up to `longest` tokens, with their probabilities.
void Enumerate(const Models& models, const std::vector<int32_t>& source, size_t longest, std::vector<int32_t>& tokens,
               double log_probability, std::vector<Hypothesis>& all) {
  if (tokens.size() == longest) return all.push_back({tokens, log_probability});
  const std::vector<double> probabilities = Probabilities(models, source, tokens);
  for (size_t c = 0; c < probabilities.size(); ++c) {
    const double log = log_probability + std::log(probabilities[c]);
    if (c == 0) {
      all.push_back({tokens, log});
      continue;
    }
    tokens.push_back(static_cast<int32_t>(c));
    Enumerate(models, source, longest, tokens, log, all);
    tokens.pop_back();
  }
}

// A beam as wide as there are sequences finds the likeliest ones of all, in their order; also of two models together.
TEST_P(Decoders, AWideBeamFindsTheBest) {
  const auto one = Compiled(Model(GetParam(), 4), Precision::kF64),
             other = Compiled(Model(GetParam(), 4), Precision::kF64, /*seed=*/2);
  for (const Models& models : {Models{one}, Models{one, other}}) {
    const std::vector<std::vector<int32_t>> sources = {{1, 2, 3}, {5, 4}};
    const auto found = Decode(models, sources, {.beam = 30, .longest = 3, .rows = 60});
    ASSERT_TRUE(found) << found.error().message;
    for (size_t i = 0; i < sources.size(); ++i) {
      std::vector<Hypothesis> all;
      std::vector<int32_t> tokens;
      Enumerate(models, sources[i], 3, tokens, 0, all);
      std::ranges::sort(all, std::ranges::greater(), &Hypothesis::log_probability);
      ASSERT_GE((*found)[i].size(), 20u);
      for (size_t k = 0; k < 20; ++k) {
        EXPECT_EQ((*found)[i][k].tokens, all[k].tokens) << k;
        EXPECT_NEAR((*found)[i][k].log_probability, all[k].log_probability, 1e-9);
      }
    }
  }
}

TEST(Decode, ModelsDecodeTogetherIfTheyFindTheSame) {
  const std::vector<std::vector<int32_t>> sources = {{1, 2, 3}};
  const auto narrow = Compiled(Model("begins", 4)), wide = Compiled(Model("begins", 6));
  const auto mixed = Decode({narrow, wide}, sources), none = Decode(Models{}, sources);
  ASSERT_FALSE(mixed);
  EXPECT_EQ(mixed.error().message, "models that decode together find the same kind of thing");
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().message, "there is no model to decode with");
}

TEST(Decode, AWiderBeamIsNoWorseOnAverage) {
  const auto parameters = Compiled(Model("both"));
  std::vector<std::vector<int32_t>> sources;
  for (int32_t i = 0; i < 40; ++i) sources.push_back({1 + i % 5, 1 + i / 5 % 5, 1 + i / 7 % 5});
  double greedy = 0, beam = 0;
  const auto one = Decode({parameters}, sources, {.longest = 8}),
             many = Decode({parameters}, sources, {.beam = 5, .longest = 8});
  ASSERT_TRUE(one && many);
  for (size_t i = 0; i < sources.size(); ++i) {
    greedy += (*one)[i][0].log_probability;
    beam += (*many)[i][0].log_probability;
    EXPECT_TRUE(std::ranges::is_sorted((*many)[i], std::ranges::greater(), &Hypothesis::log_probability));
  }
  EXPECT_GE(beam, greedy);
}

// First tokens come as often as they are likely: within five deviations of a binomial count.
TEST(Decode, DrawsByProbability) {
  const auto parameters = Compiled(Model("begins", 4));
  const std::vector<int32_t> source = {1, 2, 3};
  const std::vector<std::vector<int32_t>> sources(2000, source);
  const DecodeOptions options{.temperature = 1, .seed = 5, .longest = 1};
  const auto found = Decode({parameters}, sources, options);
  ASSERT_TRUE(found);
  std::vector<double> counts(4);
  for (const auto& one : *found) counts[one[0].tokens.empty() ? 0 : static_cast<size_t>(one[0].tokens[0])] += 1;
  const std::vector<double> scores = Scores(parameters, source, {})[0];
  double sum = 0;
  for (const double score : scores) sum += std::exp(score);
  for (size_t c = 0; c < 4; ++c) {
    const double p = std::exp(scores[c]) / sum;
    EXPECT_NEAR(counts[c], 2000 * p, 5 * std::sqrt(2000 * p * (1 - p)) + 1) << c;
  }
  const auto again = Decode({parameters}, sources, options);
  for (size_t i = 0; i < sources.size(); ++i) EXPECT_EQ((*again)[i][0].tokens, (*found)[i][0].tokens);
}

TEST(Decode, SaysWhatIsMissing) {
  auto message = [](const ir::Graph& graph, const DecodeOptions& options) {
    const std::vector<std::vector<int32_t>> sources = {{1}};
    return Decode({Compiled(graph)}, sources, options).error().message;
  };
  EXPECT_EQ(message(Model("begins"), {.beam = 2, .temperature = 1}),
            "drawn sequences are followed one at a time: a temperature goes with a beam of 1");
  const ir::Graph siamese = GraphOf(
      "model siamese(H) {\n  input a: int[5] over S by n, b: int[5] over T by k\n  param t: [5, H]\n"
      "  let reader = gru(H=H)\n  x = scan reader over t[a]\n  y = scan reader over t[b]\n"
      "  output d = norm(x.state.h - y.state.h)\n}\n",
      "siamese", {{"H", 4}});
  EXPECT_EQ(Compiled(siamese)->program().FindEntry("step"), nullptr);
  EXPECT_EQ(message(siamese, {}), "cannot run `siamese` over pairs: it reads both `a` and `b`");
}

// Steps know their numbers, from the beginning and after a reset.
TEST(Stream, CountsItsSteps) {
  const ir::Graph graph = GraphOf(
      "cell clock(I, H) {\n  input x: [I]\n  state h: [H]\n  param W: [H, I], U: [H, H]\n"
      "  h' = tanh(W @ x + U @ h + 0.1 * step(x))\n  output h'\n}\n"
      "model m(H) {\n  input x: [2] over T by n\n  y = scan clock(H=H) over x\n  output y + step(x)\n}\n",
      "m", {{"H", 3}});
  const auto parameters = Compiled(graph);
  Session session(parameters);
  const std::vector<double> x = {1, 2, 0.5, -1, 2, 2, 0.1, 3};
  ASSERT_TRUE(session.SetExtent("T", 4) && session.Set("x", x) && session.Set("n", std::vector<double>{4}));
  ASSERT_TRUE(session.Inference());
  Stream stream(parameters);
  for (int round = 0; round < 2; ++round) {
    for (size_t t = 0; t < 4; ++t) {
      ASSERT_TRUE(stream.Set("x", std::span(x).subspan(2 * t, 2)) && stream.Set("n", std::vector<double>{1}) &&
                  stream.Step());
      for (const recurve_slot* slot : stream.tensors()) {
        if (slot->kind != RECURVE_SLOT_OUTPUT) continue;
        const std::vector<double> all = *session.Get(slot->name), row = *stream.Get(slot->name);
        for (size_t i = 0; i < row.size(); ++i) EXPECT_EQ(row[i], all[t * row.size() + i]) << slot->name << " " << t;
      }
    }
    ASSERT_TRUE(stream.Reset());
  }
}

// The command line: a model learns to write words backwards, and another one which letter they begin with.
TEST(DecodeCommand, FindsWhatWasLearnt) {
  Folder folder;
  std::string reversed, first;
  Random random(11);
  for (int i = 0; i < 400; ++i) {
    std::string word;
    for (int k = 0; k < 2 + i % 3; ++k) word += static_cast<char>('a' + random.Below(4));
    reversed += word + "\t" + std::string(word.rbegin(), word.rend()) + "\n";
    first += word + "\tbegins with " + word.substr(0, 1) + "\n";
  }
  folder.Write("reversed.tsv", reversed);
  folder.Write("first.tsv", first);
  folder.Write("m.cell",
               "model writer(V, W, H) {\n  input source: int[V] over S by n\n"
               "  input previous: int[W] over T by k, target: int[W] over T\n"
               "  param a: [V, H] ~ normal(0, 0.3), b: [W, H] ~ normal(0, 0.3), P: [W, H]\n"
               "  read = scan gru(H=H) over a[source]\n  written = scan gru(H=H) over b[previous] from read.state\n"
               "  logits = P @ written\n  output logits\n  loss cross_entropy(logits, target)\n}\n"
               "model teller(V, C, H) {\n  input source: int[V] over S by n\n  input target: int[C]\n"
               "  param a: [V, H] ~ normal(0, 0.3), P: [C, H]\n  read = scan gru(H=H) over a[source]\n"
               "  logits = P @ last(read)\n  output logits\n  loss cross_entropy(logits, target)\n}\n");
  auto recurve = [&](const std::string& arguments) { return folder.Run(RECURVE_COMMAND + (" " + arguments)); };
  recurve(
      "train m.cell writer -D H=32 --data=reversed.tsv --epochs=60 --rate=0.01 --schedule=cosine --held-out=0 --seed=1 "
      "--save=writer.safetensors");
  EXPECT_EQ(recurve("decode m.cell writer --weights=writer.safetensors --text=abcd --beam=3"), "abcd\tdcba\n");
  const int words = std::stoi(folder.Run("cut -f1 reversed.tsv | sort -u | wc -l"));
  EXPECT_EQ(recurve("decode m.cell writer --weights=writer.safetensors --data=reversed.tsv"),
            fmt::format("{} texts: 0.00 % of tokens wrong, 0.00 % of texts\n", words));
  recurve(
      "train m.cell teller -D H=16 --data=first.tsv --epochs=15 --rate=0.01 --held-out=0 --seed=1 "
      "--save=teller.safetensors");
  EXPECT_NE(recurve("decode m.cell teller --weights=teller.safetensors --data=first.tsv").find("100.00 % right"),
            std::string::npos);
  EXPECT_NE(recurve("decode m.cell teller --weights=teller.safetensors --text=ba --best=2").find("ba\tbegins with b\t"),
            std::string::npos);
  EXPECT_NE(recurve("decode m.cell teller --weights=teller.safetensors,teller.safetensors --data=first.tsv")
                .find("100.00 % right"),
            std::string::npos);
  folder.Write("other.tsv", "xy\tbegins with x\nyx\tbegins with y\n");
  recurve("train m.cell teller -D H=16 --data=other.tsv --epochs=1 --held-out=0 --save=other.safetensors");
  EXPECT_NE(recurve("decode m.cell teller --weights=teller.safetensors,other.safetensors --text=ba")
                .find("trained on pairs of other tokens"),
            std::string::npos);
  folder.Write("wrong.tsv", "no tab here\n");
  EXPECT_NE(recurve("decode m.cell writer --weights=writer.safetensors --data=wrong.tsv").find("line 1: a pair is"),
            std::string::npos);
}

// Texts of hundreds of characters, read in both directions: the same weights on less memory.
TEST(TrainCommand, KeepsToALimitOfMemoryOnPairs) {
  Folder folder;
  std::string pairs;
  Random random(12);
  for (int i = 0; i < 32; ++i) {
    std::string text;
    for (int k = 0; k < 600 + i; ++k) text += static_cast<char>('a' + random.Below(4));
    pairs += text + "\tbegins with " + text.substr(0, 1) + "\n";
  }
  folder.Write("pairs.tsv", pairs);
  folder.Write("m.cell",
               "model teller(V, C, H) {\n  input source: int[V] over S by n\n  input target: int[C]\n"
               "  param a: [V, H] ~ normal(0, 0.3), P: [C, 2*H]\n  x = a[source]\n"
               "  there = scan lstm(H=H) over x\n  back = reverse scan lstm(H=H) over x\n"
               "  logits = P @ concat(there.state.h, back.state.h)\n  output logits\n"
               "  loss cross_entropy(logits, target)\n}\n");
  auto train = [&](const std::string& memory) {
    return folder.Run(fmt::format(
        "{} train m.cell teller -D H=16 --data=pairs.tsv --epochs=2 --batch=16 --memory={} --save={}.safetensors",
        RECURVE_COMMAND, memory, memory));
  };
  const std::string refused = train("1MB");
  EXPECT_NE(refused.find("computing forward again in segments"), std::string::npos) << refused;
  train("100MB");
  train("9MB");
  EXPECT_EQ(folder.Run("cmp 9MB.safetensors 100MB.safetensors && echo the same"), "the same\n");
}

}  // namespace
}  // namespace recurve

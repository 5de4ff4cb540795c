// compiler/command/decode.cpp: `recurve decode`: what a model that was trained on pairs finds, and how often it is
// right.

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "compiler/command/command.h"
#include "compiler/command/model.h"
#include "runtime/decode.h"
#include "runtime/file.h"
#include "runtime/pair_data.h"
#include "runtime/pair_model.h"

namespace recurve::command {
namespace {

struct Options {
  ProgramArguments program;
  std::string data, out;
  std::vector<std::string> weights, texts;
  Storage store = Storage::kSame;
  size_t threads = 1, best = 1;
  DecodeOptions decode;
};

// Texts to decode, each once, and what is right for them, if that is known: one target or several.
struct Questions {
  std::vector<std::string> sources;
  std::map<std::string, std::vector<std::vector<int32_t>>, std::less<>> answers;
};

std::expected<Questions, Error> Read(const Options& options, const PairColumn& target) {
  Questions questions{.sources = options.texts};
  if (options.data.empty()) return questions;
  auto pairs = ReadPairs(options.data);
  if (!pairs) return std::unexpected(pairs.error());
  for (size_t i = 0; i < pairs->sources.size(); ++i) {
    auto& answers = questions.answers[pairs->sources[i]];
    if (answers.empty()) questions.sources.push_back(pairs->sources[i]);
    answers.push_back(target.Encode(pairs->targets[i]));
  }
  return questions;
}

// Errors against the answer that is closest, as is usual where several are right.
struct Errors {
  size_t sequences = 0, wrong = 0, tokens = 0, edits = 0;

  void Add(const std::vector<int32_t>& found, const std::vector<std::vector<int32_t>>& answers) {
    const auto closest = std::ranges::min_element(
        answers, {}, [&](const std::vector<int32_t>& answer) { return EditDistance(found, answer); });
    const size_t distance = EditDistance(found, *closest);
    ++sequences;
    wrong += distance > 0 ? 1 : 0;
    tokens += closest->size();
    edits += distance;
  }
  static double Percent(size_t part, size_t all) {
    return 100 * static_cast<double>(part) / static_cast<double>(std::max<size_t>(all, 1));
  }
};

int Run(Options options) {
  std::vector<std::shared_ptr<Parameters>> models;
  std::string stored_source, stored_target;
  for (const std::string& file : options.weights) {
    auto model = LoadTrainedModel(options.program, file, options.store);
    if (!model) return model.error();
    const std::string_view source = model->weights.Metadata(kSourceKey), target = model->weights.Metadata(kTargetKey);
    if (source.empty() || target.empty()) return Fail({fmt::format("`{}` was not trained on pairs", file)});
    if (!models.empty() && (source != stored_source || target != stored_target))
      return Fail({fmt::format("`{}` and `{}` were trained on pairs of other tokens", options.weights[0], file)});
    stored_source = source;
    stored_target = target;
    models.push_back(model->parameters);
  }
  auto source = PairColumn::Deserialize(stored_source), target = PairColumn::Deserialize(stored_target);
  if (!source) return Fail(source.error());
  if (!target) return Fail(target.error());
  auto questions = Read(options, *target);
  if (!questions) return Fail(questions.error());
  if (questions->sources.empty()) return Fail({"nothing to decode: give --data or texts"});
  if (options.threads > 1) {
    auto team = Team::Start(options.threads);
    if (!team) return Fail(team.error());
    options.decode.team = *std::move(team);
  }
  const bool shows_progress = ::isatty(STDERR_FILENO) != 0;
  options.decode.on_progress = [&](size_t done, size_t all) {
    if (shows_progress) fmt::print(stderr, "\r{} of {}{}", done, all, done == all ? "\n" : "");
  };
  std::vector<std::vector<int32_t>> tokens;
  for (const std::string& text : questions->sources) tokens.push_back(source->Encode(text));
  auto found = Decode(models, tokens, options.decode);
  if (!found) return Fail(found.error());

  std::string lines;
  Errors errors;
  for (size_t i = 0; i < found->size(); ++i) {
    const auto& hypotheses = (*found)[i];
    for (const Hypothesis& one : std::span(hypotheses).first(std::min(options.best, hypotheses.size()))) {
      lines += fmt::format("{}\t{}", questions->sources[i], target->Decode(one.tokens));
      lines += options.best > 1 ? fmt::format("\t{:.4f}\n", std::exp(one.log_probability)) : "\n";
    }
    const auto answers = questions->answers.find(questions->sources[i]);
    if (answers != questions->answers.end() && !hypotheses.empty()) errors.Add(hypotheses[0].tokens, answers->second);
  }
  if (!options.out.empty()) {
    if (auto done = WriteFile(options.out, lines); !done) return Fail(done.error());
  } else if (options.data.empty()) {
    fmt::print("{}", lines);
  }
  if (errors.sequences == 0) return kFine;
  const double wrong = Errors::Percent(errors.wrong, errors.sequences);
  if (target->unit() == TokenUnit::kWhole) {
    fmt::print("{} texts, {:.2f} % right\n", errors.sequences, 100 - wrong);
  } else {
    fmt::print("{} texts: {:.2f} % of tokens wrong, {:.2f} % of texts\n", errors.sequences,
               Errors::Percent(errors.edits, errors.tokens), wrong);
  }
  return kFine;
}

}  // namespace

void AddDecode(CLI::App& app, int& exit_code) {
  auto* verb = app.add_subcommand("decode", "what a model that was trained on pairs finds for texts");
  auto options = std::make_shared<Options>();
  AddProgramArguments(*verb, options->program);
  verb->add_option("--weights", options->weights,
                   "what `recurve train --save` wrote; several files, with commas between, decode together: a token\n"
                   "has the mean of the probabilities that they give it")
      ->required()
      ->delimiter(',')
      ->type_name("FILE.safetensors,...");
  AddStorage(*verb, options->store);
  verb->add_option("--text", options->texts, "a text to decode; may come several times")->type_name("TEXT");
  verb->add_option("--data", options->data,
                   "pairs, a line each with a tab between: how often what is found is right. A text that comes with\n"
                   "several targets is right with any of them")
      ->type_name("FILE.tsv");
  verb->add_option("--out", options->out, "where pairs of text and what was found go")->type_name("FILE.tsv");
  verb->add_option("--beam", options->decode.beam, "sequences followed at a time; 1 is greedy")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  verb->add_option("--best", options->best, "how many to write for each text, with their probabilities")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  verb->add_option("--temperature", options->decode.temperature, "above 0 tokens are drawn, scores divided by it")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  verb->add_option("--seed", options->decode.seed, "of what is drawn")->capture_default_str();
  verb->add_option("--longest", options->decode.longest, "tokens at most")->capture_default_str();
  verb->add_option("--threads", options->threads, "results are the same bits for any number")->capture_default_str();
  verb->footer(
      "Extents are those of the training unless -D says otherwise.\n"
      "Examples:\n"
      "  recurve decode frontend/examples/speech/speech.cell speech --weights=speech.safetensors --text=recurve "
      "--beam=4\n"
      "  recurve decode frontend/examples/language/language.cell language --weights=language.safetensors "
      "--data=test.tsv");
  verb->callback([options, &exit_code] { exit_code = Run(*options); });
}

}  // namespace recurve::command

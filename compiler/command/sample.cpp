// compiler/command/sample.cpp: `recurve sample`: what a trained text model writes.

#include <fmt/format.h>

#include "compiler/command/command.h"
#include "compiler/command/model.h"
#include "runtime/generate.h"

namespace recurve::command {
namespace {

struct Options {
  ProgramArguments program;
  std::string weights;
  Storage store = Storage::kSame;
  SampleOptions sample;
};

int Run(const Options& options) {
  auto model = LoadTrainedModel(options.program, options.weights, options.store);
  if (!model) return model.error();
  const std::string_view stored = model->weights.Metadata(kVocabularyKey);
  if (stored.empty()) return Fail({fmt::format("`{}` was not trained on a text", options.weights)});
  auto vocabulary = Vocabulary::Deserialize(stored);
  if (!vocabulary) return Fail(vocabulary.error());
  auto text = Sample(model->parameters, *vocabulary, options.sample);
  if (!text) return Fail(text.error());
  fmt::print("{}{}\n", options.sample.prompt, *text);
  return kFine;
}

}  // namespace

void AddSample(CLI::App& app, int& exit_code) {
  auto* verb = app.add_subcommand("sample", "let a trained text model write");
  auto options = std::make_shared<Options>();
  AddProgramArguments(*verb, options->program);
  verb->add_option("--weights", options->weights, "what `recurve train --save` wrote")->required();
  AddStorage(*verb, options->store);
  verb->add_option("--prompt", options->sample.prompt, "a text to continue");
  verb->add_option("--length", options->sample.length, "characters to write")->capture_default_str();
  verb->add_option("--temperature", options->sample.temperature,
                   "below 1 is careful, above 1 is bold; 0 always takes the likeliest character")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  verb->add_option("--seed", options->sample.seed, "the same seed writes the same text")->capture_default_str();
  verb->footer(
      "Extents are those of the training unless -D says otherwise.\n"
      "Examples:\n"
      "  recurve sample frontend/examples/characters/characters.cell characters --weights=book.safetensors \\\n"
      "      --prompt='The ' --temperature=0.7");
  verb->callback([options, &exit_code] { exit_code = Run(*options); });
}

}  // namespace recurve::command

// compiler/command/export.cpp: `recurve export`: trained weights as a state dict of PyTorch.

#include "compiler/import/export.h"

#include <fmt/format.h>

#include <ranges>

#include "compiler/command/command.h"
#include "compiler/command/model.h"

namespace recurve::command {
namespace {

struct Options {
  ProgramArguments program;
  std::string weights, out, stack, module;
  std::vector<std::string> renames;
};

std::vector<std::string> Split(std::string_view text, char separator) {
  std::vector<std::string> parts;
  for (const auto part : std::views::split(text, separator)) parts.emplace_back(part.begin(), part.end());
  return parts;
}

int Run(const Options& options) {
  auto file = ReadWeights(options.weights);
  if (!file) return Fail(file.error());
  ExportOptions choices{.stack = {}, .module = options.module, .rename = {}};
  if (!options.stack.empty()) {
    for (const std::string& layer : Split(options.stack, ',')) choices.stack.push_back(Split(layer, '/'));
  }
  for (const std::string& rename : options.renames) {
    const size_t equals = rename.find('=');
    if (equals == 0 || equals == std::string::npos || equals + 1 == rename.size())
      return Fail({fmt::format("`--rename {}` is not OLD=NEW", rename)});
    choices.rename[rename.substr(0, equals)] = rename.substr(equals + 1);
  }
  auto extents = ExtentsOfTraining(options.program, *file);
  if (!extents) return extents.error();
  auto graph = LoadGraph(options.program, *extents);
  if (!graph) return graph.error();
  auto state = ExportPyTorch(*graph, *file, choices);
  if (!state) return Fail(state.error());
  if (auto done = WriteWeights(options.out, *state); !done) return Fail(done.error());
  for (const WeightTensor& tensor : state->tensors) {
    std::string shape;
    for (uint64_t extent : tensor.shape) shape += fmt::format("{}{}", shape.empty() ? "" : ", ", extent);
    fmt::print("{}: [{}]\n", tensor.name, shape);
  }
  return kFine;
}

}  // namespace

void AddExport(CLI::App& app, int& exit_code) {
  auto* verb = app.add_subcommand("export", "write trained weights as a state dict of PyTorch");
  auto options = std::make_shared<Options>();
  AddProgramArguments(*verb, options->program);
  verb->add_option("--weights", options->weights, "what `recurve train --save` or `recurve import` wrote")
      ->required()
      ->type_name("FILE.safetensors");
  verb->add_option("-o", options->out, "where the state dict goes")->required()->type_name("FILE.safetensors");
  verb->add_option("--stack", options->stack,
                   "scans that are the layers of one module, with commas between layers and a slash between a layer's\n"
                   "directions; without it each scan is a module of its own name, and those of an imported model one")
      ->type_name("NAMES");
  verb->add_option("--module", options->module, "the name of that module; its weights stand alone unless said");
  verb->add_option("--rename", options->renames, "another parameter's name in PyTorch; may come several times")
      ->type_name("OLD=NEW");
  verb->footer(
      "A scan is exported as the nn.LSTM, nn.GRU or nn.RNN whose step it computes, whatever its cell is called; that "
      "is\n"
      "tried with random numbers. Extents are those of the training unless -D says otherwise.\n"
      "Examples:\n"
      "  recurve export out/lstm.cell lstm --weights=out/lstm.safetensors -o state.safetensors\n"
      "  recurve export language.cell language --weights=language.safetensors --module=lstm \\\n"
      "      --stack=forward1/backward1,forward2/backward2 --rename P=linear.weight --rename p=linear.bias \\\n"
      "      --rename table=embedding.weight -o state.safetensors");
  verb->callback([options, &exit_code] { exit_code = Run(*options); });
}

}  // namespace recurve::command

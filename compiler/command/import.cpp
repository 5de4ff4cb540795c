// compiler/command/import.cpp: `recurve import`: a trained model from elsewhere as source and weights.

#include "compiler/import/import.h"

#include <fmt/format.h>

#include <filesystem>

#include "compiler/command/command.h"
#include "compiler/command/model.h"
#include "runtime/file.h"

namespace recurve::command {
namespace {

struct Options {
  std::string file, folder = ".";
  ImportOptions import;
};

int Run(const Options& options) {
  auto imported = Import(options.file, options.import);
  if (!imported) return Fail(imported.error());
  // What we have written is read back before anyone gets it.
  frontend::LoadResult loaded = frontend::Load(imported->entry, imported->source);
  if (!loaded.program) {
    return Fail({fmt::format("`{}` can't be said in the language:\n{}", options.file, loaded.messages)});
  }
  std::error_code failure;
  std::filesystem::create_directories(options.folder, failure);
  if (failure) return Fail({fmt::format("making the folder `{}`: {}", options.folder, failure.message())});
  const std::string base = fmt::format("{}/{}", options.folder, imported->entry);
  imported->weights.metadata[kEntryKey] = imported->entry;
  if (auto done = WriteFile(base + ".cell", imported->source); !done) return Fail(done.error());
  if (auto done = WriteWeights(base + ".safetensors", imported->weights); !done) return Fail(done.error());
  fmt::print("{0}.cell\n{0}.safetensors\n", base);
  return kFine;
}

}  // namespace

void AddImport(CLI::App& app, int& exit_code) {
  auto* verb = app.add_subcommand("import", "make a model and weights of a trained model from another program");
  auto options = std::make_shared<Options>();
  verb->add_option("FILE", options->file,
                   "a state dict of PyTorch (.safetensors), .onnx, RTNeural's .json, Neural Amp Modeler's .nam")
      ->required();
  verb->add_option("-o", options->folder, "where the files go")->type_name("DIR")->capture_default_str();
  verb->add_option("--name", options->import.name, "of the model; the file's unless said");
  verb->add_flag("--lengths", options->import.has_lengths, "sequences have different lengths, which the model takes");
  verb->add_flag("--relu", options->import.relu, "the state dict is of an nn.RNN with nonlinearity='relu'");
  verb->footer(
      "Known: RNN, LSTM and GRU, stacked and in both directions, with projections, peepholes and clipping where the\n"
      "format has them, and linear layers. Anything else is named, with its place in the file.\n"
      "Examples:\n"
      "  recurve import lstm.safetensors -o out\n"
      "  recurve import amp.nam -o out && recurve compile out/amp.cell amp --weights=out/amp.safetensors \\\n"
      "      --entries=step --one -o out");
  verb->callback([options, &exit_code] { exit_code = Run(*options); });
}

}  // namespace recurve::command

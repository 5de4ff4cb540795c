// compiler/command/command.cpp: arguments, files and messages that verbs have in common.

#include "compiler/command/command.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <filesystem>

#include "runtime/file.h"

namespace recurve::command {

void AddProgramArguments(CLI::App& verb, ProgramArguments& arguments) {
  verb.add_option("FILE", arguments.file, "a file of cells and models")->required();
  verb.add_option("ENTRY", arguments.entry, "the cell or model in it")->required();
  verb.add_option("-D", arguments.definitions, "the number of an extent, e.g. -D H=8")
      ->type_name("NAME=NUMBER")
      ->allow_extra_args(false);
}

void CheckWords(CLI::Option& option, const std::vector<std::string>& words) {
  option.check(CLI::IsMember(words).description(""))->type_name(fmt::format("{}", fmt::join(words, "|")));
}

void AddPrecision(CLI::App& verb, Precision& precision) {
  AddChoice<Precision>(verb, "--type", precision, {{"f32", Precision::kF32}, {"f64", Precision::kF64}},
                       "precision of the compiled code")
      ->default_str("f32");
}

void AddStorage(CLI::App& verb, Storage& store) {
  AddChoice<Storage>(verb, "--store", store,
                     {{"same", Storage::kSame}, {"bf16", Storage::kBf16}, {"f16", Storage::kF16}},
                     "how packed weights and the tape are stored, beside f32 arithmetic")
      ->default_str("same");
}

void AddMath(CLI::App& verb, MathAccuracy& math) {
  AddChoice<MathAccuracy>(verb, "--math", math, {{"accurate", MathAccuracy::kAccurate}, {"fast", MathAccuracy::kFast}},
                          "exp, tanh and sigmoid of f32: within 2.5 ULP, or faster and within 6")
      ->default_str("accurate");
}

void AddTarget(CLI::App& verb, TargetSpec& target) {
  verb.add_option("--target", target.triple,
                  "for another machine, e.g. aarch64-linux-gnu or x86-64-v3; an object for several levels, of which\n"
                  "the best that a machine has runs, with commas between them: x86-64-v2,x86-64-v3,x86-64-v4")
      ->type_name("TRIPLE");
  verb.add_option("--cpu", target.cpu, "its processor, e.g. cortex-a72; `native` is this machine's")->type_name("NAME");
  verb.add_option("--features", target.features, "LLVM's features on top, e.g. +v")->type_name("LIST");
}

void AddMemory(CLI::App& verb, int64_t& bytes) {
  verb.add_option("--memory", bytes,
                  "most bytes of tape and workspace in training, e.g. 64MB; backward then computes forward again in\n"
                  "segments of time where storing everything takes more")
      ->transform(CLI::AsSizeValue(/*kb_is_1000=*/false))
      ->type_name("BYTES");
}

void AddTune(CLI::App& verb, bool& tune) {
  verb.add_flag("--tune", tune,
                "try other tiles, chunks and ways to share the work on this machine, and keep what is quicker");
}

void AddOptimizer(CLI::App& verb, OptimizerSource& source) {
  verb.add_option("--optimizer", source.optimizer,
                  "how weights follow their gradients: sgd, adam, adamw, rmsprop, adagrad, or FILE.cell of your own")
      ->type_name("NAME")
      ->capture_default_str();
}

std::expected<void, Error> ReadOptimizerFile(OptimizerSource& source) {
  if (!source.optimizer.ends_with(".cell")) return {};
  auto text = ReadFile(source.optimizer);
  if (!text) return std::unexpected(text.error());
  source.source = *std::move(text);
  source.optimizer = std::filesystem::path(source.optimizer).stem().string();
  return {};
}

int Fail(const Error& error) {
  fmt::print(stderr, "recurve: {}\n", error.message);
  return kWorldFailed;
}

std::expected<frontend::Extents, Error> ParseExtents(const std::vector<std::string>& definitions) {
  frontend::Extents extents;
  for (const std::string& definition : definitions) {
    const size_t equals = definition.find('=');
    int64_t number = 0;
    const char* end = definition.data() + definition.size();
    const char* begin = equals == std::string::npos ? end : definition.data() + equals + 1;
    const auto [rest, error] = std::from_chars(begin, end, number);
    if (equals == 0 || begin == end || rest != end || error != std::errc() || number < 1)
      return std::unexpected(Error{fmt::format("`-D {}` is not NAME=NUMBER with a positive number", definition)});
    extents[definition.substr(0, equals)] = number;
  }
  return extents;
}

std::expected<frontend::Program, int> LoadProgram(const std::string& file) {
  auto text = ReadFile(file);
  if (!text) return std::unexpected(Fail(text.error()));
  frontend::LoadResult loaded = frontend::Load(file, *text);
  fmt::print(stderr, "{}", loaded.messages);
  if (!loaded.program) return std::unexpected(kProgramIsWrong);
  return *std::move(loaded.program);
}

namespace {

std::expected<ir::Graph, int> BuildGraph(const frontend::Program& program, const std::string& entry,
                                         const frontend::Extents& extents) {
  frontend::BuildResult built = frontend::Build(program, entry, extents);
  fmt::print(stderr, "{}", built.messages);
  if (!built.graph) return std::unexpected(kProgramIsWrong);
  return *std::move(built.graph);
}

}  // namespace

std::expected<ir::Graph, int> LoadGraph(const ProgramArguments& arguments, const frontend::Extents& extents) {
  auto program = LoadProgram(arguments.file);
  if (!program) return std::unexpected(program.error());
  return BuildGraph(*program, arguments.entry, extents);
}

std::expected<ir::Graph, int> LoadGraph(const ProgramArguments& arguments) {
  auto extents = ParseExtents(arguments.definitions);
  if (!extents) return std::unexpected(Fail(extents.error()));
  return LoadGraph(arguments, *extents);
}

std::expected<SizedGraph, int> LoadSizedGraph(const ProgramArguments& arguments) {
  auto numbers = ParseExtents(arguments.definitions);
  if (!numbers) return std::unexpected(Fail(numbers.error()));
  auto program = LoadProgram(arguments.file);
  if (!program) return std::unexpected(program.error());
  const auto entry = std::ranges::find(program->entries, arguments.entry, &frontend::Entry::name);
  SizedGraph sized;
  for (const auto& [name, number] : *numbers) {
    const bool is_extent =
        entry != program->entries.end() && std::ranges::find(entry->extents, name) != entry->extents.end();
    if (is_extent) {
      sized.extents[name] = number;
    } else {
      sized.axes[name] = static_cast<double>(number);
    }
  }
  auto graph = BuildGraph(*program, arguments.entry, sized.extents);
  if (!graph) return std::unexpected(graph.error());
  sized.graph = *std::move(graph);
  const std::vector<std::string> known = ir::SymbolicAxes(sized.graph);
  for (const auto& [name, size] : sized.axes) {
    if (std::ranges::find(known, name) != known.end()) continue;
    return std::unexpected(Fail({fmt::format("`{}` has neither an extent nor an axis `{}`", arguments.entry, name)}));
  }
  return sized;
}

}  // namespace recurve::command

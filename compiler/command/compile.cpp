// compiler/command/compile.cpp: `recurve compile`: a program as an object file and a C header.

#include "compiler/compile.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "compiler/command/command.h"
#include "compiler/remarks.h"
#include "runtime/file.h"

namespace recurve::command {
namespace {

struct Options {
  ProgramArguments program;
  std::string folder = ".";
  std::vector<std::string> emit = {"object", "header"};
  CompileOptions compile;
  bool inference_only = false;
  bool remarks = false;
};

struct File {
  std::string_view kind, extension;
  const std::string& contents;
};

int Run(const Options& options) {
  auto sized = LoadSizedGraph(options.program);
  if (!sized) return sized.error();
  auto wants = [&](std::string_view kind) { return std::ranges::find(options.emit, kind) != options.emit.end(); };
  CompileOptions compile = options.compile;
  compile.gradients = !options.inference_only;
  compile.extents = sized->extents;
  compile.memory.sizes = sized->axes;
  auto artifacts = CompileToObject(sized->graph, compile, {.assembly = wants("assembly"), .llvm = wants("llvm")});
  if (!artifacts) return Fail(artifacts.error());

  std::error_code failure;
  std::filesystem::create_directories(options.folder, failure);
  if (failure) return Fail({fmt::format("making the folder `{}`: {}", options.folder, failure.message())});
  const File files[] = {{"object", "o", artifacts->object},
                        {"header", "h", artifacts->header},
                        {"assembly", "s", artifacts->assembly},
                        {"llvm", "ll", artifacts->llvm}};
  for (const File& file : files) {
    if (!wants(file.kind)) continue;
    const std::string path = fmt::format("{}/{}.{}", options.folder, options.program.entry, file.extension);
    if (auto done = WriteFile(path, file.contents); !done) return Fail(done.error());
    fmt::print("{}\n", path);
  }
  if (options.remarks) {
    auto plan = PlanProgram(sized->graph, compile);
    if (!plan) return Fail(plan.error());
    fmt::print(stderr, "{}", PrintRemarks(Remarks(*plan)));
  }
  return kFine;
}

}  // namespace

void AddCompile(CLI::App& app, int& exit_code) {
  auto* verb = app.add_subcommand("compile", "write a program as an object file and a C header");
  auto options = std::make_shared<Options>();
  AddProgramArguments(*verb, options->program);
  verb->add_option("-o", options->folder, "where the files go")->type_name("DIR")->capture_default_str();
  auto* emit = verb->add_option("--emit", options->emit, "which files, with commas between them");
  CheckWords(*emit, {"object", "header", "assembly", "llvm"});
  emit->delimiter(',')->default_str("object,header");
  AddPrecision(*verb, options->compile.precision);
  AddStorage(*verb, options->compile.store);
  AddMemory(*verb, options->compile.memory.bytes);
  AddMath(*verb, options->compile.math);
  AddTarget(*verb, options->compile.target);
  verb->add_option("--wrt", options->compile.wrt, "inputs whose gradients are wanted; all real ones unless said")
      ->delimiter(',')
      ->type_name("NAMES");
  verb->add_flag("--inference-only", options->inference_only, "no forward and backward pass for training");
  verb->add_flag("--remarks", options->remarks, "what could not be hoisted, fused or vectorized, on standard error");
  verb->footer(
      "The object needs no library: its only undefined symbols are memcpy and memset. The header explains its use.\n"
      "Examples:\n"
      "  recurve compile frontend/library/lstm.cell lstm -D I=4 -D H=8 -o out\n"
      "  recurve compile frontend/library/gru.cell gru -D I=1 -D H=16 -o out --inference-only \\\n"
      "      --target=aarch64-linux-gnu --cpu=cortex-a72 --emit=object,header,assembly");
  verb->callback([options, &exit_code] { exit_code = Run(*options); });
}

}  // namespace recurve::command

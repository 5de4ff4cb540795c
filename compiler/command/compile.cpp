// compiler/command/compile.cpp: `recurve compile`: a program as an object file and a C header.

#include "compiler/compile.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <optional>

#include "compiler/batch_first.h"
#include "compiler/c_example.h"
#include "compiler/command/command.h"
#include "compiler/command/summary_text.h"
#include "compiler/remarks.h"
#include "compiler/state_delay.h"
#include "compiler/storage_error.h"
#include "runtime/file.h"

namespace recurve::command {
namespace {

struct Options {
  ProgramArguments program;
  std::string folder = ".";
  std::vector<std::string> emit = {"object", "header"};
  CompileOptions compile;
  std::string weights;
  bool inference_only = false;
  bool only_one = false, batch_first = false;
  double state_delay = 1;
  bool remarks = false;
};

struct File {
  std::string_view kind, name;  // what is behind the entry's name
  const std::string& contents;
};

int Run(const Options& options) {
  auto sized = LoadSizedGraph(options.program);
  if (!sized) return sized.error();
  auto wants = [&](std::string_view kind) { return std::ranges::find(options.emit, kind) != options.emit.end(); };
  CompileOptions compile = options.compile;
  std::optional<WeightFile> weights;
  if (!options.weights.empty()) {
    auto file = ReadWeights(options.weights);
    if (!file) return Fail(file.error());
    weights = *std::move(file);
  }
  compile.gradients = !options.inference_only && !weights;
  compile.plan.only_one = options.only_one;
  if (auto done = ReadOptimizerFile(compile.optimizer); !done) return Fail(done.error());
  compile.extents = sized->extents;
  auto delayed = DelayStates(sized->graph, options.state_delay);
  if (!delayed) return Fail(delayed.error());
  sized->graph = options.batch_first ? BatchFirst(*delayed) : *std::move(delayed);
  compile.memory.sizes = sized->axes;
  auto artifacts =
      CompileToObject(sized->graph, compile,
                      {.assembly = wants("assembly"), .llvm = wants("llvm"), .weights = weights ? &*weights : nullptr});
  if (!artifacts) return Fail(artifacts.error());
  std::string library, example, report;
  if (wants("static_library")) {
    auto archive = MakeArchive(artifacts->object, options.program.entry + ".o");
    if (!archive) return Fail(archive.error());
    library = *std::move(archive);
  }
  if (wants("c_example")) example = CExample(artifacts->interface, options.program.entry + ".h");
  if (wants("report")) {
    auto plan = PlanProgram(sized->graph, compile);
    if (!plan) return Fail(plan.error());
    Summary summary = Summarize(sized->graph, *plan);
    if (weights) {  // they are data of the object, and nothing is packed
      std::erase_if(summary.entries, [](const EntrySummary& entry) { return entry.name == "pack"; });
      summary.packed_bytes = 0;
    }
    report = SummaryText(*sized, compile, summary, artifacts->interface.target) + ObjectText(*artifacts);
    if (compile.store != Storage::kSame) {
      auto errors = MeasureStorage(sized->graph, compile, weights ? &*weights : nullptr);
      if (!errors) return Fail(errors.error());
      report += StorageText(compile.store, *errors, weights.has_value());
    }
  }

  std::error_code failure;
  std::filesystem::create_directories(options.folder, failure);
  if (failure) return Fail({fmt::format("making the folder `{}`: {}", options.folder, failure.message())});
  const File files[] = {{"object", ".o", artifacts->object}, {"header", ".h", artifacts->header},
                        {"static_library", ".a", library},   {"assembly", ".s", artifacts->assembly},
                        {"llvm", ".ll", artifacts->llvm},    {"c_example", "_example.c", example},
                        {"report", "_report.txt", report}};
  for (const File& file : files) {
    if (!wants(file.kind)) continue;
    const std::string path = fmt::format("{}/{}{}", options.folder, options.program.entry, file.name);
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
  CheckWords(*emit, {"object", "header", "static_library", "assembly", "llvm", "c_example", "report"});
  emit->delimiter(',')->default_str("object,header");
  AddPrecision(*verb, options->compile.precision);
  AddStorage(*verb, options->compile.store);
  AddMemory(*verb, options->compile.memory.bytes);
  AddMath(*verb, options->compile.math);
  AddTarget(*verb, options->compile.target);
  auto* pic = verb->add_flag_callback(
      "--pic", [options] { options->compile.target.position_independent = true; },
      "position independent code; where nothing is said, it is where there is a loader");
  verb->add_flag_callback(
          "--no-pic", [options] { options->compile.target.position_independent = false; },
          "code for the place where it is linked")
      ->excludes(pic);
  verb->add_option("--wrt", options->compile.wrt, "inputs whose gradients are wanted; all real ones unless said")
      ->delimiter(',')
      ->type_name("NAMES");
  auto* entries =
      verb->add_option("--entries", options->compile.entries,
                       "which functions; all that apply unless said; backward brings forward, whose tape it reads");
  CheckWords(*entries, {"forward", "backward", "inference", "step", "evaluate", "update"});
  entries->delimiter(',');
  AddOptimizer(*verb, options->compile.optimizer);
  verb->add_option("--weights", options->weights, "trained weights that become part of the object; nothing is trained")
      ->type_name("FILE.safetensors");
  verb->add_flag("--batch-first", options->batch_first,
                 "sequences are [B, T, ...] in the arguments, where they are [T, B, ...] unless said");
  verb->add_flag("--one", options->only_one, "only for a batch of one on one thread: the smallest code");
  verb->add_option("--state-delay", options->state_delay,
                   "states come from so many steps ago, fractions interpolated: for a signal whose sample rate is so\n"
                   "many times the one that the model was trained for, e.g. 96000/44100 = 2.1769")
      ->type_name("STEPS")
      ->capture_default_str();
  verb->add_flag("--inference-only", options->inference_only, "no forward and backward pass for training");
  verb->add_flag("--remarks", options->remarks, "what could not be hoisted, fused or vectorized, on standard error");
  verb->footer(
      "The object needs no library: it calls nothing, writes nothing but what it is given, and its stack is known "
      "(the\n"
      "report says how much). The header explains its use. With --weights a step needs but a state, which the caller\n"
      "owns, an input and an output.\n"
      "Examples:\n"
      "  recurve compile frontend/library/lstm.cell lstm -D I=4 -D H=8 -o out\n"
      "  recurve compile frontend/library/gru.cell gru -D I=1 -D H=16 -o out --inference-only \\\n"
      "      --target=aarch64-linux-gnu --cpu=cortex-a72 --emit=object,header,assembly\n"
      "  recurve compile my.cell mine -D H=16 -o out --weights=mine.safetensors --entries=step --one \\\n"
      "      --target=thumbv7em-none-eabihf --cpu=cortex-m4 --emit=object,header,c_example,report");
  verb->callback([options, &exit_code] { exit_code = Run(*options); });
}

}  // namespace recurve::command

// compiler/command/show.cpp: `recurve show`: a program at any stage between its source and its machine code.

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "compiler/command/command.h"
#include "compiler/compile.h"
#include "compiler/derivative.h"
#include "compiler/remarks.h"
#include "ir/text.h"

namespace recurve::command {
namespace {

enum class Stage : uint8_t { kAst, kIr, kAdjoint, kCore, kPlan, kRemarks, kLlvm, kAsm };

struct Options {
  ProgramArguments program;
  Stage stage = Stage::kIr;
  CompileOptions compile;
  std::string dump_after;
  bool time = false;
};

// Prints how long each thing took since the last, to standard error, if that is wanted.
class Clock {
 public:
  explicit Clock(bool wanted) : wanted_(wanted) {}
  void Lap(std::string_view what) {
    const auto now = std::chrono::steady_clock::now();
    if (wanted_)
      fmt::print(stderr, "{:20} {:9.3f} ms\n", what, std::chrono::duration<double, std::milli>(now - last_).count());
    last_ = std::chrono::steady_clock::now();
  }

 private:
  bool wanted_;
  std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
};

int ShowAst(const Options& options, Clock& clock) {
  auto program = LoadProgram(options.program.file);
  if (!program) return program.error();
  clock.Lap("parse and check");
  const std::string text = frontend::PrintAst(*program, options.program.entry);
  if (text.empty()) {
    fmt::print(stderr, "recurve: `{}` does not define `{}`\n", options.program.file, options.program.entry);
    return kProgramIsWrong;
  }
  fmt::print("{}", text);
  return kFine;
}

// The stages on graphs, with the graph after a pass on the way if that is wanted.
int ShowGraph(const Options& options, const ir::Graph& graph, Clock& clock) {
  if (options.stage == Stage::kIr && options.dump_after.empty()) {
    fmt::print("{}", ir::PrintText(graph));
    return kFine;
  }
  const Programs programs = Lower(graph, options.compile, [&](const Pass& pass, const ir::Graph& after) {
    clock.Lap(pass.name);
    if (pass.name == options.dump_after) fmt::print("# after {}\n{}", pass.name, ir::PrintText(after));
  });
  clock.Lap("split and pack");
  // A pass is seen where it ran, and then nothing else is.
  if (!options.dump_after.empty()) return kFine;
  fmt::print("{}", ir::PrintText(options.stage == Stage::kAdjoint ? Simplify(programs.adjoint) : programs.core));
  return kFine;
}

int ShowCode(const Options& options, const ir::Graph& graph, Clock& clock) {
  if (options.stage == Stage::kPlan) {
    auto text = PlanText(graph, options.compile);
    if (!text) return Fail(text.error());
    clock.Lap("plan");
    fmt::print("{}", *text);
    return kFine;
  }
  if (options.stage == Stage::kRemarks) {
    auto plan = PlanProgram(graph, options.compile);
    if (!plan) return Fail(plan.error());
    clock.Lap("plan");
    fmt::print("{}", PrintRemarks(Remarks(*plan)));
    return kFine;
  }
  auto artifacts = CompileToObject(graph, options.compile,
                                   {.assembly = options.stage == Stage::kAsm, .llvm = options.stage == Stage::kLlvm});
  if (!artifacts) return Fail(artifacts.error());
  clock.Lap("compile");
  fmt::print("{}", options.stage == Stage::kAsm ? artifacts->assembly : artifacts->llvm);
  return kFine;
}

int Run(Options options) {
  Clock clock(options.time);
  if (options.stage == Stage::kAst) return ShowAst(options, clock);
  auto sized = LoadSizedGraph(options.program);
  if (!sized) return sized.error();
  options.compile.memory.sizes = sized->axes;
  const ir::Graph& graph = sized->graph;
  clock.Lap("parse, check, build");
  switch (options.stage) {
    case Stage::kAst:
    case Stage::kIr:
    case Stage::kAdjoint:
    case Stage::kCore: return ShowGraph(options, graph, clock);
    case Stage::kPlan:
    case Stage::kRemarks:
    case Stage::kLlvm:
    case Stage::kAsm:
      return options.dump_after.empty() ? ShowCode(options, graph, clock) : ShowGraph(options, graph, clock);
  }
  return kFine;
}

// "share: Computes equal values once" for each pass.
std::string PassList() {
  std::string text = "Passes, in order:\n";
  for (const Pass& pass : Passes()) text += fmt::format("  {:20} {}\n", pass.name, pass.purpose);
  return text;
}

}  // namespace

void AddShow(CLI::App& app, int& exit_code) {
  auto* verb = app.add_subcommand("show", "print a program at one stage of its compilation");
  auto options = std::make_shared<Options>();
  const std::map<std::string, Stage> stages = {
      {"ast", Stage::kAst},   {"ir", Stage::kIr},           {"adjoint", Stage::kAdjoint}, {"core", Stage::kCore},
      {"plan", Stage::kPlan}, {"remarks", Stage::kRemarks}, {"llvm", Stage::kLlvm},       {"asm", Stage::kAsm}};
  std::vector<std::string> passes;
  for (const Pass& pass : Passes()) passes.emplace_back(pass.name);
  AddProgramArguments(*verb, options->program);
  AddChoice(*verb, "--stage", options->stage, stages, "what to print")->default_str("ir");
  auto* dump = verb->add_option("--dump-after", options->dump_after, "the graph after a pass, instead of a stage");
  dump->check(CLI::IsMember(passes).description(""))->type_name("PASS");
  verb->add_flag("--time", options->time, "how long stages and passes took, on standard error");
  AddPrecision(*verb, options->compile.precision);
  AddStorage(*verb, options->compile.store);
  AddMemory(*verb, options->compile.memory.bytes);
  AddMath(*verb, options->compile.math);
  verb->footer(
      "Stages:\n"
      "  ast       as the parser understood it\n"
      "  ir        the tensor program, batch and time axes added\n"
      "  adjoint   with its gradients, simplified\n"
      "  core      after all passes: what the plan is made of\n"
      "  plan      tiles, phases, buffers, and how threads share them\n"
      "  remarks   what was hoisted, fused and vectorized, what was not, and why\n"
      "  llvm asm  code for this machine\n" +
      PassList() +
      "Examples:\n"
      "  recurve show frontend/library/lstm.cell lstm -D I=4 -D H=8 --stage=adjoint\n"
      "  recurve show my.cell mine -D I=4 -D H=8 --stage=core --time");
  verb->callback([options, &exit_code] { exit_code = Run(*options); });
}

}  // namespace recurve::command

// compiler/command/gradcheck.cpp: `recurve gradcheck`: the largest errors of a program's gradients, per argument.

#include "compiler/gradcheck.h"

#include <fmt/format.h>

#include "compiler/command/command.h"

namespace recurve::command {
namespace {

struct Options {
  ProgramArguments program;
  std::vector<std::string> sizes;
  GradcheckOptions check;
};

int Run(const Options& options) {
  auto graph = LoadGraph(options.program);
  if (!graph) return graph.error();
  auto sizes = ParseExtents(options.sizes);
  if (!sizes) return Fail(sizes.error());
  GradcheckOptions check = options.check;
  check.sizes = *sizes;
  auto report = Gradcheck(*graph, check);
  if (!report) return Fail(report.error());
  fmt::print("{}", PrintReport(*report));
  return report->passed() ? kFine : kProgramIsWrong;
}

}  // namespace

void AddGradcheck(CLI::App& app, int& exit_code) {
  auto* verb = app.add_subcommand("gradcheck",
                                  "compare a program's gradients: interpreter, finite differences, unrolled, compiled");
  auto options = std::make_shared<Options>();
  AddProgramArguments(*verb, options->program);
  AddPrecision(*verb, options->check.precision);
  AddStorage(*verb, options->check.store);
  AddMath(*verb, options->check.math);
  verb->add_option("--seed", options->check.seed, "draws arguments; the same seed gives the same ones")
      ->capture_default_str();
  verb->add_option("--size", options->sizes, "the size of a time axis or of the batch, e.g. --size T=9 --size B=3")
      ->type_name("AXIS=NUMBER")
      ->allow_extra_args(false);
  verb->add_option("--elements", options->check.elements, "compared by finite differences, per argument")
      ->capture_default_str();
  verb->footer(
      "Errors are relative to the largest element of a tensor. The tolerance of compiled code is what rounding\n"
      "explains for this program. Exit code 1 if something disagrees. With --store=bf16 or f16 parameters are drawn "
      "as\n"
      "such numbers, and the tolerance of gradients adds what rounding the tape explains.\n"
      "Examples:\n"
      "  recurve gradcheck frontend/library/lstm.cell lstm -D I=4 -D H=8\n"
      "  recurve gradcheck my.cell mine -D I=4 -D H=8 --type=f64 --seed=7 --size T=20");
  verb->callback([options, &exit_code] { exit_code = Run(*options); });
}

}  // namespace recurve::command

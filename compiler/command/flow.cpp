// compiler/command/flow.cpp: `recurve flow`: how far back a model's gradient reaches, as a table and a picture.

#include "compiler/flow.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "compiler/command/command.h"
#include "compiler/compile.h"
#include "runtime/file.h"
#include "runtime/parameters.h"
#include "runtime/plot.h"

namespace recurve::command {
namespace {

struct Options {
  ProgramArguments program;
  std::string weights, svg;
  int64_t steps = 100;
  uint64_t seed = 1;
};

// Trained weights, or random ones as training would start from.
std::expected<WeightFile, Error> WeightsFor(const Options& options, const ir::Graph& graph) {
  if (!options.weights.empty()) return ReadWeights(options.weights);
  auto program = CompileToMemory(graph, {.gradients = false});
  if (!program) return std::unexpected(program.error());
  Parameters parameters(*std::move(program));
  if (auto done = parameters.Initialize(options.seed); !done) return std::unexpected(done.error());
  return Collect(parameters);
}

double MeanOf(const std::vector<double>& values) {
  double sum = 0;
  for (double value : values) sum += value;
  return sum / static_cast<double>(values.size());
}

void PrintTable(const ScanFlow& flow) {
  const size_t steps = flow.norms.size() - 1;
  fmt::print("{}: {} numbers of state\n", flow.name, flow.states);
  fmt::print("  {:>6}  {:>16}\n", "back k", "|ds_T/ds_(T-k)|");
  std::set<size_t> shown = {1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, steps};
  for (size_t back : shown) {
    if (back <= steps) fmt::print("  {:>6}  {:>16.3g}\n", back, flow.norms[steps - back]);
  }
  const auto [low, high] = std::ranges::minmax(flow.radii);
  fmt::print("  spectral radius of a step: {:.3f} in the mean, {:.3f} to {:.3f}\n", MeanOf(flow.radii), low, high);
  const size_t memory = flow.memory();
  if (memory == steps) {
    fmt::print("  effective memory: {} steps or more; the gradient {}\n", steps,
               flow.norms[0] > 10 ? "explodes" : "is kept");
  } else {
    fmt::print("  effective memory: {} steps, then the gradient is below 1/e of what it was\n", memory);
  }
  for (const GateFlow& gate : flow.gates) fmt::print("  gate {}: {:.3f} in the mean\n", gate.name, MeanOf(gate.means));
}

Plot PlotOf(const Options& options, const std::vector<ScanFlow>& flows) {
  Plot plot{.title = fmt::format("{}: how much of the states' gradient is left", options.program.entry),
            .x_label = "steps back from the end",
            .y_label = "log10 of |ds_T/ds_(T-k)|"};
  for (const ScanFlow& flow : flows) {
    PlotLine line{.name = flow.name};
    const size_t steps = flow.norms.size() - 1;
    for (size_t back = 0; back <= steps; ++back) {
      line.x.push_back(static_cast<double>(back));
      line.y.push_back(std::log10(flow.norms[steps - back]));
    }
    plot.lines.push_back(std::move(line));
  }
  PlotLine limit{.name = "1/e", .x = {0, static_cast<double>(flows[0].norms.size() - 1)}, .y = {}, .is_dashed = true};
  limit.y = {-std::log10(std::exp(1.0)), -std::log10(std::exp(1.0))};
  plot.lines.push_back(std::move(limit));
  return plot;
}

int Run(const Options& options) {
  auto graph = LoadGraph(options.program);
  if (!graph) return graph.error();
  auto weights = WeightsFor(options, *graph);
  if (!weights) return Fail(weights.error());
  auto flows = MeasureFlow(*graph, *weights, options.steps, options.seed);
  if (!flows) return Fail(flows.error());
  for (const ScanFlow& flow : *flows) PrintTable(flow);
  if (options.svg.empty()) return kFine;
  if (auto done = WriteFile(options.svg, Draw(PlotOf(options, *flows))); !done) return Fail(done.error());
  fmt::print("{}\n", options.svg);
  return kFine;
}

}  // namespace

void AddFlow(CLI::App& app, int& exit_code) {
  auto* verb = app.add_subcommand("flow", "how far back a model's gradient reaches: vanishing, exploding, or kept");
  auto options = std::make_shared<Options>();
  AddProgramArguments(*verb, options->program);
  verb->add_option("--weights", options->weights, "trained weights; random ones unless said")
      ->type_name("FILE.safetensors");
  verb->add_option("--steps", options->steps, "of the sequence")->check(CLI::Range(1, 10000))->capture_default_str();
  verb->add_option("--seed", options->seed, "of inputs and random weights")->capture_default_str();
  verb->add_option("--svg", options->svg, "a picture of it")->type_name("FILE.svg");
  verb->footer(
      "Along a sequence of normal random inputs, for each scan: the norm of the derivative of the last states by "
      "those\n"
      "k steps before, the spectral radius of one step's Jacobian, the steps until the norm has fallen to 1/e, and "
      "the\n"
      "means of the cell's sigmoids. In double, by the reference interpreter: for cells of some hundred numbers of "
      "state.\n"
      "Examples:\n"
      "  recurve flow frontend/library/elman.cell elman -D I=4 -D H=32 --svg=elman.svg\n"
      "  recurve flow my.cell mine -D H=16 --weights=mine.safetensors --steps=400");
  verb->callback([options, &exit_code] { exit_code = Run(*options); });
}

}  // namespace recurve::command

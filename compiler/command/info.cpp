// compiler/command/info.cpp: `recurve info`: what a program has, computes and needs, without running it.

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "compiler/command/command.h"
#include "compiler/command/summary_text.h"
#include "compiler/compile.h"
#include "compiler/summary.h"
#include "compiler/versions.h"
#include "ir/text.h"

namespace recurve::command {
namespace {

using Json = nlohmann::ordered_json;

struct Options {
  ProgramArguments program;
  CompileOptions compile;
  bool inference_only = false;
  bool json = false;
};

// Beyond 2^53 a double does not hold every whole number.
Json InJson(const Figure& figure) {
  Json json{{"formula", figure.formula}};
  if (figure.value && *figure.value < 9007199254740992.0) {
    json["value"] = static_cast<int64_t>(*figure.value);
  } else if (figure.value) {
    json["value"] = *figure.value;
  }
  return json;
}

// A number, or a formula where it is none.
Json CountInJson(const Amount& count) {
  const Figure figure = FigureOf(count, {});
  return figure.value ? InJson(figure)["value"] : Json(figure.formula);
}

Json TensorsInJson(const std::vector<TensorSummary>& tensors) {
  Json rows = Json::array();
  for (const TensorSummary& tensor : tensors) {
    Json shape = Json::array();
    for (const ir::Dim& dim : tensor.shape) shape.push_back(dim.is_constant() ? Json(dim.extent) : Json(dim.axis));
    Amount count;
    count.Add(SizeOf(tensor.shape));
    rows.push_back({{"name", tensor.name}, {"shape", std::move(shape)}, {"count", CountInJson(count)}});
    if (!tensor.is_trained) rows.back()["trained"] = false;
  }
  return rows;
}

void PrintJson(const Options& options, const SizedGraph& sized, const Summary& summary, const std::string& target) {
  Json json{{"program", summary.name},
            {"target", target},
            {"type", Name(options.compile.precision)},
            {"store", Name(options.compile.store)},
            {"extents", Json::object()},
            {"axes", Json::object()}};
  for (const auto& [name, number] : sized.extents) json["extents"][name] = number;
  for (const auto& [axis, size] : sized.axes) json["axes"][axis] = static_cast<int64_t>(size);
  json["parameters"] = TensorsInJson(summary.parameters);
  json["trained_count"] = CountInJson(summary.trained_count());
  json["fixed_count"] = CountInJson(summary.fixed_count());
  json["states"] = TensorsInJson(summary.states);
  json["state_count"] = CountInJson(summary.state_count());
  json["element_bytes"] = summary.element_bytes;
  json["packed_bytes"] = summary.packed_bytes;
  if (const EntrySummary* step = summary.FindEntry("step")) {
    json["step_of_one"] = {{"flops", InJson(FigureOf(AtOne(step->flops, "B"), sized.axes))},
                           {"moved_bytes", InJson(FigureOf(AtOne(step->moved_bytes, "B"), sized.axes))}};
  }
  if (summary.FindEntry("forward") != nullptr) {
    json["tape_bytes"] = InJson(FigureOf(summary.tape, sized.axes));
  }
  json["entries"] = Json::array();
  for (const EntrySummary& entry : summary.entries) {
    const AxisSizes sizes = SizesIn(entry, sized.axes);
    Json row{{"entry", entry.name},
             {"flops", InJson(FigureOf(entry.flops, sizes))},
             {"moved_bytes", InJson(FigureOf(entry.moved_bytes, sizes))},
             {"workspace_bytes", InJson(FigureOf(entry.workspace, sizes))}};
    for (const auto& [name, text] : NamesOf(entry.chunks)) row["chunks"][name] = text;
    json["entries"].push_back(std::move(row));
  }
  fmt::print("{}\n", json.dump(2));
}

int Run(const Options& options) {
  auto sized = LoadSizedGraph(options.program);
  if (!sized) return sized.error();
  CompileOptions compile = options.compile;
  compile.gradients = !options.inference_only;
  compile.memory.sizes = sized->axes;
  auto target = BestVersionOf(compile.target);
  if (!target) return Fail(target.error());
  auto plan = PlanProgram(sized->graph, compile);
  if (!plan) return Fail(plan.error());
  const Summary summary = Summarize(sized->graph, *plan);
  if (options.json) {
    PrintJson(options, *sized, summary, target->description());
  } else {
    fmt::print("{}", SummaryText(*sized, compile, summary, target->description()));
  }
  return kFine;
}

}  // namespace

void AddInfo(CLI::App& app, int& exit_code) {
  auto* verb = app.add_subcommand("info", "what a program has, computes and needs: parameters, FLOPs, bytes, memory");
  auto options = std::make_shared<Options>();
  AddProgramArguments(*verb, options->program);
  AddPrecision(*verb, options->compile.precision);
  AddStorage(*verb, options->compile.store);
  AddMemory(*verb, options->compile.memory.bytes);
  AddTarget(*verb, options->compile.target);
  verb->add_flag("--inference-only", options->inference_only, "without the forward and backward pass for training");
  verb->add_flag("--json", options->json, "print JSON");
  verb->footer(
      "Nothing is run. Formulas are in the sizes of the axes; -D also sizes those, and then values stand beside them:\n"
      "-D T=100 -D B=32. A multiply-add counts two FLOPs, any other operation on an element one. Bytes moved are those "
      "of\n"
      "arguments, tape and weights that a call cannot do without; a recurrence reads its weights in every step.\n"
      "Workspace and tape are exact; ceil64 rounds up to a multiple of 64. Packed weights, workspace and tape depend "
      "on\n"
      "the target, whose vectors they fit.\n"
      "Examples:\n"
      "  recurve info frontend/library/lstm.cell lstm -D I=64 -D H=128\n"
      "  recurve info frontend/library/gru.cell gru -D I=1 -D H=16 -D T=100 -D B=32 --json\n"
      "  recurve info my.cell mine -D I=1 -D H=16 --inference-only --target=thumbv7em-none-eabihf --cpu=cortex-m4");
  verb->callback([options, &exit_code] { exit_code = Run(*options); });
}

}  // namespace recurve::command

// compiler/command/info.cpp: `recurve info`: what a program has, computes and needs, without running it.

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "compiler/command/command.h"
#include "compiler/compile.h"
#include "compiler/summary.h"
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

const char* Name(Precision precision) {
  switch (precision) {
    case Precision::kF32: return "f32";
    case Precision::kF64: return "f64";
  }
  return "";
}

const char* Name(Storage storage) {
  switch (storage) {
    case Storage::kSame: return "same";
    case Storage::kBf16: return "bf16";
    case Storage::kF16: return "f16";
  }
  return "";
}

std::string TextOf(const ir::Shape& shape) { return shape.empty() ? "[]" : ir::PrintShape(shape); }

// A formula and, where the sizes of its axes are known and it is one, its value.
struct Figure {
  std::string formula;
  std::optional<double> value;

  std::string Text() const {
    const std::string number = value ? fmt::format("{:.0f}", *value) : "";
    return number.empty() || number == formula ? formula : formula + " = " + number;
  }
  Json InJson() const {
    Json json{{"formula", formula}};
    // Beyond 2^53 a double does not hold every whole number.
    if (value && *value < 9007199254740992.0) {
      json["value"] = static_cast<int64_t>(*value);
    } else if (value) {
      json["value"] = *value;
    }
    return json;
  }
};
Figure FigureOf(const Amount& amount, const AxisSizes& sizes) { return {amount.Text(), ValueOf(amount, sizes)}; }
Figure FigureOf(const MemoryFormula& memory, const AxisSizes& sizes) { return {memory.Text(), memory.At(sizes)}; }

// What is printed in either form.
struct Report {
  const Options& options;
  const SizedGraph& sized;
  const Summary& summary;
  std::string target;

  AxisSizes SizesOf(const EntrySummary& entry) const { return SizesIn(entry, sized.axes); }
  Figure Bytes(const Amount& elements) const {
    return FigureOf(elements * Size{summary.element_bytes, {}}, sized.axes);
  }
};

void PrintTensors(const Report& report, const char* title, const std::vector<TensorSummary>& tensors,
                  const Amount& total, const char* of) {
  if (tensors.empty()) return;
  size_t names = std::max(std::string_view(title).size(), std::string_view("in all").size()), shapes = 5, counts = 5;
  counts = std::max(counts, total.Text().size());
  for (const TensorSummary& tensor : tensors) {
    names = std::max(names, tensor.name.size());
    shapes = std::max(shapes, TextOf(tensor.shape).size());
  }
  fmt::print("\n{:{}}  {:{}}  {:>{}}\n", title, names, "shape", shapes, "count", counts);
  for (const TensorSummary& tensor : tensors) {
    Amount count;
    count.Add(SizeOf(tensor.shape));
    fmt::print("{:{}}  {:{}}  {:>{}}{}\n", tensor.name, names, TextOf(tensor.shape), shapes, count.Text(), counts,
               tensor.is_trained ? "" : "  never trained");
  }
  fmt::print("{:{}}  {:{}}  {:>{}}  {} bytes{}\n", "in all", names, "", shapes, total.Text(), counts,
             report.Bytes(total).formula, of);
}

void PrintText(const Report& report) {
  const Summary& summary = report.summary;
  fmt::print("{}", summary.name);
  for (const auto& [name, number] : report.sized.extents) fmt::print(" {}={}", name, number);
  const Storage store = report.options.compile.store;
  fmt::print(": {}{} for {}\n", Name(report.options.compile.precision),
             store == Storage::kSame ? "" : fmt::format(", stored in {},", Name(store)), report.target);
  Amount parameters = summary.trained_count();
  parameters.Add(summary.fixed_count());
  PrintTensors(report, "parameter", summary.parameters, parameters, "");
  PrintTensors(report, "state", summary.states, summary.state_count(), " an example");
  fmt::print("\npacked weights: {} bytes\n", summary.packed_bytes);
  if (const EntrySummary* step = summary.FindEntry("step")) {
    fmt::print("one step of one example: {} FLOPs, {} bytes moved\n",
               FigureOf(AtOne(step->flops, "B"), report.sized.axes).Text(),
               FigureOf(AtOne(step->moved_bytes, "B"), report.sized.axes).Text());
  }
  for (const EntrySummary& entry : summary.entries) {
    const AxisSizes sizes = report.SizesOf(entry);
    fmt::print("\n{}\n", entry.name);
    fmt::print("  FLOPs        {}\n", FigureOf(entry.flops, sizes).Text());
    fmt::print("  bytes moved  {}\n", FigureOf(entry.moved_bytes, sizes).Text());
    fmt::print("  workspace    {} bytes\n", FigureOf(entry.workspace, sizes).Text());
    for (const auto& [name, text] : NamesOf(entry.chunks)) fmt::print("    {} = {}\n", name, text);
    if (entry.name == "forward") fmt::print("  tape         {} bytes\n", FigureOf(summary.tape, sizes).Text());
  }
}

// A number, or a formula where it is none.
Json CountInJson(const Amount& count) {
  const Figure figure = FigureOf(count, {});
  return figure.value ? figure.InJson()["value"] : Json(figure.formula);
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

void PrintJson(const Report& report) {
  const Summary& summary = report.summary;
  Json json{{"program", summary.name},
            {"target", report.target},
            {"type", Name(report.options.compile.precision)},
            {"store", Name(report.options.compile.store)},
            {"extents", Json::object()},
            {"axes", Json::object()}};
  for (const auto& [name, number] : report.sized.extents) json["extents"][name] = number;
  for (const auto& [axis, size] : report.sized.axes) json["axes"][axis] = static_cast<int64_t>(size);
  json["parameters"] = TensorsInJson(summary.parameters);
  json["trained_count"] = CountInJson(summary.trained_count());
  json["fixed_count"] = CountInJson(summary.fixed_count());
  json["states"] = TensorsInJson(summary.states);
  json["state_count"] = CountInJson(summary.state_count());
  json["element_bytes"] = summary.element_bytes;
  json["packed_bytes"] = summary.packed_bytes;
  if (const EntrySummary* step = summary.FindEntry("step")) {
    json["step_of_one"] = {{"flops", FigureOf(AtOne(step->flops, "B"), report.sized.axes).InJson()},
                           {"moved_bytes", FigureOf(AtOne(step->moved_bytes, "B"), report.sized.axes).InJson()}};
  }
  if (summary.FindEntry("forward") != nullptr) {
    json["tape_bytes"] = FigureOf(summary.tape, report.sized.axes).InJson();
  }
  json["entries"] = Json::array();
  for (const EntrySummary& entry : summary.entries) {
    const AxisSizes sizes = report.SizesOf(entry);
    Json row{{"entry", entry.name},
             {"flops", FigureOf(entry.flops, sizes).InJson()},
             {"moved_bytes", FigureOf(entry.moved_bytes, sizes).InJson()},
             {"workspace_bytes", FigureOf(entry.workspace, sizes).InJson()}};
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
  auto target = MakeTarget(compile.target);
  if (!target) return Fail(target.error());
  auto plan = PlanProgram(sized->graph, compile);
  if (!plan) return Fail(plan.error());
  const Summary summary = Summarize(sized->graph, *plan);
  const Report report{options, *sized, summary, target->description()};
  if (options.json) {
    PrintJson(report);
  } else {
    PrintText(report);
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

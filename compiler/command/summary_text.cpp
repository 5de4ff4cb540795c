// compiler/command/summary_text.cpp: tables and formulas, line by line.

#include "compiler/command/summary_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "ir/text.h"

namespace recurve::command {
namespace {

std::string TextOf(const ir::Shape& shape) { return shape.empty() ? "[]" : ir::PrintShape(shape); }

class SummaryPrinter {
 public:
  SummaryPrinter(const SizedGraph& sized, const CompileOptions& options, const Summary& summary, std::string target)
      : sized_(sized), options_(options), summary_(summary), target_(std::move(target)) {}

  std::string Print() {
    Add("{}", summary_.name);
    for (const auto& [name, number] : sized_.extents) Add(" {}={}", name, number);
    const Storage store = options_.store;
    Add(": {}{} for {}\n", Name(options_.precision),
        store == Storage::kSame ? "" : fmt::format(", stored in {},", Name(store)), target_);
    Amount parameters = summary_.trained_count();
    parameters.Add(summary_.fixed_count());
    Tensors("parameter", summary_.parameters, parameters, "");
    Tensors("state", summary_.states, summary_.state_count(), " an example");
    Add("\n");
    if (summary_.packed_bytes != 0) Add("packed weights: {} bytes\n", summary_.packed_bytes);
    if (const EntrySummary* step = summary_.FindEntry("step")) {
      Add("one step of one example: {} FLOPs, {} bytes moved\n", FigureOf(AtOne(step->flops, "B"), sized_.axes).Text(),
          FigureOf(AtOne(step->moved_bytes, "B"), sized_.axes).Text());
    }
    for (const EntrySummary& entry : summary_.entries) {
      const AxisSizes sizes = SizesIn(entry, sized_.axes);
      Add("\n{}\n", entry.name);
      Add("  FLOPs        {}\n", FigureOf(entry.flops, sizes).Text());
      Add("  bytes moved  {}\n", FigureOf(entry.moved_bytes, sizes).Text());
      Add("  workspace    {} bytes\n", FigureOf(entry.workspace, sizes).Text());
      for (const auto& [name, text] : NamesOf(entry.chunks)) Add("    {} = {}\n", name, text);
      if (entry.name == "forward") Add("  tape         {} bytes\n", FigureOf(summary_.tape, sizes).Text());
    }
    return std::move(text_);
  }

 private:
  template <typename... Values>
  void Add(fmt::format_string<Values...> format, Values&&... values) {
    fmt::format_to(std::back_inserter(text_), format, std::forward<Values>(values)...);
  }

  void Tensors(const char* title, const std::vector<TensorSummary>& tensors, const Amount& total, const char* of) {
    if (tensors.empty()) return;
    size_t names = std::max(std::string_view(title).size(), std::string_view("in all").size()), shapes = 5, counts = 5;
    counts = std::max(counts, total.Text().size());
    for (const TensorSummary& tensor : tensors) {
      names = std::max(names, tensor.name.size());
      shapes = std::max(shapes, TextOf(tensor.shape).size());
    }
    Add("\n{:{}}  {:{}}  {:>{}}\n", title, names, "shape", shapes, "count", counts);
    for (const TensorSummary& tensor : tensors) {
      Amount count;
      count.Add(SizeOf(tensor.shape));
      Add("{:{}}  {:{}}  {:>{}}{}\n", tensor.name, names, TextOf(tensor.shape), shapes, count.Text(), counts,
          tensor.is_trained ? "" : "  never trained");
    }
    Add("{:{}}  {:{}}  {:>{}}  {} bytes{}\n", "in all", names, "", shapes, total.Text(), counts,
        FigureOf(total * Size{summary_.element_bytes, {}}, sized_.axes).formula, of);
  }

  const SizedGraph& sized_;
  const CompileOptions& options_;
  const Summary& summary_;
  std::string target_;
  std::string text_;
};

}  // namespace

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

std::string Figure::Text() const {
  const std::string number = value ? fmt::format("{:.0f}", *value) : "";
  return number.empty() || number == formula ? formula : formula + " = " + number;
}

Figure FigureOf(const Amount& amount, const AxisSizes& sizes) { return {amount.Text(), ValueOf(amount, sizes)}; }
Figure FigureOf(const MemoryFormula& memory, const AxisSizes& sizes) { return {memory.Text(), memory.At(sizes)}; }

std::string SummaryText(const SizedGraph& sized, const CompileOptions& options, const Summary& summary,
                        const std::string& target) {
  return SummaryPrinter(sized, options, summary, target).Print();
}

std::string ObjectText(const Artifacts& artifacts) {
  const ObjectReport& report = artifacts.report;
  std::string text = "\nobject\n";
  text += fmt::format("  code             {} bytes\n  read-only data   {} bytes", report.text_bytes,
                      report.read_only_bytes);
  if (artifacts.interface.constant_bytes != 0)
    text += fmt::format(", {} of them weights", artifacts.interface.constant_bytes);
  text += "\n  undefined        none\n  written          nothing but the arguments\n";
  size_t width = 0;
  for (const auto& [function, bytes] : report.stack_bytes) width = std::max(width, function.size());
  text += "\nstack, of a function and all that it calls\n";
  for (const auto& [function, bytes] : report.stack_bytes)
    text += fmt::format("  {:{}}  {:>5} bytes\n", function, width, bytes);
  return text;
}

std::string StorageText(Storage store, const std::vector<StorageError>& errors, bool is_trained) {
  std::string text = fmt::format("\nweights in {}, against f32 ({} weights, random inputs, on this machine)\n",
                                 Name(store), is_trained ? "these" : "initial");
  for (const StorageError& error : errors) {
    text += fmt::format("  {}: error {:.1e} of its root mean square, {:.1e} of its largest number at most\n",
                        error.output, error.root_mean_square, error.largest);
  }
  return text;
}

}  // namespace recurve::command

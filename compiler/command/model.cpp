// compiler/command/model.cpp: from a file and numbers to a program, and from weights back to a trained one.

#include "compiler/command/model.h"

#include <fmt/format.h>

#include <cstdlib>
#include <sstream>

namespace recurve::command {

std::string FormatExtents(const frontend::Extents& extents) {
  std::string text;
  for (const auto& [name, number] : extents) text += fmt::format("{}{}={}", text.empty() ? "" : " ", name, number);
  return text;
}

std::expected<Program, int> CompileModel(const ProgramArguments& arguments, const frontend::Extents& extents,
                                         CompileOptions options, TrainingSizes sizes) {
  auto graph = LoadGraph(arguments, extents);
  if (!graph) return std::unexpected(graph.error());
  for (const std::string& axis : ir::SymbolicAxes(*graph))
    options.memory.sizes[axis] = static_cast<double>(axis == "B" ? sizes.batch : sizes.length);
  if (options.tuning.is_on()) options.tuning.sizes = options.memory.sizes;
  for (ir::NodeId id : graph->inputs()) {
    const auto& input = (*graph)[id].As<ir::InputAttr>();
    if (input.role == ir::Role::kParameter) options.wrt.push_back(input.name);
  }
  auto program = CompileToMemory(*graph, options);
  if (!program) return std::unexpected(Fail(program.error()));
  return *std::move(program);
}

std::expected<frontend::Extents, int> ExtentsOfTraining(const ProgramArguments& arguments, const WeightFile& weights) {
  // Those of the metadata first, so that the person's own replace them.
  std::vector<std::string> definitions;
  std::istringstream stored{std::string(weights.Metadata(kExtentsKey))};
  for (std::string definition; stored >> definition;) definitions.push_back(definition);
  definitions.insert(definitions.end(), arguments.definitions.begin(), arguments.definitions.end());
  auto extents = ParseExtents(definitions);
  if (!extents) return std::unexpected(Fail(extents.error()));
  return *std::move(extents);
}

double TrainedModel::Number(const std::string& key, double otherwise) const {
  const std::string text(weights.Metadata(key));
  return text.empty() ? otherwise : std::strtod(text.c_str(), nullptr);
}

std::expected<TrainedModel, int> LoadTrainedModel(const ProgramArguments& arguments, const std::string& weights,
                                                  Storage store) {
  auto file = ReadWeights(weights);
  if (!file) return std::unexpected(Fail(file.error()));
  auto extents = ExtentsOfTraining(arguments, *file);
  if (!extents) return std::unexpected(extents.error());
  auto program = CompileModel(arguments, *extents, {.store = store, .gradients = false});
  if (!program) return std::unexpected(program.error());
  auto parameters = std::make_shared<Parameters>(*std::move(program));
  if (auto restored = Restore(*parameters, *file); !restored) return std::unexpected(Fail(restored.error()));
  return TrainedModel{std::move(parameters), *std::move(file)};
}

}  // namespace recurve::command

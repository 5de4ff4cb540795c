// tests/support/random_model.cpp: the inputs and outputs of a cell, read from its source.

#include "tests/support/random_model.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <sstream>
#include <utility>
#include <vector>

namespace recurve {
namespace {

using Names = std::vector<std::string>;

struct CellParts {
  std::vector<std::pair<std::string, std::string>> inputs;  // name, shape
  int outputs = 0;
  Names extents, bound;  // H, H=H
};

CellParts PartsOf(const RandomCell& cell) {
  CellParts parts;
  for (const auto& [name, number] : cell.extents) {
    parts.extents.push_back(name);
    parts.bound.push_back(name + "=" + name);
  }
  std::istringstream lines(cell.source);
  for (std::string line; std::getline(lines, line);) {
    const size_t colon = line.find(':');
    if (line.starts_with("  input ")) parts.inputs.emplace_back(line.substr(8, colon - 8), line.substr(colon + 2));
    if (line.starts_with("  output ")) ++parts.outputs;
  }
  return parts;
}

// input r_x: [I] over S
std::string Declared(const CellParts& parts, char prefix, char axis) {
  std::string text;
  for (const auto& [name, shape] : parts.inputs)
    text += fmt::format("  input {}_{}: {} over {}\n", prefix, name, shape, axis);
  return text;
}
// r_x, r_y
std::string Inputs(const CellParts& parts, char prefix) {
  Names names;
  for (const auto& [name, shape] : parts.inputs) names.push_back(fmt::format("{}_{}", prefix, name));
  return fmt::format("{}", fmt::join(names, ", "));
}
// read0, read1
std::string Outputs(const CellParts& parts, const std::string& name) {
  Names names;
  for (int i = 0; i < parts.outputs; ++i) names.push_back(fmt::format("{}{}", name, i));
  return fmt::format("{}", fmt::join(names, ", "));
}
std::string Header(const RandomCell& cell, const CellParts& parts, const std::string& inputs) {
  return fmt::format("{}\nmodel m({}) {{\n{}  let c = random({})\n", cell.source, fmt::join(parts.extents, ", "),
                     inputs, fmt::join(parts.bound, ", "));
}

}  // namespace

std::string ReadsAndGoesOn(const RandomCell& cell) {
  const CellParts parts = PartsOf(cell);
  return Header(cell, parts, Declared(parts, 'r', 'S') + Declared(parts, 'w', 'T')) +
         fmt::format("  {} = scan c over {}\n  {} = scan c over {} from read0.state\n  output {}\n}}\n",
                     Outputs(parts, "read"), Inputs(parts, 'r'), Outputs(parts, "written"), Inputs(parts, 'w'),
                     Outputs(parts, "written"));
}

std::string GoesBothWays(const RandomCell& cell) {
  const CellParts parts = PartsOf(cell);
  const std::string inputs = Inputs(parts, 'x');
  std::string text =
      Header(cell, parts, Declared(parts, 'x', 'T')) + fmt::format(
                                                           "  {} = scan c over {}\n  {} = reverse scan c over {}\n"
                                                           "  {} = reverse scan c over {} from there0.state\n",
                                                           Outputs(parts, "there"), inputs, Outputs(parts, "back"),
                                                           inputs, Outputs(parts, "again"), inputs);
  for (int i = 0; i < parts.outputs; ++i) text += fmt::format("  output p{0} = there{0} * back{0}\n", i);
  return text + fmt::format("  output {}\n}}\n", Outputs(parts, "again"));
}

}  // namespace recurve

// frontend/graph_builder.cpp: inputs, scans and outputs of an entry; the terms between are lower_terms.cpp's.

#include "frontend/graph_builder.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "frontend/lower_terms.h"

namespace recurve::frontend {
namespace {

constexpr std::string_view kCellTime = "T";

std::string Text(const ir::Init& init) {
  auto number = [](double value) { return std::isnan(value) ? "nan" : fmt::format("{}", value); };
  switch (init.kind) {
    case ir::Init::Kind::kConstant: return fmt::format("`constant({})`", number(init.a));
    case ir::Init::Kind::kUniform: return fmt::format("`uniform({}, {})`", number(init.a), number(init.b));
    case ir::Init::Kind::kNormal: return fmt::format("`normal({}, {})`", number(init.a), number(init.b));
  }
  std::unreachable();
}

bool CheckExtents(const Definition& definition, const Extents& extents, Diagnostics& diagnostics) {
  int errors = diagnostics.errors();
  std::vector<std::string> names;
  for (const Name& extent : definition.parameters) {
    names.push_back(extent.text);
    auto given = extents.find(extent.text);
    if (given == extents.end()) {
      diagnostics.Report(Kind::kMissingExtent, extent.range,
                         fmt::format("extent `{0}` of `{1}` has no number; give one as `-D {0}=...`", extent.text,
                                     definition.name.text));
    } else if (given->second < 1 || given->second > kLargestExtent) {
      diagnostics.Report(
          Kind::kExtentOutOfRange, extent.range,
          fmt::format("extent `{}` is {}; it has between 1 and {}", extent.text, given->second, kLargestExtent));
    }
  }
  std::string extra;
  for (const auto& [name, number] : extents) {
    if (std::ranges::find(names, name) != names.end()) continue;
    extra += fmt::format("{}`{}`{}", extra.empty() ? "" : ", ", name, DidYouMean(name, names));
  }
  if (!extra.empty()) {
    diagnostics.Report(Kind::kExtraExtent, definition.name.range,
                       fmt::format("`{}` has no extent {}", definition.name.text, extra));
  }
  return diagnostics.errors() == errors;
}

class Builder {
 public:
  Builder(const TypedDefinition& entry, const Extents& numbers, Diagnostics& diagnostics)
      : entry_(entry), numbers_(numbers), diagnostics_(diagnostics) {
    graph_.name = entry.name;
  }

  std::optional<ir::Graph> Build() {
    int errors = diagnostics_.errors();
    CheckNumbers(entry_, numbers_, diagnostics_);
    for (const TypedInstance& instance : entry_.instances) CheckNumbers(*instance.cell, numbers_, diagnostics_);
    if (diagnostics_.errors() != errors) return std::nullopt;
    if (entry_.is_model) {
      BuildModel();
    } else {
      BuildCell();
    }
    if (diagnostics_.errors() != errors) return std::nullopt;
    return std::move(graph_);
  }

 private:
  // One scan of a cell in the graph: its operands so far.
  struct ScanParts {
    const TypedDefinition* cell = nullptr;
    std::vector<ir::Expr> carries, sequences, invariants;
    ir::Dim time;
    bool reverse = false;
  };

  void BuildCell() {
    ScanParts parts{.cell = &entry_, .time = ir::Dim(std::string(kCellTime))};
    TermLowering outside(graph_, entry_, numbers_);
    for (const TypedInput& input : entry_.inputs) {
      parts.sequences.push_back(AddData(entry_.terms[input.term], input.name, {true, std::string(kCellTime)}));
    }
    std::vector<ir::Expr> states = AddStates(entry_, "", {});
    parts.invariants = AddParameters(entry_, "", outside);
    parts.carries = InitialStates(entry_, states, outside);
    ir::Expr scan = AddScan(parts);
    for (size_t i = 0; i < entry_.outputs.size(); ++i) {
      AddOutput(entry_.outputs[i].name, ir::ScanResult(scan, static_cast<int>(entry_.states.size() + i)));
    }
    AddFinalStates(entry_, "", scan);
  }

  void BuildModel() {
    std::vector<ir::Expr> scans;
    TermLowering values(graph_, entry_, numbers_,
                        [&](const ScanResultOf& of) { return ir::ScanResult(scans[of.scan], of.result); });
    for (const TypedInput& input : entry_.inputs) {
      const Term& term = entry_.terms[input.term];
      values.Bind(input.term, AddData(term, input.name, term.type.lead));
    }
    std::vector<std::vector<ir::Expr>> states;
    for (const TypedScan& scan : entry_.scans) {
      states.push_back(AddStates(CellOf(scan), scan.name + ".", scan.initial));
    }
    AddParameters(entry_, "", values);
    // A cell's initial values are terms of the cell, computed outside its step.
    std::vector<TermLowering> outside;
    std::vector<std::vector<ir::Expr>> parameters;
    for (const TypedInstance& instance : entry_.instances) {
      outside.emplace_back(graph_, *instance.cell, numbers_);
      parameters.push_back(AddParameters(*instance.cell, instance.name + ".", outside.back()));
    }
    for (size_t i = 0; i < entry_.scans.size(); ++i) {
      const TypedScan& scan = entry_.scans[i];
      const TypedDefinition& cell = CellOf(scan);
      ScanParts parts{.cell = &cell, .time = ir::Dim(scan.time), .reverse = scan.reverse};
      for (TermId sequence : scan.sequences) {
        const Type& type = entry_.terms[sequence].type;
        parts.sequences.push_back(values.LowerTo(sequence, type.lead, type.shape));
      }
      for (size_t k = 0; k < cell.states.size(); ++k) {
        if (scan.initial[k] == kNoTerm) continue;
        states[i][k] = values.LowerTo(scan.initial[k], {.batch = true}, ShapeOf(cell, cell.states[k].current));
      }
      parts.carries = InitialStates(cell, states[i], outside[scan.instance]);
      parts.invariants = parameters[scan.instance];
      scans.push_back(AddScan(parts));
    }
    for (const TypedOutput& output : entry_.outputs) {
      const Type& type = entry_.terms[output.term].type;
      AddOutput(output.name, values.LowerTo(output.term, {.batch = true, .time = type.lead.time}, type.shape));
    }
    if (entry_.loss != kNoTerm) AddOutput("loss", Mean(values.Lower(entry_.loss)));
    for (size_t i = 0; i < entry_.scans.size(); ++i) {
      AddFinalStates(CellOf(entry_.scans[i]), entry_.scans[i].name + ".", scans[i]);
    }
  }

  const TypedDefinition& CellOf(const TypedScan& scan) const { return *entry_.instances[scan.instance].cell; }
  static const Shape& ShapeOf(const TypedDefinition& definition, TermId id) { return definition.terms[id].type.shape; }

  ir::Expr AddData(const Term& term, const std::string& name, const Lead& lead) {
    ir::Shape shape = FullShape(lead, term.type.shape, numbers_);
    if (term.type.element == ir::Element::kReal) return graph_.AddInput(name, ir::Role::kData, shape);
    return graph_.AddIndexInput(name, ir::Role::kData, shape, term.type.classes.Evaluate(numbers_).value_or(1));
  }

  // One input per state that begins neither as another scan's (`given`) nor with a value of its own; nothing there.
  std::vector<ir::Expr> AddStates(const TypedDefinition& cell, const std::string& prefix,
                                  const std::vector<TermId>& given) {
    std::vector<ir::Expr> states;
    for (size_t i = 0; i < cell.states.size(); ++i) {
      const TypedState& state = cell.states[i];
      bool begins = state.initial != kNoTerm || (!given.empty() && given[i] != kNoTerm);
      ir::Shape shape = FullShape({.batch = true}, ShapeOf(cell, state.current), numbers_);
      states.push_back(begins ? ir::Expr() : graph_.AddInput(prefix + state.name + "0", ir::Role::kState, shape));
    }
    return states;
  }

  std::vector<ir::Expr> InitialStates(const TypedDefinition& cell, std::vector<ir::Expr> states,
                                      TermLowering& outside) {
    for (size_t i = 0; i < cell.states.size(); ++i) {
      if (states[i]) continue;
      const TypedState& state = cell.states[i];
      states[i] = outside.LowerTo(state.initial, {.batch = true}, ShapeOf(cell, state.current));
    }
    return states;
  }

  std::vector<ir::Expr> AddParameters(const TypedDefinition& owner, const std::string& prefix, TermLowering& lowering) {
    std::vector<ir::Expr> nodes;
    for (const TypedParameter& parameter : owner.parameters) {
      ir::Init init{parameter.distribution, EvaluateNumber(owner, parameter.a, numbers_),
                    EvaluateNumber(owner, parameter.b, numbers_)};
      bool empty = (init.kind == ir::Init::Kind::kUniform && init.a > init.b) ||
                   (init.kind == ir::Init::Kind::kNormal && init.b < 0);
      if (empty || !std::isfinite(init.a) || !std::isfinite(init.b)) {
        diagnostics_.Report(Kind::kInitialValue, owner.terms[parameter.term].range,
                            fmt::format("the distribution of `{}` comes to {}", parameter.name, Text(init)));
      }
      nodes.push_back(graph_.AddInput(prefix + parameter.name,
                                      parameter.trained ? ir::Role::kParameter : ir::Role::kConstant,
                                      FullShape({}, ShapeOf(owner, parameter.term), numbers_), init));
      lowering.Bind(parameter.term, nodes.back());
    }
    return nodes;
  }

  // The cell's step: states, elements and parameters in, next states and outputs out.
  std::shared_ptr<const ir::Graph> BuildStep(const TypedDefinition& cell) {
    auto body = std::make_shared<ir::Graph>();
    body->name = cell.name;
    TermLowering step(*body, cell, numbers_);
    const Lead batch{.batch = true};
    auto add = [&](const std::string& name, TermId id, ir::Role role, const Lead& lead) {
      step.Bind(id, body->AddInput(name, role, FullShape(lead, ShapeOf(cell, id), numbers_)));
    };
    for (const TypedState& state : cell.states) add(state.name, state.current, ir::Role::kCarry, batch);
    for (const TypedInput& input : cell.inputs) add(input.name, input.term, ir::Role::kElement, batch);
    for (const TypedParameter& parameter : cell.parameters) {
      add(parameter.name, parameter.term, ir::Role::kInvariant, {});
    }
    for (const TypedState& state : cell.states) {
      body->AddOutput(state.name + "'", step.LowerTo(state.next, batch, ShapeOf(cell, state.current)));
    }
    for (const TypedOutput& output : cell.outputs) {
      body->AddOutput(output.name, step.LowerTo(output.term, batch, ShapeOf(cell, output.term)));
    }
    return body;
  }

  ir::Expr AddScan(const ScanParts& parts) {
    std::vector<ir::Expr> operands = parts.carries;
    operands.insert(operands.end(), parts.sequences.begin(), parts.sequences.end());
    operands.insert(operands.end(), parts.invariants.begin(), parts.invariants.end());
    return ir::Scan(graph_, operands,
                    {.body = BuildStep(*parts.cell),
                     .carries = static_cast<int>(parts.carries.size()),
                     .sequences = static_cast<int>(parts.sequences.size()),
                     .time = parts.time,
                     .reverse = parts.reverse});
  }

  void AddFinalStates(const TypedDefinition& cell, const std::string& prefix, ir::Expr scan) {
    for (size_t i = 0; i < cell.states.size(); ++i) {
      AddOutput(prefix + cell.states[i].name + "T", ir::ScanResult(scan, static_cast<int>(i)));
    }
  }

  void AddOutput(const std::string& name, ir::Expr value) {
    if (graph_[value.id()].label.empty()) graph_.SetLabel(value.id(), name);
    graph_.AddOutput(name, value);
  }

  // Over all axes, which are leading ones.
  ir::Expr Mean(ir::Expr value) {
    ir::Shape shape = value.shape();
    std::vector<int> axes;
    ir::Expr count;
    for (const ir::Dim& dim : shape) {
      axes.push_back(static_cast<int>(axes.size()));
      ir::Expr extent = ir::Extent(graph_, dim);
      count = count ? count * extent : extent;
    }
    return count ? ir::ReduceSum(value, axes) / count : value;
  }

  const TypedDefinition& entry_;
  const Extents& numbers_;
  Diagnostics& diagnostics_;
  ir::Graph graph_;
};

}  // namespace

std::optional<ir::Graph> BuildGraph(const CheckedProgram& program, std::string_view entry, const Extents& extents,
                                    Diagnostics& diagnostics) {
  const Definition* definition = program.Find(entry);
  if (definition == nullptr) {
    std::vector<std::string> names;
    for (const Definition& candidate : program.ast.definitions) {
      if (candidate.kind != Definition::Kind::kFunction) names.push_back(candidate.name.text);
    }
    diagnostics.Report(Kind::kUnknownEntry, {},
                       fmt::format("`{}` defines no cell or model `{}`{}", program.ast.source->name(), entry,
                                   DidYouMean(entry, names)));
    return std::nullopt;
  }
  if (!CheckExtents(*definition, extents, diagnostics)) return std::nullopt;
  std::shared_ptr<const TypedDefinition> typed = Elaborate(program, *definition, extents, diagnostics);
  if (typed == nullptr) return std::nullopt;
  return Builder(*typed, extents, diagnostics).Build();
}

}  // namespace recurve::frontend

// frontend/graph_builder.cpp: inputs, scans and outputs of an entry; the terms between are lower_terms.cpp's.

#include "frontend/graph_builder.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
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
    std::vector<ir::Expr> carries;
    std::vector<ir::Expr> inputs;  // one per input of the cell; one without a time axis is the same at every step
    std::vector<ir::Expr> parameters;
    std::vector<ir::Expr> starts;  // one per state, if it is reset: what it begins anew as
    ir::Expr reset, active;        // [T, B], where there are
    ir::Dim time;
    bool reverse = false;
  };

  void BuildCell() {
    ScanParts parts{.cell = &entry_, .time = ir::Dim(std::string(kCellTime))};
    TermLowering outside = LoweringOf(entry_);
    for (const TypedInput& input : entry_.inputs) {
      const Term& term = entry_.terms[input.term];
      const std::string& memory = term.type.lead.time;
      parts.inputs.push_back(AddData(term, input.name, {true, memory.empty() ? std::string(kCellTime) : memory}));
    }
    std::vector<ir::Expr> states = AddStates(entry_, "", {});
    parts.parameters = AddParameters(entry_, "", outside);
    parts.carries = InitialStates(entry_, states, outside);
    ir::Expr scan = AddScan(parts);
    for (size_t i = 0; i < entry_.outputs.size(); ++i) {
      AddOutput(entry_.outputs[i].name, ir::ScanResult(scan, static_cast<int>(entry_.states.size() + i)));
    }
    AddFinalStates(entry_, "", scan);
  }

  void BuildModel() {
    std::vector<ir::Expr> scans;
    TermLowering values =
        LoweringOf(entry_, [&](const ScanResultOf& of) { return ir::ScanResult(scans[of.scan], of.result); });
    BindInputs(values);
    std::vector<std::vector<ir::Expr>> states;
    for (const TypedScan& scan : entry_.scans) {
      states.push_back(AddStates(CellOf(scan), scan.name + ".", scan.initial));
    }
    AddParameters(entry_, "", values);
    // A cell's initial values are terms of the cell, computed outside its step.
    std::vector<TermLowering> outside;
    std::vector<std::vector<ir::Expr>> parameters;
    for (const TypedInstance& instance : entry_.instances) {
      outside.push_back(LoweringOf(*instance.cell));
      parameters.push_back(AddParameters(*instance.cell, instance.name + ".", outside.back()));
    }
    for (size_t i = 0; i < entry_.scans.size(); ++i) {
      const TypedScan& scan = entry_.scans[i];
      const TypedDefinition& cell = CellOf(scan);
      ScanParts parts{.cell = &cell,
                      .parameters = parameters[scan.instance],
                      .active = Active(scan.time),
                      .time = ir::Dim(scan.time),
                      .reverse = scan.reverse};
      for (TermId sequence : scan.sequences) {
        const Type& type = entry_.terms[sequence].type;
        parts.inputs.push_back(values.LowerTo(sequence, {.batch = true, .time = type.lead.time}, type.shape));
      }
      for (size_t k = 0; k < cell.states.size(); ++k) {
        if (scan.initial[k] == kNoTerm) continue;
        states[i][k] = values.LowerTo(scan.initial[k], {.batch = true}, ShapeOf(cell, cell.states[k].current));
      }
      parts.carries = InitialStates(cell, states[i], outside[scan.instance]);
      if (scan.reset != kNoTerm) {
        parts.reset = values.LowerTo(scan.reset, {.batch = true, .time = scan.time}, {});
        parts.starts = OwnInitialStates(cell, outside[scan.instance]);
      }
      scans.push_back(AddScan(parts));
    }
    for (const TypedOutput& output : entry_.outputs) {
      const Type& type = entry_.terms[output.term].type;
      ir::Expr value = values.LowerTo(output.term, {.batch = true, .time = type.lead.time}, type.shape);
      AddOutput(output.name, Within(type.lead.time, value));
    }
    if (entry_.loss != kNoTerm) AddOutput("loss", Mean(values));
    for (size_t i = 0; i < entry_.scans.size(); ++i) {
      AddFinalStates(CellOf(entry_.scans[i]), entry_.scans[i].name + ".", scans[i]);
    }
  }

  // Inputs, and the numbers of steps. What a sequence holds after its end is 0 for all who read it.
  void BindInputs(TermLowering& values) {
    std::vector<ir::Expr> data;
    for (const TypedInput& input : entry_.inputs) {
      const Term& term = entry_.terms[input.term];
      data.push_back(AddData(term, input.name, term.type.lead));
    }
    for (size_t i = 0; i < data.size(); ++i) values.Bind(entry_.inputs[i].term, data[i]);
    for (const TypedAxis& axis : entry_.axes) {
      if (axis.lengths != kNoTerm) lengths_.emplace(axis.name, values.LowerTo(axis.lengths, {.batch = true}, {}));
      if (axis.steps == kNoTerm) continue;
      values.Bind(axis.steps, ir::BroadcastTo(Numbers(axis.name), {ir::Dim(axis.name), Batch()}, {0}));
    }
    for (size_t i = 0; i < data.size(); ++i) {
      const Type& type = entry_.terms[entry_.inputs[i].term].type;
      if (type.element != ir::Element::kReal) continue;
      values.Bind(entry_.inputs[i].term, Within(type.lead.time, data[i]));
    }
  }

  static ir::Dim Batch() { return ir::Dim(std::string("B")); }

  // 0, 1, ... along an axis.
  ir::Expr Numbers(const std::string& axis) {
    ir::Expr& numbers = iotas_[axis];
    if (!numbers) numbers = ir::Iota(graph_, ir::Dim(axis));
    return numbers;
  }

  // 1 at the steps of each sequence, 0 after its end: [T, B]; nothing where all sequences are equally long.
  ir::Expr Active(const std::string& time) {
    auto lengths = lengths_.find(time);
    if (lengths == lengths_.end()) return {};
    ir::Expr& active = active_[time];
    if (!active) {
      const ir::Shape shape = {ir::Dim(time), Batch()};
      active = ir::Less(ir::BroadcastTo(Numbers(time), shape, {0}), ir::BroadcastTo(lengths->second, shape, {1}));
      graph_.SetLabel(active.id(), "active");
    }
    return active;
  }

  // A sequence that is 0 after its end.
  ir::Expr Within(const std::string& time, ir::Expr value) {
    ir::Expr active = Active(time);
    return active ? Where(active, value, ir::Constant(graph_, value.shape(), 0)) : value;
  }

  // A condition with the leading axes of what it chooses.
  static ir::Expr Where(ir::Expr condition, ir::Expr yes, ir::Expr no) {
    std::vector<int> axes(condition.shape().size());
    std::iota(axes.begin(), axes.end(), 0);
    if (condition.shape() != yes.shape()) condition = ir::BroadcastTo(condition, yes.shape(), axes);
    return ir::Select(condition, yes, no);
  }

  // Terms outside of scans.
  TermLowering LoweringOf(const TypedDefinition& definition, TermLowering::ScanResults scan_result = nullptr) {
    TermLowering lowering(graph_, definition, numbers_, std::move(scan_result));
    lowering.UseRandom([this, sequences = definition.is_model] {
      RandomSource source{.seed = Seed(), .rows = Numbers("B"), .next_site = &next_site_};
      if (sequences) {
        source.steps = [this](const std::string& time) { return time.empty() ? ir::Expr() : Numbers(time); };
      }
      return source;
    });
    return lowering;
  }

  ir::Expr Seed() {
    if (!seed_) seed_ = ir::Real(graph_.AddIndexInput("seed", ir::Role::kData, {}, ir::kAnyIndex));
    return seed_;
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

  // What the cell's states begin as by its own rule.
  std::vector<ir::Expr> OwnInitialStates(const TypedDefinition& cell, TermLowering& outside) {
    std::vector<ir::Expr> states;
    for (const TypedState& state : cell.states) {
      const Shape& shape = ShapeOf(cell, state.current);
      states.push_back(state.initial != kNoTerm ? outside.LowerTo(state.initial, {.batch = true}, shape)
                                                : ir::Constant(graph_, FullShape({.batch = true}, shape, numbers_), 0));
    }
    return states;
  }

  // The cell's step, as a body that grows with the operands of its scan.
  class Step {
   public:
    // Operands of one role stand together, in the order of roles in a scan.
    ir::Expr Add(const std::string& name, ir::Role role, ir::Expr operand, int drop) {
      operands.push_back(operand);
      ir::Shape shape(operand.shape().begin() + drop, operand.shape().end());
      return body->AddInput(UniqueName(name), role, std::move(shape));
    }
    ir::Expr AddElement(const std::string& name, ir::Expr sequence) {
      ++sequences;
      return Add(name, ir::Role::kElement, sequence, 1);
    }
    ir::Expr AddInvariant(const std::string& name, ir::Expr value) { return Add(name, ir::Role::kInvariant, value, 0); }

    std::shared_ptr<ir::Graph> body = std::make_shared<ir::Graph>();
    std::vector<ir::Expr> operands;
    int sequences = 0;

   private:
    std::string UniqueName(const std::string& name) const {
      std::string unique = name;
      for (int number = 2; body->FindInput(unique) >= 0; ++number) unique = name + std::to_string(number);
      return unique;
    }
  };

  ir::Expr AddScan(const ScanParts& parts) {
    const TypedDefinition& cell = *parts.cell;
    Step step;
    step.body->name = cell.name;
    TermLowering terms(*step.body, cell, numbers_);
    const bool random = cell.IsRandom();
    const TypedAxis* axis = cell.FindAxis("");
    const bool counts = axis != nullptr && axis->steps != kNoTerm;
    const int states = static_cast<int>(cell.states.size());

    std::vector<ir::Expr> before;
    for (int i = 0; i < states; ++i) {
      before.push_back(step.Add(cell.states[i].name, ir::Role::kCarry, parts.carries[i], 0));
    }
    auto is_element = [&](size_t i) {
      const ir::Shape& shape = parts.inputs[i].shape();
      return cell.terms[cell.inputs[i].term].type.lead.time.empty() && !shape.empty() && shape[0] == parts.time;
    };
    for (size_t i = 0; i < cell.inputs.size(); ++i) {
      if (is_element(i)) terms.Bind(cell.inputs[i].term, step.AddElement(cell.inputs[i].name, parts.inputs[i]));
    }
    ir::Expr active = parts.active ? step.AddElement("active", parts.active) : ir::Expr();
    ir::Expr reset = parts.reset ? step.AddElement("reset", parts.reset) : ir::Expr();
    RandomSource source{.next_site = &next_site_};
    ir::Expr number = counts || random ? step.AddElement("step", Numbers(parts.time.axis)) : ir::Expr();
    for (size_t i = 0; i < cell.inputs.size(); ++i) {
      if (!is_element(i)) terms.Bind(cell.inputs[i].term, step.AddInvariant(cell.inputs[i].name, parts.inputs[i]));
    }
    for (const TypedAxis& memory : cell.axes) {
      if (memory.name.empty()) continue;
      if (memory.lengths != kNoTerm) {
        terms.Bind(memory.lengths, step.AddInvariant("length", lengths_.at(memory.name)));
      }
      if (memory.steps == kNoTerm) continue;
      ir::Expr numbers = step.AddInvariant("numbers", Numbers(memory.name));
      terms.Bind(memory.steps, ir::BroadcastTo(numbers, {ir::Dim(memory.name), Batch()}, {0}));
    }
    for (size_t i = 0; i < cell.parameters.size(); ++i) {
      terms.Bind(cell.parameters[i].term, step.AddInvariant(cell.parameters[i].name, parts.parameters[i]));
    }
    if (random) {
      source.seed = step.AddInvariant("seed", Seed());
      source.rows = step.AddInvariant("rows", Numbers("B"));
      source.steps = [number](const std::string&) { return number; };
      terms.UseRandom([source] { return source; });
    }
    if (counts) terms.Bind(axis->steps, ir::BroadcastTo(number, {Batch()}, {}));
    for (int i = 0; i < states; ++i) {
      ir::Expr current = before[i];
      if (reset) current = Where(reset, step.AddInvariant(cell.states[i].name + "_start", parts.starts[i]), current);
      terms.Bind(cell.states[i].current, current);
    }

    const Lead batch{.batch = true};
    for (int i = 0; i < states; ++i) {
      ir::Expr next = terms.LowerTo(cell.states[i].next, batch, ShapeOf(cell, cell.states[i].current));
      step.body->AddOutput(cell.states[i].name + "'", active ? Where(active, next, before[i]) : next);
    }
    for (const TypedOutput& output : cell.outputs) {
      ir::Expr value = terms.LowerTo(output.term, batch, ShapeOf(cell, output.term));
      if (active) value = Where(active, value, ir::Constant(*step.body, value.shape(), 0));
      step.body->AddOutput(output.name, value);
    }
    return ir::Scan(graph_, step.operands,
                    {.body = step.body,
                     .carries = states,
                     .sequences = step.sequences,
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

  // The mean of the loss over its axes, which are leading ones; of sequences over their steps, however long they are.
  ir::Expr Mean(TermLowering& values) {
    ir::Expr value = values.Lower(entry_.loss);
    const Lead& lead = entry_.terms[entry_.loss].type.lead;
    if (ir::Expr active = Active(lead.time)) {
      value = values.LowerTo(entry_.loss, {.batch = true, .time = lead.time}, {});
      ir::Expr steps = ir::ReduceSum(active, {0, 1});
      return ir::ReduceSum(Within(lead.time, value), {0, 1}) / ir::Max(steps, ir::Constant(graph_, {}, 1));
    }
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
  ir::Expr seed_;                            // once somebody asks for random numbers
  int64_t next_site_ = 0;                    // of a `random`
  std::map<std::string, ir::Expr> iotas_;    // by axis: 0, 1, ...
  std::map<std::string, ir::Expr> lengths_;  // by time axis: [B], where the sequences have their own
  std::map<std::string, ir::Expr> active_;
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

// frontend/elaborate_scans.cpp: cells in a model: instances, the extents an input determines, states handed on.

#include <fmt/format.h>

#include <algorithm>

#include "frontend/elaborator.h"

namespace recurve::frontend {
namespace {

std::vector<const Declaration*> InputsOf(const Definition& cell) {
  std::vector<const Declaration*> inputs;
  for (const Statement& statement : cell.body) {
    auto declaration = std::get_if<Declaration>(&statement);
    if (declaration != nullptr && declaration->kind == Declaration::Kind::kInput) inputs.push_back(declaration);
  }
  return inputs;
}

}  // namespace

// The pending instance that a use names or makes; -1 when a mistake was reported.
int Elaborator::FindInstance(const CellUse& use, const std::string& name) {
  Binding* binding = Find(use.cell.text);
  if (binding == nullptr) return AddInstance(use, name);
  if (binding->kind != Binding::Kind::kInstance) {
    if (shared_.index.FindEntry(use.cell.text) != nullptr) return AddInstance(use, name);
    reporter_.Report(Kind::kNotAValue, use.cell.range, fmt::format("`{}` is scanned and is no cell", use.cell.text))
        .Note(binding->range, fmt::format("`{}` declared here", use.cell.text));
    return -1;
  }
  Use(*binding);
  if (!use.arguments.empty()) {
    reporter_
        .Report(
            Kind::kArgumentCount, use.range,
            fmt::format("`{}` has extents, and `{}` is an instance that has its own", use.range.Quote(), use.cell.text))
        .Note(binding->range, fmt::format("`{}` declared here", use.cell.text));
    return -1;
  }
  return binding->index;
}

int Elaborator::AddInstance(const CellUse& use, const std::string& name) {
  const Definition* cell = shared_.index.FindEntry(use.cell.text);
  if (cell == nullptr) {
    reporter_.Report(
        Kind::kUnknownName, use.cell.range,
        fmt::format("no cell is called `{}`{}", use.cell.text, DidYouMean(use.cell.text, shared_.index.CellNames())));
    return -1;
  }
  if (cell->kind == Definition::Kind::kModel) {
    reporter_
        .Report(Kind::kNotAValue, use.cell.range, fmt::format("`{}` is a model; a scan runs a cell", use.cell.text))
        .Note(cell->name.range, fmt::format("`{}` declared here", use.cell.text));
    return -1;
  }
  PendingInstance pending{.name = name, .cell = cell, .failed = cell->broken};
  for (const CellUse::Argument& argument : use.arguments) {
    std::optional<Shape> value = EvaluateShape({argument.value});
    std::vector<std::string> extents;
    for (const Name& extent : cell->parameters) extents.push_back(extent.text);
    if (std::ranges::find(extents, argument.extent.text) == extents.end()) {
      reporter_
          .Report(Kind::kUnknownName, argument.extent.range,
                  fmt::format("`{}` has no extent `{}`{}", cell->name.text, argument.extent.text,
                              DidYouMean(argument.extent.text, extents)))
          .Note(cell->name.range, fmt::format("`{}` declared here", cell->name.text));
      pending.failed = true;
      continue;
    }
    if (!value) {
      pending.failed = true;
    } else if (!pending.extents.emplace(argument.extent.text, value->front()).second) {
      reporter_.Report(Kind::kDuplicateName, argument.extent.range,
                       fmt::format("extent `{}` is given twice", argument.extent.text));
      pending.failed = true;
    }
  }
  instances_.push_back(std::move(pending));
  return static_cast<int>(instances_.size()) - 1;
}

void Elaborator::Walk(const Instance& instance) {
  if (!result_.is_model || returned_ != nullptr) {
    Misplaced(instance.name.range, fmt::format("instance `{}` outside a model", instance.name.text));
    return;
  }
  int index = AddInstance(instance.use, prefix_ + instance.name.text);
  if (index < 0) {
    // Known to be an instance, so that its scans say nothing more.
    instances_.push_back({.name = instance.name.text, .failed = true});
    index = static_cast<int>(instances_.size()) - 1;
  }
  Declare(instance.name, {.kind = Binding::Kind::kInstance, .index = index, .range = instance.name.range}, "instance");
}

// The axes of the sequences that are given as a cell's memories, by the cell's own names.
Elaborator::MemoryAxes Elaborator::MemoriesOf(const Definition& cell, const std::vector<TermId>& sequences) const {
  MemoryAxes memories;
  std::vector<const Declaration*> inputs = InputsOf(cell);
  for (size_t i = 0; i < std::min(inputs.size(), sequences.size()); ++i) {
    if (!inputs[i]->time) continue;
    const std::string& time = typing_.type(sequences[i]).lead.time;
    const TypedAxis* axis = result_.FindAxis(time);
    memories.emplace(inputs[i]->time->text, MemoryAxis{time, axis != nullptr && axis->lengths != kNoTerm});
  }
  return memories;
}

// Elaborates the cell once all its extents are given or are the size of an input.
bool Elaborator::Instantiate(PendingInstance& pending, const ScanStatement& scan,
                             const std::vector<TermId>& sequences) {
  std::vector<const Declaration*> inputs = InputsOf(*pending.cell);
  for (size_t i = 0; i < std::min(inputs.size(), sequences.size()); ++i) {
    const std::vector<Expr>& declared = inputs[i]->shape;
    const Shape& given = typing_.type(sequences[i]).shape;
    if (declared.size() != given.size()) continue;
    for (size_t axis = 0; axis < declared.size(); ++axis) {
      bool extent = declared[axis].kind == Expr::Kind::kName &&
                    std::ranges::find(pending.cell->parameters, declared[axis].text, &Name::text) !=
                        pending.cell->parameters.end();
      if (extent) pending.extents.emplace(declared[axis].text, given[axis]);
    }
  }
  for (const Name& extent : pending.cell->parameters) {
    if (pending.extents.contains(extent.text)) continue;
    reporter_
        .Report(Kind::kExtentNotInferred, scan.use.range,
                fmt::format("no input of `{0}` determines its extent `{1}`; it wants `{0}({1}=...)`",
                            pending.cell->name.text, extent.text))
        .Note(extent.range, fmt::format("`{}` declared here", extent.text));
    return false;
  }
  reporter_.Enter(*pending.cell, scan.use.range);
  Elaborator inner(shared_);
  std::shared_ptr<const TypedDefinition> cell =
      inner.Run(*pending.cell, pending.extents, MemoriesOf(*pending.cell, sequences));
  reporter_.Leave();
  if (cell == nullptr) return false;
  pending.typed = static_cast<int>(result_.instances.size());
  result_.instances.push_back({pending.name, cell, scan.use.range});
  return true;
}

// Whether the sequences are real, as many as the cell's inputs, and over one time axis, which they set.
bool Elaborator::CheckSequences(const ScanStatement& scan, const Definition& cell, const std::vector<TermId>& sequences,
                                TypedScan& typed) {
  const std::vector<const Declaration*> declared = InputsOf(cell);
  const size_t inputs = declared.size();
  if (sequences.size() != inputs) {
    reporter_
        .Report(Kind::kValueCount, scan.range,
                fmt::format("`{}` has {} and is given {}", cell.name.text, Counted(inputs, "input"), sequences.size()))
        .Note(cell.name.range, fmt::format("`{}` declared here", cell.name.text));
    return false;
  }
  for (size_t i = 0; i < sequences.size(); ++i) {
    const Type& given = typing_.type(sequences[i]);
    const Range& range = scan.sequences[i].range;
    Diagnostic* diagnostic = nullptr;
    if (given.element != ir::Element::kReal) {
      diagnostic = &reporter_.Report(
          Kind::kElementMismatch, range,
          fmt::format("`{}` takes real values and `{}` is `{}`", cell.name.text, range.Quote(), Text(given)));
    } else if (declared[i]->time && given.lead.time.empty()) {
      diagnostic = &reporter_.Report(Kind::kTimeMismatch, range,
                                     fmt::format("`{}` of `{}` is a sequence and `{}` is none", declared[i]->name.text,
                                                 cell.name.text, range.Quote()));
    } else if (given.lead.time.empty() || declared[i]->time) {
      continue;  // the same at every step
    } else if (!typed.time.empty() && typed.time != given.lead.time) {
      diagnostic = &reporter_.Report(
          Kind::kTimeMismatch, range,
          fmt::format("`{}` runs over `{}` in a scan over `{}`", range.Quote(), given.lead.time, typed.time));
    }
    if (diagnostic != nullptr) {
      typing_.Explain(*diagnostic, sequences[i]);
      return false;
    }
    typed.time = given.lead.time;
  }
  for (size_t i = 0; i < sequences.size() && !typed.time.empty(); ++i) {
    const std::string& time = typing_.type(sequences[i]).lead.time;
    if (!declared[i]->time || time != typed.time) continue;
    Diagnostic& diagnostic = reporter_.Report(
        Kind::kTimeMismatch, scan.sequences[i].range,
        fmt::format("`{}` is the memory of a scan over its own axis `{}`", scan.sequences[i].range.Quote(), time));
    typing_.Explain(diagnostic, sequences[i]);
    return false;
  }
  if (!typed.time.empty()) return true;
  Diagnostic& diagnostic = reporter_.Report(
      Kind::kTimeMismatch, scan.range,
      fmt::format("a scan runs over time and {} does not",
                  sequences.size() == 1 ? fmt::format("`{}`", scan.sequences[0].range.Quote()) : "none of its inputs"));
  if (!sequences.empty()) typing_.Explain(diagnostic, sequences[0]);
  return false;
}

// `reset r`: one number a step of the same axis.
bool Elaborator::CheckReset(const ScanStatement& scan, TypedScan& typed) {
  if (!scan.reset) return true;
  typed.reset = Evaluate(*scan.reset);
  if (typed.reset == kNoTerm) return false;
  const Type& given = typing_.type(typed.reset);
  if (given.element == ir::Element::kReal && given.shape.empty() && given.lead.time == typed.time) return true;
  Diagnostic& diagnostic =
      reporter_.Report(Kind::kTimeMismatch, scan.reset->range,
                       fmt::format("`{}` resets a scan over `{}`, which wants a number at every step of it",
                                   scan.reset->range.Quote(), typed.time));
  typing_.Explain(diagnostic, typed.reset);
  return false;
}

bool Elaborator::CheckShapes(const ScanStatement& scan, const TypedDefinition& cell,
                             const std::vector<TermId>& sequences) {
  for (size_t i = 0; i < sequences.size(); ++i) {
    const Term& input = cell.terms[cell.inputs[i].term];
    const Type& given = typing_.type(sequences[i]);
    if (!input.type.lead.time.empty() && input.type.lead.time != given.lead.time) {
      Diagnostic& diagnostic = reporter_.Report(
          Kind::kTimeMismatch, scan.sequences[i].range,
          fmt::format("`{}` runs over `{}`, and over `{}` in another scan of `{}`", scan.sequences[i].range.Quote(),
                      given.lead.time, input.type.lead.time, scan.use.cell.text));
      typing_.Explain(diagnostic, sequences[i]);
      return false;
    }
    if (given.shape == input.type.shape) continue;
    Diagnostic& diagnostic = reporter_.Report(Kind::kShapeMismatch, scan.sequences[i].range,
                                              fmt::format("`{}` takes `{}` as `{}` and is given `{}`", cell.name,
                                                          cell.inputs[i].name, Text(input.type.shape), Text(given)));
    typing_.Explain(diagnostic, sequences[i]);
    diagnostic.Note(input.range, fmt::format("`{}` declared here", cell.inputs[i].name));
    return false;
  }
  return true;
}

// `from other.state`: every state begins as the other scan's last one of the same name.
bool Elaborator::TakeStates(const ScanStatement& scan, const TypedDefinition& cell, TypedScan& typed) {
  typed.initial.assign(cell.states.size(), kNoTerm);
  if (!scan.from) return true;
  Binding* source = Find(scan.from->text);
  if (source == nullptr) {
    ReportUnknown(scan.from->text, scan.from->range);
    return false;
  }
  Use(*source);
  if (source->scan < 0) {
    if (source->kind != Binding::Kind::kLocal || source->term != kNoTerm) {
      reporter_
          .Report(Kind::kNotAState, scan.from->range,
                  fmt::format("`{}` is no result of a scan and has no state", scan.from->text))
          .Note(source->range, fmt::format("`{}` declared here", scan.from->text));
    }
    return false;
  }
  const TypedDefinition& other = *result_.instances[result_.scans[source->scan].instance].cell;
  for (size_t i = 0; i < cell.states.size(); ++i) {
    auto found = std::ranges::find(other.states, cell.states[i].name, &TypedState::name);
    if (found == other.states.end()) {
      reporter_
          .Report(Kind::kUnknownName, scan.from->range,
                  fmt::format("`{}` has no state `{}` for `{}` to begin with", scan.from->text, cell.states[i].name,
                              cell.name))
          .Note(other.range, fmt::format("`{}` declared here", other.name));
      return false;
    }
    const Type& wanted = cell.terms[cell.states[i].current].type;
    const Type& given = other.terms[found->current].type;
    if (wanted.shape != given.shape) {
      reporter_
          .Report(Kind::kShapeMismatch, scan.from->range,
                  fmt::format("state `{}` of `{}` is `{}` and that of `{}` is `{}`", cell.states[i].name, cell.name,
                              Text(wanted), scan.from->text, Text(given)))
          .Note(result_.scans[source->scan].range, fmt::format("`{}` defined here", scan.from->text));
      return false;
    }
    typed.initial[i] = FinalState(source->scan, static_cast<int>(found - other.states.begin()), scan.from->range);
  }
  return true;
}

TermId Elaborator::FinalState(int scan, int state, const Range& range) {
  const TypedScan& typed = result_.scans[scan];
  const TypedDefinition& cell = *result_.instances[typed.instance].cell;
  const TypedState& source = cell.states[state];
  Type type{.shape = cell.terms[source.current].type.shape, .lead = {.batch = true}};
  return typing_.Add({.op = ir::Op::kScanResult,
                      .type = std::move(type),
                      .scan = {scan, state},
                      .label = typed.name + "." + source.name + "T",
                      .range = range});
}

void Elaborator::Walk(const ScanStatement& scan) {
  auto give_up = [&] {
    for (const Target& target : scan.targets) {
      if (!target.next) DefineLocal(target.name, kNoTerm);
    }
  };
  if (!result_.is_model || returned_ != nullptr) {
    Misplaced(scan.range, "a scan outside a model");
    return give_up();
  }
  auto named = std::ranges::find_if(scan.targets, [](const Target& target) { return target.name.text != "_"; });
  if (named == scan.targets.end()) named = scan.targets.begin();
  std::string name = prefix_ + named->name.text;
  int index = FindInstance(scan.use, name);
  std::vector<TermId> sequences;
  for (const Expr& sequence : scan.sequences) sequences.push_back(Evaluate(sequence));
  bool known = std::ranges::find(sequences, kNoTerm) == sequences.end();
  if (index < 0 || instances_[index].failed || !known) return give_up();
  TypedScan typed{.name = name, .reverse = scan.reverse, .range = scan.range};
  if (!CheckSequences(scan, *instances_[index].cell, sequences, typed)) return give_up();
  if (instances_[index].typed < 0 && !Instantiate(instances_[index], scan, sequences)) {
    instances_[index].failed = true;
    return give_up();
  }
  typed.instance = instances_[index].typed;
  std::shared_ptr<const TypedDefinition> cell = result_.instances[typed.instance].cell;
  if (!CheckShapes(scan, *cell, sequences) || !TakeStates(scan, *cell, typed) || !CheckReset(scan, typed)) {
    return give_up();
  }
  if (scan.targets.size() != cell->outputs.size()) {
    reporter_
        .Report(Kind::kValueCount, scan.range,
                fmt::format("`{}` has {} for {}", cell->name, Counted(cell->outputs.size(), "output"),
                            Counted(scan.targets.size(), "name")))
        .Note(cell->range, fmt::format("`{}` declared here", cell->name));
    return give_up();
  }
  typed.sequences = sequences;
  int scan_index = static_cast<int>(result_.scans.size());
  result_.scans.push_back(typed);
  for (size_t i = 0; i < scan.targets.size(); ++i) {
    const Name& target = scan.targets[i].name;
    if (scan.targets[i].next) {
      DefineNext(target, kNoTerm);
      continue;
    }
    Type type{.shape = cell->terms[cell->outputs[i].term].type.shape, .lead = {.batch = true, .time = typed.time}};
    TermId value = typing_.Add({.op = ir::Op::kScanResult,
                                .type = std::move(type),
                                .scan = {scan_index, static_cast<int>(cell->states.size() + i)},
                                .label = target.text,
                                .range = target.range});
    DefineLocal(target, value, scan_index);
  }
}

}  // namespace recurve::frontend

// frontend/elaborate_statements.cpp: what names stand for, and statements one after the other.

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "frontend/elaborator.h"
#include "frontend/library.h"

namespace recurve::frontend {
namespace {

// Expressions and statements that one run walks at most; it ends nests of calls that yield no terms.
constexpr int kMostSteps = 400'000;
constexpr int64_t kMostRounds = 1024;
// How many rounds stand for all while their number is unknown: the second sees what the first has left.
constexpr int64_t kSampleRounds = 2;

constexpr std::string_view kUnwanted = "_";

// The axis that a cell alone is run over.
constexpr std::string_view kOwnSteps = "T";

// Where a name is given a value in these statements or in loops within, or nothing.
std::optional<Range> FindTarget(const std::vector<Statement>& statements, std::string_view name) {
  auto among = [&](const std::vector<Target>& targets) -> std::optional<Range> {
    for (const Target& target : targets) {
      if (target.name.text == name && !target.next) return target.name.range;
    }
    return std::nullopt;
  };
  for (const Statement& statement : statements) {
    std::optional<Range> found;
    if (auto equation = std::get_if<Equation>(&statement)) found = among(equation->targets);
    if (auto scan = std::get_if<ScanStatement>(&statement)) found = among(scan->targets);
    if (auto loop = std::get_if<std::unique_ptr<Loop>>(&statement)) found = FindTarget((*loop)->body, name);
    if (found) return found;
  }
  return std::nullopt;
}

}  // namespace

Elaborator::Elaborator(Elaboration& shared)
    : shared_(shared), reporter_(shared.reporter), typing_(result_.terms, shared.reporter) {}

std::shared_ptr<const TypedDefinition> Elaborator::Run(const Definition& definition,
                                                       const std::map<std::string, Extent>& extents,
                                                       const MemoryAxes& memories) {
  int errors = reporter_.errors();
  definition_ = &definition;
  memories_ = memories;
  body_ = &definition.body;
  result_.name = definition.name.text;
  result_.range = definition.name.range;
  result_.is_model = definition.kind == Definition::Kind::kModel;
  result_.extents = definition.parameters;
  frames_.emplace_back();
  for (const Name& extent : definition.parameters) {
    auto bound = extents.find(extent.text);
    Declare(extent,
            {.kind = Binding::Kind::kExtent,
             .extent = bound == extents.end() ? Extent(extent.text) : bound->second,
             .range = extent.range},
            "extent");
  }
  // All declarations come first, so that they may stand in any order.
  for (const Statement& statement : definition.body) {
    if (auto declaration = std::get_if<Declaration>(&statement)) Walk(*declaration);
  }
  for (const Statement& statement : definition.body) {
    if (auto declaration = std::get_if<Declaration>(&statement)) DeclareInitialValue(*declaration);
  }
  for (const Statement& statement : definition.body) {
    if (std::holds_alternative<Declaration>(statement)) continue;
    ++shared_.steps;
    std::visit([&](const auto& alternative) { Walk(alternative); }, statement);
  }
  for (int i = 0; i < static_cast<int>(result_.states.size()); ++i) {
    if (assigned_.contains(i)) continue;
    const std::string& name = result_.states[i].name;
    reporter_.Report(Kind::kStateNeverAssigned, frames_[0].find(name)->second.range,
                     fmt::format("state `{0}` has no equation for `{0}'`", name));
  }
  CheckInterface();
  if (reporter_.errors() != errors) return nullptr;
  ReportUnused();
  return std::make_shared<TypedDefinition>(std::move(result_));
}

void Elaborator::RunFunction(const Definition& function) {
  int errors = reporter_.errors();
  definition_ = &function;
  body_ = &function.body;
  std::vector<TermId> returned;
  returned_ = &returned;
  frames_.emplace_back();
  for (const Name& argument : function.parameters) {
    Declare(argument, {.kind = Binding::Kind::kInput, .range = argument.range}, "argument");
  }
  Walk(function.body);
  if (returned.empty()) {
    reporter_.Report(Kind::kValueCount, function.name.range, fmt::format("`{}` returns nothing", function.name.text));
  }
  if (reporter_.errors() == errors) ReportUnused();
}

// Names. -------------------------------------------------------------------------------------------------------------

Elaborator::Binding* Elaborator::Find(std::string_view name) {
  for (size_t i = frames_.size(); i-- > base_;) {
    if (auto found = frames_[i].find(name); found != frames_[i].end()) return &found->second;
  }
  return nullptr;
}

void Elaborator::Use(const Binding& binding) { used_.emplace(binding.range.source, binding.range.begin); }

bool Elaborator::Declare(const Name& name, Binding binding, std::string_view what) {
  if (const Binding* earlier = Find(name.text)) {
    reporter_
        .Report(Kind::kDuplicateName, name.range,
                fmt::format("{} `{}` has the name of something else", what, name.text))
        .Note(earlier->range, fmt::format("`{}` declared here", name.text));
    return false;
  }
  sites_.push_back({what, name.text, name.range});
  frames_.back().emplace(name.text, std::move(binding));
  return true;
}

// `_` takes a value that is not wanted. A first equation makes a local. Inside a loop an equation may give a local from
// outside its next value.
void Elaborator::DefineLocal(const Name& name, TermId term, int scan) {
  if (name.text == kUnwanted) return;
  Binding binding{.kind = Binding::Kind::kLocal, .term = term, .scan = scan, .range = name.range};
  if (term != kNoTerm && result_.terms[term].label.empty()) {
    result_.terms[term].label = name.text;
    result_.terms[term].range = name.range;
  }
  Binding* earlier = Find(name.text);
  bool carried =
      earlier != nullptr && earlier->kind == Binding::Kind::kLocal && loops_ > 0 && !frames_.back().contains(name.text);
  if (!carried) {
    Declare(name, binding, "value");
    return;
  }
  sites_.push_back({"value", name.text, name.range});
  *earlier = binding;
}

void Elaborator::DefineNext(const Name& name, TermId term) {
  Binding* binding = Find(name.text);
  if (binding == nullptr || binding->kind != Binding::Kind::kState) {
    std::vector<std::string> states;
    for (const TypedState& state : result_.states) states.push_back(state.name);
    Diagnostic& diagnostic =
        reporter_.Report(Kind::kNotAState, name.range,
                         fmt::format("`{}'` is given a value and `{}` is no state{}", name.text, name.text,
                                     binding == nullptr ? DidYouMean(name.text, states) : ""));
    if (binding != nullptr) diagnostic.Note(binding->range, fmt::format("`{}` declared here", name.text));
    return;
  }
  Use(*binding);
  auto [earlier, first] = assigned_.emplace(binding->index, name.range);
  if (!first) {
    reporter_.Report(Kind::kStateAssignedTwice, name.range, fmt::format("`{}'` has a second equation", name.text))
        .Note(earlier->second, "the first equation is here");
    return;
  }
  TypedState& state = result_.states[binding->index];
  if (term == kNoTerm || state.current == kNoTerm) return;
  const Type& wanted = typing_.type(state.current);
  const Type& given = typing_.type(term);
  if (given.element != ir::Element::kReal) {
    reporter_.Report(Kind::kElementMismatch, name.range,
                     fmt::format("`{}'` is real and is given `{}`", name.text, Text(given)));
    return;
  }
  if (!IsOfOneStep(term, name.range, fmt::format("`{}'`", name.text))) return;
  if (!Typing::Broadcasts(given.shape, wanted.shape)) {
    Diagnostic& diagnostic =
        reporter_.Report(Kind::kShapeMismatch, name.range,
                         fmt::format("`{}'` is `{}` and is given `{}`", name.text, Text(wanted), Text(given)));
    typing_.Explain(diagnostic, state.current);
    typing_.Explain(diagnostic, term);
    return;
  }
  if (result_.terms[term].label.empty()) {
    result_.terms[term].label = name.text + "'";
    result_.terms[term].range = name.range;
  }
  state.next = term;
}

std::vector<std::string> Elaborator::VisibleNames() const {
  std::vector<std::string> names;
  for (size_t i = base_; i < frames_.size(); ++i) {
    for (const auto& [name, binding] : frames_[i]) names.push_back(name);
  }
  return names;
}

void Elaborator::ReportUnknown(const std::string& name, const Range& range) {
  if (std::optional<Range> later = FindTarget(*body_, name); later && later->begin >= range.begin) {
    reporter_.Report(Kind::kUsedBeforeDefinition, range, fmt::format("`{}` is read before its equation", name))
        .Note(*later, fmt::format("`{}` defined here", name));
    return;
  }
  reporter_.Report(Kind::kUnknownName, range,
                   fmt::format("nothing here is called `{}`{}", name, DidYouMean(name, VisibleNames())));
}

void Elaborator::ReportUnused() {
  if (IsLibrary(definition_->range)) return;
  for (const Site& site : sites_) {
    if (site.what == "round" || site.what == "state" || site.what == "lengths" || IsLibrary(site.range)) continue;
    if (used_.contains({site.range.source, site.range.begin})) continue;
    reporter_.Report(Kind::kUnused, site.range, fmt::format("{} `{}` is never used", site.what, site.name));
  }
}

// Whether anything random is in the definition or in a cell that it scans.
bool Elaborator::AsksForSeed() const {
  return result_.IsRandom() || std::ranges::any_of(result_.instances, [](const TypedInstance& instance) {
           return instance.cell->IsRandom();
         });
}

// The names that a caller uses are one namespace, with `h0` and `hT` beside a state `h`.
void Elaborator::CheckInterface() {
  std::map<std::string, Range> taken;
  auto take = [&](const std::string& name, const Range& range) {
    auto [earlier, fresh] = taken.emplace(name, range);
    if (fresh) return;
    reporter_
        .Report(Kind::kDuplicateName, range,
                fmt::format("`{}` names two inputs or outputs of `{}`", name, result_.name))
        .Note(earlier->second, fmt::format("`{}` named here", name));
  };
  auto range_of = [&](TermId term) { return term == kNoTerm ? result_.range : result_.terms[term].range; };
  for (const TypedInput& input : result_.inputs) take(input.name, range_of(input.term));
  if (AsksForSeed()) take("seed", result_.range);
  for (const TypedParameter& parameter : result_.parameters) take(parameter.name, range_of(parameter.term));
  auto take_states = [&](const std::vector<TypedState>& states, const std::string& prefix, const Range* range) {
    for (const TypedState& state : states) {
      Range at = range != nullptr ? *range : range_of(state.current);
      take(prefix + state.name + "0", at);
      take(prefix + state.name + "T", at);
    }
  };
  take_states(result_.states, "", nullptr);
  for (const TypedInstance& instance : result_.instances) {
    for (const TypedParameter& parameter : instance.cell->parameters) {
      take(instance.name + "." + parameter.name, instance.range);
    }
  }
  for (const TypedScan& scan : result_.scans) {
    take_states(result_.instances[scan.instance].cell->states, scan.name + ".", &scan.range);
  }
  for (const TypedOutput& output : result_.outputs) take(output.name, output.range);
  if (result_.loss != kNoTerm) take("loss", loss_range_);
}

// Statements. --------------------------------------------------------------------------------------------------------

void Elaborator::Walk(const std::vector<Statement>& statements) {
  for (const Statement& statement : statements) {
    ++shared_.steps;
    std::visit([&](const auto& alternative) { Walk(alternative); }, statement);
  }
}

void Elaborator::Misplaced(const Range& range, std::string_view what) {
  reporter_.Report(Kind::kMisplaced, range, std::string(what));
}

bool Elaborator::Exhausted(const Range& range) {
  if (result_.terms.size() > kMostTerms) return true;  // reported there
  if (++shared_.steps <= kMostSteps) return false;
  if (shared_.steps == kMostSteps + 1) {
    reporter_.Report(Kind::kProgramTooLarge, range, "the program unrolls to too many operations here");
  }
  return true;
}

void Elaborator::Walk(const Declaration& declaration) {
  const Name& name = declaration.name;
  bool input = declaration.kind == Declaration::Kind::kInput, state = declaration.kind == Declaration::Kind::kState;
  if (returned_ != nullptr) {
    Misplaced(name.range, fmt::format("`{}` declared inside a function", name.text));
    return;
  }
  if (loops_ > 0 && (input || state)) {
    Misplaced(name.range, fmt::format("{} `{}` declared inside a loop", input ? "input" : "state", name.text));
    return;
  }
  if (state && result_.is_model) {
    Misplaced(name.range,
              fmt::format("state `{}` declared in a model; states belong to the cells it scans", name.text));
    return;
  }
  // A cell's input over another axis than its own steps is a memory.
  const bool memory = declaration.time && input && !result_.is_model && declaration.time->text != kOwnSteps;
  if (declaration.time && !memory && (!input || !result_.is_model)) {
    Misplaced(declaration.time->range,
              input ? fmt::format("input `{}` of a cell runs over `{}`; a cell sees one step", name.text,
                                  declaration.time->text)
                    : fmt::format("`{}` runs over `{}` and is no input of a model", name.text, declaration.time->text));
  }
  Type type;
  bool known = true;
  if (declaration.classes) {
    type.element = ir::Element::kIndex;
    std::optional<Shape> classes = EvaluateShape({*declaration.classes});
    known = classes.has_value();
    if (classes) type.classes = classes->front();
    if (!input) {
      reporter_.Report(Kind::kElementMismatch, name.range, fmt::format("`{}` is an integer and no input", name.text));
      known = false;
    } else if (!result_.is_model) {
      reporter_.Report(Kind::kNotSupportedYet, name.range,
                       fmt::format("`{}`: an integer input of a cell is not supported yet", name.text));
      known = false;
    }
  } else {
    std::optional<Shape> shape = EvaluateShape(declaration.shape);
    known = shape.has_value();
    if (shape) type.shape = std::move(*shape);
  }
  type.lead.batch = input || state;
  if (declaration.time && input && (result_.is_model || memory)) {
    const Name& time = *declaration.time;
    auto bound = memories_.find(time.text);
    type.lead.time = bound == memories_.end() ? time.text : bound->second.name;
    if (memory && bound != memories_.end() && bound->second.has_lengths) {
      TypedAxis& axis = AxisOf(type.lead.time);
      if (axis.lengths == kNoTerm) {
        axis.lengths = typing_.Add(
            {.op = ir::Op::kInput, .type = {.lead = {.batch = true}}, .label = "length", .range = time.range});
      }
    }
    Binding* taken = Find(time.text);
    if (time.text == "B" || (taken != nullptr && taken->kind == Binding::Kind::kExtent)) {
      reporter_.Report(Kind::kDuplicateName, time.range,
                       fmt::format("time axis `{}` has the name of {}", time.text,
                                   time.text == "B" ? "the batch axis" : "an extent"));
    }
  }
  TermId term = known ? typing_.Declared(name, type) : kNoTerm;
  Binding binding{.term = term, .range = name.range};
  switch (declaration.kind) {
    case Declaration::Kind::kInput:
      binding.kind = Binding::Kind::kInput;
      if (Declare(name, binding, "input")) result_.inputs.push_back({name.text, term});
      if (declaration.lengths && result_.is_model) DeclareLengths(declaration);
      if (declaration.lengths && !result_.is_model) {
        Misplaced(declaration.lengths->range,
                  fmt::format("lengths `{}` in a cell; a memory has those of its sequence", declaration.lengths->text));
      }
      return;
    case Declaration::Kind::kState:
      binding.kind = Binding::Kind::kState;
      binding.index = static_cast<int>(result_.states.size());
      if (Declare(name, binding, "state")) result_.states.push_back({name.text, term});
      return;
    case Declaration::Kind::kParameter:
    case Declaration::Kind::kConstant: {
      binding.kind = Binding::Kind::kParameter;
      TypedParameter parameter{
          .name = prefix_ + name.text, .term = term, .trained = declaration.kind == Declaration::Kind::kParameter};
      SetDistribution(declaration, parameter);
      if (Declare(name, binding, "parameter")) result_.parameters.push_back(std::move(parameter));
      return;
    }
  }
}

// Whether a term depends on numbers and extents alone, by elementwise operations.
bool Elaborator::IsNumber(TermId id) const {
  std::vector<bool> needed(id + 1);
  needed[id] = true;
  for (TermId i = id; i >= 0; --i) {
    if (!needed[i]) continue;
    const Term& term = result_.terms[i];
    if (!term.type.shape.empty() || (term.op != ir::Op::kConstant && !ir::IsElementwise(term.op))) return false;
    for (TermId arg : term.args) needed[arg] = true;
  }
  return true;
}

void Elaborator::SetDistribution(const Declaration& declaration, TypedParameter& parameter) {
  if (!declaration.distribution) {
    // A matrix: uniform within 1/sqrt(fan in). Anything smaller: zero.
    if (declaration.shape.size() < 2 || parameter.term == kNoTerm) return;
    const Range& range = declaration.name.range;
    parameter.distribution = ir::Init::Kind::kUniform;
    parameter.b = typing_.Elementwise(ir::Op::kRsqrt,
                                      {typing_.ExtentValue(typing_.type(parameter.term).shape.back(), range)}, range);
    parameter.a = typing_.Elementwise(ir::Op::kNeg, {parameter.b}, range);
    return;
  }
  const Expr& call = *declaration.distribution;
  struct Row {
    std::string_view name;
    ir::Init::Kind kind;
    size_t arguments;
  };
  constexpr Row kRows[] = {{"uniform", ir::Init::Kind::kUniform, 2},
                           {"normal", ir::Init::Kind::kNormal, 2},
                           {"constant", ir::Init::Kind::kConstant, 1}};
  auto row = std::ranges::find(kRows, std::string_view(call.text), &Row::name);
  if (call.kind != Expr::Kind::kCall || row == std::end(kRows)) {
    reporter_.Report(Kind::kUnknownName, call.range,
                     fmt::format("`{}` is no distribution: there are `uniform`, `normal` and `constant`{}",
                                 call.range.Quote(), DidYouMean(call.text, {"uniform", "normal", "constant"})));
    return;
  }
  if (call.children.size() != row->arguments) {
    reporter_.Report(Kind::kArgumentCount, call.range,
                     fmt::format("`{}` has {} and takes {}", call.range.Quote(),
                                 Counted(call.children.size(), "argument"), row->arguments));
    return;
  }
  std::vector<TermId> values;
  for (const Expr& child : call.children) {
    TermId value = Evaluate(child);
    if (value == kNoTerm) return;
    if (!IsNumber(value)) {
      reporter_.Report(Kind::kInitialValue, child.range,
                       fmt::format("`{}` depends on more than numbers and extents", child.range.Quote()));
      return;
    }
    values.push_back(value);
  }
  parameter.distribution = row->kind;
  parameter.a = values[0];
  if (values.size() > 1) parameter.b = values[1];
}

void Elaborator::DeclareInitialValue(const Declaration& declaration) {
  if (declaration.kind != Declaration::Kind::kState || !declaration.initial) return;
  TermId value = Evaluate(*declaration.initial);
  Binding* binding = Find(declaration.name.text);
  if (value == kNoTerm || binding == nullptr || binding->kind != Binding::Kind::kState) return;
  TypedState& state = result_.states[binding->index];
  if (state.current == kNoTerm) return;
  const Term& term = result_.terms[value];
  if (term.type.lead.batch || term.type.element != ir::Element::kReal) {
    reporter_.Report(
        Kind::kInitialValue, declaration.initial->range,
        fmt::format("`{}` depends on more than parameters and numbers", declaration.initial->range.Quote()));
    return;
  }
  if (!Typing::Broadcasts(term.type.shape, typing_.type(state.current).shape)) {
    Diagnostic& diagnostic = reporter_.Report(Kind::kShapeMismatch, declaration.initial->range,
                                              fmt::format("state `{}` is `{}` and begins as `{}`", state.name,
                                                          Text(typing_.type(state.current)), Text(term.type)));
    typing_.Explain(diagnostic, value);
    return;
  }
  // Zero is what a caller's initial state is anyway.
  const double* number = std::get_if<double>(&term.value);
  bool zero = term.op == ir::Op::kConstant && number != nullptr && *number == 0;
  if (!zero) state.initial = value;
}

void Elaborator::Walk(const Equation& equation) {
  std::vector<TermId> values = EvaluateAll(equation.value);
  size_t targets = equation.targets.size();
  if (values.size() != targets) {
    // One value of unknown type may have been several.
    if (values != std::vector<TermId>{kNoTerm}) {
      reporter_.Report(Kind::kValueCount, equation.value.range,
                       fmt::format("`{}` gives {} for {}", equation.value.range.Quote(),
                                   Counted(values.size(), "value"), Counted(targets, "name")));
    }
    values.assign(targets, kNoTerm);
  }
  for (size_t i = 0; i < targets; ++i) {
    const Target& target = equation.targets[i];
    if (target.next) {
      DefineNext(target.name, values[i]);
    } else {
      DefineLocal(target.name, values[i]);
    }
  }
}

void Elaborator::Walk(const OutputStatement& output) {
  if (returned_ != nullptr || loops_ > 0) {
    Misplaced(output.value.range, fmt::format("an output inside a {}", returned_ != nullptr ? "function" : "loop"));
    return;
  }
  TermId value = Evaluate(output.value);
  std::string name = output.name ? output.name->text : output.value.kind == Expr::Kind::kName ? output.value.text : "y";
  Range range = output.name ? output.name->range : output.value.range;
  if (value != kNoTerm && typing_.type(value).element != ir::Element::kReal) {
    reporter_.Report(Kind::kElementMismatch, range, fmt::format("output `{}` is an integer", name));
    return;
  }
  if (!result_.is_model && value != kNoTerm && !IsOfOneStep(value, range, fmt::format("output `{}`", name))) return;
  result_.outputs.push_back({name, value, range});
}

void Elaborator::Walk(const LossStatement& loss) {
  if (!result_.is_model || loops_ > 0) {
    Misplaced(loss.range, loops_ > 0 ? "a loss inside a loop" : "a loss outside a model");
    return;
  }
  TermId value = Evaluate(loss.value);
  if (loss_range_.source != nullptr) {
    reporter_.Report(Kind::kDuplicateName, loss.range, "a second loss").Note(loss_range_, "the first loss is here");
    return;
  }
  loss_range_ = loss.range;
  if (value == kNoTerm) return;
  const Type& type = typing_.type(value);
  if (type.element != ir::Element::kReal || !type.shape.empty()) {
    Diagnostic& diagnostic = reporter_.Report(
        Kind::kShapeMismatch, loss.range,
        fmt::format("the loss `{}` is `{}`; of one example it is one number", loss.value.range.Quote(), Text(type)));
    typing_.Explain(diagnostic, value);
    return;
  }
  result_.loss = value;
}

void Elaborator::Walk(const ReturnStatement& statement) {
  if (returned_ == nullptr || loops_ > 0) {
    Range range = Join(statement.values.front().range, statement.values.back().range);
    Misplaced(range, returned_ == nullptr ? "`return` outside a function" : "`return` inside a loop");
    return;
  }
  std::vector<TermId> values;
  if (statement.values.size() == 1) {
    values = EvaluateAll(statement.values[0]);
  } else {
    for (const Expr& value : statement.values) values.push_back(Evaluate(value));
  }
  if (!returned_->empty()) {
    Misplaced(statement.values.front().range, "a second `return`");
    return;
  }
  *returned_ = std::move(values);
}

void Elaborator::Walk(const std::unique_ptr<Loop>& loop) {
  std::optional<Extent> first = loop->is_for ? EvaluateExtent(*loop->first) : Extent();
  std::optional<Extent> last = EvaluateExtent(loop->count);
  if (!first || !last) return;
  std::optional<Extent> extent = loop->is_for ? Difference(*last, *first) : Difference(*last, Extent(1));
  if (!first->constant() || !extent) {
    reporter_.Report(Kind::kRepeatCount, loop->range, fmt::format("the first round `{}` is no number", first->Text()));
    return;
  }
  int64_t rounds = kSampleRounds;
  if (extent->constant()) {
    rounds = *extent->constant() + 1;
  } else if (shared_.numbers != nullptr) {
    std::expected<int64_t, std::string> value = extent->Evaluate(*shared_.numbers);
    if (!value) {
      reporter_.Report(Kind::kRepeatCount, loop->range, value.error());
      return;
    }
    rounds = *value + 1;
  }
  if (rounds < 1 || rounds > kMostRounds) {
    reporter_.Report(Kind::kRepeatCount, loop->range,
                     fmt::format("a loop of {} rounds; it has between 1 and {}", rounds, kMostRounds));
    return;
  }
  ++loops_;
  std::string outer_prefix = prefix_;
  for (int64_t round = 0; round < rounds && !Exhausted(loop->range); ++round) {
    int64_t number = *first->constant() + round;
    frames_.emplace_back();
    prefix_ = fmt::format("{}{}{}.", outer_prefix, loop->variable.text, number);
    Declare(loop->variable, {.kind = Binding::Kind::kExtent, .extent = Extent(number), .range = loop->variable.range},
            "round");
    Walk(loop->body);
    frames_.pop_back();
  }
  prefix_ = outer_prefix;
  --loops_;
}

}  // namespace recurve::frontend

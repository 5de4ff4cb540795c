// compiler/compile.cpp: source --Parse--> Ast --Check--> Graph --Vjp--> Graph --passes--> Graph --Plan--> Plan
// --Emit--> Module --> memory or object.

#include "compiler/compile.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <limits>
#include <sstream>
#include <thread>

#include "compiler/bake.h"
#include "compiler/compile_key.h"
#include "compiler/derivative.h"
#include "compiler/descriptor.h"
#include "compiler/emit.h"
#include "compiler/evaluation.h"
#include "compiler/graph_util.h"
#include "compiler/header.h"
#include "compiler/jit.h"
#include "compiler/object.h"
#include "compiler/object_cache.h"
#include "compiler/parts.h"
#include "compiler/plan.h"
#include "compiler/plan_segment.h"
#include "compiler/split.h"
#include "compiler/streaming.h"
#include "compiler/summary.h"
#include "compiler/target_module.h"
#include "compiler/tune.h"
#include "compiler/versions.h"
#include "frontend/frontend.h"

namespace recurve {
namespace {

std::vector<std::string> DifferentiableInputs(const ir::Graph& graph) {
  std::vector<std::string> names;
  for (ir::NodeId id : graph.inputs()) {
    const auto& input = graph[id].As<ir::InputAttr>();
    bool real = graph.type(id).element == ir::Element::kReal;
    if (real && input.role != ir::Role::kConstant) names.push_back(input.name);
  }
  return names;
}

// The graph of some outputs and only the inputs that they need; parameters always stay.
ir::Graph KeepOutputs(const ir::Graph& graph, const std::vector<ir::Output>& outputs) {
  std::vector<ir::NodeId> roots;
  for (const ir::Output& output : outputs) roots.push_back(output.node);
  std::vector<bool> needed = NeededBy(graph, roots);
  ir::Graph kept;
  kept.name = graph.name;
  NodeMap map = EmptyMap(graph);
  for (ir::NodeId id : graph.inputs()) {
    bool parameter = graph[id].As<ir::InputAttr>().role == ir::Role::kParameter;
    if (needed[id] || parameter) map[id] = CopyNode(graph, id, map, kept);
  }
  CopyNeeded(graph, roots, map, kept);
  for (const ir::Output& output : outputs) kept.AddOutput(output.name, map[output.node]);
  return kept;
}

// As it is after training, without the loss, and so without its targets, if there is something else to infer.
ir::Graph InferenceOf(const ir::Graph& trained) {
  ir::Graph graph = InEvaluation(trained);
  std::vector<ir::Output> outputs = graph.outputs();
  if (outputs.size() > 1) std::erase_if(outputs, [](const ir::Output& output) { return output.name == "loss"; });
  return KeepOutputs(graph, outputs);
}

// `pack` takes every parameter, since panels may need any of them.
ir::Graph WithAllParameters(const ir::Graph& pack, const ir::Graph& primal) {
  ir::Graph result;
  result.name = primal.name;
  NodeMap map = EmptyMap(pack);
  for (ir::NodeId id : primal.inputs()) {
    const auto& input = primal[id].As<ir::InputAttr>();
    if (input.role != ir::Role::kParameter && input.role != ir::Role::kConstant) continue;
    NodeMap none = EmptyMap(primal);
    ir::NodeId copy = CopyNode(primal, id, none, result);
    if (ir::NodeId present = pack.FindInput(input.name); present >= 0) map[present] = copy;
  }
  CopyAbsent(pack, map, result);
  CopyOutputs(pack, map, result);
  return result;
}

// `update` is empty unless an optimizer is wanted.
Plan PlanOf(const ir::Graph& graph, const CompileOptions& options, const Target& target, ir::Graph update = {}) {
  Programs programs = Lower(graph, options);
  std::vector<EntryGraph> entries;
  auto is_wanted = [&](std::string_view name) {
    return options.entries.empty() || std::ranges::find(options.entries, name) != options.entries.end();
  };
  auto add = [&](std::string_view name, ir::Graph entry) {
    // Nobody but `forward` writes the tape of `backward`.
    const bool wanted = is_wanted(name) || (name == "forward" && is_wanted("backward"));
    if (wanted && !entry.outputs().empty()) entries.push_back({std::string(name), std::move(entry)});
  };
  add("forward", std::move(programs.forward));
  add("backward", std::move(programs.backward));
  add("inference", std::move(programs.inference));
  add("step", std::move(programs.step));
  if (!entries.empty() && entries.back().name == "step") {
    for (const auto& [name, before] : {std::pair{"reset", &programs.reset}, std::pair{"encode", &programs.encode}}) {
      if (!before->outputs().empty()) entries.push_back({name, std::move(*before)});
    }
  }
  add("evaluate", std::move(programs.evaluate));
  add("update", std::move(update));
  entries.push_back({"pack", std::move(programs.pack)});
  Plan plan = MakePlan(graph.name, std::move(entries), options.precision, target.facts(), options.plan, options.store);
  plan.math = options.math;
  return plan;
}

// Names that the program must have.
std::expected<void, Error> CheckNames(const ir::Graph& graph, const CompileOptions& options) {
  const std::vector<std::string> inputs = DifferentiableInputs(graph);
  for (const std::string& name : options.wrt) {
    if (std::ranges::find(inputs, name) != inputs.end()) continue;
    return std::unexpected(Error{fmt::format("`{}` has no input `{}` that a gradient could be of; there are {}",
                                             graph.name, name, fmt::join(inputs, ", "))});
  }
  return {};
}

// The plan that keeps to the limit of memory.
std::expected<Plan, Error> PlanWithin(const ir::Graph& graph, CompileOptions options, const Target& target) {
  if (auto checked = CheckNames(graph, options); !checked) return std::unexpected(checked.error());
  ir::Graph update;
  if (!options.optimizer.optimizer.empty() && options.gradients) {
    const std::vector<std::string> wrt = options.wrt.empty() ? DifferentiableInputs(graph) : options.wrt;
    auto made = UpdateOf(graph, wrt, options.optimizer);
    if (!made) return std::unexpected(made.error());
    update = RunPasses(*made);
  }
  Plan plan = PlanOf(graph, options, target, update);
  if (!plan.refused.empty())
    return std::unexpected(Error{fmt::format("`{}` can't run backward in segments: {}", graph.name, plan.refused)});
  if (options.memory.bytes == 0) return plan;
  const AxisSizes& sizes = options.memory.sizes;
  const std::optional<double> stored = TrainingBytes(plan, sizes);
  if (!stored) {
    return std::unexpected(Error{fmt::format("a limit of memory needs forward, backward and a size for each axis ({})",
                                             fmt::join(plan.axes, ", "))});
  }
  const auto limit = static_cast<double>(options.memory.bytes);
  if (*stored <= limit) return plan;
  auto too_much = [&](const std::string& how) {
    return std::unexpected(Error{fmt::format("a training step of `{}` takes {:.0f} bytes, more than {}, and {}",
                                             graph.name, *stored, options.memory.bytes, how)});
  };
  // In the order of what they cost: computing forward once more, and twice.
  constexpr struct {
    bool apart, nested;
  } kWays[] = {{false, false}, {true, false}, {false, true}, {true, true}};
  std::string refused;
  double least = std::numeric_limits<double>::infinity();
  for (const auto& way : kWays) {
    options.plan.segments_apart = way.apart;
    options.plan.segment = way.nested ? 2 : 1;
    options.plan.subsegment = way.nested ? 1 : 0;
    Plan segmented = PlanOf(graph, options, target, update);
    if (!segmented.refused.empty() || segmented.segments.empty()) {
      if (refused.empty()) refused = segmented.refused;
      continue;
    }
    const std::vector<int64_t> lengths = SegmentLengths(segmented, sizes);
    for (const int64_t segment : lengths) {
      for (const int64_t subsegment : way.nested ? lengths : std::vector<int64_t>{0}) {
        if (subsegment >= segment) continue;
        SetSegments(segment, subsegment, segmented);
        const double bytes = *TrainingBytes(segmented, sizes);
        if (bytes <= limit) return segmented;
        least = std::min(least, bytes);
      }
    }
  }
  if (std::isfinite(least)) return too_much(fmt::format("computing forward again in segments {:.0f} at least", least));
  return too_much("forward can't be computed again in segments: " +
                  (refused.empty() ? "there is no scan over time" : refused));
}

std::expected<Target, Error> TargetOf(const CompileOptions& options) {
  if (options.store != Storage::kSame && options.precision != Precision::kF32) {
    return std::unexpected(Error{fmt::format("{} storage goes with f32 arithmetic, and this is f64",
                                             options.store == Storage::kBf16 ? "bf16" : "f16")});
  }
  return BestVersionOf(options.target);
}

// A module with its descriptor.
struct Compiled : TargetModule {
  using TargetModule::TargetModule;
  ProgramInterface interface;
};

ProgramInterface InterfaceFor(const Plan& plan, const CompileOptions& options, const Target& target) {
  ProgramInterface interface = InterfaceOf(plan, target.description());
  interface.extents.assign(options.extents.begin(), options.extents.end());
  interface.stream_workspace_bytes = StreamWorkspaceBytes(plan);
  return interface;
}

Compiled CompileModule(const Plan& plan, const CompileOptions& options, const Target& target) {
  Compiled compiled(plan.name, target);
  Emit(plan, *compiled.module);
  compiled.interface = InterfaceFor(plan, options, target);
  EmitDescriptor(*compiled.module, compiled.interface);
  return compiled;
}

// One module for several levels of a processor, from the least to the best. What callers size is enough for each.
Compiled CompileVersions(std::vector<Plan> plans, const CompileOptions& options, const std::vector<Target>& targets) {
  Compiled compiled(plans[0].name, targets[0]);
  ProgramInterface& all = compiled.interface;
  all = InterfaceFor(plans[0], options, targets[0]);
  for (size_t i = 0; i < plans.size(); ++i) {
    const ProgramInterface one = InterfaceFor(plans[i], options, targets[i]);
    all.packed_bytes = std::max(all.packed_bytes, one.packed_bytes);
    all.constant_bytes = std::max(all.constant_bytes, one.constant_bytes);
    all.stream_workspace_bytes = std::max(all.stream_workspace_bytes, one.stream_workspace_bytes);
    if (i > 0) all.target += ", " + targets[i].cpu();
    plans[i].name = VersionName(all.name, targets[i]);
    Emit(plans[i], *compiled.module);
    ConfineVersion(*compiled.module, targets[i]);
  }
  EmitDispatch(*compiled.module, all, targets);
  EmitDescriptor(*compiled.module, all);
  return compiled;
}

int ThreadsOf(const CompileOptions& options) {
  return options.compile_threads > 0 ? options.compile_threads : static_cast<int>(std::thread::hardware_concurrency());
}

// The program for this process.
std::expected<KeptProgram, Error> MakeProgram(const ir::Graph& graph, CompileOptions options) {
  if (options.tuning.is_on()) {
    const auto tuned = TuneProgram(graph, options);
    if (!tuned) return std::unexpected(tuned.error());
    options.plan = tuned->choices;
  }
  std::expected<Target, Error> target = TargetOf(options);
  if (!target) return std::unexpected(target.error());
  const std::expected<Plan, Error> plan = PlanWithin(graph, options, *target);
  if (!plan) return std::unexpected(plan.error());
  auto objects = CompileParts(*plan, InterfaceFor(*plan, options, *target), *target, ThreadsOf(options));
  if (!objects) return std::unexpected(objects.error());
  return KeptProgram{plan->name, *std::move(objects)};
}

std::expected<Program, Error> LoadKept(const KeptProgram& kept) {
  std::expected<LoadedCode, Error> code = LoadObjects(kept.objects, kept.name);
  if (!code) return std::unexpected(code.error());
  return Program::Wrap(code->program, code->keep_alive);
}

// The plan for another machine, perhaps, with its weights in it.
std::expected<Plan, Error> WithWeightsOf(Plan plan, const CompileOptions& options, const WeightFile& weights) {
  std::expected<Target, Error> here = MakeTarget({});
  if (!here) return std::unexpected(here.error());
  Compiled packing = CompileModule(PackingOf(plan), options, *here);
  std::expected<std::string, Error> object = ConsumeIntoObjectForHere(*packing.module, *here);
  if (!object) return std::unexpected(object.error());
  std::expected<Program, Error> program = LoadKept({std::move(packing.interface.name), {*std::move(object)}});
  if (!program) return std::unexpected(program.error());
  Parameters parameters(*std::move(program));
  if (auto restored = Restore(parameters, weights); !restored) return std::unexpected(restored.error());
  return WithWeights(std::move(plan), parameters);
}

// The program that is kept, or else the one that `make` makes, which then is.
std::expected<Program, Error> FindOrMake(const CompileOptions& options, const std::function<std::string()>& make_key,
                                         const std::function<std::expected<KeptProgram, Error>()>& make) {
  const ObjectCache cache = options.cache ? ObjectCache::OfUser() : ObjectCache();
  const std::string key = cache.is_on() ? make_key() : "";
  if (std::optional<KeptProgram> kept = cache.Find(key)) {
    // One that does not load is made anew.
    if (std::expected<Program, Error> program = LoadKept(*kept)) return program;
  }
  std::expected<KeptProgram, Error> made = make();
  if (!made) return std::unexpected(made.error());
  std::expected<Program, Error> program = LoadKept(*made);
  if (program) cache.Store(key, *made);
  return program;
}

}  // namespace

namespace {

TapePolicy TapePolicyOf(const PlanChoices& choices) {
  if (choices.segment == 0) return TapePolicy::kStore;
  return choices.segments_apart ? TapePolicy::kRecomputeApart : TapePolicy::kRecompute;
}

}  // namespace

Programs Lower(const ir::Graph& graph, const CompileOptions& options, const AfterPass& after) {
  Programs programs{.primal = graph};
  if (options.gradients) {
    std::vector<std::string> wrt = options.wrt.empty() ? DifferentiableInputs(graph) : options.wrt;
    programs.adjoint = Vjp(graph, wrt);
    programs.core = RunPasses(programs.adjoint, after);
    SplitPrograms split =
        SplitForwardBackward(programs.core, static_cast<int>(graph.outputs().size()), TapePolicyOf(options.plan));
    programs.forward = std::move(split.forward);
    programs.backward = std::move(split.backward);
  } else {
    programs.core = RunPasses(graph, after);
  }
  ir::Graph inference = InferenceOf(graph);
  programs.inference = RunPasses(inference);
  StreamingPrograms streaming = StreamingOf(programs.inference);
  programs.step = RunPasses(streaming.step);
  programs.reset = RunPasses(streaming.reset);
  programs.encode = RunPasses(streaming.encode);
  if (options.gradients && DiffersInTraining(graph) && graph.FindOutput("loss") >= 0) {
    ir::Graph evaluated = InEvaluation(graph);
    programs.evaluate = RunPasses(KeepOutputs(evaluated, evaluated.outputs()));
  }
  ir::Graph* const planned[] = {&programs.forward, &programs.backward, &programs.inference, &programs.step,
                                &programs.reset,   &programs.encode,   &programs.evaluate};
  std::vector<ir::Graph> graphs;
  for (ir::Graph* graph : planned) graphs.push_back(std::move(*graph));
  ir::Graph pack = ExtractPacked(graphs);
  for (size_t i = 0; i < graphs.size(); ++i) *planned[i] = std::move(graphs[i]);
  programs.pack = WithAllParameters(pack, graph);
  return programs;
}

std::expected<Program, Error> CompileToMemory(const ir::Graph& graph, const CompileOptions& options) {
  return FindOrMake(options, [&] { return KeyOfGraph(graph, options); }, [&] { return MakeProgram(graph, options); });
}

std::expected<Artifacts, Error> CompileToObject(const ir::Graph& graph, const CompileOptions& options,
                                                const ArtifactChoice& choice) {
  const auto versions = VersionsOf(options.target);
  if (!versions) return std::unexpected(versions.error());
  std::vector<Target> targets;
  std::vector<Plan> plans;
  for (const TargetSpec& version : *versions) {
    CompileOptions of_version = options;
    of_version.target = version;
    std::expected<Target, Error> target = TargetOf(of_version);
    if (!target) return std::unexpected(target.error());
    std::expected<Plan, Error> plan = PlanWithin(graph, of_version, *target);
    if (plan && choice.weights != nullptr) plan = WithWeightsOf(*std::move(plan), of_version, *choice.weights);
    if (!plan) return std::unexpected(plan.error());
    targets.push_back(*std::move(target));
    plans.push_back(*std::move(plan));
  }
  const Target& target = targets[0];
  Compiled compiled = plans.size() == 1 ? CompileModule(plans[0], options, target)
                                        : CompileVersions(std::move(plans), options, targets);
  Artifacts artifacts;
  std::expected<std::string, Error> object = CompileObject(*compiled.module, target, &artifacts.report);
  if (!object) return std::unexpected(object.error());
  artifacts.object = *std::move(object);
  artifacts.header = CHeader(compiled.interface);
  if (choice.llvm) artifacts.llvm = PrintLlvm(*compiled.module);
  if (choice.assembly) {
    std::expected<std::string, Error> assembly = CompileAssembly(*compiled.module, target);
    if (!assembly) return std::unexpected(assembly.error());
    artifacts.assembly = *std::move(assembly);
  }
  artifacts.interface = std::move(compiled.interface);
  return artifacts;
}

std::expected<Plan, Error> PlanProgram(const ir::Graph& graph, const CompileOptions& options) {
  std::expected<Target, Error> target = TargetOf(options);
  if (!target) return std::unexpected(target.error());
  return PlanWithin(graph, options, *target);
}

std::expected<std::string, Error> PlanText(const ir::Graph& graph, const CompileOptions& options) {
  std::expected<Plan, Error> plan = PlanProgram(graph, options);
  if (!plan) return std::unexpected(plan.error());
  return PrintPlan(*plan);
}

namespace {

std::expected<Program, Error> CompileText(std::string_view name, std::string_view text, std::string_view entry,
                                          const frontend::Extents& extents, const CompileOptions& options) {
  const auto make = [&]() -> std::expected<KeptProgram, Error> {
    frontend::LoadResult loaded = frontend::Load(name, text);
    if (!loaded.program) return std::unexpected(Error{loaded.messages});
    frontend::BuildResult built = frontend::Build(*loaded.program, entry, extents);
    if (!built.graph) return std::unexpected(Error{built.messages});
    return MakeProgram(*built.graph, options);
  };
  return FindOrMake(options, [&] { return KeyOfText(text, entry, extents, options); }, make);
}

}  // namespace

std::expected<Program, Error> Compile(std::string_view source, std::string_view entry,
                                      const std::map<std::string, int64_t, std::less<>>& extents,
                                      const CompileOptions& options) {
  return CompileText("source", source, entry, extents, options);
}

std::expected<Program, Error> CompileFile(const std::string& path, std::string_view entry,
                                          const std::map<std::string, int64_t, std::less<>>& extents,
                                          const CompileOptions& options) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  if (!file) return std::unexpected(Error{fmt::format("cannot read `{}`", path)});
  return CompileText(path, text.str(), entry, extents, options);
}

}  // namespace recurve

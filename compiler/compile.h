// compiler/compile.h: the line of stages, from a graph to a program that can be called.
//
//   auto program = recurve::Compile(source, "lstm", {{"I", 64}, {"H", 128}});   // std::expected<Program, Error>
//   recurve::Session session(*program);                                          // runtime/session.h
//
// A program has these entries: `forward` computes outputs and saves the tape; `inference` computes outputs alone (not
// the loss, when there is anything else); `backward` computes gradients from the tape; `step` is inference of a single
// step that overwrites the states, for streaming; `evaluate`, of programs that are another while they are trained
// (`training` in the language), computes all outputs as they are afterwards, the loss too; `pack` rearranges the
// weights after they changed. All functions here may be called from several threads at once.

#ifndef RECURVE_COMPILER_COMPILE_H_
#define RECURVE_COMPILER_COMPILE_H_

#include <cstdint>
#include <expected>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "compiler/interface.h"
#include "compiler/object.h"
#include "compiler/passes.h"
#include "compiler/target.h"
#include "compiler/update.h"
#include "ir/graph.h"
#include "runtime/error.h"
#include "runtime/program.h"
#include "runtime/weights.h"

namespace recurve {

struct Plan;

// How much memory a training step may take at these sizes of its axes (and in proportion at others).
struct MemoryLimit {
  int64_t bytes = 0;  // of tape and workspace together; 0: as much as it takes
  std::map<std::string, double> sizes;

  bool operator==(const MemoryLimit&) const = default;
};

// Sizes of its axes at which a program in memory is measured, to choose what its plan leaves open (tune.h).
struct Tuning {
  std::map<std::string, double> sizes;
  size_t threads = 0;  // of the team that runs it; 0: nothing is measured

  bool is_on() const { return threads > 0; }
  bool operator==(const Tuning&) const = default;
};

struct CompileOptions {
  Precision precision = Precision::kF32;
  Storage store = Storage::kSame;               // of packed weights and tape; in 16 bits with f32 only
  MathAccuracy math = MathAccuracy::kAccurate;  // of exp, tanh and sigmoid in f32
  // This machine unless said. Several levels of a processor (versions.h) make one object with code for each; a plan or
  // a program in memory is then for the best of them.
  TargetSpec target;
  std::vector<std::string> wrt;      // inputs whose gradients are wanted; empty: all real ones
  bool gradients = true;             // false: no tape, no `forward`, no `backward`
  std::vector<std::string> entries;  // those wanted besides `pack`, and `forward` with `backward`; empty: all
  OptimizerSource optimizer;         // makes an entry `update`; empty: there is none
  PlanChoices plan;                  // how it is computed
  // If storing what backward needs takes more, backward computes forward again in segments (plan_segment.h), the
  // shortest that fit: the bits of all results are the same. An error if nothing fits.
  MemoryLimit memory;
  Tuning tuning;
  std::map<std::string, int64_t, std::less<>> extents;  // what the graph was built with, for the C header
  bool cache = true;        // programs in memory are kept on disk and found again (object_cache.h)
  int compile_threads = 0;  // that compile a program in memory (parts.h); 0: all of this machine's
};

// The graph-to-graph stages.
struct Programs {
  ir::Graph primal;
  ir::Graph adjoint;                             // outputs and gradients, as differentiated
  ir::Graph core;                                // the same after all passes
  ir::Graph forward, inference, backward, pack;  // what is planned
  ir::Graph step, reset, encode;                 // likewise (streaming.h); empty where nothing goes by steps
  ir::Graph evaluate;                            // empty unless the program differs in training
};

// Sees the joint graph of outputs and gradients after each pass.
using AfterPass = std::function<void(const Pass&, const ir::Graph&)>;

Programs Lower(const ir::Graph& graph, const CompileOptions& options, const AfterPass& after = nullptr);

// The program in this process.
std::expected<Program, Error> CompileToMemory(const ir::Graph& graph, const CompileOptions& options = {});

struct ArtifactChoice {
  bool assembly = false;
  bool llvm = false;
  // Parameters that become part of the object (bake.h); null: they are arguments.
  const WeightFile* weights = nullptr;
};
struct Artifacts {
  std::string object;    // the bytes of an object file
  std::string header;    // its C header
  std::string assembly;  // if chosen
  std::string llvm;      // if chosen
  ProgramInterface interface;
  ObjectReport report;
};
// The program as files. The object has no undefined symbol.
std::expected<Artifacts, Error> CompileToObject(const ir::Graph& graph, const CompileOptions& options = {},
                                                const ArtifactChoice& choice = {});

// The plan (plan.h), for who prints or measures it.
std::expected<Plan, Error> PlanProgram(const ir::Graph& graph, const CompileOptions& options = {});
// The plan, as text for people.
std::expected<std::string, Error> PlanText(const ir::Graph& graph, const CompileOptions& options = {});

// From source text: parses, checks, builds and compiles. The error holds every diagnostic, ready to print.
std::expected<Program, Error> Compile(std::string_view source, std::string_view entry,
                                      const std::map<std::string, int64_t, std::less<>>& extents,
                                      const CompileOptions& options = {});
// The same from a file.
std::expected<Program, Error> CompileFile(const std::string& path, std::string_view entry,
                                          const std::map<std::string, int64_t, std::less<>>& extents,
                                          const CompileOptions& options = {});

}  // namespace recurve

#endif  // RECURVE_COMPILER_COMPILE_H_

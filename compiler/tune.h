// compiler/tune.h: choices of a plan by the clock of this machine, where rules only know what is usual.
//
// How wide register tiles are, how many rows a chunk of steps has, which weights are fetched ahead and how a team
// shares the work: one of these is changed at a time, and stays changed if a program that is compiled so is quicker.
// Results differ in the last bits at most. What is found is kept with the program on disk (object_cache.h), so that it
// is measured once; objects for files are the same whoever compiles them and are not tuned.

#ifndef RECURVE_COMPILER_TUNE_H_
#define RECURVE_COMPILER_TUNE_H_

#include <expected>
#include <functional>
#include <string>
#include <vector>

#include "compiler/compile.h"
#include "runtime/error.h"
#include "runtime/program.h"
#include "runtime/session.h"

namespace recurve {

struct Trial {
  std::string what;  // differs from what had been quickest before
  double seconds = 0;
  double seconds_before = 0;  // of what had been quickest, in the same minute
  bool is_kept = false;
};

struct Tuned {
  PlanChoices choices;
  std::vector<Trial> trials;
};

using CompileChoices = std::function<std::expected<Program, Error>(const PlanChoices&)>;

// Times forward and backward, or inference or a step if the program has no others. Fails if a program cannot be
// compiled or run at these sizes.
std::expected<Tuned, Error> Tune(const PlanChoices& start, const Tuning& tuning, const CompileChoices& compile);
// The same for a graph and options whose `tuning` says the sizes.
std::expected<Tuned, Error> TuneProgram(const ir::Graph& graph, const CompileOptions& options);

// Numbers in all tensors but outputs, so that time can be taken: lengths of sequences are the `length`.
std::expected<void, Error> FillForTiming(Frame& frame, int32_t length);

}  // namespace recurve

#endif  // RECURVE_COMPILER_TUNE_H_

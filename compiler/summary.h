// compiler/summary.h: what a program has, computes and needs, as numbers and as formulas of its axes' sizes.
//
// For who chooses a model or a machine: parameters by name, the state of an example, what each entry computes and
// moves, and the memory that its caller owns. Everything is read from the graph and the plan; nothing is measured.
//
//   Summary summary = Summarize(graph, *PlanProgram(graph, options));
//   summary.entries[0].flops.Text();                                     // "2832*B*T"
//   summary.entries[0].workspace.At(SizesIn(summary.entries[0], {{"T", 100}, {"B", 32}}));   // bytes

#ifndef RECURVE_COMPILER_SUMMARY_H_
#define RECURVE_COMPILER_SUMMARY_H_

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "compiler/plan.h"
#include "ir/graph.h"

namespace recurve {

// A parameter, or a state of one example.
struct TensorSummary {
  std::string name;  // as `step` calls it: the state `h` has the initial value `h0`
  ir::Shape shape;   // without the batch
  bool is_trained = true;
};

// Sizes of axes by name, whole numbers.
using AxisSizes = std::map<std::string, double>;

// The amount at these sizes; empty where the size of one of its axes is not among them.
std::optional<double> ValueOf(const Amount& amount, const AxisSizes& sizes);

// Bytes of workspace or tape, exactly what the program's own size functions return: regions, each rounded up to a
// multiple of RECURVE_ALIGNMENT, and the gaps behind them.
struct MemoryFormula {
  Amount even;                  // gaps, and regions that are such a multiple for all sizes of the axes
  std::vector<Amount> rounded;  // bytes of each other region, before it is rounded up

  std::optional<double> At(const AxisSizes& sizes) const;
  std::string Text() const;  // "256*B*T + 640 + 2*ceil64(12*B)"
};

struct EntrySummary {
  std::string name;
  Amount flops;  // of a call, as cost.h counts them
  // Bytes that a call reads or writes at least: arguments, packed values and tape once, a state that `step` overwrites
  // twice, packed weights once for each call of their kernel (those of a recurrence in every step), of a table that is
  // only looked up in the rows that are. Workspace is not counted: it is made to stay in the caches.
  Amount moved_bytes;
  MemoryFormula workspace;
  std::vector<Chunks> chunks;  // what the names of chunks in the workspace's formula stand for
};

// Workspace of `step` and `reset` for a batch of one; 0 if there are none or its size depends on more.
size_t StreamWorkspaceBytes(const Plan& plan);

struct Summary {
  std::string name;
  std::vector<TensorSummary> parameters;  // in the order of the graph
  std::vector<TensorSummary> states;
  int64_t element_bytes = 0;
  int64_t packed_bytes = 0;
  MemoryFormula tape;
  std::vector<EntrySummary> entries;  // in the order of the plan

  Amount trained_count() const;  // elements
  Amount fixed_count() const;    // of parameters that are never trained
  Amount state_count() const;    // of one example
  const EntrySummary* FindEntry(const std::string& entry) const;
};

// Of a graph and its plan.
Summary Summarize(const ir::Graph& graph, const Plan& plan);

// The sizes and those of the entry's chunks, where they follow from them.
AxisSizes SizesIn(const EntrySummary& entry, AxisSizes sizes);
// What the names of chunks stand for: {"chunk0", "min(T, 4*max(1, floor4(128/B)))"}, where floor4 rounds down to a
// multiple of 4, or below 4 to a whole number; each once.
std::vector<std::pair<std::string, std::string>> NamesOf(const std::vector<Chunks>& chunks);
// Bytes of tape and workspace that `forward` and `backward` take together; nothing if the plan lacks one of them or
// `sizes` an axis.
std::optional<double> TrainingBytes(const Plan& plan, const AxisSizes& sizes);
// The amount where an axis has one element.
Amount AtOne(const Amount& amount, const std::string& axis);

}  // namespace recurve

#endif  // RECURVE_COMPILER_SUMMARY_H_

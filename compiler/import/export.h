// compiler/import/export.h: weights of a model of ours as a state dict of PyTorch.
//
//   auto state = recurve::ExportPyTorch(graph, weights, {.stack = {{"forward1", "backward1"}, {"forward2",
//   "backward2"}}}); WriteWeights("model.safetensors", *state); # in PyTorch:
//   module.load_state_dict(safetensors.torch.load_file("model.safetensors"))
//
// What a cell is called says nothing about what it computes, so that one step of every scan is computed both by the
// graph and by the formulas of nn.LSTM, nn.GRU and nn.RNN, and a scan is exported as what it agrees with. Gates stand
// in the same order there and here (i f g o; r z n). An LSTM's or an RNN's one bias becomes bias_ih, and bias_hh is
// zero. Source: the PyTorch reference of torch.nn.LSTM, GRU and RNN.

#ifndef RECURVE_COMPILER_IMPORT_EXPORT_H_
#define RECURVE_COMPILER_IMPORT_EXPORT_H_

#include <expected>
#include <map>
#include <string>
#include <vector>

#include "ir/graph.h"
#include "runtime/error.h"
#include "runtime/weights.h"

namespace recurve {

struct ExportOptions {
  // The scans of one module, layer by layer, forward and perhaps backward; each other scan becomes a module of its own
  // with its name. Empty: `layer0`, `layer0_reverse`, `layer1`, ..., which is what Import calls them, are one module.
  std::vector<std::vector<std::string>> stack;
  std::string module;                         // the name of that module, e.g. "lstm"; empty: the state dict is its own
  std::map<std::string, std::string> rename;  // of other parameters, e.g. {"P", "linear.weight"}
};

// The parameters under PyTorch's names. Fails, and says why, at a scan that is no module of PyTorch, at a name that
// does not exist, and where weights are missing.
std::expected<WeightFile, Error> ExportPyTorch(const ir::Graph& model, const WeightFile& weights,
                                               const ExportOptions& options = {});

}  // namespace recurve

#endif  // RECURVE_COMPILER_IMPORT_EXPORT_H_

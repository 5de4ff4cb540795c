// compiler/import/pytorch.cpp: state dicts of nn.RNN, nn.LSTM and nn.GRU, whose names say all but the nonlinearity.
//
// Names: PREFIX.weight_ih_l0, weight_hh_l0, bias_ih_l0, bias_hh_l0, with `_reverse` behind for the other direction and
// weight_hr_l0 where an LSTM has a projection; PREFIX.weight and PREFIX.bias of a linear layer. Source: the PyTorch
// reference of torch.nn.LSTM, GRU and RNN, "Variables".

#include <fmt/format.h>

#include <optional>
#include <set>

#include "compiler/import/network.h"

namespace recurve {
namespace {

using Result = std::expected<Imported, Error>;

class StateDict {
 public:
  StateDict(const WeightFile& file, std::string_view name, const ImportOptions& options)
      : file_(file), name_(name), options_(options) {}

  Result Read() {
    for (const WeightTensor& tensor : file_.tensors) {
      const size_t at = tensor.name.rfind("weight_ih_l0");
      if (at == std::string::npos || at + std::string_view("weight_ih_l0").size() != tensor.name.size()) continue;
      if (prefix_)
        return Fail(fmt::format("both `{}` and `{}` are recurrent modules", *prefix_, tensor.name.substr(0, at)));
      prefix_ = tensor.name.substr(0, at);
    }
    if (!prefix_) return Fail("no tensor is called `weight_ih_l0`: it is no state dict of nn.RNN, nn.LSTM or nn.GRU");
    Network network{.name = options_.name,
                    .origin = fmt::format("a state dict of PyTorch, {}", name_),
                    .has_lengths = options_.has_lengths};
    for (int layer = 0; file_.Find(*prefix_ + fmt::format("weight_ih_l{}", layer)) != nullptr; ++layer) {
      auto read = ReadLayer(layer);
      if (!read) return std::unexpected(read.error());
      network.layers.push_back({.recurrent = *std::move(read), .dense = {}});
    }
    network.inputs = network.layers.front().recurrent->forward->input.columns;
    if (auto done = ReadDense(network); !done) return std::unexpected(done.error());
    for (const WeightTensor& tensor : file_.tensors) {
      if (!used_.contains(tensor.name)) return Fail(fmt::format("nothing is known of the tensor `{}`", tensor.name));
    }
    return WriteNetwork(network);
  }

 private:
  std::unexpected<Error> Fail(const std::string& flaw) const {
    return std::unexpected(Error{fmt::format("cannot import `{}`: {}", name_, flaw)});
  }

  const WeightTensor* Find(const std::string& name) {
    used_.insert(name);
    return file_.Find(name);
  }

  std::expected<Matrix, Error> MatrixOf(const std::string& name) {
    const WeightTensor* tensor = Find(name);
    if (tensor == nullptr) return Fail(fmt::format("the tensor `{}` is missing", name));
    if (tensor->shape.size() != 2 || tensor->values.empty()) return Fail(fmt::format("`{}` is no matrix", name));
    return Matrix{tensor->shape[0], tensor->shape[1], tensor->values};
  }

  std::expected<RecurrentLayer, Error> ReadLayer(int layer) {
    RecurrentLayer result;
    const std::string suffix = fmt::format("_l{}", layer);
    auto forward = ReadDirection(suffix, result.kind);
    if (!forward) return std::unexpected(forward.error());
    result.forward = *std::move(forward);
    if (file_.Find(*prefix_ + "weight_ih" + suffix + "_reverse") == nullptr) return result;
    CellKind kind;
    auto backward = ReadDirection(suffix + "_reverse", kind);
    if (!backward) return std::unexpected(backward.error());
    if (kind != result.kind) return Fail(fmt::format("the directions of layer {} differ in kind", layer));
    result.backward = *std::move(backward);
    return result;
  }

  std::expected<Direction, Error> ReadDirection(const std::string& suffix, CellKind& kind) {
    auto input = MatrixOf(*prefix_ + "weight_ih" + suffix), state = MatrixOf(*prefix_ + "weight_hh" + suffix);
    if (!input) return std::unexpected(input.error());
    if (!state) return std::unexpected(state.error());
    Direction direction{.input = *std::move(input), .state = *std::move(state)};
    if (file_.Find(*prefix_ + "weight_hr" + suffix) != nullptr) {
      auto projection = MatrixOf(*prefix_ + "weight_hr" + suffix);
      if (!projection) return std::unexpected(projection.error());
      direction.projection = *std::move(projection);
    }
    const size_t rows = direction.input.rows;
    const size_t hidden = direction.projection ? direction.projection->columns : direction.state.columns;
    const size_t gates = rows % hidden == 0 ? rows / hidden : 0;
    if (gates != 1 && gates != 3 && gates != 4)
      return Fail(fmt::format("`{}weight_ih{}` has {} rows for {} units, which is no RNN, GRU or LSTM", *prefix_,
                              suffix, rows, hidden));
    kind = gates == 1 ? CellKind::kRnn : gates == 3 ? CellKind::kGru : CellKind::kLstm;
    if (kind == CellKind::kRnn && options_.relu) direction.candidate = "relu(a)";
    std::vector<double> biases[2] = {std::vector<double>(rows), std::vector<double>(rows)};
    const char* const names[2] = {"bias_ih", "bias_hh"};
    for (int b = 0; b < 2; ++b) {
      const WeightTensor* bias = Find(*prefix_ + names[b] + suffix);
      if (bias == nullptr) continue;  // bias=False
      if (bias->values.size() != rows)
        return Fail(fmt::format("`{}` has {} numbers and not {}", bias->name, bias->values.size(), rows));
      biases[b] = bias->values;
    }
    direction.bias = biases[0];
    if (kind == CellKind::kGru) {
      direction.state_bias = biases[1];
    } else {
      for (size_t i = 0; i < rows; ++i) direction.bias[i] += biases[1][i];
    }
    return direction;
  }

  // A linear layer behind, if there is one.
  std::expected<void, Error> ReadDense(Network& network) {
    std::string found;
    for (const WeightTensor& tensor : file_.tensors) {
      if (!tensor.name.ends_with(".weight") || tensor.name.starts_with(*prefix_ + "weight_")) continue;
      if (!found.empty()) return Fail(fmt::format("both `{}` and `{}` would stand behind", found, tensor.name));
      found = tensor.name;
    }
    if (found.empty()) return {};
    auto weight = MatrixOf(found);
    if (!weight) return std::unexpected(weight.error());
    DenseLayer dense{.weight = *std::move(weight)};
    const std::string bias_name = found.substr(0, found.size() - std::string_view("weight").size()) + "bias";
    if (const WeightTensor* bias = Find(bias_name)) dense.bias = bias->values;
    network.layers.push_back({.recurrent = {}, .dense = std::move(dense)});
    return {};
  }

  const WeightFile& file_;
  std::string name_;
  const ImportOptions& options_;
  std::optional<std::string> prefix_;
  std::set<std::string> used_;
};

}  // namespace

std::expected<Imported, Error> ImportPyTorch(const WeightFile& file, std::string_view name,
                                             const ImportOptions& options) {
  return StateDict(file, name, options).Read();
}

}  // namespace recurve

// compiler/import/rtneural.cpp: RTNeural's JSON, with the weights of Keras, or a state dict of PyTorch as JSON.
//
// Keras keeps [inputs, gates*units], orders an LSTM's gates i f c o and a GRU's z r h, and gives a GRU that resets
// after the product two rows of biases. Sources: RTNeural's model loader and its Python exporters; the Keras reference
// of LSTM and GRU.

#include "compiler/import/json_reader.h"

namespace recurve {
namespace {

// "tanh" as a formula; an Error at the place of an activation that nobody knows.
std::expected<Activation, Error> ActivationOf(const JsonPlace& layer) {
  if (!layer.Has("activation")) return "a";
  auto place = layer.At("activation");
  auto name = place->Text();
  if (!name) return std::unexpected(name.error());
  if (name->empty() || *name == "linear") return "a";
  for (const char* known : {"tanh", "relu", "sigmoid", "softmax", "softplus"}) {
    if (*name == known) return *name + "(a)";
  }
  if (*name == "elu") return "select(a < 0, expm1(a), a)";
  return place->Fail(fmt::format("is `{}`, which is not known", *name));
}

std::expected<RecurrentLayer, Error> ReadRecurrent(const JsonPlace& layer, CellKind kind) {
  auto weights = layer.At("weights");
  if (!weights) return std::unexpected(weights.error());
  auto matrix = [&](size_t at) { return Then(weights->At(at), [](const JsonPlace& place) { return place.Rows(); }); };
  auto input = matrix(0), state = matrix(1);
  if (!input) return std::unexpected(input.error());
  if (!state) return std::unexpected(state.error());
  Direction direction{.input = input->Transposed(), .state = state->Transposed()};
  const size_t rows = direction.input.rows, hidden = direction.state.columns;
  if (rows != GatesOf(kind) * hidden || direction.state.rows != rows)
    return weights->Fail(fmt::format("are of {} and {} rows for {} units", rows, direction.state.rows, hidden));
  auto bias = weights->At(2);
  if (!bias) return std::unexpected(bias.error());
  if (kind == CellKind::kLstm) {
    auto numbers = bias->Numbers();
    if (!numbers) return std::unexpected(numbers.error());
    direction.bias = *std::move(numbers);
    return RecurrentLayer{.kind = kind, .forward = std::move(direction), .backward = {}};
  }
  auto biases = bias->Rows();
  if (!biases) return std::unexpected(biases.error());
  if (biases->rows != 2 || biases->columns != rows) return bias->Fail(fmt::format("is not [2, {}]", rows));
  const std::vector<size_t> order = {1, 0, 2};
  auto reordered = [&](size_t row) {
    return Reordered(Matrix{rows, 1, biases->Rows(row, row + 1).values}, hidden, order).values;
  };
  direction.input = Reordered(direction.input, hidden, order);
  direction.state = Reordered(direction.state, hidden, order);
  direction.bias = reordered(0);
  direction.state_bias = reordered(1);
  return RecurrentLayer{.kind = kind, .forward = std::move(direction), .backward = {}};
}

std::expected<DenseLayer, Error> ReadDense(const JsonPlace& layer) {
  auto weights = layer.At("weights");
  if (!weights) return std::unexpected(weights.error());
  auto weight = Then(weights->At(0), [](const JsonPlace& place) { return place.Rows(); });
  if (!weight) return std::unexpected(weight.error());
  auto activation = ActivationOf(layer);
  if (!activation) return std::unexpected(activation.error());
  DenseLayer dense{.weight = weight->Transposed(), .bias = {}, .activation = *std::move(activation)};
  if (weights->size() < 2) return dense;
  auto bias = Then(weights->At(1), [](const JsonPlace& place) { return place.Numbers(); });
  if (!bias) return std::unexpected(bias.error());
  dense.bias = *std::move(bias);
  return dense;
}

std::expected<Layer, Error> ReadLayer(const JsonPlace& layer) {
  auto place = layer.At("type");
  auto type = Then(place, [](const JsonPlace& at) { return at.Text(); });
  if (!type) return std::unexpected(type.error());
  if (*type == "dense" || *type == "time-distributed-dense") {
    auto dense = ReadDense(layer);
    if (!dense) return std::unexpected(dense.error());
    return Layer{.recurrent = {}, .dense = *std::move(dense)};
  }
  if (*type != "lstm" && *type != "gru")
    return place->Fail(fmt::format("is `{}`; lstm, gru and dense are known", *type));
  auto recurrent = ReadRecurrent(layer, *type == "lstm" ? CellKind::kLstm : CellKind::kGru);
  if (!recurrent) return std::unexpected(recurrent.error());
  return Layer{.recurrent = *std::move(recurrent), .dense = {}};
}

// {"lstm.weight_ih_l0": [[...]], ...}, itself or as `state_dict`.
std::expected<Imported, Error> ReadStateDict(const JsonPlace& dict, std::string_view name,
                                             const ImportOptions& options) {
  WeightFile file;
  for (const auto& [key, value] : dict.json().items()) {
    auto place = dict.At(key);
    if (!place) return std::unexpected(place.error());
    const bool is_matrix = value.is_array() && !value.empty() && value.front().is_array();
    if (!is_matrix) {
      auto numbers = place->Numbers();
      if (!numbers) return std::unexpected(numbers.error());
      const uint64_t count = numbers->size();
      file.tensors.push_back({key, {count}, ElementType::kF64, *std::move(numbers)});
      continue;
    }
    auto matrix = place->Rows();
    if (!matrix) return std::unexpected(matrix.error());
    file.tensors.push_back({key, {matrix->rows, matrix->columns}, ElementType::kF64, std::move(matrix->values)});
  }
  return ImportPyTorch(file, name, options);
}

}  // namespace

std::expected<Imported, Error> ImportJson(std::string_view bytes, std::string_view name, const ImportOptions& options) {
  auto json = JsonPlace::Parse(bytes, name);
  if (!json) return std::unexpected(json.error());
  const JsonPlace root(*json, name);
  if (root.Has("state_dict")) return ReadStateDict(*root.At("state_dict"), name, options);
  if (!root.Has("layers") && json->is_object()) return ReadStateDict(root, name, options);
  auto layers = root.At("layers");
  if (!layers) return std::unexpected(layers.error());
  if (layers->size() == 0) return layers->Fail("has no layer");
  Network network{
      .name = options.name, .origin = fmt::format("a model of RTNeural, {}", name), .has_lengths = options.has_lengths};
  for (size_t i = 0; i < layers->size(); ++i) {
    auto layer = Then(layers->At(i), ReadLayer);
    if (!layer) return std::unexpected(layer.error());
    network.layers.push_back(*std::move(layer));
  }
  const Layer& first = network.layers.front();
  network.inputs = first.recurrent ? first.recurrent->forward->input.columns : first.dense->weight.columns;
  network.adds_input = root.Has("in_skip") && (*json)["in_skip"].is_number() && (*json)["in_skip"] != 0;
  return WriteNetwork(network);
}

}  // namespace recurve

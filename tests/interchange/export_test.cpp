// tests/interchange/export_test.cpp: weights that go to PyTorch under its names, and what is no module of PyTorch.
//
// What import reads is checked against PyTorch's own results (import_test.cpp); here exported state dicts are imported
// again and must be the weights that they came from.

#include "compiler/import/export.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "compiler/compile.h"
#include "compiler/import/import.h"
#include "runtime/parameters.h"
#include "tests/support/graph_of.h"

namespace recurve {
namespace {

const std::string kGoldens = RECURVE_SOURCE_DIR "/tests/interchange/goldens/";

// A state dict of PyTorch, as a model of ours, and back: the same tensors under the same names. Two biases of an LSTM
// or an RNN come back as their sum and zero.
TEST(Export, GivesBackWhatWasImported) {
  for (const char* name : {"lstm_stacked", "lstm_bidirectional", "lstm_projected", "gru_bidirectional", "gru_lengths",
                           "lstm_lengths", "rnn_tanh", "rnn_relu"}) {
    const auto original = ReadWeights(kGoldens + name + ".safetensors");
    ASSERT_TRUE(original) << original.error().message;
    const std::string text = name;
    auto imported = ImportPyTorch(*original, name,
                                  {.name = "m", .has_lengths = text.ends_with("lengths"), .relu = text == "rnn_relu"});
    ASSERT_TRUE(imported) << imported.error().message;
    auto state = ExportPyTorch(GraphOf(imported->source, "m", {}), imported->weights);
    ASSERT_TRUE(state) << name << ": " << state.error().message;
    for (const WeightTensor& tensor : original->tensors) {
      const size_t at = std::min(tensor.name.find(".weight_"), tensor.name.find(".bias_"));
      const std::string own = at == std::string::npos ? tensor.name : tensor.name.substr(at + 1);
      const bool is_dense = own.ends_with(".weight") || own.ends_with(".bias");
      const WeightTensor* found = state->Find(is_dense ? "linear" + own.substr(own.rfind('.')) : own);
      ASSERT_NE(found, nullptr) << name << " " << own;
      EXPECT_EQ(found->shape, tensor.shape);
      const bool is_sum = own.find("bias_") != std::string::npos && !text.starts_with("gru");
      if (!is_sum) EXPECT_EQ(found->values, tensor.values) << name << " " << own;
    }
    // Read again: the same model and the same weights.
    auto again = ImportPyTorch(*state, name,
                               {.name = "m", .has_lengths = text.ends_with("lengths"), .relu = text == "rnn_relu"});
    ASSERT_TRUE(again) << again.error().message;
    EXPECT_EQ(again->source, imported->source);
    ASSERT_EQ(again->weights.tensors.size(), imported->weights.tensors.size());
    for (const WeightTensor& tensor : imported->weights.tensors)
      EXPECT_EQ(again->weights.Find(tensor.name)->values, tensor.values) << name << " " << tensor.name;
  }
}

WeightFile Drawn(const ir::Graph& graph) {
  auto program = CompileToMemory(graph, {.gradients = false});
  EXPECT_TRUE(program) << program.error().message;
  Parameters parameters(*program);
  EXPECT_TRUE(parameters.Initialize(3));
  return Collect(parameters);
}

std::vector<std::string> Names(const WeightFile& file) {
  std::vector<std::string> names;
  for (const WeightTensor& tensor : file.tensors) names.push_back(tensor.name);
  std::ranges::sort(names);
  return names;
}

constexpr const char* kClassifier =
    "model m(H) {\n  input word: int[7] over S by n\n  param table: [7, 4], P: [3, 2*H]\n  x = table[word]\n"
    "  f1 = scan lstm(H=H) over x\n  b1 = reverse scan lstm(H=H) over x\n  y = concat(f1, b1)\n"
    "  f2 = scan lstm(H=H) over y\n  b2 = reverse scan lstm(H=H) over y\n  output P @ concat(f2.state.h, "
    "b2.state.h)\n}\n";

TEST(Export, StacksScansIntoOneModule) {
  const ir::Graph graph = GraphOf(kClassifier, "m", {{"H", 5}});
  const auto state = ExportPyTorch(graph, Drawn(graph),
                                   {.stack = {{"f1", "b1"}, {"f2", "b2"}},
                                    .module = "lstm",
                                    .rename = {{"P", "linear.weight"}, {"table", "embedding.weight"}}});
  ASSERT_TRUE(state) << state.error().message;
  std::vector<std::string> expected = {"embedding.weight", "linear.weight"};
  for (const char* layer : {"0", "0_reverse", "1", "1_reverse"}) {
    for (const char* part : {"weight_ih", "weight_hh", "bias_ih", "bias_hh"})
      expected.push_back(fmt::format("lstm.{}_l{}", part, layer));
  }
  std::ranges::sort(expected);
  EXPECT_EQ(Names(*state), expected);
}

// A cell of one's own, with names and equations of one's own, that is an LSTM; and each scan a module.
TEST(Export, LooksAtWhatACellComputes) {
  const ir::Graph graph = GraphOf(
      "cell mine(I, H) {\n  input x: [I]\n  state h: [H], c: [H]\n  param W: [4*H, I], U: [4*H, H], b: [4*H]\n"
      "  z = U @ h + (b + W @ x)\n  remember = 1 / (1 + exp(-z[H:2*H]))\n"
      "  c' = tanh(z[2*H:3*H]) * sigmoid(z[0:H]) + c * remember\n  h' = tanh(c') * sigmoid(z[3*H:])\n  output h'\n}\n"
      "model m(H) {\n  input x: [3] over T\n  a = scan mine(H=H) over x\n  b = scan elman(H=H) over a\n  output b\n}\n",
      "m", {{"H", 4}});
  const auto state = ExportPyTorch(graph, Drawn(graph));
  ASSERT_TRUE(state) << state.error().message;
  EXPECT_NE(state->Find("a.weight_ih_l0"), nullptr);
  EXPECT_NE(state->Find("b.bias_hh_l0"), nullptr);
  EXPECT_EQ(state->tensors.size(), 8u);
}

TEST(Export, SaysWhatPyTorchHasNot) {
  auto message = [](const std::string& source, const ExportOptions& options = {}) {
    const ir::Graph graph = GraphOf(source, "m", {{"H", 4}});
    return ExportPyTorch(graph, Drawn(graph), options).error().message;
  };
  auto model = [](const std::string& cell) {
    return fmt::format("model m(H) {{\n  input x: [3] over T\n  y = scan {}(H=H) over x\n  output y\n}}\n", cell);
  };
  EXPECT_EQ(
      message(model("peephole_lstm")).find("cannot export `m`: `y` computes what no module of PyTorch does; those"),
      0u);
  // An LSTM whose gates stand in another order has the same shapes.
  const std::string other =
      "cell other(I, H) {\n  input x: [I]\n  state h: [H], c: [H]\n  param W: [4*H, I], U: [4*H, H], b: [4*H]\n"
      "  f, i, g, o = split(W @ x + U @ h + b, 4)\n  c' = sigmoid(f) * c + sigmoid(i) * tanh(g)\n"
      "  h' = sigmoid(o) * tanh(c')\n  output h'\n}\n";
  EXPECT_EQ(message(other + model("other"))
                .find("cannot export `m`: `y` computes what no module of PyTorch does; from "
                      "nn.LSTM a step differs by"),
            0u);
  EXPECT_EQ(message(kClassifier, {.stack = {{"f1", "f2"}}}),
            "cannot export `m`: `f2` runs forward, which the second direction of a layer does not");
  EXPECT_EQ(message(kClassifier, {.stack = {{"f3"}}}), "cannot export `m`: there is no scan `f3`, only b1, b2, f1, f2");
  EXPECT_EQ(message(kClassifier, {.rename = {{"Q", "x"}}}),
            "cannot export `m`: there is no other parameter `Q` to rename");
  const ir::Graph graph = GraphOf(model("gru"), "m", {{"H", 4}});
  WeightFile file = Drawn(graph);
  std::erase_if(file.tensors, [](const WeightTensor& tensor) { return tensor.name == "y.d"; });
  EXPECT_EQ(ExportPyTorch(graph, file).error().message, "cannot export `m`: the weights have no `y.d`");
}

}  // namespace
}  // namespace recurve

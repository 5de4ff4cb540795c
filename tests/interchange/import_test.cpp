// tests/interchange/import_test.cpp: imported models compute what the programs that they come from computed.
//
// goldens/ holds models and results of PyTorch, ONNX Runtime, and of PyTorch's modules with their weights in the
// layouts of Keras (RTNeural) and Neural Amp Modeler; make_goldens.py made them. Whoever damages such a file gets a
// message.

#include "compiler/import/import.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "compiler/compile.h"
#include "frontend/frontend.h"
#include "runtime/file.h"
#include "runtime/session.h"

namespace recurve {
namespace {

const std::string kGoldens = RECURVE_SOURCE_DIR "/tests/interchange/goldens/";

struct Case {
  std::string file;
  bool has_lengths = false, relu = false;
  double f64 = 1e-10;  // how exactly the file and its golden hold their numbers

  ImportOptions options() const { return {.has_lengths = has_lengths, .relu = relu}; }
  std::string name() const { return file.substr(0, file.find('.')); }
};

// ONNX Runtime computes in f32.
const Case kCases[] = {
    {"lstm_stacked.safetensors"},
    {"lstm_bidirectional.safetensors"},
    {"lstm_projected.safetensors"},
    {"gru_bidirectional.safetensors"},
    {"gru_lengths.safetensors", /*has_lengths=*/true},
    {"lstm_lengths.safetensors", /*has_lengths=*/true},
    {"rnn_tanh.safetensors"},
    {"rnn_relu.safetensors", /*has_lengths=*/false, /*relu=*/true},
    {"onnx_lstm.onnx", false, false, 1e-6},
    {"onnx_lstm_lengths.onnx", false, false, 1e-6},
    {"onnx_gru_before.onnx", false, false, 1e-6},
    {"onnx_gru_after.onnx", false, false, 1e-6},
    {"onnx_rnn.onnx", false, false, 1e-6},
    {"rtneural_lstm.json"},
    {"rtneural_gru.json"},
    {"rtneural_pytorch.json"},
    {"amp.nam"},
};

WeightFile GoldenOf(const Case& row) {
  auto file = ReadWeights(kGoldens + row.name() + ".golden");
  EXPECT_TRUE(file) << file.error().message;
  return file ? *std::move(file) : WeightFile{};
}

// Largest difference, relative to the largest number; where sequences end sooner, of their steps alone.
double ErrorOf(const std::vector<double>& values, const std::vector<double>& expected,
               const std::vector<double>* lengths = nullptr, size_t steps = 1, size_t batch = 1) {
  EXPECT_EQ(values.size(), expected.size());
  double largest = 0, scale = 0;
  const size_t width = expected.size() / (steps * batch);
  for (size_t i = 0; i < expected.size(); ++i) {
    const size_t step = i / width / batch, row = i / width % batch;
    if (lengths != nullptr && static_cast<double>(step) >= (*lengths)[row]) continue;
    const double error = std::abs(values[i] - expected[i]);
    if (!(error <= largest)) largest = error;  // what is no number stays
    scale = std::max(scale, std::abs(expected[i]));
  }
  return largest / scale;
}

// The same a step at a time, from the states that the file says.
void ExpectStream(const std::shared_ptr<Parameters>& parameters, const WeightTensor& x, const std::vector<double>& y,
                  double tolerance) {
  const size_t steps = x.shape[0], batch = x.shape[1];
  Stream stream(parameters, batch);
  std::vector<double> seen;
  for (size_t t = 0; t < steps; ++t) {
    ASSERT_TRUE(stream.Set("x", std::span(x.values).subspan(t * batch, batch)));
    ASSERT_TRUE(stream.Step());
    const std::vector<double> step = *stream.Get("y");
    seen.insert(seen.end(), step.begin(), step.end());
  }
  EXPECT_LE(ErrorOf(seen, y), tolerance);
}

class Goldens : public testing::TestWithParam<Case> {};

TEST_P(Goldens, GiveTheSameResultsAndGradients) {
  const Case& row = GetParam();
  auto imported = Import(kGoldens + row.file, row.options());
  ASSERT_TRUE(imported) << imported.error().message;
  const frontend::LoadResult loaded = frontend::Load(row.file, imported->source);
  ASSERT_TRUE(loaded.program) << loaded.messages << imported->source;
  const frontend::BuildResult built = frontend::Build(*loaded.program, imported->entry, {});
  ASSERT_TRUE(built.graph) << built.messages;
  const WeightFile golden = GoldenOf(row);
  const WeightTensor& x = *golden.Find("x");
  const size_t steps = x.shape[0], batch = x.shape[1];
  const WeightTensor* lengths = golden.Find("lengths");

  for (Precision precision : {Precision::kF32, Precision::kF64}) {
    const double tolerance = precision == Precision::kF32 ? 1e-5 : row.f64;
    auto program = CompileToMemory(*built.graph, {.precision = precision});
    ASSERT_TRUE(program) << program.error().message;
    auto parameters = std::make_shared<Parameters>(*program);
    auto restored = Restore(*parameters, imported->weights);
    ASSERT_TRUE(restored) << restored.error().message;
    Session session(parameters);
    ASSERT_TRUE(session.SetExtent("T", steps));
    ASSERT_TRUE(session.SetExtent("B", batch));
    ASSERT_TRUE(session.Set("x", x.values));
    if (lengths != nullptr) ASSERT_TRUE(session.Set("lengths", lengths->values));
    ASSERT_TRUE(session.Forward());
    EXPECT_LE(ErrorOf(*session.Get("y"), golden.Find("y")->values, lengths ? &lengths->values : nullptr, steps, batch),
              tolerance);
    if (row.file.ends_with(".nam")) ExpectStream(parameters, x, golden.Find("y")->values, tolerance);
    if (golden.Find("y_adj") == nullptr) continue;
    ASSERT_TRUE(session.Set("y_adj", golden.Find("y_adj")->values));
    ASSERT_TRUE(session.Backward());
    EXPECT_LE(ErrorOf(*session.Get("x_adj"), golden.Find("x_adj")->values), tolerance);

    // Gradients under PyTorch's names are imported as weights are. What it keeps as two biases, of which each has the
    // whole gradient, is one of ours.
    WeightFile gradients;
    for (const WeightTensor& tensor : golden.tensors) {
      if (!tensor.name.starts_with("gradient:")) continue;
      WeightTensor renamed = tensor;
      renamed.name = tensor.name.substr(std::string_view("gradient:").size());
      gradients.tensors.push_back(std::move(renamed));
    }
    auto expected = ImportPyTorch(gradients, row.file, {.name = "gradients", .relu = row.relu});
    ASSERT_TRUE(expected) << expected.error().message;
    for (const WeightTensor& tensor : expected->weights.tensors) {
      std::vector<double> values = tensor.values;
      const bool is_sum = tensor.name.ends_with(".b") && row.file.find("gru") == std::string::npos;
      if (is_sum && row.file == "rnn_tanh.safetensors") continue;  // bias=False: there is no gradient
      if (is_sum) std::ranges::for_each(values, [](double& value) { value /= 2; });
      auto gradient = session.Get(tensor.name + "_adj");
      ASSERT_TRUE(gradient) << gradient.error().message;
      EXPECT_LE(ErrorOf(*gradient, values), tolerance) << tensor.name;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Files, Goldens, testing::ValuesIn(kCases), [](const auto& info) { return info.param.name(); });

// ---- Files that are not what they should be ------------------------------------------------------------------------

std::string MessageOf(const std::expected<Imported, Error>& imported) {
  return imported ? "" : imported.error().message;
}

TEST(Import, NamesWhatItDoesNotKnow) {
  struct Row {
    std::string bytes, message;
  };
  const Row json[] = {
      {"[", "it is no JSON"},
      {R"({"layers": []})", "`layers` has no layer"},
      {R"({"layers": [{"type": "conv1d"}]})", "`layers[0].type` is `conv1d`"},
      {R"({"layers": [{"type": "lstm", "weights": [[[1, 2]], [[1]], [1]]}]})",
       "`layers[0].weights` are of 2 and 1 rows"},
      {R"({"layers": [{"type": "dense", "activation": "gelu", "weights": [[[1]]]}]})",
       "`layers[0].activation` is `gelu`"},
      {R"({"layers": [{"type": "dense", "weights": [[[1], [2, 3]]]}]})",
       "`layers[0].weights[0]` has rows of different lengths"},
      {R"({"layers": [{"type": "dense", "weights": [[["a"]]]}]})",
       "`layers[0].weights[0][0]` has something else than numbers"},
  };
  for (const Row& row : json)
    EXPECT_THAT(MessageOf(ImportJson(row.bytes, "f.json", {.name = "m"})), testing::HasSubstr(row.message))
        << row.bytes;
  const Row nam[] = {
      {R"({"architecture": "WaveNet"})", "`architecture` is not `LSTM`"},
      {R"({"architecture": "LSTM", "config": {"input_size": 1, "hidden_size": 0, "num_layers": 1}})",
       "`config.hidden_size` is no number"},
      {R"({"architecture": "LSTM", "config": {"input_size": 1, "hidden_size": 1000000, "num_layers": 1000000}, "weights": [1]})",
       "`weights` has 1 numbers"},
  };
  for (const Row& row : nam)
    EXPECT_THAT(MessageOf(ImportNam(row.bytes, "f.nam", {.name = "m"})), testing::HasSubstr(row.message)) << row.bytes;
  EXPECT_THAT(MessageOf(ImportOnnx("", "f.onnx", {.name = "m"})), testing::HasSubstr("it is no ONNX model"));
  EXPECT_THAT(MessageOf(ImportPyTorch({}, "f.safetensors", {.name = "m"})), testing::HasSubstr("it is no state dict"));
}

TEST(Import, NamesTheNodeAndTheAttribute) {
  std::string bytes = *ReadFile(kGoldens + "onnx_lstm.onnx");
  const size_t at = bytes.find("hidden_size");
  bytes.replace(at, 11, "hidden_sizE");
  EXPECT_THAT(MessageOf(ImportOnnx(bytes, "f.onnx", {.name = "m"})),
              testing::HasSubstr("node `lstm` (LSTM): the attribute `hidden_sizE` is not known"));
}

// Found by tests/fuzz/import_fuzz.cpp.
TEST(Import, RefusesWhatAFuzzerFound) {
  for (const char* file : {"tensor_of_another_type.onnx", "slope_that_is_no_number.onnx"}) {
    const std::string bytes = *ReadFile(std::string(RECURVE_SOURCE_DIR) + "/tests/interchange/damaged/" + file);
    EXPECT_NE(MessageOf(ImportOnnx(bytes, file, {.name = "m"})), "") << file;
  }
}

// Damaged copies of all files: cut off, or with bytes replaced. Whatever comes of it is no crash, and what is imported
// can be read by the language.
TEST(Import, SurvivesDamage) {
  std::mt19937 random(7);
  int imported_count = 0, refused = 0;
  for (const Case& row : kCases) {
    const std::string whole = *ReadFile(kGoldens + row.file);
    for (int trial = 0; trial < 60; ++trial) {
      std::string bytes = whole;
      if (trial % 3 == 0) bytes.resize(random() % bytes.size());
      for (unsigned n = 0; n < random() % 6 && !bytes.empty(); ++n)
        bytes[random() % std::min<size_t>(bytes.size(), trial % 2 == 0 ? 200 : bytes.size())] =
            static_cast<char>(random());
      const ImportOptions options{.name = "m", .has_lengths = row.has_lengths, .relu = row.relu};
      std::expected<Imported, Error> imported = std::unexpected(Error{"damaged"});
      if (row.file.ends_with(".onnx")) imported = ImportOnnx(bytes, row.file, options);
      if (row.file.ends_with(".json")) imported = ImportJson(bytes, row.file, options);
      if (row.file.ends_with(".nam")) imported = ImportNam(bytes, row.file, options);
      if (row.file.ends_with(".safetensors")) {
        auto weights = ParseWeights(std::as_bytes(std::span(bytes)), row.file);
        if (weights) imported = ImportPyTorch(*weights, row.file, options);
      }
      if (!imported) {
        EXPECT_FALSE(imported.error().message.empty());
        ++refused;
        continue;
      }
      ++imported_count;
      const frontend::LoadResult loaded = frontend::Load("m", imported->source);
      EXPECT_TRUE(loaded.program) << loaded.messages << imported->source;
    }
  }
  EXPECT_GT(imported_count, 50);
  EXPECT_GT(refused, 300);
}

}  // namespace
}  // namespace recurve

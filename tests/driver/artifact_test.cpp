// tests/driver/artifact_test.cpp: objects with their weights inside, the examples beside them, and what they promise.

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "compiler/c_example.h"
#include "compiler/compile.h"
#include "compiler/jit.h"
#include "compiler/storage_error.h"
#include "runtime/session.h"
#include "runtime/weights.h"
#include "tests/support/graph_of.h"

namespace recurve {
namespace {

namespace fs = std::filesystem;

// A layer of a cell of the library, or of one whose states have a beginning of their own.
std::string CellModel(const std::string& cell) {
  const std::string begins =
      "cell begins(I, H) {\n  input x: [I]\n  state h: [H] = tanh(first), m: [H], k: [H] = 1\n"
      "  param first: [H] ~ normal(0, 1), W: [H, I], U: [H, H]\n  m' = 0.9 * m + x[0]\n  k' = 0.5 * k\n"
      "  h' = tanh(W @ x + U @ h + m' + k)\n  output h'\n}\n";
  return (cell == "begins" ? begins : "") +
         fmt::format(
             "model m(I, H) {{\n  input x: [I] over T\n  param P: [2, H], p: [2]\n  h = scan {}(H=H) over x\n"
             "  output P @ h + p\n}}\n",
             cell);
}

constexpr const char* kCells[] = {"elman",          "lstm",   "gru",   "gru_reset_before",
                                  "layernorm_lstm", "indrnn", "sru",   "mingru",
                                  "mogrifier_lstm", "slstm",  "begins"};

// A folder of the test's own, gone with it.
class Folder {
 public:
  Folder() {
    std::string name = (fs::temp_directory_path() / "recurve_artifact_XXXXXX").string();
    path_ = ::mkdtemp(name.data());
  }
  ~Folder() { fs::remove_all(path_); }
  fs::path operator/(const std::string& name) const { return path_ / name; }

 private:
  fs::path path_;
};

struct Outcome {
  int exit_code = -1;
  std::string output;
};

Outcome Run(const std::string& command) {
  Outcome outcome;
  FILE* pipe = ::popen((command + " 2>&1").c_str(), "r");
  for (char buffer[4096]; std::fgets(buffer, sizeof buffer, pipe) != nullptr;) outcome.output += buffer;
  outcome.exit_code = ::pclose(pipe);
  return outcome;
}

void Write(const fs::path& path, const std::string& contents) { std::ofstream(path, std::ios::binary) << contents; }

// Compiles the artifacts' example against them, strictly, and runs it.
Outcome RunExample(const Artifacts& artifacts, const std::string& language) {
  Folder folder;
  Write(folder / "m.o", artifacts.object);
  Write(folder / "m.h", artifacts.header);
  Write(folder / "example.c", CExample(artifacts.interface, "m.h"));
  Outcome built = Run(fmt::format("{} -x {} -Wall -Wextra -Wpedantic -Werror -c {} -o {}", RECURVE_C_COMPILER, language,
                                  (folder / "example.c").string(), (folder / "example.o").string()));
  if (built.exit_code != 0) return built;
  built = Run(fmt::format("{} {} {} -o {}", RECURVE_C_COMPILER, (folder / "example.o").string(),
                          (folder / "m.o").string(), (folder / "example").string()));
  return built.exit_code != 0 ? built : Run((folder / "example").string());
}

TEST(Example, CallsEveryEntryOfACell) {
  for (const char* cell : kCells) {
    const ir::Graph graph = GraphOf(CellModel(cell), "m", {{"I", 3}, {"H", 7}});
    auto artifacts = CompileToObject(graph);
    ASSERT_TRUE(artifacts) << artifacts.error().message;
    for (const char* language : {"c -std=c99", "c++ -std=c++98"}) {
      const Outcome outcome = RunExample(*artifacts, language);
      EXPECT_EQ(outcome.exit_code, 0) << cell << ": " << outcome.output;
      for (const char* entry :
           {"parameter P of rank 2", "forward: y", "backward: x_adj", "backward: P_adj", "inference: y"})
        EXPECT_NE(outcome.output.find(entry), std::string::npos) << cell << ": " << outcome.output;
      EXPECT_EQ(outcome.output.find("nan"), std::string::npos) << outcome.output;
    }
  }
}

TEST(Example, OfIndicesAndLengths) {
  const ir::Graph graph = GraphOf(
      "model m(V, H) {\n  input tokens: int[V] over T by n, target: int[V] over T by n\n"
      "  param table: [V, H], P: [V, H]\n  h = scan lstm(H=H) over table[tokens]\n"
      "  loss cross_entropy(P @ h, target)\n}\n",
      "m", {{"V", 5}, {"H", 7}});
  auto artifacts = CompileToObject(graph);
  ASSERT_TRUE(artifacts) << artifacts.error().message;
  const Outcome outcome = RunExample(*artifacts, "c -std=c99");
  EXPECT_EQ(outcome.exit_code, 0) << outcome.output;
}

std::vector<double> Waves(size_t count) {
  std::vector<double> values(count);
  for (size_t i = 0; i < count; ++i) values[i] = std::sin(0.7 * static_cast<double>(i));
  return values;
}

struct Weighted : testing::TestWithParam<const char*> {
  // Weights of the model, and how the program that takes them as arguments answers to waves.
  void Prepare(const ir::Graph& graph, const CompileOptions& options) {
    auto program = CompileToMemory(graph, options);
    ASSERT_TRUE(program) << program.error().message;
    Session session(*program);
    ASSERT_TRUE(session.SetExtent("T", 5));
    ASSERT_TRUE(session.SetExtent("B", 3));
    ASSERT_TRUE(session.Initialize(11));
    ASSERT_TRUE(session.Set("x", Waves(5 * 3 * 3)));
    ASSERT_TRUE(session.Inference());
    expected = *session.Get("y");
    weights = Collect(*session.shared_parameters());
    Stream stream(session.shared_parameters());
    for (int t = 0; t < 8; ++t) {
      ASSERT_TRUE(stream.Set("x", std::vector<double>{t / 8.0, 0, 0}));
      ASSERT_TRUE(stream.Step());
      steps += fmt::format("step {}: y[0] = {:g}\n", t, (*stream.Get("y"))[0]);
    }
  }

  WeightFile weights;
  std::vector<double> expected;
  std::string steps;
};

TEST_P(Weighted, ObjectsGiveTheSameBits) {
  const ir::Graph graph = GraphOf(CellModel(GetParam()), "m", {{"I", 3}, {"H", 21}});
  for (Storage store : {Storage::kSame, Storage::kBf16}) {
    const CompileOptions options{.store = store, .gradients = false};
    ASSERT_NO_FATAL_FAILURE(Prepare(graph, options));
    auto artifacts = CompileToObject(graph, options, {.weights = &weights});
    ASSERT_TRUE(artifacts) << artifacts.error().message;
    EXPECT_EQ(artifacts->header.find("PACKED"), std::string::npos);
    auto code = LoadObject(artifacts->object, "m");
    ASSERT_TRUE(code) << code.error().message;
    auto program = Program::Wrap(code->program, code->keep_alive);
    ASSERT_TRUE(program) << program.error().message;
    Session session(*program);
    ASSERT_TRUE(session.SetExtent("T", 5));
    ASSERT_TRUE(session.SetExtent("B", 3));
    ASSERT_TRUE(session.Set("x", Waves(5 * 3 * 3)));
    auto ran = session.Inference();
    ASSERT_TRUE(ran) << ran.error().message;
    EXPECT_EQ(*session.Get("y"), expected);
  }
}

TEST_P(Weighted, StreamsNeedButAStateAndTheSameBits) {
  const ir::Graph graph = GraphOf(CellModel(GetParam()), "m", {{"I", 3}, {"H", 21}});
  CompileOptions options{.gradients = false};
  ASSERT_NO_FATAL_FAILURE(Prepare(graph, options));
  options.entries = {"step"};
  for (bool only_one : {false, true}) {
    options.plan.only_one = only_one;
    auto artifacts = CompileToObject(graph, options, {.weights = &weights});
    ASSERT_TRUE(artifacts) << artifacts.error().message;
    for (const char* language : {"c -std=c99", "c++ -std=c++98"}) {
      const Outcome outcome = RunExample(*artifacts, language);
      EXPECT_EQ(outcome.exit_code, 0) << outcome.output;
      EXPECT_EQ(outcome.output, steps) << GetParam();
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Cells, Weighted, testing::ValuesIn(kCells),
                         [](const auto& cell) { return std::string(cell.param); });

// Step by step it is what it is all at once, to the bit.
TEST(Streams, BeginWhereTheCellSays) {
  const ir::Graph graph = GraphOf(CellModel("begins"), "m", {{"I", 3}, {"H", 21}});
  auto program = CompileToMemory(graph, {.gradients = false});
  ASSERT_TRUE(program) << program.error().message;
  Session session(*program);
  ASSERT_TRUE(session.SetExtent("T", 5));
  ASSERT_TRUE(session.SetExtent("B", 2));
  ASSERT_TRUE(session.Initialize(11));
  const std::vector<double> x = Waves(5 * 2 * 3);
  ASSERT_TRUE(session.Set("x", x));
  ASSERT_TRUE(session.Inference());
  const std::vector<double> expected = *session.Get("y");
  Stream stream(session.shared_parameters(), 2);
  for (int sequence = 0; sequence < 2; ++sequence) {
    for (size_t t = 0; t < 5; ++t) {
      ASSERT_TRUE(stream.Set("x", std::span(x).subspan(t * 6, 6)));
      auto done = stream.Step();
      ASSERT_TRUE(done) << done.error().message;
      const std::vector<double> y = *stream.Get("y");
      EXPECT_TRUE(std::ranges::equal(y, std::span(expected).subspan(t * y.size(), y.size()))) << t;
    }
    ASSERT_TRUE(stream.Reset());
  }
}

TEST(Weights, ForAnotherMachineArePackedHere) {
  const ir::Graph graph = GraphOf(CellModel("lstm"), "m", {{"I", 3}, {"H", 16}});
  auto program = CompileToMemory(graph, {.gradients = false});
  ASSERT_TRUE(program);
  Parameters parameters(*program);
  ASSERT_TRUE(parameters.Initialize(1));
  const WeightFile weights = Collect(parameters);
  const CompileOptions options{.target = {.triple = "thumbv7em-none-eabihf", .cpu = "cortex-m4"},
                               .gradients = false,
                               .entries = {"step"},
                               .plan = {.only_one = true}};
  auto artifacts = CompileToObject(graph, options, {.weights = &weights});
  ASSERT_TRUE(artifacts) << artifacts.error().message;
  EXPECT_LT(artifacts->report.text_bytes, 2048u);
  EXPECT_GE(artifacts->interface.constant_bytes, 4u * (16 * 3 + 16 * 16) * 4);
}

// bf16 has 8 bits, f16 has 11: the error of outputs is near that of a weight, and not nothing.
TEST(Weights, OfSixteenBitsErrAsFarAsTheyAreRounded) {
  const ir::Graph graph = GraphOf(CellModel("lstm"), "m", {{"I", 3}, {"H", 21}});
  double errors[2];
  const Storage stores[2] = {Storage::kBf16, Storage::kF16};
  for (int i = 0; i < 2; ++i) {
    auto measured = MeasureStorage(graph, {.store = stores[i]}, nullptr);
    ASSERT_TRUE(measured) << measured.error().message;
    const auto y = std::ranges::find(*measured, "y", &StorageError::output);
    ASSERT_NE(y, measured->end());
    errors[i] = y->root_mean_square;
  }
  EXPECT_GT(errors[0], 1e-5);
  EXPECT_LT(errors[0], 1.0 / 128);
  EXPECT_GT(errors[1], 1e-6);
  EXPECT_LT(errors[1], errors[0] / 3);
}

TEST(Weights, ThatAreMissingAreNamed) {
  const ir::Graph graph = GraphOf(CellModel("lstm"), "m", {{"I", 3}, {"H", 16}});
  const WeightFile weights;
  auto artifacts = CompileToObject(graph, {.gradients = false}, {.weights = &weights});
  ASSERT_FALSE(artifacts);
  EXPECT_THAT(artifacts.error().message, testing::HasSubstr("`P`"));
}

}  // namespace
}  // namespace recurve

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
#include "tests/support/commands.h"
#include "tests/support/graph_of.h"

namespace recurve {
namespace {

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

// Compiles the artifacts' example against them, strictly, and runs it.
Outcome RunExample(const Artifacts& artifacts, const std::string& language) {
  Folder folder;
  folder.Write("m.o", artifacts.object);
  folder.Write("m.h", artifacts.header);
  folder.Write("example.c", CExample(artifacts.interface, "m.h"));
  return Shell(
      fmt::format("cd {} && {} -x {} -Wall -Wextra -Wpedantic -Werror -c example.c -o example.o && "
                  "{} example.o m.o -o example && ./example",
                  folder.path().string(), RECURVE_C_COMPILER, language, RECURVE_C_COMPILER));
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

// A host in C with threads of its own: POSIX threads, started anew for every call, and a plain loop.
constexpr const char* kHostWithThreads = R"(
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "m.h"

enum { T = 6, B = 16, N = 4 };

struct job { void (*body)(void *, size_t); void *call; size_t i; };
static int parallel_calls;
static void *run_job(void *job) { struct job *j = job; j->body(j->call, j->i); return NULL; }
static void with_threads(const struct recurve_team *team, void (*body)(void *call, size_t i), void *call) {
  pthread_t threads[N];
  struct job jobs[N];
  size_t i;
  ++parallel_calls;
  for (i = 0; i < team->count; ++i) {
    jobs[i].body = body; jobs[i].call = call; jobs[i].i = i;
    pthread_create(&threads[i], NULL, run_job, &jobs[i]);
  }
  for (i = 0; i < team->count; ++i) pthread_join(threads[i], NULL);
}
static void in_turn(const struct recurve_team *team, void (*body)(void *call, size_t i), void *call) {
  size_t i;
  ++parallel_calls;
  for (i = 0; i < team->count; ++i) body(call, i);
}

static float x[T * B * 48], W[256 * 48], U[256 * 64], b[256], zeros[B * 64], y[3][T * B * 64];

int main(void) {
  void *packed = aligned_alloc(64, M_PACKED_BYTES), *workspace = aligned_alloc(64, m_workspace_bytes(T, B));
  struct recurve_team threads = {N, with_threads, NULL, NULL}, loop = {N, in_turn, NULL, NULL};
  const struct recurve_team *teams[3] = {NULL, &threads, &loop};
  struct m_pack_args pack = {.y_W = W, .y_U = U, .y_b = b, .packed = packed, .workspace = workspace};
  size_t i;
  for (i = 0; i < sizeof x / sizeof *x; ++i) x[i] = (float)(i % 7) / 7;
  for (i = 0; i < sizeof W / sizeof *W; ++i) W[i] = (float)((int)(i % 11) - 5) / 50;
  for (i = 0; i < sizeof U / sizeof *U; ++i) U[i] = (float)((int)(i % 13) - 6) / 50;
  m_pack(&pack);
  for (i = 0; i < 3; ++i) {
    struct m_inference_args args = {.T = T, .B = B, .x = x, .y_h0 = zeros, .y_c0 = zeros, .y_b = b, .y = y[i],
                                    .packed = packed, .workspace = workspace, .team = teams[i]};
    m_inference(&args);
  }
  printf("%d calls, %s\n", parallel_calls,
         memcmp(y[0], y[1], sizeof y[0]) || memcmp(y[0], y[2], sizeof y[0]) ? "bits differ" : "same bits");
  return 0;
}
)";

TEST(Object, RunsInAHostsThreads) {
  const ir::Graph graph =
      GraphOf("model m(I, H) {\n  input x: [I] over T\n  y = scan lstm(H=H) over x\n  output y\n}\n", "m",
              {{"I", 48}, {"H", 64}});
  // By units, with a barrier in every step, whatever that costs.
  auto artifacts = CompileToObject(graph, {.gradients = false, .plan = {.team = TeamChoice::kByUnits}});
  ASSERT_TRUE(artifacts) << artifacts.error().message;
  Folder folder;
  folder.Write("m.o", artifacts->object);
  folder.Write("m.h", artifacts->header);
  folder.Write("host.c", kHostWithThreads);
  EXPECT_EQ(folder.Run(fmt::format("{} -std=c11 -Wall -Wextra -Werror host.c m.o -pthread -o host && ./host",
                                   RECURVE_C_COMPILER)),
            "2 calls, same bits\n");
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

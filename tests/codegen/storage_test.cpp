// tests/codegen/storage_test.cpp: weights and tape in 16 bits. Arithmetic is that of f32 in the same order, so that
// what reads no tape has the very bits of an f32 program with rounded weights; gradients are those at a rounded tape.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "compiler/compile.h"
#include "compiler/gradcheck.h"
#include "compiler/jit.h"
#include "compiler/roundoff.h"
#include "frontend/frontend.h"
#include "runtime/session.h"
#include "tests/support/graph_of.h"
#include "tests/support/session_results.h"

namespace recurve {
namespace {

constexpr Storage kStorages[] = {Storage::kBf16, Storage::kF16};
constexpr const char* kCells[] = {"elman", "gru",    "gru_reset_before", "indrnn",        "layernorm_lstm", "lstm",
                                  "mgu",   "mingru", "mogrifier_lstm",   "peephole_lstm", "qrnn",           "slstm",
                                  "sru"};

Program Compiled(const ir::Graph& graph, Storage store) {
  auto program = CompileToMemory(graph, {.store = store});
  EXPECT_TRUE(program) << program.error().message;
  return *std::move(program);
}

using Values = std::map<std::string, std::vector<double>>;

// Parameters that are rounded to `rounded`, and arguments.
void FillRounded(Session& session, Storage rounded) {
  ASSERT_TRUE(session.Initialize(7));
  for (const recurve_slot* slot : session.program().parameters()) {
    auto values = session.Parameter<float>(slot->name);
    ASSERT_TRUE(values);
    for (float& value : *values) value = static_cast<float>(RoundToStorage(value, rounded));
  }
  FillArguments(session, 3);
}

enum class Part : uint8_t { kForward, kInference, kBackward };

Values ResultsOf(const Program& program, Storage rounded, size_t steps, size_t batch, Part part, size_t threads = 1) {
  Session session(program);
  EXPECT_TRUE(session.SetExtent("T", steps));
  EXPECT_TRUE(session.SetExtent("B", batch));
  FillRounded(session, rounded);
  if (threads > 1) session.UseTeam(*Team::Start(threads));
  EXPECT_TRUE(part == Part::kInference ? session.Inference() : session.Forward());
  if (part == Part::kBackward) EXPECT_TRUE(session.Backward());
  Values results;
  for (const recurve_slot* slot : session.tensors()) {
    const bool is_gradient = std::string_view(slot->name).ends_with("_adj");
    if (slot->kind == RECURVE_SLOT_OUTPUT && is_gradient == (part == Part::kBackward))
      results[slot->name] = *session.Get(slot->name);
  }
  EXPECT_FALSE(results.empty());
  return results;
}

Values Steps(const Program& program, Storage rounded, size_t batch) {
  auto parameters = std::make_shared<Parameters>(program);
  Session session(parameters);
  EXPECT_TRUE(session.SetExtent("T", 1));
  EXPECT_TRUE(session.SetExtent("B", batch));
  FillRounded(session, rounded);
  Stream stream(parameters, batch);
  for (int t = 0; t < 3; ++t) {
    EXPECT_TRUE(stream.Set("x", *session.Get("x")));
    EXPECT_TRUE(stream.Step());
  }
  Values results;
  results["y"] = *stream.Get("y");
  return results;
}

class LibraryCells : public testing::TestWithParam<const char*> {};

TEST_P(LibraryCells, WithoutTapeHaveTheBitsOfF32WithRoundedWeights) {
  for (int64_t units : {9, 40}) {
    const ir::Graph graph = LibraryCell(GetParam(), 5, units);
    const Program full = Compiled(graph, Storage::kSame);
    for (Storage store : kStorages) {
      const Program program = Compiled(graph, store);
      for (size_t batch : {1, 5}) {
        for (Part part : {Part::kForward, Part::kInference})
          EXPECT_EQ(ResultsOf(program, store, 6, batch, part), ResultsOf(full, store, 6, batch, part))
              << "batch " << batch;
        EXPECT_EQ(Steps(program, store, batch), Steps(full, store, batch)) << "batch " << batch;
      }
    }
  }
}

TEST_P(LibraryCells, GradientsDifferByWhatRoundingTheTapeExplains) {
  for (int64_t units : {9, 33}) {
    const ir::Graph graph = LibraryCell(GetParam(), 5, units);
    for (Storage store : kStorages) {
      const Program program = Compiled(graph, store);
      for (int64_t batch : {1, 5}) {
        const Trial trial = MakeTrial(graph, {{"T", 6}, {"B", batch}}, 11, store);
        auto compiled = ErrorsOf(program, trial, store);
        ASSERT_TRUE(compiled) << compiled.error().message;
        for (size_t k = 0; k < compiled->errors.size(); ++k)
          EXPECT_LE(compiled->errors[k], compiled->tolerances[k]) << trial.joint.outputs()[k].name;
      }
    }
  }
}

// The forward part in double, its tape rounded, then the backward part: what compiled code does but for the rounding of
// f32, which moves a few taped values to the neighbouring number. So it is far nearer to this than the rounding is
// large.
TEST_P(LibraryCells, GradientsAreThoseAtARoundedTape) {
  const ir::Graph graph = LibraryCell(GetParam(), 5, 20);
  for (Storage store : kStorages) {
    const Trial trial = MakeTrial(graph, {{"T", 6}, {"B", 4}}, 5, store);
    const Programs programs = Lower(graph, {.wrt = trial.wrt});
    std::map<std::string, ir::Tensor> values;
    for (size_t i = 0; i < trial.arguments.size(); ++i)
      values[trial.joint[trial.joint.inputs()[i]].As<ir::InputAttr>().name] = trial.arguments[i];
    for (const ir::Graph* part : {&programs.pack, &programs.forward, &programs.backward}) {
      std::vector<ir::Tensor> inputs;
      for (ir::NodeId id : part->inputs()) inputs.push_back(values.at((*part)[id].As<ir::InputAttr>().name));
      std::vector<ir::Tensor> outputs = ir::Interpret(*part, trial.sizes, inputs);
      for (size_t k = 0; k < outputs.size(); ++k) {
        const std::string& name = part->outputs()[k].name;
        if (name.starts_with("tape")) {
          for (double& value : outputs[k].values) value = RoundToStorage(value, store);
        }
        values[name] = std::move(outputs[k]);
      }
    }
    Session session(Compiled(graph, store));
    for (const auto& [axis, size] : trial.sizes) ASSERT_TRUE(session.SetExtent(axis, static_cast<size_t>(size)));
    for (const recurve_slot* slot : session.program().parameters())
      std::ranges::copy(values.at(slot->name).values, session.Parameter<float>(slot->name)->begin());
    for (const recurve_slot* slot : session.tensors()) {
      if (slot->kind != RECURVE_SLOT_OUTPUT) ASSERT_TRUE(session.Set(slot->name, values.at(slot->name).values));
    }
    ASSERT_TRUE(session.Forward());
    ASSERT_TRUE(session.Backward());
    double to_rounded = 0, to_exact = 0;  // sums of squares, in units of each gradient's own
    for (size_t k = graph.outputs().size(); k < trial.reference.size(); ++k) {
      const std::string& name = trial.joint.outputs()[k].name;
      const std::vector<double> computed = *session.Get(name);
      double scale = 0, rounded = 0, exact = 0;
      for (size_t i = 0; i < computed.size(); ++i) {
        scale += trial.reference[k].values[i] * trial.reference[k].values[i];
        rounded += std::pow(computed[i] - values.at(name).values[i], 2);
        exact += std::pow(computed[i] - trial.reference[k].values[i], 2);
      }
      if (scale == 0) continue;
      to_rounded += rounded / scale;
      to_exact += exact / scale;
    }
    EXPECT_GT(to_exact, 0);
    EXPECT_LT(std::sqrt(to_rounded), std::sqrt(to_exact) / 8);
  }
}

INSTANTIATE_TEST_SUITE_P(Storage, LibraryCells, testing::ValuesIn(kCells),
                         [](const auto& info) { return std::string(info.param); });

// Biases stay in full, so that only weights are rounded beforehand.
TEST(Storage, PackRoundsWeightsToTheNearest) {
  const ir::Graph graph = LibraryCell("gru", 5, 20);
  for (Storage store : kStorages) {
    const Program program = Compiled(graph, store);
    Session given(program), rounded(program);
    for (Session* session : {&given, &rounded}) {
      ASSERT_TRUE(session->SetExtent("T", 4));
      FillRounded(*session, Storage::kSame);
    }
    for (const recurve_slot* slot : program.parameters()) {
      if (slot->rank < 2) continue;
      for (float& value : *rounded.Parameter<float>(slot->name))
        value = static_cast<float>(RoundToStorage(value, store));
    }
    ASSERT_TRUE(given.Inference());
    ASSERT_TRUE(rounded.Inference());
    EXPECT_EQ(*given.Get("y"), *rounded.Get("y"));
  }
}

TEST(Storage, HalvesPanelsAndTape) {
  const ir::Graph graph = LibraryCell("lstm", 16, 64);
  // Of the tape what a step adds, since regions have a distance to each other.
  auto step_bytes = [](const recurve_program& descriptor) {
    const size_t short_sizes[] = {10, 4}, long_sizes[] = {11, 4};  // T, B
    return descriptor.tape_bytes(long_sizes) - descriptor.tape_bytes(short_sizes);
  };
  size_t full_packed = 0, full_tape = 0;
  for (Storage store : {Storage::kSame, Storage::kBf16, Storage::kF16}) {
    const Program program = Compiled(graph, store);
    const recurve_program& descriptor = program.descriptor();
    if (store == Storage::kSame) {
      full_packed = descriptor.packed_bytes;
      full_tape = step_bytes(descriptor);
    } else {
      EXPECT_EQ(descriptor.packed_bytes, full_packed / 2);
      EXPECT_EQ(step_bytes(descriptor), full_tape / 2);
    }
  }
}

TEST(Storage, IsPrintedWithThePlan) {
  auto text = PlanText(LibraryCell("lstm", 16, 64), {.store = Storage::kBf16});
  ASSERT_TRUE(text);
  EXPECT_NE(text->find("lanes] in bf16"), std::string::npos);
  EXPECT_NE(text->find("buffer tape0: tape 64*B*T in bf16"), std::string::npos);
}

TEST(Storage, GivesTheSameBitsForAnyNumberOfThreads) {
  const ir::Graph graph = LibraryCell("layernorm_lstm", 33, 40);
  for (Storage store : kStorages) {
    const Program program = Compiled(graph, store);
    for (Part part : {Part::kForward, Part::kBackward}) {
      const Values one = ResultsOf(program, Storage::kSame, 6, 9, part);
      for (size_t threads : {2, 3}) EXPECT_EQ(ResultsOf(program, Storage::kSame, 6, 9, part, threads), one) << threads;
    }
  }
}

TEST(Storage, OfAnObjectIsThatInMemory) {
  const ir::Graph graph = LibraryCell("lstm", 5, 20);
  for (Storage store : kStorages) {
    auto artifacts = CompileToObject(graph, {.store = store});
    ASSERT_TRUE(artifacts) << artifacts.error().message;
    EXPECT_NE(artifacts->header.find(store == Storage::kBf16 ? "hold bf16," : "hold f16,"), std::string::npos);
    auto code = LoadObject(artifacts->object, artifacts->interface.name);
    ASSERT_TRUE(code) << code.error().message;
    auto loaded = Program::Wrap(code->program, code->keep_alive);
    ASSERT_TRUE(loaded);
    const Program compiled = Compiled(graph, store);
    for (Part part : {Part::kForward, Part::kBackward})
      EXPECT_EQ(ResultsOf(*loaded, Storage::kSame, 6, 3, part), ResultsOf(compiled, Storage::kSame, 6, 3, part));
  }
}

// An object with a call that is not of the C library's memory functions is refused when it is written.
TEST(Storage, CallsNoLibraryOnAnyTarget) {
  const ir::Graph graph = LibraryCell("lstm", 5, 20);
  const TargetSpec targets[] = {{"x86_64-linux-gnu", "x86-64", ""},
                                {"x86_64-linux-gnu", "x86-64-v3", ""},
                                {"x86_64-linux-gnu", "x86-64-v4", ""},
                                {"aarch64-linux-gnu", "", ""},
                                {"riscv64-linux-gnu", "", ""},
                                {"riscv64-linux-gnu", "", "+v"},
                                {"riscv64-linux-gnu", "", "+v,+zvfhmin,+zfhmin"},
                                {"wasm32", "", ""},
                                {"thumbv7em-none-eabihf", "cortex-m4", ""},
                                {"thumbv7em-none-eabihf", "cortex-m7", ""},
                                {"thumbv8.1m.main-none-eabihf", "cortex-m55", ""},
                                {"armv7-linux-gnueabihf", "cortex-a7", "+neon"}};
  for (const TargetSpec& target : targets) {
    if (!MakeTarget(target)) continue;  // this LLVM is built without it
    for (Storage store : kStorages) {
      auto artifacts = CompileToObject(graph, {.store = store, .target = target});
      EXPECT_TRUE(artifacts) << target.triple << " " << target.cpu << ": " << artifacts.error().message;
    }
  }
}

TEST(Storage, InHalfTheBytesGoesWithF32Only) {
  auto program = CompileToMemory(LibraryCell("gru", 2, 3), {.precision = Precision::kF64, .store = Storage::kF16});
  ASSERT_FALSE(program);
  EXPECT_EQ(program.error().message, "f16 storage goes with f32 arithmetic, and this is f64");
}

}  // namespace
}  // namespace recurve

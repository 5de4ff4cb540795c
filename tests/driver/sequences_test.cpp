// tests/driver/sequences_test.cpp: whole models: random masks, sequences of different lengths, resets, delayed values.
//
// Each model goes through the witnesses of gradcheck; beside them stand the facts that no tolerance covers: masks and
// padding are bit for bit.

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include "compiler/compile.h"
#include "compiler/gradcheck.h"
#include "compiler/jit.h"
#include "ir/interpreter.h"
#include "runtime/random.h"
#include "runtime/session.h"
#include "tests/support/graph_of.h"
#include "tests/support/random_cell.h"

namespace recurve {
namespace {

using Numbers = std::vector<double>;
using Tensors = std::map<std::string, Numbers>;

Program Compiled(const ir::Graph& graph, const CompileOptions& options = {}) {
  auto program = CompileToMemory(graph, options);
  EXPECT_TRUE(program) << program.error().message;
  return *std::move(program);
}

// ---- Witnesses ---------------------------------------------------------------------------------------------------

struct Model {
  const char* name;
  const char* source;
};

constexpr Model kModels[] = {
    {"Dropout", R"(
model m(I, H) {
  input x: [I] over T, target: [H] over T
  param P: [H, H]
  a = scan gru(H=H) over dropout(x, 0.2)
  b = reverse scan gru(H=H) over dropout(a, 0.3)
  output y = P @ dropout(concat(a, b)[H:], 0.5)
  loss mse(y_of(a), target)
}
fn y_of(a) = dropout(a, 0.25))"},
    {"RecurrentDropout", R"(
cell noisy(I, H) {
  input x: [I]
  state h: [H], C: [2, H]
  param W: [H, I], U: [H, H], b: [H]
  n = tanh(dropconnect(W, 0.1) @ x + dropconnect(U, 0.25) @ variational_dropout(h, 0.3) + b)
  C' = dropout(0.5 * C + outer(b[:2], n), 0.4)
  h' = zoneout(n + sum(sum(C)), h, 0.1)
  output h'
}
model m(I, H) {
  input x: [I] over T
  y = scan noisy(H=H) over x
  output y
})"},
    {"Lengths", R"(
model m(I, H) {
  input x: [I] over T by n
  input target: int[H] over T
  input label: int[H]
  param P: [H, H], Q: [H, 2*H]
  a = scan lstm(H=H) over x
  b = reverse scan gru(H=H) over a
  logits = P @ b
  output logits, mean_over_steps(b), weights = softmax_over_steps(sum(a * b))
  loss cross_entropy(logits, target) + cross_entropy(Q @ concat(last(b), a.state.h), label)
})"},
    {"ResetsAndDelays", R"(
cell delayed(I, H) {
  input x: [I]
  state h: [H]
  param W: [H, I], V: [H, I], U: [H, H]
  h' = tanh(W @ x + V @ x[-2] + U @ h[-1] + 0.1 * step(x))
  output h'
}
cell conditioned(H) {
  input x: [H], z: [H]
  state h: [H] = h_first
  param h_first: [H], U: [H, H]
  h' = tanh(x * z + U @ h)
  output h'
}
model m(I, H) {
  input x: [I] over T, start: [] over T
  input z: [I]
  param P: [H, I]
  a = scan delayed(H=H) over x reset start > 0.3
  b = reverse scan conditioned(H=H) over a, P @ z reset start > 0.5
  c = scan delay over b
  output y = b + c, end = last(b)
})"},
    {"Attention", R"(
cell decoder(I, M, H) {
  input x: [I], memory: [M] over S
  state h: [H]
  param W: [H, I], U: [H, H], C: [H, M], A: [3, M], B: [3, H], v: [3] ~ uniform(-1, 1)
  context = bahdanau(memory, h, A, B, v)
  h' = tanh(W @ x + U @ h + C @ context)
  output h', context
}
cell dot_decoder(I, H) {
  input x: [I], memory: [H] over S
  state h: [H]
  param W: [H, I], U: [H, H]
  h' = tanh(W @ x + U @ h) + 0.1 * luong(memory, h, U) + exp(-length(memory)) * sum_over_steps(step(memory))
  output h'
}
model m(I, H) {
  input source: [I] over S by n
  input x: [I] over T by k, target: int[H] over T
  encoded = scan gru(H=H) over source
  a, b = scan decoder(H=H) over x, encoded
  c = reverse scan dot_decoder(H=H) over a, encoded
  output a, b, c
  loss cross_entropy(c, target)
})"},
    {"Losses", R"(
cell speaker(I, H) {
  input target: [I]
  state h: [H], said: [I]
  param W: [H, I], U: [H, H], P: [I, H]
  h' = tanh(W @ teacher_forced(target, said, 0.5) + U @ h)
  said' = softmax(P @ h')
  output said'
}
model m(I, H) {
  input x: [I] over T by n, k: int[I] over T, target: [I] over T
  y = scan speaker(H=H) over x
  output y
  loss mae(y, target) + huber(y, target, 0.4) + cross_entropy(y, k, 0.1) + soft_cross_entropy(y, 0.3 + target) +
    binary_cross_entropy(y, target) + 0 * correct(y, k)
})"},
};

class Witnesses : public testing::TestWithParam<std::tuple<Model, Precision>> {};

TEST_P(Witnesses, Agree) {
  const auto& [model, precision] = GetParam();
  for (int64_t units : {3, 9}) {
    if (units == 9 && precision == Precision::kF64) continue;
    const ir::Graph graph = GraphOf(model.source, "m", {{"I", 4}, {"H", units}});
    for (uint64_t seed : {1, 2}) {
      auto report = Gradcheck(graph, {.sizes = {{"T", 5}, {"B", 3}}, .seed = seed, .precision = precision});
      ASSERT_TRUE(report) << report.error().message;
      EXPECT_TRUE(report->passed()) << PrintReport(*report);
      for (const GradcheckRow& row : report->rows) EXPECT_LT(row.tolerance, 1e-2) << row.name;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Models, Witnesses,
                         testing::Combine(testing::ValuesIn(kModels),
                                          testing::Values(Precision::kF32, Precision::kF64)),
                         [](const auto& info) {
                           return fmt::format("{}In{}", std::get<0>(info.param).name,
                                              std::get<1>(info.param) == Precision::kF32 ? "F32" : "F64");
                         });

// ---- Masks -------------------------------------------------------------------------------------------------------

// Random numbers of every kind as outputs: of a sequence, in steps both ways, once a sequence, of a parameter.
constexpr std::string_view kMasks = R"(
cell masks(H) {
  input x: [H]
  state h: [2, H]
  param U: [H, H]
  h' = 0 * h + random(h)
  output steps = random(x), once = random_once(x), matrix = 0 * outer(x, x) + random(U), state_mask = h'
}
model m(H) {
  input x: [H] over T
  a, b, c, d = scan masks over x
  e, f, g, h = reverse scan masks over x
  output a, b, c, d, e, f, g, h, i = random(x), j = 0 * x + random_once(x), k = random(step(x))
})";

constexpr size_t kSteps = 9, kBatch = 5;
constexpr int64_t kWidth = 11;

// The outputs of an entry for a seed, x being 0.
Tensors MasksOf(const Program& program, double seed, size_t threads = 1) {
  Session session(program);
  EXPECT_TRUE(session.SetExtent("T", kSteps));
  EXPECT_TRUE(session.SetExtent("B", kBatch));
  EXPECT_TRUE(session.Set("seed", std::span(&seed, 1)));
  if (threads > 1) session.UseTeam(*Team::Start(threads));
  auto done = session.Forward();
  EXPECT_TRUE(done) << done.error().message;
  Tensors outputs;
  for (const recurve_slot* slot : session.tensors()) {
    if (slot->kind == RECURVE_SLOT_OUTPUT && !std::string_view(slot->name).ends_with("_adj"))
      outputs[slot->name] = *session.Get(slot->name);
  }
  return outputs;
}

Tensors InterpretedMasks(const ir::Graph& graph, double seed) {
  const ir::Bindings sizes = {{"T", kSteps}, {"B", kBatch}};
  std::vector<ir::Tensor> inputs;
  for (ir::NodeId id : graph.inputs()) {
    const bool is_seed = graph[id].As<ir::InputAttr>().name == "seed";
    inputs.push_back(ir::Tensor::Filled(ir::Extents(graph.type(id).shape, sizes), is_seed ? seed : 0));
  }
  std::vector<ir::Tensor> results = ir::Interpret(graph, sizes, inputs);
  Tensors outputs;
  for (size_t i = 0; i < results.size(); ++i) outputs[graph.outputs()[i].name] = results[i].values;
  return outputs;
}

TEST(Masks, AreTheSameBitsInEveryEngine) {
  const ir::Graph graph = GraphOf(std::string(kMasks), "m", {{"H", kWidth}});
  const double seeds[] = {0, 1, 16777215};
  std::vector<Tensors> expected;
  for (double seed : seeds) expected.push_back(InterpretedMasks(graph, seed));
  for (Precision precision : {Precision::kF32, Precision::kF64}) {
    for (TeamChoice team : {TeamChoice::kByRows, TeamChoice::kByUnits}) {
      const int64_t chunk_rows = team == TeamChoice::kByRows ? 7 : 100;
      const Program program =
          Compiled(graph, {.precision = precision, .plan = {.chunk_rows = chunk_rows, .team = team}});
      for (size_t i = 0; i < std::size(seeds); ++i) {
        for (size_t threads : {1, 3}) EXPECT_EQ(MasksOf(program, seeds[i], threads), expected[i]) << threads;
      }
    }
    auto artifacts = CompileToObject(graph, {.precision = precision});
    ASSERT_TRUE(artifacts) << artifacts.error().message;
    auto code = LoadObject(artifacts->object, artifacts->interface.name);
    ASSERT_TRUE(code) << code.error().message;
    EXPECT_EQ(MasksOf(*Program::Wrap(code->program, code->keep_alive), 1), expected[1]);
  }
}

TEST(Masks, ArePhiloxOfSeedSiteStepRowAndUnit) {
  const ir::Graph graph =
      GraphOf("model m(H) {\n  input x: [H] over T\n  output y = random(x), z = random(x)\n}\n", "m", {{"H", kWidth}});
  const Tensors masks = InterpretedMasks(graph, 77);
  size_t at = 0;
  for (uint32_t t = 0; t < kSteps; ++t) {
    for (uint32_t b = 0; b < kBatch; ++b) {
      for (uint32_t h = 0; h < kWidth; ++h, ++at) {
        EXPECT_EQ(masks.at("y")[at], (Philox({t, b, h, 0}, {77, 0})[0] >> 8) * 0x1p-24);
        EXPECT_EQ(masks.at("z")[at], (Philox({t, b, h, 0}, {77, 1})[0] >> 8) * 0x1p-24);
      }
    }
  }
}

TEST(Masks, DifferWithSeedSiteStepAndRow) {
  const ir::Graph graph = GraphOf(std::string(kMasks), "m", {{"H", kWidth}});
  const Tensors masks = InterpretedMasks(graph, 3), others = InterpretedMasks(graph, 4);
  std::map<Numbers, std::string> seen;
  for (const char* name : {"a", "b", "c", "e", "f", "g", "i", "j"}) {
    EXPECT_NE(masks.at(name), others.at(name)) << name;
    EXPECT_TRUE(seen.emplace(masks.at(name), name).second) << name << " is " << seen[masks.at(name)];
  }
  const auto row = [](const Numbers& values, size_t t, size_t b) {
    const auto begin = values.begin() + static_cast<ptrdiff_t>((t * kBatch + b) * kWidth);
    return Numbers(begin, begin + kWidth);
  };
  for (const char* steps : {"a", "e", "i"}) {
    EXPECT_NE(row(masks.at(steps), 0, 0), row(masks.at(steps), 1, 0)) << steps;
    EXPECT_NE(row(masks.at(steps), 0, 0), row(masks.at(steps), 0, 1)) << steps;
  }
  for (const char* once : {"b", "f", "j"}) {
    EXPECT_EQ(row(masks.at(once), 0, 0), row(masks.at(once), 1, 0)) << once;
    EXPECT_NE(row(masks.at(once), 0, 0), row(masks.at(once), 0, 1)) << once;
  }
}

constexpr std::string_view kDropped = R"(
model m(H) {
  input x: [H] over T, target: [H] over T
  a = scan gru(H=H) over MASK(x)
  b = scan gru(H=H) over MASK(a)
  output y = MASK(b)
  loss mse(y_of(b), target)
}
fn y_of(b) = b
)";

ir::Graph Dropped(const std::string& mask) {
  std::string source(kDropped);
  for (size_t at; (at = source.find("MASK")) != std::string::npos;) source.replace(at, 4, mask);
  return GraphOf(source + "fn keep(x) = x\nfn drop(x) = dropout(x, 0.3)\n", "m", {{"H", 8}});
}

TEST(Masks, AreNeverOnTheTape) {
  const Program dropped = Compiled(Dropped("drop")), kept = Compiled(Dropped("keep"));
  const size_t extents[] = {20, 4};
  // What is stored beside: the dropped value that a product reads, never more than one a `dropout`.
  const Programs programs = Lower(Dropped("drop"), {});
  for (const ir::Output& output : programs.forward.outputs()) {
    const ir::Op op = programs.forward[output.node].op;
    EXPECT_NE(op, ir::Op::kRandom) << output.name;
    EXPECT_NE(op, ir::Op::kLess) << output.name;
  }
  ASSERT_EQ(dropped.axes().size(), 2u);
  EXPECT_EQ(dropped.descriptor().tape_bytes(extents), kept.descriptor().tape_bytes(extents));
}

TEST(Masks, AreGoneInEvaluation) {
  const Program dropped = Compiled(Dropped("drop")), kept = Compiled(Dropped("keep"));
  EXPECT_EQ(kept.FindEntry("evaluate"), nullptr);
  for (const char* entry : {"inference", "step", "evaluate"}) {
    ASSERT_NE(dropped.FindEntry(entry), nullptr) << entry;
    EXPECT_EQ(Program::FindSlot(*dropped.FindEntry(entry), "seed"), nullptr) << entry;
  }
  EXPECT_NE(Program::FindSlot(*dropped.FindEntry("evaluate"), "loss"), nullptr);
  EXPECT_EQ(Program::FindSlot(*dropped.FindEntry("inference"), "loss"), nullptr);
  const auto run = [](const Program& program, bool evaluate, double seed) {
    Session session(program);
    EXPECT_TRUE(session.SetExtent("T", 6));
    EXPECT_TRUE(session.SetExtent("B", 2));
    EXPECT_TRUE(session.Initialize(5));
    EXPECT_TRUE(session.Fill("x", 0.7));
    if (seed >= 0 && session.FindTensor("seed") != nullptr) EXPECT_TRUE(session.Set("seed", std::span(&seed, 1)));
    auto done = evaluate ? session.Evaluate() : session.Inference();
    if (seed >= 0) done = session.Forward();
    EXPECT_TRUE(done) << done.error().message;
    Numbers result = *session.Get("y");
    if (evaluate) result.push_back(session.Get("loss")->front());
    return result;
  };
  EXPECT_EQ(run(dropped, false, -1), run(kept, false, -1));
  EXPECT_EQ(run(dropped, true, -1), run(kept, true, -1));
  EXPECT_NE(run(dropped, false, 1), run(kept, false, -1));
  EXPECT_NE(run(dropped, false, 1), run(dropped, false, 2));
  EXPECT_EQ(run(dropped, false, 2), run(dropped, false, 2));
}

TEST(Masks, DropTheShareThatIsAskedFor) {
  const ir::Graph graph =
      GraphOf("model m(H) {\n  input x: [H] over T\n  output y = dropout(1 + 0 * x, 0.3)\n}\n", "m", {{"H", 2000}});
  const Numbers y = InterpretedMasks(graph, 5).at("y");
  const double share = static_cast<double>(std::ranges::count(y, 0.0)) / static_cast<double>(y.size());
  // Five standard deviations.
  EXPECT_NEAR(share, 0.3, 5 * std::sqrt(0.3 * 0.7 / static_cast<double>(y.size())));
  for (double value : y) EXPECT_TRUE(value == 0 || value == 1 * (1 / (1 - 0.3)));
}

// ---- Lengths -----------------------------------------------------------------------------------------------------

// A stack of two random cells, in both directions, of sequences of different lengths, with all that follows from them.
ir::Graph RandomModel(uint64_t seed) {
  const RandomCell cell = MakeRandomCell(seed);
  frontend::LoadResult loaded = frontend::Load("cell", cell.source);
  EXPECT_TRUE(loaded.program) << loaded.messages;
  const ir::Graph alone = *frontend::Build(*loaded.program, "random", cell.extents).graph;
  std::string inputs, sequences;
  int64_t units = 0;
  const ir::ScanAttr* scan = nullptr;
  for (ir::NodeId id = 0; id < alone.size(); ++id) {
    if (alone[id].op == ir::Op::kScan) scan = &alone[id].As<ir::ScanAttr>();
  }
  for (ir::NodeId id : alone.inputs()) {
    const auto& input = alone[id].As<ir::InputAttr>();
    if (input.role != ir::Role::kData || input.name == "seed") continue;
    const std::string declared = "input " + input.name + ": ";
    const size_t at = cell.source.find(declared) + declared.size();
    inputs += fmt::format("{}{}: {} over T by n", inputs.empty() ? "" : ", ", input.name,
                          cell.source.substr(at, cell.source.find(']', at) + 1 - at));
    sequences += (sequences.empty() ? "" : ", ") + input.name;
  }
  std::string ends, targets, others;
  for (size_t i = scan->carries; i < scan->body->outputs().size(); ++i) {
    const std::string number = std::to_string(i);
    targets += (targets.empty() ? "a" : ", a") + number;
    others += (others.empty() ? "b" : ", b") + number;
    ends += fmt::format(", end{0} = last(a{0}), mean{0} = mean_over_steps(b{0})", number);
    units = static_cast<int64_t>(i);
  }
  const std::string source = fmt::format(
      "{}\nmodel m(I, H) {{\n  input {}\n  {} = scan random(I=I, H=H) over {}\n  {} = reverse scan random(I=I, H=H) "
      "over "
      "{}\n  output {}, {}{}\n  loss sum_of(a{})\n}}\nfn sum_of(a) = sin(3 * probe(a))\n",
      cell.source, inputs, targets, sequences, others, sequences, targets, others, ends, units);
  const bool scalar = scan->body->type(scan->body->outputs().back().node).shape.size() < 2;
  return GraphOf(source + (scalar ? "fn probe(a) = a\n" : "fn probe(a) = sum(a)\n"), "m", cell.extents);
}

// Outputs and gradients of sequences that are `steps` long at most, x being `filler` in what is padding.
Tensors PaddedResults(const Program& program, const Numbers& lengths, size_t steps, double filler, size_t threads = 1) {
  Session session(program);
  if (threads > 1) session.UseTeam(*Team::Start(threads));
  const size_t batch = lengths.size();
  EXPECT_TRUE(session.SetExtent("T", steps));
  EXPECT_TRUE(session.SetExtent("B", batch));
  EXPECT_TRUE(session.Initialize(7));
  EXPECT_TRUE(session.Set("n", lengths));
  const double seed = 9;
  if (session.FindTensor("seed") != nullptr) EXPECT_TRUE(session.Set("seed", std::span(&seed, 1)));
  for (const recurve_slot* slot : session.tensors()) {
    const bool given =
        slot->kind == RECURVE_SLOT_INPUT || slot->kind == RECURVE_SLOT_STATE || slot->kind == RECURVE_SLOT_ADJOINT;
    if (!given || slot->is_index) continue;
    Numbers values = *session.Get(slot->name);
    const std::string_view time = slot->rank > 0 && slot->dims[0] < 0 ? program.axes()[-1 - slot->dims[0]] : "none";
    const size_t step = time == "T" ? values.size() / steps : values.size(), row = std::max<size_t>(1, step / batch);
    for (size_t i = 0; i < values.size(); ++i) {
      const bool padding = time == "T" && static_cast<double>(i / step) >= lengths[i % step / row];
      values[i] = padding ? filler : std::sin(static_cast<double>(StreamOf(slot->name) % 97 + i * 37 % 101));
    }
    EXPECT_TRUE(session.Set(slot->name, values));
  }
  auto forward = session.Forward();
  EXPECT_TRUE(forward) << forward.error().message;
  auto backward = session.Backward();
  EXPECT_TRUE(backward) << backward.error().message;
  Tensors results;
  for (const recurve_slot* slot : session.tensors()) {
    if (slot->kind != RECURVE_SLOT_OUTPUT) continue;
    Numbers values = *session.Get(slot->name);
    // What stands in the padding is zero, and not compared beyond it.
    if (slot->rank > 0 && slot->dims[0] < 0 && std::string_view(program.axes()[-1 - slot->dims[0]]) == "T") {
      const size_t step = values.size() / steps, row = step / batch;
      for (size_t i = 0; i < values.size(); ++i) {
        if (static_cast<double>(i / step) >= lengths[i % step / row]) EXPECT_EQ(values[i], 0) << slot->name;
      }
      const auto longest = static_cast<size_t>(*std::ranges::max_element(lengths));
      values.resize(step * longest);
    }
    results[slot->name] = std::move(values);
  }
  return results;
}

TEST(Lengths, PaddingNeverChangesAResultOrAGradient) {
  constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
  for (uint64_t seed = 1; seed <= 12; ++seed) {
    SCOPED_TRACE(fmt::format("random cell {}", seed));
    const Program program =
        Compiled(RandomModel(seed), {.plan = {.chunk_rows = seed % 2 == 0 ? 15 : PlanChoices().chunk_rows,
                                              .team = seed % 3 == 0 ? TeamChoice::kByUnits : TeamChoice::kByRows}});
    const Numbers lengths = {4, 1, 6, 0, 5};
    Tensors expected = PaddedResults(program, lengths, 6, 0);
    struct Padding {
      size_t steps;
      double filler;
      size_t threads;
    };
    for (const auto& [steps, filler, threads] :
         {Padding{6, 0.6, 1}, Padding{6, kNaN, 1}, Padding{7, 0.6, 3}, Padding{13, -2.0, 2}}) {
      for (const auto& [name, values] : PaddedResults(program, lengths, steps, filler, threads)) {
        EXPECT_TRUE(values == expected[name]) << name << " of " << steps << " steps, padded with " << filler << ": "
                                              << fmt::format("{}\n{}", values, expected[name]);
      }
    }
    if (HasFailure()) break;
  }
}

// Every sequence alone and as long as it is gives what it gives among others.
TEST(Lengths, GiveWhatEverySequenceGivesAlone) {
  const ir::Graph graph = GraphOf(kModels[2].source, "m", {{"I", 3}, {"H", 4}});
  const Trial all = MakeTrial(graph, {{"T", 6}, {"B", 3}}, 5);
  std::vector<ir::Tensor> inputs(all.arguments.begin(),
                                 all.arguments.begin() + static_cast<ptrdiff_t>(graph.inputs().size()));
  const Numbers lengths = {2, 6, 5};
  auto input = [&](std::vector<ir::Tensor>& of, std::string_view name) -> ir::Tensor& {
    return of[static_cast<size_t>(std::ranges::find(graph.inputs(), graph.FindInput(name)) - graph.inputs().begin())];
  };
  input(inputs, "n").values = lengths;
  const std::vector<ir::Tensor> together = ir::Interpret(graph, {{"T", 6}, {"B", 3}}, inputs);
  for (int64_t b = 0; b < 3; ++b) {
    const auto steps = static_cast<int64_t>(lengths[static_cast<size_t>(b)]);
    // Row b of a tensor and its first steps.
    auto part = [&](const ir::Tensor& tensor, const ir::Shape& shape) {
      ir::Tensor result = tensor;
      const size_t at = std::ranges::find(shape, ir::Dim("B")) - shape.begin();
      if (at == shape.size()) return result;
      int64_t row = 1;
      for (size_t axis = at + 1; axis < shape.size(); ++axis) row *= tensor.shape[axis];
      result.values.clear();
      for (int64_t t = 0; t < (at == 0 ? 1 : steps); ++t) {
        const auto begin = tensor.values.begin() + (t * 3 + b) * row;
        result.values.insert(result.values.end(), begin, begin + row);
      }
      result.shape[at] = 1;
      if (at == 1) result.shape[0] = steps;
      return result;
    };
    std::vector<ir::Tensor> own;
    for (size_t i = 0; i < inputs.size(); ++i) own.push_back(part(inputs[i], graph.type(graph.inputs()[i]).shape));
    const std::vector<ir::Tensor> alone = ir::Interpret(graph, {{"T", steps}, {"B", 1}}, own);
    for (size_t k = 0; k < alone.size(); ++k) {
      const ir::Output& output = graph.outputs()[k];
      if (output.name == "loss") continue;
      const Numbers expected = part(together[k], graph.type(output.node).shape).values;
      for (size_t i = 0; i < expected.size(); ++i) EXPECT_NEAR(alone[k].values[i], expected[i], 1e-12) << output.name;
    }
  }
}

TEST(Lengths, AverageTheLossOverAllSteps) {
  const ir::Graph graph = GraphOf("model m() {\n  input x: [] over T by n\n  output y = x\n  loss x\n}\n", "m", {});
  const ir::Tensor x{{3, 2}, {1, 10, 2, 20, 4, 40}}, n{{2}, {3, 1}};
  const auto results = ir::Interpret(graph, {{"T", 3}, {"B", 2}}, std::vector<ir::Tensor>{x, n});
  EXPECT_EQ(results[0].values, (Numbers{1, 10, 2, 0, 4, 0}));
  EXPECT_EQ(results[1].values, (Numbers{(1 + 2 + 4 + 10) / 4.0}));
}

// ---- Places in a sequence ----------------------------------------------------------------------------------------

// Outputs of a graph without parameters for one sequence of numbers.
std::vector<ir::Tensor> OfNumbers(const std::string& source, const Numbers& x, const Numbers& r = {}) {
  const ir::Graph graph = GraphOf(source, "m", {});
  const auto steps = static_cast<int64_t>(x.size());
  std::vector<ir::Tensor> inputs;
  for (ir::NodeId id : graph.inputs()) {
    const std::string& name = graph[id].As<ir::InputAttr>().name;
    if (name == "x" || name == "r") {
      inputs.push_back({{steps, 1}, name == "x" ? x : r});
    } else {
      inputs.push_back(ir::Tensor::Filled(ir::Extents(graph.type(id).shape, {{"T", steps}, {"B", 1}}), 0));
    }
  }
  return ir::Interpret(graph, {{"T", steps}, {"B", 1}}, inputs);
}

TEST(Places, AreNumberedAndDelayed) {
  const auto results = OfNumbers(
      "cell c() {\n  input x: []\n  state s: []\n  s' = s + x\n"
      "  output number = step(x), earlier = x[-2], sum = s', before = s[-1]\n}\n"
      "model m() {\n  input x: [] over T\n  a, b, c, d = scan c over x\n  e, f, g, h = reverse scan c over x\n"
      "  output a, b, c, d, e, f, g, h, i = step(x), j = last(x), k = length(x)\n}\n",
      {1, 2, 4, 8});
  EXPECT_EQ(results[0].values, (Numbers{0, 1, 2, 3}));
  EXPECT_EQ(results[1].values, (Numbers{0, 0, 1, 2}));
  EXPECT_EQ(results[2].values, (Numbers{1, 3, 7, 15}));
  EXPECT_EQ(results[3].values, (Numbers{0, 0, 1, 3}));
  // A reverse scan's earlier steps are the later ones of the sequence.
  EXPECT_EQ(results[4].values, (Numbers{0, 1, 2, 3}));
  EXPECT_EQ(results[5].values, (Numbers{4, 8, 0, 0}));
  EXPECT_EQ(results[6].values, (Numbers{15, 14, 12, 8}));
  EXPECT_EQ(results[7].values, (Numbers{12, 8, 0, 0}));
  EXPECT_EQ(results[8].values, (Numbers{0, 1, 2, 3}));
  EXPECT_EQ(results[9].values, (Numbers{8}));
  EXPECT_EQ(results[10].values, (Numbers{4}));
}

TEST(Places, BeginAnewWhereTheyAreReset) {
  const auto results = OfNumbers(
      "cell c() {\n  input x: []\n  state s: [] = 100\n  s' = s + x\n  output s', earlier = x[-1]\n}\n"
      "model m() {\n  input x: [] over T, r: [] over T\n  a, b = scan c over x reset r\n"
      "  c, d = reverse scan c over x reset r\n  output a, b, c, d\n}\n",
      {1, 2, 4, 8}, {0, 0, 1, 0});
  EXPECT_EQ(results[0].values, (Numbers{101, 103, 104, 112}));
  EXPECT_EQ(results[1].values, (Numbers{0, 1, 0, 4}));
  EXPECT_EQ(results[2].values, (Numbers{107, 106, 104, 108}));
  EXPECT_EQ(results[3].values, (Numbers{2, 4, 0, 0}));
}

}  // namespace
}  // namespace recurve

// tests/codegen/kernel_test.cpp: what compiled kernels promise beside their values: the same bits for any number of
// rows and any split of a sequence into steps, null arguments, and every remainder of rows, units and terms.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "compiler/compile.h"
#include "compiler/gradcheck.h"
#include "ir/builder.h"
#include "runtime/session.h"
#include "tests/support/graph_of.h"
#include "tests/support/session_results.h"

namespace recurve {
namespace {

Program Compiled(const ir::Graph& graph, Precision precision = Precision::kF32) {
  auto program = CompileToMemory(graph, {.precision = precision});
  EXPECT_TRUE(program) << program.error().message;
  return *std::move(program);
}

// Sums that are left and continued, and whatever is fetched ahead. Where weights are not streamed, as in what is
// expected, tiles store the products of inputs themselves.
TEST(StreamedWeights, GiveTheSameBits) {
  for (const Sizes& sizes : {Sizes{33, 40, 6, 9}, Sizes{16, 64, 4, 35}, Sizes{50, 20, 3, 1}}) {
    for (const std::string cell : {"lstm", "gru_reset_before", "mogrifier_lstm", "separate gates"}) {
      const ir::Graph graph = cell == "separate gates" ? SeparateGates(sizes.inputs, sizes.units)
                                                       : LibraryCell(cell, sizes.inputs, sizes.units);
      const auto expected = ResultsWithTeam(Compiled(graph), sizes, 1);
      const CompileOptions options{.plan = {.most_weight_bytes = 4096}};
      const auto text = PlanText(graph, options);
      ASSERT_TRUE(text && text->contains("fetches the weights of the next units ahead"));
      for (const int64_t bytes : {1 << 13, 1 << 16}) {
        const auto program = CompileToMemory(graph, {.plan = {.most_weight_bytes = bytes}});
        ASSERT_TRUE(program) << program.error().message;
        for (const size_t threads : {1, 3}) EXPECT_TRUE(ResultsWithTeam(*program, sizes, threads) == expected) << cell;
      }
    }
  }
}

TEST(Entries, ForwardAloneSaysHowLargeItsTapeIs) {
  auto program = CompileToMemory(LibraryCell("lstm", 4, 8), {.entries = {"forward"}});
  ASSERT_TRUE(program) << program.error().message;
  ASSERT_NE(program->descriptor().tape_bytes, nullptr);
  const size_t extents[] = {3, 2};
  EXPECT_GT(program->descriptor().tape_bytes(extents), 0U);
}

// The first row of outputs and gradients, of a batch of equal rows.
std::map<std::string, std::vector<double>> FirstRow(const Program& program, size_t batch, size_t steps,
                                                    size_t threads) {
  Session session(program);
  EXPECT_TRUE(session.SetExtent("T", steps));
  EXPECT_TRUE(session.SetExtent("B", batch));
  EXPECT_TRUE(session.Initialize(7));
  // Values are [T, B, units] or [B, units].
  auto row_of = [&](const std::vector<double>& values, size_t times) {
    std::vector<double> row;
    const size_t width = values.size() / times / batch;
    for (size_t t = 0; t < times; ++t) {
      auto first = values.begin() + static_cast<ptrdiff_t>(t * batch * width);
      row.insert(row.end(), first, first + static_cast<ptrdiff_t>(width));
    }
    return row;
  };
  for (const recurve_slot* slot : session.tensors()) {
    if (slot->kind != RECURVE_SLOT_INPUT && slot->kind != RECURVE_SLOT_STATE && slot->kind != RECURVE_SLOT_ADJOINT)
      continue;
    std::vector<double> values = *session.Get(slot->name);
    const bool over_time =
        std::string_view(slot->name).starts_with("x") || std::string_view(slot->name).starts_with("y_");
    const size_t times = over_time ? steps : 1, width = values.size() / times / batch;
    for (size_t i = 0; i < values.size(); ++i) {
      const size_t t = i / (batch * width), unit = i % width;
      values[i] = static_cast<float>(std::sin(1.0 + 3.0 * static_cast<double>(t) + 0.7 * static_cast<double>(unit)));
    }
    EXPECT_TRUE(session.Set(slot->name, values));
  }
  if (threads > 1) session.UseTeam(*Team::Start(threads));
  std::map<std::string, std::vector<double>> rows;
  for (const auto& [name, values] : Results(session)) {
    if (name == "y" || name == "x_adj") rows[name] = row_of(values, steps);
    if (name == "y.hT" || name == "y.h0_adj") rows[name] = row_of(values, 1);
  }
  return rows;
}

// A batch of one runs code of its own; each row of a larger one must be the same bits, whatever is left over of units.
class OneRow : public testing::TestWithParam<std::tuple<std::string, int64_t, Precision>> {};

TEST_P(OneRow, HasTheBitsOfARowOfTwo) {
  const auto& [cell, units, precision] = GetParam();
  const Program program = Compiled(LibraryCell(cell, 5, units), precision);
  constexpr size_t kSteps = 5;
  const auto expected = FirstRow(program, 2, kSteps, 1);
  EXPECT_GE(expected.size(), 3U);
  for (size_t threads : {1, 2, 3}) EXPECT_TRUE(FirstRow(program, 1, kSteps, threads) == expected) << threads;
}

INSTANTIATE_TEST_SUITE_P(Codegen, OneRow,
                         testing::Combine(testing::Values("lstm", "gru", "elman", "peephole_lstm"),
                                          testing::Values(3, 16, 45, 64, 70),
                                          testing::Values(Precision::kF32, Precision::kF64)));

// A tape that no cache holds is stored around them.
TEST(FarTape, HasTheBitsOfANearOne) {
  for (const char* cell : {"lstm", "layernorm_lstm"}) {
    for (const Precision precision : {Precision::kF32, Precision::kF64}) {
      const Program program = Compiled(LibraryCell(cell, 5, 64), precision);
      constexpr size_t kSteps = 60;
      const size_t extents[] = {kSteps, 64};
      EXPECT_GT(program.descriptor().tape_bytes(extents), 6U << 20);
      const auto expected = FirstRow(program, 1, kSteps, 1);
      for (size_t threads : {1, 3}) EXPECT_TRUE(FirstRow(program, 64, kSteps, threads) == expected) << cell;
    }
  }
}

// A step of one row is one function; its states and outputs are those of the same row in a larger batch.
TEST(Step, OfOneRowHasTheBitsOfARowOfTwo) {
  for (const char* cell : {"lstm", "gru", "layernorm_lstm", "mogrifier_lstm", "sru"}) {
    for (int64_t units : {6, 16, 32, 45}) {
      const Program program = Compiled(LibraryCell(cell, 3, units));
      Session session(program);
      ASSERT_TRUE(session.Initialize(3));
      Stream one(session.shared_parameters()), two(session.shared_parameters(), 2);
      for (int t = 0; t < 4; ++t) {
        std::vector<double> x{0.5, -0.25 * t, 0.125};
        ASSERT_TRUE(one.Set("x", x));
        x.insert(x.end(), {9, 8, 7});
        ASSERT_TRUE(two.Set("x", x));
        ASSERT_TRUE(one.Step());
        ASSERT_TRUE(two.Step());
        std::vector<double> row = *two.Get("y");
        row.resize(static_cast<size_t>(units));
        EXPECT_EQ(*one.Get("y"), row) << cell << ", " << units << " units, step " << t;
      }
    }
  }
}

class Repeated : public testing::TestWithParam<size_t> {};

TEST_P(Repeated, StepIsInference) {
  const size_t units = GetParam();
  Program program =
      Compiled(GraphOf("cell pair(I, H) {\n  input x: [I]\n  state h: [H], g: [H]\n  param W: [H, I], U: [H, H]\n"
                       "  h' = tanh(W @ x + U @ g)\n  g' = h\n  output h' + g\n}\n",
                       "pair", {{"I", 3}, {"H", static_cast<int64_t>(units)}}));
  constexpr size_t kSteps = 7;
  Session session(program);
  ASSERT_TRUE(session.SetExtent("T", kSteps));
  ASSERT_TRUE(session.Initialize(1));
  FillArguments(session, 5);
  ASSERT_TRUE(session.Inference());
  std::vector<double> x = *session.Get("x"), y = *session.Get("y");

  Stream stream(session.shared_parameters());
  ASSERT_TRUE(stream.Set("h", *session.Get("h0")));
  ASSERT_TRUE(stream.Set("g", *session.Get("g0")));
  for (size_t t = 0; t < kSteps; ++t) {
    ASSERT_TRUE(stream.Set("x", std::span(x).subspan(t * 3, 3)));
    ASSERT_TRUE(stream.Step());
    std::vector<double> expected(y.begin() + t * units, y.begin() + (t + 1) * units);
    EXPECT_EQ(*stream.Get("y"), expected) << "step " << t;
  }
  EXPECT_EQ(*stream.Get("h"), *session.Get("hT"));
  EXPECT_EQ(*stream.Get("g"), *session.Get("gT"));
}

INSTANTIATE_TEST_SUITE_P(Codegen, Repeated, testing::Values(11, 32, 41, 90));

// A sequence in one call, in calls of several lengths, or in steps: the same bits of outputs and last states.
class Split : public testing::TestWithParam<std::tuple<std::string, size_t, Precision>> {};

TEST_P(Split, OfASequenceChangesNoBit) {
  const auto& [cell, batch, precision] = GetParam();
  const Program program = Compiled(LibraryCell(cell, 5, 19), precision);
  const std::vector<size_t> lengths[] = {{12}, {1, 2, 9}, {7, 5}, {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1}};
  constexpr size_t kSteps = 12;
  std::vector<double> x(kSteps * batch * 5);
  for (size_t i = 0; i < x.size(); ++i) x[i] = std::sin(1.3 * static_cast<double>(i));
  auto part_of_x = [&](size_t begin, size_t steps) {
    return std::span(x).subspan(begin * batch * 5, steps * batch * 5);
  };
  auto run = [&](const std::vector<size_t>& parts) {
    std::map<std::string, std::vector<double>> results;
    Session session(program);
    EXPECT_TRUE(session.SetExtent("B", batch));
    EXPECT_TRUE(session.Initialize(7));
    size_t begin = 0;
    std::map<std::string, std::vector<double>> states;
    for (size_t steps : parts) {
      EXPECT_TRUE(session.SetExtent("T", steps));
      EXPECT_TRUE(session.Set("x", part_of_x(begin, steps)));
      for (const auto& [name, values] : states) EXPECT_TRUE(session.Set(name, values));
      EXPECT_TRUE(session.Inference());
      const std::vector<double> y = *session.Get("y");
      results["y"].insert(results["y"].end(), y.begin(), y.end());
      for (const recurve_slot* slot : session.tensors()) {
        const std::string name = slot->name;
        if (slot->kind == RECURVE_SLOT_STATE)
          results[name] = states[name] = *session.Get(name.substr(0, name.size() - 1) + "T");
      }
      begin += steps;
    }
    return results;
  };
  const auto whole = run(lengths[0]);
  EXPECT_GT(whole.size(), 1u);
  for (const std::vector<size_t>& parts : lengths) EXPECT_EQ(run(parts), whole) << parts.size() << " parts";
  Stream stream(program, batch);
  ASSERT_TRUE(stream.parameters().Initialize(7));
  std::vector<double> y;
  for (size_t t = 0; t < kSteps; ++t) {
    ASSERT_TRUE(stream.Set("x", part_of_x(t, 1)) && stream.Step());
    const std::vector<double> row = *stream.Get("y");
    y.insert(y.end(), row.begin(), row.end());
  }
  EXPECT_EQ(y, whole.at("y")) << "in steps";
}

INSTANTIATE_TEST_SUITE_P(Cells, Split,
                         testing::Combine(testing::Values("elman", "lstm", "gru", "gru_reset_before", "peephole_lstm",
                                                          "layernorm_lstm", "mgu", "slstm", "mogrifier_lstm", "indrnn",
                                                          "sru", "mingru", "qrnn"),
                                          testing::Values(1, 3), testing::Values(Precision::kF32, Precision::kF64)),
                         [](const auto& info) {
                           return fmt::format("{}_{}_{}", std::get<0>(info.param), std::get<1>(info.param),
                                              std::get<2>(info.param) == Precision::kF32 ? "f32" : "f64");
                         });

TEST(NullArguments, AreZeroAdjointsAndUnwantedOutputs) {
  Program program = Compiled(LibraryCell("gru", 4, 12));
  Session all(program), some(program);
  for (Session* session : {&all, &some}) {
    ASSERT_TRUE(session->SetExtent("T", 5));
    ASSERT_TRUE(session->SetExtent("B", 3));
    ASSERT_TRUE(session->Initialize(2));
  }
  std::string final_state, final_adjoint;
  for (const recurve_slot* slot : all.tensors()) {
    std::string name = slot->name;
    if (name.ends_with("hT")) final_state = name;
    if (name.ends_with("hT_adj")) final_adjoint = name;
  }
  for (Session* session : {&all, &some}) {
    FillArguments(*session, 9);
    ASSERT_TRUE(session->Fill(final_adjoint, 0));
  }
  ASSERT_TRUE(some.Want(final_state, false));
  ASSERT_TRUE(some.Want("x_adj", false));
  std::map<std::string, std::vector<double>> expected = Results(all);
  ASSERT_TRUE(some.Forward());
  ASSERT_TRUE(some.Backward());
  for (const auto& [name, values] : expected) {
    if (name != final_state && name != "x_adj") EXPECT_EQ(*some.Get(name), values) << name;
  }
}

// Rows, units and summed terms around every block size of the plan: register tiles, row blocks, vectors and their
// tails, and slices of a long sum.
class Remainders : public testing::TestWithParam<Sizes> {};

TEST_P(Remainders, AgreeWithTheInterpreter) {
  const Sizes& sizes = GetParam();
  for (Precision precision : {Precision::kF32, Precision::kF64}) {
    ir::Graph graph = LibraryCell("gru_reset_before", sizes.inputs, sizes.units);
    Trial trial =
        MakeTrial(graph, {{"T", static_cast<int64_t>(sizes.steps)}, {"B", static_cast<int64_t>(sizes.batch)}}, 11);
    auto compiled = ErrorsOf(Compiled(graph, precision), trial);
    ASSERT_TRUE(compiled) << compiled.error().message;
    for (size_t k = 0; k < compiled->errors.size(); ++k) {
      EXPECT_LE(compiled->errors[k], compiled->tolerances[k]) << trial.joint.outputs()[k].name;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Codegen, Remainders,
                         testing::Values(Sizes{1, 1, 1, 1}, Sizes{1, 7, 2, 5}, Sizes{9, 8, 3, 2}, Sizes{3, 31, 2, 13},
                                         Sizes{40, 33, 2, 65}, Sizes{7, 20, 90, 6}, Sizes{2, 9, 300, 1}),
                         [](const auto& info) {
                           const Sizes& s = info.param;
                           return fmt::format("T{}B{}I{}H{}", s.steps, s.batch, s.inputs, s.units);
                         });

// Time cut into chunks of one step, of a few with a rest, and of more rows than there are.
TEST(Chunks, OfAnyLengthAgreeWithTheInterpreter) {
  for (const char* cell : {"lstm", "layernorm_lstm", "gru_reset_before"}) {
    ir::Graph graph = LibraryCell(cell, 5, 9);
    Trial trial = MakeTrial(graph, {{"T", 11}, {"B", 3}}, 13);
    for (int64_t rows : {1, 7, 12, 33, 1000}) {
      auto program = CompileToMemory(graph, {.precision = Precision::kF64, .plan = {.chunk_rows = rows}});
      ASSERT_TRUE(program) << program.error().message;
      auto compiled = ErrorsOf(*program, trial);
      ASSERT_TRUE(compiled) << compiled.error().message;
      for (size_t k = 0; k < compiled->errors.size(); ++k) {
        EXPECT_LE(compiled->errors[k], compiled->tolerances[k])
            << cell << " in chunks of " << rows << " rows: " << trial.joint.outputs()[k].name;
      }
    }
  }
}

// States in registers: several states, one that only passes its neighbour on, units that leave a rest, both directions
// of time, in one chunk and in many.
TEST(Recurrence, AgreesWithTheInterpreter) {
  const char* source =
      "cell leaky(I, H) {\n  input x: [I]\n  state h: [H], g: [H], old: [H]\n  param W: [H, I], u: [H], v: [H]\n"
      "  h' = tanh(W @ x + u * h + 0.5 * old)\n  g' = sigmoid(v) * g + h' * g\n  old' = h\n  output g' - h'\n}\n";
  for (int64_t units : {1, 5, 16, 37, 130}) {
    ir::Graph graph = GraphOf(source, "leaky", {{"I", 3}, {"H", units}});
    Trial trial = MakeTrial(graph, {{"T", 9}, {"B", units == 130 ? 17 : 3}}, 19);  // 17 rows are too many
    for (Precision precision : {Precision::kF32, Precision::kF64}) {
      for (int64_t rows : {1, 12, 1000}) {
        auto program = CompileToMemory(graph, {.precision = precision, .plan = {.chunk_rows = rows}});
        ASSERT_TRUE(program) << program.error().message;
        auto compiled = ErrorsOf(*program, trial);
        ASSERT_TRUE(compiled) << compiled.error().message;
        for (size_t k = 0; k < compiled->errors.size(); ++k) {
          EXPECT_LE(compiled->errors[k], compiled->tolerances[k])
              << units << " units in chunks of " << rows << " rows: " << trial.joint.outputs()[k].name;
        }
      }
    }
  }
}

// A loss, a readout and an embedding: what stands before and after the scan in a model.
TEST(Chunks, OfAModelAgreeWithTheInterpreter) {
  ir::Graph graph = GraphOf(
      "model tagger(V, H) {\n  input tokens: int[V] over T\n  input target: int[V] over T\n"
      "  param table: [V, H] ~ uniform(-1, 1), P: [V, H] ~ uniform(-1, 1), p: [V]\n"
      "  first = scan lstm(H=H) over table[tokens]\n  second = scan gru(H=H) over first\n"
      "  logits = P @ second + p\n  output logits\n  loss cross_entropy(logits, target)\n}\n",
      "tagger", {{"V", 6}, {"H", 5}});
  Trial trial = MakeTrial(graph, {{"T", 10}, {"B", 3}}, 17);
  for (int64_t rows : {1, 8, 1000}) {
    auto program = CompileToMemory(graph, {.precision = Precision::kF64, .plan = {.chunk_rows = rows}});
    ASSERT_TRUE(program) << program.error().message;
    auto compiled = ErrorsOf(*program, trial);
    ASSERT_TRUE(compiled) << compiled.error().message;
    for (size_t k = 0; k < compiled->errors.size(); ++k) {
      EXPECT_LE(compiled->errors[k], compiled->tolerances[k]) << rows << " rows: " << trial.joint.outputs()[k].name;
    }
  }
}

// Contractions of every form: batched, inner, outer, with several axes of rows, columns and terms.
class Contractions : public testing::TestWithParam<const char*> {};

TEST_P(Contractions, AgreeWithTheInterpreter) {
  const std::map<char, ir::Dim> extents{
      {'t', ir::Dim("T")}, {'b', ir::Dim("B")}, {'i', 5}, {'j', 3}, {'k', 9}, {'o', 12}};
  ir::ContractAttr labels;
  std::string text = GetParam();
  labels.lhs = text.substr(0, text.find(','));
  labels.rhs = text.substr(text.find(',') + 1, text.find("->") - text.find(',') - 1);
  labels.out = text.substr(text.find("->") + 2);
  for (bool weights : {false, true}) {  // the right side as data or as a parameter
    auto shape = [&](const std::string& axes) {
      ir::Shape result;
      for (char axis : axes) result.push_back(extents.at(axis));
      return result;
    };
    if (weights && labels.rhs.find_first_of("tb") != std::string::npos) continue;
    ir::Graph graph;
    graph.name = "contraction";
    ir::Expr a = graph.AddInput("a", ir::Role::kData, shape(labels.lhs));
    ir::Expr b = graph.AddInput("b", weights ? ir::Role::kParameter : ir::Role::kData, shape(labels.rhs));
    graph.AddOutput("y", ir::Tanh(ir::Contract(a, b, labels)));
    ir::Bindings sizes;
    for (const std::string& axis : ir::SymbolicAxes(graph)) sizes[axis] = axis == "T" ? 4 : 3;
    Trial trial = MakeTrial(graph, sizes, 5);
    auto compiled = ErrorsOf(Compiled(graph), trial);
    ASSERT_TRUE(compiled) << compiled.error().message;
    for (size_t k = 0; k < compiled->errors.size(); ++k) {
      EXPECT_LE(compiled->errors[k], compiled->tolerances[k])
          << trial.joint.outputs()[k].name << " weights=" << weights;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Codegen, Contractions,
                         testing::Values("bi,oi->bo", "bi,io->bo", "tbi,oi->tbo", "tbo,tbi->oi", "bi,bi->b",
                                         "bi,bj->bij", "bij,bj->bi", "bij,bjk->bik", "bi,oji->boj", "bij,oij->bo",
                                         "tbi,tbi->b", "ib,oi->bo", "bi,oi->ob", "i,i->", "i,oi->o", "bi,bko->biko",
                                         "tbij,tbj->ti"));

TEST(Scatter, AddsWhatMeets) {
  ir::Graph graph;
  graph.name = "embedding";
  ir::Expr tokens = graph.AddIndexInput("tokens", ir::Role::kData, {ir::Dim("T"), ir::Dim("B")}, 3);
  ir::Expr table = graph.AddInput("table", ir::Role::kParameter, {3, 10});
  graph.AddOutput("y", ir::Gather(table, tokens));
  Program program = Compiled(graph);
  Session session(program);
  ASSERT_TRUE(session.SetExtent("T", 2));
  ASSERT_TRUE(session.SetExtent("B", 2));
  ASSERT_TRUE(session.Set("tokens", std::vector<double>{2, 0, 2, 2}));
  ASSERT_TRUE(session.Fill("y_adj", 1.5));
  ASSERT_TRUE(session.Forward());
  ASSERT_TRUE(session.Backward());
  std::vector<double> expected(30, 0.0);
  std::fill(expected.begin(), expected.begin() + 10, 1.5);
  std::fill(expected.begin() + 20, expected.end(), 4.5);
  EXPECT_EQ(*session.Get("table_adj"), expected);
}

}  // namespace
}  // namespace recurve

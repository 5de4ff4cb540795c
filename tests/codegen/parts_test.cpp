// tests/codegen/parts_test.cpp: a program that several threads compile: nothing is lost, nobody waits for long, and
// what it computes is the same.

#include "compiler/parts.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

#include "compiler/compile.h"
#include "runtime/session.h"
#include "tests/support/graph_of.h"
#include "tests/support/random_model.h"

namespace recurve {
namespace {

ir::Graph Layers() {
  return GraphOf(R"(
model m(I, H) {
  input x: [I] over T
  y = scan layernorm_lstm(H=H) over x
  z = reverse scan gru(H=H) over concat(x, y)
  output z
})",
                 "m", {{"I", 24}, {"H", 48}});
}

// Every kernel of the plan, as if an entry called it once.
std::vector<PlannedFunction> FunctionsOf(const Plan& plan) {
  std::vector<PlannedFunction> functions;
  for (size_t e = 0; e < plan.entries.size(); ++e) {
    const auto entry = static_cast<int>(e);
    for (size_t k = 0; k < plan.entries[e].kernels.size(); ++k)
      functions.push_back({.name = fmt::format("{}_{}", e, k), .entry = entry, .kernel = static_cast<int>(k)});
  }
  return functions;
}

TEST(DealOut, GivesEveryFunctionToOnePart) {
  const auto plan = PlanProgram(Layers());
  ASSERT_TRUE(plan) << plan.error().message;
  const std::vector<PlannedFunction> functions = FunctionsOf(*plan);
  for (int count : {1, 2, 3, 7}) {
    std::multiset<std::string> names;
    size_t least = functions.size();
    const auto groups = DealOut(*plan, functions, count);
    ASSERT_EQ(groups.size(), static_cast<size_t>(count));
    for (const std::vector<PlannedFunction>& group : groups) {
      least = std::min(least, group.size());
      for (const PlannedFunction& function : group) names.insert(function.name);
    }
    EXPECT_EQ(names.size(), functions.size());
    EXPECT_EQ(std::set(names.begin(), names.end()).size(), functions.size());
    EXPECT_GT(least, 0U);
  }
}

TEST(CompileParts, MakesNoMoreObjectsThanThereIsWorkFor) {
  const std::string source = "cell c(H) {\n  input x: [H]\n  state h: [H]\n  h' = 0.5 * h + x\n  output h'\n}\n";
  const auto plan = PlanProgram(GraphOf(source, "c", {{"H", 8}}), {.gradients = false, .entries = {"inference"}});
  const auto target = MakeTarget({});
  ASSERT_TRUE(plan && target);
  const size_t all = FunctionsOf(*plan).size();
  for (int most : {0, 1, 2, 100}) {
    const auto objects = CompileParts(*plan, InterfaceOf(*plan, "here"), *target, most);
    ASSERT_TRUE(objects) << objects.error().message;
    EXPECT_GE(objects->size(), 1U);
    EXPECT_LE(objects->size(), std::max<size_t>(most, 1));
    EXPECT_LE(objects->size(), all + 1);  // one more for a batch of one
  }
}

using Results = std::map<std::string, std::vector<double>>;

// All outputs and gradients.
Results ResultsOf(const ir::Graph& graph, int compile_threads, size_t batch) {
  const auto program = CompileToMemory(graph, {.compile_threads = compile_threads});
  EXPECT_TRUE(program) << program.error().message;
  Results results;
  if (!program) return results;
  Session session(*program);
  for (const std::string axis : program->axes()) EXPECT_TRUE(session.SetExtent(axis, axis == "B" ? batch : 7));
  EXPECT_TRUE(session.Initialize(3));
  for (const recurve_slot* slot : session.tensors()) {
    const bool is_given = slot->kind == RECURVE_SLOT_INPUT || slot->kind == RECURVE_SLOT_ADJOINT;
    if (is_given && !slot->is_index) std::ranges::fill(*session.Tensor<float>(slot->name), 0.25f);
  }
  EXPECT_TRUE(session.Forward());
  EXPECT_TRUE(session.Backward());
  for (const recurve_slot* slot : session.tensors()) {
    if (slot->kind == RECURVE_SLOT_OUTPUT) results[slot->name] = *session.Get(slot->name);
  }
  return results;
}

TEST(CompileParts, GiveTheSameBits) {
  for (size_t batch : {1, 9}) {
    const Results alone = ResultsOf(Layers(), 1, batch);
    ASSERT_FALSE(alone.empty());
    for (int threads : {2, 3, 64}) EXPECT_TRUE(ResultsOf(Layers(), threads, batch) == alone) << threads;
  }
}

TEST(CompileParts, OfRandomModelsGiveTheSameBits) {
  for (uint64_t seed = 0; seed < 4; ++seed) {
    const RandomCell cell = MakeRandomCell(seed + 1);
    const ir::Graph graph = GraphOf(GoesBothWays(cell), "m", cell.extents);
    EXPECT_TRUE(ResultsOf(graph, 3, 5) == ResultsOf(graph, 1, 5)) << "seed " << seed;
  }
}

}  // namespace
}  // namespace recurve

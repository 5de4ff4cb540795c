// tests/codegen/remarks_test.cpp: what the author of a cell is told about it.

#include "compiler/remarks.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "compiler/compile.h"
#include "compiler/cost.h"
#include "compiler/plan_team.h"
#include "frontend/frontend.h"

namespace recurve {
namespace {

constexpr TargetFacts kAvx512{.vector_bytes = 64,
                              .vector_registers = 32,
                              .vectors_of_f64 = true,
                              .fused_multiply_add = true,
                              .l1_bytes = 32 << 10,
                              .l2_bytes = 1 << 20};

using Extents = std::map<std::string, int64_t, std::less<>>;

// The plan of forward and backward, the same on every machine.
Plan PlanOf(const std::string& source, const std::string& entry, const Extents& extents) {
  frontend::LoadResult loaded = frontend::Load(entry, source);
  EXPECT_TRUE(loaded.program) << loaded.messages;
  frontend::BuildResult built = frontend::Build(*loaded.program, entry, extents);
  EXPECT_TRUE(built.graph) << built.messages;
  Programs programs = Lower(*built.graph, {});
  return MakePlan(entry,
                  {{"forward", programs.forward},
                   {"backward", programs.backward},
                   {"step", programs.step},
                   {"pack", programs.pack}},
                  Precision::kF32, kAvx512);
}

constexpr char kGated[] =
    "cell gated(I, H) {\n  input x: [I]\n  state h: [H]\n  param W: [H, I], U: [H, H], V: [H, H]\n"
    "  f = sigmoid(W @ x + U @ h)\n  g = f * h\n  h' = tanh(V @ g) * f\n  output h'\n}\n";

bool Has(const std::vector<Remark>& remarks, Remark::Kind kind, const std::string& entry, const std::string& part) {
  return std::ranges::any_of(remarks, [&](const Remark& remark) {
    return remark.kind == kind && remark.entry == entry && remark.text.find(part) != std::string::npos;
  });
}

TEST(Remarks, NameTheValueThatASecondPhaseWaitsFor) {
  const std::vector<Remark> remarks = Remarks(PlanOf(kGated, "gated", {{"I", 4}, {"H", 32}}));
  EXPECT_TRUE(Has(remarks, Remark::Kind::kPhase, "forward", "product `V @ g` waits for all of `g`"))
      << PrintRemarks(remarks);
  EXPECT_TRUE(Has(remarks, Remark::Kind::kPhase, "step", "`V @ g`"));
}

TEST(Remarks, TellWhatLeftTheScan) {
  const std::vector<Remark> remarks = Remarks(PlanOf(kGated, "gated", {{"I", 4}, {"H", 32}}));
  EXPECT_TRUE(Has(remarks, Remark::Kind::kHoisted, "forward", "`W @ x` does not depend on the state"))
      << PrintRemarks(remarks);
  EXPECT_TRUE(Has(remarks, Remark::Kind::kHoisted, "backward", "`U_adj` sums over time"));
}

TEST(Remarks, CountEmptyLanes) {
  const std::vector<Remark> remarks = Remarks(PlanOf(kGated, "gated", {{"I", 4}, {"H", 20}}));
  EXPECT_TRUE(Has(remarks, Remark::Kind::kLanes, "forward", "20 sums of `U @ h` fill 62 % of 32 lanes"))
      << PrintRemarks(remarks);
  const std::vector<Remark> full = Remarks(PlanOf(kGated, "gated", {{"I", 32}, {"H", 32}}));
  EXPECT_FALSE(Has(full, Remark::Kind::kLanes, "forward", "fill")) << PrintRemarks(full);
}

TEST(Remarks, NameProductsWithoutWeights) {
  // A product of two states has no side that could be packed ahead.
  const char* outer =
      "cell memory(I, H) {\n  input x: [I]\n  state M: [H, H], h: [H]\n  param W: [H, I]\n"
      "  k = tanh(W @ x + h)\n  M' = 0.9 * M\n  h' = tanh(M @ k)\n  output h'\n}\n";
  const std::vector<Remark> remarks = Remarks(PlanOf(outer, "memory", {{"I", 4}, {"H", 16}}));
  EXPECT_TRUE(Has(remarks, Remark::Kind::kUnpacked, "forward", "h'") ||
              Has(remarks, Remark::Kind::kUnpacked, "forward", "M"))
      << PrintRemarks(remarks);
}

TEST(Cost, CountsMultiplyAddsTwice) {
  const Plan plan = PlanOf(kGated, "gated", {{"I", 4}, {"H", 20}});
  const auto entry = std::ranges::find(plan.entries, "step", &EntryPlan::name);
  // W, U and V by their vectors, whatever is padded, and a few operations a unit besides.
  const double flops = FlopsOf(plan, *entry, entry->statements).At([](const std::string&) { return 1.0; });
  const double products = 2.0 * (20 * 4 + 20 * 20 + 20 * 20);
  EXPECT_GE(flops, products);
  EXPECT_LE(flops, products + 20 * 10);
}

TEST(TeamPlan, SplitsByRowsUnlessAStepMeetsTheBatch) {
  const Plan plan = PlanOf(kGated, "gated", {{"I", 4}, {"H", 32}});
  for (const EntryPlan& entry : plan.entries) {
    if (entry.name != "forward" && entry.name != "backward") continue;
    EXPECT_GT(entry.team.rows_each, 0) << entry.team.why;
    for (const TimeLoop* loop : OutermostLoops(entry.statements)) EXPECT_TRUE(loop->team);
  }
  const std::string text = PrintPlan(plan);
  EXPECT_NE(text.find("team by rows of the batch from"), std::string::npos) << text;
  EXPECT_NE(text.find("team not by rows of the batch: no time loop"), std::string::npos) << "the step and `pack`";
  EXPECT_NE(text.find("else the first alone"), std::string::npos) << text;
}

TEST(TeamPlan, WantsMoreRowsOfWeightsBeyondTheCache) {
  auto rows_each = [](int64_t units) {
    const Plan plan = PlanOf(kGated, "gated", {{"I", 4}, {"H", units}});
    return plan.entries.front().team.rows_each;
  };
  EXPECT_LT(rows_each(32), rows_each(512));
}

}  // namespace
}  // namespace recurve

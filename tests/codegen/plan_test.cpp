// tests/codegen/plan_test.cpp: what the plan decides for cells whose best form is known.

#include "compiler/plan.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "compiler/compile.h"
#include "compiler/plan_tape.h"
#include "compiler/plan_tile.h"
#include "frontend/frontend.h"
#include "tests/support/graph_of.h"

namespace recurve {
namespace {

constexpr TargetFacts kAvx2{
    .vector_bytes = 32, .vector_registers = 16, .vectors_of_f64 = true, .fused_multiply_add = true};
constexpr TargetFacts kAvx512{
    .vector_bytes = 64, .vector_registers = 32, .vectors_of_f64 = true, .fused_multiply_add = true};

// The plan of one entry of a library cell.
Plan PlanOf(const ir::Graph& graph, const std::string& entry, const TargetFacts& machine) {
  Programs programs = Lower(graph, {});
  std::vector<EntryGraph> entries{{"forward", programs.forward}};
  if (entry == "backward") entries.push_back({"backward", programs.backward});
  entries.push_back({"pack", programs.pack});
  return MakePlan("m", std::move(entries), Precision::kF32, machine);
}

Plan PlanOf(const std::string& cell, const std::string& entry, const TargetFacts& machine) {
  std::string source =
      fmt::format("model m(I, H) {{\n  input x: [I] over T\n  y = scan {}(H=H) over x\n  output y\n}}\n", cell);
  frontend::LoadResult loaded = frontend::Load("m", source);
  EXPECT_TRUE(loaded.program) << loaded.messages;
  return PlanOf(*frontend::Build(*loaded.program, "m", {{"I", 64}, {"H", 128}}).graph, entry, machine);
}

const EntryPlan& Entry(const Plan& plan, const std::string& name) {
  return *std::ranges::find(plan.entries, name, &EntryPlan::name);
}

// The first loop of this kind among the statements.
template <typename Loop>
const Loop* FirstLoop(const std::vector<Statement>& statements) {
  for (const Statement& statement : statements) {
    if (const auto* loop = std::get_if<Loop>(&statement.kind)) return loop;
  }
  return nullptr;
}

// The chunk loop around the first scan; sums over steps alone have chunk loops too.
const ChunkLoop* ScanChunks(const EntryPlan& entry) {
  for (const Statement& statement : entry.statements) {
    const auto* loop = std::get_if<ChunkLoop>(&statement.kind);
    if (loop != nullptr && FirstLoop<TimeLoop>(loop->body) != nullptr) return loop;
  }
  return nullptr;
}

std::vector<Kernel> KernelsOf(const EntryPlan& entry, const std::vector<Statement>& statements) {
  std::vector<Kernel> kernels;
  for (const Statement& statement : statements) {
    if (const auto* call = std::get_if<KernelCall>(&statement.kind)) kernels.push_back(entry.kernels[call->kernel]);
  }
  return kernels;
}

// The kernels that run at every step of the entry's first time loop, which runs in chunks.
std::vector<Kernel> StepKernels(const EntryPlan& entry) {
  const auto* chunks = ScanChunks(entry);
  if (chunks == nullptr) return {};
  return KernelsOf(entry, FirstLoop<TimeLoop>(chunks->body)->body);
}

TEST(Plan, LstmStepIsOneKernelWithAllGatesInATile) {
  Plan plan = PlanOf("lstm", "forward", kAvx2);
  std::vector<Kernel> kernels = StepKernels(Entry(plan, "forward"));
  ASSERT_EQ(kernels.size(), 1u);
  ASSERT_EQ(kernels[0].products.size(), 1u);
  const Panels& panels = plan.panels[kernels[0].products[0].panels];
  EXPECT_EQ(panels.groups.size(), 4u);
  EXPECT_EQ(panels.depth, 128);
  EXPECT_EQ(panels.block.chunks, std::vector<int>{4});
}

TEST(Plan, InputProjectionIsOneProductOverTimeAndBatch) {
  Plan plan = PlanOf("lstm", "forward", kAvx2);
  const EntryPlan& entry = Entry(plan, "forward");
  auto outside = std::ranges::find_if(entry.kernels, [](const Kernel& kernel) {
    return !kernel.products.empty() && kernel.rows == std::vector<Size>{Size{1, {"B", "T"}}};
  });
  ASSERT_NE(outside, entry.kernels.end());
  EXPECT_EQ(plan.panels[outside->products[0].panels].depth, 64);
}

TEST(Plan, BackwardStepMultipliesOnce) {
  Plan plan = PlanOf("lstm", "backward", kAvx2);
  int products = 0;
  for (const Kernel& kernel : StepKernels(Entry(plan, "backward")))
    products += static_cast<int>(kernel.products.size());
  EXPECT_EQ(products, 1);
}

// Of 64 units the transposed weights are one block of 64 KB.
TEST(Plan, BackwardReadsABlockOfWeightsFromEitherEndInTurn) {
  TargetFacts machine = kAvx512;
  const ir::Graph narrow = LibraryCell("lstm", 5, 64), wide = LibraryCell("lstm", 5, 128);
  const auto alternates = [&](const ir::Graph& graph, const std::string& entry) {
    return std::ranges::any_of(StepKernels(Entry(PlanOf(graph, "backward", machine), entry)),
                               &Kernel::alternates_terms);
  };
  EXPECT_FALSE(alternates(narrow, "backward"));
  machine.l1_bytes = 48 << 10;
  EXPECT_TRUE(alternates(narrow, "backward"));
  EXPECT_FALSE(alternates(narrow, "forward"));
  EXPECT_FALSE(alternates(wide, "backward"));  // two blocks take turns
  machine.l1_bytes = 128 << 10;
  EXPECT_FALSE(alternates(narrow, "backward"));
}

TEST(Plan, WeightGradientsAreProductsOverTimeAndBatch) {
  Plan plan = PlanOf("lstm", "backward", kAvx2);
  int products = 0;
  for (const Kernel& kernel : Entry(plan, "backward").kernels) {
    if (kernel.kind != KernelKind::kProduct) continue;
    ++products;
    EXPECT_EQ(kernel.reduced, (std::vector<Size>{Size{1, {"B", "T"}}}));
    EXPECT_TRUE(kernel.accumulates);
  }
  EXPECT_EQ(products, 2);
}

// Products of inputs, whose biases the steps add, and no sums that go through gates.
TEST(Plan, TilesStoreProductsThatNeedNoLaneProgram) {
  for (const char* cell : {"lstm", "gru", "elman", "layernorm_lstm"}) {
    for (const TargetFacts& machine : {kAvx2, kAvx512}) {
      const Plan plan = PlanOf(cell, "forward", machine);
      const EntryPlan& entry = Entry(plan, "forward");
      int storing = 0;
      for (const Kernel& kernel : entry.kernels) {
        if (kernel.products.empty()) continue;
        const bool is_alone = kernel.program.size() == 1;
        EXPECT_EQ(kernel.stores_sums, is_alone) << cell;
        if (entry.buffers[kernel.products[0].left.buffer].name == "x") EXPECT_TRUE(is_alone) << cell;
        storing += kernel.stores_sums ? 1 : 0;
      }
      EXPECT_EQ(storing, std::string_view(cell) == "layernorm_lstm" ? 2 : 1);
    }
  }
}

// Less than a block of units.
TEST(Plan, TilesStoreNothingThatIsCutShort) {
  const Plan plan = PlanOf(LibraryCell("lstm", 5, 3), "forward", kAvx512);
  EXPECT_TRUE(std::ranges::none_of(Entry(plan, "forward").kernels, &Kernel::stores_sums));
}

TEST(Plan, WhatIsParallelInTimeSharesTheChunksOfTheScan) {
  Plan plan = PlanOf("lstm", "backward", kAvx2);
  const EntryPlan& forward = Entry(plan, "forward");
  std::vector<Kernel> kernels = KernelsOf(forward, ScanChunks(forward)->body);
  ASSERT_EQ(kernels.size(), 1u);  // the input projection
  EXPECT_EQ(kernels[0].step_rows, (Size{1, {"B"}}));

  const EntryPlan& backward = Entry(plan, "backward");
  kernels = KernelsOf(backward, ScanChunks(backward)->body);
  int sums = 0;
  for (const Kernel& kernel : kernels) sums += kernel.sums_steps ? 1 : 0;
  EXPECT_EQ(kernels.size(), 4u);  // the gradients of x, W, U and b
  EXPECT_EQ(sums, 3);
  EXPECT_TRUE(backward.chunks[0].reverse);
}

// Gains and biases of a layer-normalized LSTM: three over the gates and two over the cell, each group in one kernel,
// which reads what the sums share once.
TEST(Plan, GradientsOfGainsAndBiasesShareAKernel) {
  const Plan plan = PlanOf("layernorm_lstm", "backward", kAvx2);
  const EntryPlan& entry = Entry(plan, "backward");
  std::vector<size_t> sums;
  for (const Kernel& kernel : KernelsOf(entry, ScanChunks(entry)->body)) {
    if (!IsSharedByUnits(kernel)) continue;
    sums.push_back(kernel.stores.size());
    std::vector<View> loads;
    for (const LaneInstruction& instruction : kernel.program) {
      if (instruction.kind != LaneInstruction::Kind::kLoad) continue;
      EXPECT_EQ(std::ranges::find(loads, instruction.view), loads.end());
      loads.push_back(instruction.view);
    }
  }
  EXPECT_EQ(sums, (std::vector<size_t>{3, 2}));
}

// The adjoint of a normalization wants two sums over the units of a row, and makes them in one pass.
TEST(Plan, SumsOverTheUnitsOfARowShareAKernel) {
  for (const TargetFacts& machine : {kAvx2, kAvx512}) {
    const Plan plan = PlanOf("layernorm_lstm", "backward", machine);
    std::vector<size_t> sums;
    for (const Kernel& kernel : Entry(plan, "backward").kernels) {
      if (kernel.kind == KernelKind::kReduce && kernel.reduce_units) sums.push_back(kernel.stores.size());
    }
    EXPECT_EQ(sums, (std::vector<size_t>{2, 2, 2}));
  }
}

TEST(Plan, BufferBetweenKernelsOfAChunkHoldsOneChunk) {
  Plan plan = PlanOf("lstm", "backward", kAvx2);
  for (const EntryPlan& entry : plan.entries) {
    for (const Buffer& buffer : entry.buffers) {
      if (buffer.place != Place::kWorkspace) continue;
      EXPECT_EQ(std::ranges::count(buffer.size.axes, "T"), 0) << entry.name << " " << buffer.name;
    }
  }
}

TEST(Plan, StatesOfAnElementwiseRecurrenceStayInRegisters) {
  for (const char* cell : {"indrnn", "sru", "mingru", "qrnn"}) {
    Plan plan = PlanOf(cell, "backward", kAvx2);
    for (const char* name : {"forward", "backward"}) {
      const EntryPlan& entry = Entry(plan, name);
      auto is_recurrence = [](const Kernel& kernel) { return kernel.kind == KernelKind::kRecurrence; };
      auto found = std::ranges::find_if(entry.kernels, is_recurrence);
      ASSERT_NE(found, entry.kernels.end()) << cell << " " << name;
      EXPECT_EQ(found->recurrence.carried.size(), 1u);
      EXPECT_GT(found->vectors, 1);
      const auto* loop = FirstLoop<TimeLoop>(ScanChunks(entry)->body);
      EXPECT_EQ(loop->recurrence, found - entry.kernels.begin());
      EXPECT_GT(loop->most_rows, 1);
    }
  }
}

TEST(Plan, NormalisationOfARowNeedsNoBarrier) {
  // The step of a layer-normalized LSTM: a product, then everything else row by row.
  Plan plan = PlanOf("layernorm_lstm", "forward", kAvx2);
  const EntryPlan& entry = Entry(plan, "forward");
  const std::vector<Statement>& step = FirstLoop<TimeLoop>(ScanChunks(entry)->body)->body;
  auto is_barrier = [](const Statement& statement) { return std::holds_alternative<Barrier>(statement.kind); };
  EXPECT_EQ(std::ranges::count_if(step, is_barrier), 2);
  const auto* rows = FirstLoop<RowLoop>(step);
  ASSERT_NE(rows, nullptr);
  EXPECT_GE(rows->kernels.size(), 6u);
  EXPECT_EQ(rows->rows, (Size{1, {"B"}}));
}

TEST(Plan, StackedCarryIsNotCopied) {
  // The state before each step is on the tape; the carry lives there, so that no kernel stores it twice.
  Plan plan = PlanOf("lstm", "forward", kAvx2);
  const EntryPlan& entry = Entry(plan, "forward");
  for (const Kernel& kernel : StepKernels(entry)) {
    for (const LaneStore& store : kernel.stores) {
      EXPECT_NE(kernel.program[store.value].kind, LaneInstruction::Kind::kLoad)
          << entry.buffers[store.view.buffer].name;
    }
  }
}

TEST(Plan, StatesBeforeAndAfterAStepAreOneRegion) {
  // The gradient of U wants the state before each step, that of tanh the one after it.
  Plan plan = PlanOf("elman", "forward", kAvx2);
  EXPECT_EQ(plan.tape.size(), 1U);
  ASSERT_EQ(plan.tape_values.size(), 2U);
  for (const Kernel& kernel : StepKernels(Entry(plan, "forward")))
    EXPECT_EQ(kernel.stores.size(), 2U);  // and the output
  // Both states are what the other was; regions that stood for each other would be nowhere.
  plan = PlanOf(GraphOf("cell swap(I, H) {\n  input x: [H]\n  state a: [H], b: [H]\n  a' = tanh(b) * a\n  b' = a\n"
                        "  output a * b * x\n}\n",
                        "swap", {{"I", 1}, {"H", 4}}),
                "forward", kAvx2);
  EXPECT_GE(plan.tape.size(), 2U);
}

TEST(Plan, OnlyWhatForwardNeverReadsGoesAroundTheCaches) {
  TargetFacts machine = kAvx512;
  EXPECT_EQ(FarTapeBytes(PlanOf("lstm", "forward", machine)), 0);
  machine.l1_bytes = 1 << 15;
  machine.l2_bytes = 1 << 20;
  Plan plan = PlanOf("lstm", "forward", machine);
  const EntryPlan& entry = Entry(plan, "forward");
  EXPECT_TRUE(HasFarStores(entry));
  std::set<int> far, near;
  for (const Kernel& kernel : entry.kernels) {
    for (const LaneStore& store : kernel.stores) (store.to_far ? far : near).insert(store.view.buffer);
    for (const MapProduct& product : kernel.products) EXPECT_FALSE(far.contains(product.left.buffer));
  }
  EXPECT_EQ(far.size(), 5U);  // gates and tanh of the cell; the two states are read in the next step
  for (int buffer : far) EXPECT_FALSE(near.contains(buffer));
}

TEST(Tiling, FillsTheRegisters) {
  struct Row {
    TargetFacts machine;
    int groups;
    int64_t units;
    int tile_rows;
    std::vector<int> chunks;
  };
  const Row rows[] = {
      {kAvx2, 4, 256, 3, {4}},    {kAvx2, 3, 256, 4, {3}}, {kAvx2, 1, 256, 3, {4}},   {kAvx2, 2, 256, 3, {4}},
      {kAvx2, 6, 256, 4, {3, 3}}, {kAvx2, 1, 8, 14, {1}},  {kAvx512, 4, 256, 6, {4}}, {kAvx512, 3, 256, 9, {3}},
  };
  for (const Row& row : rows) {
    Tiling tiling = ChooseTiling(row.machine, Precision::kF32, row.units, {row.groups}, 4, false);
    EXPECT_EQ(tiling.products[0].block.chunks, row.chunks) << row.groups << " groups of " << row.units;
    int widest = row.chunks[0];
    int registers = tiling.tile_rows * widest + std::min(tiling.tile_rows, widest) + 1;
    EXPECT_LE(registers, row.machine.vector_registers);
    EXPECT_EQ(tiling.tile_rows, row.tile_rows) << row.groups << " groups of " << row.units;
    EXPECT_GE(tiling.block_rows, tiling.tile_rows);
  }
}

TEST(Tiling, DoesNotPadAwayMoreThanItGains) {
  // Five vectors of units in blocks of four would compute eight.
  Tiling tiling = ChooseTiling(kAvx2, Precision::kF32, 40, {1}, 4, false);
  int64_t blocks = (5 + tiling.vectors - 1) / tiling.vectors;
  EXPECT_LE(blocks * tiling.vectors, 6);
}

}  // namespace
}  // namespace recurve

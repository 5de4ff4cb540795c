// tests/codegen/recurrence_test.cpp: scans that are elementwise in their states: random ones of every width and batch
// against the interpreter, the bits of teams, and what plan and assembly look like.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <random>

#include "compiler/compile.h"
#include "compiler/gradcheck.h"
#include "compiler/plan.h"
#include "runtime/session.h"
#include "tests/support/assembly.h"
#include "tests/support/graph_of.h"
#include "tests/support/session_results.h"

namespace recurve {
namespace {

constexpr TargetFacts kAvx512{
    .vector_bytes = 64, .vector_registers = 32, .vectors_of_f64 = true, .fused_multiply_add = true};
constexpr const char* kCells[] = {"indrnn", "sru", "mingru", "qrnn"};

// A cell of two elementwise inputs as a model of one scan.
ir::Graph ElementwiseCell(const std::string& body, int64_t units, bool reverse = false) {
  return GraphOf("cell c(H) {\n  input x: [H], z: [H]\n" + body +
                     "}\nmodel m(H) {\n  input x: [H] over T, z: [H] over T\n  y = " + (reverse ? "reverse " : "") +
                     "scan c(H=H) over x, z\n  output y\n}\n",
                 "m", {{"H", units}});
}

Plan PlanOf(const ir::Graph& graph, const TargetFacts& machine = kAvx512) {
  Programs programs = Lower(graph, {});
  return MakePlan("m",
                  {{"forward", programs.forward},
                   {"backward", programs.backward},
                   {"step", programs.step},
                   {"pack", programs.pack}},
                  Precision::kF32, machine);
}

const EntryPlan& Entry(const Plan& plan, const std::string& name) {
  return *std::ranges::find(plan.entries, name, &EntryPlan::name);
}

// The entry's first recurrence, or null.
const Kernel* RecurrenceOf(const EntryPlan& entry) {
  auto found = std::ranges::find(entry.kernels, KernelKind::kRecurrence, &Kernel::kind);
  return found == entry.kernels.end() ? nullptr : &*found;
}

void ExpectAgreement(const ir::Graph& graph, Precision precision, const ir::Bindings& sizes, uint64_t seed,
                     const std::string& what) {
  Trial trial = MakeTrial(graph, sizes, seed);
  auto program = CompileToMemory(graph, {.precision = precision});
  ASSERT_TRUE(program) << program.error().message;
  auto compiled = ErrorsOf(*program, trial);
  ASSERT_TRUE(compiled) << compiled.error().message;
  for (size_t k = 0; k < compiled->errors.size(); ++k) {
    EXPECT_LE(compiled->errors[k], compiled->tolerances[k]) << trial.joint.outputs()[k].name << " of " << what;
  }
}

// ---- Values ------------------------------------------------------------------------------------------------------

// One to three states that stay in [-1, 1]; linear ones among them.
std::string RandomBody(std::mt19937_64& random) {
  auto pick = [&](const std::vector<std::string>& choices) { return choices[random() % choices.size()]; };
  const int states = 1 + static_cast<int>(random() % 3);
  std::string body = "  state s0: [H]", output = "s0'";
  for (int i = 1; i < states; ++i) body += fmt::format(", s{}: [H]", i);
  body += "\n  param u: [H] ~ uniform(-1, 1), v: [H] ~ uniform(-1, 1)\n  a = sigmoid(z + v)\n";
  for (int i = 0; i < states; ++i) {
    const std::string own = fmt::format("s{}", i), other = fmt::format("s{}", random() % static_cast<uint64_t>(states));
    body += fmt::format("  {}' = ", own) +
            pick({fmt::format("a * {} + (1 - a) * tanh(x)", own), fmt::format("0.5 * {} + 0.5 * tanh(x)", own),
                  fmt::format("tanh(u * {} + x)", own), fmt::format("tanh(x) * sigmoid({})", other),
                  fmt::format("0.5 * ({} - a * {})", own, other), other == own ? "a * " + own : other,
                  fmt::format("0.25 * (x - {} / (1.5 + a))", own)}) +
            "\n";
    if (i > 0) output += fmt::format(" * (1 + s{}')", i);
  }
  return body + "  output " + output + pick({"", " * x", " - u"}) + "\n";
}

TEST(RecurrenceValues, OfRandomCellsAgreeWithTheInterpreter) {
  const char* wanted = std::getenv("RECURVE_RANDOM_CELLS");
  const uint64_t count = wanted != nullptr ? std::strtoull(wanted, nullptr, 10) : 16;
  for (uint64_t seed = 1; seed <= count; ++seed) {
    std::mt19937_64 random(seed);
    const std::string body = RandomBody(random);
    const auto units = static_cast<int64_t>(1 + random() % 40), batch = static_cast<int64_t>(1 + random() % 9);
    const auto steps = static_cast<int64_t>(1 + random() % 70);
    const Precision precision = random() % 2 == 0 ? Precision::kF32 : Precision::kF64;
    ir::Graph graph = ElementwiseCell(body, units, random() % 2 == 0);
    EXPECT_NE(RecurrenceOf(Entry(PlanOf(graph), "forward")), nullptr) << "seed " << seed << ":\n" << body;
    EXPECT_NE(RecurrenceOf(Entry(PlanOf(graph), "backward")), nullptr) << "seed " << seed << ":\n" << body;
    ExpectAgreement(graph, precision, {{"T", steps}, {"B", batch}}, seed,
                    fmt::format("seed {}, H={} B={} T={}:\n{}", seed, units, batch, steps, body));
  }
}

// A single narrow row, several steps at a time, whole groups of steps and rests.
TEST(RecurrenceValues, OfLinearCellsAgreeWithTheInterpreter) {
  const std::string body = "  state h: [H]\n  h' = tanh(z) * h + x\n  output h'\n";
  for (int64_t units : {1, 7, 8, 16}) {
    for (int64_t steps : {1, 2, 3, 4, 5, 8, 11, 70}) {
      for (bool reverse : {false, true}) {
        ir::Graph graph = ElementwiseCell(body, units, reverse);
        for (Precision precision : {Precision::kF32, Precision::kF64}) {
          ExpectAgreement(graph, precision, {{"T", steps}, {"B", 1}}, 5,
                          fmt::format("{} units, {} steps{}", units, steps, reverse ? ", reverse" : ""));
        }
      }
    }
  }
}

// Every output and gradient, for a team of `threads`, or none. The initial state is not given.
std::map<std::string, std::vector<double>> ResultsOf(const Program& program, size_t batch, size_t threads) {
  Session session(program);
  EXPECT_TRUE(session.SetExtent("T", 37));
  EXPECT_TRUE(session.SetExtent("B", batch));
  EXPECT_TRUE(session.Initialize(7));
  uint64_t stream = 3;
  for (const char* name : {"x", "y_adj"}) {
    for (float& value : *session.Tensor<float>(name)) {
      stream = stream * 6364136223846793005u + 1442695040888963407u;
      value = static_cast<float>(static_cast<double>(stream >> 40) / (1 << 24)) - 0.5f;
    }
  }
  if (threads > 1) session.UseTeam(*Team::Start(threads));
  return Results(session);
}

TEST(RecurrenceValues, AreTheSameBitsForAnyNumberOfThreads) {
  for (const char* cell : kCells) {
    for (int64_t units : {5, 8, 20, 40, 150}) {
      auto program = CompileToMemory(LibraryCell(cell, 3, units));
      ASSERT_TRUE(program) << program.error().message;
      for (size_t batch : {1, 3, 9}) {
        auto expected = ResultsOf(*program, batch, 1);
        for (size_t threads : {2, 3}) {
          EXPECT_TRUE(ResultsOf(*program, batch, threads) == expected)
              << cell << ", " << units << " units, batch " << batch << ", " << threads << " threads";
        }
      }
    }
  }
}

// ---- Plans -------------------------------------------------------------------------------------------------------

TEST(RecurrencePlan, FillsVectorsWithRowsOfFewUnits) {
  const Plan plan = PlanOf(LibraryCell("indrnn", 3, 8));
  const Kernel* kernel = RecurrenceOf(Entry(plan, "forward"));
  ASSERT_NE(kernel, nullptr);
  EXPECT_EQ(kernel->recurrence.fold, 2);
  EXPECT_GT(kernel->recurrence.rows, 1);
  EXPECT_FALSE(kernel->recurrence.kept.empty());  // the weights
}

TEST(RecurrencePlan, RunsVectorsOfARowSideBySideWhereThereAreEnough) {
  const Plan plan = PlanOf(LibraryCell("indrnn", 3, 256));
  const Kernel* kernel = RecurrenceOf(Entry(plan, "forward"));
  ASSERT_NE(kernel, nullptr);
  EXPECT_EQ(kernel->recurrence.rows, 1);
  EXPECT_GT(kernel->vectors, 1);
}

TEST(RecurrencePlan, RecognisesLinearRecurrencesAndTheirAdjoints) {
  struct Case {
    const char* body;
    bool forward, backward;
  };
  const Case cases[] = {
      {"  state h: [H]\n  h' = z * h + x\n  output h'\n", true, true},
      {"  state h: [H]\n  h' = x - (h - z) / 2\n  output tanh(h')\n", true, true},
      {"  state h: [H]\n  h' = tanh(h + x) * z\n  output h'\n", false, true},
      {"  state h: [H], g: [H]\n  h' = z * h\n  g' = z * g + h\n  output g'\n", false, false},
  };
  for (const Case& c : cases) {
    Plan plan = PlanOf(ElementwiseCell(c.body, 8));
    EXPECT_EQ(!RecurrenceOf(Entry(plan, "forward"))->recurrence.look_ahead.factors.empty(), c.forward) << c.body;
    EXPECT_EQ(!RecurrenceOf(Entry(plan, "backward"))->recurrence.look_ahead.factors.empty(), c.backward) << c.body;
  }
}

TEST(RecurrencePlan, TakesStepsTogetherOnlyWhereOneWaitsForAnother) {
  const std::string idle = "  state h: [H]\n  h' = z * h + x\n  output h'\n";
  const std::string busy = "  state h: [H]\n  h' = sigmoid(z) * h + tanh(x)\n  output h'\n";
  EXPECT_GT(RecurrenceOf(Entry(PlanOf(ElementwiseCell(idle, 8)), "forward"))->recurrence.look_ahead.steps, 1);
  EXPECT_EQ(RecurrenceOf(Entry(PlanOf(ElementwiseCell(busy, 8)), "forward"))->recurrence.look_ahead.steps, 1);
  EXPECT_EQ(RecurrenceOf(Entry(PlanOf(ElementwiseCell(idle, 256)), "forward"))->recurrence.look_ahead.steps, 1);
}

TEST(RecurrencePlan, StepWritesStatesInPlaceWhereNobodyElseReadsThem) {
  auto barriers = [](const EntryPlan& entry) {
    return std::ranges::count_if(
        entry.statements, [](const Statement& statement) { return std::holds_alternative<Barrier>(statement.kind); });
  };
  for (const char* cell : kCells) EXPECT_EQ(barriers(Entry(PlanOf(LibraryCell(cell, 3, 8)), "step")), 0) << cell;
  // The products of an LSTM read all of h, but c stays in its unit.
  Plan plan = PlanOf(LibraryCell("lstm", 3, 8));
  const EntryPlan& step = Entry(plan, "step");
  EXPECT_GT(barriers(step), 0);
  auto has_memory = [&](const std::string& name) {
    auto buffer = std::ranges::find(step.buffers, name, &Buffer::name);
    return buffer != step.buffers.end() && buffer->size.factor != 0;
  };
  EXPECT_TRUE(has_memory("y.hT"));
  EXPECT_FALSE(has_memory("y.cT"));
}

// ---- Code --------------------------------------------------------------------------------------------------------

TEST(RecurrenceCode, SpillsNoVectorInAnInnermostLoop) {
  auto host = MakeTarget({});
  ASSERT_TRUE(host);
  if (!host->triple().starts_with("x86_64")) GTEST_SKIP() << "reads the assembly of x86-64";
  for (const char* cell : kCells) {
    for (int64_t units : {8, 32, 256}) {
      ir::Graph graph = LibraryCell(cell, 3, units);
      auto artifacts = CompileToObject(graph, {}, {.assembly = true});
      ASSERT_TRUE(artifacts) << artifacts.error().message;
      Plan plan = PlanOf(graph, host->facts());
      for (const char* name : {"forward", "backward"}) {
        const EntryPlan& entry = Entry(plan, name);
        const auto number = RecurrenceOf(entry) - entry.kernels.data();
        auto loops = InnermostLoops(artifacts->assembly, fmt::format("m_{}_{}", name, number));
        ASSERT_FALSE(loops.empty()) << cell << " " << name;
        for (const auto& loop : loops) {
          for (const std::string& line : loop) {
            EXPECT_FALSE(IsSpill(line)) << cell << " " << name << ", " << units << " units: " << line;
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace recurve

// tests/codegen/team_test.cpp: teams: the same bits for any number of threads, whatever pool runs them.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <thread>

#include "compiler/compile.h"
#include "tests/support/graph_of.h"
#include "tests/support/random_cell.h"
#include "tests/support/session_results.h"

namespace recurve {
namespace {

Program Compiled(const ir::Graph& graph) {
  auto program = CompileToMemory(graph);
  EXPECT_TRUE(program) << program.error().message;
  return *std::move(program);
}

// However a team shares the work, and for members that get nothing to do.
void ExpectTheSameBits(const ir::Graph& graph, const Sizes& sizes) {
  std::map<std::string, std::vector<double>> expected = ResultsWithTeam(Compiled(graph), sizes, 1);
  for (TeamChoice choice : {TeamChoice::kByCost, TeamChoice::kByRows, TeamChoice::kByUnits}) {
    auto program = CompileToMemory(graph, {.plan = {.team = choice}});
    ASSERT_TRUE(program) << program.error().message;
    for (size_t threads : {2, 3, 5}) {
      for (const auto& [name, values] : ResultsWithTeam(*program, sizes, threads)) {
        EXPECT_TRUE(values == expected[name])
            << name << ", " << threads << " threads, choice " << static_cast<int>(choice);
      }
    }
  }
}

class Threads : public testing::TestWithParam<std::tuple<std::string, Sizes>> {};

TEST_P(Threads, GiveTheSameBits) {
  const auto& [cell, sizes] = GetParam();
  ExpectTheSameBits(LibraryCell(cell, sizes.inputs, sizes.units), sizes);
}

INSTANTIATE_TEST_SUITE_P(Codegen, Threads,
                         testing::Combine(testing::Values("lstm", "gru", "layernorm_lstm", "sru"),
                                          testing::Values(Sizes{5, 8, 3, 1}, Sizes{33, 40, 6, 9},
                                                          Sizes{16, 64, 4, 35})));

TEST(RandomCells, GiveTheSameBitsForAnyTeam) {
  const char* given = std::getenv("RECURVE_SEED");
  const uint64_t first = given == nullptr ? 1 : std::strtoull(given, nullptr, 10);
  for (uint64_t seed = first; seed < first + (given == nullptr ? 6 : 1) && !testing::Test::HasFailure(); ++seed) {
    SCOPED_TRACE(fmt::format("RECURVE_SEED={}", seed));
    const RandomCell cell = MakeRandomCell(seed);
    ExpectTheSameBits(GraphOf(cell.source, "random", cell.extents), {.steps = 4, .batch = 6});
  }
}

// Ways in which a host may run bodies: none of them is the runtime's team.
struct Host {
  const char* name;
  void (*parallel_for)(const recurve_team* team, void (*body)(void*, size_t), void* call);
};
const Host kHosts[] = {
    {"a loop",
     [](const recurve_team* team, void (*body)(void*, size_t), void* call) {
       for (size_t i = 0; i < team->count; ++i) body(call, i);
     }},
    {"a loop backwards",
     [](const recurve_team* team, void (*body)(void*, size_t), void* call) {
       for (size_t i = team->count; i-- > 0;) body(call, i);
     }},
    {"a thread each",
     [](const recurve_team* team, void (*body)(void*, size_t), void* call) {
       std::vector<std::jthread> threads;
       for (size_t i = 0; i < team->count; ++i) threads.emplace_back(body, call, i);
     }},
    {"two threads for all",
     [](const recurve_team* team, void (*body)(void*, size_t), void* call) {
       std::atomic<size_t> next = 0;
       auto work = [&] {
         for (size_t i = next++; i < team->count; i = next++) body(call, i);
       };
       std::jthread other(work);
       work();
     }},
    {"one that comes too late",
     [](const recurve_team* team, void (*body)(void*, size_t), void* call) {
       std::vector<std::jthread> threads;
       for (size_t i = 0; i + 1 < team->count; ++i) threads.emplace_back(body, call, i);
       threads.clear();
       body(call, team->count - 1);
     }},
};

// Whatever runs the bodies, and however many of them at once.
TEST(Team, MayBeAnyPool) {
  const Sizes sizes{.inputs = 24, .units = 40, .steps = 6, .batch = 12};
  const ir::Graph graph = LibraryCell("lstm", sizes.inputs, sizes.units);
  const auto expected = ResultsWithTeam(Compiled(graph), sizes, 1);
  for (TeamChoice choice : {TeamChoice::kByCost, TeamChoice::kByRows, TeamChoice::kByUnits}) {
    auto program = CompileToMemory(graph, {.plan = {.team = choice}});
    ASSERT_TRUE(program) << program.error().message;
    for (const Host& host : kHosts) {
      for (size_t count : {1, 2, 5}) {
        const recurve_team team{count, host.parallel_for, nullptr, nullptr};
        Session session(*program);
        EXPECT_TRUE(session.SetExtent("T", sizes.steps));
        EXPECT_TRUE(session.SetExtent("B", sizes.batch));
        EXPECT_TRUE(session.Initialize(7));
        FillArguments(session, 3);
        session.UseThreads(&team);
        EXPECT_TRUE(Results(session) == expected)
            << host.name << " of " << count << ", choice " << static_cast<int>(choice);
      }
    }
  }
}

// Nobody is woken for an entry that a team cannot speed up.
TEST(Team, SmallEntriesAreNotShared) {
  const Program program = Compiled(LibraryCell("lstm", 64, 64));
  int calls = 0;
  const recurve_team team{2,
                          [](const recurve_team* self, void (*body)(void*, size_t), void* call) {
                            ++*static_cast<int*>(self->context);
                            for (size_t i = 0; i < 2; ++i) body(call, i);
                          },
                          nullptr, &calls};
  auto calls_of = [&](size_t steps, size_t batch, auto run) {
    Session session(program);
    EXPECT_TRUE(session.SetExtent("T", steps));
    EXPECT_TRUE(session.SetExtent("B", batch));
    EXPECT_TRUE(session.Initialize(7));
    FillArguments(session, 3);
    EXPECT_TRUE(session.Forward());  // weights are packed
    session.UseThreads(&team);
    calls = 0;
    run(session);
    return calls;
  };
  auto forward = [](Session& session) { EXPECT_TRUE(session.Forward()); };
  EXPECT_EQ(calls_of(3, 1, forward), 0);
  EXPECT_EQ(calls_of(100, 64, forward), 1);
  EXPECT_EQ(calls_of(100, 64, [](Session& session) { EXPECT_TRUE(session.Backward()); }), 1);
  Stream stream(program);
  EXPECT_TRUE(stream.Step());  // and here too
  stream.UseThreads(&team);
  calls = 0;
  EXPECT_TRUE(stream.Step());
  EXPECT_EQ(calls, 0);
}

}  // namespace
}  // namespace recurve

// What a caller can do with a program, and what is said when he does something else.

#include "runtime/session.h"

#include <array>
#include <atomic>
#include <cmath>
#include <thread>

#include <gtest/gtest.h>

#include "hand_program.h"
#include "runtime/random.h"

namespace recurve {
namespace {

using test::CharacterProgram;
using test::SeriesProgram;
using test::Wrapped;

constexpr ElementType kBoth[] = {ElementType::kF32, ElementType::kF64};

void FillInputs(Session& session, uint64_t seed) {
  Random random(seed);
  for (const char* name : {"x", "target"}) {
    std::vector<double> values(session.Extent("T") * session.Extent("B"));
    for (double& value : values) value = random.Uniform(-1, 1);
    ASSERT_TRUE(session.Set(name, values));
  }
}

Session ReadySession(ElementType element) {
  Session session(Wrapped(SeriesProgram(element)));
  EXPECT_TRUE(session.SetExtent("T", 6) && session.SetExtent("B", 3));
  EXPECT_TRUE(session.Initialize(7));
  FillInputs(session, 3);
  return session;
}

TEST(Session, GradientIsTheSlopeOfTheLoss) {
  Session session = ReadySession(ElementType::kF64);
  ASSERT_TRUE(session.Forward());
  ASSERT_TRUE(session.Fill("loss_adj", 1));
  ASSERT_TRUE(session.Backward());
  for (const char* name : {"encoder.W", "encoder.U", "encoder.b", "P", "p"}) {
    const std::vector<double> gradient = *session.Get(std::string(name) + "_adj");
    for (size_t i = 0; i < gradient.size(); ++i) {
      double loss[2];
      for (int side = 0; side < 2; ++side) {
        (*session.Parameter<double>(name))[i] += side == 0 ? -1e-5 : 2e-5;
        ASSERT_TRUE(session.Forward());
        loss[side] = session.Get("loss")->front();
      }
      (*session.Parameter<double>(name))[i] -= 1e-5;
      EXPECT_NEAR(gradient[i], (loss[1] - loss[0]) / 2e-5, 1e-8) << name << "[" << i << "]";
    }
  }
}

TEST(Session, AdjointThatNobodyAskedForIsZero) {
  Session session = ReadySession(ElementType::kF32);
  ASSERT_TRUE(session.Forward() && session.Backward());
  const auto values = *session.Get("P_adj");
  for (const double value : values) EXPECT_EQ(value, 0);
}

TEST(Session, ForwardAndInferenceAgree) {
  for (const ElementType element : kBoth) {
    Session session = ReadySession(element);
    ASSERT_TRUE(session.Forward());
    const auto first = *session.Get("prediction");
    ASSERT_TRUE(session.Fill("prediction", 0) && session.Inference());
    EXPECT_EQ(first, *session.Get("prediction"));
  }
}

TEST(Session, ChangedParameterIsPackedAgain) {
  Session session = ReadySession(ElementType::kF32);
  ASSERT_TRUE(session.Inference());
  const auto before = *session.Get("prediction");
  const std::span<float> offset = *session.Parameter<float>("p");
  offset[0] += 2;
  ASSERT_TRUE(session.Inference());
  EXPECT_NEAR(session.Get("prediction")->front(), before.front() + 2, 1e-5);
  offset[0] -= 2;
  ASSERT_TRUE(session.Inference());
  EXPECT_NEAR(session.Get("prediction")->front(), before.front() + 2, 1e-5) << "nobody said that it changed";
  session.parameters().MarkChanged();
  ASSERT_TRUE(session.Inference());
  EXPECT_NEAR(session.Get("prediction")->front(), before.front(), 1e-5);
}

TEST(Session, OutputThatIsNotWantedStaysAsItWas) {
  Session session = ReadySession(ElementType::kF32);
  ASSERT_TRUE(session.Fill("prediction", -7) && session.Want("prediction", false) && session.Forward());
  const auto values = *session.Get("prediction");
  for (const double value : values) EXPECT_EQ(value, -7);
}

TEST(Session, BoundMemoryIsReadAndWritten) {
  Session session = ReadySession(ElementType::kF32);
  ASSERT_TRUE(session.Inference());
  const auto expected = *session.Get("prediction");
  const auto data = *session.Get("x");
  const std::vector<float> x(data.begin(), data.end());
  std::vector<float> prediction(x.size());
  ASSERT_TRUE(session.Fill("x", 0));
  ASSERT_TRUE(session.Bind("x", std::span(x)) && session.Bind("prediction", std::span(prediction)));
  ASSERT_TRUE(session.Inference());
  EXPECT_EQ(std::vector<double>(prediction.begin(), prediction.end()), expected);
}

TEST(Session, GrowsAndShrinks) {
  for (const size_t size : {5u, 500u, 2u}) {
    Session fresh(Wrapped(SeriesProgram(ElementType::kF64)));
    Session used(Wrapped(SeriesProgram(ElementType::kF64)));
    ASSERT_TRUE(used.SetExtent("T", 40) && used.SetExtent("B", 3) && used.Initialize(1) && fresh.Initialize(1));
    FillInputs(used, 1);
    ASSERT_TRUE(used.Forward() && used.Fill("loss_adj", 1) && used.Backward() && used.Inference());
    for (Session* session : {&fresh, &used}) {
      ASSERT_TRUE(session->SetExtent("T", size) && session->SetExtent("B", 2));
      FillInputs(*session, size);
      ASSERT_TRUE(session->Forward() && session->Fill("loss_adj", 1) && session->Backward());
    }
    EXPECT_EQ(*fresh.Get("encoder.W_adj"), *used.Get("encoder.W_adj")) << "T = " << size;
  }
}

TEST(Session, ResizedTensorBecomesZero) {
  Session session = ReadySession(ElementType::kF32);
  ASSERT_TRUE(session.SetExtent("T", 4));
  const auto values = *session.Get("x");
  for (const double value : values) EXPECT_EQ(value, 0);
}

TEST(Session, TeamGivesTheSameBits) {
  Session session = ReadySession(ElementType::kF32);
  ASSERT_TRUE(session.SetExtent("B", 17));
  FillInputs(session, 5);
  ASSERT_TRUE(session.Forward());
  const auto alone = *session.Get("prediction");
  for (const size_t threads : {1u, 2u, 5u}) {
    auto team = Team::Start(threads, /*pin=*/threads == 2);
    ASSERT_TRUE(team);
    session.UseTeam(*team);
    for (int run = 0; run < 50; ++run) {
      ASSERT_TRUE(session.Fill("prediction", 0) && session.Forward());
      EXPECT_EQ(alone, *session.Get("prediction")) << threads << " threads, run " << run;
    }
  }
}

TEST(Session, ThreadsShareOneProgram) {
  auto parameters = std::make_shared<Parameters>(Wrapped(SeriesProgram(ElementType::kF64)));
  ASSERT_TRUE(parameters->Initialize(4));
  std::vector<std::vector<double>> results(4);
  std::vector<std::thread> threads;
  for (auto& result : results) {
    threads.emplace_back([&parameters, &result] {
      Session session(parameters);
      if (!session.SetExtent("T", 30)) return;
      FillInputs(session, 9);
      if (session.Inference()) result = *session.Get("prediction");
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const auto& result : results) EXPECT_EQ(result, results[0]);
  EXPECT_EQ(results[0].size(), 30u);
}

TEST(Stream, StepsAreTheSequence) {
  for (const ElementType element : kBoth) {
    Session session = ReadySession(element);
    ASSERT_TRUE(session.Inference());
    const auto x = *session.Get("x"), expected = *session.Get("prediction");
    Stream stream(session.shared_parameters(), 3);
    for (int round = 0; round < 2; ++round) {
      for (size_t t = 0; t < 6; ++t) {
        ASSERT_TRUE(stream.Set("x", std::span(x).subspan(t * 3, 3)) && stream.Step());
        const auto y = *stream.Get("prediction");
        for (size_t b = 0; b < 3; ++b) EXPECT_NEAR(y[b], expected[t * 3 + b], 1e-6);
      }
      ASSERT_TRUE(stream.Reset());
    }
  }
}

TEST(Parameters, InitializeFollowsTheDistributionAndTheSeed) {
  Session a(Wrapped(SeriesProgram(ElementType::kF32))), b(Wrapped(SeriesProgram(ElementType::kF64)));
  ASSERT_TRUE(a.Initialize(1) && b.Initialize(1));
  const auto first = *a.Parameter<float>("encoder.U");
  const auto second = *b.Parameter<double>("encoder.U");
  const double bound = 1 / std::sqrt(8.0);
  for (size_t i = 0; i < first.size(); ++i) {
    EXPECT_EQ(first[i], static_cast<float>(second[i])) << "both precisions draw the same numbers";
    EXPECT_LE(std::abs(second[i]), bound);
  }
  EXPECT_NE(first[0], first[1]);
  EXPECT_EQ((*a.Parameter<float>("encoder.b"))[0], 0);
  const float before = first[0];
  ASSERT_TRUE(a.Initialize(2));
  EXPECT_NE(first[0], before);
}

// Keeps only whether something failed.
template <typename T>
std::expected<void, Error> Drop(const std::expected<T, Error>& result) {
  if (!result) return std::unexpected(result.error());
  return {};
}

// What a caller gets wrong, and what is said.
TEST(Session, SaysWhatIsWrong) {
  using Action = std::expected<void, Error> (*)(Session&);
  const struct {
    Action action;
    const char* message;
  } rows[] = {
      {[](Session& s) { return Drop(s.Tensor<float>("q")); }, "program `series` has no tensor `q`"},
      {[](Session& s) { return Drop(s.Tensor<float>("P")); }, "program `series` has no tensor `P`; it is a parameter"},
      {[](Session& s) { return Drop(s.Tensor<double>("x")); }, "tensor `x` of `series` is f32, asked for as f64"},
      {[](Session& s) { return Drop(s.Parameter<float>("x")); }, "program `series` has no parameter `x`"},
      {[](Session& s) { return Drop(s.Parameter<double>("P")); }, "parameter `P` of `series` is f32, asked for as f64"},
      {[](Session& s) { return s.SetExtent("S", 1); }, "program `series` has no axis `S`"},
      {[](Session& s) { return s.SetExtent("T", 0); }, "axis `T` of `series` cannot be 0"},
      {[](Session& s) { return s.SetExtent("T", SIZE_MAX / 2); }, "tensor `x` [T, B, 1] of `series` exceeds memory"},
      {[](Session& s) { return s.Set("x", std::vector<double>(5)); }, "tensor `x` [T, B, 1] has 18 elements, given 5"},
      {[](Session& s) {
         static float memory[17];
         return s.Bind("x", std::span<float>(memory));
       },
       "tensor `x` [T, B, 1] has 18 elements, bound to 17"},
      {[](Session& s) {
         static const float memory[18] = {};
         return s.Bind("prediction", std::span<const float>(memory));
       },
       "tensor `prediction` is written, bound to memory that may only be read"},
      {[](Session& s) { return s.Want("x", false); },
       "tensor `x` of `series` is read by its entries and cannot be left out"},
      {[](Session& s) { return s.Backward(); },
       "cannot run `backward` of `series`: no `forward` has run with these sizes"},
      {[](Session& s) {
         EXPECT_TRUE(s.Forward() && s.SetExtent("B", 4));
         return s.Backward();
       },
       "cannot run `backward` of `series`: no `forward` has run with these sizes"},
  };
  for (const auto& row : rows) {
    Session session = ReadySession(ElementType::kF32);
    const auto result = row.action(session);
    ASSERT_FALSE(result) << row.message;
    EXPECT_EQ(result.error().message, row.message);
  }
}

TEST(Session, SaysWhichIndexIsOutside) {
  for (const double wrong : {5.0, 100000.0}) {
    Session session(Wrapped(CharacterProgram(ElementType::kF32)));
    ASSERT_TRUE(session.SetExtent("T", 3) && session.Set("tokens", std::vector<double>{4, wrong, 0}));
    const auto result = session.Forward();
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().message, "cannot run `forward` of `characters`: element 1 of `tokens` is " +
                                          std::to_string(static_cast<int>(wrong)) + ", outside [0, 5)");
  }
  Session session(Wrapped(CharacterProgram(ElementType::kF32)));
  (*session.Tensor<int32_t>("target"))[0] = -1;
  EXPECT_EQ(session.Forward().error().message,
            "cannot run `forward` of `characters`: element 0 of `target` is -1, outside [0, 5)");
}

TEST(Session, SaysThatMemoryIsExhausted) {
  Session session(Wrapped(SeriesProgram(ElementType::kF64)));
  ASSERT_TRUE(session.SetExtent("T", size_t{1} << 56));
  EXPECT_FALSE(session.Tensor<double>("x"));
  EXPECT_FALSE(session.Forward());
  ASSERT_TRUE(session.SetExtent("T", 2));
  EXPECT_TRUE(session.Forward());
}

TEST(Stream, SaysThatABatchOfNoneCannotRun) {
  Stream stream(Wrapped(SeriesProgram(ElementType::kF32)), 0);
  EXPECT_EQ(stream.Step().error().message, "cannot run `step`: an axis is 0");
}

// Every member sees what the others wrote before each barrier, also where members outnumber processors.
TEST(Team, BarriersHoldForAnyNumberOfMembers) {
  struct Shared {
    const recurve_team* team;
    std::array<std::atomic<int>, 17> rounds{};
    std::atomic<int> violations = 0;
  };
  const auto body = [](void* call, size_t index) {
    auto& shared = *static_cast<Shared*>(call);
    const recurve_team* team = shared.team;
    for (int round = 1; round <= 100; ++round) {
      shared.rounds[index].store(round, std::memory_order_relaxed);
      team->barrier(team, index);
      for (size_t i = 0; i < team->count; ++i) {
        const int seen = shared.rounds[i].load(std::memory_order_relaxed);
        if (seen != round) ++shared.violations;
      }
      team->barrier(team, index);
    }
  };
  for (size_t members : {1, 2, 3, 8, 17}) {
    auto team = Team::Start(members, /*pin=*/members == 8);
    ASSERT_TRUE(team);
    Shared shared{&(*team)->lent()};
    for (int repeat = 0; repeat < 3; ++repeat) shared.team->parallel_for(shared.team, body, &shared);
    EXPECT_EQ(shared.violations, 0) << members << " members";
    EXPECT_EQ(shared.rounds[members - 1], 100);
  }
}

TEST(Team, RefusesImpossibleSizes) {
  EXPECT_FALSE(Team::Start(0));
  EXPECT_EQ(Team::Start(1025).error().message, "cannot start a team of 1025 threads: 1 to 1024 are possible");
}

}  // namespace
}  // namespace recurve

// tests/driver/update_test.cpp: optimizers written in the language step as their papers say, in one pass over memory.

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>

#include "compiler/compile.h"
#include "compiler/plan.h"
#include "compiler/plan_access.h"
#include "runtime/session.h"
#include "runtime/update.h"
#include "tests/support/graph_of.h"

namespace recurve {
namespace {

constexpr char kModel[] =
    "model m(H) {\n  input x: [2] over T, target: [3] over T\n  param P: [3, H], q: [3]\n"
    "  h = scan elman(H=H) over x\n  loss mse(P @ h + q, target)\n}\n";

ir::Graph Model() { return GraphOf(kModel, "m", {{"H", 37}}); }

CompileOptions OptionsFor(const std::string& optimizer, Precision precision = Precision::kF32) {
  return {.precision = precision, .wrt = {"P", "q", "h.W", "h.U", "h.b"}, .optimizer = {optimizer, ""}};
}

const OptimizerOptions kSettings{.rate = 0.125,  // numbers of f32, so that both precisions mean the same
                                 .momentum = 0.875,
                                 .beta1 = 0.875,
                                 .beta2 = 0.96875,
                                 .epsilon = 0.0009765625,
                                 .decay = 0.03125,
                                 .clip = 2,
                                 .bound = 0.25};

struct Kept {
  double p = 0, first = 0, second = 0;
};
// One number's step from its gradient, already clipped, as the papers write it.
using Formula = std::function<void(Kept&, double g, double step)>;

const std::map<std::string, Formula> kFormulas = {
    {"sgd",
     [](Kept& k, double g, double) {
       k.first = kSettings.momentum * k.first + g + kSettings.decay * k.p;
       k.p -= kSettings.rate * k.first;
     }},
    {"rmsprop",
     [](Kept& k, double g, double) {
       g += kSettings.decay * k.p;
       k.first = kSettings.beta2 * k.first + (1 - kSettings.beta2) * g * g;
       k.p -= kSettings.rate * g / (std::sqrt(k.first) + kSettings.epsilon);
     }},
    {"adagrad",
     [](Kept& k, double g, double) {
       g += kSettings.decay * k.p;
       k.first += g * g;
       k.p -= kSettings.rate * g / (std::sqrt(k.first) + kSettings.epsilon);
     }},
    {"adam",
     [](Kept& k, double g, double step) {
       g += kSettings.decay * k.p;
       k.first = kSettings.beta1 * k.first + (1 - kSettings.beta1) * g;
       k.second = kSettings.beta2 * k.second + (1 - kSettings.beta2) * g * g;
       const double mean = k.first / (1 - std::pow(kSettings.beta1, step));
       const double square = k.second / (1 - std::pow(kSettings.beta2, step));
       k.p -= kSettings.rate * mean / (std::sqrt(square) + kSettings.epsilon);
     }},
    {"adamw",
     [](Kept& k, double g, double step) {
       k.first = kSettings.beta1 * k.first + (1 - kSettings.beta1) * g;
       k.second = kSettings.beta2 * k.second + (1 - kSettings.beta2) * g * g;
       const double mean = k.first / (1 - std::pow(kSettings.beta1, step));
       const double square = k.second / (1 - std::pow(kSettings.beta2, step));
       k.p -= kSettings.rate * kSettings.decay * k.p + kSettings.rate * mean / (std::sqrt(square) + kSettings.epsilon);
     }},
};

// Gradients that change from step to step, of lengths on both sides of the limit.
double GradientAt(int step, size_t parameter, size_t i) {
  return (step % 3 == 0 ? 0.02 : 0.4) *
         std::sin(0.7 * static_cast<double>(i) + 1.3 * step + 2.1 * static_cast<double>(parameter));
}

template <typename T>
void ExpectTwentySteps(const std::string& optimizer, Precision precision) {
  auto program = CompileToMemory(Model(), OptionsFor(optimizer, precision));
  ASSERT_TRUE(program) << program.error().message;
  Session session(*program);
  const auto& parameters = session.shared_parameters();
  ASSERT_TRUE(session.Initialize(5));
  Updater<T> updater;
  auto prepared = updater.Prepare(parameters, session, kSettings);
  ASSERT_TRUE(prepared) << prepared.error().message;
  const std::vector<std::string> names = {"P", "q", "h.W", "h.U", "h.b"};
  std::vector<std::vector<Kept>> expected;
  for (const std::string& name : names) {
    std::vector<Kept>& kept = expected.emplace_back();
    for (T value : *session.Parameter<T>(name)) kept.push_back({.p = static_cast<double>(value)});
  }
  const Formula& formula = kFormulas.at(optimizer);
  for (int step = 1; step <= 20; ++step) {
    double squares = 0;
    for (size_t k = 0; k < names.size(); ++k) {
      std::span<T> gradient = *session.Tensor<T>(names[k] + "_adj");
      for (size_t i = 0; i < gradient.size(); ++i) {
        gradient[i] = static_cast<T>(GradientAt(step, k, i));
        squares += static_cast<double>(gradient[i]) * static_cast<double>(gradient[i]);
      }
    }
    const double length = std::sqrt(squares), scale = std::min(1.0, kSettings.clip / length);
    const double roundoff = std::numeric_limits<T>::epsilon();
    EXPECT_NEAR(updater.Step(20), length, 40 * roundoff * length);
    for (size_t k = 0; k < names.size(); ++k) {
      std::span<T> gradient = *session.Tensor<T>(names[k] + "_adj");
      const std::span<const T> values = *parameters->Read<T>(names[k]);
      for (size_t i = 0; i < gradient.size(); ++i) {
        const double g = std::clamp(scale * static_cast<double>(gradient[i]), -kSettings.bound, kSettings.bound);
        formula(expected[k][i], g, step);
        // A step moves a number by a few rates at most, each off by a few dozen roundoffs of a step.
        EXPECT_NEAR(static_cast<double>(values[i]), expected[k][i].p, 40 * roundoff * step * kSettings.rate * 8)
            << optimizer << " " << names[k] << " step " << step;
      }
    }
  }
}

TEST(Optimizers, StepAsTheirPapersSay) {
  for (const auto& [optimizer, formula] : kFormulas) {
    ExpectTwentySteps<float>(optimizer, Precision::kF32);
    ExpectTwentySteps<double>(optimizer, Precision::kF64);
  }
}

// Every number of a parameter, its gradient and what is kept of it is read and written by one kernel, but for the
// gradient's length.
TEST(Optimizers, GoOverMemoryOnce) {
  for (const auto& [optimizer, formula] : kFormulas) {
    auto plan = PlanProgram(Model(), OptionsFor(optimizer));
    ASSERT_TRUE(plan) << plan.error().message;
    const EntryPlan& update = *std::ranges::find(plan->entries, "update", &EntryPlan::name);
    for (size_t b = 0; b < update.buffers.size(); ++b) {
      const Buffer& buffer = update.buffers[b];
      if (buffer.size.factor < 3) continue;
      EXPECT_EQ(buffer.place, Place::kSlot) << optimizer << ": nothing as large as a parameter is kept in between";
      int reads = 0, writes = 0;
      for (const Kernel& kernel : update.kernels) {
        auto uses = [&](const Access& access) { return access.view->buffer == static_cast<int>(b); };
        if (kernel.kind == KernelKind::kMap) reads += std::ranges::any_of(ReadsOf(kernel), uses) ? 1 : 0;
        writes += std::ranges::any_of(WritesOf(kernel), uses) ? 1 : 0;
      }
      EXPECT_EQ(reads, 1) << optimizer << " " << buffer.name;
      EXPECT_EQ(writes, buffer.name.ends_with("_adj") ? 0 : 1) << optimizer << " " << buffer.name;
    }
  }
}

TEST(Optimizers, OfOnesOwnHaveSettingsOfTheirOwn) {
  CompileOptions options = OptionsFor("sign");
  options.optimizer.source =
      "cell sign(N) {\n  input gradient: [N], rate: [], softness: []\n  state p: [N]\n"
      "  p' = p - rate * tanh(gradient / softness)\n  output p'\n}\n";
  auto program = CompileToMemory(Model(), options);
  ASSERT_TRUE(program) << program.error().message;
  Session session(*program);
  Updater<float> updater;
  EXPECT_THAT(updater.Prepare(session.shared_parameters(), session, {}).error().message,
              testing::HasSubstr("wants a setting `softness`"));
  ASSERT_TRUE(updater.Prepare(session.shared_parameters(), session, {.rate = 0.5, .more = {{"softness", 1e-6}}}));
  std::ranges::fill(*session.Tensor<float>("P_adj"), 3.0f);
  updater.Step(1);
  EXPECT_FLOAT_EQ((*session.Parameter<float>("P"))[0], -0.5f);
}

TEST(Optimizers, ThatAreNoneAreNamed) {
  struct Row {
    const char *optimizer, *source, *message;
  };
  const Row rows[] = {
      {"adamax", "", "is not known; there are adagrad, adam, adamw, rmsprop, sgd"},
      {"o", "cell o(N) {\n  input gradient: [N]\n  state q: [N]\n  q' = q - gradient\n  output q'\n}\n",
       "no state `p: [N]`"},
      {"o", "cell o(N) {\n  input gradient: [N], k: [N]\n  state p: [N]\n  p' = p - k * gradient\n  output p'\n}\n",
       "`k` is neither `gradient` nor a number"},
      {"o", "cell o(N) {\n", "should close a block"},
  };
  for (const Row& row : rows) {
    CompileOptions options = OptionsFor(row.optimizer);
    options.optimizer.source = row.source;
    auto plan = PlanProgram(Model(), options);
    ASSERT_FALSE(plan);
    EXPECT_THAT(plan.error().message, testing::HasSubstr(row.message));
  }
}

}  // namespace
}  // namespace recurve

// tests/driver/losses_test.cpp: losses of the library are what their papers and names say, and CTC also to its
// witnesses.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "compiler/compile.h"
#include "compiler/gradcheck.h"
#include "ir/interpreter.h"
#include "runtime/random.h"
#include "tests/support/graph_of.h"

namespace recurve {
namespace {

using Numbers = std::vector<double>;

// Minus the logarithm of the probability that a path of classes, blanks and repetitions taken out, is `labels`; summed
// over all paths.
double CtcOfAllPaths(const std::vector<Numbers>& logp, const std::vector<size_t>& labels) {
  const size_t classes = logp[0].size(), steps = logp.size();
  double probability = 0;
  for (size_t path = 0; path < static_cast<size_t>(std::pow(classes, steps)); ++path) {
    std::vector<size_t> said;
    size_t last = classes - 1, rest = path;
    double log_probability = 0;
    for (size_t t = 0; t < steps; ++t, rest /= classes) {
      const size_t now = rest % classes;
      log_probability += logp[t][now];
      if (now != classes - 1 && now != last) said.push_back(now);
      last = now;
    }
    if (said == labels) probability += std::exp(log_probability);
  }
  return -std::log(probability);
}

constexpr std::string_view kCtc = R"(
model m(L, V) {
  input x: [V] over T by n
  input labels: [L, V], count: int[L+1]
  a = scan ctc over log_softmax(x), labels
  output a
  loss ctc_loss(a.state.blank, a.state.label, one_hot(count))
})";

TEST(Losses, CtcIsTheSumOverAllPaths) {
  constexpr size_t kClasses = 4, kLabels = 3, kLongest = 5;
  const ir::Graph graph = GraphOf(std::string(kCtc), "m", {{"L", kLabels}, {"V", kClasses}});
  Random random(3);
  const std::vector<std::vector<size_t>> kRows[] = {{{0, 1, 2}}, {{1, 1}}, {{2}}, {{}}, {{0, 0, 1}}};
  for (const auto& row : kRows) {
    for (size_t steps : {3, 5}) {
      const std::vector<size_t>& labels = row[0];
      std::vector<Numbers> logp(steps, Numbers(kClasses));
      ir::Tensor x = ir::Tensor::Filled({kLongest, 1, kClasses}, 0.3);
      for (size_t t = 0; t < steps; ++t) {
        double sum = 0;
        for (size_t v = 0; v < kClasses; ++v) sum += std::exp(x.values[t * kClasses + v] = random.Uniform(-2, 2));
        for (size_t v = 0; v < kClasses; ++v) logp[t][v] = x.values[t * kClasses + v] - std::log(sum);
      }
      ir::Tensor rows = ir::Tensor::Filled({1, kLabels, kClasses}, 0);
      for (size_t i = 0; i < labels.size(); ++i) rows.values[i * kClasses + labels[i]] = 1;
      std::vector<ir::Tensor> inputs;
      for (ir::NodeId id : graph.inputs()) {
        const std::string& name = graph[id].As<ir::InputAttr>().name;
        const std::map<std::string, ir::Tensor> given = {{"x", x},
                                                         {"n", {{1}, {static_cast<double>(steps)}}},
                                                         {"labels", rows},
                                                         {"count", {{1}, {static_cast<double>(labels.size())}}}};
        inputs.push_back(given.at(name));
      }
      const auto results = ir::Interpret(graph, {{"T", kLongest}, {"B", 1}}, inputs);
      const double loss = results[static_cast<size_t>(std::ranges::find(graph.outputs(), "loss", &ir::Output::name) -
                                                      graph.outputs().begin())]
                              .values[0];
      const double expected = CtcOfAllPaths(logp, labels);
      if (std::isinf(expected)) {
        EXPECT_GT(loss, 1e20);  // more labels than steps can say
      } else {
        EXPECT_NEAR(loss, expected, 1e-9);
      }
    }
  }
}

// What cannot be said yet is as good as minus infinity, and what it adds to or takes from another such is rounding; so
// here every labelling can be said in time, and the loss alone is asked for.
TEST(Losses, CtcAgreesWithItsWitnesses) {
  std::string source(kCtc);
  source.replace(source.find(" by n"), 5, "");
  source.replace(source.find("  output a\n"), 11, "");
  const ir::Graph graph = GraphOf(source, "m", {{"L", 2}, {"V", 4}});
  const Trial trial = MakeTrial(graph, {{"T", 5}, {"B", 3}}, 4);
  for (double error : FiniteDifferenceErrors(trial, 20, 4)) EXPECT_LE(error, kFiniteDifferenceTolerance);
  for (double error : UnrolledErrors(trial)) EXPECT_LE(error, kUnrolledTolerance);
  for (Precision precision : {Precision::kF32, Precision::kF64}) {
    auto program = CompileToMemory(graph, {.precision = precision});
    ASSERT_TRUE(program) << program.error().message;
    auto compiled = ErrorsOf(*program, trial);
    ASSERT_TRUE(compiled) << compiled.error().message;
    for (size_t i = 0; i < compiled->errors.size(); ++i) {
      EXPECT_LE(compiled->errors[i], compiled->tolerances[i]) << i;
      EXPECT_LE(compiled->tolerances[i], precision == Precision::kF32 ? 1e-3 : 1e-12) << i;
    }
  }
}

TEST(Losses, AreWhatTheirNamesSay) {
  const ir::Graph graph = GraphOf(
      "model m() {\n  input y: [3], t: [3], k: int[3]\n"
      "  output a = mae(y, t), b = huber(y, t), c = huber(y, t, 0.5), d = cross_entropy(y, k, 0.3)\n"
      "  output e = soft_cross_entropy(y, t), f = binary_cross_entropy(y, t), g = correct(y, k)\n"
      "  output h = logaddexp(y, t)\n}\n",
      "m", {});
  const Numbers y = {0.3, -2, 1.5}, t = {0.2, 0.7, 0.1};
  const auto of = [&](double k) {
    std::vector<Numbers> values;
    for (const ir::Tensor& result :
         ir::Interpret(graph, {{"B", 1}}, std::vector<ir::Tensor>{{{1, 3}, y}, {{1, 3}, t}, {{1}, {k}}}))
      values.push_back(result.values);
    return values;
  };
  const auto results = of(0);
  double mae = 0, huber = 0, half = 0, smooth = 0, soft = 0, binary = 0, sum = 0;
  for (double logit : y) sum += std::exp(logit);
  for (size_t i = 0; i < 3; ++i) {
    const double d = std::abs(y[i] - t[i]), share = std::exp(y[i]) / sum, p = 1 / (1 + std::exp(-y[i]));
    mae += d / 3;
    huber += (d < 1 ? d * d / 2 : d - 0.5) / 3;
    half += (d < 0.5 ? d * d / 2 : 0.5 * (d - 0.25)) / 3;
    smooth -= (i == 0 ? 0.8 : 0.1) * std::log(share);
    soft -= t[i] * std::log(share);
    binary -= (t[i] * std::log(p) + (1 - t[i]) * std::log(1 - p)) / 3;
  }
  const double expected[] = {mae, huber, half, smooth, soft, binary};
  for (size_t i = 0; i < std::size(expected); ++i) EXPECT_NEAR(results[i][0], expected[i], 1e-12) << i;
  EXPECT_EQ(results[6][0], 0);
  EXPECT_EQ(of(2)[6][0], 1);
  for (size_t i = 0; i < 3; ++i) EXPECT_NEAR(results[7][i], std::log(std::exp(y[i]) + std::exp(t[i])), 1e-12);
}

}  // namespace
}  // namespace recurve

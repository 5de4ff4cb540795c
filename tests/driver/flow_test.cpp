// tests/driver/flow_test.cpp: gradients flow back as the textbooks say.

#include "compiler/flow.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "compiler/compile.h"
#include "runtime/parameters.h"
#include "tests/support/graph_of.h"

namespace recurve {
namespace {

ir::Graph Layer(const std::string& cell, int64_t hidden) {
  return GraphOf(fmt::format("model m(H) {{\n  input x: [3] over T\n  h = scan {}(H=H) over x\n  output h\n}}\n", cell),
                 "m", {{"H", hidden}});
}

WeightFile RandomWeights(const ir::Graph& graph) {
  auto program = CompileToMemory(graph, {.gradients = false});
  EXPECT_TRUE(program) << program.error().message;
  Parameters parameters(*program);
  EXPECT_TRUE(parameters.Initialize(3));
  return Collect(parameters);
}

std::vector<double>& ValuesOf(WeightFile& weights, const std::string& name) {
  return const_cast<WeightTensor*>(weights.Find(name))->values;
}

ScanFlow FlowOf(const ir::Graph& graph, const WeightFile& weights, int64_t steps = 100) {
  auto flows = MeasureFlow(graph, weights, steps, /*seed=*/1);
  EXPECT_TRUE(flows) << flows.error().message;
  return flows ? flows->front() : ScanFlow{};
}

// A turn by 40 degrees that shrinks by a tenth: eigenvalues 0.9 exp(+-0.7i), of which no power is a surprise.
TEST(Flow, OfALinearRecurrenceIsThePowerOfItsMatrix) {
  const ir::Graph graph = GraphOf(
      "cell turn(I) {\n  input x: [I]\n  state h: [2]\n  param U: [2, 2], W: [2, I]\n  h' = U @ h + W @ x\n  output "
      "h'\n}\n"
      "model m() {\n  input x: [3] over T\n  h = scan turn() over x\n  output h\n}\n",
      "m", {});
  WeightFile weights = RandomWeights(graph);
  ValuesOf(weights, "h.U") = {0.9 * std::cos(0.7), -0.9 * std::sin(0.7), 0.9 * std::sin(0.7), 0.9 * std::cos(0.7)};
  const ScanFlow flow = FlowOf(graph, weights, 30);
  ASSERT_EQ(flow.norms.size(), 31u);
  for (size_t back = 0; back <= 30; ++back) EXPECT_NEAR(flow.norms[30 - back], std::pow(0.9, back), 1e-12) << back;
  for (double radius : flow.radii) EXPECT_NEAR(radius, 0.9, 1e-3);
  EXPECT_EQ(flow.memory(), 9u);  // 0.9^9 = 0.387, 0.9^10 = 0.349 < 1/e
}

TEST(Flow, OfAReversedScanGoesTheOtherWay) {
  const ir::Graph graph = GraphOf(
      "cell leak(I) {\n  input x: [I]\n  state h: [1]\n  param u: [1], W: [1, I]\n  h' = u * h + W @ x\n  output "
      "h'\n}\n"
      "model m() {\n  input x: [3] over T\n  h = reverse scan leak() over x\n  output h\n}\n",
      "m", {});
  WeightFile weights = RandomWeights(graph);
  ValuesOf(weights, "h.u") = {0.5};
  EXPECT_NEAR(FlowOf(graph, weights, 10).norms[0], std::pow(0.5, 10), 1e-15);
}

// U scaled so that its spectral radius, near sqrt(H) times the deviation of its entries, is the one wanted.
ScanFlow VanillaWithRadius(double radius) {
  const ir::Graph graph = Layer("elman", 64);
  WeightFile weights = RandomWeights(graph);
  const double now = 1 / std::sqrt(3.0);  // uniform within 1/sqrt(H): deviation 1/sqrt(3 H)
  for (double& value : ValuesOf(weights, "h.U")) value *= radius / now;
  for (double& value : ValuesOf(weights, "h.W")) value *= 0.01;  // tanh is nearly linear there
  return FlowOf(graph, weights);
}

TEST(Flow, OfAVanillaNetworkVanishesOrExplodesWithTheSpectralRadius) {
  const ScanFlow small = VanillaWithRadius(0.5);
  EXPECT_LT(small.norms[0], 1e-20);
  EXPECT_LE(small.memory(), 20u);
  for (double radius : small.radii) EXPECT_NEAR(radius, 0.5, 0.1);
  const ScanFlow large = VanillaWithRadius(1.5);
  EXPECT_EQ(large.memory(), 100u);
  // Its states leave the origin, and saturation holds it back; before that it grows.
  EXPECT_GT(*std::ranges::max_element(large.norms), 1e3);
}

TEST(Flow, OfAnLstmWithAnOpenForgetGateIsKept) {
  const ir::Graph graph = Layer("lstm", 16);
  WeightFile weights = RandomWeights(graph);
  for (size_t i = 16; i < 32; ++i) ValuesOf(weights, "h.b")[i] = 6;  // the forget gate's
  for (double& value : ValuesOf(weights, "h.U")) value *= 0.3;       // what else the cell sees of its past is little
  const ScanFlow open = FlowOf(graph, weights);
  EXPECT_EQ(open.memory(), 100u);
  EXPECT_GT(open.norms[0], 0.5);
  EXPECT_LT(open.norms[0], 10);
  const auto forget = std::ranges::find(open.gates, "f", &GateFlow::name);
  ASSERT_NE(forget, open.gates.end());
  EXPECT_GT(*std::ranges::min_element(forget->means), 0.97);
  for (size_t i = 16; i < 32; ++i) ValuesOf(weights, "h.b")[i] = 0;
  EXPECT_LT(FlowOf(graph, weights).norms[0], 1e-10);
}

TEST(Flow, SaysWhatIsMissing) {
  const ir::Graph graph = Layer("elman", 4);
  auto flows = MeasureFlow(graph, {}, 10, 1);
  ASSERT_FALSE(flows);
  EXPECT_THAT(flows.error().message, testing::HasSubstr("have no `h.W`"));
  const ir::Graph none = GraphOf("model m() {\n  input x: [3] over T\n  output y = x\n}\n", "m", {});
  EXPECT_THAT(MeasureFlow(none, {}, 10, 1).error().message, testing::HasSubstr("no scan over time"));
  const ir::Graph large = Layer("elman", 600);
  EXPECT_THAT(MeasureFlow(large, RandomWeights(large), 2, 1).error().message, testing::HasSubstr("512 is the most"));
}

}  // namespace
}  // namespace recurve

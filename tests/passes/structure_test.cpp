// tests/passes/structure_test.cpp: what all passes together leave of a cell and its derivative.
//
// The sequential core of the LSTM: a forward scan with the one product U h, an adjoint scan with the one product dz U,
// and everything else outside, one contraction each.

#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

#include "compiler/derivative.h"
#include "compiler/passes.h"
#include "ir/builder.h"
#include "ir/text.h"
#include "tests/derivative/cells.h"
#include "tests/derivative/numeric.h"

namespace recurve {
namespace {

using ir::Graph;
using ir::Node;
using ir::NodeId;
using ir::Op;

// "tbi,oi->tbo" of each contraction, in order.
std::vector<std::string> Contractions(const Graph& graph) {
  std::vector<std::string> labels;
  for (NodeId id = 0; id < graph.size(); ++id) {
    if (graph[id].op != Op::kContract) continue;
    const auto& attr = graph[id].As<ir::ContractAttr>();
    labels.push_back(attr.lhs + "," + attr.rhs + "->" + attr.out);
  }
  return labels;
}

std::vector<const Node*> Scans(const Graph& graph) {
  std::vector<const Node*> scans;
  for (NodeId id = 0; id < graph.size(); ++id) {
    if (graph[id].op == Op::kScan) scans.push_back(&graph[id]);
  }
  return scans;
}

const Graph& BodyOf(const Node* scan) { return *scan->As<ir::ScanAttr>().body; }

std::vector<std::string> InvariantNames(const Node* scan, const Graph& graph) {
  const auto& attr = scan->As<ir::ScanAttr>();
  std::vector<std::string> names;
  for (size_t i = attr.carries + attr.sequences; i < scan->args.size(); ++i)
    names.push_back(graph[scan->args[i]].label);
  return names;
}

using Labels = std::vector<std::string>;

class LstmCore : public testing::Test {
 protected:
  Graph primal_ = Lstm(false);
  Graph core_ = RunPasses(Vjp(primal_, RealInputs(primal_)));
  std::vector<const Node*> scans_ = Scans(core_);
};

TEST_F(LstmCore, HasOneForwardAndOneAdjointScan) {
  ASSERT_EQ(scans_.size(), 2);
  EXPECT_FALSE(scans_[0]->As<ir::ScanAttr>().reverse);
  EXPECT_TRUE(scans_[1]->As<ir::ScanAttr>().reverse);
}

TEST_F(LstmCore, ForwardBodyHasOnlyTheRecurrentProduct) {
  EXPECT_EQ(Contractions(BodyOf(scans_[0])), Labels{"bi,oi->bo"});
  EXPECT_EQ(InvariantNames(scans_[0], core_), (Labels{"U", "b"}));
}

TEST_F(LstmCore, AdjointBodyHasOnlyTheProductForThePreviousState) {
  EXPECT_EQ(Contractions(BodyOf(scans_[1])), Labels{"bo,oi->bi"});
  EXPECT_EQ(InvariantNames(scans_[1], core_), Labels{"U"});
}

TEST_F(LstmCore, AdjointCarriesOnlyTheStates) { EXPECT_EQ(scans_[1]->As<ir::ScanAttr>().carries, 2); }

TEST_F(LstmCore, AdjointBodyStacksOnlyTheGates) {
  const Graph& body = BodyOf(scans_[1]);
  ASSERT_EQ(body.outputs().size(), 3);
  EXPECT_EQ(body[body.outputs()[2].node].op, Op::kConcat);
}

// The input's projection, the input's adjoint, and the gradients of W and U.
TEST_F(LstmCore, OtherProductsAreTakenOverTime) {
  EXPECT_EQ(Contractions(core_), (Labels{"tbi,oi->tbo", "tbo,oi->tbi", "tbo,tbi->oi", "tbo,tbi->oi"}));
}

TEST_F(LstmCore, ForwardScanReadsTheProductWithTheInputAsItIs) {
  const auto& attr = scans_[0]->As<ir::ScanAttr>();
  ASSERT_EQ(attr.sequences, 1);
  EXPECT_EQ(core_[scans_[0]->args[attr.carries]].op, Op::kContract);
}

// The nested program's weight is used in the body of the body: its gradient is one contraction over both times.
TEST(NestedCore, GradientIsOneContractionOverBothTimes) {
  Graph primal = Nested();
  Graph core = RunPasses(Vjp(primal, RealInputs(primal)));
  NodeId gradient = core.FindOutput("W_adj");
  ASSERT_EQ(core[gradient].op, Op::kContract);
  EXPECT_EQ(core[gradient].As<ir::ContractAttr>().out, "oi");
  EXPECT_EQ(core.type(core[gradient].args[0]).rank(), 4);
}

// Additions that share their terms are looked at once each: 2^64 ways lead to the deviation.
TEST(DropZeroSums, LooksAtSharedTermsOnce) {
  Graph graph;
  const ir::Expr x = graph.AddInput("x", ir::Role::kData, {4}), y = graph.AddInput("y", ir::Role::kData, {4});
  ir::Expr sum = (x - ir::BroadcastTo(ir::ReduceSum(x, {0}) * 0.25, {4}, {})) + y;
  for (int i = 0; i < 64; ++i) sum = sum + sum;
  graph.AddOutput("total", ir::ReduceSum(sum, {0}).id());
  const Graph without = DropZeroSums(graph);
  for (NodeId id = 0; id < without.size(); ++id) EXPECT_NE(without[id].op, Op::kSub);
}

// Nothing is left to do for passes that have run: they run once, whatever the order they enable each other in.
TEST(RunPasses, LeavesNothingToDo) {
  for (const Graph& primal : {Elman(false), Lstm(true), Nested()}) {
    Graph once = RunPasses(Vjp(primal, RealInputs(primal)));
    Graph twice = RunPasses(once);
    EXPECT_EQ(ir::PrintText(once), ir::PrintText(twice));
  }
}

TEST(Passes, HaveDistinctNames) {
  std::set<std::string_view> names;
  for (const Pass& pass : Passes()) EXPECT_TRUE(names.insert(pass.name).second) << pass.name;
}

TEST(RunPasses, ShowsTheGraphAfterEachPassInOrder) {
  std::vector<std::string_view> seen;
  Graph graph = Elman(false);
  RunPasses(graph, [&](const Pass& pass, const Graph&) { seen.push_back(pass.name); });
  std::vector<std::string_view> expected;
  for (const Pass& pass : Passes()) expected.push_back(pass.name);
  EXPECT_EQ(seen, expected);
}

}  // namespace
}  // namespace recurve

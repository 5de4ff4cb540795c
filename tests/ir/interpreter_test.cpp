// tests/ir/interpreter_test.cpp: what every structural operation means, against numbers worked out by hand.

#include "ir/interpreter.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "tests/ir/ir_testing.h"

namespace recurve::ir {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// The statements of a graph that ends in %y; its inputs hold 1, 2, 3, ... unless `inputs` says otherwise. T is 3, B 2.
struct Fact {
  std::string name;
  std::string statements;
  std::vector<int64_t> shape;
  std::vector<double> values;
  std::vector<std::vector<double>> inputs = {};
};

const Bindings kBindings = {{"T", 3}, {"B", 2}};

std::vector<Tensor> InputsOf(const Graph& graph, const std::vector<std::vector<double>>& given) {
  std::vector<Tensor> inputs;
  for (NodeId id : graph.inputs()) {
    inputs.push_back(Counting(Extents(graph.type(id).shape, kBindings)));
    if (size_t i = inputs.size() - 1; i < given.size()) inputs[i].values = given[i];
  }
  return inputs;
}

class InterpreterFact : public testing::TestWithParam<Fact> {};

TEST_P(InterpreterFact, Holds) {
  const Fact& fact = GetParam();
  Graph graph = Read("graph fact {" + fact.statements + " return y = %y }");
  ASSERT_EQ(graph.outputs().size(), 1u);
  Tensor y = Interpret(graph, kBindings, InputsOf(graph, fact.inputs))[0];
  EXPECT_EQ(y.shape, fact.shape);
  EXPECT_EQ(y.values, fact.values);
}

const Fact kFacts[] = {
    {"Constant", "%y = constant 2.5 : [B, 2]", {2, 2}, {2.5, 2.5, 2.5, 2.5}},
    {"Iota", "%y = iota : [4]", {4}, {0, 1, 2, 3}},
    {"IotaOfAnAxis", "%y = iota : [T]", {3}, {0, 1, 2}},
    {"Real", "%i = input data index(9) [B] %y = real %i", {2}, {7, 0}, {{7, 0}}},
    // Word 0 of the known answers of Random123: 6627e8d5 for zeros.
    {"RandomOfZeros",
     "%o = constant 0.0 : [] %y = random %o, %o, %o, %o, %o",
     {},
     {static_cast<double>(0x6627e8d5 >> 8) * 0x1p-24}},
    {"ExtentOfAnAxis", "%y = extent T : []", {}, {3}},
    {"ExtentOfAConstant", "%y = extent 7 : []", {}, {7}},
    {"BroadcastOfAScalar", "%x = input data [] %y = broadcast %x axes=[] : [2, 2]", {2, 2}, {1, 1, 1, 1}},
    {"BroadcastOfARow", "%x = input data [2] %y = broadcast %x axes=[1] : [T, 2]", {3, 2}, {1, 2, 1, 2, 1, 2}},
    {"BroadcastOfAColumn", "%x = input data [T] %y = broadcast %x axes=[0] : [T, 2]", {3, 2}, {1, 1, 2, 2, 3, 3}},
    {"BroadcastAround",
     "%x = input data [2, 2] %y = broadcast %x axes=[0, 2] : [2, 2, 2]",
     {2, 2, 2},
     {1, 2, 1, 2, 3, 4, 3, 4}},
    {"Reshape",
     "%x = input data [B, 6] %y = reshape %x : [B, 2, 3]",
     {2, 2, 3},
     {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}},
    {"TransposeOfAMatrix", "%x = input data [2, 3] %y = transpose %x axes=[1, 0] : [3, 2]", {3, 2}, {1, 4, 2, 5, 3, 6}},
    // Result axis i comes from operand axis axes[i]: y[c][a][b] = x[a][b][c].
    {"TransposeOfThreeAxes",
     "%x = input data [1, 2, 3] %y = transpose %x axes=[2, 0, 1] : [3, 1, 2]",
     {3, 1, 2},
     {1, 4, 2, 5, 3, 6}},
    {"SliceOfColumns", "%x = input data [2, 4] %y = slice %x axis=1 start=1 : [2, 2]", {2, 2}, {2, 3, 6, 7}},
    {"SliceOfRows", "%x = input data [3, 2] %y = slice %x axis=0 start=2 : [1, 2]", {1, 2}, {5, 6}},
    {"ConcatOfRows",
     "%a = input data [1, 2] %b = input data [2, 2] %y = concat %a, %b axis=0 : [3, 2]",
     {3, 2},
     {1, 2, 1, 2, 3, 4}},
    {"ConcatOfColumns",
     "%a = input data [2, 1] %b = input data [2, 2] %y = concat %a, %b, %a axis=1 : [2, 4]",
     {2, 4},
     {1, 1, 2, 1, 2, 3, 4, 2}},
    // x = [1 2; 3 4], w = [1 2; 3 4; 5 6]: x w^T.
    {"ContractOfRows",
     "%x = input data [B, 2] %w = input parameter [3, 2] %y = contract \"bi,oi->bo\" %x, %w : [B, 3]",
     {2, 3},
     {5, 11, 17, 11, 25, 39}},
    {"ContractOrdersTheResult",
     "%x = input data [B, 2] %w = input parameter [3, 2] %y = contract \"bi,oi->ob\" %x, %w : [3, B]",
     {3, 2},
     {5, 11, 11, 25, 17, 39}},
    {"ContractWithoutASum",
     "%a = input data [2] %b = input data [3] %y = contract \"a,b->ab\" %a, %b : [2, 3]",
     {2, 3},
     {1, 2, 3, 2, 4, 6}},
    {"ContractToAScalar", "%a = input data [3] %y = contract \"a,a->\" %a, %a : []", {}, {14}},
    // One inner product a row.
    {"ContractWithABatch", "%a = input data [2, 2] %y = contract \"ni,ni->n\" %a, %a : [2]", {2}, {5, 25}},
    {"ContractOverTwoLabels",
     "%a = input data [T, B, 1] %b = input data [T, B, 2] %y = contract \"tbi,tbj->ij\" %a, %b : [1, 2]",
     {1, 2},
     {161, 182}},
    {"ReduceSumOverRows", "%x = input data [T, 2] %y = reduce_sum %x axes=[0] : [2]", {2}, {9, 12}},
    {"ReduceSumOverColumns", "%x = input data [T, 2] %y = reduce_sum %x axes=[1] : [T]", {3}, {3, 7, 11}},
    {"ReduceSumAround", "%x = input data [2, 2, 2] %y = reduce_sum %x axes=[0, 2] : [2]", {2}, {14, 22}},
    {"ReduceSumOfAll", "%x = input data [T, 2] %y = reduce_sum %x axes=[0, 1] : []", {}, {21}},
    {"ReduceSumOfNothing", "%x = input data [2] %y = reduce_sum %x axes=[] : [2]", {2}, {1, 2}},
    {"ReduceMax", "%x = input data [2, 3] %y = reduce_max %x : [2]", {2}, {5, -1}, {{-2, 5, 0, -3, -1, -kInfinity}}},
    {"Gather",
     "%w = input parameter [3, 2] %i = input data index(3) [B] %y = gather %w, %i : [B, 2]",
     {2, 2},
     {5, 6, 1, 2},
     {{1, 2, 3, 4, 5, 6}, {2, 0}}},
    {"GatherOfNumbers",
     "%w = input parameter [3] %i = input data index(3) [T, 1] %y = gather %w, %i : [T, 1]",
     {3, 1},
     {2, 2, 1},
     {{1, 2, 3}, {1, 1, 0}}},
    {"ScatterAddAddsWhereIndicesRepeat",
     "%i = input data index(3) [T] %x = input data [T, 2] %y = scatter_add %i, %x : [3, 2]",
     {3, 2},
     {3, 4, 0, 0, 6, 8},
     {{2, 0, 2}}},
    {"OneHot", "%i = input data index(3) [B] %y = one_hot %i : [B, 3]", {2, 3}, {0, 0, 1, 1, 0, 0}, {{2, 0}}},
    // The carry is the sum of the elements before and at a step.
    {"ScanStacksInOrderOfTime",
     "%h0 = input state [] %x = input data [T] %s = scan T carries(%h0) sequences(%x) {"
     "  %h = input carry [] %x = input element [] %n = add %h, %x return next h = %n stacked y = %n }"
     " %y = result %s 1",
     {3},
     {2, 4, 7}},
    {"ScanInReverseStacksAtTheIndexOfItsStep",
     "%h0 = input state [] %x = input data [T] %s = scan T reverse carries(%h0) sequences(%x) {"
     "  %h = input carry [] %x = input element [] %n = add %h, %x return next h = %n stacked y = %n }"
     " %y = result %s 1",
     {3},
     {7, 6, 4}},
    {"ScanYieldsItsLastCarry",
     "%h0 = input state [2] %s = scan T carries(%h0) {"
     "  %h = input carry [2] %n = add %h, %h return next h = %n } %y = result %s 0",
     {2},
     {8, 16}},
    // All next values are computed from the carries before the step.
    {"ScanStepsItsCarriesTogether",
     "%a = input state [] %b = input state [] %s = scan T carries(%a, %b) {"
     "  %a = input carry [] %b = input carry [] %n = add %a, %b return next a = %b, b = %n } %y = result %s 0",
     {},
     {5},
     {{1}, {2}}},
    {"ScanWithoutACarryMapsOverTime",
     "%x = input data [T, 2] %w = input parameter [2] %s = scan T sequences(%x) invariants(%w) {"
     "  %x = input element [2] %w = input invariant [2] %p = mul %x, %w return stacked y = %p } %y = result %s 0",
     {3, 2},
     {1, 4, 3, 8, 5, 12}},
    {"ScanInsideAScan",
     "%x = input data [T, 2] %h0 = input state [] %s = scan T carries(%h0) sequences(%x) {"
     "  %h = input carry [] %row = input element [2] %in = scan 2 carries(%h) sequences(%row) {"
     "    %h = input carry [] %e = input element [] %n = add %h, %e return next h = %n }"
     "  %n = result %in 0 return next h = %n } %y = result %s 0",
     {},
     {22}},
    {"IndicesAreTakenApartLikeReals",
     "%i = input data index(9) [2, 2] %r = reshape %i : index [4] %j = slice %r axis=0 start=1 : index [2]"
     " %y = one_hot %j : [2, 3]",
     {2, 3},
     {0, 1, 0, 0, 0, 1},
     {{0, 1, 2, 0}}},
};

INSTANTIATE_TEST_SUITE_P(Structural, InterpreterFact, testing::ValuesIn(kFacts),
                         [](const auto& fact) { return fact.param.name; });

TEST(Interpreter, AScanOfNoStepsKeepsItsCarry) {
  Graph graph = Read(R"(graph none {
    %h0 = input state [2]
    %x = input data [S, 2]
    %s = scan S carries(%h0) sequences(%x) {
      %h = input carry [2]
      %x = input element [2]
      return next h = %x stacked y = %h
    }
    %hT = result %s 0
    %y = result %s 1
    %t = transpose %y axes=[1, 0]
    %m = reduce_max %t
    %z = reduce_sum %t axes=[1]
    return h = %hT, y = %y, m = %m, z = %z
  })");
  std::vector<Tensor> outputs = Interpret(graph, {{"S", 0}}, std::vector<Tensor>{Counting({2}), Counting({0, 2})});
  EXPECT_EQ(outputs[0].values, (std::vector<double>{1, 2}));
  EXPECT_EQ(outputs[1].shape, (std::vector<int64_t>{0, 2}));
  EXPECT_EQ(outputs[2].values, (std::vector<double>{-kInfinity, -kInfinity}));
  EXPECT_EQ(outputs[3].values, (std::vector<double>{0, 0}));
}

TEST(Interpreter, ReduceMaxKeepsANaN) {
  Graph graph = Read("graph g { %x = input data [2] %y = reduce_max %x return y = %y }");
  std::vector<Tensor> inputs = {Tensor{.shape = {2}, .values = {std::nan(""), 1}}};
  EXPECT_TRUE(std::isnan(Interpret(graph, {}, inputs)[0].values[0]));
}

TEST(Interpreter, OutputsFollowTheGraphAndMayBeInputs) {
  Graph graph = Read("graph g { %a = input data [] %b = input data [] return b = %b, a = %a, again = %b }");
  std::vector<Tensor> outputs = Interpret(graph, {}, std::vector<Tensor>{Tensor::Filled({}, 1), Tensor::Filled({}, 2)});
  ASSERT_EQ(outputs.size(), 3u);
  EXPECT_EQ(outputs[0].values[0], 2);
  EXPECT_EQ(outputs[1].values[0], 1);
  EXPECT_EQ(outputs[2].values[0], 2);
}

TEST(Interpreter, StopsOnInputsThatDoNotFit) {
  Graph graph = Read("graph g { %x = input data [B, 2] return x = %x }");
  EXPECT_DEATH(Interpret(graph, {{"B", 2}}, {}), "has 1 inputs and is given 0");
  EXPECT_DEATH(Interpret(graph, {{"B", 2}}, std::vector<Tensor>{Counting({2, 3})}), "is declared");
  EXPECT_DEATH(Interpret(graph, {}, std::vector<Tensor>{Counting({2, 2})}), "axis `B` has no size");
}

TEST(Interpreter, StopsOnAnIndexOutOfRange) {
  Graph graph = Read("graph g { %i = input data index(3) [] %y = one_hot %i : [3] return y = %y }");
  for (double index : {-1.0, 3.0, 0.5, std::nan("")}) {
    std::vector<Tensor> inputs = {Tensor::Filled({}, index)};
    EXPECT_DEATH(Interpret(graph, {}, inputs), "is not in \\[0, 3\\)") << index;
  }
}

}  // namespace
}  // namespace recurve::ir

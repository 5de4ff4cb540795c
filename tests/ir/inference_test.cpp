// tests/ir/inference_test.cpp: what the inference rules say about nodes that are malformed.
//
// The types they give to well-formed nodes are stated in the texts of interpreter_test.cpp, which would not read
// otherwise.

#include <gtest/gtest.h>

#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "ir/builder.h"
#include "tests/ir/ir_testing.h"

namespace recurve::ir {
namespace {

// The values that the nodes under test read, by their number.
constexpr NodeId kX = 0, kW = 1, kI = 2, kS = 3, kV = 4, kScan = 5, kCells = 6, kM = 7;
constexpr char kOperands[] = R"(graph operands {
  %x = input data [T, B, 4]
  %w = input parameter [8, 4]
  %i = input data index(9) [T, B]
  %s = input data []
  %v = input data [4]
  %scan = scan T carries(%s) sequences(%x) {
    %h = input carry []
    %x = input element [B, 4]
    return next h = %h stacked y = %x
  }
  %cells = input data [1099511627776]
  %m = input data [8, 5]
  return
})";

std::shared_ptr<const Graph> Body(std::string_view text) { return std::make_shared<const Graph>(Read(text)); }

constexpr char kCarryBody[] = "graph b { %h = input carry [] %x = input element [B, 4] return h = %h, y = %x }";

Type Real(Shape shape) { return {Element::kReal, std::move(shape)}; }

struct Mistake {
  std::string name;
  Node node;
  std::string sentence;
};

class InferenceMistake : public testing::TestWithParam<Mistake> {};

TEST_P(InferenceMistake, IsSaid) {
  Graph graph = Read(kOperands);
  Type untouched = Real({7});
  Type type = untouched;
  EXPECT_EQ(InferType(graph, GetParam().node, &type), GetParam().sentence);
  EXPECT_EQ(type, untouched);
}

constexpr int64_t kHuge = std::numeric_limits<int64_t>::max();

std::vector<Mistake> Mistakes() {
  return {
      {"ForeignAttribute",
       {.op = Op::kTanh, .args = {kX}, .attr = ConstantAttr{1}},
       "carries another operation's attribute"},
      {"NoAttribute", {.op = Op::kSlice, .args = {kX}}, "carries another operation's attribute"},
      {"OperandAhead", {.op = Op::kTanh, .args = {99}}, "has an operand that is not in the graph"},
      {"OperandBehind", {.op = Op::kTanh, .args = {-1}}, "has an operand that is not in the graph"},
      {"ScanAsAValue", {.op = Op::kTanh, .args = {kScan}}, "reads a scan, which only `result` does"},
      {"UnaryOfTwo", {.op = Op::kTanh, .args = {kX, kX}}, "needs 1 operand and has 2"},
      {"BinaryOfOne", {.op = Op::kAdd, .args = {kX}}, "needs 2 operands and has 1"},
      {"TernaryOfNone", {.op = Op::kSelect}, "needs 3 operands and has 0"},
      {"ShapesDiffer", {.op = Op::kAdd, .args = {kX, kV}}, "needs operands of one shape"},
      {"IndicesAreNotReal", {.op = Op::kTanh, .args = {kI}}, "needs real operands"},
      {"ExtentOfZero", {.op = Op::kConstant, .type = Real({0}), .attr = ConstantAttr()}, "has an axis of extent 0"},
      {"NegativeExtent", {.op = Op::kConstant, .type = Real({-3}), .attr = ConstantAttr()}, "has an axis of extent -3"},
      {"TooManyElements",
       {.op = Op::kConstant, .type = Real({kHuge, kHuge}), .attr = ConstantAttr()},
       "has more than 1099511627776 elements"},
      {"TooManyAxes",
       {.op = Op::kConstant, .type = Real(Shape(17, 1)), .attr = ConstantAttr()},
       "has 17 axes, more than 16"},
      {"AxisIsNoIdentifier",
       {.op = Op::kConstant, .type = Real({Dim("1T")}), .attr = ConstantAttr()},
       "has an axis whose name is not an identifier"},
      {"InputWithOperands", {.op = Op::kInput, .args = {kX}, .attr = InputAttr()}, "needs 0 operands and has 1"},
      {"IndexInputWithoutClasses",
       {.op = Op::kInput, .type = {Element::kIndex, {}}, .attr = InputAttr{.name = "i"}},
       "has indices of 0 classes"},
      {"RealInputWithClasses",
       {.op = Op::kInput, .attr = InputAttr{.name = "i", .classes = 3}},
       "has classes and is real"},
      {"ConstantOfIndices", {.op = Op::kConstant, .type = {Element::kIndex, {}}, .attr = ConstantAttr()}, "is real"},
      {"IotaOfAScalar", {.op = Op::kIota}, "is real and needs one axis"},
      {"RealOfAReal", {.op = Op::kReal, .args = {kX}}, "needs indices"},
      {"RandomOfFour", {.op = Op::kRandom, .args = {kX, kX, kX, kX}}, "needs 5 operands and has 4"},
      {"RandomOfIndices", {.op = Op::kRandom, .args = {kI, kI, kI, kI, kI}}, "needs real operands"},
      {"RandomOfTwoShapes", {.op = Op::kRandom, .args = {kX, kX, kV, kX, kX}}, "needs operands of one shape"},
      {"ExtentOfNothing", {.op = Op::kExtent, .attr = ExtentAttr()}, "has an axis of extent 0"},
      {"BroadcastLacksAnAxis",
       {.op = Op::kBroadcast, .args = {kW}, .type = Real({8, 4}), .attr = AxesAttr{{0}}},
       "needs one axis per operand axis"},
      {"BroadcastDescends",
       {.op = Op::kBroadcast, .args = {kW}, .type = Real({4, 8}), .attr = AxesAttr{{1, 0}}},
       "needs ascending axes"},
      {"BroadcastLeavesTheResult",
       {.op = Op::kBroadcast, .args = {kV}, .type = Real({4}), .attr = AxesAttr{{1}}},
       "has no axis 1"},
      {"BroadcastChangesAnExtent",
       {.op = Op::kBroadcast, .args = {kV}, .type = Real({2, 5}), .attr = AxesAttr{{1}}},
       "axis 1 differs from the operand's"},
      {"ReshapeChangesTheSize",
       {.op = Op::kReshape, .args = {kV}, .type = Real({5})},
       "changes the number of elements"},
      {"ReshapeSwapsAxes",
       {.op = Op::kReshape, .args = {kX}, .type = Real({Dim("B"), Dim("T"), 4})},
       "changes the number of elements"},
      {"ReshapeMovesElementsPastAnAxis",
       {.op = Op::kReshape, .args = {kX}, .type = Real({Dim("T"), 2, Dim("B"), 2})},
       "changes the number of elements"},
      {"TransposeRepeatsAnAxis",
       {.op = Op::kTranspose, .args = {kW}, .attr = AxesAttr{{0, 0}}},
       "needs a permutation of the operand's axes"},
      {"TransposeLacksAnAxis",
       {.op = Op::kTranspose, .args = {kW}, .attr = AxesAttr{{0}}},
       "needs a permutation of the operand's axes"},
      {"SliceOfASymbolicAxis",
       {.op = Op::kSlice, .args = {kX}, .type = Real({1, Dim("B"), 4}), .attr = SliceAttr{0, 0}},
       "has no constant axis 0"},
      {"SliceOfNoAxis",
       {.op = Op::kSlice, .args = {kV}, .type = Real({4}), .attr = SliceAttr{1, 0}},
       "has no constant axis 1"},
      {"SliceDropsTheAxis",
       {.op = Op::kSlice, .args = {kW}, .type = Real({4}), .attr = SliceAttr{0, 0}},
       "keeps the number of axes"},
      {"SliceEndsOutside",
       {.op = Op::kSlice, .args = {kV}, .type = Real({3}), .attr = SliceAttr{0, 2}},
       "leaves the operand's range"},
      {"SliceStartsBefore",
       {.op = Op::kSlice, .args = {kV}, .type = Real({3}), .attr = SliceAttr{0, -1}},
       "leaves the operand's range"},
      {"SliceStartsFarOutside",
       {.op = Op::kSlice, .args = {kV}, .type = Real({1}), .attr = SliceAttr{0, kHuge}},
       "leaves the operand's range"},
      {"ConcatOfNothing", {.op = Op::kConcat, .attr = ConcatAttr{0}}, "needs an operand"},
      {"ConcatAlongNoAxis", {.op = Op::kConcat, .args = {kS, kS}, .attr = ConcatAttr{0}}, "has no axis 0"},
      {"ConcatAlongASymbolicAxis",
       {.op = Op::kConcat, .args = {kX, kX}, .attr = ConcatAttr{0}},
       "needs a constant axis in each operand"},
      {"ConcatOfRanks",
       {.op = Op::kConcat, .args = {kW, kV}, .attr = ConcatAttr{0}},
       "needs a constant axis in each operand"},
      {"ConcatOfOtherRows",
       {.op = Op::kConcat, .args = {kW, kM}, .attr = ConcatAttr{0}},
       "operands differ off the joined axis"},
      {"ConcatIsTooLarge",
       {.op = Op::kConcat, .args = {kCells, kCells}, .attr = ConcatAttr{0}},
       "has more than 1099511627776 elements"},
      {"ContractOfIndices",
       {.op = Op::kContract, .args = {kX, kI}, .attr = ContractAttr{"tbi", "tb", "i"}},
       "needs real operands"},
      {"ContractLacksALabel",
       {.op = Op::kContract, .args = {kX, kW}, .attr = ContractAttr{"bi", "oi", "bo"}},
       "needs one label per operand axis"},
      {"ContractLabelIsNoLetter",
       {.op = Op::kContract, .args = {kV, kV}, .attr = ContractAttr{"1", "1", ""}},
       "needs letters as labels"},
      {"ContractRepeatsALabel",
       {.op = Op::kContract, .args = {kW, kW}, .attr = ContractAttr{"ii", "oi", "o"}},
       "repeats a label"},
      {"ContractDropsALeftLabel",
       {.op = Op::kContract, .args = {kX, kW}, .attr = ContractAttr{"tbi", "oi", "to"}},
       "drops label `b` of one operand"},
      {"ContractDropsARightLabel",
       {.op = Op::kContract, .args = {kX, kW}, .attr = ContractAttr{"tbi", "oi", "tb"}},
       "drops label `o` of one operand"},
      {"ContractMismatch",
       {.op = Op::kContract, .args = {kV, kW}, .attr = ContractAttr{"i", "io", "o"}},
       "label `i` has two extents"},
      {"ContractInventsALabel",
       {.op = Op::kContract, .args = {kV, kV}, .attr = ContractAttr{"i", "i", "z"}},
       "label `z` is in no operand"},
      {"ReduceSumDescends",
       {.op = Op::kReduceSum, .args = {kX}, .attr = AxesAttr{{1, 0}}},
       "needs ascending axes of the operand"},
      {"ReduceSumOutside",
       {.op = Op::kReduceSum, .args = {kX}, .attr = AxesAttr{{3}}},
       "needs ascending axes of the operand"},
      {"ReduceSumOfIndices", {.op = Op::kReduceSum, .args = {kI}, .attr = AxesAttr{{0}}}, "needs real operands"},
      {"ReduceMaxOfAScalar", {.op = Op::kReduceMax, .args = {kS}}, "needs an axis"},
      {"ReduceMaxOfIndices", {.op = Op::kReduceMax, .args = {kI}}, "needs real operands"},
      {"GatherByReals", {.op = Op::kGather, .args = {kW, kV}}, "needs a table of reals and indices"},
      {"GatherFromIndices", {.op = Op::kGather, .args = {kI, kI}}, "needs a table of reals and indices"},
      {"GatherFromAScalar", {.op = Op::kGather, .args = {kS, kI}}, "needs a table of reals and indices"},
      {"ScatterAddByReals",
       {.op = Op::kScatterAdd, .args = {kX, kX}, .type = Real({9})},
       "needs indices and real updates"},
      {"ScatterAddOfOtherUpdates",
       {.op = Op::kScatterAdd, .args = {kI, kW}, .type = Real({9})},
       "needs updates that begin with the index shape"},
      {"ScatterAddToAScalar", {.op = Op::kScatterAdd, .args = {kI, kX}}, "needs a constant number of rows"},
      {"ScatterAddToOtherRows",
       {.op = Op::kScatterAdd, .args = {kI, kX}, .type = Real({9, 5})},
       "needs the shape of a row"},
      {"OneHotOfReals", {.op = Op::kOneHot, .args = {kV}, .type = Real({4, 9})}, "needs indices"},
      {"OneHotWithoutAnAxis",
       {.op = Op::kOneHot, .args = {kI}, .type = Real({Dim("T"), Dim("B")})},
       "adds one constant axis"},
      {"ScanWithoutABody", {.op = Op::kScan, .attr = ScanAttr{.time = Dim("T")}}, "needs a body"},
      {"ScanWithoutTime",
       {.op = Op::kScan, .args = {kS, kX}, .attr = ScanAttr{.body = Body(kCarryBody), .carries = 1, .sequences = 1}},
       "has an axis of extent 0"},
      {"ScanLacksAnOperand",
       {.op = Op::kScan, .args = {kS}, .attr = ScanAttr{Body(kCarryBody), 1, 0, Dim("T")}},
       "needs one operand per input of its body"},
      {"ScanCountsTooMany",
       {.op = Op::kScan, .args = {kS, kX}, .attr = ScanAttr{Body(kCarryBody), 1, 2, Dim("T")}},
       "has fewer operands than carries and sequences"},
      {"ScanCountsOverflow",
       {.op = Op::kScan,
        .args = {kS, kX},
        .attr = ScanAttr{Body(kCarryBody), 1, std::numeric_limits<int>::max(), Dim("T")}},
       "has fewer operands than carries and sequences"},
      {"ScanCountsBelowZero",
       {.op = Op::kScan, .args = {kS, kX}, .attr = ScanAttr{Body(kCarryBody), -1, 2, Dim("T")}},
       "has fewer operands than carries and sequences"},
      {"ScanLacksANextValue",
       {.op = Op::kScan,
        .args = {kS},
        .attr = ScanAttr{Body("graph b { %h = input carry [] return }"), 1, 0, Dim("T")}},
       "has a body with fewer outputs than carries"},
      {"ScanMixesRoles",
       {.op = Op::kScan, .args = {kS, kX}, .attr = ScanAttr{Body(kCarryBody), 1, 0, Dim("T")}},
       "has a body whose input `x` is of another role"},
      {"ScanOperandDoesNotFit",
       {.op = Op::kScan, .args = {kV, kX}, .attr = ScanAttr{Body(kCarryBody), 1, 1, Dim("T")}},
       "operand 0 does not fit its body's input"},
      {"ScanSequenceOfAnotherTime",
       {.op = Op::kScan, .args = {kS, kX}, .attr = ScanAttr{Body(kCarryBody), 1, 1, Dim("S")}},
       "operand 1 does not fit its body's input"},
      {"ScanCarryChanges",
       {.op = Op::kScan,
        .args = {kS},
        .attr = ScanAttr{Body("graph b { %h = input carry [] %n = constant 0 : [1] return h = %n }"), 1, 0, Dim("T")}},
       "carry 0 changes its type"},
      {"ResultOfNoScan", {.op = Op::kScanResult, .args = {kS}, .attr = ResultAttr{0}}, "needs a scan"},
      {"ResultTooLarge", {.op = Op::kScanResult, .args = {kScan}, .attr = ResultAttr{2}}, "has no result 2"},
      {"ResultBelowZero", {.op = Op::kScanResult, .args = {kScan}, .attr = ResultAttr{-1}}, "has no result -1"},
  };
}

INSTANTIATE_TEST_SUITE_P(Rules, InferenceMistake, testing::ValuesIn(Mistakes()),
                         [](const auto& mistake) { return mistake.param.name; });

// The type to be set may be the node's own, which the rule still reads.
TEST(Inference, MaySetTheTypeOfTheNodeItReads) {
  Graph graph = Read(kOperands);
  Node node{.op = Op::kOneHot, .args = {kI}, .type = Real({Dim("T"), Dim("B"), 9})};
  EXPECT_EQ(InferType(graph, node, &node.type), "");
  EXPECT_EQ(node.type, Real({Dim("T"), Dim("B"), 9}));
}

TEST(Inference, ReshapeRegroupsConstantsBetweenSymbolicAxes) {
  Graph graph = Read(kOperands);
  Node node{.op = Op::kReshape, .args = {kX}, .type = Real({1, Dim("T"), Dim("B"), 2, 1, 2})};
  Type type;
  EXPECT_EQ(InferType(graph, node, &type), "");
  EXPECT_EQ(type, node.type);
}

TEST(Builder, StopsOnAShapeThatDoesNotFit) {
  Graph graph = Read(kOperands);
  EXPECT_DEATH(Add(graph.At(kX), graph.At(kV)), "`add` needs operands of one shape in graph `operands`");
  EXPECT_DEATH(Slice(graph.At(kV), 1, 0, 1), "`slice` has no such axis");
  EXPECT_DEATH(Contract(graph.At(kV), graph.At(kV), "i->i"), "`contract` needs labels");
}

TEST(Builder, ANumberBesideAnExpressionTakesItsShape) {
  Graph graph;
  Expr x = graph.AddInput("x", Role::kData, {Dim("B"), 2});
  graph.AddOutput("y", 2.0 - x * 3.0 + 1.0 / x);
  EXPECT_EQ(Interpret(graph, {{"B", 1}}, std::vector<Tensor>{Counting({1, 2})})[0].values,
            (std::vector<double>{0, -3.5}));
}

TEST(Builder, AddsNoNodeThatChangesNothing) {
  Graph graph;
  Expr x = graph.AddInput("x", Role::kData, {Dim("B"), 2});
  EXPECT_EQ(Slice(x, 1, 0, 2).id(), x.id());
  EXPECT_EQ(Reshape(x, x.shape()).id(), x.id());
  EXPECT_EQ(BroadcastTrailing(x, x.shape()).id(), x.id());
  EXPECT_EQ(ReduceSum(x, {}).id(), x.id());
  EXPECT_EQ(Concat({{x}}, 1).id(), x.id());
  EXPECT_EQ(graph.size(), 1);
}

TEST(Builder, BroadcastTrailingAlignsTheLastAxes) {
  Graph graph;
  Expr x = graph.AddInput("x", Role::kData, {2});
  Expr y = BroadcastTrailing(x, {Dim("T"), Dim("B"), 2});
  EXPECT_EQ(graph[y.id()].As<AxesAttr>().axes, (std::vector<int>{2}));
}

}  // namespace
}  // namespace recurve::ir

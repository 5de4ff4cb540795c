// tests/ir/text_test.cpp: what is printed reads back as itself, and what does not read is said at its place.

#include "ir/text.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "ir/builder.h"
#include "ir/verifier.h"
#include "tests/ir/ir_testing.h"

namespace recurve::ir {
namespace {

// Every construct of the grammar once, as it is printed.
constexpr char kEverything[] = R"(graph everything {
  %x = input data [T, B, 4]
  %tokens = input data index(96) [T, B]
  %1.forward.W = input parameter [8, 4] ~ uniform(-0.35, 0.35)
  %U = input parameter named "recurrent U" [8, 8] ~ normal(0, 0.1)
  %b = input parameter [8] ~ constant(1)
  %gamma = input constant [] ~ constant(1e-05)
  %h' = input state [B, 8]
  %y_adj = input adjoint [T, B, 8]
  %saved = input tape [T, B, 8]
  %packed = input packed [64]
  %p = contract "tbi,oi->tbo" %x, %1.forward.W : [T, B, 8]
  %h'~2 = broadcast %b axes=[2] : [T, B, 8]
  %12 = add %p, %h'~2 : [T, B, 8]
  %"a b" = tanh %12 : [T, B, 8]
  %"15" = select %"a b", %12, %12 : [T, B, 8]
  %half = constant -0.5 : [T, B, 8]
  %n = extent T : []
  %eight = extent 8 : []
  %i = iota : [7]
  %steps = iota : [T]
  %row = gather %1.forward.W, %tokens : [T, B, 4]
  %table = scatter_add %tokens, %row : [96, 4]
  %hot = one_hot %tokens : [T, B, 96]
  %number = real %tokens : [T, B]
  %uniform = random %number, %number, %number, %number, %number : [T, B]
  %turned = transpose %x axes=[1, 0, 2] : [B, T, 4]
  %flat = reshape %tokens : index [T, B, 1]
  %part = slice %p axis=2 start=4 : [T, B, 4]
  %both = concat %part, %x axis=2 : [T, B, 8]
  %sum = reduce_sum %both axes=[0, 1] : [8]
  %all = reduce_sum %both axes=[] : [T, B, 8]
  %max = reduce_max %both : [T, B]
  %s = scan T reverse named step carries(%h', %h') sequences(%12, %tokens) invariants(%U) {
    %h = input carry [B, 8]
    %c = input carry [B, 8]
    %x = input element [B, 8]
    %token = input element index(96) [B]
    %U = input invariant [8, 8]
    %inner = scan 5 carries(%h) {
      %h = input carry [B, 8]
      return next h = %h
    }
    %6 = result %inner 0 : [B, 8]
    return next h = %6, c' = %x stacked y = %c, "z z" = %h
  }
  %last = result %s 0 : [B, 8]
  %ys = result %s 2 : [T, B, 8]
  return y = %ys, "the end" = %last, x = %x
}
)";

TEST(Text, PrintsWhatItReads) {
  Graph graph = Read(kEverything);
  EXPECT_EQ(Verify(graph), "");
  EXPECT_EQ(PrintText(graph), kEverything);
}

TEST(Text, KeepsAttributesThroughTheRoundTrip) {
  Graph graph = Read(kEverything);
  const Node& scan = graph[32];
  ASSERT_EQ(scan.op, Op::kScan);
  const ScanAttr& attr = scan.As<ScanAttr>();
  EXPECT_EQ(attr.carries, 2);
  EXPECT_EQ(attr.sequences, 2);
  EXPECT_TRUE(attr.reverse);
  EXPECT_EQ(attr.time, Dim("T"));
  EXPECT_EQ(attr.body->name, "step");
  EXPECT_EQ(attr.body->outputs()[1], (Output{"c'", 2}));
  EXPECT_EQ(graph[2].As<InputAttr>(),
            (InputAttr{.name = "1.forward.W", .role = Role::kParameter, .init = {Init::Kind::kUniform, -0.35, 0.35}}));
  EXPECT_EQ(graph[3].label, "U");
  EXPECT_EQ(graph[3].As<InputAttr>().name, "recurrent U");
  EXPECT_EQ(graph[11].label, "h'");
  EXPECT_EQ(graph[12].label, "");
  EXPECT_EQ(graph[14].label, "15");
}

TEST(Text, ReadsLooseLayoutCommentsAndTypesLeftOut) {
  Graph graph = Read("# a graph\ngraph g{%x=input data[T,4]# x\n%7=tanh %x %y~9=add %7,%7 return y=%y~9}\n\n");
  EXPECT_EQ(PrintText(graph),
            "graph g {\n  %x = input data [T, 4]\n  %1 = tanh %x : [T, 4]\n  %y = add %1, %1 : [T, 4]\n"
            "  return y = %y\n}\n");
}

TEST(Text, PrintsAGraphOfNothing) {
  EXPECT_EQ(PrintText(Graph()), "graph \"\" {\n  return\n}\n");
  EXPECT_EQ(PrintText(Read(PrintText(Graph()))), PrintText(Graph()));
}

// No word of the grammar is reserved.
TEST(Text, NamesMayBeWordsOfTheGrammar) {
  Graph graph = Read(R"(graph graph {
    %return = input data named index [reverse, named]
    %input = input data named named index(3) [return]
    %scan = scan reverse sequences(%return) {
      %index = input element [named]
      return stacked stacked = %index, next = %index
    }
    %named = result %scan 0
    return next = %named, stacked = %return
  })");
  std::string text = PrintText(graph);
  EXPECT_EQ(PrintText(Read(text)), text);
}

class AnyName : public testing::TestWithParam<std::string> {};

TEST_P(AnyName, SurvivesEverywhereANameStands) {
  const std::string& name = GetParam();
  Graph graph;
  graph.name = name;
  Expr x = graph.AddInput(name, Role::kData, {2});
  Expr y = Tanh(x);
  graph.SetLabel(y.id(), name);
  graph.AddOutput(name, y);
  std::string text = PrintText(graph);
  Graph again = Read(text);
  EXPECT_EQ(PrintText(again), text);
  ASSERT_EQ(again.outputs().size(), 1u);
  EXPECT_EQ(again.name, name);
  EXPECT_EQ(again[0].As<InputAttr>().name, name);
  EXPECT_EQ(again[0].label, name);
  EXPECT_EQ(again[1].label, name);
  EXPECT_EQ(again.outputs()[0].name, name);
}

INSTANTIATE_TEST_SUITE_P(Text, AnyName,
                         testing::Values("", "x", "c'", "1.forward.W", "12", "~2", "x~2", "%x", "a \"b\" \\c", "#",
                                         "return", "line\nbreak", std::string("\0\x01\x7f\xff", 4), "\xc3\xa4"));

class AnyNumber : public testing::TestWithParam<double> {};

TEST_P(AnyNumber, SurvivesExactly) {
  Graph graph;
  graph.AddOutput("y", Constant(graph, {}, GetParam()));
  graph.AddInput("x", Role::kParameter, {}, {Init::Kind::kUniform, GetParam(), -GetParam()});
  graph.AddInput("z", Role::kParameter, {}, {Init::Kind::kConstant, GetParam()});
  Graph again = Read(PrintText(graph));
  ASSERT_EQ(again.size(), 3);
  auto same_bits = [](double a, double b) { return std::bit_cast<uint64_t>(a) == std::bit_cast<uint64_t>(b); };
  EXPECT_TRUE(same_bits(again[0].As<ConstantAttr>().value, GetParam()));
  EXPECT_TRUE(same_bits(again[1].As<InputAttr>().init.a, GetParam()));
  EXPECT_TRUE(same_bits(again[2].As<InputAttr>().init.a, GetParam()));
}

using Limits = std::numeric_limits<double>;
INSTANTIATE_TEST_SUITE_P(Text, AnyNumber,
                         testing::Values(0.0, -0.0, 0.1, 1.0 / 3.0, -1e-300, 123456789.0, Limits::max(), Limits::min(),
                                         Limits::denorm_min(), Limits::infinity(), -Limits::infinity()));

TEST(Text, KeepsNaN) {
  Graph graph;
  graph.AddOutput("y", Constant(graph, {}, -std::nan("")));
  EXPECT_TRUE(std::isnan(Read(PrintText(graph))[0].As<ConstantAttr>().value));
}

struct Mistake {
  std::string name;
  std::string text;
  int line, column;
  std::string message;
};

class TextMistake : public testing::TestWithParam<Mistake> {};

TEST_P(TextMistake, IsSaidAtItsPlace) {
  const Mistake& mistake = GetParam();
  auto graph = ReadText(mistake.text);
  ASSERT_FALSE(graph.has_value());
  EXPECT_EQ(graph.error().message, mistake.message);
  EXPECT_EQ(graph.error().line, mistake.line);
  EXPECT_EQ(graph.error().column, mistake.column);
}

// Wraps statements that stand on the second line, from column 1.
std::string Within(const std::string& statements) {
  return "graph g { %x = input data [T, 4] %s = scan T { return }\n" + statements + "\nreturn }";
}

const Mistake kMistakes[] = {
    {"Empty", "", 1, 1, "the text ends where `graph` would stand"},
    {"NoGraph", "garph g {}", 1, 1, "`garph` stands where `graph` would"},
    {"NoName", "graph {}", 1, 7, "`{` stands where the name of a graph would"},
    {"NoBrace", "graph g", 1, 8, "the text ends where `{` would stand"},
    {"NoReturn", "graph g {\n}", 2, 1, "`}` stands where a value or `return` would"},
    {"NoEnd", "graph g { return", 1, 17, "the text ends where the name of an output would stand"},
    {"TextBehind", "graph g { return } more", 1, 20, "`more` stands where the end of the text would"},
    {"StrangeByte", "graph g { \x80", 1, 11, "the byte 0x80 stands where a value or `return` would"},
    {"UnclosedString", "graph \"g {\n return }", 1, 7, "the string does not end on its line"},
    {"UnknownEscape", "graph \"a\\n\"", 1, 9,
     "the escape is none of `\\\"`, `\\\\` and `\\x` with two lower case digits"},
    {"NoValueName", Within("% = tanh %x"), 2, 2, "the byte 0x20 stands where the name of a value would"},
    {"EmptyValueName", Within("%\"\" = tanh %x"), 2, 1, "the name of the value is empty"},
    {"HugeValueNumber", Within("%99999999999999999999 = tanh %x"), 2, 2, "the number does not fit 64 bits"},
    {"NoEquals", Within("%y tanh %x"), 2, 4, "`tanh` stands where `=` would"},
    {"DefinedTwice", Within("%x = tanh %x"), 2, 1, "the value is defined a second time"},
    {"DefinedTwiceByNumber", Within("%x~1 = tanh %x"), 2, 1, "the value is defined a second time"},
    {"NotDefined", Within("%y = tanh %z"), 2, 11, "the value is not defined before it is read"},
    {"ReadsItself", Within("%y = tanh %y"), 2, 11, "the value is not defined before it is read"},
    {"NoOperation", Within("%y = 7"), 2, 6, "`7` is no operation"},
    {"UnknownOperation", Within("%y = tanhh %x"), 2, 6, "`tanhh` is no operation"},
    {"OperandMissing", Within("%y = add %x,"), 3, 1, "`return` stands where a value would"},
    {"RuleBroken", Within("%y = add %x"), 2, 6, "`add` needs 2 operands and has 1"},
    {"RuleBrokenDespiteAType", Within("%y = add %x : [3]"), 2, 6, "`add` needs 2 operands and has 1"},
    {"OtherType", Within("%y = tanh %x : [T, 5]"), 2, 16, "`tanh` yields `[T, 4]`"},
    {"OtherElement", Within("%y = tanh %x : index [T, 4]"), 2, 16, "`tanh` yields `[T, 4]`"},
    {"ScanAsAValue", Within("%y = tanh %s"), 2, 6, "`tanh` reads a scan, which only `result` does"},
    {"ScanAsAnOutput", "graph g { %s = scan T { return } return y = %s }", 1, 45, "a scan is read without `result`"},
    {"NoExtent", Within("%y = constant 1 : [-1]"), 2, 20, "`-` stands where an extent or an axis would"},
    {"ExtentIsAFraction", Within("%y = constant 1 : [1.5]"), 2, 20, "`1.5` is neither an extent nor an axis"},
    {"ExtentIsZero", Within("%y = constant 1 : [0]"), 2, 6, "`constant` has an axis of extent 0"},
    {"ExtentIsHuge", Within("%y = constant 1 : [99999999999999999999]"), 2, 20,
     "`99999999999999999999` is neither an extent nor an axis"},
    {"ShapeIsHuge", Within("%y = constant 1 : [9223372036854775807, 2]"), 2, 6,
     "`constant` has more than 1099511627776 elements"},
    {"ShapeIsOpen", Within("%y = constant 1 : [T"), 3, 1, "`return` stands where `]` would"},
    {"NoConstant", Within("%y = constant : []"), 2, 15, "`:` stands where a number would"},
    {"ConstantIsTooLarge", Within("%y = constant 1e999 : []"), 2, 15, "the number does not fit a double"},
    {"NoRole", Within("%y = input [4]"), 2, 12, "`[` stands where the role of an input would"},
    {"NoClasses", Within("%y = input data index() []"), 2, 23, "`)` stands where an integer would"},
    {"ZeroClasses", Within("%y = input data index(0) []"), 2, 6, "`input` has indices of 0 classes"},
    {"NoDistribution", Within("%y = input data [] ~ gamma(1)"), 2, 22, "`gamma` stands where a distribution would"},
    {"DistributionLacksABound", Within("%y = input data [] ~ uniform(1)"), 2, 31, "`)` stands where `,` would"},
    {"SecondInput", Within("%y = input data named x []"), 2, 12, "a second input is named `x`"},
    {"SecondOutput", "graph g { %x = input data [] return y = %x, y = %x }", 1, 45, "a second output is named `y`"},
    {"NoKey", Within("%y = slice %x start=0 : [T, 2]"), 2, 15, "`start` stands where `axis` would"},
    {"AxisDoesNotFit", Within("%y = concat %x axis=4294967296"), 2, 21, "the number does not fit 32 bits"},
    {"LabelsHaveNoArrow", Within("%y = contract \"ab,ab\" %x, %x"), 2, 15, "the labels have not the form `bi,oi->bo`"},
    {"LabelsAreNoString", Within("%y = contract ab %x, %x"), 2, 15,
     "`ab` stands where the labels of a contraction would"},
    {"GroupIsEmpty", Within("%y = scan T carries() { return }"), 2, 21, "`)` stands where a value would"},
    {"GroupsOutOfOrder", Within("%y = scan T invariants(%x) carries(%x) { return }"), 2, 28,
     "`carries` stands where `{` would"},
    {"NextValueMissing", Within("%y = scan T carries(%x) { %h = input carry [T, 4] return }"), 2, 58,
     "0 next values stand for 1 carries"},
    {"NextValueTooMany", Within("%y = scan T { %x = constant 1 return next h = %x }"), 2, 38,
     "1 next values stand for 0 carries"},
    {"MistakeInABody", Within("%y = scan T {\n%h = tanh %x\nreturn }"), 3, 11,
     "the value is not defined before it is read"},
};

INSTANTIATE_TEST_SUITE_P(Text, TextMistake, testing::ValuesIn(kMistakes),
                         [](const auto& mistake) { return mistake.param.name; });

// `depth` scans, one inside the other.
std::string NestedScans(int depth) {
  std::string text = "graph g { ";
  for (int i = 0; i < depth; ++i) text += "%s = scan T { ";
  for (int i = 0; i < depth; ++i) text += "return } ";
  return text + "return }";
}

TEST(Text, BoundsTheDepthOfScans) {
  EXPECT_TRUE(ReadText(NestedScans(32)).has_value());
  auto graph = ReadText(NestedScans(100'000));
  ASSERT_FALSE(graph.has_value());
  EXPECT_EQ(graph.error().message, "scans nest deeper than 32");
}

// Reading is linear in the length of a text, whatever it is long in.
TEST(Text, ReadsLongTexts) {
  std::string values = "graph g { %x = input data [2] ", names = "graph g { ", shape = "graph g { %x = input data [1";
  for (int i = 0; i < 20'000; ++i) {
    values += "%y~" + std::to_string(i) + " = add %x, %x ";
    names += "%x" + std::to_string(i) + " = input data [] ";
    shape += ", 1";
  }
  EXPECT_TRUE(ReadText(values + "return }").has_value());
  EXPECT_TRUE(ReadText(names + "return }").has_value());
  auto graph = ReadText(shape + "] return }");
  ASSERT_FALSE(graph.has_value());
  EXPECT_EQ(graph.error().message, "`input` has 20001 axes, more than 16");
}

TEST(Text, PrintsShapes) {
  EXPECT_EQ(PrintShape({}), "[]");
  EXPECT_EQ(PrintShape({Dim("T"), Dim("B"), 4}), "[T, B, 4]");
}

}  // namespace
}  // namespace recurve::ir

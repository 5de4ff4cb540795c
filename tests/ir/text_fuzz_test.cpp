// tests/ir/text_fuzz_test.cpp: the promise of tests/fuzz/ir_text_fuzz.h on mutations of printed graphs, seeded.
//
// RECURVE_SEED=N runs others than the usual ones.

#include <gtest/gtest.h>

#include <cstdlib>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "tests/fuzz/ir_text_fuzz.h"

namespace recurve::ir {
namespace {

const std::vector<std::string> kTexts = {
    R"(graph lstm {
  %x = input data [T, B, 4]
  %W = input parameter [32, 4] ~ uniform(-0.35, 0.35)
  %U = input parameter [32, 8] ~ normal(0, 0.1)
  %h0 = input state [B, 8]
  %c0 = input state [B, 8]
  %p = contract "tbi,oi->tbo" %x, %W : [T, B, 32]
  %s = scan T reverse named step carries(%h0, %c0) sequences(%p) invariants(%U) {
    %h = input carry [B, 8]
    %c = input carry [B, 8]
    %x = input element [B, 32]
    %U = input invariant [32, 8]
    %q = contract "bi,oi->bo" %h, %U : [B, 32]
    %z = add %x, %q : [B, 32]
    %f = slice %z axis=1 start=0 : [B, 8]
    %8 = sigmoid %f : [B, 8]
    %c' = mul %8, %c : [B, 8]
    %10 = tanh %c' : [B, 8]
    return next h = %10, c = %c' stacked y = %10
  }
  %hT = result %s 0 : [B, 8]
  %ys = result %s 2 : [T, B, 8]
  return y = %ys, hT = %hT
}
)",
    R"(graph embed {
  %tokens = input data index(96) [T, B]
  %E = input parameter named "a table" [96, 4] ~ constant(0.5)
  %row = gather %E, %tokens : [T, B, 4]
  %adj = scatter_add %tokens, %row : [96, 4]
  %hot = one_hot %tokens : [T, B, 96]
  %t = transpose %row axes=[1, 0, 2] : [B, T, 4]
  %i = reshape %tokens : index [T, B, 1]
  %both = concat %row, %row axis=2 : [T, B, 8]
  %sum = reduce_sum %both axes=[0, 1] : [8]
  %max = reduce_max %sum : []
  %all = broadcast %max axes=[] : [T, 8]
  %n = extent T : []
  %7 = iota : [7]
  %"a b" = constant -1e-05 : [B]
  %n~2 = less %n, %max : []
  return y = %n~2, "the rows" = %adj
}
)"};

// Pieces that the grammar knows, so that mutations reach beyond its first error.
constexpr std::string_view kPieces[] = {"%x",
                                        "%z",
                                        "%7",
                                        "~2",
                                        "[T, B, 4]",
                                        "[]",
                                        ", ",
                                        "index",
                                        "index(3)",
                                        "axes=[1, 0]",
                                        "axis=1",
                                        "start=0",
                                        "reverse",
                                        "named",
                                        "\"bi,oi->bo\"",
                                        "9223372036854775807",
                                        "-1",
                                        "0",
                                        "1e400",
                                        "nan",
                                        "{",
                                        "}",
                                        "return",
                                        "next",
                                        "stacked",
                                        "add",
                                        "contract",
                                        "scan T {",
                                        "result %s 1",
                                        " : [B, 8]",
                                        "\"",
                                        "\\x00",
                                        "\xff",
                                        "#",
                                        "\n"};

class Mutator {
 public:
  explicit Mutator(uint64_t seed) : random_(seed) {}

  // A few strokes on one of the texts.
  std::string Next() {
    std::string text = kTexts[Below(kTexts.size())];
    for (size_t strokes = 1 + Below(4); strokes > 0; --strokes) {
      size_t at = Below(text.size() + 1), size = std::min(Below(12), text.size() - at);
      switch (Below(5)) {
        case 0: text.erase(at, size); break;
        case 1: text.insert(at, kPieces[Below(std::size(kPieces))]); break;
        case 2: text.replace(at, size, kPieces[Below(std::size(kPieces))]); break;
        case 3: text.insert(at, text.substr(Below(text.size() + 1), 40)); break;
        // Another number: axes, starts, extents and value names stay well formed and mean something else.
        case 4: {
          size_t digit = text.find_first_of("0123456789", at);
          if (digit != text.npos) text[digit] = static_cast<char>('0' + Below(10));
          break;
        }
      }
    }
    return text;
  }

 private:
  size_t Below(size_t count) { return random_() % count; }

  std::mt19937_64 random_;
};

TEST(TextFuzz, NoMutationBreaksThePromise) {
  const char* given = std::getenv("RECURVE_SEED");
  uint64_t seed = given != nullptr ? std::strtoull(given, nullptr, 10) : 1;
  SCOPED_TRACE("RECURVE_SEED=" + std::to_string(seed));
  Mutator mutator(seed);
  int read = 0;
  for (int i = 0; i < 5000; ++i) {
    std::string text = mutator.Next();
    ASSERT_EQ(BrokenPromiseOf(text), "") << text;
    read += ReadText(text).has_value();
  }
  // The strokes are light enough that a part of the texts still reads; else only error paths would be run.
  EXPECT_GT(read, 100);
}

TEST(TextFuzz, TheTextsThemselvesRead) {
  for (const std::string& text : kTexts) {
    auto graph = ReadText(text);
    EXPECT_TRUE(graph.has_value()) << graph.error().message;
  }
}

}  // namespace
}  // namespace recurve::ir

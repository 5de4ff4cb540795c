// tests/frontend/extent_test.cpp: symbolic extents have one form, exact division, and limits instead of overflow.

#include "frontend/extent.h"

#include <gtest/gtest.h>

namespace recurve::frontend {
namespace {

const Extent H("H"), I("I");

TEST(Extent, SumsCommute) {
  EXPECT_EQ(Sum(H, I), Sum(I, H));
  EXPECT_EQ(Sum(H, I)->Text(), "H+I");
}

TEST(Extent, ProductsCommute) {
  EXPECT_EQ(Product(H, I), Product(I, H));
  EXPECT_EQ(Product(Extent(4), H)->Text(), "4*H");
}

TEST(Extent, LikeTermsMerge) { EXPECT_EQ(Sum(*Product(Extent(3), H), H), Product(H, Extent(4))); }

TEST(Extent, OppositesCancel) { EXPECT_EQ(*Difference(*Sum(H, I), I), H); }

TEST(Extent, HalvesMakeAWhole) {
  Extent half = *Quotient(H, Extent(2));
  EXPECT_EQ(half.Text(), "H/2");
  EXPECT_EQ(*Sum(half, half), H);
}

TEST(Extent, DistributesOverSums) {
  EXPECT_EQ(Product(*Sum(H, Extent(1)), *Difference(H, Extent(1))), Difference(*Product(H, H), Extent(1)));
}

TEST(Extent, DividesByANameOnlyExactly) {
  EXPECT_EQ(Quotient(*Product(H, I), I), H);
  EXPECT_FALSE(Quotient(H, I));
  EXPECT_FALSE(Quotient(Extent(1), H));
  EXPECT_FALSE(Quotient(H, Extent(0)));
}

TEST(Extent, PutsTheNumberLast) {
  EXPECT_EQ(Sum(Extent(1), H)->Text(), "H+1");
  EXPECT_EQ(Difference(H, Extent(2))->Text(), "H-2");
  EXPECT_EQ(Extent().Text(), "0");
}

TEST(Extent, EvaluatesWithNumbers) {
  EXPECT_EQ(Sum(*Product(Extent(4), H), I)->Evaluate({{"H", 8}, {"I", 3}}), 35);
  EXPECT_EQ(Quotient(*Product(Extent(3), H), Extent(2))->Evaluate({{"H", 4}}), 6);
}

TEST(Extent, SaysWhyItHasNoValue) {
  EXPECT_EQ(Quotient(H, Extent(2))->Evaluate({{"H", 5}}).error(), "`H/2` is not a whole number where `H` is 5");
  EXPECT_EQ(H.Evaluate({}).error(), "`H` has no number");
  EXPECT_EQ(Product(H, *Product(H, H))->Evaluate({{"H", int64_t{1} << 24}}).error(), "`H*H*H` is too large");
}

TEST(Extent, HalvesOfTwoNumbersEvaluateTogether) {
  Extent mean = *Quotient(*Sum(H, I), Extent(2));
  EXPECT_EQ(mean.Evaluate({{"H", 3}, {"I", 5}}), 4);
}

TEST(Extent, YieldsNothingBeyondItsLimits) {
  std::optional<Extent> power = H;
  int steps = 0;
  while (power && steps < 1000) {
    power = Product(*power, *Sum(H, I));
    ++steps;
  }
  EXPECT_LT(steps, 32);
  std::optional<Extent> number = Extent(3);
  for (steps = 0; number && steps < 1000; ++steps) number = Product(*number, *number);
  EXPECT_LT(steps, 8);
  EXPECT_FALSE(Product(Extent(INT64_MAX), Extent(INT64_MAX)));
}

}  // namespace
}  // namespace recurve::frontend

// tests/runtime/pair_data_test.cpp: pairs of texts, their tokens, and distances between sequences.

#include "runtime/pair_data.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <filesystem>
#include <fstream>

namespace recurve {
namespace {

class PairFile : public testing::Test {
 protected:
  std::string Write(const std::string& contents) {
    const auto path = std::filesystem::temp_directory_path() / "recurve_pairs_test.tsv";
    std::ofstream(path, std::ios::binary) << contents;
    return path.string();
  }
};

TEST_F(PairFile, HasAPairALine) {
  const auto pairs = ReadPairs(Write("haus\tGerman\r\n\nmaison\tFrench\n"));
  ASSERT_TRUE(pairs) << pairs.error().message;
  EXPECT_EQ(pairs->sources, (std::vector<std::string>{"haus", "maison"}));
  EXPECT_EQ(pairs->targets, (std::vector<std::string>{"German", "French"}));
}

TEST_F(PairFile, SaysWhereItIsNone) {
  for (const char* wrong : {"haus German", "haus\t", "\tGerman", "a\tb\tc"}) {
    const auto pairs = ReadPairs(Write(std::string("a\tb\n") + wrong + "\n"));
    ASSERT_FALSE(pairs) << wrong;
    EXPECT_NE(pairs.error().message.find("line 2: a pair is two texts with one tab between them"), std::string::npos);
  }
  EXPECT_NE(ReadPairs(Write("\n")).error().message.find("has no pairs"), std::string::npos);
}

TEST(PairColumn, OfCharactersKeepsZeroForWhatItDoesNotKnow) {
  const std::vector<std::string> texts = {"über", "abc"};
  const PairColumn column = PairColumn::Of(texts, TokenUnit::kCharacter);
  EXPECT_EQ(column.classes(), 7u);
  EXPECT_EQ(column.Encode("bü?"), (std::vector<int32_t>{2, 6, 0}));
  EXPECT_EQ(column.Decode(std::vector<int32_t>{2, 6, 0}), "bü");
}

TEST(PairColumn, OfWordsSplitsAtSpaces) {
  const std::vector<std::string> texts = {"HH AH L OW", " W  ER L D"};
  EXPECT_EQ(PairColumn::LikelyUnit(texts), TokenUnit::kWord);
  const PairColumn column = PairColumn::Of(texts, TokenUnit::kWord);
  EXPECT_EQ(column.classes(), 8u);
  const std::vector<int32_t> tokens = column.Encode("L OW  AH");
  EXPECT_EQ(column.Decode(tokens), "L OW AH");
}

TEST(PairColumn, OfWholesIsClasses) {
  const std::vector<std::string> texts = {"New Norse", "Danish", "Danish"};
  const PairColumn column = PairColumn::Of(texts, TokenUnit::kWhole);
  EXPECT_EQ(column.classes(), 2u);
  EXPECT_EQ(column.Encode("New Norse"), std::vector<int32_t>{1});
  EXPECT_EQ(column.Encode("Swedish"), std::vector<int32_t>{-1});
  EXPECT_EQ(column.Decode(std::vector<int32_t>{0}), "Danish");
}

TEST(PairColumn, IsReadAsItWasWritten) {
  const std::vector<std::string> texts = {"a b", "ç d"};
  for (const TokenUnit unit : {TokenUnit::kCharacter, TokenUnit::kWord, TokenUnit::kWhole}) {
    const PairColumn column = PairColumn::Of(texts, unit);
    const auto read = PairColumn::Deserialize(column.Serialize());
    ASSERT_TRUE(read) << read.error().message;
    EXPECT_EQ(*read, column);
  }
  EXPECT_FALSE(PairColumn::Deserialize("letters: 61"));
  EXPECT_FALSE(PairColumn::Deserialize("words: 6"));
}

TEST(EditDistance, CountsInsertionsDeletionsAndSubstitutions) {
  auto distance = [](std::vector<int32_t> a, std::vector<int32_t> b) { return EditDistance(a, b); };
  EXPECT_EQ(distance({}, {}), 0u);
  EXPECT_EQ(distance({1, 2, 3}, {1, 2, 3}), 0u);
  EXPECT_EQ(distance({}, {1, 2}), 2u);
  EXPECT_EQ(distance({1, 2, 3}, {2, 3}), 1u);
  EXPECT_EQ(distance({1, 2, 3, 4}, {1, 5, 3}), 2u);
  EXPECT_EQ(distance({11, 9, 20, 20, 5, 14}, {19, 9, 20, 20, 9, 14, 7}), 3u);  // kitten, sitting
}

}  // namespace
}  // namespace recurve

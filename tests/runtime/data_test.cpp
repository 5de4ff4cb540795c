// Texts and series from files, schedules, baselines, and plots.

#include <algorithm>
#include <cmath>
#include <string>

#include <gtest/gtest.h>

#include "runtime/baselines.h"
#include "runtime/plot.h"
#include "runtime/random.h"
#include "runtime/schedule.h"
#include "runtime/series_data.h"
#include "runtime/text_data.h"

namespace recurve {
namespace {

TEST(Vocabulary, IsSortedAndReadsBack) {
  const std::string text = "b\u00e9a\nab\U0001F600\u20ac";
  const Vocabulary vocabulary = Vocabulary::Of(text);
  EXPECT_EQ(vocabulary.Serialize(), "0a 61 62 c3a9 e282ac f09f9880");
  const auto tokens = vocabulary.Encode(text);
  ASSERT_TRUE(tokens);
  EXPECT_EQ(*tokens, (std::vector<int32_t>{2, 3, 1, 0, 1, 2, 5, 4}));
  std::string decoded;
  for (const int32_t token : *tokens) decoded += vocabulary.Decode(token);
  EXPECT_EQ(decoded, text);
  EXPECT_EQ(*Vocabulary::Deserialize(vocabulary.Serialize()), vocabulary);
}

TEST(Vocabulary, TakesAnyBytes) {
  std::string text;
  Random random(1);
  for (int i = 0; i < 20000; ++i) text += static_cast<char>(random.Below(256));
  for (const std::string& part :
       {text, std::string("\xe2\x82"), std::string("\xed\xa0\x80"), std::string("\xc0\x80")}) {
    const Vocabulary vocabulary = Vocabulary::Of(part);
    std::string decoded;
    const auto tokens = *vocabulary.Encode(part);
    for (const int32_t token : tokens) decoded += vocabulary.Decode(token);
    EXPECT_EQ(decoded, part);
    EXPECT_EQ(*Vocabulary::Deserialize(vocabulary.Serialize()), vocabulary);
  }
}

TEST(Vocabulary, NamesTheCharacterItLacks) {
  EXPECT_EQ(Vocabulary::Of("abc").Encode("ab\u00e9").error().message,
            "the text has the character 0xc3a9 at byte 2, which the vocabulary of 3 does not");
}

TEST(Vocabulary, RefusesADamagedOne) {
  for (const char* text : {"6", "61 6", "zz", "62 61", "61 61", " 61", "61  62"}) {
    EXPECT_FALSE(Vocabulary::Deserialize(text)) << text;
  }
  EXPECT_EQ(Vocabulary::Deserialize("")->size(), 0u);
}

TEST(Text, SplitKeepsTheTail) {
  const std::vector<int32_t> tokens = {0, 1, 2, 3, 4, 5, 6};
  const auto [training, held_out] = SplitTail(std::span<const int32_t>(tokens), 0.3);
  EXPECT_EQ(training.size(), 5u);
  EXPECT_EQ(held_out[0], 5);
}

TEST(Series, ReadsWhatPeopleWrite) {
  const struct {
    const char* text;
    std::vector<std::string> columns;
    std::vector<double> values, times;
  } rows[] = {
      {"1\n2\n3\n", {"column 1"}, {1, 2, 3}, {0, 1, 2}},
      {"# a\nyear,count\n1700, 5\n1701,+11.5\r\n\n1702,-1e1", {"count"}, {5, 11.5, -10}, {1700, 1701, 1702}},
      {"\xEF\xBB\xBF\"x\",\"y\"\n3,4\n3,5\n", {"x", "y"}, {3, 4, 3, 5}, {0, 1}},
      {"0.5,1,2\n1.5,3,4\n", {"column 2", "column 3"}, {1, 2, 3, 4}, {0.5, 1.5}},
      {"7", {"column 1"}, {7}, {0}},
  };
  for (const auto& row : rows) {
    const auto series = ParseSeries(row.text, "f");
    ASSERT_TRUE(series) << series.error().message;
    EXPECT_EQ(series->columns, row.columns);
    EXPECT_EQ(series->values, row.values);
    EXPECT_EQ(series->times, row.times);
  }
}

TEST(Series, SaysWhatIsWrongAndWhere) {
  const struct {
    const char* text;
    const char* flaw;
  } rows[] = {
      {"", "it has no rows"},
      {"# only\n\nname\n", "it has no rows"},
      {"a,b\n1,2\n1,2,3\n", "line 3 has 3 columns, line 1 has 2"},
      {"1\n2\nx\n", "line 3 has `x` in column 1, not a number"},
      {"a,b\n1,\n", "line 2 has `` in column 2, not a number"},
      {"1,2\n1,inf\n", "line 2 has `inf` in column 2, not a number"},
      {"1,2\n1,1e999\n", "line 2 has `1e999` in column 2, not a number"},
      {"1,x\n", "line 1 has `x` in column 2, not a number"},
      {"1;2\n3;4\n", "line 2 has `3;4` in column 1, not a number"},
  };
  for (const auto& row : rows) {
    const auto series = ParseSeries(row.text, "f");
    ASSERT_FALSE(series) << row.text;
    EXPECT_EQ(series.error().message, std::string("cannot read a series from `f`: ") + row.flaw);
  }
}

TEST(Series, SunspotsAreTheRealOnes) {
  const auto series = ReadSeries(RECURVE_SOURCE_DIR "/frontend/examples/sunspots/sunspots.csv");
  ASSERT_TRUE(series) << series.error().message;
  EXPECT_EQ(series->rows(), 309u);
  EXPECT_EQ(series->time_name, "year");
  EXPECT_EQ(series->times.front(), 1700);
  EXPECT_EQ(series->times.back(), 2008);
  EXPECT_EQ(series->values.front(), 5);
  EXPECT_EQ(series->values[1957 - 1700], 190.2) << "the largest maximum of the series";
}

TEST(Standardization, IsOfTheTrainingPartAndIsUndone) {
  const auto series = ParseSeries("1,5\n3,5\n1,5\n100,7\n", "f");
  const auto scale = Standardization::Of(*series, 2);
  EXPECT_EQ(scale.means, (std::vector<double>{2, 5}));
  EXPECT_EQ(scale.deviations, (std::vector<double>{1, 1})) << "a constant column is only shifted";
  EXPECT_EQ(scale.Apply(series->values), (std::vector<double>{-1, 0, 1, 0, -1, 0, 98, 2}));
  EXPECT_EQ(scale.Undo(scale.Apply(series->values)), series->values);
  const auto again = Standardization::Deserialize(scale.Serialize());
  ASSERT_TRUE(again);
  EXPECT_EQ(again->means, scale.means);
  EXPECT_EQ(Standardization::Deserialize("1 2,3").error().message,
            "cannot read a standardization: column 2 has no mean and deviation");
}

TEST(Schedule, RisesFallsAndEnds) {
  const Schedule constant{.warmup = 4};
  EXPECT_DOUBLE_EQ(constant.At(1, 100), 0.25);
  EXPECT_DOUBLE_EQ(constant.At(4, 100), 1);
  EXPECT_DOUBLE_EQ(constant.At(100, 100), 1);
  const Schedule steps{.kind = Schedule::Kind::kStep, .every = 10, .factor = 0.5};
  EXPECT_DOUBLE_EQ(steps.At(10, 100), 1);
  EXPECT_DOUBLE_EQ(steps.At(11, 100), 0.5);
  EXPECT_DOUBLE_EQ(steps.At(21, 100), 0.25);
  const Schedule cosine{.kind = Schedule::Kind::kCosine, .warmup = 10};
  EXPECT_DOUBLE_EQ(cosine.At(10, 110), 1);
  EXPECT_NEAR(cosine.At(61, 110), 0.5, 1e-12);
  EXPECT_LT(cosine.At(110, 110), 1e-3);
  EXPECT_DOUBLE_EQ(cosine.At(200, 110), 0);
}

TEST(Baselines, AutoregressionFindsItsOwnCoefficients) {
  std::vector<double> series = {1, 2, -1};
  Random random(1);
  for (int t = 3; t < 400; ++t) {
    const size_t n = series.size();
    series.push_back(2 + 0.5 * series[n - 1] - 0.3 * series[n - 2] + 0.2 * series[n - 3]);
  }
  const auto fit = Autoregression::Fit(std::span(series).first(40), 3);
  ASSERT_TRUE(fit) << fit.error().message;
  EXPECT_NEAR(fit->intercept, 2, 1e-9);
  EXPECT_NEAR(fit->coefficients[0], 0.5, 1e-9);
  EXPECT_NEAR(fit->coefficients[1], -0.3, 1e-9);
  EXPECT_NEAR(fit->coefficients[2], 0.2, 1e-9);
  EXPECT_NEAR(fit->Predict(series, 10)[5], series[15], 1e-9);
  EXPECT_NEAR(fit->Forecast(std::span(series).first(10), 6)[5], series[15], 1e-8);
}

TEST(Baselines, AutoregressionSaysWhenItCannotBeFitted) {
  EXPECT_EQ(Autoregression::Fit(std::vector<double>{1, 2, 3}, 2).error().message,
            "cannot fit an autoregression of order 2 to 3 values");
  EXPECT_EQ(Autoregression::Fit(std::vector<double>(50, 4), 2).error().message,
            "cannot fit an autoregression of order 2: the series does not determine its coefficients");
}

TEST(Baselines, ScoresAreOfTheErrors) {
  const std::vector<double> series = {1, 4, 8};
  const auto predictions = Persistence(series, 1);
  EXPECT_EQ(predictions, (std::vector<double>{1, 4}));
  const Score score = Compare(predictions, std::span(series).subspan(1));
  EXPECT_DOUBLE_EQ(score.rmse, std::sqrt((9 + 16) / 2.0));
  EXPECT_DOUBLE_EQ(score.mae, 3.5);
}

TEST(Plot, TicksAreRound) {
  EXPECT_EQ(Ticks(0, 10, 5), (std::vector<double>{0, 2, 4, 6, 8, 10}));
  EXPECT_EQ(Ticks(1700, 2008, 9).front(), 1700);
  EXPECT_EQ(Ticks(1700, 2008, 9).back(), 2000);
  EXPECT_EQ(Ticks(-0.3, 0.3, 3), (std::vector<double>{-0.2, 0, 0.2}));
  EXPECT_TRUE(Ticks(1, 1, 5).empty());
}

TEST(Plot, HoldsEveryLineAndEscapesText) {
  Plot plot{.title = "a < b & \"c\"", .x_label = "year", .y_label = "count"};
  plot.lines.push_back({"data", {0, 1, 2, 3}, {1, NAN, 3, 4}});
  plot.lines.push_back({"model", {0, 1}, {2, 2}, /*is_dashed=*/true});
  plot.shade_from = 2;
  plot.shade_label = "held out";
  const std::string svg = Draw(plot);
  for (const char* part :
       {"a &lt; b &amp; &quot;c&quot;", ">year<", ">count<", ">data<", ">model<", ">held out<", "stroke-dasharray"}) {
    EXPECT_NE(svg.find(part), std::string::npos) << part;
  }
  const std::string path = svg.substr(svg.find("<path d=\""), 60);
  EXPECT_EQ(std::ranges::count(path, 'M'), 2) << "a value that is missing interrupts the line: " << path;
  EXPECT_EQ(svg.find("nan"), std::string::npos);
}

TEST(Plot, DrawsNothingFromNothing) {
  EXPECT_TRUE(Draw({}).ends_with("</svg>\n"));
  EXPECT_EQ(Draw({.lines = {{"point", {3}, {3}}}}).find("nan"), std::string::npos);
}

}  // namespace
}  // namespace recurve

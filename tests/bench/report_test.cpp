// tests/bench/report_test.cpp: the benchmark's bookkeeping: bounds, targets, tables, markers, the picture. No timing.

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "bench/figures.h"
#include "bench/model.h"
#include "bench/report.h"
#include "bench/roofline.h"
#include "bench/targets.h"
#include "runtime/file.h"

namespace recurve::bench {
namespace {

constexpr size_t kKilobyte = 1024;

// A machine of round numbers: 1e9 operations a second, L1 of 32 KB at 4e9 bytes a second, DRAM at 1e9; two threads do
// twice as much.
Limits RoundLimits() {
  Limits limits;
  limits.operations[1] = 1e9;
  limits.operations[2] = 2e9;
  limits.bandwidths = {{{"L1", 32 * kKilobyte, false, 0}, {0, 4e9, 8e9}},
                       {{"DRAM", std::numeric_limits<size_t>::max(), true, 0}, {0, 1e9, 2e9}}};
  limits.cycles = 1e9;
  return limits;
}

Figures SampleFigures() {
  Figures figures{.processor = "A<B> & \"C\"", .vector_unit = "generic", .repetitions = 3, .limits = RoundLimits()};
  const Point point{"lstm", {50, 32, 128, 128}};
  figures.works["lstm/50,32,128,128/forward"] = {
      .operations = 1e6, .operations_in_steps = 1e6, .steps = 1, .bytes_a_step = 8, .bytes_once = 8};
  figures.seconds[FigureName(point, Pass::kForward, 1)] = 1.25e-3;
  figures.seconds[FigureName(point, Pass::kForward, 2)] = 1e-3;
  return figures;
}

TEST(Model, ProductsBindALargeBatch) {
  const Bound bound =
      Bind({.operations = 2e9, .operations_in_steps = 2e9, .steps = 10, .bytes_a_step = 4096}, RoundLimits(), 1);
  EXPECT_EQ(bound.limit, "FMA");
  EXPECT_DOUBLE_EQ(bound.seconds, 2);
}

TEST(Model, WeightsBindASmallBatchAtTheLevelThatHoldsThem) {
  const Bound near =
      Bind({.operations = 1, .operations_in_steps = 1, .steps = 1000, .bytes_a_step = 16384}, RoundLimits(), 1);
  EXPECT_EQ(near.limit, "L1");
  EXPECT_DOUBLE_EQ(near.seconds, 1000 * 16384 / 4e9);
  const Bound far =
      Bind({.operations = 1, .operations_in_steps = 1, .steps = 1000, .bytes_a_step = 65536}, RoundLimits(), 1);
  EXPECT_EQ(far.limit, "DRAM");
  EXPECT_DOUBLE_EQ(far.seconds, 1000 * 65536 / 1e9);
}

TEST(Model, ProductsOfOtherThanStatesTakeTimeOfTheirOwn) {
  const Work work{
      .operations = 3e9, .operations_in_steps = 1e9, .steps = 1000, .bytes_a_step = 8e6 / 1000, .bytes_once = 8};
  EXPECT_DOUBLE_EQ(Bind(work, RoundLimits(), 1).seconds, 3);
  Work weights_bind = work;
  weights_bind.bytes_a_step = 65536 * 100;
  EXPECT_DOUBLE_EQ(Bind(weights_bind, RoundLimits(), 1).seconds, 6.5536 + 2);
  EXPECT_EQ(Bind(weights_bind, RoundLimits(), 1).limit, "DRAM");
}

TEST(Model, TwoThreadsHoldTwiceTheWeightsInTheirOwnCaches) {
  const Work work{.operations = 1, .steps = 1, .bytes_a_step = 48 * kKilobyte};
  EXPECT_EQ(Bind(work, RoundLimits(), 1).limit, "DRAM");
  EXPECT_EQ(Bind(work, RoundLimits(), 2).limit, "L1");
}

TEST(Model, NothingBindsWithoutLimits) { EXPECT_EQ(Bind({.operations = 1}, Limits{}, 1).seconds, 0); }

TEST(Targets, FirstMatchingRowCounts) {
  auto targets = Targets::Parse("# title\npercent lstm|gru 1,2,3,4 forward 88 # why\npercent * * * 50\n");
  ASSERT_TRUE(targets) << targets.error().message;
  EXPECT_EQ(targets->Find("percent", "gru", "1,2,3,4", "forward"), 88);
  EXPECT_EQ(targets->Find("percent", "gru", "1,2,3,4", "backward"), 50);
  EXPECT_EQ(targets->Find("percent", "gr", "1,2,3,4", "forward"), 50);
  EXPECT_EQ(targets->Find("speedup", "gru", "1,2,3,4", "forward"), std::nullopt);
}

TEST(Targets, LineThatIsNoRowIsAnError) {
  EXPECT_FALSE(Targets::Parse("percent lstm 1,2,3,4 forward\n"));
  EXPECT_FALSE(Targets::Parse("percent lstm 1,2,3,4 forward 88 %\n"));
}

TEST(Targets, FileOfTheProjectIsRows) {
  auto text = ReadFile(RECURVE_SOURCE_DIR "/bench/targets.txt");
  ASSERT_TRUE(text);
  auto targets = Targets::Parse(*text);
  ASSERT_TRUE(targets) << targets.error().message;
  EXPECT_EQ(targets->Find("percent", "lstm", "50,32,128,128", "forward"), 88);
}

TEST(Marker, MetIsBoldAndMissedSaysByHowMuch) {
  Marker marker;
  EXPECT_EQ(marker.AtLeast(90, 88, 0, " %"), "**90 %**");
  EXPECT_EQ(marker.AtLeast(85, 88, 0, " %"), "85 % (-3)");
  EXPECT_EQ(marker.AtMost(62, 45, 0), "62 (+17)");
  EXPECT_EQ(marker.AtLeast(1, std::nullopt, 2, "x"), "1.00x");
  EXPECT_EQ(marker.met(), 1);
  EXPECT_EQ(marker.all(), 3);
}

TEST(Marker, RoundingHidesNoMiss) {
  Marker marker;
  EXPECT_EQ(marker.AtLeast(87.9, 88, 0, " %"), "88 % (-1)");
}

TEST(Report, RowHasPercentOfTheBoundAndSpeedup) {
  auto targets = Targets::Parse("percent lstm 50,32,128,128 forward 88\nspeedup * * * 1.0\n");
  ASSERT_TRUE(targets);
  const std::string text = Report(SampleFigures(), *targets);
  EXPECT_NE(text.find("| lstm | 50,32,128,128 | FMA | 1250 | 80 % (-8) |"), std::string::npos) << text;
  EXPECT_NE(text.find("**1.25x**"), std::string::npos) << text;
  EXPECT_NE(text.find("Targets met: 1 of 2."), std::string::npos) << text;
}

TEST(Report, ReplacesOnlyWhatIsBetweenItsMarkers) {
  constexpr std::string_view kText =
      "a\n<!-- b: written by ./dev bench -->\nold\n<!-- end of b -->\n<!-- c: written by ./dev bench -->\n<!-- end of "
      "c -->\n";
  EXPECT_EQ(
      ReplaceBetweenMarkers(kText, "b", "new\n"),
      "a\n<!-- b: written by ./dev bench -->\nnew\n<!-- end of b -->\n<!-- c: written by ./dev bench -->\n<!-- end "
      "of c -->\n");
  EXPECT_EQ(ReplaceBetweenMarkers(kText, "d", "new\n"), "");
}

TEST(Report, ReadmeHasMarkersForBothTables) {
  auto readme = ReadFile(RECURVE_SOURCE_DIR "/bench/README.md");
  ASSERT_TRUE(readme);
  EXPECT_NE(ReplaceBetweenMarkers(*readme, "figures", "x"), "");
  EXPECT_NE(ReplaceBetweenMarkers(*readme, "peers", "x"), "");
}

// Whether every element is closed in its turn, and no `<` or bare `&` stands in text.
bool IsWellFormed(std::string_view xml) {
  std::vector<std::string> open;
  for (size_t i = 0; i < xml.size();) {
    if (xml[i] == '&') {
      const size_t end = xml.find(';', i);
      if (end == std::string_view::npos || end - i > 5) return false;
    }
    if (xml[i] != '<') {
      ++i;
      continue;
    }
    const size_t end = xml.find('>', i);
    if (end == std::string_view::npos) return false;
    const std::string_view tag = xml.substr(i + 1, end - i - 1);
    if (tag.find('<') != std::string_view::npos) return false;
    const std::string name(tag.substr(tag.starts_with('/'), tag.find(' ') - tag.starts_with('/')));
    if (tag.starts_with('/')) {
      if (open.empty() || open.back() != name) return false;
      open.pop_back();
    } else if (!tag.ends_with('/')) {
      open.push_back(name);
    }
    i = end + 1;
  }
  return open.empty();
}

TEST(Roofline, IsWellFormedWhateverTheNames) {
  Roofline roofline = MakeRoofline(SampleFigures());
  ASSERT_EQ(roofline.dots.size(), 1);
  roofline.dots[0].group = "</svg> & <b>";
  const std::string svg = DrawRoofline(roofline);
  EXPECT_TRUE(svg.starts_with("<svg "));
  EXPECT_TRUE(IsWellFormed(svg)) << svg;
  EXPECT_EQ(svg.find("nan"), std::string::npos);
  EXPECT_EQ(svg.find("inf"), std::string::npos);
}

TEST(Roofline, CheckerSeesWhatIsNotWellFormed) {
  EXPECT_FALSE(IsWellFormed("<a><b></a>"));
  EXPECT_FALSE(IsWellFormed("<a>x & y</a>"));
}

TEST(Grid, EveryTargetedSizeIsMeasured) {
  std::vector<std::string> sizes;
  for (const Point& point : Grid()) sizes.push_back(SizeText(point.size));
  for (const char* size : {"50,32,128,128", "25,16,2048,2048", "100,1,64,1024", "1,1,1,16"})
    EXPECT_NE(std::ranges::find(sizes, size), sizes.end()) << size;
}

}  // namespace
}  // namespace recurve::bench

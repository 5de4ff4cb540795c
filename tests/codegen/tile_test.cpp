// tests/codegen/tile_test.cpp: the code of register tiles, read from the assembly.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <regex>
#include <string>

#include "compiler/compile.h"
#include "tests/support/assembly.h"
#include "tests/support/graph_of.h"

namespace recurve {
namespace {

class TileCode : public testing::TestWithParam<const char*> {};

// Units of one vector to many, so that blocks of every width are among them.
TEST_P(TileCode, SpillsNothingInAnInnermostLoop) {
  const std::regex label(R"((^|\n)(tile[.\d]*):)");
  size_t loops = 0;
  for (const char* cell : {"lstm", "gru", "elman", "mogrifier_lstm"}) {
    for (int64_t units : {8, 16, 32, 100, 224, 256}) {
      auto artifacts = CompileToObject(
          LibraryCell(cell, 40, units),
          {.target = {.triple = "x86_64-linux-gnu", .cpu = GetParam()}, .entries = {"forward", "backward"}},
          {.assembly = true});
      ASSERT_TRUE(artifacts) << artifacts.error().message;
      const std::string& text = artifacts->assembly;
      for (std::sregex_iterator match(text.begin(), text.end(), label), end; match != end; ++match) {
        for (const auto& loop : InnermostLoops(text, (*match)[2])) {
          ++loops;
          EXPECT_TRUE(std::ranges::none_of(loop, IsSpill)) << cell << ", " << units << " units, " << (*match)[2];
        }
      }
    }
  }
  EXPECT_GT(loops, 100U);
}

INSTANTIATE_TEST_SUITE_P(Codegen, TileCode, testing::Values("x86-64-v2", "x86-64-v3", "x86-64-v4", "znver5"));

}  // namespace
}  // namespace recurve

// tests/ir/readme_test.cpp: the text in ir/README.md is what the printer prints.

#include <gtest/gtest.h>

#include <fstream>
#include <sstream>
#include <string>

#include "tests/ir/ir_testing.h"

namespace recurve::ir {
namespace {

TEST(Readme, ShowsATextThatPrintsAsItself) {
  std::ifstream file(RECURVE_SOURCE_DIR "/ir/README.md");
  std::stringstream stream;
  stream << file.rdbuf();
  std::string readme = stream.str();
  size_t start = readme.find("graph accumulate");
  ASSERT_NE(start, readme.npos);
  std::string text = readme.substr(start, readme.find("```", start) - start);
  EXPECT_EQ(PrintText(Read(text)), text);
}

}  // namespace
}  // namespace recurve::ir

// tests/driver/readme_test.cpp: the README's examples do what it says.
//
// Its fenced blocks are files and commands: `recurve` blocks are cell files and `c` blocks C programs whose first line
// names them, `sh` blocks are run by a shell in a folder with those files, in order. The `cpp` block is a program of
// its own (CMakeLists.txt extracts and builds it), run here in the same folder.

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

namespace recurve {
namespace {

namespace fs = std::filesystem;

struct Block {
  std::string language, text;

  // "minimal_gated.cell" of "# minimal_gated.cell: ..." and "main.c" of "/* main.c */".
  std::string FileName() const {
    std::istringstream words(text);
    std::string mark, name;
    words >> mark >> name;
    return name.ends_with(':') ? name.substr(0, name.size() - 1) : name;
  }
};

std::string Read(const fs::path& path) {
  std::ifstream stream(path);
  std::stringstream text;
  text << stream.rdbuf();
  return text.str();
}

std::vector<Block> Blocks() {
  std::istringstream lines(Read(fs::path(RECURVE_SOURCE_DIR) / "README.md"));
  std::vector<Block> blocks;
  bool inside = false;
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("```")) {
      inside = !inside;
      if (inside) blocks.push_back({line.substr(3), ""});
    } else if (inside) {
      blocks.back().text += line + "\n";
    }
  }
  return blocks;
}

class Readme : public testing::Test {
 protected:
  Readme() : folder_(fs::temp_directory_path() / fmt::format("recurve_readme_{}", getpid())) {
    fs::create_directories(folder_);
    for (const Block& block : Blocks()) {
      if (block.language == "recurve" || block.language == "c") std::ofstream(folder_ / block.FileName()) << block.text;
    }
  }
  ~Readme() override { fs::remove_all(folder_); }

  // Runs commands as a person in that folder would, with `recurve` and `cc` at hand; what they print goes to `log`.
  int Run(const std::string& commands) {
    fs::create_directories(folder_ / "bin");
    std::error_code present;
    fs::create_symlink(RECURVE_COMMAND, folder_ / "bin" / "recurve", present);
    fs::create_symlink(fs::path(RECURVE_C_COMPILER), folder_ / "bin" / "cc", present);
    std::ofstream(folder_ / "commands") << commands;
    return std::system(
        fmt::format("cd '{0}' && PATH=\"$PWD/bin:$PATH\" bash -e commands >log 2>&1 </dev/null", folder_.string())
            .c_str());
  }

  fs::path folder_;
};

TEST_F(Readme, CommandsSucceed) {
  int count = 0;
  for (const Block& block : Blocks()) {
    if (block.language != "sh") continue;
    ++count;
    EXPECT_EQ(Run(block.text), 0) << block.text << Read(folder_ / "log");
  }
  EXPECT_GE(count, 2);
  EXPECT_TRUE(fs::exists(folder_ / "wave.svg"));
}

TEST_F(Readme, TheCppProgramRuns) {
  EXPECT_EQ(Run(RECURVE_README_PROGRAM), 0) << Read(folder_ / "log");
  EXPECT_NE(Read(folder_ / "log").find("dL/dU"), std::string::npos);
}

// tests/package builds and runs that project.
TEST_F(Readme, CMakeLinesAreThoseOfTheConsumer) {
  const std::string consumer = Read(fs::path(RECURVE_SOURCE_DIR) / "tests/package/consumer/CMakeLists.txt");
  const std::vector<Block> blocks = Blocks();
  const auto block = std::ranges::find(blocks, "cmake", &Block::language);
  ASSERT_NE(block, blocks.end());
  EXPECT_NE(consumer.find(block->text), std::string::npos) << block->text;
}

TEST_F(Readme, TheFirstExampleFitsOneLook) {
  const std::vector<Block> blocks = Blocks();
  ASSERT_FALSE(blocks.empty());
  EXPECT_EQ(blocks[0].language, "recurve");
  EXPECT_LE(std::ranges::count(blocks[0].text, '\n'), 30);
}

}  // namespace
}  // namespace recurve

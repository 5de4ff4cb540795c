// tests/frontend/golden_test.cpp: every message, held by a file that shows the program and what is said about it.
//
// A golden is a program whose first line is `# ARGS: check` or `# ARGS: show ENTRY -D H=3` and whose last lines, each
// behind `#> `, are the messages. Its name begins with `fail_` iff an error is among them. With RECURVE_UPDATE_GOLDENS
// set, the files are rewritten instead.

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include "frontend/diagnostics.h"
#include "frontend/frontend.h"

namespace recurve::frontend {
namespace {

namespace fs = std::filesystem;

struct Golden {
  fs::path path;
  std::string program;   // with the `# ARGS:` line, without the messages
  std::string expected;  // the messages
};

std::vector<Golden> Goldens() {
  std::vector<Golden> goldens;
  for (const fs::directory_entry& entry : fs::directory_iterator(RECURVE_SOURCE_DIR "/tests/golden/diagnostics")) {
    if (entry.path().extension() != ".cell") continue;
    Golden golden{.path = entry.path()};
    std::ifstream file(entry.path());
    for (std::string line; std::getline(file, line);) {
      if (line.starts_with("#>")) {
        golden.expected += (line.size() > 3 ? line.substr(3) : "") + "\n";
      } else {
        golden.program += line + "\n";
      }
    }
    goldens.push_back(std::move(golden));
  }
  return goldens;
}

// Runs what the first line says and returns the messages; false in `good` when there is no product.
std::string Messages(const Golden& golden, bool* good) {
  std::istringstream words(golden.program.substr(0, golden.program.find('\n')));
  std::string hash, args, verb, entry;
  words >> hash >> args >> verb;
  EXPECT_EQ(args, "ARGS:") << golden.path;
  LoadResult loaded = Load(golden.path.filename().string(), golden.program);
  *good = loaded.program.has_value();
  if (verb == "check" || !loaded.program) return loaded.messages;
  EXPECT_EQ(verb, "show") << golden.path;
  words >> entry;
  Extents extents;
  for (std::string word; words >> word;) {
    size_t equal = word.find('=');
    if (equal != word.npos) extents[word.substr(0, equal)] = std::atoll(word.c_str() + equal + 1);
  }
  BuildResult built = Build(*loaded.program, entry, extents);
  *good = built.graph.has_value();
  return loaded.messages + built.messages;
}

void Rewrite(const Golden& golden, const std::string& messages) {
  std::ofstream file(golden.path);
  file << golden.program;
  std::istringstream lines(messages);
  for (std::string line; std::getline(lines, line);) file << (line.empty() ? "#>" : "#> " + line) << "\n";
}

TEST(DiagnosticGoldens, SayWhatTheFilesSay) {
  bool update = std::getenv("RECURVE_UPDATE_GOLDENS") != nullptr;
  for (const Golden& golden : Goldens()) {
    bool good = false;
    std::string messages = Messages(golden, &good);
    if (update) {
      Rewrite(golden, messages);
      continue;
    }
    EXPECT_EQ(messages, golden.expected) << golden.path;
    EXPECT_EQ(golden.path.filename().string().starts_with("fail_"), !good) << golden.path;
  }
}

TEST(DiagnosticGoldens, CoverEveryKind) {
  std::string all;
  for (const Golden& golden : Goldens()) all += golden.expected;
#define DIAGNOSTIC(Kind, severity, sentence) \
  EXPECT_NE(all.find("[" #Kind "]"), std::string::npos) << "no golden shows " #Kind;
#include "frontend/diagnostics.def"
}

TEST(DiagnosticGoldens, FollowTheStyleOfMessages) {
  for (const Golden& golden : Goldens()) {
    std::istringstream lines(golden.expected);
    for (std::string line; std::getline(lines, line);) {
      size_t error = line.find("error: "), warning = line.find("warning: ");
      size_t colon = std::min(error, warning);
      if (colon == line.npos || !line.ends_with(']')) continue;
      std::string message = line.substr(line.find(' ', colon) + 1);
      message = message.substr(0, message.rfind(" ["));
      EXPECT_FALSE(std::isupper(static_cast<unsigned char>(message[0]))) << line;
      EXPECT_FALSE(message.ends_with('.')) << line;
      for (const char* word : {"invalid", "illegal", "not allowed", "unexpected"}) {
        EXPECT_EQ(message.find(word), std::string::npos) << line;
      }
    }
  }
}

}  // namespace
}  // namespace recurve::frontend

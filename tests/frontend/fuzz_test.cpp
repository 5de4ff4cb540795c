// tests/frontend/fuzz_test.cpp: seeded mutations of real programs. RECURVE_FUZZ_SEED repeats one run,
// RECURVE_FUZZ_ROUNDS makes it longer.

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>

#include "frontend/library.h"
#include "tests/fuzz/parser_fuzz.h"

namespace recurve::frontend {
namespace {

unsigned Setting(const char* name, unsigned otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : static_cast<unsigned>(std::strtoul(text, nullptr, 10));
}

std::vector<std::string> Corpus() {
  std::vector<std::string> corpus;
  for (const LibraryFile& file : LibraryFiles()) corpus.emplace_back(file.text);
  for (const auto& entry : std::filesystem::directory_iterator(RECURVE_SOURCE_DIR "/tests/golden/diagnostics")) {
    std::ifstream file(entry.path());
    corpus.emplace_back(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
  }
  // The order of a directory is not the same everywhere.
  std::ranges::sort(corpus);
  return corpus;
}

// Replaces, removes or inserts pieces; most of them words of the language or pieces of another program.
std::string Mutate(std::string text, const std::vector<std::string>& corpus, std::mt19937& random) {
  constexpr const char* kWords[] = {
      "cell ", "model ",  "fn ",    "input ", "state ", "param ", "output ",  "scan ",
      "over ", "T",       "H",      "x",      "h'",     " = ",    "[",        "]",
      "(",     ")",       "{",      "}",      ":",      "..",     "@",        "^T",
      "^2",    "-",       "/",      "*",      "0",      "1e9",    "split",    "repeat r in 3 {",
      "sum",   "int",     "~",      ",",      "\n",     "'",      ".state.h", "\xE2\x82\xAC",
      "\"",    "softmax", "concat", "eye",    "from ",  "2"};
  auto below = [&](size_t n) { return n == 0 ? 0 : random() % n; };
  for (size_t edits = 1 + below(4); edits > 0; --edits) {
    size_t at = below(text.size() + 1), length = std::min(below(12), text.size() - at);
    switch (below(4)) {
      case 0: text.erase(at, length); break;
      case 1: text.insert(at, kWords[below(std::size(kWords))]); break;
      case 2: text.replace(at, length, kWords[below(std::size(kWords))]); break;
      case 3: {
        const std::string& other = corpus[below(corpus.size())];
        size_t from = below(other.size());
        text.insert(at, other.substr(from, below(40)));
        break;
      }
    }
  }
  return text;
}

TEST(FrontendFuzz, KeepsItsPromiseOnMutatedPrograms) {
  unsigned seed = Setting("RECURVE_FUZZ_SEED", 1), rounds = Setting("RECURVE_FUZZ_ROUNDS", 5000);
  std::mt19937 random(seed);
  std::vector<std::string> corpus = Corpus();
  // The programs that run into the limits are slow to be told so.
  std::erase_if(corpus, [](const std::string& text) { return text.find("in 1000") != text.npos; });
  for (unsigned round = 0; round < rounds; ++round) {
    std::string text = Mutate(corpus[random() % corpus.size()], corpus, random);
    std::string broken = BrokenPromiseOf(text);
    ASSERT_EQ(broken, "") << "seed " << seed << ", round " << round << ":\n" << text;
  }
}

TEST(FrontendFuzz, KeepsItsPromiseOnEveryPrefix) {
  for (const LibraryFile& file : LibraryFiles()) {
    for (size_t size = 0; size < file.text.size(); size += 7) {
      ASSERT_EQ(BrokenPromiseOf(file.text.substr(0, size)), "") << file.name << " up to " << size;
    }
  }
}

}  // namespace
}  // namespace recurve::frontend

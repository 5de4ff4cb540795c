// tests/project/architecture_test.cpp: the plan of the house, checked by reading the sources.
//
// Which room may include which, where LLVM may appear, what stands at the root, how a file opens.

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

namespace recurve {
namespace {

namespace fs = std::filesystem;

// The rooms, and for each the folders whose headers it may include; none named: anything.
const std::map<std::string, std::set<std::string>> kMayInclude = {
    {"ir", {"ir"}},
    {"frontend", {"frontend", "ir"}},
    {"runtime", {"runtime"}},
    {"compiler", {"compiler", "frontend", "ir", "runtime"}},
    {"tests", {}},
    {"bench", {}},
};

// Headers inside the code generator speak LLVM; all others are read without it.
bool MaySpeakLlvm(const std::string& header) {
  constexpr std::string_view kStems[] = {"emit", "lane", "descriptor", "target", "jit", "object"};
  return std::ranges::any_of(kStems, [&](std::string_view stem) {
    return header.starts_with("compiler/" + std::string(stem)) && header.find('/') == header.rfind('/');
  });
}

// What people include; nothing that they reach from here mentions LLVM.
const std::vector<std::string> kPublicHeaders = {"compiler/compile.h",  "compiler/interface.h",  "compiler/gradcheck.h",
                                                 "compiler/passes.h",   "compiler/derivative.h", "compiler/split.h",
                                                 "frontend/frontend.h", "runtime/program.h",     "runtime/trainer.h"};

const std::set<std::string> kRootNames = {
    ".ci",     ".clang-format", ".clang-tidy", ".git",  ".gitignore", "CMakeLists.txt", "CMakePresets.json",
    "LICENSE", "README.md",     "dev",         "bench", "compiler",   "frontend",       "ir",
    "runtime", "tests",
};

struct Include {
  std::string path;  // as written between the quotes or brackets
  bool quoted = false;
};

struct Source {
  std::string path;  // from the root, e.g. "ir/graph.h"
  std::string text;
  std::vector<Include> includes;

  std::string room() const { return path.substr(0, path.find('/')); }
  bool is_header() const { return path.ends_with(".h"); }
};

std::string ReadFile(const fs::path& path) {
  std::ifstream stream(path);
  std::stringstream text;
  text << stream.rdbuf();
  return text.str();
}

// All C++ sources of all rooms, read once.
const std::map<std::string, Source>& Sources() {
  static const auto* sources = [] {
    auto* result = new std::map<std::string, Source>;
    const std::regex include(R"(^#include ([<"])([^>"]+)[>"])", std::regex::multiline);
    for (const auto& [room, unused] : kMayInclude) {
      for (const auto& entry : fs::recursive_directory_iterator(fs::path(RECURVE_SOURCE_DIR) / room)) {
        if (entry.path().extension() != ".h" && entry.path().extension() != ".cpp") continue;
        Source source{.path = fs::relative(entry.path(), RECURVE_SOURCE_DIR).string(), .text = ReadFile(entry.path())};
        for (std::sregex_iterator it(source.text.begin(), source.text.end(), include), end; it != end; ++it)
          source.includes.push_back({(*it)[2], (*it)[1] == "\""});
        result->emplace(source.path, std::move(source));
      }
    }
    return result;
  }();
  return *sources;
}

bool IsLlvm(const Include& include) {
  return include.path.starts_with("llvm/") || include.path.starts_with("llvm-c/") || include.path.starts_with("lld/");
}

TEST(Architecture, EveryRoomHasSources) {
  for (const auto& [room, unused] : kMayInclude) {
    EXPECT_TRUE(std::ranges::any_of(Sources(), [&](const auto& item) { return item.second.room() == room; })) << room;
  }
}

TEST(Architecture, RoomsIncludeOnlyTheirNeighbours) {
  for (const auto& [path, source] : Sources()) {
    const auto& allowed = kMayInclude.at(source.room());
    // Examples are programs of users, wherever they stand.
    if (allowed.empty() || path.starts_with("frontend/examples/")) continue;
    for (const Include& include : source.includes) {
      if (!include.quoted) continue;
      EXPECT_TRUE(allowed.contains(include.path.substr(0, include.path.find('/'))))
          << path << " includes " << include.path;
    }
  }
}

TEST(Architecture, LlvmAppearsOnlyInTheCodeGenerator) {
  for (const auto& [path, source] : Sources()) {
    if (!std::ranges::any_of(source.includes, IsLlvm)) continue;
    bool code_generator = source.room() == "compiler" && path.find('/') == path.rfind('/');
    bool its_tests = source.room() == "tests" || source.room() == "bench";
    EXPECT_TRUE(its_tests || (code_generator && (!source.is_header() || MaySpeakLlvm(path)))) << path;
  }
}

TEST(Architecture, PublicHeadersReachNoLlvm) {
  for (const std::string& start : kPublicHeaders) {
    EXPECT_TRUE(Sources().contains(start)) << start;
    std::set<std::string> seen{start};
    std::vector<std::string> open{start};
    while (!open.empty()) {
      auto found = Sources().find(open.back());
      open.pop_back();
      if (found == Sources().end()) continue;
      for (const Include& include : found->second.includes) {
        EXPECT_FALSE(IsLlvm(include)) << start << " reaches " << include.path << " through " << found->first;
        if (include.quoted && seen.insert(include.path).second) open.push_back(include.path);
      }
    }
  }
}

TEST(Architecture, FilesOpenWithTheirNameAndPurpose) {
  for (const auto& [path, source] : Sources()) {
    // Only where its header has said all already may a source file begin with it.
    const std::string own_header = path.substr(0, path.rfind('.')) + ".h";
    bool opens = source.is_header()
                     ? source.text.starts_with("// " + path + ": ") || source.text.starts_with("/* " + path + ": ")
                     : source.text.starts_with("//") || Sources().contains(own_header);
    EXPECT_TRUE(opens) << path << " opens with `" << source.text.substr(0, source.text.find('\n')) << "`";
  }
}

TEST(Architecture, HeaderGuardsSpellThePath) {
  for (const auto& [path, source] : Sources()) {
    if (!source.is_header()) continue;
    std::string guard = "RECURVE_" + path + "_";
    std::ranges::transform(guard, guard.begin(),
                           [](unsigned char c) { return std::isalnum(c) ? std::toupper(c) : '_'; });
    EXPECT_NE(source.text.find("#ifndef " + guard + "\n#define " + guard + "\n"), std::string::npos) << path;
  }
}

TEST(Architecture, RootHoldsNothingElse) {
  for (const auto& entry : fs::directory_iterator(RECURVE_SOURCE_DIR)) {
    std::string name = entry.path().filename().string();
    if (name == "build" || name.starts_with("build-")) continue;
    EXPECT_TRUE(kRootNames.contains(name)) << name;
  }
}

TEST(Architecture, EveryRoomHasAReadme) {
  for (const auto& [room, unused] : kMayInclude) {
    EXPECT_TRUE(fs::exists(fs::path(RECURVE_SOURCE_DIR) / room / "README.md")) << room;
  }
}

TEST(Architecture, EveryDisabledLintHasItsReason) {
  std::istringstream lines(ReadFile(fs::path(RECURVE_SOURCE_DIR) / ".clang-tidy"));
  std::string line, before;
  int disabled = 0;
  for (; std::getline(lines, line); before = line) {
    if (!line.starts_with("  - '-") || line == "  - '-*'") continue;
    ++disabled;
    EXPECT_TRUE(before.starts_with("  # ") || before.starts_with("  - '-")) << line;
  }
  EXPECT_GT(disabled, 0);
}

}  // namespace
}  // namespace recurve

// tests/driver/cache_test.cpp: programs kept on disk: found again, told apart, damaged, fought over, bounded.
//
// The tests of this project run with the cache off (tests/support/no_cache.cpp); here each has a folder of its own.

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <set>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "compiler/compile.h"
#include "compiler/compile_key.h"
#include "compiler/object_cache.h"
#include "frontend/frontend.h"
#include "runtime/session.h"

namespace recurve {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kSource = R"(
cell leaky(H) {
  input x: [H]
  state h: [H]
  param U: [H, H] ~ uniform(-1, 1)
  h' = 0.5 * h + tanh(U @ h + x)
  output h'
})";
const CompileOptions kOptions{.entries = {"forward"}};

// A cache of the user's in a folder of the test's own.
class Cache : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "recurve_cache_XXXXXX").string();
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
    setenv("RECURVE_CACHE_DIR", (folder_ / "cache").c_str(), 1);
    unsetenv("RECURVE_CACHE");
  }
  void TearDown() override {
    unsetenv("RECURVE_CACHE_DIR");
    setenv("RECURVE_CACHE", "off", 1);
    fs::permissions(folder_, fs::perms::owner_all);
    fs::remove_all(folder_);
  }

  static ObjectCache Users() { return ObjectCache::OfUser(); }
  static std::string Key(const CompileOptions& options = kOptions) {
    return KeyOfText(kSource, "leaky", {{"H", 8}}, options);
  }
  // The file of the one program that is kept.
  fs::path OnlyFile() const {
    std::vector<fs::path> files;
    for (const auto& entry : fs::directory_iterator(folder_ / "cache")) files.push_back(entry.path());
    EXPECT_EQ(files.size(), 1U);
    return files.empty() ? fs::path() : files[0];
  }

  fs::path folder_;
};

// What the program computes from fixed numbers.
std::vector<float> Outputs(const std::expected<Program, Error>& program) {
  if (!program) {
    ADD_FAILURE() << program.error().message;
    return {};
  }
  Session session(*program);
  EXPECT_TRUE(session.SetExtent("T", 3));
  EXPECT_TRUE(session.SetExtent("B", 2));
  EXPECT_TRUE(session.Initialize(1));
  std::ranges::fill(*session.Tensor<float>("x"), 0.5f);
  EXPECT_TRUE(session.Forward());
  auto y = session.Tensor<float>("y");
  if (!y) {
    ADD_FAILURE() << y.error().message;
    return {};
  }
  return {y->begin(), y->end()};
}

std::expected<Program, Error> CompileLeaky() { return Compile(kSource, "leaky", {{"H", 8}}, kOptions); }

std::string Read(const fs::path& path) {
  std::ifstream stream(path, std::ios::binary);
  std::stringstream text;
  text << stream.rdbuf();
  return text.str();
}
void Write(const fs::path& path, std::string_view text) { std::ofstream(path, std::ios::binary) << text; }

TEST_F(Cache, ASecondCompilationLoadsWhatTheFirstKept) {
  const std::vector<float> first = Outputs(CompileLeaky());
  const auto kept = Users().Find(Key());
  ASSERT_TRUE(kept);
  EXPECT_EQ(kept->name, "leaky");
  EXPECT_EQ(Outputs(CompileLeaky()), first);
  // That it is what runs: another program's code under this key computes something else.
  std::string other(kSource);
  other.replace(other.find("0.5"), 3, "0.7");
  const std::vector<float> others = Outputs(Compile(other, "leaky", {{"H", 8}}, kOptions));
  const auto other_kept = Users().Find(KeyOfText(other, "leaky", {{"H", 8}}, kOptions));
  ASSERT_TRUE(other_kept);
  Users().Store(Key(), *other_kept);
  EXPECT_NE(others, first);
  EXPECT_EQ(Outputs(CompileLeaky()), others);
}

TEST_F(Cache, AGraphHasItsPlaceToo) {
  frontend::LoadResult loaded = frontend::Load("leaky.cell", kSource);
  ASSERT_TRUE(loaded.program) << loaded.messages;
  frontend::BuildResult built = frontend::Build(*loaded.program, "leaky", {{"H", 8}});
  ASSERT_TRUE(built.graph) << built.messages;
  const std::vector<float> first = Outputs(CompileToMemory(*built.graph, kOptions));
  EXPECT_TRUE(Users().Find(KeyOfGraph(*built.graph, kOptions)));
  EXPECT_EQ(Outputs(CompileToMemory(*built.graph, kOptions)), first);
  EXPECT_EQ(Users().Usage().programs, 1U);
}

TEST_F(Cache, WhateverChangesTheCodeChangesTheKey) {
  using Extents = std::map<std::string, int64_t, std::less<>>;
  const Extents extents{{"H", 8}};
  std::vector<std::string> keys{
      KeyOfText(kSource, "leaky", extents, {}),
      KeyOfText(std::string(kSource) + " ", "leaky", extents, {}),
      KeyOfText(kSource, "leaky2", extents, {}),
      KeyOfText(kSource, "leaky", {{"H", 9}}, {}),
      KeyOfText(kSource, "leaky", {{"I", 8}}, {}),
      KeyOfText(kSource, "leaky", extents, {.precision = Precision::kF64}),
      KeyOfText(kSource, "leaky", extents, {.store = Storage::kBf16}),
      KeyOfText(kSource, "leaky", extents, {.target = {.triple = "x"}}),
      KeyOfText(kSource, "leaky", extents, {.target = {.cpu = "x"}}),
      KeyOfText(kSource, "leaky", extents, {.target = {.features = "x"}}),
      KeyOfText(kSource, "leaky", extents, {.wrt = {"U"}}),
      KeyOfText(kSource, "leaky", extents, {.wrt = {"U", "x"}}),
      KeyOfText(kSource, "leaky", extents, {.gradients = false}),
      KeyOfText(kSource, "leaky", extents, {.entries = {"U"}}),
      KeyOfText(kSource, "leaky", extents, {.plan = {.chunk_rows = 7}}),
      KeyOfText(kSource, "leaky", extents, {.extents = {{"H", 8}}}),
  };
  EXPECT_EQ(std::set(keys.begin(), keys.end()).size(), keys.size());
  EXPECT_EQ(KeyOfText(kSource, "leaky", extents, {.cache = false}), keys[0]);
  EXPECT_EQ(keys[0].size(), 64U);
}

TEST_F(Cache, IsNotTouchedWhenOff) {
  ASSERT_TRUE(Compile(kSource, "leaky", {{"H", 8}}, {.entries = {"forward"}, .cache = false}));
  EXPECT_FALSE(fs::exists(folder_ / "cache"));
  setenv("RECURVE_CACHE", "off", 1);
  ASSERT_TRUE(CompileLeaky());
  EXPECT_FALSE(fs::exists(folder_ / "cache"));
}

TEST_F(Cache, StandsWhereTheEnvironmentSays) {
  EXPECT_EQ(Users().folder(), folder_ / "cache");
  unsetenv("RECURVE_CACHE_DIR");
  const char* home = std::getenv("HOME");
  const std::string old_home = home == nullptr ? "" : home;
  const char* xdg = std::getenv("XDG_CACHE_HOME");
  const std::string old_xdg = xdg == nullptr ? "" : xdg;
  setenv("XDG_CACHE_HOME", "/x", 1);
  EXPECT_EQ(Users().folder(), "/x/recurve");
  unsetenv("XDG_CACHE_HOME");
  setenv("HOME", "/h", 1);
  EXPECT_EQ(Users().folder(), "/h/.cache/recurve");
  unsetenv("HOME");
  EXPECT_FALSE(Users().is_on());
  if (home != nullptr) setenv("HOME", old_home.c_str(), 1);
  if (xdg != nullptr) setenv("XDG_CACHE_HOME", old_xdg.c_str(), 1);
}

TEST_F(Cache, ADamagedFileIsAMissAndIsReplaced) {
  const std::vector<float> first = Outputs(CompileLeaky());
  const fs::path file = OnlyFile();
  const std::string whole = Read(file);
  std::vector<std::string> damaged{"", "x", whole.substr(0, 20), whole.substr(0, whole.size() - 1), whole + "x"};
  for (size_t place : {size_t{0}, size_t{9}, size_t{41}, size_t{49}, whole.size() / 2, whole.size() - 1}) {
    damaged.push_back(whole);
    damaged.back()[place] ^= 1;
  }
  for (const std::string& bytes : damaged) {
    Write(file, bytes);
    EXPECT_FALSE(Users().Find(Key()));
    EXPECT_EQ(Outputs(CompileLeaky()), first);
    EXPECT_EQ(Read(file), whole);
  }
}

// What the clock chose is found by the next process, which need not look at it.
TEST_F(Cache, WhatWasTunedIsKept) {
  CompileOptions tuned = kOptions;
  tuned.tuning = {.sizes = {{"T", 3}, {"B", 2}}, .threads = 1};
  EXPECT_EQ(Outputs(Compile(kSource, "leaky", {{"H", 8}}, tuned)), Outputs(CompileLeaky()));
  EXPECT_TRUE(Users().Find(Key(tuned)));
  EXPECT_NE(Key(tuned), Key());
}

TEST_F(Cache, AFileUnderAnotherNameIsAMiss) {
  ASSERT_TRUE(CompileLeaky());
  const std::string other = Key({.precision = Precision::kF64});
  fs::copy_file(OnlyFile(), folder_ / "cache" / (other + ".object"));
  EXPECT_FALSE(Users().Find(other));
}

TEST_F(Cache, WhatDoesNotLoadIsMadeAnew) {
  const std::vector<float> first = Outputs(CompileLeaky());
  Users().Store(Key(), {"leaky", {"no object at all"}});
  EXPECT_EQ(Outputs(CompileLeaky()), first);
  EXPECT_NE(Users().Find(Key())->objects.front(), "no object at all");
}

TEST_F(Cache, MistakesAreNotKept) {
  EXPECT_FALSE(Compile("cell leaky(H) {", "leaky", {{"H", 8}}));
  EXPECT_EQ(Users().Usage().programs, 0U);
}

TEST_F(Cache, WorksWithoutAFolderThatItMayWrite) {
  Write(folder_ / "file", "");
  setenv("RECURVE_CACHE_DIR", (folder_ / "file" / "cache").c_str(), 1);
  EXPECT_FALSE(Outputs(CompileLeaky()).empty());
  setenv("RECURVE_CACHE_DIR", "/proc/recurve", 1);
  EXPECT_FALSE(Outputs(CompileLeaky()).empty());
  fs::create_directory(folder_ / "read_only");
  fs::permissions(folder_ / "read_only", fs::perms::owner_read | fs::perms::owner_exec);
  setenv("RECURVE_CACHE_DIR", (folder_ / "read_only").c_str(), 1);
  EXPECT_FALSE(Outputs(CompileLeaky()).empty());
}

TEST_F(Cache, RunsNoCodeFromAFolderThatEverybodyMayWrite) {
  ASSERT_TRUE(CompileLeaky());
  ASSERT_TRUE(Users().Find(Key()));
  fs::permissions(folder_ / "cache", fs::perms::all);
  EXPECT_FALSE(Users().Find(Key()));
  fs::permissions(folder_ / "cache", fs::perms::owner_all);
  EXPECT_TRUE(Users().Find(Key()));
}

TEST_F(Cache, TheLongestUnusedGoFirst) {
  const std::string object(1000, 'o');
  const ObjectCache cache((folder_ / "small").string(), 3500);
  const auto age = [&](const std::string& key, int hours) {
    fs::last_write_time(folder_ / "small" / (key + ".object"),
                        fs::file_time_type::clock::now() - std::chrono::hours(hours));
  };
  for (const std::string key : {"a", "b", "c"}) {
    cache.Store(key, {"name", {object}});
    age(key, key == "a" ? 9 : key == "b" ? 8 : 7);
  }
  Write(folder_ / "small" / "notes.txt", std::string(9000, 'x'));  // no business of the cache's
  EXPECT_TRUE(cache.Find("a"));                                    // now `b` is the oldest
  cache.Store("d", {"name", {object}});
  EXPECT_FALSE(cache.Find("b"));
  for (const std::string key : {"a", "c", "d"}) EXPECT_TRUE(cache.Find(key)) << key;
  EXPECT_LE(cache.Usage().bytes, 3500U);
  cache.Clear();
  EXPECT_EQ(cache.Usage().programs, 0U);
  EXPECT_TRUE(fs::exists(folder_ / "small" / "notes.txt"));
}

TEST_F(Cache, AbandonedFilesAreRemoved) {
  fs::create_directories(folder_ / "cache");
  const fs::path old = folder_ / "cache" / "k.object.1.1.tmp", young = folder_ / "cache" / "k.object.2.1.tmp";
  Write(old, "x");
  Write(young, "x");
  fs::last_write_time(old, fs::file_time_type::clock::now() - std::chrono::hours(5));
  Users().Store("k", {"name", {"object"}});
  EXPECT_FALSE(fs::exists(old));
  EXPECT_TRUE(fs::exists(young));
}

// Readers and writers of one key, in several processes and threads: whoever finds something finds all of it.
TEST_F(Cache, WritersDoNotDisturbReaders) {
  const ObjectCache cache = Users();
  const KeptProgram contents[] = {{"first", {std::string(200'000, 'a'), "b"}}, {"second", {std::string(100'000, 'c')}}};
  cache.Store("key", contents[0]);
  const auto work = [&](int who) {
    for (int round = 0; round < 100; ++round) {
      cache.Store("key", contents[(who + round) % 2]);
      const auto found = cache.Find("key");
      if (!found || (*found != contents[0] && *found != contents[1])) return false;
    }
    return true;
  };
  std::vector<pid_t> children;
  for (int child = 0; child < 2; ++child) {
    const pid_t pid = fork();
    ASSERT_GE(pid, 0);
    if (pid == 0) _exit(work(child) ? 0 : 1);
    children.push_back(pid);
  }
  bool fine[2];
  std::thread threads[] = {std::thread([&] { fine[0] = work(0); }), std::thread([&] { fine[1] = work(1); })};
  for (std::thread& thread : threads) thread.join();
  EXPECT_TRUE(fine[0] && fine[1]);
  for (pid_t pid : children) {
    int status = 0;
    ASSERT_EQ(waitpid(pid, &status, 0), pid);
    EXPECT_EQ(status, 0);
  }
}

// Two fresh processes compile one program at once, and a third finds it.
TEST_F(Cache, ProcessesCompileAtOnce) {
  const std::vector<float> expected =
      Outputs(Compile(kSource, "leaky", {{"H", 8}}, {.entries = {"forward"}, .cache = false}));
  std::vector<pid_t> children;
  for (int child = 0; child < 2; ++child) {
    const pid_t pid = fork();
    ASSERT_GE(pid, 0);
    if (pid == 0) _exit(Outputs(CompileLeaky()) == expected ? 0 : 1);
    children.push_back(pid);
  }
  for (pid_t pid : children) {
    int status = 0;
    ASSERT_EQ(waitpid(pid, &status, 0), pid);
    EXPECT_EQ(status, 0);
  }
  EXPECT_TRUE(Users().Find(Key()));
  EXPECT_EQ(Users().Usage().programs, 1U);
}

}  // namespace
}  // namespace recurve

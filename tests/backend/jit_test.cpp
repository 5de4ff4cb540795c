// tests/backend/jit_test.cpp: code loaded into this process: called, shared, dropped, refused.

#include "compiler/jit.h"

#include <gtest/gtest.h>

#include <array>
#include <string>
#include <thread>
#include <vector>

#include "compiler/object.h"
#include "tests/backend/scale_program.h"

namespace recurve {
namespace {

using Row = std::array<float, 4>;

// Calls pack and forward on one row.
Row Scale(const recurve_program& program, const Row& x, const Row& W) {
  Row packed{}, y{}, tape{1, 1, 1, 1}, workspace{};
  const void* pack_slots[] = {&W, &packed};
  program.entries[0].run(pack_slots);
  const void* slots[] = {reinterpret_cast<const void*>(size_t{1}), &x, &packed, &y, &tape, &workspace, nullptr};
  program.entries[1].run(slots);
  EXPECT_EQ(tape, Row{});
  EXPECT_EQ(workspace, x);
  return y;
}

LoadedCode JitScale(const std::string& name, double factor) {
  Target target = TargetOrDie();
  ProgramInterface interface = ScaleInterface(target, name);
  auto code = Jit(*ScaleModule(interface, target, factor).module, interface, target);
  if (!code) ADD_FAILURE() << code.error().message;
  return code ? *code : LoadedCode{};
}

TEST(Jit, RunsAProgram) {
  LoadedCode code = JitScale("scale", 1);
  ASSERT_NE(code.program, nullptr);
  EXPECT_EQ(Scale(*code.program, {1, 2, 3, 4}, {10, 20, 30, 40}), (Row{10, 40, 90, 160}));
}

TEST(Jit, ProgramsOfOneNameLiveTogether) {
  LoadedCode first = JitScale("scale", 2), second = JitScale("scale", 3);
  EXPECT_EQ(Scale(*first.program, {1, 1, 1, 1}, {1, 2, 3, 4}), (Row{2, 4, 6, 8}));
  EXPECT_EQ(Scale(*second.program, {1, 1, 1, 1}, {1, 2, 3, 4}), (Row{3, 6, 9, 12}));
}

TEST(Jit, CodeLivesAsLongAsItsLastCopy) {
  LoadedCode copy;
  {
    LoadedCode code = JitScale("scale", 2);
    copy = code;
  }
  EXPECT_EQ(copy.keep_alive.use_count(), 1);
  EXPECT_EQ(Scale(*copy.program, {1, 2, 3, 4}, {1, 1, 1, 1}), (Row{2, 4, 6, 8}));
}

TEST(Jit, CompilesAndRunsInManyThreads) {
  std::vector<Row> results(8);
  std::vector<std::thread> threads;
  for (size_t i = 0; i < results.size(); ++i) {
    threads.emplace_back([&, i] {
      LoadedCode code = JitScale("scale" + std::to_string(i), static_cast<double>(i));
      if (code.program != nullptr) results[i] = Scale(*code.program, {1, 2, 3, 4}, {1, 1, 1, 1});
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (size_t i = 0; i < results.size(); ++i) {
    float factor = static_cast<float>(i);
    EXPECT_EQ(results[i], (Row{factor, 2 * factor, 3 * factor, 4 * factor})) << i;
  }
}

TEST(Jit, OneTargetServesManyThreads) {
  Target target = TargetOrDie();
  ProgramInterface interface = ScaleInterface(target);
  std::vector<std::string> objects(8);
  std::vector<std::thread> threads;
  for (std::string& object : objects) {
    threads.emplace_back([&] { object = CompileObject(*ScaleModule(interface, target).module, target).value_or(""); });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_GT(objects[0].size(), 0U);
  for (const std::string& object : objects) EXPECT_EQ(object, objects[0]);
}

TEST(Jit, ManyThreadsCallOneProgram) {
  LoadedCode code = JitScale("scale", 1);
  ASSERT_NE(code.program, nullptr);
  std::vector<Row> results(8);
  std::vector<std::thread> threads;
  for (size_t i = 0; i < results.size(); ++i) {
    threads.emplace_back([&, i] {
      for (int repeat = 0; repeat < 1000; ++repeat) {
        float scale = static_cast<float>(i);
        results[i] = Scale(*code.program, {scale, scale, scale, scale}, {1, 2, 3, 4});
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (size_t i = 0; i < results.size(); ++i) EXPECT_EQ(results[i][3], 4 * static_cast<float>(i));
}

TEST(Jit, LoadsAnObjectThatWasKept) {
  Target target = TargetOrDie();
  ProgramInterface interface = ScaleInterface(target);
  auto object = CompileObject(*ScaleModule(interface, target).module, target);
  ASSERT_TRUE(object) << object.error().message;
  auto code = LoadObject(*object, interface.name);
  ASSERT_TRUE(code) << code.error().message;
  object->assign(object->size(), '\0');  // the code is a copy
  EXPECT_EQ(Scale(*code->program, {1, 2, 3, 4}, {10, 20, 30, 40}), (Row{10, 40, 90, 160}));
}

TEST(Jit, RefusesAForeignTarget) {
  std::string foreign = TargetOrDie().triple().starts_with("aarch64") ? "x86_64-linux-gnu" : "aarch64-linux-gnu";
  Target target = TargetOrDie({.triple = foreign});
  ProgramInterface interface = ScaleInterface(target);
  auto code = Jit(*ScaleModule(interface, target).module, interface, target);
  ASSERT_FALSE(code);
  EXPECT_TRUE(code.error().message.starts_with("cannot run code for")) << code.error().message;
}

TEST(Jit, RefusesWhatAnObjectRefuses) {
  Target target = TargetOrDie();
  ProgramInterface interface = ScaleInterface(target);
  interface.entries.push_back({.name = "backward", .slots = {}});
  auto code = Jit(*ScaleModule(interface, target).module, interface, target);
  ASSERT_FALSE(code);
  EXPECT_NE(code.error().message.find("`scale_backward`"), std::string::npos) << code.error().message;
}

TEST(Jit, RefusesAnObjectWithoutThatProgram) {
  Target target = TargetOrDie();
  auto object = CompileObject(*ScaleModule(ScaleInterface(target), target).module, target);
  ASSERT_TRUE(object) << object.error().message;
  auto code = LoadObject(*object, "other");
  ASSERT_FALSE(code);
  EXPECT_NE(code.error().message.find("other_program"), std::string::npos) << code.error().message;
}

TEST(Jit, RefusesWhatIsNoObject) {
  for (std::string_view bytes : {"",
                                 "\x7f"
                                 "ELF",
                                 "hello"})
    EXPECT_FALSE(LoadObject(bytes, "scale"));
}

TEST(Jit, RefusesAnObjectThatIsCutShort) {
  Target target = TargetOrDie();
  ProgramInterface interface = ScaleInterface(target);
  auto object = CompileObject(*ScaleModule(interface, target).module, target);
  ASSERT_TRUE(object) << object.error().message;
  EXPECT_FALSE(LoadObject(std::string_view(*object).substr(0, object->size() / 2), interface.name));
}

}  // namespace
}  // namespace recurve

// tests/targets/versions_test.cpp: an object for several levels of x86-64 runs the best one that a processor has.
//
// A C program prints what a run sizes and computes, to the last bit. Levels differ in both, so that the object's output
// on an emulated processor must be that of the object for its level alone.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <string>

#include "compiler/compile.h"
#include "compiler/versions.h"
#include "tests/support/commands.h"
#include "tests/support/graph_of.h"

namespace recurve {
namespace {

constexpr const char* kSource =
    "model versions(I, H) {\n  input x: [I] over T\n  h = scan lstm(H=H) over x\n  output h\n}\n";

constexpr const char* kMain = R"(
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "versions.h"

enum { T = 4, B = 2, I = 6, H = 18 };
static float W[4 * H * I], U[4 * H * H], b[4 * H], x[T * B * I], h[T * B * H], W_adj[4 * H * I];

static void fill(float *a, size_t count, int seed) {
  for (size_t i = 0; i < count; ++i) a[i] = (float)((int)(i * 7 + seed) % 13 - 6) / 17;
}

int main(void) {
  void *packed = aligned_alloc(64, VERSIONS_PACKED_BYTES), *tape = aligned_alloc(64, versions_tape_bytes(T, B));
  void *workspace = aligned_alloc(64, versions_workspace_bytes(T, B));
  struct versions_pack_args pack = {.h_W = W, .h_U = U, .h_b = b, .packed = packed, .workspace = workspace};
  struct versions_forward_args forward = {.T = T, .B = B, .x = x, .h_b = b, .h = h, .packed = packed, .tape = tape,
                                          .workspace = workspace};
  struct versions_backward_args backward = {.T = T, .B = B, .x = x, .h_adj = h, .h_W_adj = W_adj, .packed = packed,
                                            .tape = tape, .workspace = workspace};
  float zeros[B * H] = {0};
  size_t own[2] = {T, B};
  fill(W, 4 * H * I, 1); fill(U, 4 * H * H, 2); fill(b, 4 * H, 3); fill(x, T * B * I, 4);
  forward.h_h0 = forward.h_c0 = zeros;
  versions_pack(&pack);
  versions_forward(&forward);
  versions_backward(&backward);
  for (size_t i = 0; i < T * B * H; ++i) printf("%a\n", h[i]);
  for (size_t i = 0; i < 4 * H * I; ++i) printf("%a\n", W_adj[i]);
  printf("%zu %zu\n", versions_forward_workspace_bytes(own), versions_backward_workspace_bytes(own));
  return 0;
}
)";

std::string Output(const std::string& command) {
  const Outcome outcome = Shell(command);
  return outcome.output + (outcome.exit_code != 0 ? "FAILED" : "");
}

class Versions : public testing::Test {
 protected:
  void SetUp() override { folder_.Write("main.c", kMain); }

  // The program with the object for `levels`; empty if there is none.
  std::string Build(const std::string& levels, const std::string& flags = "", bool position_independent = true) {
    const CompileOptions options{.target = {.triple = levels, .position_independent = position_independent}};
    auto artifacts = CompileToObject(GraphOf(kSource, "versions", {{"I", 6}, {"H", 18}}), options);
    EXPECT_TRUE(artifacts) << artifacts.error().message;
    if (!artifacts) return "";
    EXPECT_GT(artifacts->report.stack_bytes.at("versions_forward"), 0u);
    folder_.Write("versions.o", artifacts->object);
    folder_.Write("versions.h", artifacts->header);
    const std::string program = fmt::format("{}/program_{}", folder_.path().string(), ++programs_);
    EXPECT_EQ(
        folder_.Run(fmt::format("clang-22 --target=x86_64-linux-gnu -O1 {} main.c versions.o -o {}", flags, program)),
        "");
    return program;
  }

  Folder folder_;
  int programs_ = 0;
};

#ifdef __x86_64__

TEST_F(Versions, TheBestThatTheProcessorHasRuns) {
  const std::string all = Build("x86-64-v4,x86-64-v2,x86-64-v3");
  const std::string nehalem = "qemu-x86_64 -cpu Nehalem ", haswell = "qemu-x86_64 -cpu Haswell ";
  const std::string of_v2 = Output(Build("x86-64-v2"));
  const std::string of_v3 = Output(haswell + Build("x86-64-v3"));
  ASSERT_TRUE(of_v2 != of_v3) << "levels must differ for this test to see anything";
  EXPECT_TRUE(Output(nehalem + all) == of_v2);
  EXPECT_TRUE(Output(haswell + all) == of_v3);
  if (__builtin_cpu_supports("x86-64-v4")) {
    const std::string of_v4 = Output(Build("x86-64-v4"));
    ASSERT_TRUE(of_v3 != of_v4);
    EXPECT_TRUE(Output(all) == of_v4);
  } else if (__builtin_cpu_supports("x86-64-v3")) {
    EXPECT_TRUE(Output(all) == of_v3);
  }
}

// Addresses of the functions are known to the loader in all the ways in which programs are linked.
TEST_F(Versions, AreFoundHoweverTheProgramIsLinked) {
  const std::string haswell = "qemu-x86_64 -cpu Haswell ";
  const std::string expected = Output(haswell + Build("x86-64-v2,x86-64-v3"));
  EXPECT_EQ(expected.find("FAILED"), std::string::npos);
  struct Way {
    const char* flags;
    bool position_independent;
  };
  for (const Way& way : {Way{"-no-pie", false}, Way{"-static", false}, Way{"-fpie -pie -Wl,-z,now", true},
                         Way{"-static-pie -fpie", true}, Way{"-fuse-ld=lld", true}}) {
    const std::string program = Build("x86-64-v2,x86-64-v3", way.flags, way.position_independent);
    EXPECT_TRUE(Output(haswell + program) == expected) << way.flags;
  }
}

#endif

TEST_F(Versions, AreChosenByTheNamesOfLevels) {
  auto message = [](const TargetSpec& spec) { return VersionsOf(spec).error().message; };
  EXPECT_EQ(message({"x86-64-v2,haswell"}),
            "`haswell` is no level of x86-64, of which there are x86-64, x86-64-v2, x86-64-v3, x86-64-v4");
  EXPECT_EQ(message({"x86-64-v3,x86-64-v3"}), "`x86-64-v3` comes twice");
  EXPECT_EQ(message({"x86-64-v3", "znver4"}),
            "`x86-64-v3` says which processor it is for; cpu `znver4` is one too many");
  const auto versions = VersionsOf({.triple = "x86-64-v4,x86-64"});
  ASSERT_TRUE(versions);
  ASSERT_EQ(versions->size(), 2u);
  EXPECT_EQ((*versions)[0].cpu, "x86-64");
  EXPECT_EQ((*versions)[1].cpu, "x86-64-v4");
}

}  // namespace
}  // namespace recurve

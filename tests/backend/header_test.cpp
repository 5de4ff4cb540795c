// tests/backend/header_test.cpp: the generated header under every C and C++ compiler of this machine.

#include "compiler/header.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <string>

#include "compiler/object.h"
#include "tests/backend/scale_program.h"
#include "tests/support/commands.h"

namespace recurve {
namespace {

constexpr std::string_view kCWarnings = "-std=c99 -Wall -Wextra -Werror -pedantic -Wstrict-prototypes -Wshadow";
constexpr std::string_view kCxxWarnings = "-Wall -Wextra -Werror -pedantic -Wshadow";

// A header with every kind of slot, with names that C does not take as they are.
ProgramInterface AwkwardInterface() {
  const ir::Dim T("T"), B("B");
  ir::Init normal{ir::Init::Kind::kNormal, 0, 0.02};
  EntryInterface forward{"forward",
                         {{.name = "T", .kind = RECURVE_SLOT_EXTENT},
                          {.name = "B", .kind = RECURVE_SLOT_EXTENT},
                          {.name = "tokens", .is_index = true, .shape = {T, B}, .classes = 32},
                          {.name = "class", .shape = {T, B, 3}},
                          {.name = "a.b", .kind = RECURVE_SLOT_PARAMETER, .shape = {3, 4}, .init = normal},
                          {.name = "a_b", .kind = RECURVE_SLOT_CONSTANT, .shape = {}},
                          {.name = "1.h", .kind = RECURVE_SLOT_STATE, .shape = {B, 4}},
                          {.name = "h'", .kind = RECURVE_SLOT_OUTPUT, .shape = {B, 4}},
                          {.name = "h*/", .kind = RECURVE_SLOT_OUTPUT, .shape = {B, 4}},
                          {.name = "packed", .kind = RECURVE_SLOT_PACKED},
                          {.name = "tape", .kind = RECURVE_SLOT_TAPE},
                          {.name = "workspace", .kind = RECURVE_SLOT_WORKSPACE},
                          {.name = "team", .kind = RECURVE_SLOT_TEAM}}};
  EntryInterface backward{"backward",
                          {{.name = "y_adj", .kind = RECURVE_SLOT_ADJOINT, .shape = {T, B, 4}},
                           {.name = "tape", .kind = RECURVE_SLOT_TAPE},
                           {.name = "workspace", .kind = RECURVE_SLOT_WORKSPACE}}};
  EntryInterface step{"step", {{.name = "h", .kind = RECURVE_SLOT_STATE, .shape = {4}}}};
  return {.name = "my-net",
          .target = "here /* and */ there",
          .precision = Precision::kF64,
          .axes = {"T", "B"},
          .packed_bytes = 100,
          .has_tape = true,
          .entries = {forward, backward, step},
          .extents = {{"H", 4}, {"program", 7}}};
}

void ExpectCompilesEverywhere(const Folder& folder, std::string_view file, std::string_view options = "") {
  for (const std::string& compiler : CCompilers()) {
    EXPECT_EQ(folder.Run(fmt::format("{} {} {} -x c -fsyntax-only {}", compiler, kCWarnings, options, file)), "");
  }
  for (const std::string& compiler : CxxCompilers()) {
    for (const char* standard : {"c++98", "c++23"}) {
      // The oldest and the newest; <stdint.h> uses long long, which C++98 has not.
      EXPECT_EQ(folder.Run(fmt::format("{} -std={} {} -Wno-long-long {} -x c++ -fsyntax-only {}", compiler, standard,
                                       kCxxWarnings, options, file)),
                "");
    }
  }
}

TEST(Header, CompilesAloneAndTwice) {
  Folder folder;
  folder.Write("net.h", CHeader(AwkwardInterface()));
  folder.Write("use.c", "#include \"net.h\"\n#include \"net.h\"\nextern int unused;\n");
  ExpectCompilesEverywhere(folder, "use.c");
}

TEST(Header, CompilesBesideTheAbiAndOtherPrograms) {
  Folder folder;
  folder.Write("net.h", CHeader(AwkwardInterface()));
  folder.Write("scale.h", CHeader(ScaleInterface(TargetOrDie())));
  folder.Write("before.c", "#include \"runtime/abi.h\"\n#include \"net.h\"\n#include \"scale.h\"\n");
  folder.Write("after.c", "#include \"scale.h\"\n#include \"net.h\"\n#include \"runtime/abi.h\"\n");
  for (const char* file : {"before.c", "after.c"}) {
    ExpectCompilesEverywhere(folder, file, fmt::format("-I{}", RECURVE_SOURCE_DIR));
  }
}

TEST(Header, GivesEachSlotAMemberInOrder) {
  std::string header = CHeader(AwkwardInterface());
  size_t at = 0;
  for (const char* declaration :
       {"struct my_net_forward_args {", "size_t T;", "size_t B;", "const int32_t *tokens;", "const double *class_;",
        "const double *a_b;", "const double *a_b_2;", "const double *_1_h;", "double *h_;", "double *h__;",
        "const void *packed;", "void *tape;", "void *workspace;", "const struct recurve_team *team;",
        "void my_net_forward(const struct my_net_forward_args *args);"}) {
    size_t found = header.find(declaration, at);
    ASSERT_NE(found, std::string::npos) << declaration << " in\n" << header;
    at = found;
  }
}

TEST(Header, TellsShapesSizesAndDistributions) {
  std::string header = CHeader(AwkwardInterface());
  for (const char* phrase : {
           "[T, B], each in [0, 32): input",                           // an index slot
           "[T, B, 4]: gradient of the loss by this output, or null",  // an adjoint
           "MY_NET_PACKED_BYTES: made by my_net_pack",                 // packed, read
           "#define MY_NET_PACKED_BYTES 128u",                         // padded for aligned_alloc
           "my_net_tape_bytes(T, B): overwritten",                     // the tape that forward writes
           "const void *tape;",                                        // the tape that backward reads
           "double *h; ",                                              // the state that step overwrites
           "a.b  [3, 4]            normal, mean 0, deviation 0.02",    // the table of parameters
           "a_b  scalar            0; never trained",                  // a constant parameter
           "my_net_H = 4,",                                            // an extent
           "my_net_program_2 = 7\n",                                   // one whose name the descriptor has
           "extern const struct recurve_program my_net_program;",      // the descriptor
       }) {
    EXPECT_NE(header.find(phrase), std::string::npos) << phrase << " in\n" << header;
  }
}

TEST(Header, IsTheSameTextEachTime) { EXPECT_EQ(CHeader(AwkwardInterface()), CHeader(AwkwardInterface())); }

TEST(Header, CompilesWithoutAxesWorkspaceOrTape) {
  ProgramInterface bare{.name = "bare", .target = "here"};
  bare.entries.push_back({"forward", {{.name = "y", .kind = RECURVE_SLOT_OUTPUT, .shape = {2}}}});
  ProgramInterface fixed = bare;
  fixed.name = "fixed";
  fixed.has_tape = true;
  fixed.entries[0].slots.push_back({.name = "workspace", .kind = RECURVE_SLOT_WORKSPACE});
  Folder folder;
  folder.Write("bare.h", CHeader(bare));
  folder.Write("fixed.h", CHeader(fixed));
  folder.Write("use.c", "#include \"bare.h\"\n#include \"fixed.h\"\n");
  ExpectCompilesEverywhere(folder, "use.c");
}

// The code in the comment on top of the header.
std::string Example(const std::string& header) {
  std::string code;
  size_t start = header.find("Example"), end = header.find("Parameters, with");
  for (size_t at = header.find("\n *     ", start); at < end; at = header.find("\n *     ", at + 1)) {
    code += header.substr(at + 3, header.find('\n', at + 1) - at - 3) + "\n";
  }
  return code;
}

constexpr std::string_view kMain = R"(
#include "scale.h"
#include <stdio.h>
#include <stdlib.h>

int main(void) {{
  static const float x[] = {{1, 2, 3, 4}}, W[] = {{10, 20, 30, 40}};
  float y[scale_N];
{}
  printf("%g %g %g %g", y[0], y[1], y[2], y[3]);
  free(packed);
  free(tape);
  free(workspace);
  return 0;
}}
)";

// Linked and run by each pair of C compiler and language; the program's code is the header's own example.
TEST(Header, ItsExampleRunsWithTheObject) {
  Target target = TargetOrDie();
  ProgramInterface interface = ScaleInterface(target);
  auto object = CompileObject(*ScaleModule(interface, target).module, target);
  ASSERT_TRUE(object) << object.error().message;
  Folder folder;
  folder.Write("scale.o", *object);
  folder.Write("scale.h", CHeader(interface));
  folder.Write("main.c", fmt::format(kMain, Example(CHeader(interface))));
  for (const std::string& compiler : CCompilers()) {
    // aligned_alloc is of C11.
    EXPECT_EQ(folder.Run(fmt::format("{} {} -std=c11 main.c scale.o -o main && ./main", compiler, kCWarnings)),
              "10 40 90 160");
  }
}

constexpr std::string_view kCxxMain = R"(
#include "scale.h"
#include "runtime/abi.h"
#include <cstdio>

int main() {
  std::printf("%s %d %zu %zu", scale_program.name, scale_program.entry_count, scale_workspace_bytes(5), scale_tape_bytes(3));
}
)";

TEST(Header, CxxReachesSizesAndDescriptorOfTheObject) {
  Target target = TargetOrDie();
  ProgramInterface interface = ScaleInterface(target);
  auto object = CompileObject(*ScaleModule(interface, target).module, target);
  ASSERT_TRUE(object) << object.error().message;
  Folder folder;
  folder.Write("scale.o", *object);
  folder.Write("scale.h", CHeader(interface));
  folder.Write("main.cpp", kCxxMain);
  for (const std::string& compiler : CxxCompilers()) {
    EXPECT_EQ(folder.Run(fmt::format("{} -std=c++17 {} -I{} main.cpp scale.o -o main && ./main", compiler, kCxxWarnings,
                                     RECURVE_SOURCE_DIR)),
              "scale 2 128 64");
  }
}

TEST(Header, ObjectLinksIntoASharedLibrary) {
  Target target = TargetOrDie();
  ProgramInterface interface = ScaleInterface(target);
  auto object = CompileObject(*ScaleModule(interface, target).module, target);
  ASSERT_TRUE(object) << object.error().message;
  Folder folder;
  folder.Write("scale.o", *object);
  EXPECT_EQ(folder.Run(CCompilers()[0] + " -shared scale.o -o libscale.so -Wl,-z,text"), "");
}

}  // namespace
}  // namespace recurve

// tests/backend/object_test.cpp: objects for many machines, and what is refused before it becomes one.

#include "compiler/object.h"

#include <gtest/gtest.h>
#include <llvm/BinaryFormat/ELF.h>

#include <string>
#include <vector>

#include "tests/backend/scale_program.h"

namespace recurve {
namespace {

struct MachineCase {
  TargetSpec spec;
  uint16_t elf_machine;
};

const MachineCase kElfMachines[] = {
    {{"x86_64-linux-gnu", "x86-64-v3", ""}, llvm::ELF::EM_X86_64},
    {{"i686-linux-gnu", "pentium4", ""}, llvm::ELF::EM_386},
    {{"aarch64-linux-gnu", "", ""}, llvm::ELF::EM_AARCH64},
    {{"riscv64-linux-gnu", "", ""}, llvm::ELF::EM_RISCV},
    {{"riscv64-linux-gnu", "", "+v"}, llvm::ELF::EM_RISCV},
    {{"riscv32-unknown-elf", "", "+m,+f"}, llvm::ELF::EM_RISCV},
    {{"thumbv7em-none-eabihf", "cortex-m4", ""}, llvm::ELF::EM_ARM},
    {{"thumbv8.1m.main-none-eabihf", "cortex-m55", ""}, llvm::ELF::EM_ARM},
};

TEST(Object, IsForItsMachine) {
  for (const MachineCase& row : kElfMachines) {
    SCOPED_TRACE(row.spec.triple + " " + row.spec.cpu);
    Target target = TargetOrDie(row.spec);
    auto object = CompileObject(*ScaleModule(ScaleInterface(target), target).module, target);
    ASSERT_TRUE(object) << object.error().message;
    ASSERT_EQ(object->substr(0, 4),
              "\x7f"
              "ELF");
    EXPECT_EQ((*object)[llvm::ELF::EI_CLASS], target.facts().pointer_bits == 64 ? 2 : 1);
    uint16_t machine = static_cast<unsigned char>((*object)[18]) | static_cast<unsigned char>((*object)[19]) << 8;
    EXPECT_EQ(machine, row.elf_machine);
  }
}

TEST(Object, IsForWebAssembly) {
  Target target = TargetOrDie({.triple = "wasm32"});
  auto object = CompileObject(*ScaleModule(ScaleInterface(target), target).module, target);
  ASSERT_TRUE(object) << object.error().message;
  EXPECT_EQ(object->substr(0, 4), std::string("\0asm", 4));
}

TEST(Object, IsForMacOs) {
  Target target = TargetOrDie({.triple = "arm64-apple-macosx", .cpu = "apple-m1"});
  auto object = CompileObject(*ScaleModule(ScaleInterface(target), target).module, target);
  ASSERT_TRUE(object) << object.error().message;
  EXPECT_EQ(object->substr(0, 4), "\xcf\xfa\xed\xfe");
}

TEST(Object, WantsNothingElse) {
  std::vector<TargetSpec> specs = {{"wasm32", "mvp", ""}, {"x86_64-pc-windows-msvc", "x86-64-v3", ""}};
  for (const MachineCase& row : kElfMachines) specs.push_back(row.spec);
  for (const TargetSpec& spec : specs) {
    SCOPED_TRACE(spec.triple);
    Target target = TargetOrDie(spec);
    auto object = CompileObject(*ScaleModule(ScaleInterface(target), target).module, target);
    ASSERT_TRUE(object) << object.error().message;
    auto report = InspectObject(*object);
    ASSERT_TRUE(report) << report.error().message;
    EXPECT_TRUE(report->undefined.empty());
    EXPECT_TRUE(report->writable.empty());
    EXPECT_GT(report->text_bytes, 64U);
    EXPECT_LT(report->text_bytes, 2000U);
    EXPECT_GT(report->read_only_bytes, 200U);
    EXPECT_LT(report->read_only_bytes, 2000U);
  }
}

constexpr std::string_view kExp = R"(
define float @scale(float %x) {
  %y = call float @llvm.exp.f32(float %x)
  ret float %y
}
)";

TEST(Object, RefusesACallByItsName) {
  Target target = TargetOrDie();
  auto object = CompileObject(*ParseModule(std::string(kExp), target).module, target);
  ASSERT_FALSE(object);
  EXPECT_NE(object.error().message.find("calls `expf`"), std::string::npos) << object.error().message;
}

TEST(Object, RefusesACallByItsNameWhereCNamesHaveAPrefix) {
  Target target = TargetOrDie({.triple = "arm64-apple-macosx", .cpu = "apple-m1"});
  auto object = CompileObject(*ParseModule(std::string(kExp), target).module, target);
  ASSERT_FALSE(object);
  EXPECT_NE(object.error().message.find("calls `expf`"), std::string::npos) << object.error().message;
}

TEST(Object, RefusesFloatingPointThatTheProcessorHasNot) {
  Target target = TargetOrDie({.triple = "thumbv7em-none-eabi", .cpu = "cortex-m3"});
  auto object = CompileObject(*ScaleModule(ScaleInterface(target), target).module, target);
  ASSERT_FALSE(object);
  EXPECT_NE(object.error().message.find("mul"), std::string::npos) << object.error().message;
  EXPECT_NE(object.error().message.find("cortex-m3"), std::string::npos) << object.error().message;
}

struct BrokenPromise {
  std::string_view text, message;
};

const BrokenPromise kBrokenPromises[] = {
    {R"(
declare void @llvm.memcpy.p0.p0.SIZE(ptr, ptr, SIZE, i1)
define void @copies(ptr %a, ptr %b, SIZE %n) {
  call void @llvm.memcpy.p0.p0.SIZE(ptr %a, ptr %b, SIZE %n, i1 false)
  ret void
}
)",
     "calls `memcpy`"},
    {R"(
@calls = internal global i32 0
define i32 @counts() {
  %old = load i32, ptr @calls
  %new = add i32 %old, 1
  store i32 %new, ptr @calls
  ret i32 %new
}
)",
     "writes to memory of its own, in `.bss"},
    {R"(
define void @recurs(SIZE %n) noinline {
  %more = icmp ugt SIZE %n, 0
  br i1 %more, label %again, label %done
again:
  %less = sub SIZE %n, 1
  call void @recurs(SIZE %less)
  br label %done
done:
  ret void
}
)",
     "takes an unknown part of the stack in `recurs`"},
    {R"(
define void @grows(ptr %a, SIZE %n) {
  %array = alloca i8, SIZE %n
  store volatile ptr %array, ptr %a
  ret void
}
)",
     "takes an unknown part of the stack in `grows`"},
};

TEST(Object, RefusesToBreakAPromise) {
  Target target = TargetOrDie({.triple = "x86_64-linux-gnu", .cpu = "x86-64-v3"});
  for (const BrokenPromise& row : kBrokenPromises) {
    auto object = CompileObject(*ParseModule(std::string(row.text), target).module, target);
    ASSERT_FALSE(object) << row.text;
    EXPECT_NE(object.error().message.find(row.message), std::string::npos) << object.error().message;
  }
}

TEST(Object, KnowsTheStackOfAChainOfCalls) {
  Target target = TargetOrDie({.triple = "x86_64-linux-gnu", .cpu = "x86-64-v3"});
  TestModule module = ParseModule(R"(
define internal void @inner(ptr %a) noinline {
  %array = alloca [800 x i8]
  store volatile ptr %array, ptr %a
  ret void
}
define void @outer(ptr %a) {
  call void @inner(ptr %a)
  store volatile ptr null, ptr %a
  ret void
}
)",
                                  target);
  ObjectReport report;
  auto object = CompileObject(*module.module, target, &report);
  ASSERT_TRUE(object) << object.error().message;
  ASSERT_EQ(report.stack_bytes.size(), 1u);
  EXPECT_GE(report.stack_bytes.at("outer"), 800u + 16);
  EXPECT_LT(report.stack_bytes.at("outer"), 900u);
}

TEST(Object, StandsInAnArchive) {
  Target target = TargetOrDie();
  auto object = CompileObject(*ScaleModule(ScaleInterface(target), target).module, target);
  ASSERT_TRUE(object);
  auto archive = MakeArchive(*object, "scale.o");
  ASSERT_TRUE(archive) << archive.error().message;
  EXPECT_TRUE(archive->starts_with("!<arch>\n"));
  EXPECT_NE(archive->find("scale_forward"), std::string::npos);
  EXPECT_NE(archive->find("scale.o/"), std::string::npos);
}

TEST(Object, RefusesAnEntryThatIsMissing) {
  Target target = TargetOrDie();
  ProgramInterface interface = ScaleInterface(target);
  interface.entries.push_back({.name = "backward", .slots = {}});
  auto object = CompileObject(*ScaleModule(interface, target).module, target);
  ASSERT_FALSE(object);
  EXPECT_NE(object.error().message.find("`scale_backward`"), std::string::npos) << object.error().message;
}

TEST(Object, RefusesAModuleThatDoesNotVerify) {
  Target target = TargetOrDie();
  TestModule broken = ParseModule("define void @f() {\n  ret void\n}\n", target);
  broken.module->getFunction("f")->front().back().eraseFromParent();
  auto object = CompileObject(*broken.module, target);
  ASSERT_FALSE(object);
  EXPECT_NE(object.error().message.find("does not verify"), std::string::npos) << object.error().message;
}

TEST(Object, RefusesAModuleLaidOutForAnotherTarget) {
  Target board = TargetOrDie({.triple = "thumbv7em-none-eabihf", .cpu = "cortex-m4"});
  auto object = CompileObject(*ScaleModule(ScaleInterface(board), board).module, TargetOrDie());
  ASSERT_FALSE(object);
  EXPECT_NE(object.error().message.find("is laid out for `thumbv7em"), std::string::npos) << object.error().message;
}

// LLVM itself would print this and exit.
TEST(Object, ReportsWhatTheCodeGeneratorCannotDo) {
  Target target = TargetOrDie({.triple = "x86_64-linux-gnu", .cpu = "x86-64", .features = "-sse,-sse2"});
  TestModule module = ParseModule("define float @f(float %x) {\n  ret float %x\n}\n", target);
  auto object = CompileObject(*module.module, target);
  ASSERT_FALSE(object);
  EXPECT_NE(object.error().message.find("SSE register return with SSE disabled"), std::string::npos)
      << object.error().message;
}

TEST(Object, LeavesTheModuleAsItWas) {
  Target target = TargetOrDie();
  TestModule scale = ScaleModule(ScaleInterface(target), target);
  std::string before = PrintLlvm(*scale.module);
  ASSERT_TRUE(CompileObject(*scale.module, target));
  EXPECT_EQ(PrintLlvm(*scale.module), before);
}

TEST(Object, IsTheSameBytesEachTime) {
  Target target = TargetOrDie();
  TestModule scale = ScaleModule(ScaleInterface(target), target);
  auto first = CompileObject(*scale.module, target);
  ASSERT_TRUE(first) << first.error().message;
  EXPECT_EQ(*CompileObject(*scale.module, target), *first);
  EXPECT_EQ(*CompileObject(*ScaleModule(ScaleInterface(target), target).module, TargetOrDie()), *first);
}

TEST(Object, GivesEachFunctionItsSection) {
  Target target = TargetOrDie({.triple = "x86_64-linux-gnu", .cpu = "x86-64-v3"});
  auto assembly = CompileAssembly(*ScaleModule(ScaleInterface(target), target).module, target);
  ASSERT_TRUE(assembly) << assembly.error().message;
  for (const char* section : {".text.scale_forward,", ".text.scale_pack,", ".data.rel.ro.scale_program,"}) {
    EXPECT_NE(assembly->find(section), std::string::npos) << section;
  }
}

// A constant's address is a distance from the code, or a number that the linker fixes.
TEST(Object, IsPositionIndependentWhereAsked) {
  constexpr std::string_view kConstant = R"(
@numbers = internal constant [4 x float] [float 1.0, float 2.0, float 3.0, float 4.0]
define float @number(SIZE %i) {
  %at = getelementptr [4 x float], ptr @numbers, SIZE 0, SIZE %i
  %value = load float, ptr %at
  ret float %value
}
)";
  for (bool is_asked : {false, true}) {
    Target target = TargetOrDie({.triple = "x86_64-linux-gnu", .cpu = "x86-64-v3", .position_independent = is_asked});
    auto assembly = CompileAssembly(*ParseModule(std::string(kConstant), target).module, target);
    ASSERT_TRUE(assembly) << assembly.error().message;
    EXPECT_EQ(assembly->find("numbers(%rip)") != std::string::npos, is_asked) << *assembly;
  }
}

TEST(Object, InspectRefusesWhatIsNoObject) {
  for (std::string_view bytes : {"",
                                 "\x7f"
                                 "ELF",
                                 "hello"}) {
    auto report = InspectObject(bytes);
    ASSERT_FALSE(report);
    EXPECT_TRUE(report.error().message.starts_with("cannot read the object: ")) << report.error().message;
  }
}

}  // namespace
}  // namespace recurve

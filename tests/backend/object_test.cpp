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

// Darwin clears memory by bzero, which its C library has.
TEST(Object, MayCallBzeroOnDarwinOnly) {
  Target target = TargetOrDie({.triple = "arm64-apple-macosx", .cpu = "apple-m1"});
  auto object = CompileObject(*ScaleModule(ScaleInterface(target), target).module, target);
  ASSERT_TRUE(object) << object.error().message;
  EXPECT_EQ(InspectObject(*object)->undefined, (std::vector<std::string>{"bzero", "memcpy"}));
  target = TargetOrDie();
  TestModule clears = ParseModule(
      "declare void @bzero(ptr, SIZE)\n"
      "define void @f(ptr %a) {\n  call void @bzero(ptr %a, SIZE 9)\n  ret void\n}\n",
      target);
  EXPECT_FALSE(CompileObject(*clears.module, target));
}

TEST(Object, WantsOnlyMemcpyAndMemset) {
  std::vector<TargetSpec> specs = {{"wasm32", "mvp", ""}, {"x86_64-pc-windows-msvc", "x86-64-v3", ""}};
  for (const MachineCase& row : kElfMachines) specs.push_back(row.spec);
  for (const TargetSpec& spec : specs) {
    SCOPED_TRACE(spec.triple);
    Target target = TargetOrDie(spec);
    auto object = CompileObject(*ScaleModule(ScaleInterface(target), target).module, target);
    ASSERT_TRUE(object) << object.error().message;
    auto report = InspectObject(*object);
    ASSERT_TRUE(report) << report.error().message;
    EXPECT_EQ(report->undefined, (std::vector<std::string>{"memcpy", "memset"}));
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

TEST(Object, RefusesMemmove) {
  Target target = TargetOrDie();
  TestModule moves = ParseModule(R"(
declare void @llvm.memmove.p0.p0.SIZE(ptr, ptr, SIZE, i1)
define void @moves(ptr %a, ptr %b, SIZE %n) {
  call void @llvm.memmove.p0.p0.SIZE(ptr %a, ptr %b, SIZE %n, i1 false)
  ret void
}
)",
                                 target);
  auto object = CompileObject(*moves.module, target);
  ASSERT_FALSE(object);
  EXPECT_NE(object.error().message.find("`memmove`"), std::string::npos) << object.error().message;
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

TEST(Object, IsPositionIndependentWhereThereIsALoader) {
  Target target = TargetOrDie({.triple = "x86_64-linux-gnu", .cpu = "x86-64-v3"});
  auto assembly = CompileAssembly(*ScaleModule(ScaleInterface(target), target).module, target);
  ASSERT_TRUE(assembly) << assembly.error().message;
  EXPECT_NE(assembly->find("memcpy@PLT"), std::string::npos);
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

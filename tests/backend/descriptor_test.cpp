// tests/backend/descriptor_test.cpp: the descriptor says what the interface says, in the layout of the target's C.

#include "compiler/descriptor.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <llvm/IR/DataLayout.h>
#include <llvm/IR/DerivedTypes.h>
#include <llvm/IR/GlobalVariable.h>

#include <string>
#include <vector>

#include "compiler/jit.h"
#include "compiler/object.h"
#include "tests/backend/scale_program.h"
#include "tests/support/commands.h"

namespace recurve {
namespace {

TEST(Descriptor, DescribesTheProgram) {
  Target target = TargetOrDie();
  ProgramInterface interface = ScaleInterface(target);
  auto code = Jit(*ScaleModule(interface, target).module, interface, target);
  ASSERT_TRUE(code) << code.error().message;
  const recurve_program& program = *code->program;
  EXPECT_EQ(program.abi_version, RECURVE_ABI_VERSION);
  EXPECT_STREQ(program.name, "scale");
  EXPECT_EQ(program.target, target.description());
  EXPECT_EQ(program.element_bytes, 4);
  ASSERT_EQ(program.axis_count, 1);
  EXPECT_STREQ(program.axes[0], "B");
  EXPECT_EQ(program.packed_bytes, 16U);
  size_t rows = 3;
  EXPECT_EQ(program.tape_bytes(&rows), 48U);
  ASSERT_EQ(program.entry_count, 2);
  EXPECT_STREQ(program.entries[1].name, "forward");
  EXPECT_EQ(program.entries[1].workspace_bytes(&rows), 48U);
}

TEST(Descriptor, DescribesEverySlot) {
  Target target = TargetOrDie();
  ProgramInterface interface = ScaleInterface(target);
  auto code = Jit(*ScaleModule(interface, target).module, interface, target);
  ASSERT_TRUE(code) << code.error().message;
  for (size_t e = 0; e < interface.entries.size(); ++e) {
    const recurve_entry& entry = code->program->entries[e];
    ASSERT_EQ(entry.slot_count, static_cast<int32_t>(interface.entries[e].slots.size()));
    for (int32_t s = 0; s < entry.slot_count; ++s) {
      const Slot& expected = interface.entries[e].slots[s];
      const recurve_slot& slot = entry.slots[s];
      EXPECT_EQ(slot.name, expected.name);
      EXPECT_EQ(slot.kind, expected.kind) << slot.name;
      EXPECT_EQ(slot.rank, static_cast<int32_t>(expected.shape.size())) << slot.name;
      EXPECT_EQ(slot.init, static_cast<int32_t>(expected.init.kind)) << slot.name;
      EXPECT_EQ(slot.init_a, expected.init.a) << slot.name;
      EXPECT_EQ(slot.init_b, expected.init.b) << slot.name;
    }
  }
}

TEST(Descriptor, WritesConstantAxesAsTheyAreAndOthersAsNumbers) {
  Target target = TargetOrDie();
  ProgramInterface interface = ScaleInterface(target);
  interface.axes = {"T", "B"};
  interface.entries[1].slots[1].shape = {ir::Dim("T"), ir::Dim("B"), 4};
  auto code = Jit(*ScaleModule(interface, target).module, interface, target);
  ASSERT_TRUE(code) << code.error().message;
  const recurve_slot& x = code->program->entries[1].slots[1];
  EXPECT_EQ(std::vector<recurve_dim>(x.dims, x.dims + x.rank), (std::vector<recurve_dim>{-1, -2, 4}));
}

TEST(Descriptor, DescribesIndexSlots) {
  Target target = TargetOrDie();
  ProgramInterface interface = ScaleInterface(target);
  interface.entries[1].slots[1].is_index = true;
  interface.entries[1].slots[1].classes = 5'000'000'000;
  auto code = Jit(*ScaleModule(interface, target).module, interface, target);
  ASSERT_TRUE(code) << code.error().message;
  EXPECT_EQ(code->program->entries[1].slots[1].is_index, 1);
  EXPECT_EQ(code->program->entries[1].slots[1].classes, 5'000'000'000);
  EXPECT_EQ(code->program->entries[1].slots[0].is_index, 0);
}

TEST(Descriptor, LeavesOutFunctionsThatAProgramHasNot) {
  Target target = TargetOrDie();
  ProgramInterface interface = ScaleInterface(target);
  interface.has_tape = false;
  auto code = Jit(*ScaleModule(interface, target).module, interface, target);
  ASSERT_TRUE(code) << code.error().message;
  EXPECT_EQ(code->program->tape_bytes, nullptr);
  EXPECT_EQ(code->program->entries[0].workspace_bytes, nullptr) << "pack has no workspace";
}

TEST(Descriptor, ExportsNothingButFunctionsAndItself) {
  Target target = TargetOrDie();
  ProgramInterface interface = ScaleInterface(target);
  TestModule scale = ScaleModule(interface, target);
  for (const llvm::GlobalVariable& global : scale.module->globals()) {
    EXPECT_TRUE(global.isConstant()) << global.getName().str();
    const bool is_exported = global.getName() == "scale_program" || global.getName() == "scale_info";
    EXPECT_EQ(global.hasLocalLinkage(), !is_exported) << global.getName().str();
  }
}

// The types in the order in which the descriptor nests: program, entry, slot.
std::vector<llvm::StructType*> DescriptorTypes(const llvm::Module& module) {
  auto row_type = [&](llvm::StringRef table) {
    auto* array = llvm::cast<llvm::ArrayType>(module.getNamedGlobal(table)->getValueType());
    return llvm::cast<llvm::StructType>(array->getElementType());
  };
  return {llvm::cast<llvm::StructType>(module.getNamedGlobal("scale_program")->getValueType()),
          row_type("descriptor.entries"), row_type("descriptor.forward.slots"), row_type("scale_info")};
}

// Assertions that a C compiler checks against runtime/abi.h.
std::string LayoutAssertions(const llvm::Module& module) {
  const std::vector<std::pair<std::string, std::vector<std::string>>> structs = {
      {"recurve_program",
       {"abi_version", "name", "target", "element_bytes", "axis_count", "axes", "packed_bytes", "tape_bytes",
        "entry_count", "entries"}},
      {"recurve_entry", {"name", "run", "workspace_bytes", "slot_count", "slots"}},
      {"recurve_slot", {"name", "kind", "is_index", "rank", "dims", "classes", "init", "init_a", "init_b"}},
      {"recurve_tensor", {"name", "dims", "rank", "is_trained"}},
  };
  std::string text = "#include \"runtime/abi.h\"\n";
  std::vector<llvm::StructType*> types = DescriptorTypes(module);
  for (size_t s = 0; s < structs.size(); ++s) {
    const auto& [name, members] = structs[s];
    const llvm::StructLayout* layout = module.getDataLayout().getStructLayout(types[s]);
    EXPECT_EQ(members.size(), types[s]->getNumElements());
    for (size_t m = 0; m < members.size(); ++m) {
      text += fmt::format("_Static_assert(offsetof(struct {0}, {1}) == {2}, \"{0}.{1}\");\n", name, members[m],
                          layout->getElementOffset(m).getFixedValue());
    }
    text += fmt::format("_Static_assert(sizeof(struct {0}) == {1}, \"{0}\");\n", name,
                        layout->getSizeInBytes().getFixedValue());
  }
  return text;
}

// i386 aligns eight-byte numbers to four, all others to eight.
TEST(Descriptor, HasTheLayoutOfTheTargetsCompiler) {
  for (const char* triple : {"x86_64-linux-gnu", "i686-linux-gnu", "aarch64-linux-gnu", "thumbv7em-none-eabihf",
                             "riscv32-unknown-elf", "riscv64-linux-gnu", "wasm32"}) {
    Target target = TargetOrDie({.triple = triple});
    TestModule scale = ScaleModule(ScaleInterface(target), target);
    Folder folder;
    folder.Write("layout.c", LayoutAssertions(*scale.module));
    EXPECT_EQ(folder.Run(fmt::format("clang-22 --target={} -ffreestanding -fsyntax-only -std=c11 -I{} layout.c", triple,
                                     RECURVE_SOURCE_DIR)),
              "")
        << triple;
  }
}

TEST(Descriptor, HasTheOffsetsOfA32BitMachine) {
  Target target = TargetOrDie({.triple = "thumbv7em-none-eabihf", .cpu = "cortex-m4"});
  TestModule scale = ScaleModule(ScaleInterface(target), target);
  const llvm::StructLayout* slot = scale.module->getDataLayout().getStructLayout(DescriptorTypes(*scale.module)[2]);
  // name kind is_index rank dims | classes (aligned to 8) | init, init_a (aligned to 8) init_b
  const uint64_t offsets[] = {0, 4, 8, 12, 16, 24, 32, 40, 48};
  for (unsigned m = 0; m < 9; ++m) EXPECT_EQ(slot->getElementOffset(m).getFixedValue(), offsets[m]) << m;
  EXPECT_EQ(slot->getSizeInBytes().getFixedValue(), 56U);
}

}  // namespace
}  // namespace recurve

// What is said of descriptors that contradict themselves, and how programs are looked up.

#include "runtime/program.h"

#include <functional>

#include <gtest/gtest.h>

#include "hand_program.h"

namespace recurve {
namespace {

// A descriptor that can be spoiled: one entry with one slot of each kind of interest.
struct Descriptor {
  recurve_dim dims[2] = {-1, 4};
  const char* axes[1] = {"T"};
  recurve_slot slots[3] = {
      {"T", RECURVE_SLOT_EXTENT}, {"x", RECURVE_SLOT_INPUT, 0, 2, dims}, {"W", RECURVE_SLOT_PARAMETER, 0, 1, dims + 1}};
  recurve_slot other[1] = {{"x", RECURVE_SLOT_INPUT, 0, 1, dims + 1}};
  recurve_entry entries[2] = {{"forward", [](const void*) {}, nullptr, 3, slots},
                              {"step", [](const void*) {}, nullptr, 1, other}};
  recurve_program program{RECURVE_ABI_VERSION, "tiny", "by hand", 4, 1, axes, 0, nullptr, 2, entries};
};

TEST(Program, FindsEntriesAxesAndParameters) {
  Descriptor descriptor;
  const auto program = Program::Wrap(&descriptor.program);
  ASSERT_TRUE(program) << program.error().message;
  EXPECT_EQ(program->name(), "tiny");
  EXPECT_EQ(program->element(), ElementType::kF32);
  EXPECT_EQ(program->FindEntry("forward"), &descriptor.entries[0]);
  EXPECT_EQ(program->FindEntry("backward"), nullptr);
  EXPECT_EQ(program->FindAxis("T"), 0u);
  EXPECT_FALSE(program->FindAxis("B"));
  EXPECT_EQ(program->parameters().size(), 1u);
  EXPECT_EQ(program->FindParameter("W"), &descriptor.slots[2]);
  EXPECT_EQ(program->ShapeText(descriptor.slots[1]), "[T, 4]");
}

TEST(Program, KeepsItsCodeAlive) {
  Descriptor descriptor;
  auto code = std::make_shared<int>(0);
  auto program = Program::Wrap(&descriptor.program, code);
  ASSERT_TRUE(program);
  auto copy = std::make_unique<Program>(*program);
  EXPECT_EQ(code.use_count(), 2) << "copies share one hold";
  program = std::unexpected(Error{});
  EXPECT_EQ(code.use_count(), 2);
  copy = nullptr;
  EXPECT_EQ(code.use_count(), 1);
}

TEST(Program, RefusesADescriptorThatContradictsItself) {
  const struct {
    std::function<void(Descriptor&)> spoil;
    const char* message;
  } rows[] = {
      {[](auto& d) { d.program.abi_version = 99; },
       "cannot use a program: it was compiled for ABI version 99, this runtime has 3"},
      {[](auto& d) { d.program.name = nullptr; }, "cannot use a program: it has no name"},
      {[](auto& d) { d.program.element_bytes = 2; }, "cannot use a program: its elements have 2 bytes"},
      {[](auto& d) { d.program.axis_count = 9; }, "cannot use a program: it has 9 axes"},
      {[](auto& d) { d.axes[0] = nullptr; }, "cannot use a program: an axis has no name"},
      {[](auto& d) { d.program.entries = nullptr; }, "cannot use a program: it has no entries"},
      {[](auto& d) { d.entries[0].run = nullptr; }, "cannot use a program: an entry has no name or no code"},
      {[](auto& d) { d.entries[0].slots = nullptr; }, "cannot use a program: entry `forward` has no slots"},
      {[](auto& d) { d.slots[1].name = nullptr; }, "cannot use program `tiny`: a slot has no name"},
      {[](auto& d) { d.slots[1].kind = 77; }, "cannot use program `tiny`: slot `x` is of unknown kind 77"},
      {[](auto& d) { d.slots[1].rank = 9; }, "cannot use program `tiny`: slot `x` has 9 axes"},
      {[](auto& d) { d.dims[0] = -2; }, "cannot use program `tiny`: slot `x` refers to axis 1 of 1"},
      {[](auto& d) { d.slots[2].dims = d.dims; }, "cannot use program `tiny`: parameter `W` has a symbolic axis"},
      {[](auto& d) { d.dims[1] = INT64_MAX; }, "cannot use program `tiny`: parameter `W` exceeds memory"},
      {[](auto& d) { d.slots[0].name = "S"; }, "cannot use program `tiny`: entry `forward` asks for axis `S`"},
      {[](auto& d) { d.entries[1].name = "inference"; }, "cannot use program `tiny`: `x` has two shapes"},
  };
  for (const auto& row : rows) {
    Descriptor descriptor;
    row.spoil(descriptor);
    const auto program = Program::Wrap(&descriptor.program);
    ASSERT_FALSE(program) << row.message;
    EXPECT_EQ(program.error().message, row.message);
  }
  EXPECT_EQ(Program::Wrap(nullptr).error().message, "cannot use a program: its descriptor is null");
}

TEST(Program, SaysWhichLibraryCannotBeLoaded) {
  const auto program = Program::Load("/nowhere/liblstm.so", "lstm");
  ASSERT_FALSE(program);
  EXPECT_TRUE(program.error().message.starts_with("cannot load `/nowhere/liblstm.so`: ")) << program.error().message;
}

TEST(Program, SaysWhichSymbolALibraryLacks) {
  EXPECT_EQ(Program::Load("libm.so.6", "lstm").error().message, "cannot find `lstm_program` in `libm.so.6`");
}

}  // namespace
}  // namespace recurve

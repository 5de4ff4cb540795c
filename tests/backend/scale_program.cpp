// tests/backend/scale_program.cpp: the program as LLVM's text.

#include "tests/backend/scale_program.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <llvm/AsmParser/Parser.h>
#include <llvm/Support/SourceMgr.h>

#include <cstdlib>

#include "compiler/descriptor.h"

namespace recurve {
namespace {

void ReplaceAll(std::string& text, std::string_view from, std::string_view to) {
  for (size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size())
    text.replace(at, from.size(), to);
}

constexpr std::string_view kScale = R"(
define SIZE @NAME_tape_bytes(ptr %extents) nounwind {
  %rows = load SIZE, ptr %extents
  %bytes = mul SIZE %rows, 16
  ret SIZE %bytes
}

define SIZE @NAME_forward_workspace_bytes(ptr %extents) nounwind {
  %bytes = call SIZE @NAME_tape_bytes(ptr %extents)
  ret SIZE %bytes
}

define void @NAME_pack(ptr %slots) nounwind {
  %W = load ptr, ptr %slots
  %slot1 = getelementptr ptr, ptr %slots, i32 1
  %packed = load ptr, ptr %slot1
  br label %copy

copy:
  %i = phi SIZE [ 0, %0 ], [ %next, %copy ]
  %from = getelementptr float, ptr %W, SIZE %i
  %to = getelementptr float, ptr %packed, SIZE %i
  %value = load float, ptr %from
  store float %value, ptr %to
  %next = add SIZE %i, 1
  %more = icmp ult SIZE %next, 4
  br i1 %more, label %copy, label %done

done:
  ret void
}

define void @NAME_forward(ptr %slots) nounwind {
entry:
  %rows = load SIZE, ptr %slots
  %slot1 = getelementptr ptr, ptr %slots, i32 1
  %slot2 = getelementptr ptr, ptr %slots, i32 2
  %slot3 = getelementptr ptr, ptr %slots, i32 3
  %slot4 = getelementptr ptr, ptr %slots, i32 4
  %slot5 = getelementptr ptr, ptr %slots, i32 5
  %tape = load ptr, ptr %slot4
  %workspace = load ptr, ptr %slot5
  %x = load ptr, ptr %slot1
  %packed = load ptr, ptr %slot2
  %y = load ptr, ptr %slot3
  %count = mul SIZE %rows, 4
  br label %head

head:
  %i = phi SIZE [ 0, %entry ], [ %next, %body ]
  %more = icmp ult SIZE %i, %count
  br i1 %more, label %body, label %done

body:
  %unit = and SIZE %i, 3
  %x_at = getelementptr float, ptr %x, SIZE %i
  %W_at = getelementptr float, ptr %packed, SIZE %unit
  %y_at = getelementptr float, ptr %y, SIZE %i
  %value = load float, ptr %x_at
  %weight = load float, ptr %W_at
  %product = fmul float %value, %weight
  %scaled = fmul float %product, FACTOR
  store float %scaled, ptr %y_at
  %workspace_at = getelementptr float, ptr %workspace, SIZE %i
  store float %value, ptr %workspace_at
  %tape_at = getelementptr float, ptr %tape, SIZE %i
  store float 0.0, ptr %tape_at
  %next = add SIZE %i, 1
  br label %head

done:
  ret void
}
)";

}  // namespace

TestModule ParseModule(std::string text, const Target& target) {
  ReplaceAll(text, "SIZE", fmt::format("i{}", target.facts().pointer_bits));
  TestModule result{std::make_unique<llvm::LLVMContext>(), nullptr};
  llvm::SMDiagnostic mistake;
  result.module = llvm::parseAssemblyString(text, mistake, *result.context);
  if (result.module == nullptr) {
    ADD_FAILURE() << "line " << mistake.getLineNo() << ": " << mistake.getMessage().str();
    result.module = std::make_unique<llvm::Module>("mistaken", *result.context);
  }
  target.Configure(*result.module);
  return result;
}

ProgramInterface ScaleInterface(const Target& target, std::string name) {
  const ir::Dim B("B");
  ir::Init uniform{ir::Init::Kind::kUniform, -0.5, 0.5};
  EntryInterface pack{"pack",
                      {{.name = "W", .kind = RECURVE_SLOT_PARAMETER, .shape = {4}, .init = uniform},
                       {.name = "packed", .kind = RECURVE_SLOT_PACKED}}};
  EntryInterface forward{"forward",
                         {{.name = "B", .kind = RECURVE_SLOT_EXTENT},
                          {.name = "x", .kind = RECURVE_SLOT_INPUT, .shape = {B, 4}},
                          {.name = "packed", .kind = RECURVE_SLOT_PACKED},
                          {.name = "y", .kind = RECURVE_SLOT_OUTPUT, .shape = {B, 4}},
                          {.name = "tape", .kind = RECURVE_SLOT_TAPE},
                          {.name = "workspace", .kind = RECURVE_SLOT_WORKSPACE},
                          {.name = "team", .kind = RECURVE_SLOT_TEAM}}};
  return {.name = std::move(name),
          .target = target.description(),
          .precision = Precision::kF32,
          .axes = {"B"},
          .packed_bytes = 16,
          .has_tape = true,
          .entries = {pack, forward},
          .extents = {{"N", 4}}};
}

TestModule ScaleModule(const ProgramInterface& program, const Target& target, double factor) {
  std::string text(kScale);
  ReplaceAll(text, "NAME", CIdentifier(program.name));
  ReplaceAll(text, "FACTOR", fmt::format("{:.6e}", factor));
  TestModule result = ParseModule(std::move(text), target);
  EmitDescriptor(*result.module, program);
  return result;
}

Target TargetOrDie(const TargetSpec& spec) {
  auto target = MakeTarget(spec);
  if (!target) {
    fmt::print(stderr, "{}\n", target.error().message);
    std::abort();
  }
  return *target;
}

}  // namespace recurve

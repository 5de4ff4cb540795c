// tests/lanes/library_calls_test.cpp: no formula becomes a call, on any target.
//
// Every elementwise row is compiled to an object file for each target that this LLVM has; an undefined symbol is a
// call.

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <gtest/gtest.h>
#include <llvm/IR/LegacyPassManager.h>
#include <llvm/Object/ObjectFile.h>
#include <llvm/Support/MemoryBuffer.h>
#include <llvm/Support/raw_ostream.h>
#include <llvm/Target/TargetMachine.h>

#include <cctype>
#include <functional>
#include <string>
#include <vector>

#include "compiler/lane_storage.h"
#include "compiler/target.h"
#include "tests/lanes/lane_kernel.h"

namespace recurve {
namespace {

struct Row {
  const char* triple;
  const char* cpu;
  const char* features;
  bool fused_multiply_add;
  bool f64;      // the target has instructions for double
  bool vectors;  // the target has registers for them
};

const Row kRows[] = {
    {"x86_64-unknown-linux-gnu", "x86-64", "", false, true, true},
    {"x86_64-unknown-linux-gnu", "x86-64-v2", "", false, true, true},
    {"x86_64-unknown-linux-gnu", "x86-64-v3", "", true, true, true},
    {"x86_64-unknown-linux-gnu", "x86-64-v4", "", true, true, true},
    {"aarch64-unknown-linux-gnu", "generic", "", true, true, true},
    {"riscv64-unknown-linux-gnu", "generic-rv64", "+v,+f,+d", true, true, true},
    {"wasm32-unknown-unknown", "generic", "+simd128", false, true, true},
    {"thumbv7em-none-eabihf", "cortex-m4", "", true, false, false},
    {"thumbv7em-none-eabihf", "cortex-m7", "", true, true, false},
};

void EmitAllRows(llvm::Module& module, LaneShape shape) {
  for (ir::Op op : kElementwiseOps) EmitLaneKernel(module, std::string(ir::Name(op)), shape, RowFormula(op));
  if (shape.element_bytes != 4) return;
  for (Storage storage : {Storage::kBf16, Storage::kF16}) {
    EmitLaneKernel(
        module, storage == Storage::kBf16 ? "bf16" : "f16", shape,
        [storage](LaneBuilder& lanes, Lane a, Lane, Lane) { return Widen(lanes, Narrow(a, storage), storage); });
  }
}

// The symbols that an object file of the module, which `emit` fills, would ask a linker for.
std::vector<std::string> UndefinedSymbols(const Target& target, const std::function<void(llvm::Module&)>& emit) {
  llvm::LLVMContext context;
  llvm::Module module("lanes", context);
  target.Configure(module);
  emit(module);
  llvm::SmallVector<char, 0> bytes;
  llvm::raw_svector_ostream stream(bytes);
  llvm::legacy::PassManager passes;
  auto machine = target.BorrowMachine();
  EXPECT_FALSE(machine->addPassesToEmitFile(passes, stream, nullptr, llvm::CodeGenFileType::ObjectFile));
  passes.run(module);

  std::vector<std::string> undefined;
  llvm::MemoryBufferRef buffer(llvm::StringRef(bytes.data(), bytes.size()), "lanes");
  auto object = llvm::object::ObjectFile::createObjectFile(buffer);
  if (!object) {
    ADD_FAILURE() << llvm::toString(object.takeError());
    return undefined;
  }
  for (const llvm::object::SymbolRef& symbol : (*object)->symbols()) {
    auto flags = symbol.getFlags();
    auto name = symbol.getName();
    if (!flags || !name) {
      ADD_FAILURE() << "a symbol without flags or name";
      continue;
    }
    // WebAssembly's stack and memory are symbols that its linker makes.
    bool is_linker_symbol = name->empty() || name->starts_with("__stack_pointer") || *name == "__linear_memory";
    if ((*flags & llvm::object::SymbolRef::SF_Undefined) != 0 && !is_linker_symbol) undefined.push_back(name->str());
  }
  return undefined;
}

class LibraryCalls : public testing::TestWithParam<Row> {};

TEST_P(LibraryCalls, NoFormulaMakesOne) {
  const Row& row = GetParam();
  auto target = MakeTarget({.triple = row.triple, .cpu = row.cpu, .features = row.features});
  if (!target) return;  // this LLVM is built without it
  for (int bytes : {4, 8}) {
    if (bytes == 8 && !row.f64) continue;
    for (int width : row.vectors ? std::vector{1, 16 / bytes, 32 / bytes, 5} : std::vector{1}) {
      for (MathAccuracy math : {MathAccuracy::kAccurate, MathAccuracy::kFast}) {
        if (math == MathAccuracy::kFast && bytes == 8) continue;  // the same code
        LaneShape shape{.element_bytes = bytes,
                        .width = width,
                        .fused_multiply_add = row.fused_multiply_add,
                        .half_conversions = target->facts().half_conversions,
                        .math = math};
        auto calls = UndefinedSymbols(*target, [&](llvm::Module& module) { EmitAllRows(module, shape); });
        EXPECT_TRUE(calls.empty()) << fmt::format("{} of {} bytes: {}", width, bytes, fmt::join(calls, " "));
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Targets, LibraryCalls, testing::ValuesIn(kRows), [](const auto& info) {
  std::string name = fmt::format("{}_{}", info.param.triple, info.param.cpu);
  for (char& c : name) c = std::isalnum(static_cast<unsigned char>(c)) != 0 ? c : '_';
  return name;
});

TEST(UndefinedSymbols, ShowTheCallThatLlvmExpBecomes) {
  auto target = MakeTarget({});
  ASSERT_TRUE(target.has_value());
  auto calls = UndefinedSymbols(*target, [](llvm::Module& module) {
    EmitLaneKernel(module, "f", {.width = 1}, [](LaneBuilder& lanes, Lane a, Lane, Lane) {
      return lanes.Wrap(lanes.ir().CreateUnaryIntrinsic(llvm::Intrinsic::exp, a.value));
    });
  });
  EXPECT_EQ(calls, std::vector<std::string>{"expf"});
}

}  // namespace
}  // namespace recurve

// compiler/versions.cpp: levels of x86-64, how a processor is asked, and indirect functions.

#include "compiler/versions.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <llvm/IR/GlobalIFunc.h>
#include <llvm/IR/IRBuilder.h>
#include <llvm/IR/InlineAsm.h>
#include <llvm/IR/Module.h>

#include <algorithm>
#include <cstdint>
#include <ranges>

namespace recurve {
namespace {

constexpr uint32_t Bits(std::initializer_list<int> bits) {
  uint32_t mask = 0;
  for (int bit : bits) mask |= uint32_t{1} << bit;
  return mask;
}

// What a level asks of a processor beyond the one before: bits of CPUID's leaves, and of the register that says which
// registers the system saves.
struct Level {
  std::string_view cpu;
  uint32_t leaf1_ecx, leaf7_ebx, extended_ecx, saved;
};
constexpr Level kLevels[] = {
    {"x86-64", 0, 0, 0, 0},
    // SSE3, SSSE3, CMPXCHG16B, SSE4.1, SSE4.2, POPCNT; LAHF
    {"x86-64-v2", Bits({0, 9, 13, 19, 20, 23}), 0, Bits({0}), 0},
    // FMA, MOVBE, OSXSAVE, AVX, F16C; BMI1, AVX2, BMI2; LZCNT; XMM and YMM
    {"x86-64-v3", Bits({12, 22, 27, 28, 29}), Bits({3, 5, 8}), Bits({5}), Bits({1, 2})},
    // AVX512F, AVX512DQ, AVX512CD, AVX512BW, AVX512VL; masks and ZMM
    {"x86-64-v4", 0, Bits({16, 17, 28, 30, 31}), 0, Bits({5, 6, 7})},
};

int LevelOf(std::string_view cpu) {
  const auto found = std::ranges::find(kLevels, cpu, &Level::cpu);
  return found == std::end(kLevels) ? -1 : static_cast<int>(found - std::begin(kLevels));
}

class Dispatcher {
 public:
  Dispatcher(llvm::Module& module, const ProgramInterface& program, const std::vector<Target>& targets)
      : module_(module), program_(program), targets_(targets), builder_(module.getContext()) {}

  void Emit() {
    EmitLevel();
    for (const EntryInterface& entry : program_.entries) {
      Choose(EntrySymbol(program_, entry), EntrySymbol(program_, entry));
      if (HasWorkspace(entry)) Choose(WorkspaceSymbol(program_, entry), WorkspaceSymbol(program_, entry));
    }
    if (program_.has_tape) Choose(ExportedTapeSymbol(program_), TapeSymbol(program_));
  }

 private:
  // i32 NAME_version(): the number of the best version that this processor runs; 0 if it runs none, since there is no
  // better answer. The only inline assembly in the project: no other way leads to these two instructions without a
  // library.
  void EmitLevel() {
    llvm::Type* i32 = builder_.getInt32Ty();
    level_ = llvm::Function::Create(llvm::FunctionType::get(i32, false), llvm::GlobalValue::InternalLinkage,
                                    program_.name + "_version", module_);
    Attributes(*level_);
    Enter("entry");
    const Registers leaf0 = CpuId(0), leaf1 = CpuId(1), most_extended = CpuId(0x80000000);
    Value* extended_ecx = If(IsAtLeast(most_extended.eax, 0x80000001), [&] { return CpuId(0x80000001).ecx; });
    Value* leaf7_ebx = If(IsAtLeast(leaf0.eax, 7), [&] { return CpuId(7).ebx; });
    Value* saved = If(HasAll(leaf1.ecx, Bits({27})), [&] {
      auto* type = llvm::FunctionType::get(llvm::StructType::get(i32, i32), {i32}, false);
      auto* code = llvm::InlineAsm::get(type, "xgetbv", "={ax},={dx},{cx},~{dirflag},~{fpsr},~{flags}", true);
      return builder_.CreateExtractValue(builder_.CreateCall(type, code, {builder_.getInt32(0)}), 0);
    });
    Value* version = builder_.getInt32(0);
    Value* has = builder_.getTrue();
    int done = 0;
    for (size_t i = 0; i < targets_.size(); ++i) {
      const int level = LevelOf(targets_[i].cpu());
      for (; done <= level; ++done) {
        const Level& more = kLevels[done];
        has = builder_.CreateAnd(has, HasAll(leaf1.ecx, more.leaf1_ecx));
        has = builder_.CreateAnd(has, HasAll(leaf7_ebx, more.leaf7_ebx));
        has = builder_.CreateAnd(has, HasAll(extended_ecx, more.extended_ecx));
        has = builder_.CreateAnd(has, HasAll(saved, more.saved));
      }
      version = builder_.CreateSelect(has, builder_.getInt32(static_cast<uint32_t>(i)), version);
    }
    builder_.CreateRet(version);
  }

  // The indirect function `symbol`, which is one of the versions' functions; they call it `symbol` behind their name.
  void Choose(const std::string& symbol, const std::string& of_version) {
    std::vector<llvm::Function*> functions;
    for (const Target& target : targets_) {
      const std::string name = VersionName(program_.name, target) + of_version.substr(program_.name.size());
      functions.push_back(module_.getFunction(name));
    }
    llvm::Function* resolver = llvm::Function::Create(llvm::FunctionType::get(builder_.getPtrTy(), false),
                                                      llvm::GlobalValue::InternalLinkage, symbol + "_resolve", module_);
    Attributes(*resolver);
    builder_.SetInsertPoint(llvm::BasicBlock::Create(module_.getContext(), "entry", resolver));
    Value* version = builder_.CreateCall(level_);
    Value* chosen = functions[0];
    for (size_t i = 1; i < functions.size(); ++i) {
      Value* is_this = builder_.CreateICmpEQ(version, builder_.getInt32(static_cast<uint32_t>(i)));
      chosen = builder_.CreateSelect(is_this, functions[i], chosen);
    }
    builder_.CreateRet(chosen);
    llvm::GlobalIFunc::create(functions[0]->getFunctionType(), 0, llvm::GlobalValue::ExternalLinkage, symbol, resolver,
                              &module_);
  }

  using Value = llvm::Value;
  struct Registers {
    Value *eax, *ebx, *ecx;
  };

  Registers CpuId(uint32_t leaf) {
    llvm::Type* i32 = builder_.getInt32Ty();
    auto* type = llvm::FunctionType::get(llvm::StructType::get(i32, i32, i32, i32), {i32, i32}, false);
    auto* code =
        llvm::InlineAsm::get(type, "cpuid", "={ax},={bx},={cx},={dx},{ax},{cx},~{dirflag},~{fpsr},~{flags}", true);
    Value* result = builder_.CreateCall(type, code, {builder_.getInt32(leaf), builder_.getInt32(0)});
    return {builder_.CreateExtractValue(result, 0), builder_.CreateExtractValue(result, 1),
            builder_.CreateExtractValue(result, 2)};
  }

  Value* IsAtLeast(Value* a, uint32_t b) { return builder_.CreateICmpUGE(a, builder_.getInt32(b)); }
  Value* HasAll(Value* a, uint32_t bits) {
    return builder_.CreateICmpEQ(builder_.CreateAnd(a, builder_.getInt32(bits)), builder_.getInt32(bits));
  }
  // condition ? ask() : 0, where only `condition` lets one ask.
  template <typename Ask>
  Value* If(Value* condition, Ask ask) {
    llvm::BasicBlock* before = builder_.GetInsertBlock();
    llvm::BasicBlock* then = llvm::BasicBlock::Create(module_.getContext(), "then", level_);
    llvm::BasicBlock* after = llvm::BasicBlock::Create(module_.getContext(), "after", level_);
    builder_.CreateCondBr(condition, then, after);
    builder_.SetInsertPoint(then);
    Value* answer = ask();
    builder_.CreateBr(after);
    builder_.SetInsertPoint(after);
    llvm::PHINode* either = builder_.CreatePHI(builder_.getInt32Ty(), 2);
    either->addIncoming(builder_.getInt32(0), before);
    either->addIncoming(answer, then);
    return either;
  }
  void Enter(const char* name) {
    builder_.SetInsertPoint(llvm::BasicBlock::Create(module_.getContext(), name, level_));
  }
  static void Attributes(llvm::Function& function) {
    function.addFnAttr(llvm::Attribute::NoUnwind);
    function.addFnAttr(llvm::Attribute::NoInline);
  }

  llvm::Module& module_;
  const ProgramInterface& program_;
  const std::vector<Target>& targets_;
  llvm::IRBuilder<> builder_;
  llvm::Function* level_ = nullptr;
};

}  // namespace

std::expected<std::vector<TargetSpec>, Error> VersionsOf(const TargetSpec& spec) {
  if (spec.triple.find(',') == std::string::npos && LevelOf(spec.triple) < 0) return std::vector{spec};
  std::vector<TargetSpec> versions;
  for (const auto part : std::views::split(spec.triple, ',')) {
    const std::string name(part.begin(), part.end());
    if (LevelOf(name) < 0) {
      return std::unexpected(Error{fmt::format("`{}` is no level of x86-64, of which there are {}", name,
                                               fmt::join(kLevels | std::views::transform(&Level::cpu), ", "))});
    }
    if (std::ranges::find(versions, name, &TargetSpec::cpu) != versions.end())
      return std::unexpected(Error{fmt::format("`{}` comes twice", name)});
    versions.push_back(spec);
    versions.back().triple = "x86_64-unknown-linux-gnu";
    versions.back().cpu = name;
  }
  if (!spec.cpu.empty()) {
    return std::unexpected(
        Error{fmt::format("`{}` says which processor it is for; cpu `{}` is one too many", spec.triple, spec.cpu)});
  }
  std::ranges::sort(versions, {}, [](const TargetSpec& version) { return LevelOf(version.cpu); });
  return versions;
}

std::expected<Target, Error> BestVersionOf(const TargetSpec& spec) {
  const auto versions = VersionsOf(spec);
  if (!versions) return std::unexpected(versions.error());
  return MakeTarget(versions->back());
}

std::string VersionName(const std::string& program, const Target& target) {
  return program + "_" + CIdentifier(target.cpu());
}

void ConfineVersion(llvm::Module& module, const Target& target) {
  for (llvm::Function& function : module) {
    if (function.isDeclaration() || function.hasFnAttribute("target-cpu")) continue;
    function.setLinkage(llvm::GlobalValue::InternalLinkage);
    function.addFnAttr("target-cpu", target.cpu());
    function.addFnAttr("target-features", target.features());
  }
}

void EmitDispatch(llvm::Module& module, const ProgramInterface& program, const std::vector<Target>& targets) {
  Dispatcher(module, program, targets).Emit();
}

}  // namespace recurve

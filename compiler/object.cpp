// compiler/object.cpp: LLVM's code generator run on a copy of a module, and the look back at what it made.

#include "compiler/object.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <llvm/BinaryFormat/ELF.h>
#include <llvm/IR/DiagnosticInfo.h>
#include <llvm/IR/DiagnosticPrinter.h>
#include <llvm/IR/InstIterator.h>
#include <llvm/IR/Instructions.h>
#include <llvm/IR/LegacyPassManager.h>
#include <llvm/IR/Module.h>
#include <llvm/IR/Verifier.h>
#include <llvm/Object/ArchiveWriter.h>
#include <llvm/Object/ELFObjectFile.h>
#include <llvm/Object/ObjectFile.h>
#include <llvm/PassInfo.h>
#include <llvm/PassRegistry.h>
#include <llvm/Support/Error.h>
#include <llvm/Support/MemoryBuffer.h>
#include <llvm/Support/raw_ostream.h>
#include <llvm/Target/TargetMachine.h>
#include <llvm/Transforms/Utils/Cloning.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <utility>

namespace recurve {
namespace {

// Symbols that stand for something which every linker, or on Windows every C runtime, of the format makes by itself.
constexpr std::string_view kMadeByLinkers[] = {
    "_GLOBAL_OFFSET_TABLE_",  // ELF, 32-bit position independent code
    "_fltused",               // COFF, says that there is floating point
    "__indirect_function_table",
    "__linear_memory",
    "__stack_pointer",  // WebAssembly
};

// Bytes of the frame of each function that has one.
using Frames = std::map<const llvm::Function*, uint64_t>;

// Collects what LLVM reports while it generates code; its own handler would print, and exit on an error.
class Collect : public llvm::DiagnosticHandler {
 public:
  Collect(std::string& errors, Frames& frames) : errors_(errors), frames_(frames) {}

  bool handleDiagnostics(const llvm::DiagnosticInfo& info) override {
    if (const auto* frame = llvm::dyn_cast<llvm::DiagnosticInfoStackSize>(&info))
      frames_[&frame->getFunction()] = frame->getStackSize();
    if (info.getSeverity() != llvm::DS_Error) return true;
    if (!errors_.empty()) errors_ += "; ";
    llvm::raw_string_ostream stream(errors_);
    llvm::DiagnosticPrinterRawOStream printer(stream);
    info.print(printer);
    return true;
  }

 private:
  std::string& errors_;
  Frames& frames_;
};

// What a function may use beyond its frame, if it calls nothing.
uint64_t RedZoneBytes(const llvm::Triple& triple) {
  const bool has_one =
      triple.getArch() == llvm::Triple::x86_64 ? !triple.isOSWindows() : triple.isAArch64() && triple.isOSDarwin();
  return has_one ? 128 : 0;
}

// A chain of calls to one function or more, and what it takes of the stack.
class StackMeter {
 public:
  StackMeter(const Frames& frames, uint64_t word_bytes) : frames_(frames), word_bytes_(word_bytes) {}

  // Empty if nobody can know.
  std::optional<uint64_t> BytesOf(const llvm::Function& function) {
    if (function.isDeclaration()) return 0;
    if (const auto known = known_.find(&function); known != known_.end()) return known->second;
    known_[&function] = std::nullopt;  // who comes here again calls itself
    uint64_t deepest = 0, given = 0;
    std::set<const llvm::Function*> seen;
    for (const llvm::Instruction& instruction : llvm::instructions(function)) {
      if (const auto* slot = llvm::dyn_cast<llvm::AllocaInst>(&instruction); slot != nullptr && !slot->isStaticAlloca())
        return std::nullopt;
      const auto* call = llvm::dyn_cast<llvm::CallBase>(&instruction);
      for (const llvm::Use& operand : instruction.operands()) {
        const auto* callee = llvm::dyn_cast<llvm::Function>(operand);
        if (callee == nullptr) continue;
        const std::optional<uint64_t> bytes = BytesOf(*callee);
        if (!bytes) return std::nullopt;
        // Functions whose addresses are given to somebody may be called by them, and by each other.
        const bool is_called = call != nullptr && call->isCallee(&operand);
        if (is_called) deepest = std::max(deepest, *bytes);
        if (!is_called && seen.insert(callee).second) given += *bytes;
      }
    }
    deepest = std::max(deepest, given);
    const auto frame = frames_.find(&function);
    known_[&function] = deepest + word_bytes_ + (frame == frames_.end() ? 0 : frame->second);
    return known_[&function];
  }

 private:
  const Frames& frames_;
  uint64_t word_bytes_;
  std::map<const llvm::Function*, std::optional<uint64_t>> known_;
};

// Passes of LLVM's code generation, by the names of its command lines, that cost time here and change nothing. The
// emitter writes loops with the addresses that it wants, so that strength reduction, with the analysis of every loop
// that it asks for, finds nothing that makes a kernel faster (measured: bench/README.md's table with and without). And
// modules have no exceptions, garbage collection, instrumentation, debug information or matrix tiles to lower.
constexpr std::string_view kUnwantedPasses[] = {
    "loop-reduce",
    "canon-freeze",
    "mergeicmps",
    "expand-memcmp",
    "partially-inline-libcalls",
    "replace-with-veclib",
    "gc-lowering",
    "shadow-stack-gc-lowering",
    "gc-analysis",
    "fixup-statepoint-caller-saved",
    "stackmap-liveness",
    "post-inline-ee-instrument",
    "xray-instrumentation",
    "patchable-function",
    "fentry-insert",
    "kcfi",
    "machine-sanmd",
    "pseudo-probe-inserter",
    "objc-arc-contract",
    "callbrprepare",
    "indirectbr-expand",
    "dwarf-eh-prepare",
    "safe-stack",
    "funclet-layout",
    "removeredundantdebugvalues",
    "livedebugvalues",
    "stack-frame-layout",
    "regallocscoringpass",
    "remove-loads-into-fake-uses",
    "x86-slh",
    "x86-seses",
    "x86-lvi-load",
    "x86-lvi-ret",
    "x86-return-thunks",
    "x86-lower-amx-type",
    "x86-lower-amx-intrinsics",
};

// LLVM's own pipeline, which differs from target to target, without those.
class Pipeline : public llvm::legacy::PassManager {
 public:
  void add(llvm::Pass* pass) override {
    const llvm::PassInfo* info = llvm::PassRegistry::getPassRegistry()->getPassInfo(pass->getPassID());
    if (info != nullptr && llvm::is_contained(kUnwantedPasses, std::string_view(info->getPassArgument()))) {
      delete pass;  // it was the manager's to own
    } else {
      llvm::legacy::PassManager::add(pass);
    }
  }
};

// Uses the module up: code generation rewrites the IR for one target.
std::expected<std::string, Error> Generate(llvm::Module& module, const Target& target, llvm::CodeGenFileType type,
                                           Frames& frames) {
  std::string complaint;
  llvm::raw_string_ostream complaints(complaint);
  if (llvm::verifyModule(module, &complaints)) {
    return std::unexpected(Error{fmt::format("module `{}` does not verify: {}", module.getName().str(), complaint)});
  }
  Target::Machine machine = target.BorrowMachine();
  if (module.getDataLayout() != machine->createDataLayout()) {
    return std::unexpected(Error{fmt::format("module `{}` is laid out for `{}` and not for `{}`",
                                             module.getName().str(), module.getTargetTriple().str(), target.triple())});
  }

  // A frame of more bytes than none is reported.
  for (llvm::Function& function : module) {
    if (!function.isDeclaration()) function.addFnAttr("warn-stack-size", "0");
  }
  std::string errors;
  std::unique_ptr<llvm::DiagnosticHandler> handler = module.getContext().getDiagnosticHandler();
  module.getContext().setDiagnosticHandler(std::make_unique<Collect>(errors, frames));
  llvm::SmallVector<char, 0> bytes;
  llvm::raw_svector_ostream stream(bytes);
  Pipeline passes;
  bool is_unable = machine->addPassesToEmitFile(passes, stream, nullptr, type);
  if (!is_unable) passes.run(module);
  module.getContext().setDiagnosticHandler(std::move(handler));

  if (is_unable) errors = "the target cannot write this kind of file";
  if (!errors.empty()) {
    return std::unexpected(Error{fmt::format("cannot generate code for `{}`: {}", target.description(), errors)});
  }
  return std::string(bytes.begin(), bytes.end());
}

// The name that C gives a symbol: some formats put an underscore before it.
std::string_view CName(std::string_view symbol, const llvm::object::ObjectFile& file) {
  bool has_prefix = file.isMachO() || (file.isCOFF() && file.getArch() == llvm::Triple::x86);
  if (has_prefix && symbol.starts_with('_')) symbol.remove_prefix(1);
  return symbol;
}

llvm::Expected<ObjectReport> Inspect(llvm::MemoryBufferRef buffer) {
  auto file = llvm::object::ObjectFile::createObjectFile(buffer);
  if (!file) return file.takeError();
  ObjectReport report;
  for (const llvm::object::SectionRef& section : (*file)->sections()) {
    if (section.isText()) report.text_bytes += section.getSize();
    if (section.isData()) report.read_only_bytes += section.getSize();
    llvm::Expected<llvm::StringRef> name = section.getName();
    if (!name) return name.takeError();
    // Addresses in position independent constants are filled in by the loader, which then protects them.
    const bool is_written = file->get()->isELF() &&
                            (llvm::object::ELFSectionRef(section).getFlags() & llvm::ELF::SHF_WRITE) != 0 &&
                            !name->starts_with(".data.rel.ro");
    if (is_written && section.getSize() > 0) report.writable.push_back(name->str());
  }
  for (const llvm::object::SymbolRef& symbol : (*file)->symbols()) {
    llvm::Expected<uint32_t> flags = symbol.getFlags();
    if (!flags) return flags.takeError();
    if ((*flags & llvm::object::SymbolRef::SF_Undefined) == 0) continue;
    llvm::Expected<llvm::StringRef> name = symbol.getName();
    if (!name) return name.takeError();
    if (name->empty() || llvm::is_contained(kMadeByLinkers, std::string_view(*name))) continue;
    report.undefined.emplace_back(CName(*name, **file));
  }
  std::ranges::sort(report.undefined);
  auto repeated = std::ranges::unique(report.undefined);
  report.undefined.erase(repeated.begin(), repeated.end());
  return report;
}

}  // namespace

std::expected<std::string, Error> ConsumeIntoObject(llvm::Module& module, const Target& target, ObjectReport* report,
                                                    std::span<const std::string> elsewhere) {
  Frames frames;
  auto object = Generate(module, target, llvm::CodeGenFileType::ObjectFile, frames);
  if (!object) return object;
  auto found = InspectObject(*object);
  if (!found) return std::unexpected(found.error());
  auto refuse = [&](const std::string& what) {
    return std::unexpected(Error{fmt::format("code for `{}` {}", target.description(), what)});
  };
  std::erase_if(found->undefined, [&](const std::string& name) { return llvm::is_contained(elsewhere, name); });
  if (!found->undefined.empty())
    return refuse(fmt::format("calls `{}`, but may call nothing", fmt::join(found->undefined, "`, `")));
  if (!found->writable.empty())
    return refuse(fmt::format("writes to memory of its own, in `{}`", fmt::join(found->writable, "`, `")));
  StackMeter meter(frames, module.getDataLayout().getPointerSize());
  for (const llvm::Function& function : module) {
    if (function.isDeclaration() || function.hasLocalLinkage()) continue;
    const std::optional<uint64_t> bytes = meter.BytesOf(function);
    if (!bytes) return refuse(fmt::format("takes an unknown part of the stack in `{}`", function.getName().str()));
    found->stack_bytes[function.getName().str()] = *bytes + RedZoneBytes(module.getTargetTriple());
  }
  // An indirect function is one of those whose addresses its resolver has.
  for (const llvm::GlobalIFunc& indirect : module.ifuncs()) {
    uint64_t& most = found->stack_bytes[indirect.getName().str()];
    for (const llvm::Instruction& instruction : llvm::instructions(*indirect.getResolverFunction())) {
      for (const llvm::Use& operand : instruction.operands()) {
        const auto* version = llvm::dyn_cast<llvm::Function>(operand);
        const std::optional<uint64_t> bytes = version == nullptr ? 0 : meter.BytesOf(*version);
        if (!bytes) return refuse(fmt::format("takes an unknown part of the stack in `{}`", indirect.getName().str()));
        most = std::max(most, *bytes + RedZoneBytes(module.getTargetTriple()));
      }
    }
  }
  if (report != nullptr) *report = *std::move(found);
  return object;
}

std::expected<std::string, Error> CompileObject(const llvm::Module& module, const Target& target,
                                                ObjectReport* report) {
  return ConsumeIntoObject(*llvm::CloneModule(module), target, report);
}

std::expected<std::string, Error> CompileAssembly(const llvm::Module& module, const Target& target) {
  Frames frames;
  return Generate(*llvm::CloneModule(module), target, llvm::CodeGenFileType::AssemblyFile, frames);
}

std::expected<std::string, Error> MakeArchive(std::string_view object, std::string_view member) {
  std::vector<llvm::NewArchiveMember> members;
  members.emplace_back(llvm::MemoryBufferRef(object, member));
  auto archive = llvm::writeArchiveToBuffer(members, llvm::SymtabWritingMode::NormalSymtab,
                                            members.front().detectKindFromObject(), /*Deterministic=*/true,
                                            /*Thin=*/false);
  if (!archive) return std::unexpected(FromLlvm("cannot write an archive", archive.takeError()));
  return (*archive)->getBuffer().str();
}

std::string PrintLlvm(const llvm::Module& module) {
  std::string text;
  llvm::raw_string_ostream stream(text);
  module.print(stream, nullptr);
  return text;
}

std::expected<ObjectReport, Error> InspectObject(std::string_view object) {
  auto report = Inspect(llvm::MemoryBufferRef(object, "object"));
  if (!report) return std::unexpected(FromLlvm("cannot read the object", report.takeError()));
  return std::move(*report);
}

Error FromLlvm(std::string_view attempt, llvm::Error error) {
  return Error{fmt::format("{}: {}", attempt, llvm::toString(std::move(error)))};
}

}  // namespace recurve

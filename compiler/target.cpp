// compiler/target.cpp: names and numbers of processors, and a pool of LLVM's machines for them.

#include "compiler/target.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <llvm/ADT/StringMap.h>
#include <llvm/IR/Module.h>
#include <llvm/MC/MCSubtargetInfo.h>
#include <llvm/MC/TargetRegistry.h>
#include <llvm/Support/TargetSelect.h>
#include <llvm/Target/TargetMachine.h>
#include <llvm/TargetParser/Host.h>
#include <llvm/TargetParser/SubtargetFeature.h>
#include <unistd.h>

#include <mutex>
#include <set>
#include <utility>
#include <vector>

namespace recurve {

// What a Target is made of. Immutable but for the pool.
struct TargetContents {
  const llvm::Target* backend = nullptr;
  llvm::Triple triple;
  std::string triple_text, cpu, features;
  std::optional<bool> position_independent;
  TargetFacts facts;
  std::string why_not_here;

  std::mutex mutex;
  std::vector<std::unique_ptr<llvm::TargetMachine>> idle;  // guarded by mutex

  std::unique_ptr<llvm::TargetMachine> MakeMachine() const;
};

namespace {

// Registers every back end of this build of LLVM, which takes about a millisecond, once.
void InitializeBackends() {
  static std::once_flag once;
  std::call_once(once, [] {
    llvm::InitializeAllTargets();
    llvm::InitializeAllTargetMCs();
    llvm::InitializeAllAsmPrinters();
    llvm::InitializeAllAsmParsers();  // versions.cpp has two instructions of its own
  });
}

// Registers and instructions, by what a processor has. The first row of its family whose features it has is its own.
struct FactsRow {
  std::string_view family;  // llvm::Triple::getArchTypePrefix
  std::string_view features;
  int vector_bytes, vector_registers;
  // Features that mean yes; "" is always, "-" is never.
  std::string_view vectors_of_f64, fused_multiply_add, half_conversions;
};
constexpr std::string_view kNever = "-";

// AVX-512 without 512-bit registers (AVX10/256) does not exist in silicon, and 32-bit x86 sees eight registers of any
// width. RISC-V names its smallest vector length in `zvl`; code for a longer one is not portable to a shorter one. NEON
// of 32-bit Arm and Helium have no doubles; a Cortex-M without Helium computes on 32 scalars. SVE has no constant
// length.
constexpr FactsRow kFacts[] = {
    {"x86", "+avx512f,+64bit-mode", 64, 32, "", "+fma", "+f16c"},
    {"x86", "+avx,+64bit-mode", 32, 16, "", "+fma", "+f16c"},
    {"x86", "+sse2,+64bit-mode", 16, 16, "", "+fma", "+f16c"},
    {"x86", "+avx", 32, 8, "", "+fma", "+f16c"},
    {"x86", "+sse2", 16, 8, "", "+fma", "+f16c"},
    {"aarch64", "+neon", 16, 32, "", "", ""},
    {"riscv", "+zve32f,+zvl1024b", 128, 32, "+zve64d", "", "+zvfhmin,+zfhmin"},
    {"riscv", "+zve32f,+zvl512b", 64, 32, "+zve64d", "", "+zvfhmin,+zfhmin"},
    {"riscv", "+zve32f,+zvl256b", 32, 32, "+zve64d", "", "+zvfhmin,+zfhmin"},
    {"riscv", "+zve32f,+zvl128b", 16, 32, "+zve64d", "", "+zvfhmin,+zfhmin"},
    {"riscv", "+f", 0, 32, kNever, "", "+zfhmin"},
    {"wasm", "+simd128", 16, 16, "", kNever, kNever},
    {"arm", "+mve.fp", 16, 8, kNever, "", kNever},
    {"arm", "+neon", 16, 16, kNever, "+vfp4", kNever},
    {"arm", "+vfp2sp", 0, 32, kNever, "+vfp4d16sp", "+fp16"},
    {"ppc", "+vsx", 16, 64, "", "", kNever},
    {"s390", "+vector-enhancements-1", 16, 32, "", "", kNever},
    {"loongarch", "+lasx", 32, 32, "", "+f", kNever},
    {"loongarch", "+lsx", 16, 32, "", "+f", kNever},
};

// Caches of a typical core, where the real ones cannot be asked.
struct CacheRow {
  std::string_view family;
  size_t l1_bytes, l2_bytes;
};
constexpr CacheRow kCaches[] = {
    {"x86", 32 << 10, 512 << 10},  {"aarch64", 64 << 10, 512 << 10},   {"riscv", 32 << 10, 256 << 10},
    {"wasm", 32 << 10, 256 << 10}, {"ppc", 32 << 10, 512 << 10},       {"s390", 128 << 10, 2048 << 10},
    {"arm", 16 << 10, 0},          {"loongarch", 64 << 10, 256 << 10},
};

// What toolchains mean by an architecture when nobody names a processor, where LLVM means less: hardware
// floating point on 64-bit RISC-V, the vectors and block copies that every WebAssembly engine has.
std::string_view BaselineFeatures(const llvm::Triple& triple) {
  if (triple.isRISCV64()) return "+m,+a,+f,+d,+c";
  if (triple.isWasm()) return "+simd128,+bulk-memory,+bulk-memory-opt";
  return "";
}

// Graphics processors and the like are registered too, but have no C functions to export.
bool IsProcessor(llvm::Triple::ArchType arch) {
  llvm::Triple triple;
  triple.setArch(arch);
  return !triple.isGPU() && !triple.isBPF() && !triple.isSPIROrSPIRV();
}

std::set<std::string> Architectures() {
  std::set<std::string> names;
  for (const llvm::Target& backend : llvm::TargetRegistry::targets()) {
    bool known = backend.hasTargetMachine() && backend.hasMCAsmBackend();
    if (known && IsProcessor(llvm::Triple::getArchTypeForLLVMName(backend.getName()))) names.insert(backend.getName());
  }
  return names;
}

size_t CacheBytes([[maybe_unused]] int level, size_t otherwise) {
#ifdef _SC_LEVEL1_DCACHE_SIZE
  long bytes = sysconf(level == 1 ? _SC_LEVEL1_DCACHE_SIZE : _SC_LEVEL2_CACHE_SIZE);
  if (bytes > 0) return static_cast<size_t>(bytes);
#endif
  return otherwise;
}

TargetFacts FactsOf(const llvm::Triple& triple, const llvm::MCSubtargetInfo& subtarget, bool is_this_machine) {
  std::string_view family = llvm::Triple::getArchTypePrefix(triple.getArch());
  auto has = [&](std::string_view features) {
    return features.empty() || (features != kNever && subtarget.checkFeatures(features));
  };
  TargetFacts facts;
  facts.pointer_bits = static_cast<int>(triple.getArchPointerBitWidth());
  for (const FactsRow& row : kFacts) {
    if (family != row.family || !has(row.features)) continue;
    facts.vector_bytes = row.vector_bytes;
    facts.vector_registers = row.vector_registers;
    facts.vectors_of_f64 = has(row.vectors_of_f64);
    facts.fused_multiply_add = has(row.fused_multiply_add);
    facts.half_conversions = has(row.half_conversions);
    break;
  }
  facts.scalar_selects = !triple.isRISCV();
  for (const CacheRow& row : kCaches) {
    if (family != row.family) continue;
    facts.l1_bytes = is_this_machine ? CacheBytes(1, row.l1_bytes) : row.l1_bytes;
    facts.l2_bytes = is_this_machine ? CacheBytes(2, row.l2_bytes) : row.l2_bytes;
  }
  return facts;
}

// The processor's own features are checked and not its name: code for an older relative runs here as well.
std::string WhyNotHere(const llvm::Triple& triple, const llvm::Triple& host, const llvm::MCSubtargetInfo& subtarget) {
  if (triple.getArch() != host.getArch() || triple.getOS() != host.getOS()) {
    return fmt::format("it is `{}` and this machine is `{}`", triple.str(), host.str());
  }
  std::set<std::string> missing;
  for (const auto& feature : llvm::sys::getHostCPUFeatures()) {
    std::string name = feature.getKey().str();
    if (!feature.getValue() && subtarget.checkFeatures("+" + name)) missing.insert(name);
  }
  if (missing.empty()) return "";
  return fmt::format("it needs `{}`, which this machine lacks", fmt::join(missing, "`, `"));
}

// LLVM warns on the terminal about names that it does not know; asking first keeps the library quiet.
std::expected<void, Error> CheckNames(const llvm::MCSubtargetInfo& known, std::string_view architecture,
                                      const std::string& cpu, const std::string& features) {
  if (!known.isCPUStringValid(cpu)) {
    std::set<std::string_view> names;
    for (const auto& row : known.getAllProcessorDescriptions()) names.insert(row.Key);
    return std::unexpected(Error{fmt::format("no processor `{}` in architecture `{}`; there are {}", cpu, architecture,
                                             fmt::join(names, ", "))});
  }
  const llvm::SubtargetFeatures asked(features);
  for (const std::string& feature : asked.getFeatures()) {
    std::string_view name = llvm::SubtargetFeatures::StripFlag(feature);
    auto has_name = [&](const llvm::SubtargetFeatureKV& row) { return row.Key == name; };
    if (llvm::SubtargetFeatures::hasFlag(feature) && llvm::any_of(known.getAllProcessorFeatures(), has_name)) continue;
    std::set<std::string_view> names;
    for (const auto& row : known.getAllProcessorFeatures()) names.insert(row.Key);
    return std::unexpected(
        Error{fmt::format("no feature `{}` in architecture `{}`; written as +NAME or -NAME there are {}", feature,
                          architecture, fmt::join(names, ", "))});
  }
  return {};
}

// WebAssembly and small machines without a loader have addresses that are fixed when they are linked.
llvm::Reloc::Model RelocationModel(const llvm::Triple& triple, std::optional<bool> position_independent) {
  if (position_independent) return *position_independent ? llvm::Reloc::PIC_ : llvm::Reloc::Static;
  bool is_bare_metal = triple.getOS() == llvm::Triple::UnknownOS && triple.isArch32Bit();
  return triple.isWasm() || is_bare_metal ? llvm::Reloc::Static : llvm::Reloc::PIC_;
}

}  // namespace

std::unique_ptr<llvm::TargetMachine> TargetContents::MakeMachine() const {
  llvm::TargetOptions options;
  options.FunctionSections = true;
  options.DataSections = true;
  // Names memcpy and memset on Arm, instead of the __aeabi_ synonyms of the embedded ABI. Has no other effect on code
  // that calls nothing else.
  options.EABIVersion = llvm::EABI::GNU;
  return std::unique_ptr<llvm::TargetMachine>(
      backend->createTargetMachine(triple, cpu, features, options, RelocationModel(triple, position_independent),
                                   std::nullopt, llvm::CodeGenOptLevel::Less));
}

const std::string& Target::triple() const { return contents_->triple_text; }
const std::string& Target::cpu() const { return contents_->cpu; }
const std::string& Target::features() const { return contents_->features; }
const TargetFacts& Target::facts() const { return contents_->facts; }
const std::string& Target::why_not_here() const { return contents_->why_not_here; }
std::string Target::description() const { return triple() + " " + cpu(); }

void Target::Configure(llvm::Module& module) const {
  module.setTargetTriple(contents_->triple);
  module.setDataLayout(BorrowMachine()->createDataLayout());
}

Target::Machine Target::BorrowMachine() const {
  std::unique_ptr<llvm::TargetMachine> machine;
  {
    std::scoped_lock lock(contents_->mutex);
    if (!contents_->idle.empty()) {
      machine = std::move(contents_->idle.back());
      contents_->idle.pop_back();
    }
  }
  if (machine == nullptr) machine = contents_->MakeMachine();
  return {machine.release(), Return{contents_}};
}

void Target::Return::operator()(llvm::TargetMachine* machine) const {
  std::scoped_lock lock(pool->mutex);
  pool->idle.emplace_back(machine);
}

std::string ThisMachine() {
  std::set<std::string> features;
  for (const auto& feature : llvm::sys::getHostCPUFeatures())
    features.insert((feature.getValue() ? "+" : "-") + feature.getKey().str());
  return fmt::format("{} {} {} {} {}", llvm::sys::getProcessTriple(), llvm::sys::getHostCPUName().str(),
                     fmt::join(features, ","), CacheBytes(1, 0), CacheBytes(2, 0));
}

std::expected<Target, Error> MakeTarget(const TargetSpec& spec) {
  InitializeBackends();
  const llvm::Triple host(llvm::sys::getProcessTriple());
  auto contents = std::make_shared<TargetContents>();
  contents->triple = spec.triple.empty() ? host : llvm::Triple(llvm::Triple::normalize(spec.triple));
  const llvm::Triple& triple = contents->triple;
  contents->triple_text = triple.str();
  contents->position_independent = spec.position_independent;

  std::string why;
  contents->backend = llvm::TargetRegistry::lookupTarget(triple, why);
  if (contents->backend == nullptr || !IsProcessor(triple.getArch()) || !contents->backend->hasMCAsmBackend()) {
    return std::unexpected(Error{
        fmt::format("no code generator for target `{}`; there are {}", spec.triple, fmt::join(Architectures(), ", "))});
  }

  bool is_host_architecture = triple.getArch() == host.getArch();
  bool is_native = spec.cpu == "native" || (spec.cpu.empty() && spec.triple.empty());
  if (is_native && !is_host_architecture) {
    return std::unexpected(
        Error{fmt::format("cpu `native` is this machine's, of architecture `{}`; target `{}` is another",
                          host.getArchName().str(), triple.str())});
  }
  llvm::SubtargetFeatures features;
  contents->cpu = spec.cpu;
  if (is_native) {
    contents->cpu = llvm::sys::getHostCPUName().str();
    for (const auto& feature : llvm::sys::getHostCPUFeatures())
      features.AddFeature(feature.getKey(), feature.getValue());
  } else if (spec.cpu.empty()) {
    contents->cpu = "generic";
    features = llvm::SubtargetFeatures(BaselineFeatures(triple));
  }
  features.addFeaturesVector(llvm::SubtargetFeatures(spec.features).getFeatures());
  contents->features = features.getString();

  std::string_view architecture = contents->backend->getName();
  std::unique_ptr<llvm::MCSubtargetInfo> known(contents->backend->createMCSubtargetInfo(triple, "", ""));
  if (auto checked = CheckNames(*known, architecture, contents->cpu, contents->features); !checked) {
    return std::unexpected(checked.error());
  }
  std::unique_ptr<llvm::MCSubtargetInfo> subtarget(
      contents->backend->createMCSubtargetInfo(triple, contents->cpu, contents->features));
  contents->facts = FactsOf(triple, *subtarget, is_native);
  contents->why_not_here = WhyNotHere(triple, host, *subtarget);
  return Target(std::move(contents));
}

}  // namespace recurve

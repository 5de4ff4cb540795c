// compiler/limits.cpp: a multiply-add loop and a read loop as text, compiled like any kernel.

#include "compiler/limits.h"

#include <fmt/format.h>
#include <llvm/AsmParser/Parser.h>
#include <llvm/IR/LLVMContext.h>
#include <llvm/IR/Module.h>
#include <llvm/Support/SourceMgr.h>

#include <algorithm>
#include <chrono>
#include <span>
#include <string>

#include "compiler/descriptor.h"
#include "runtime/aligned_memory.h"

namespace recurve {
namespace {

constexpr int kReadVectors = 8;  // side by side, each with a sum of its own
constexpr int kRuns = 12;

// A loop of `chains` accumulators that start as `start` and become `step` in every round. Slots: rounds, memory. The
// sum of all ends in memory, so that no compiler drops it.
std::string Loop(const std::string& function, int chains, const std::string& vector, const std::string& size,
                 const std::string& before, const std::string& address, const std::string& step) {
  std::string text = fmt::format(
      "define void @limits_{0}(ptr %slots) nounwind \"prefer-vector-width\"=\"512\" \"min-legal-vector-width\"=\"512\" "
      "{{\nentry:\n"
      "  %rounds = load {1}, ptr %slots\n  %place = getelementptr {1}, ptr %slots, i32 1\n"
      "  %memory = load ptr, ptr %place\n{2}  br label %loop\nloop:\n"
      "  %i = phi {1} [0, %entry], [%next, %loop]\n",
      function, size, before);
  for (int c = 0; c < chains; ++c) {
    text += fmt::format("  %sum{0} = phi {1} [zeroinitializer, %entry], [%sum_next{0}, %loop]\n", c, vector);
  }
  text += address;
  for (int c = 0; c < chains; ++c) text += fmt::format(fmt::runtime(step), fmt::arg("c", c), fmt::arg("v", vector));
  text += fmt::format("  %next = add {0} %i, 1\n  %more = icmp ult {0} %next, %rounds\n", size);
  text += "  br i1 %more, label %loop, label %done\ndone:\n";
  std::string total = "%sum_next0";
  for (int c = 1; c < chains; ++c) {
    text += fmt::format("  %total{0} = fadd {1} {2}, %sum_next{0}\n", c, vector, total);
    total = fmt::format("%total{}", c);
  }
  return text + fmt::format("  store {} {}, ptr %memory\n  ret void\n}}\n", vector, total);
}

double SecondsOf(const recurve_entry& entry, const uintptr_t* slots) {
  const auto begin = std::chrono::steady_clock::now();
  entry.run(slots);
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

// Rounds a second, the best of some runs that are as long as a scheduler rarely interrupts. slots[0] is their number.
double RoundsASecond(const recurve_entry& entry, std::span<uintptr_t> slots) {
  double seconds = SecondsOf(entry, slots.data());
  while (seconds < 5e-4) {
    slots[0] *= 2;
    seconds = SecondsOf(entry, slots.data());
  }
  for (int run = 0; run < kRuns; ++run) seconds = std::min(seconds, SecondsOf(entry, slots.data()));
  return static_cast<double>(slots[0]) / seconds;
}

}  // namespace

std::expected<MachineLimits, Error> MachineLimits::Prepare(const Target& target, Precision precision) {
  const TargetFacts& facts = target.facts();
  const int bytes = ElementBytes(precision), lanes = facts.Lanes(bytes);
  const std::string real = precision == Precision::kF32 ? "float" : "double";
  const std::string vector = fmt::format("<{} x {}>", lanes, real), size = fmt::format("i{}", facts.pointer_bits);
  const std::string suffix = fmt::format("v{}f{}", lanes, bytes * 8);
  const std::string multiply_add = facts.fused_multiply_add ? "llvm.fma" : "llvm.fmuladd";
  // Enough chains to hide a latency of five cycles with two units; two registers hold the factors.
  const int chains = std::min(24, facts.vector_registers - 4);
  const std::string factors = fmt::format(
      "  %a = load {0}, ptr %memory\n  %p = getelementptr {0}, ptr %memory, i32 1\n  %b = load {0}, ptr %p\n", vector);
  std::string text = fmt::format("declare {0} @{1}.{2}({0}, {0}, {0})\n", vector, multiply_add, suffix);
  text += Loop(
      "fma", chains, vector, size, factors, "",
      fmt::format("  %sum_next{{c}} = call {{v}} @{}.{}({{v}} %sum{{c}}, {{v}} %a, {{v}} %b)\n", multiply_add, suffix));
  text += Loop(
      "read", kReadVectors, vector, size,
      fmt::format("  %end_place = getelementptr {0}, ptr %slots, i32 2\n  %mask = load {0}, ptr %end_place\n", size),
      fmt::format("  %at = and {0} %i, %mask\n  %first = mul {0} %at, {1}\n", size, kReadVectors),
      fmt::format("  %index{{c}} = add {0} %first, {{c}}\n  %from{{c}} = getelementptr {{v}}, ptr %memory, {0} "
                  "%index{{c}}\n  %value{{c}} = load {{v}}, ptr %from{{c}}\n"
                  "  %sum_next{{c}} = fadd {{v}} %sum{{c}}, %value{{c}}\n",
                  size));
  llvm::LLVMContext context;
  llvm::SMDiagnostic mistake;
  std::unique_ptr<llvm::Module> module = llvm::parseAssemblyString(text, mistake, context);
  if (module == nullptr) return std::unexpected(Error{"measuring the machine: " + mistake.getMessage().str()});
  target.Configure(*module);
  const ProgramInterface interface{
      .name = "limits", .target = target.description(), .precision = precision, .entries = {{"fma", {}}, {"read", {}}}};
  EmitDescriptor(*module, interface);
  std::expected<LoadedCode, Error> code = Jit(*module, interface, target);
  if (!code) return std::unexpected(code.error());
  MachineLimits limits;
  limits.code_ = *std::move(code);
  limits.flops_a_round_ = 2.0 * lanes * chains;
  limits.bytes_a_round_ = static_cast<size_t>(kReadVectors) * static_cast<size_t>(lanes * bytes);
  return limits;
}

double MachineLimits::PeakFlops() const {
  // Factor and term of every chain: values neither vanish nor overflow.
  alignas(RECURVE_ALIGNMENT) double memory[64];
  std::ranges::fill(memory, 0.25);
  uintptr_t slots[] = {1000, reinterpret_cast<uintptr_t>(memory)};
  return RoundsASecond(code_.program->entries[0], slots) * flops_a_round_ * 1e-9;
}

double MachineLimits::ReadBandwidth(size_t bytes) const {
  size_t rounds = 1;
  while (rounds * 2 * bytes_a_round_ <= bytes) rounds *= 2;
  AlignedMemory memory;
  if (!memory.Reserve(rounds * bytes_a_round_)) return 0;
  uintptr_t slots[] = {rounds * 4, reinterpret_cast<uintptr_t>(memory.data()), rounds - 1};
  return RoundsASecond(code_.program->entries[1], slots) * static_cast<double>(bytes_a_round_) * 1e-9;
}

}  // namespace recurve

// compiler/target.h: the processor that code is generated for.
//
// The planner asks a Target what it must know to choose tiles (`facts`), the emitter lets it set up an empty module
// (`Configure`), and the object writer borrows one of its machines. The same three serve a host that runs the code at
// once and a microcontroller that never sees a compiler; only the numbers differ.
//
//   std::expected<Target, Error> host = MakeTarget({});
//   std::expected<Target, Error> board = MakeTarget({.triple = "thumbv7em-none-eabihf", .cpu = "cortex-m4"});
//
// Code is generated at LLVM's codegen level 1 and without passes over the IR: the emitter writes the loops that it
// wants, and more work by LLVM makes a compilation slower but no kernel faster. Objects are position independent where
// a loader may want that, and each function and table has a section of its own, so that a linker drops unused ones.
// Strict IEEE arithmetic: nothing is contracted or reordered that the emitter did not write so.

#ifndef RECURVE_COMPILER_TARGET_H_
#define RECURVE_COMPILER_TARGET_H_

#include <algorithm>
#include <cstddef>
#include <expected>
#include <memory>
#include <optional>
#include <string>

#include "runtime/error.h"

namespace llvm {
class Module;
class TargetMachine;
}  // namespace llvm

namespace recurve {

// What a person says about a target. An empty triple is this machine; an empty cpu is this machine's for the host's
// triple and the architecture's usual baseline for any other; "native" is this machine's. Features are LLVM's, e.g.
// "+simd128,-fma", and come on top of the cpu's.
struct TargetSpec {
  std::string triple, cpu, features;
  // Code that runs wherever it is loaded. Where nothing is said: yes, but for WebAssembly and bare 32-bit machines.
  std::optional<bool> position_independent = {};
};

// What the planner must know. Numbers are of one core.
struct TargetFacts {
  int vector_bytes = 0;       // the widest register that arithmetic works on; 0: scalars only
  int vector_registers = 16;  // how many of those, or of the scalar floating-point registers
  bool vectors_of_f64 = false;
  bool fused_multiply_add = false;  // llvm.fma is an instruction and not a call
  bool half_conversions = false;    // and so are fpext from f16 and fptrunc to it
  bool scalar_selects = true;       // of two floating-point scalars one is chosen without a branch
  int pointer_bits = 64;
  size_t l1_bytes = 0, l2_bytes = 0;  // data caches; 0: there is none

  // Elements of this size in one register; 1 where vectors do not hold them.
  int Lanes(int element_bytes) const {
    return element_bytes == 8 && !vectors_of_f64 ? 1 : std::max(1, vector_bytes / element_bytes);
  }
};

class Target {
 public:
  // The normalized triple, the processor and the features as LLVM takes them; never "native".
  const std::string& triple() const;
  const std::string& cpu() const;
  const std::string& features() const;
  // Triple and cpu, for people: "x86_64-pc-linux-gnu znver3".
  std::string description() const;
  const TargetFacts& facts() const;
  // Why this machine cannot run the code, or an empty string if it can.
  const std::string& why_not_here() const;

  // Gives an empty module the target's triple and data layout.
  void Configure(llvm::Module& module) const;

  // A machine for one compilation. Machines are costly to make and serve one thread at a time, so that they come from
  // a pool, and go back to it when the lease ends. Copies of a Target share the pool.
  struct Return {
    void operator()(llvm::TargetMachine* machine) const;
    std::shared_ptr<struct TargetContents> pool;
  };
  using Machine = std::unique_ptr<llvm::TargetMachine, Return>;
  Machine BorrowMachine() const;

 private:
  friend std::expected<Target, Error> MakeTarget(const TargetSpec& spec);
  explicit Target(std::shared_ptr<TargetContents> contents) : contents_(std::move(contents)) {}
  std::shared_ptr<TargetContents> contents_;
};

// All that makes code for this machine differ from code for another: triple, processor, features, cache sizes.
std::string ThisMachine();

// Fails for a triple, processor or feature that this build of LLVM does not know, and lists those that it does.
std::expected<Target, Error> MakeTarget(const TargetSpec& spec);

}  // namespace recurve

#endif  // RECURVE_COMPILER_TARGET_H_

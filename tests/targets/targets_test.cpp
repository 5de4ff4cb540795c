// tests/targets/targets_test.cpp: the same golden vectors on every target, native or emulated.
//
// For each program the reference interpreter computes outputs and gradients in double, and `roundoff` how far a
// compiled program may be from them. Both become C arrays in a program without a C library, which calls pack, forward,
// backward and step of the object under test and compares. It runs as it is, under qemu's user mode, on qemu's boards
// or in node.

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "compiler/c_names.h"
#include "compiler/compile.h"
#include "compiler/gradcheck.h"
#include "compiler/roundoff.h"
#include "tests/support/commands.h"
#include "tests/support/graph_of.h"

namespace recurve {
namespace {

constexpr int64_t kSteps = 5, kBatch = 3;
constexpr uint64_t kHarnessStack = 512;

// A cell of the library, or one that nobody has: normalised, with a cosine and a maximum for gates.
std::string SourceOf(const std::string& cell) {
  const std::string own =
      "cell custom(I, H) {\n  input x: [I]\n  state h: [H], m: [H]\n  param W: [2*H, I], U: [2*H, H], b: [2*H]\n"
      "  a, g = split(W @ x + U @ h + b, 2)\n  z = sigmoid(layernorm(a))\n  m' = max(m * 0.9, tanh(g))\n"
      "  h' = z * h + (1 - z) * cos(m')\n  output h'\n}\n";
  return fmt::format(
      "{}model program(I, H) {{\n  input x: [I] over T\n  param P: [4, H], p: [4]\n  h = scan {}(H=H) over x\n"
      "  y = P @ h + p\n  output y\n}}\n",
      cell == "custom" ? own : "", cell);
}

constexpr const char* kPrograms[] = {"lstm", "gru", "custom"};

struct Machine {
  const char* name;
  TargetSpec spec;
  const char* flags;     // of clang, for the harness
  const char* platform;  // the file in platform/
  const char* run;       // a command; {} is the program
  bool has_f64 = true;   // in hardware
};

const Machine kMachines[] = {
    {"x86_64_v2", {"x86_64-linux-gnu", "x86-64-v2", ""}, "--target=x86_64-linux-gnu -static", "linux", "{}"},
    {"x86_64_v3", {"x86_64-linux-gnu", "x86-64-v3", ""}, "--target=x86_64-linux-gnu -static", "linux", "{}"},
    {"aarch64", {"aarch64-linux-gnu", "", ""}, "--target=aarch64-linux-gnu -static", "linux", "qemu-aarch64 {}"},
    {"riscv64",
     {"riscv64-linux-gnu", "", ""},
     "--target=riscv64-linux-gnu -march=rv64gc -mabi=lp64d -static",
     "linux",
     "qemu-riscv64 {}"},
    {"riscv64_v",
     {"riscv64-linux-gnu", "", "+v"},
     "--target=riscv64-linux-gnu -march=rv64gcv -mabi=lp64d -static",
     "linux",
     "qemu-riscv64 -cpu rv64,v=true,vlen=128,vext_spec=v1.0 {}"},
    {"cortex_m4f",
     {"thumbv7em-none-eabihf", "cortex-m4", ""},
     "--target=thumbv7em-none-eabihf -mcpu=cortex-m4 -Wl,--defsym=ROM=0 -Wl,--defsym=RAM=0x20000000",
     "cortex_m",
     "qemu-system-arm -M mps2-an386 -nographic -semihosting -kernel {}",
     false},
    {"cortex_m7",
     {"thumbv7em-none-eabihf", "cortex-m7", ""},
     "--target=thumbv7em-none-eabihf -mcpu=cortex-m7 -Wl,--defsym=ROM=0 -Wl,--defsym=RAM=0x20000000",
     "cortex_m",
     "qemu-system-arm -M mps2-an500 -nographic -semihosting -kernel {}",
     false},
    {"cortex_m55",
     {"thumbv8.1m.main-none-eabihf", "cortex-m55", ""},
     "--target=thumbv8.1m.main-none-eabihf -mcpu=cortex-m55 -Wl,--defsym=ROM=0x10000000 -Wl,--defsym=RAM=0x31000000",
     "cortex_m",
     "qemu-system-arm -M mps3-an547 -nographic -semihosting -kernel {}",
     false},
    {"wasm32", {"wasm32", "", ""}, "--target=wasm32 -Wl,--no-entry", "wasm", "node {js} {}"},
    {"wasm32_simd128", {"wasm32", "", "+simd128"}, "--target=wasm32 -msimd128 -Wl,--no-entry", "wasm", "node {js} {}"},
};

// Writes the C text of one program's case.
class CasePrinter {
 public:
  CasePrinter(const Trial& trial, const Artifacts& artifacts, Precision precision)
      : trial_(trial), c_(artifacts.interface), precision_(precision) {
    for (size_t i = 0; i < trial.arguments.size(); ++i)
      given_[trial.joint[trial.joint.inputs()[i]].As<ir::InputAttr>().name] = trial.arguments[i];
    for (size_t k = 0; k < trial.reference.size(); ++k) expected_[trial.joint.outputs()[k].name] = k;
  }

  std::string Print() {
    tolerances_ = RoundoffTolerance(trial_.joint, trial_.sizes, trial_.arguments, trial_.reference,
                                    UnitRoundoff(precision_), /*draws=*/10);
    text_ += fmt::format("#include \"harness.h\"\n#include \"{}.h\"\n\ntypedef {} real;\n", c_.name, c_.ElementType());
    for (const auto& [name, tensor] : given_) Array("given_" + CIdentifier(name), tensor.values);
    for (const auto& [name, k] : expected_) Array("expected_" + CIdentifier(name), trial_.reference[k].values);
    text_ += kCompare;
    text_ += fmt::format("\nint run_{0}(void) {{\n  int failures = 0;\n  void *packed, *tape, *workspace;\n", c_.name);
    text_ += fmt::format(
        "  reset_memory();\n  packed = take_memory({0}_PACKED_BYTES);\n  tape = take_memory({1}_tape_bytes({2}));\n"
        "  workspace = take_memory({1}_workspace_bytes({2}));\n",
        Upper(c_.name), c_.name, Sizes());
    for (const char* entry : {"pack", "forward", "backward"}) Call(*c_.FindFirst({entry}));
    Steps(*c_.FindFirst({"step"}));
    text_ += "  return failures;\n}\n";
    return std::move(text_);
  }

 private:
  static constexpr const char* kCompare = R"(
static int check(const char *name, const real *values, const real *expected, size_t count, real tolerance) {
  real largest = 0;
  for (size_t i = 0; i < count; ++i) {
    real error = values[i] - expected[i];
    if (error < 0) error = -error;
    if (!(error <= largest)) largest = error;
  }
  put(name);
  put(": ");
  if (largest <= tolerance) {
    put_number((unsigned)(100 * (largest / tolerance)));
    put(" % of the tolerance\n");
    return 0;
  }
  put("FAILED\n");
  return 1;
}
)";

  void Array(const std::string& name, const std::vector<double>& values) {
    text_ += fmt::format("static const real {}[{}] = {{{:.17e}}};\n", name, values.size(), fmt::join(values, ", "));
  }

  std::string Sizes() const {
    std::vector<std::string> sizes;
    for (const std::string& axis : c_.interface.axes) sizes.push_back(axis == "B" ? "3" : "5");
    return fmt::format("{}", fmt::join(sizes, ", "));
  }

  // A result is the expected one, rounded once more when it was written into the array.
  std::string Tolerance(const std::string& name) const {
    const size_t k = expected_.at(name);
    double largest = 0;
    for (double value : trial_.reference[k].values) largest = std::max(largest, std::abs(value));
    return fmt::format("(real){:.17e}", tolerances_[k] + UnitRoundoff(precision_) * largest);
  }

  std::string Value(const CMember& member) const {
    switch (member.slot->kind) {
      case RECURVE_SLOT_EXTENT: return member.slot->name == "B" ? "3" : "5";
      case RECURVE_SLOT_PACKED: return "packed";
      case RECURVE_SLOT_TAPE: return "tape";
      case RECURVE_SLOT_WORKSPACE: return "workspace";
      case RECURVE_SLOT_TEAM: return "NULL";
      case RECURVE_SLOT_OUTPUT: return "result_" + member.identifier;
      case RECURVE_SLOT_INPUT:
      case RECURVE_SLOT_PARAMETER:
      case RECURVE_SLOT_CONSTANT:
      case RECURVE_SLOT_STATE:
      case RECURVE_SLOT_ADJOINT: break;
    }
    return "given_" + CIdentifier(member.slot->name);
  }

  void Call(const CEntry& entry) {
    text_ += "  {\n";
    Open(entry);
    text_ += fmt::format("    {}(&args);\n", entry.symbol);
    for (const CMember& member : entry.members) {
      if (member.slot->kind != RECURVE_SLOT_OUTPUT) continue;
      text_ += fmt::format("    failures += check(\"{0} {1} {2}\", result_{3}, expected_{4}, {5}, {6});\n", c_.name,
                           entry.identifier, member.slot->name, member.identifier, CIdentifier(member.slot->name),
                           Count(member), Tolerance(member.slot->name));
    }
    text_ += "  }\n";
  }

  size_t Count(const CMember& member) const { return trial_.reference[expected_.at(member.slot->name)].values.size(); }

  void Open(const CEntry& entry) {
    text_ += fmt::format("    struct {}_args args;\n", entry.symbol);
    for (const CMember& member : entry.members) {
      if (member.slot->kind == RECURVE_SLOT_OUTPUT)
        text_ += fmt::format("    static real result_{}[{}];\n", member.identifier, Count(member));
    }
    for (const CMember& member : entry.members)
      text_ += fmt::format("    args.{} = {};\n", member.identifier, Value(member));
  }

  // All steps one by one, from the initial states that forward had; outputs are rows of forward's.
  void Steps(const CEntry& entry) {
    text_ += "  {\n";
    text_ += fmt::format("    struct {}_args args;\n    size_t t, i;\n", entry.symbol);
    std::string in_loop;
    for (const CMember& member : entry.members) {
      const std::string name = CIdentifier(member.slot->name);
      const recurve_slot_kind kind = member.slot->kind;
      if (kind == RECURVE_SLOT_STATE) {
        const size_t count = given_.at(member.slot->name + "0").values.size();
        text_ +=
            fmt::format("    static real state_{0}[{1}];\n    for (i = 0; i < {1}; ++i) state_{0}[i] = given_{2}[i];\n",
                        member.identifier, count, CIdentifier(member.slot->name + "0"));
        in_loop += fmt::format("      args.{0} = state_{0};\n", member.identifier);
      } else if (kind == RECURVE_SLOT_INPUT) {
        in_loop += fmt::format("      args.{} = given_{} + t * {};\n", member.identifier, name,
                               given_.at(member.slot->name).values.size() / kSteps);
      } else if (kind == RECURVE_SLOT_OUTPUT) {
        text_ += fmt::format("    static real result_{}[{}];\n", member.identifier, Count(member));
        in_loop += fmt::format("      args.{} = result_{} + t * {};\n", member.identifier, member.identifier,
                               Count(member) / kSteps);
      } else {
        in_loop += fmt::format("      args.{} = {};\n", member.identifier, Value(member));
      }
    }
    text_ +=
        fmt::format("    for (t = 0; t < {}; ++t) {{\n{}      {}(&args);\n    }}\n", kSteps, in_loop, entry.symbol);
    for (const CMember& member : entry.members) {
      if (member.slot->kind != RECURVE_SLOT_OUTPUT) continue;
      text_ += fmt::format("    failures += check(\"{} step {}\", result_{}, expected_{}, {}, {});\n", c_.name,
                           member.slot->name, member.identifier, CIdentifier(member.slot->name), Count(member),
                           Tolerance(member.slot->name));
    }
    text_ += "  }\n";
  }

  const Trial& trial_;
  const CProgram c_;
  Precision precision_;
  std::map<std::string, ir::Tensor> given_;
  std::map<std::string, size_t> expected_;
  std::vector<double> tolerances_;
  std::string text_;
};

struct MachineAndPrecision {
  Machine machine;
  Precision precision;
};

class Targets : public testing::TestWithParam<MachineAndPrecision> {
 protected:
  // The object, header and case of a program.
  void AddProgram(const std::string& cell) {
    const Precision precision = GetParam().precision;
    ir::Graph graph = GraphOf(SourceOf(cell), "program", {{"I", 6}, {"H", 18}});
    graph.name = cell;
    const CompileOptions options{.precision = precision, .target = GetParam().machine.spec};
    auto artifacts = CompileToObject(graph, options);
    ASSERT_TRUE(artifacts) << artifacts.error().message;
    const Trial trial = MakeTrial(graph, {{"T", kSteps}, {"B", kBatch}}, /*seed=*/5);
    for (const auto& [function, bytes] : artifacts->report.stack_bytes) stack_bytes_ = std::max(stack_bytes_, bytes);
    folder_.Write(cell + ".o", artifacts->object);
    folder_.Write(cell + ".h", artifacts->header);
    folder_.Write("case_" + cell + ".c", CasePrinter(trial, *artifacts, precision).Print());
  }

  void RunAll() {
    const Machine& machine = GetParam().machine;
    std::string calls = "#include \"harness.h\"\n", sum = "0";
    for (const char* cell : kPrograms) {
      ASSERT_NO_FATAL_FAILURE(AddProgram(cell));
      calls += fmt::format("int run_{}(void);\n", cell);
      sum += fmt::format(" + run_{}()", cell);
    }
    folder_.Write("cases.c", calls + fmt::format("int run_cases(void) {{ return {}; }}\n", sum));
    const std::string platform = RECURVE_SOURCE_DIR "/tests/targets/platform";
    const std::string program = (folder_.path() / "program").string();
    std::string command = fmt::format(
        "cd {} && clang-22 -std=c99 -O1 -ffreestanding -nostdlib -fno-pic -fuse-ld=lld {} -I{} -I. {}/{}.c "
        "{}/harness.c *.c *.o "
        "-o {}",
        folder_.path().string(), machine.flags, platform, platform, machine.platform, platform, program);
    // As much stack as the programs are said to take, and what the harness itself needs.
    if (machine.platform == std::string("cortex_m")) {
      command += fmt::format(" -Wl,-T,{}/cortex_m.ld -Wl,-e,0 -Wl,--defsym=STACK={}", platform,
                             (stack_bytes_ + kHarnessStack + 7) / 8 * 8);
    }
    const Outcome linked = Shell(command);
    ASSERT_EQ(linked.exit_code, 0) << linked.output;

    std::string run = machine.run;
    if (const size_t at = run.find("{js}"); at != std::string::npos) run.replace(at, 4, platform + "/wasm.js");
    run.replace(run.find("{}"), 2, program);
    const Outcome outcome = Shell("timeout 60 " + run);
    EXPECT_EQ(outcome.exit_code, 0) << run << "\n" << outcome.output;
    EXPECT_EQ(outcome.output.find("FAIL"), std::string::npos) << outcome.output;
    for (const char* cell : kPrograms) {
      for (const char* what : {"forward y", "backward x_adj", "step y"})
        EXPECT_NE(outcome.output.find(fmt::format("{} {}: ", cell, what)), std::string::npos) << outcome.output;
    }
  }

  Folder folder_;
  uint64_t stack_bytes_ = 0;
};

TEST_P(Targets, GiveTheGoldenVectors) { RunAll(); }

std::vector<MachineAndPrecision> All() {
  std::vector<MachineAndPrecision> all;
  for (const Machine& machine : kMachines) {
    all.push_back({machine, Precision::kF32});
    if (machine.has_f64) all.push_back({machine, Precision::kF64});
  }
  return all;
}

INSTANTIATE_TEST_SUITE_P(Machines, Targets, testing::ValuesIn(All()), [](const auto& info) {
  return fmt::format("{}_{}", info.param.machine.name, info.param.precision == Precision::kF32 ? "f32" : "f64");
});

}  // namespace
}  // namespace recurve

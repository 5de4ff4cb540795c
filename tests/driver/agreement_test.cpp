// tests/driver/agreement_test.cpp: every engine agrees on random cells.
//
// The cells are those of tests/support/random_cell.h. Their number and the first seed come from the environment:
//
//   RECURVE_RANDOM_CELLS=20000 ./dev test dev -R Agreement      the long run
//   RECURVE_SEED=123 RECURVE_RANDOM_CELLS=1 ...                 one cell again
//
// Each fact is a test over one share of the cells, so that shares run side by side.

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <optional>

#include "compiler/compile.h"
#include "compiler/derivative.h"
#include "compiler/gradcheck.h"
#include "compiler/jit.h"
#include "compiler/passes.h"
#include "compiler/roundoff.h"
#include "frontend/frontend.h"
#include "ir/text.h"
#include "ir/verifier.h"
#include "tests/support/random_cell.h"

namespace recurve {
namespace {

namespace fs = std::filesystem;

constexpr int kShares = 8;
// A share gives up after so many cells that disagree: the first few tell all.
constexpr int kMostFailures = 3;

uint64_t FromEnvironment(const char* name, uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

struct Subject {
  uint64_t seed = 0;
  RandomCell cell;
  ir::Graph graph;
};

// Reads and builds the cell of one seed; a cell that the frontend turns down is a failure of ours.
std::optional<Subject> MakeSubject(uint64_t seed) {
  Subject subject{.seed = seed, .cell = MakeRandomCell(seed)};
  frontend::LoadResult loaded = frontend::Load("random.cell", subject.cell.source);
  EXPECT_TRUE(loaded.program) << loaded.messages;
  if (!loaded.program) return std::nullopt;
  frontend::BuildResult built = frontend::Build(*loaded.program, "random", subject.cell.extents);
  EXPECT_TRUE(built.graph) << built.messages;
  if (!built.graph) return std::nullopt;
  subject.graph = *std::move(built.graph);
  subject.graph.name = fmt::format("random_{}", seed);
  return subject;
}

class Agreement : public testing::TestWithParam<int> {
 protected:
  // Calls `check` with each cell of this test's share, and says which cell it was when something disagrees.
  void ForEach(const std::function<void(const Subject&)>& check) {
    const uint64_t first = FromEnvironment("RECURVE_SEED", 1), count = FromEnvironment("RECURVE_RANDOM_CELLS", 500);
    int failures = 0;
    for (uint64_t n = GetParam(); n < count && failures < kMostFailures; n += kShares) {
      std::optional<Subject> subject = MakeSubject(first + n);
      const int before = Failures();
      if (subject) check(*subject);
      if (subject && Failures() == before) continue;
      ++failures;
      ADD_FAILURE() << fmt::format("RECURVE_SEED={} RECURVE_RANDOM_CELLS=1\n{}", first + n,
                                   MakeRandomCell(first + n).source);
    }
  }

 private:
  static int Failures() { return testing::UnitTest::GetInstance()->current_test_info()->result()->total_part_count(); }
};

Trial TrialOf(const Subject& subject, Storage store = Storage::kSame) {
  const auto seed = static_cast<int64_t>(subject.seed);
  return MakeTrial(subject.graph, {{"T", 1 + seed % 4}, {"B", 1 + seed % 7}}, subject.seed, store);
}

// One line per argument that is further off than it may be.
void ExpectWithin(const std::vector<std::string>& names, const std::vector<double>& errors,
                  const std::vector<double>& tolerances) {
  for (size_t k = 0; k < errors.size(); ++k) EXPECT_LE(errors[k], tolerances[k]) << names[k];
}

std::vector<std::string> OutputNames(const ir::Graph& graph) {
  std::vector<std::string> names;
  for (const ir::Output& output : graph.outputs()) names.push_back(output.name);
  return names;
}

TEST_P(Agreement, DerivativeIsThatOfFiniteDifferences) {
  ForEach([](const Subject& subject) {
    if (subject.cell.stops_gradients) return;
    const Trial trial = TrialOf(subject);
    const std::vector<double> errors = FiniteDifferenceErrors(trial, /*elements=*/3, subject.seed);
    ExpectWithin(trial.wrt, errors, std::vector(errors.size(), kFiniteDifferenceTolerance));
  });
}

TEST_P(Agreement, DerivativeIsThatOfTheUnrolledProgram) {
  ForEach([](const Subject& subject) {
    const Trial trial = TrialOf(subject);
    const std::vector<double> errors = UnrolledErrors(trial);
    ExpectWithin(trial.wrt, errors, std::vector(errors.size(), kUnrolledTolerance));
  });
}

TEST_P(Agreement, PassesKeepTheMeaningAndTheInvariants) {
  ForEach([](const Subject& subject) {
    const Trial trial = TrialOf(subject);
    EXPECT_EQ(ir::Verify(trial.primal), "");
    EXPECT_EQ(ir::Verify(trial.joint), "");
    const ir::Graph core = RunPasses(trial.joint, [](const Pass& pass, const ir::Graph& graph) {
      EXPECT_EQ(ir::Verify(graph), "") << "after " << pass.name;
    });
    const auto results = ir::Interpret(core, trial.sizes, trial.arguments);
    const auto tolerances = RoundoffTolerance(trial.joint, trial.sizes, trial.arguments, trial.reference,
                                              UnitRoundoff(Precision::kF64), /*draws=*/3);
    ASSERT_EQ(results.size(), trial.reference.size());
    for (size_t k = 0; k < results.size(); ++k) {
      for (size_t i = 0; i < results[k].values.size(); ++i)
        EXPECT_NEAR(results[k].values[i], trial.reference[k].values[i], tolerances[k]) << core.outputs()[k].name;
    }
  });
}

TEST_P(Agreement, TextReadsBackAsItself) {
  ForEach([](const Subject& subject) {
    const Trial trial = TrialOf(subject);
    for (const ir::Graph& graph : {trial.primal, trial.joint, RunPasses(trial.joint)}) {
      const std::string text = ir::PrintText(graph);
      auto read = ir::ReadText(text);
      ASSERT_TRUE(read) << read.error().line << ": " << read.error().message << "\n" << text;
      EXPECT_EQ(ir::PrintText(*read), text);
      EXPECT_EQ(ir::Verify(*read), "");
    }
  });
}

// Runs a compiled program on the subject's trial; returns what it is off by.
std::vector<double> ExpectAgrees(const Subject& subject, const std::expected<Program, Error>& program,
                                 Storage store = Storage::kSame) {
  EXPECT_TRUE(program) << program.error().message;
  if (!program) return {};
  const Trial trial = TrialOf(subject, store);
  auto compiled = ErrorsOf(*program, trial, store);
  EXPECT_TRUE(compiled) << compiled.error().message;
  if (!compiled) return {};
  ExpectWithin(OutputNames(trial.joint), compiled->errors, compiled->tolerances);
  return compiled->errors;
}

TEST_P(Agreement, CompiledInF64) {
  ForEach([](const Subject& subject) {
    // Precision changes little in the generated code, so that a quarter of the cells tells.
    if (subject.seed / kShares % 4 == 0)
      ExpectAgrees(subject, CompileToMemory(subject.graph, {.precision = Precision::kF64,
                                                            .plan = {.chunk_rows = 7, .near_weight_bytes = 1}}));
  });
}

TEST_P(Agreement, CompiledWithWeightsAndTapeInHalfTheBytes) {
  ForEach([](const Subject& subject) {
    const Storage store = subject.seed / kShares % 2 == 0 ? Storage::kBf16 : Storage::kF16;
    ExpectAgrees(subject, CompileToMemory(subject.graph, {.store = store}), store);
  });
}

// A folder of its own for a test's files, gone with it.
class Folder {
 public:
  Folder() : path_(fs::temp_directory_path() / fmt::format("recurve_agreement_{}", getpid())) {
    fs::create_directories(path_);
  }
  ~Folder() { fs::remove_all(path_); }
  std::string operator/(const std::string& name) const { return path_ / name; }

 private:
  fs::path path_;
};

std::expected<Program, Error> LoadToMemory(const Artifacts& artifacts) {
  auto code = LoadObject(artifacts.object, artifacts.interface.name);
  if (!code) return std::unexpected(code.error());
  return Program::Wrap(code->program, code->keep_alive);
}

TEST_P(Agreement, CompiledInF32AndExported) {
  // One object is loaded into memory, as the JIT does with every object, and goes through the system's linker into a
  // shared library; one library for many cells, since a linker takes its time.
  struct Exported {
    Subject subject;
    std::vector<double> errors;  // of the object in memory
  };
  Folder folder;
  std::vector<Exported> exported;
  std::string objects;
  ForEach([&](const Subject& subject) {
    auto artifacts = CompileToObject(subject.graph, {.precision = Precision::kF32});
    ASSERT_TRUE(artifacts) << artifacts.error().message;
    exported.push_back({subject, ExpectAgrees(subject, LoadToMemory(*artifacts))});
    const std::string file = folder / (subject.graph.name + ".o");
    std::ofstream(file, std::ios::binary) << artifacts->object;
    objects += file + "\n";
  });
  const std::string list = folder / "objects", library = folder / "library.so";
  std::ofstream(list) << objects;
  const std::string link = fmt::format("{} -shared -o {} @{}", RECURVE_C_COMPILER, library, list);
  ASSERT_EQ(std::system(link.c_str()), 0) << link;
  for (const auto& [subject, errors] : exported) {
    SCOPED_TRACE(fmt::format("RECURVE_SEED={}\n{}", subject.seed, subject.cell.source));
    EXPECT_EQ(ExpectAgrees(subject, Program::Load(library, subject.graph.name)), errors);
  }
}

INSTANTIATE_TEST_SUITE_P(Random, Agreement, testing::Range(0, kShares));

}  // namespace
}  // namespace recurve

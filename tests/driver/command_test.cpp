// tests/driver/command_test.cpp: the command line, as a person meets it.
//
// A golden in tests/golden/command has the arguments on a line `# ARGS: `, perhaps a regular expression on a line
// `# LINES: ` that picks from the output, and behind `#> ` what is printed and the exit code. Commands run at the root
// of the sources. RECURVE_UPDATE_GOLDENS=1 writes the expected lines anew.

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmath>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <regex>
#include <sstream>
#include <string>

namespace recurve {
namespace {

namespace fs = std::filesystem;

struct Outcome {
  int exit_code = -1;
  std::string output;  // both streams
};

Outcome Recurve(const std::string& arguments) {
  const std::string command =
      fmt::format("cd '{}' && '{}' {} 2>&1 </dev/null", RECURVE_SOURCE_DIR, RECURVE_COMMAND, arguments);
  Outcome outcome;
  FILE* pipe = popen(command.c_str(), "r");
  char buffer[4096];
  while (size_t count = std::fread(buffer, 1, sizeof buffer, pipe)) outcome.output.append(buffer, count);
  const int status = pclose(pipe);
  if (WIFEXITED(status)) outcome.exit_code = WEXITSTATUS(status);
  return outcome;
}

std::string Read(const fs::path& path) {
  std::ifstream stream(path);
  std::stringstream text;
  text << stream.rdbuf();
  return text.str();
}

// A folder of its own for a test's files, gone with it.
class Command : public testing::Test {
 protected:
  Command() : folder_(fs::temp_directory_path() / fmt::format("recurve_command_{}", getpid())) {
    fs::create_directories(folder_);
  }
  ~Command() override { fs::remove_all(folder_); }
  std::string File(const std::string& name) const { return folder_ / name; }

  // A text that a small model learns at once.
  std::string PatternFile() const {
    std::ofstream text(File("pattern.txt"));
    for (int i = 0; i < 400; ++i) text << "abcd";
    return File("pattern.txt");
  }
  std::string Train(const std::string& more) const {
    return fmt::format(
        "train frontend/examples/characters/characters.cell characters -D E=4 -D H=8 --data={} --batch=4 --length=16 "
        "--rate=0.03 --save={} {}",
        PatternFile(), File("weights.safetensors"), more);
  }

  fs::path folder_;
};

TEST(CommandGolden, PrintsWhatTheFilesSay) {
  for (const auto& entry : fs::directory_iterator(RECURVE_SOURCE_DIR "/tests/golden/command")) {
    std::istringstream lines(Read(entry.path()));
    std::string head, arguments, expected, pattern;
    for (std::string line; std::getline(lines, line);) {
      if (line.starts_with("#>")) {
        expected += line + "\n";
        continue;
      }
      head += line + "\n";
      if (line.starts_with("# ARGS: ")) arguments = line.substr(8);
      if (line.starts_with("# LINES: ")) pattern = line.substr(9);
    }
    ASSERT_FALSE(arguments.empty()) << entry.path();
    const Outcome outcome = Recurve(arguments);
    std::istringstream output(outcome.output);
    std::string actual;
    for (std::string line; std::getline(output, line);) {
      if (std::regex_search(line, std::regex(pattern))) actual += line.empty() ? "#>\n" : "#> " + line + "\n";
    }
    actual += fmt::format("#> exit {}\n", outcome.exit_code);
    if (std::getenv("RECURVE_UPDATE_GOLDENS") != nullptr) {
      std::ofstream(entry.path()) << head << actual;
    } else {
      EXPECT_EQ(actual, expected) << entry.path();
    }
  }
}

TEST_F(Command, TunesWhatItMeasuresAndTrains) {
  const Outcome bench = Recurve("bench frontend/library/gru.cell gru -D I=8 -D H=16 -D T=5 -D B=3 --tune --repeat=1");
  EXPECT_EQ(bench.exit_code, 0) << bench.output;
  EXPECT_NE(bench.output.find("tried, beside the best before it:\n  register tiles of up to 2 vectors"),
            std::string::npos)
      << bench.output;
  const Outcome trained = Recurve(Train("--epochs=1 --tune"));
  EXPECT_EQ(trained.exit_code, 0) << trained.output;
}

TEST(CommandHelp, EveryVerbHasExamples) {
  for (const std::string verb : {"check", "show", "gradcheck", "info", "compile", "train", "sample", "forecast",
                                 "decode", "flow", "import", "export"}) {
    const Outcome outcome = Recurve(verb + " --help");
    EXPECT_EQ(outcome.exit_code, 0) << verb;
    EXPECT_NE(outcome.output.find("Examples:\n  recurve " + verb), std::string::npos) << outcome.output;
  }
}

TEST_F(Command, CompileWritesWhatIsAskedFor) {
  const std::string program = "compile frontend/library/gru.cell gru -D I=2 -D H=3 -o " + File("out");
  EXPECT_EQ(Recurve(program).exit_code, 0);
  EXPECT_TRUE(fs::exists(File("out/gru.o")));
  EXPECT_TRUE(fs::exists(File("out/gru.h")));
  EXPECT_FALSE(fs::exists(File("out/gru.s")));
  EXPECT_EQ(Recurve(program + " --emit=assembly,llvm").exit_code, 0);
  EXPECT_TRUE(fs::exists(File("out/gru.s")));
  EXPECT_TRUE(fs::exists(File("out/gru.ll")));
}

TEST_F(Command, CompiledExtentsAreInTheHeader) {
  EXPECT_EQ(Recurve("compile frontend/library/gru.cell gru -D I=2 -D H=3 --emit=header -o " + File("")).exit_code, 0);
  EXPECT_NE(Read(File("gru.h")).find("gru_H = 3"), std::string::npos);
}

TEST_F(Command, TextIsLearntAndWritten) {
  const Outcome trained = Recurve(Train("--epochs=30"));
  EXPECT_EQ(trained.exit_code, 0) << trained.output;
  EXPECT_NE(trained.output.find("epoch 30/30"), std::string::npos) << trained.output;
  const Outcome sampled = Recurve(
      fmt::format("sample frontend/examples/characters/characters.cell characters --weights={} --prompt=ab --length=8 "
                  "--temperature=0",
                  File("weights.safetensors")));
  EXPECT_EQ(sampled.exit_code, 0);
  EXPECT_EQ(sampled.output, "abcdabcdab\n");
}

TEST_F(Command, ResumedTrainingIsThatOfOneRun) {
  ASSERT_EQ(Recurve(Train("--epochs=6")).exit_code, 0);
  const std::string once = Read(File("weights.safetensors"));
  fs::remove(File("weights.safetensors"));
  ASSERT_EQ(Recurve(Train("--epochs=3")).exit_code, 0);
  EXPECT_NE(Read(File("weights.safetensors")), once);
  ASSERT_EQ(Recurve(Train("--epochs=6 --resume")).exit_code, 0);
  EXPECT_EQ(Read(File("weights.safetensors")), once);
}

TEST_F(Command, ResumedTrainingDropsWhatOneRunDrops) {
  std::ofstream(File("noisy.cell")) << "model noisy(V, H) {\n"
                                       "  input x: int[V] over T by n\n"
                                       "  input target: int[V] over T\n"
                                       "  param table: [V, H], P: [V, H]\n"
                                       "  h = scan gru(H=H) over dropout(table[x], 0.3)\n"
                                       "  logits = P @ dropout(h, 0.3)\n"
                                       "  output logits\n"
                                       "  loss cross_entropy(logits, target)\n"
                                       "}\n";
  const auto train = [&](const std::string& more) {
    const Outcome outcome =
        Recurve(fmt::format("train {} noisy -D H=8 --data={} --batch=4 --length=16 --rate=0.03 --save={} {}",
                            File("noisy.cell"), PatternFile(), File("weights.safetensors"), more));
    EXPECT_EQ(outcome.exit_code, 0) << outcome.output;
    return Read(File("weights.checkpoint.safetensors"));
  };
  const std::string whole = train("--epochs=4");
  train("--epochs=2");
  EXPECT_TRUE(train("--epochs=4 --resume") == whole);
  EXPECT_FALSE(train("--epochs=4 --seed=2") == whole);
}

TEST_F(Command, ThreadsGiveTheSameWeights) {
  ASSERT_EQ(Recurve(Train("--epochs=2")).exit_code, 0);
  const std::string once = Read(File("weights.safetensors"));
  ASSERT_EQ(Recurve(Train("--epochs=2 --threads=2")).exit_code, 0);
  EXPECT_EQ(Read(File("weights.safetensors")), once);
}

TEST_F(Command, AnInterruptEndsTrainingCleanly) {
  // The shell that `Recurve` starts would get the signal itself; `exec` puts the command in its place.
  const std::string command = fmt::format("cd '{}' && exec '{}' {} >'{}' 2>&1", RECURVE_SOURCE_DIR, RECURVE_COMMAND,
                                          Train("--epochs=1000000"), File("log"));
  const pid_t child = fork();
  if (child == 0) {
    execl("/bin/sh", "sh", "-c", command.c_str(), nullptr);
    _exit(127);
  }
  while (!fs::exists(File("weights.safetensors")) && waitpid(child, nullptr, WNOHANG) == 0) usleep(10000);
  kill(child, SIGINT);
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
  EXPECT_NE(Read(File("log")).find("stopped after"), std::string::npos) << Read(File("log"));
  EXPECT_TRUE(fs::exists(File("weights.safetensors")));
}

TEST_F(Command, ASeriesIsForecastBesideBaselines) {
  const std::string model = "frontend/examples/sunspots/sunspots.cell sunspots";
  const std::string data = "--data=frontend/examples/sunspots/sunspots.csv";
  ASSERT_EQ(Recurve(fmt::format("train {} -D H=4 {} --held-out=0.2 --length=20 --epochs=3 --save={}", model, data,
                                File("weights.safetensors")))
                .exit_code,
            0);
  const Outcome outcome = Recurve(fmt::format("forecast {} {} --weights={} --steps=5 --svg={} --output={}", model, data,
                                              File("weights.safetensors"), File("plot.svg"), File("table.csv")));
  EXPECT_EQ(outcome.exit_code, 0) << outcome.output;
  for (const std::string row : {"model", "persistence", "AR(9)"})
    EXPECT_NE(outcome.output.find(row), std::string::npos);
  EXPECT_TRUE(Read(File("plot.svg")).starts_with("<svg"));
  // A title, 61 held-out years and 5 ahead.
  const std::string table = Read(File("table.csv"));
  EXPECT_EQ(std::count(table.begin(), table.end(), '\n'), 1 + 61 + 5);
}

// Several trainings are one forecast with a band, and errors are told for each number of steps ahead.
TEST_F(Command, SeveralTrainingsAreOneForecastWithABand) {
  const std::string model = "frontend/examples/sunspots/sunspots.cell sunspots";
  const std::string data = "--data=frontend/examples/sunspots/sunspots.csv";
  for (int seed : {1, 2, 3})
    ASSERT_EQ(Recurve(fmt::format("train {} -D H=4 {} --held-out=0.2 --length=20 --epochs=2 --seed={} --save={}", model,
                                  data, seed, File(fmt::format("{}.safetensors", seed))))
                  .exit_code,
              0);
  auto table = [&](const std::string& weights, const std::string& more) {
    const Outcome outcome = Recurve(fmt::format("forecast {} {} --weights={} --output={} --svg={} {}", model, data,
                                                weights, File("table.csv"), File("plot.svg"), more));
    EXPECT_EQ(outcome.exit_code, 0) << outcome.output;
    std::istringstream lines(Read(File("table.csv")));
    std::vector<double> column;
    for (std::string line; std::getline(lines, line);) {
      std::istringstream fields(line);
      std::string field;
      for (int i = 0; i < 3; ++i) std::getline(fields, field, ',');
      if (field != "model") column.push_back(std::stod(field));
    }
    return std::pair(column, outcome.output);
  };
  std::vector<double> mean;
  for (int seed : {1, 2, 3}) {
    const auto [column, text] = table(File(fmt::format("{}.safetensors", seed)), "--steps=4");
    mean.resize(column.size());
    for (size_t i = 0; i < column.size(); ++i) mean[i] += column[i] / 3;
    EXPECT_EQ(Read(File("plot.svg")).find("fill-opacity"), std::string::npos);
  }
  const auto [column, text] =
      table(fmt::format("{},{},{}", File("1.safetensors"), File("2.safetensors"), File("3.safetensors")),
            "--steps=4 --ahead=3");
  ASSERT_EQ(column.size(), mean.size());
  for (size_t i = 0; i < mean.size(); ++i) EXPECT_NEAR(column[i], mean[i], 1e-3 * (1 + std::abs(mean[i])));
  EXPECT_TRUE(Read(File("table.csv")).starts_with("year,observed,model,persistence,linear,deviation\n"));
  EXPECT_NE(Read(File("plot.svg")).find("fill-opacity"), std::string::npos);
  for (const char* row : {"steps ahead", "\n1 ", "\n2 ", "\n3 "}) EXPECT_NE(text.find(row), std::string::npos) << text;
}

class LibraryCell : public testing::TestWithParam<std::string> {};

TEST_P(LibraryCell, PassesGradcheckInBothPrecisions) {
  for (const std::string type : {"f32", "f64"}) {
    const Outcome outcome =
        Recurve(fmt::format("gradcheck frontend/library/{0}.cell {0} -D I=3 -D H=5 --type={1}", GetParam(), type));
    EXPECT_EQ(outcome.exit_code, 0) << outcome.output;
  }
}

TEST_P(LibraryCell, PassesGradcheckWithFastMath) {
  const Outcome outcome =
      Recurve(fmt::format("gradcheck frontend/library/{0}.cell {0} -D I=3 -D H=5 --math=fast", GetParam()));
  EXPECT_EQ(outcome.exit_code, 0) << outcome.output;
}

TEST(Math, IsPartOfThePlan) {
  const std::string show = "show frontend/library/lstm.cell lstm -D I=3 -D H=5 --stage=plan";
  EXPECT_NE(Recurve(show + " --math=fast").output.find("with fast math functions"), std::string::npos);
  EXPECT_EQ(Recurve(show).output.find("fast"), std::string::npos);
}

INSTANTIATE_TEST_SUITE_P(Every, LibraryCell,
                         testing::Values("elman", "lstm", "gru", "gru_reset_before", "peephole_lstm", "layernorm_lstm",
                                         "mgu", "slstm", "mogrifier_lstm", "indrnn", "sru", "mingru", "qrnn"),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace recurve

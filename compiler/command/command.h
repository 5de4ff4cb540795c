// compiler/command/command.h: what the verbs of the command line share.
//
// A verb adds itself to the application: its options, its help with examples, and a callback that runs it and leaves
// the exit code. A verb's work is done by the library; what stands in these files is options, messages and output.

#ifndef RECURVE_COMPILER_COMMAND_COMMAND_H_
#define RECURVE_COMPILER_COMMAND_COMMAND_H_

#include <CLI/CLI.hpp>
#include <cstdint>
#include <expected>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "compiler/interface.h"
#include "compiler/target.h"
#include "compiler/update.h"
#include "frontend/frontend.h"
#include "ir/graph.h"
#include "runtime/error.h"

namespace recurve::command {

// What the process leaves to its caller.
enum ExitCode : int {
  kFine = 0,
  kProgramIsWrong = 1,  // a diagnostic was printed, or a check failed
  kWorldFailed = 2,     // wrong usage, a file, a target
};

// One function per verb, in the order of `recurve --help`.
void AddCheck(CLI::App& app, int& exit_code);
void AddShow(CLI::App& app, int& exit_code);
void AddGradcheck(CLI::App& app, int& exit_code);
void AddExport(CLI::App& app, int& exit_code);
void AddFlow(CLI::App& app, int& exit_code);
void AddInfo(CLI::App& app, int& exit_code);
void AddCompile(CLI::App& app, int& exit_code);
void AddBench(CLI::App& app, int& exit_code);
void AddTrain(CLI::App& app, int& exit_code);
void AddDecode(CLI::App& app, int& exit_code);
void AddSample(CLI::App& app, int& exit_code);
void AddForecast(CLI::App& app, int& exit_code);
void AddImport(CLI::App& app, int& exit_code);
void AddCache(CLI::App& app, int& exit_code);

// FILE ENTRY -D NAME=NUMBER...: one program of a file, with numbers for its extents.
struct ProgramArguments {
  std::string file;
  std::string entry;
  std::vector<std::string> definitions;
};
void AddProgramArguments(CLI::App& verb, ProgramArguments& arguments);
void AddPrecision(CLI::App& verb, Precision& precision);
void AddStorage(CLI::App& verb, Storage& store);
void AddMath(CLI::App& verb, MathAccuracy& math);
void AddTarget(CLI::App& verb, TargetSpec& target);
void AddTune(CLI::App& verb, bool& tune);
// Bytes, with a unit if one likes: 64MB, 1GiB.
void AddMemory(CLI::App& verb, int64_t& bytes);

// A check that a value is one of these words, which help then lists in place of a type.
void CheckWords(CLI::Option& option, const std::vector<std::string>& words);

// An option whose value is one of a few words, each of which stands for something.
template <typename T>
CLI::Option* AddChoice(CLI::App& verb, const std::string& name, T& chosen, const std::map<std::string, T>& choices,
                       const std::string& help) {
  std::vector<std::string> words;
  for (const auto& [word, meaning] : choices) words.push_back(word);
  auto choose = [&chosen, choices](const std::string& word) { chosen = choices.at(word); };
  CLI::Option* option = verb.add_option_function<std::string>(name, choose, help);
  CheckWords(*option, words);
  return option;
}

// Prints `error` to standard error and returns kWorldFailed.
int Fail(const Error& error);

// An optimizer of the library, or a file of one's own, whose cell has the file's name.
void AddOptimizer(CLI::App& verb, OptimizerSource& source);
std::expected<void, Error> ReadOptimizerFile(OptimizerSource& source);

// The extents in `definitions` ("H=8").
std::expected<frontend::Extents, Error> ParseExtents(const std::vector<std::string>& definitions);

// Reads and checks the file; messages go to standard error, and what remains for the caller is the exit code.
std::expected<frontend::Program, int> LoadProgram(const std::string& file);
// The same, and builds the entry's graph for these extents.
std::expected<ir::Graph, int> LoadGraph(const ProgramArguments& arguments, const frontend::Extents& extents);
// For the extents of the arguments.
std::expected<ir::Graph, int> LoadGraph(const ProgramArguments& arguments);

// A graph and sizes for some of its axes.
struct SizedGraph {
  ir::Graph graph;
  frontend::Extents extents;
  std::map<std::string, double> axes;
};
// Likewise, where -D gives numbers to extents of the program and to axes of its graph, e.g. T and B.
std::expected<SizedGraph, int> LoadSizedGraph(const ProgramArguments& arguments);

}  // namespace recurve::command

#endif  // RECURVE_COMPILER_COMMAND_COMMAND_H_

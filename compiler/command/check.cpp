// compiler/command/check.cpp: `recurve check`: every mistake of every file, and nothing else.

#include "compiler/command/command.h"

namespace recurve::command {

void AddCheck(CLI::App& app, int& exit_code) {
  auto* verb = app.add_subcommand("check", "read files and report every mistake in them");
  auto files = std::make_shared<std::vector<std::string>>();
  verb->add_option("FILE", *files, "files of cells and models")->required();
  verb->footer(
      "Examples:\n"
      "  recurve check frontend/library/*.cell");
  verb->callback([files, &exit_code] {
    for (const std::string& file : *files) {
      auto program = LoadProgram(file);
      if (!program) exit_code = std::max(exit_code, program.error());
    }
  });
}

}  // namespace recurve::command

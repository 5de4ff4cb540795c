// compiler/command/main.cpp: the command line `recurve`.

#include <fmt/format.h>

#include "compiler/command/command.h"

int main(int argc, char** argv) {
  using namespace recurve::command;
  CLI::App app{
      "Recurve compiles the equations of a recurrent cell, and their derivative, to machine code.\n"
      "Exit codes: 0 fine, 1 the program is wrong, 2 usage or the world.",
      "recurve"};
  app.require_subcommand(1);
  app.get_formatter()->column_width(34);
  app.footer("`recurve VERB --help` explains a verb, with examples.");

  int exit_code = kFine;
  AddCheck(app, exit_code);
  AddShow(app, exit_code);
  AddGradcheck(app, exit_code);
  AddFlow(app, exit_code);
  AddInfo(app, exit_code);
  AddCompile(app, exit_code);
  AddBench(app, exit_code);
  AddTrain(app, exit_code);
  AddSample(app, exit_code);
  AddDecode(app, exit_code);
  AddForecast(app, exit_code);
  AddImport(app, exit_code);
  AddExport(app, exit_code);
  AddCache(app, exit_code);

  // CLI11 reports through exceptions; they end here, where help is fine and everything else is wrong usage.
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kFine : kWorldFailed;
  }
  return exit_code;
}

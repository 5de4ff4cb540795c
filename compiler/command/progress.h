// compiler/command/progress.h: how a training run shows itself.
//
// On a terminal a bar fills while an epoch runs, and gives way to the epoch's line; anywhere else there are only lines,
// one an epoch. Everything goes to standard error.

#ifndef RECURVE_COMPILER_COMMAND_PROGRESS_H_
#define RECURVE_COMPILER_COMMAND_PROGRESS_H_

#include <chrono>
#include <string>

#include "runtime/trainer.h"

namespace recurve::command {

class Progress {
 public:
  // `unit` says what losses are, e.g. "bits a character"; they are multiplied by `scale` for display.
  Progress(std::string unit, double scale);

  void Show(const StepReport& report);
  void Show(const EpochReport& report);

 private:
  void Erase();

  std::string unit_;
  double scale_;
  bool is_terminal_;
  bool has_bar_ = false;
  std::chrono::steady_clock::time_point start_, last_drawn_;
};

}  // namespace recurve::command

#endif  // RECURVE_COMPILER_COMMAND_PROGRESS_H_

// compiler/command/progress.cpp: a bar, and one line an epoch.

#include "compiler/command/progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>

namespace recurve::command {
namespace {

constexpr int kBarWidth = 30;
// Redrawn no more often than an eye can follow.
constexpr std::chrono::milliseconds kBetweenDrawings(50);

}  // namespace

Progress::Progress(std::string unit, double scale)
    : unit_(std::move(unit)),
      scale_(scale),
      is_terminal_(isatty(STDERR_FILENO) == 1),
      start_(std::chrono::steady_clock::now()) {}

void Progress::Erase() {
  if (has_bar_) fmt::print(stderr, "\r\033[K");
  has_bar_ = false;
}

void Progress::Show(const StepReport& report) {
  const auto now = std::chrono::steady_clock::now();
  if (!is_terminal_ || now - last_drawn_ < kBetweenDrawings) return;
  last_drawn_ = now;
  Erase();
  const double share = report.steps == 0 ? 1 : static_cast<double>(report.step) / static_cast<double>(report.steps);
  const int filled = static_cast<int>(share * kBarWidth);
  fmt::print(stderr, "epoch {} [{:=<{}}{:{}}] {:3.0f} %  {:.4f}", report.epoch, "", filled, "", kBarWidth - filled,
             100 * share, scale_ * report.loss);
  std::fflush(stderr);
  has_bar_ = true;
}

void Progress::Show(const EpochReport& report) {
  Erase();
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  const int width = static_cast<int>(fmt::formatted_size("{}", report.epochs));
  fmt::print(stderr, "epoch {:{}}/{}  training {:.4f}  held out {:.4f} {}  {:.1f} s{}\n", report.epoch, width,
             report.epochs, scale_ * report.training_loss, scale_ * report.held_out_loss, unit_, seconds,
             report.is_best ? "  best" : "");
}

}  // namespace recurve::command

// bench/report.cpp: Markdown tables, one function each.

#include "bench/report.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

namespace recurve::bench {
namespace {

constexpr Pass kSequencePasses[] = {Pass::kForward, Pass::kBackward, Pass::kInference};

std::string LimitsText(const Figures& figures) {
  const Limits& limits = figures.limits;
  std::string text = fmt::format("{}, {}, f32, medians of {} interleaved repetitions.\n", figures.processor,
                                 figures.vector_unit, figures.repetitions);
  if (limits.operations[1] == 0) return text + "\n";
  text += fmt::format("\n| | FMA, GFLOP/s |");
  for (const auto& bandwidth : limits.bandwidths) text += fmt::format(" {}, GB/s |", bandwidth.level.name);
  text += " barrier, ns | clock, GHz |\n| --- | --- |";
  for (size_t i = 0; i < limits.bandwidths.size(); ++i) text += " --- |";
  text += " --- | --- |\n";
  for (int threads = 1; threads <= kMaxThreads; ++threads) {
    if (limits.operations[threads] == 0) continue;
    text +=
        fmt::format("| {} | {:.0f} |", threads == 1 ? "one thread" : "two threads", limits.operations[threads] * 1e-9);
    for (const auto& bandwidth : limits.bandwidths) text += fmt::format(" {:.0f} |", bandwidth.bytes[threads] * 1e-9);
    text += threads == 1 ? fmt::format(" | {:.2f} |\n", limits.cycles * 1e-9)
                         : fmt::format(" {:.0f} | |\n", limits.barrier_seconds * 1e9);
  }
  return text + "\n";
}

// What one pass took, and the percentage of its bound beside the target.
std::string PassCells(const Figures& figures, const Targets& targets, Marker& marker, const Point& point, Pass pass) {
  const auto seconds = figures.Seconds(point, pass, 1);
  if (!seconds) return " | |";
  const std::string size = SizeText(point.size);
  std::string text = fmt::format(
      " {} |", marker.AtMost(*seconds * 1e6, targets.Find("microseconds", point.cell, size, PassName(pass)), 0));
  const auto percent = figures.Percent(point, pass, 1);
  if (!percent) return text + " |";
  auto target = targets.Find("percent", point.cell, size, PassName(pass));
  // Cells of nobody else are held against the LSTM's percentage instead.
  const auto behind = targets.Find("behind", point.cell, size, PassName(pass));
  const auto lstm = figures.Percent({"lstm", point.size}, pass, 1);
  if (!target && behind && lstm) target = *lstm - *behind;
  text += fmt::format(" {}", marker.AtLeast(*percent, target, 0, " %"));
  const Work& work = *figures.FindWork(point, pass);
  if (auto wanted = targets.Find("bytes_a_cycle", point.cell, size, PassName(pass));
      wanted && figures.limits.cycles > 0)
    text += fmt::format(", {} B/cycle",
                        marker.AtLeast(work.steps * work.bytes_a_step / *seconds / figures.limits.cycles, wanted, 0));
  return text + " |";
}

std::string SequenceTable(const Figures& figures, const Targets& targets, Marker& marker) {
  std::string text =
      "| cell | T, B, I, H | bound by | forward, us | of bound | backward, us | of bound | inference, us | of bound | "
      "two threads: forward | backward | inference |\n"
      "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n";
  const size_t heading = text.size();
  for (const Point& point : Grid()) {
    if (point.is_streaming) continue;
    const bool is_measured = std::ranges::any_of(
        kSequencePasses, [&](Pass pass) { return figures.Seconds(point, pass, 1) || figures.Seconds(point, pass, 2); });
    if (!is_measured) continue;
    const Work* work = figures.FindWork(point, Pass::kForward);
    text += fmt::format("| {} | {} | {} |", point.cell, SizeText(point.size),
                        work == nullptr ? "" : Bind(*work, figures.limits, 1).limit);
    for (Pass pass : kSequencePasses) text += PassCells(figures, targets, marker, point, pass);
    for (Pass pass : kSequencePasses) {
      const auto speedup = figures.Speedup(point, pass);
      const auto target = targets.Find("speedup", point.cell, SizeText(point.size), PassName(pass));
      text += speedup ? fmt::format(" {} |", marker.AtLeast(*speedup, target, 2, "x")) : " |";
    }
    text += "\n";
  }
  return text.size() == heading ? "" : text + "\n";
}

std::string StreamTable(const Figures& figures, const Targets& targets, Marker& marker) {
  std::string text = "| one step, B = 1, I = 1 |", rule = "| --- |";
  std::vector<Point> streams;
  for (const Point& point : Grid()) {
    if (point.is_streaming && figures.Seconds(point, Pass::kStep, 1)) streams.push_back(point);
  }
  if (streams.empty()) return "";
  std::vector<int64_t> units;
  std::vector<std::string> cells;
  for (const Point& point : streams) {
    if (std::ranges::find(units, point.size.units) == units.end()) units.push_back(point.size.units);
    if (std::ranges::find(cells, point.cell) == cells.end()) cells.push_back(point.cell);
  }
  std::ranges::sort(units);
  for (int64_t count : units) {
    text += fmt::format(" H = {}, ns |", count);
    rule += " --- |";
  }
  text += "\n" + rule + "\n";
  for (const std::string& cell : cells) {
    text += fmt::format("| {} |", cell);
    for (int64_t count : units) {
      const Point point{cell, {1, 1, 1, count}, true};
      const auto seconds = figures.Seconds(point, Pass::kStep, 1);
      if (!seconds) {
        text += " |";
        continue;
      }
      text += fmt::format(
          " {}", marker.AtMost(*seconds * 1e9, targets.Find("nanoseconds", cell, SizeText(point.size), "step"), 0));
      const Work* work = figures.FindWork(point, Pass::kStep);
      const auto percent = figures.Percent(point, Pass::kStep, 1);
      text += percent ? fmt::format(", {:.0f} % of {} |", *percent, Bind(*work, figures.limits, 1).limit) : " |";
    }
    text += "\n";
  }
  return text + "\n";
}

std::string CompileTable(const Figures& figures, const Targets& targets, Marker& marker) {
  if (figures.compile_times.empty()) return "";
  std::string text =
      "| text to callable forward and backward code | first start, ms | second start, ms |\n| --- | --- | --- |\n";
  for (const auto& [cell, time] : figures.compile_times)
    text +=
        fmt::format("| {} | {} | {} |\n", cell, marker.AtMost(time.cold, targets.Find("cold_ms", cell, "*", "*"), 0),
                    marker.AtMost(time.kept, targets.Find("kept_ms", cell, "*", "*"), 1));
  return text + "\n";
}

}  // namespace

std::string Report(const Figures& figures, const Targets& targets) {
  Marker marker;
  std::string text = LimitsText(figures);
  text += SequenceTable(figures, targets, marker);
  text += StreamTable(figures, targets, marker);
  text += CompileTable(figures, targets, marker);
  if (const auto missing = MissingCells(); !missing.empty())
    text += fmt::format("Not in the library, so not measured: {}.\n\n", fmt::join(missing, ", "));
  return text + fmt::format("Targets met: {} of {}.\n", marker.met(), marker.all());
}

std::string ReplaceBetweenMarkers(std::string_view text, std::string_view name, std::string_view replacement) {
  const std::string begin = fmt::format("<!-- {}: written by ./dev bench -->\n", name);
  const std::string end = fmt::format("<!-- end of {} -->\n", name);
  const size_t from = text.find(begin);
  if (from == std::string_view::npos) return "";
  const size_t to = text.find(end, from);
  if (to == std::string_view::npos) return "";
  return fmt::format("{}{}{}", text.substr(0, from + begin.size()), replacement, text.substr(to));
}

}  // namespace recurve::bench

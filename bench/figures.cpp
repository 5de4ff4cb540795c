// bench/figures.cpp: look-ups by name, and what follows from two figures.

#include "bench/figures.h"

#include <fmt/format.h>

namespace recurve::bench {
namespace {

std::string WorkName(const Point& point, Pass pass) { return fmt::format("{}/{}", PointText(point), PassName(pass)); }

}  // namespace

std::string FigureName(const Point& point, Pass pass, int threads) {
  return fmt::format("{}/{}", WorkName(point, pass), threads);
}

std::optional<double> Figures::Seconds(const Point& point, Pass pass, int threads) const {
  auto found = seconds.find(FigureName(point, pass, threads));
  return found == seconds.end() ? std::nullopt : std::optional(found->second);
}

const Work* Figures::FindWork(const Point& point, Pass pass) const {
  auto found = works.find(WorkName(point, pass));
  return found == works.end() ? nullptr : &found->second;
}

std::optional<double> Figures::Percent(const Point& point, Pass pass, int threads) const {
  const auto measured = Seconds(point, pass, threads);
  const Work* work = FindWork(point, pass);
  if (!measured || work == nullptr) return std::nullopt;
  const Bound bound = Bind(*work, limits, threads);
  return bound.seconds == 0 ? std::nullopt : std::optional(100 * bound.seconds / *measured);
}

std::optional<double> Figures::Speedup(const Point& point, Pass pass) const {
  const auto one = Seconds(point, pass, 1), two = Seconds(point, pass, 2);
  return one && two ? std::optional(*one / *two) : std::nullopt;
}

}  // namespace recurve::bench

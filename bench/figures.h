// bench/figures.h: everything that one run measured, by name.

#ifndef RECURVE_BENCH_FIGURES_H_
#define RECURVE_BENCH_FIGURES_H_

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "bench/grid.h"
#include "bench/limits.h"
#include "bench/model.h"

namespace recurve::bench {

// From text to callable forward and backward code, processor time in milliseconds.
struct CompileTime {
  double cold = 0;  // in a fresh process that has compiled nothing before
  double kept = 0;  // in another one after it, which finds what the first kept on disk
};

struct Figures {
  std::string processor, vector_unit;
  int repetitions = 0;
  Limits limits;
  std::map<std::string, double> seconds;             // medians by name: FigureName(...)
  std::map<std::string, Work> works;                 // by PointText and pass: "lstm/50,32,128,128/forward"
  std::map<std::string, CompileTime> compile_times;  // by cell

  std::optional<double> Seconds(const Point& point, Pass pass, int threads) const;
  // 100 * bound / measured.
  std::optional<double> Percent(const Point& point, Pass pass, int threads) const;
  // Time on one thread over time on two.
  std::optional<double> Speedup(const Point& point, Pass pass) const;
  const Work* FindWork(const Point& point, Pass pass) const;
};

// "lstm/50,32,128,128/forward/1"; the last is the number of threads.
std::string FigureName(const Point& point, Pass pass, int threads);

}  // namespace recurve::bench

#endif  // RECURVE_BENCH_FIGURES_H_

// bench/targets.h: what must be shown, as rows of a file (targets.txt says what its columns are).

#ifndef RECURVE_BENCH_TARGETS_H_
#define RECURVE_BENCH_TARGETS_H_

#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/error.h"

namespace recurve::bench {

struct Target {
  std::string kind;                 // "percent", "speedup", "nanoseconds", ...
  std::string cells, size, passes;  // alternatives separated by `|`; `*` is any
  double value = 0;
};

class Targets {
 public:
  static std::expected<Targets, Error> Parse(std::string_view text);

  // Of the first row that matches.
  std::optional<double> Find(std::string_view kind, std::string_view cell, std::string_view size,
                             std::string_view pass) const;

 private:
  std::vector<Target> rows_;
};

// Writes figures beside their targets and counts how many are met: one that meets its target is bold, one that misses
// it is followed by by how much. `decimals` are those of the figure.
class Marker {
 public:
  std::string AtLeast(double figure, std::optional<double> target, int decimals, std::string_view unit = "");
  std::string AtMost(double figure, std::optional<double> target, int decimals, std::string_view unit = "");
  int met() const { return met_; }
  int all() const { return all_; }

 private:
  std::string Mark(double figure, std::optional<double> target, bool is_met, int decimals, std::string_view unit);
  int met_ = 0, all_ = 0;
};

}  // namespace recurve::bench

#endif  // RECURVE_BENCH_TARGETS_H_

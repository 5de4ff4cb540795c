// bench/roofline.h: the roofline picture, as an SVG text that needs nothing else.
//
// Across: floating-point operations for each byte of weights that a call must read; upwards: operations a second; both
// logarithmic. Roofs are the measured limits, dots the forward passes on one thread.

#ifndef RECURVE_BENCH_ROOFLINE_H_
#define RECURVE_BENCH_ROOFLINE_H_

#include <string>
#include <vector>

#include "bench/figures.h"

namespace recurve::bench {

struct Roof {
  std::string name;
  double rate;  // operations a second of a flat roof, bytes a second of a slope
};
struct Dot {
  std::string group;      // dots of a group have one colour
  std::string label;      // shown on hovering
  double intensity = 1;   // operations a byte, positive
  double operations = 1;  // a second, positive
};
struct Roofline {
  std::string title, subtitle;
  Roof flat;
  std::vector<Roof> slopes;
  std::vector<Dot> dots;
};

Roofline MakeRoofline(const Figures& figures);

// Any text may stand in names and labels.
std::string DrawRoofline(const Roofline& roofline);

}  // namespace recurve::bench

#endif  // RECURVE_BENCH_ROOFLINE_H_

// runtime/plot.h: a line plot as an SVG text: title, axes with round numbers, a legend, a shaded part.
//
//   recurve::Plot plot{.title = "Sunspots", .x_label = "year", .y_label = "mean number"};
//   plot.lines.push_back({"data", years, values});
//   plot.shade_from = 1948;  plot.shade_label = "held out";
//   auto written = recurve::WriteFile("forecast.svg", recurve::Draw(plot));

#ifndef RECURVE_RUNTIME_PLOT_H_
#define RECURVE_RUNTIME_PLOT_H_

#include <optional>
#include <string>
#include <vector>

namespace recurve {

struct PlotLine {
  std::string name;
  std::vector<double> x, y;  // equally many; where one is not finite the line is interrupted
  bool is_dashed = false;
  std::vector<double> low, high;  // a band around the line, as many numbers again; or none
};

struct Plot {
  std::string title, x_label, y_label;
  std::vector<PlotLine> lines;       // the first is drawn dark, as the data; the others take colours in turn
  std::optional<double> shade_from;  // from here to the right end
  std::string shade_label;
  int width = 900, height = 420;  // pixels
};

// Any text may stand in the names; what XML reserves is escaped. A plot without a finite point has empty axes.
std::string Draw(const Plot& plot);

// Round numbers that cover [low, high] from inside: about `count` multiples of 1, 2 or 5 times a power of ten.
std::vector<double> Ticks(double low, double high, int count);

}  // namespace recurve

#endif  // RECURVE_RUNTIME_PLOT_H_

// bench/roofline.cpp: logarithmic axes, roofs, dots and a legend.

#include "bench/roofline.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace recurve::bench {
namespace {

constexpr double kWidth = 900, kHeight = 520, kLeft = 70, kRight = 190, kTop = 56, kBottom = 52;
constexpr const char* kColours[] = {"#1b6ca8", "#d1495b", "#2e8b57", "#b07d12", "#7b4fa3",
                                    "#3a3a3a", "#c2185b", "#00838f", "#7fb2d6", "#eba3ab"};

std::string Escape(std::string_view text) {
  std::string escaped;
  for (char c : text) {
    switch (c) {
      case '&': escaped += "&amp;"; break;
      case '<': escaped += "&lt;"; break;
      case '>': escaped += "&gt;"; break;
      case '"': escaped += "&quot;"; break;
      default: escaped += c;
    }
  }
  return escaped;
}

// From a whole decade to the end of what is shown, and where a value lies between two pixels.
struct Axis {
  double low, high, from, to;
  double At(double value) const { return from + (to - from) * (std::log10(value) - low) / (high - low); }
  static Axis Around(double smallest, double largest, double from, double to) {
    return {std::floor(std::log10(smallest)), std::log10(largest), from, to};
  }
};

std::string Line(double x1, double y1, double x2, double y2, std::string_view style) {
  return fmt::format("<line x1=\"{:.1f}\" y1=\"{:.1f}\" x2=\"{:.1f}\" y2=\"{:.1f}\" {}/>\n", x1, y1, x2, y2, style);
}
std::string Text(double x, double y, std::string_view text, std::string_view style = "") {
  return fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" {}>{}</text>\n", x, y, style, Escape(text));
}

std::string Decade(double exponent) { return fmt::format("{:g}", std::pow(10, exponent)); }

std::string Grid(const Axis& x, const Axis& y) {
  constexpr std::string_view kThin = "stroke=\"#ddd\"";
  std::string svg;
  for (double e = x.low; e <= x.high; ++e) {
    const double at = x.At(std::pow(10, e));
    svg += Line(at, y.from, at, y.to, kThin) + Text(at, y.from + 18, Decade(e), "text-anchor=\"middle\"");
  }
  for (double e = y.low; e <= y.high; ++e) {
    const double at = y.At(std::pow(10, e));
    svg += Line(x.from, at, x.to, at, kThin) + Text(x.from - 8, at + 4, Decade(e - 9), "text-anchor=\"end\"");
  }
  svg += Text((x.from + x.to) / 2, kHeight - 12, "operations for each byte of weights", "text-anchor=\"middle\"");
  const double middle = (y.from + y.to) / 2;
  svg += fmt::format("<text transform=\"translate(18 {:.1f}) rotate(-90)\" text-anchor=\"middle\">GFLOP/s</text>\n",
                     middle);
  return svg;
}

std::string Roofs(const Roofline& roofline, const Axis& x, const Axis& y) {
  constexpr std::string_view kRoof = "stroke=\"#333\" stroke-width=\"1.5\"";
  const double left = std::pow(10, x.low), right = std::pow(10, x.high), bottom = std::pow(10, y.low);
  const double peak = roofline.flat.rate;
  std::string svg;
  double reached = right, label = 1;  // labels of neighbouring slopes lie side by side
  for (const Roof& slope : roofline.slopes) {
    const double ridge = std::clamp(peak / slope.rate, left, right), start = std::max(left, bottom / slope.rate);
    if (start >= ridge) continue;
    svg += Line(x.At(start), y.At(start * slope.rate), x.At(ridge), y.At(ridge * slope.rate), kRoof);
    svg += fmt::format(
        "<text transform=\"translate({:.1f} {:.1f}) rotate({:.1f})\" fill=\"#333\">{}</text>\n",
        x.At(start * label) + 4, y.At(start * label * slope.rate) - 6,
        std::atan2(y.At(ridge * slope.rate) - y.At(start * slope.rate), x.At(ridge) - x.At(start)) * 180 / M_PI,
        Escape(fmt::format("{} {:.0f} GB/s", slope.name, slope.rate * 1e-9)));
    reached = std::min(reached, ridge);
    label *= 1.4;
  }
  svg += Line(x.At(reached), y.At(peak), x.to, y.At(peak), kRoof);
  return svg + Text(x.to, y.At(peak) - 6, fmt::format("{} {:.0f} GFLOP/s", roofline.flat.name, peak * 1e-9),
                    "text-anchor=\"end\" fill=\"#333\"");
}

std::string Dots(const Roofline& roofline, const Axis& x, const Axis& y) {
  std::vector<std::string> groups;
  std::string svg;
  for (const Dot& dot : roofline.dots) {
    auto found = std::ranges::find(groups, dot.group);
    const size_t group = static_cast<size_t>(found - groups.begin());
    const char* colour = kColours[group % std::size(kColours)];
    if (found == groups.end()) {
      groups.push_back(dot.group);
      const double at = kTop + 14 + 20 * static_cast<double>(group);
      svg += fmt::format("<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"5\" fill=\"{}\"/>\n", x.to + 24, at - 4, colour);
      svg += Text(x.to + 36, at, dot.group);
    }
    svg += fmt::format(
        "<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"5\" fill=\"{}\" fill-opacity=\"0.75\"><title>{}</title></circle>\n",
        x.At(dot.intensity), y.At(dot.operations), colour, Escape(dot.label));
  }
  return svg;
}

}  // namespace

Roofline MakeRoofline(const Figures& figures) {
  Roofline roofline{.title = "Forward passes for training, one thread, f32",
                    .subtitle = fmt::format("{}, {}", figures.processor, figures.vector_unit),
                    .flat = {"FMA", figures.limits.operations[1]}};
  for (const auto& bandwidth : figures.limits.bandwidths) {
    if (bandwidth.bytes[1] > 0) roofline.slopes.push_back({bandwidth.level.name, bandwidth.bytes[1]});
  }
  for (const Point& point : bench::Grid()) {
    if (IsStoredInBf16(point.cell)) continue;
    const Pass pass = point.is_streaming ? Pass::kStep : Pass::kForward;
    const auto seconds = figures.Seconds(point, pass, 1);
    const Work* work = figures.FindWork(point, pass);
    if (!seconds || work == nullptr) continue;
    const double operations = work->operations / *seconds;
    roofline.dots.push_back({.group = point.is_streaming ? point.cell + ", one step" : point.cell,
                             .label = fmt::format("{}: {:.1f} GFLOP/s", PointText(point), operations * 1e-9),
                             .intensity = work->intensity(),
                             .operations = operations});
  }
  return roofline;
}

std::string DrawRoofline(const Roofline& roofline) {
  double least = 0.5, most = 100, slowest = roofline.flat.rate, fastest = roofline.flat.rate;
  for (const Dot& dot : roofline.dots) {
    least = std::min(least, dot.intensity);
    most = std::max(most, dot.intensity);
    slowest = std::min(slowest, dot.operations);
    fastest = std::max(fastest, dot.operations);
  }
  const Axis x = Axis::Around(least, 1.5 * most, kLeft, kWidth - kRight);
  const Axis y = Axis::Around(slowest / 2, fastest * 1.5, kHeight - kBottom, kTop);
  std::string svg = fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {0} {1}\" width=\"{0}\" height=\"{1}\" "
      "font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"{0}\" height=\"{1}\" fill=\"white\"/>\n",
      kWidth, kHeight);
  svg += Text(kLeft, 24, roofline.title, "font-size=\"16\"") + Text(kLeft, 42, roofline.subtitle, "fill=\"#555\"");
  return svg + Grid(x, y) + Roofs(roofline, x, y) + Dots(roofline, x, y) + "</svg>\n";
}

}  // namespace recurve::bench

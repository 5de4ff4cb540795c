#include "runtime/plot.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <string_view>

#include <fmt/format.h>

namespace recurve {
namespace {

// Dark for the data, then colours that differ in lightness too (Okabe & Ito 2008, readable with any colour vision).
constexpr std::array<std::string_view, 6> kColours = {"#30343b", "#d55e00", "#0072b2", "#009e73", "#cc79a7", "#e69f00"};

constexpr double kLeft = 64, kRight = 20, kTop = 72, kBottom = 52;  // margins

std::string Escaped(std::string_view text) {
  std::string result;
  for (const char c : text) {
    switch (c) {
      case '&': result += "&amp;"; break;
      case '<': result += "&lt;"; break;
      case '>': result += "&gt;"; break;
      case '"': result += "&quot;"; break;
      default: result += static_cast<unsigned char>(c) < ' ' ? ' ' : c; break;  // every other character is itself
    }
  }
  return result;
}

// The range of the data and where it lies on the page.
struct Axis {
  double low = 0, high = 1;            // of the data
  double page_low = 0, page_high = 1;  // pixels
  double At(double value) const { return page_low + (value - low) / (high - low) * (page_high - page_low); }
};

struct Range {
  double low = std::numeric_limits<double>::infinity(), high = -low;
  void Add(double value) {
    if (!std::isfinite(value)) return;
    low = std::min(low, value);
    high = std::max(high, value);
  }
};

// A range that is empty or a point gets room around it, so that an axis always has a length.
Axis AxisOf(Range range, double page_low, double page_high) {
  if (!(range.low <= range.high)) range = {0, 1};
  if (!(range.high - range.low > 1e-12 * std::max(std::abs(range.low), std::abs(range.high)))) {
    const double room = std::max(1.0, std::abs(range.low) * 1e-3);
    range = {range.low - room, range.high + room};
  }
  return {range.low, range.high, page_low, page_high};
}

std::string Text(double x, double y, std::string_view attributes, std::string_view text) {
  return fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" {}>{}</text>\n", x, y, attributes, Escaped(text));
}

std::string Segment(double x1, double y1, double x2, double y2, std::string_view attributes) {
  return fmt::format("<line x1=\"{:.1f}\" y1=\"{:.1f}\" x2=\"{:.1f}\" y2=\"{:.1f}\" {}/>\n", x1, y1, x2, y2,
                     attributes);
}

std::string Path(const PlotLine& line, const Axis& x, const Axis& y, std::string_view colour) {
  std::string commands;
  bool is_open = false;
  for (size_t i = 0; i < std::min(line.x.size(), line.y.size()); ++i) {
    const bool is_point = std::isfinite(line.x[i]) && std::isfinite(line.y[i]);
    if (is_point) commands += fmt::format("{}{:.1f} {:.1f}", is_open ? "L" : "M", x.At(line.x[i]), y.At(line.y[i]));
    is_open = is_point;
  }
  return fmt::format("<path d=\"{}\" fill=\"none\" stroke=\"{}\" stroke-width=\"1.6\" stroke-linejoin=\"round\"{}/>\n",
                     commands, colour, line.is_dashed ? " stroke-dasharray=\"5 3\"" : "");
}

// The band of a line, along its lower edge and back along its upper one; where one is not finite it ends and begins
// anew.
std::string Band(const PlotLine& line, const Axis& x, const Axis& y, std::string_view colour) {
  const size_t count = std::min({line.x.size(), line.low.size(), line.high.size()});
  std::string commands;
  for (size_t begin = 0; begin < count;) {
    size_t end = begin;
    while (end < count && std::isfinite(line.x[end]) && std::isfinite(line.low[end]) && std::isfinite(line.high[end]))
      ++end;
    for (size_t i = begin; i < end; ++i)
      commands += fmt::format("{}{:.1f} {:.1f}", i == begin ? "M" : "L", x.At(line.x[i]), y.At(line.low[i]));
    for (size_t i = end; i > begin; --i)
      commands +=
          fmt::format("L{:.1f} {:.1f}{}", x.At(line.x[i - 1]), y.At(line.high[i - 1]), i == begin + 1 ? "Z" : "");
    begin = end + 1;
  }
  if (commands.empty()) return "";
  return fmt::format("<path d=\"{}\" fill=\"{}\" fill-opacity=\"0.2\" stroke=\"none\"/>\n", commands, colour);
}

}  // namespace

std::vector<double> Ticks(double low, double high, int count) {
  const double raw = (high - low) / std::max(count, 1);
  if (!(raw > 0) || !std::isfinite(raw)) return {};
  const double power = std::pow(10, std::floor(std::log10(raw)));
  const double ratio = raw / power;
  const double step = power * (ratio <= 1.5 ? 1 : ratio <= 3.5 ? 2 : ratio <= 7.5 ? 5 : 10);
  std::vector<double> ticks;
  // The tolerance keeps an end that is a multiple but for rounding; adding zero turns -0 into 0.
  const double last = std::floor(high / step + 1e-9);
  for (double k = std::ceil(low / step - 1e-9); k <= last && ticks.size() < 1000; ++k) ticks.push_back(k * step + 0.0);
  return ticks;
}

std::string Draw(const Plot& plot) {
  Range x_range, y_range;
  for (const PlotLine& line : plot.lines) {
    for (size_t i = 0; i < std::min(line.x.size(), line.y.size()); ++i) {
      if (!std::isfinite(line.x[i]) || !std::isfinite(line.y[i])) continue;
      x_range.Add(line.x[i]);
      y_range.Add(line.y[i]);
      for (const std::vector<double>* edge : {&line.low, &line.high}) {
        if (i < edge->size() && std::isfinite((*edge)[i])) y_range.Add((*edge)[i]);
      }
    }
  }
  const double right = std::max(plot.width - kRight, kLeft + 1), bottom = std::max(plot.height - kBottom, kTop + 1);
  const Axis x = AxisOf(x_range, kLeft, right);
  Axis y = AxisOf(y_range, bottom, kTop);
  const double room = (y.high - y.low) * 0.05;
  // A quantity that is never negative gets an axis that begins at zero.
  y.low = y.low >= 0 && y.low < 0.3 * y.high ? 0 : y.low - room;
  y.high += room;

  std::string svg = fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0}\" height=\"{1}\" viewBox=\"0 0 {0} {1}\" "
      "font-family=\"Helvetica, Arial, sans-serif\" font-size=\"12\" fill=\"#30343b\">\n"
      "<rect width=\"{0}\" height=\"{1}\" fill=\"#ffffff\"/>\n",
      plot.width, plot.height);
  if (plot.shade_from) {
    const double from = std::clamp(x.At(*plot.shade_from), kLeft, right);
    svg += fmt::format("<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\" fill=\"#f1f3f6\"/>\n", from,
                       kTop, right - from, bottom - kTop);
    svg += Text((from + right) / 2, kTop - 6, "text-anchor=\"middle\" fill=\"#80868f\"", plot.shade_label);
  }
  for (const double tick : Ticks(y.low, y.high, 6)) {
    svg += Segment(kLeft, y.At(tick), right, y.At(tick), "stroke=\"#e2e5ea\"");
    svg += Text(kLeft - 8, y.At(tick) + 4, "text-anchor=\"end\"", fmt::format("{:g}", tick));
  }
  for (const double tick : Ticks(x.low, x.high, 9)) {
    svg += Segment(x.At(tick), bottom, x.At(tick), bottom + 5, "stroke=\"#80868f\"");
    svg += Text(x.At(tick), bottom + 19, "text-anchor=\"middle\"", fmt::format("{:g}", tick));
  }
  svg += Segment(kLeft, bottom, right, bottom, "stroke=\"#80868f\"");
  for (size_t i = 0; i < plot.lines.size(); ++i) svg += Band(plot.lines[i], x, y, kColours[i % kColours.size()]);
  for (size_t i = 0; i < plot.lines.size(); ++i) svg += Path(plot.lines[i], x, y, kColours[i % kColours.size()]);

  svg += Text(kLeft, 24, "font-size=\"16\" font-weight=\"bold\"", plot.title);
  svg += Text((kLeft + right) / 2, plot.height - 12, "text-anchor=\"middle\"", plot.x_label);
  svg += fmt::format("<text transform=\"translate(18 {:.1f}) rotate(-90)\" text-anchor=\"middle\">{}</text>\n",
                     (kTop + bottom) / 2, Escaped(plot.y_label));
  // The legend is a row under the title; a name takes about seven pixels a character.
  double at = kLeft;
  for (size_t i = 0; i < plot.lines.size(); ++i) {
    const std::string stroke = fmt::format("stroke=\"{}\" stroke-width=\"2\"{}", kColours[i % kColours.size()],
                                           plot.lines[i].is_dashed ? " stroke-dasharray=\"5 3\"" : "");
    svg += Segment(at, 44, at + 22, 44, stroke);
    svg += Text(at + 28, 48, "", plot.lines[i].name);
    at += 46 + 7 * static_cast<double>(plot.lines[i].name.size());
  }
  return svg + "</svg>\n";
}

}  // namespace recurve

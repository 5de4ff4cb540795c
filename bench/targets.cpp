// bench/targets.cpp: rows of words.

#include "bench/targets.h"

#include <fmt/format.h>

#include <cmath>
#include <sstream>

namespace recurve::bench {
namespace {

bool Matches(std::string_view alternatives, std::string_view word) {
  if (alternatives == "*") return true;
  for (size_t begin = 0; begin <= alternatives.size();) {
    const size_t end = std::min(alternatives.find('|', begin), alternatives.size());
    if (alternatives.substr(begin, end - begin) == word) return true;
    begin = end + 1;
  }
  return false;
}

}  // namespace

std::expected<Targets, Error> Targets::Parse(std::string_view text) {
  Targets targets;
  std::istringstream lines{std::string(text)};
  int number = 0;
  for (std::string line; std::getline(lines, line);) {
    ++number;
    std::istringstream words(line.substr(0, line.find('#')));
    Target row;
    if (!(words >> row.kind)) continue;
    std::string rest;
    if (!(words >> row.cells >> row.size >> row.passes >> row.value) || words >> rest)
      return std::unexpected(Error{fmt::format("line {} of the targets is not KIND CELLS SIZES PASSES VALUE", number)});
    targets.rows_.push_back(std::move(row));
  }
  return targets;
}

std::optional<double> Targets::Find(std::string_view kind, std::string_view cell, std::string_view size,
                                    std::string_view pass) const {
  for (const Target& row : rows_) {
    if (row.kind == kind && Matches(row.cells, cell) && Matches(row.size, size) && Matches(row.passes, pass))
      return row.value;
  }
  return std::nullopt;
}

std::string Marker::AtLeast(double figure, std::optional<double> target, int decimals, std::string_view unit) {
  return Mark(figure, target, target && figure >= *target, decimals, unit);
}
std::string Marker::AtMost(double figure, std::optional<double> target, int decimals, std::string_view unit) {
  return Mark(figure, target, target && figure <= *target, decimals, unit);
}

std::string Marker::Mark(double figure, std::optional<double> target, bool is_met, int decimals,
                         std::string_view unit) {
  const std::string text = fmt::format("{:.{}f}{}", figure, decimals, unit);
  if (!target) return text;
  ++all_;
  met_ += is_met;
  if (is_met) return fmt::format("**{}**", text);
  // A miss that rounding would hide is still a miss.
  const double smallest = std::pow(10, -decimals), miss = figure - *target;
  return fmt::format("{} ({:+.{}f})", text, std::copysign(std::max(std::abs(miss), smallest), miss), decimals);
}

}  // namespace recurve::bench

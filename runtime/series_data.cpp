#include "runtime/series_data.h"

#include <charconv>
#include <cmath>
#include <optional>

#include <fmt/format.h>

#include "runtime/file.h"

namespace recurve {
namespace {

std::string_view Trim(std::string_view text) {
  constexpr std::string_view kBlank = " \t\r";
  const size_t begin = text.find_first_not_of(kBlank);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kBlank) - begin + 1);
}

std::string_view Unquoted(std::string_view text) {
  const bool is_quoted = text.size() >= 2 && text.front() == '"' && text.back() == '"';
  return is_quoted ? text.substr(1, text.size() - 2) : text;
}

// The part before the first separator, which is taken off the text along with it.
std::string_view TakeUntil(std::string_view& text, char separator) {
  const size_t end = text.find(separator);
  const std::string_view part = text.substr(0, end);
  text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  return part;
}

std::vector<std::string_view> Cells(std::string_view line) {
  std::vector<std::string_view> cells;
  const bool ends_open = line.ends_with(',');
  while (!line.empty()) cells.push_back(Unquoted(Trim(TakeUntil(line, ','))));
  if (ends_open) cells.emplace_back();
  return cells;
}

// A finite number that is all of the text.
std::optional<double> Number(std::string_view text) {
  double value = 0;
  if (text.starts_with('+')) text.remove_prefix(1);
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || !std::isfinite(value)) return std::nullopt;
  return value;
}

// Takes a first column that rises from row to row out of the values.
void SeparateTimes(Series& series) {
  const size_t width = series.width(), rows = width == 0 ? 0 : series.values.size() / width;
  bool rises = width >= 2 && rows >= 2;
  for (size_t row = 1; row < rows && rises; ++row)
    rises = series.values[row * width] > series.values[(row - 1) * width];
  for (size_t row = 0; row < rows; ++row) {
    series.times.push_back(rises ? series.values[row * width] : static_cast<double>(row));
  }
  if (!rises) return;
  series.time_name = series.columns.front();
  series.columns.erase(series.columns.begin());
  size_t kept = 0;
  for (size_t i = 0; i < series.values.size(); ++i) {
    if (i % width != 0) series.values[kept++] = series.values[i];
  }
  series.values.resize(kept);
}

}  // namespace

std::vector<double> Series::Column(size_t index) const {
  std::vector<double> column;
  for (size_t row = 0; row < rows(); ++row) column.push_back(values[row * width() + index]);
  return column;
}

std::expected<Series, Error> ParseSeries(std::string_view text, std::string_view name) {
  Series series;
  size_t first_line = 0;
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);  // a byte order mark
  for (size_t line_number = 1; !text.empty(); ++line_number) {
    const auto fail = [&](std::string_view flaw) {
      return std::unexpected(Error{fmt::format("cannot read a series from `{}`: line {} {}", name, line_number, flaw)});
    };
    const std::string_view line = Trim(TakeUntil(text, '\n'));
    if (line.empty() || line.starts_with('#')) continue;
    const std::vector<std::string_view> cells = Cells(line);
    if (first_line == 0) {
      first_line = line_number;
      bool is_header = true;
      for (const std::string_view cell : cells) is_header &= !Number(cell) && !cell.empty();
      for (size_t i = 0; i < cells.size(); ++i) {
        series.columns.push_back(is_header ? std::string(cells[i]) : fmt::format("column {}", i + 1));
      }
      if (is_header) continue;
    }
    if (cells.size() != series.columns.size()) {
      return fail(fmt::format("has {} columns, line {} has {}", cells.size(), first_line, series.columns.size()));
    }
    for (size_t i = 0; i < cells.size(); ++i) {
      const auto value = Number(cells[i]);
      if (!value) return fail(fmt::format("has `{}` in column {}, not a number", cells[i].substr(0, 40), i + 1));
      series.values.push_back(*value);
    }
  }
  if (series.values.empty())
    return std::unexpected(Error{fmt::format("cannot read a series from `{}`: it has no rows", name)});
  SeparateTimes(series);
  return series;
}

std::expected<Series, Error> ReadSeries(const std::string& path) {
  const auto text = ReadFile(path);
  if (!text) return std::unexpected(text.error());
  return ParseSeries(*text, path);
}

Standardization Standardization::Of(const Series& series, size_t rows) {
  Standardization result;
  const double count = static_cast<double>(rows);
  for (size_t column = 0; column < series.width(); ++column) {
    const auto at = [&](size_t row) { return series.values[row * series.width() + column]; };
    double sum = 0, squares = 0;
    for (size_t row = 0; row < rows; ++row) sum += at(row);
    const double mean = rows == 0 ? 0 : sum / count;
    for (size_t row = 0; row < rows; ++row) squares += (at(row) - mean) * (at(row) - mean);
    const double deviation = rows == 0 ? 0 : std::sqrt(squares / count);
    result.means.push_back(mean);
    result.deviations.push_back(deviation > 0 ? deviation : 1);
  }
  return result;
}

std::vector<double> Standardization::Apply(std::span<const double> values) const {
  std::vector<double> result(values.begin(), values.end());
  for (size_t i = 0; i < result.size(); ++i) {
    result[i] = (result[i] - means[i % means.size()]) / deviations[i % means.size()];
  }
  return result;
}

std::vector<double> Standardization::Undo(std::span<const double> values) const {
  std::vector<double> result(values.begin(), values.end());
  for (size_t i = 0; i < result.size(); ++i)
    result[i] = result[i] * deviations[i % means.size()] + means[i % means.size()];
  return result;
}

std::string Standardization::Serialize() const {
  std::string text;
  // The shortest decimal form that reads back as the same double.
  for (size_t i = 0; i < means.size(); ++i) text += fmt::format("{}{} {}", i == 0 ? "" : ",", means[i], deviations[i]);
  return text;
}

std::expected<Standardization, Error> Standardization::Deserialize(std::string_view serialized) {
  Standardization result;
  while (!serialized.empty()) {
    std::string_view pair = TakeUntil(serialized, ',');
    const auto mean = Number(TakeUntil(pair, ' ')), deviation = Number(pair);
    if (!mean || !deviation || *deviation <= 0) {
      return std::unexpected(Error{
          fmt::format("cannot read a standardization: column {} has no mean and deviation", result.means.size() + 1)});
    }
    result.means.push_back(*mean);
    result.deviations.push_back(*deviation);
  }
  return result;
}

}  // namespace recurve

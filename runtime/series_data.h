// runtime/series_data.h: real-valued series from CSV files, standardized.
//
// A file has one row a time step and one column a variable, separated by commas. A first row that is not made of
// numbers names the columns; lines that begin with `#` and empty lines are skipped. Of two or more columns a first one
// that rises from row to row is the time: it labels plots and is no variable.
//
//   auto series = recurve::ReadSeries("sunspots.csv");
//   const auto scale = recurve::Standardization::Of(*series, /*rows=*/247);    // the training part
//   std::vector<double> values = scale.Apply(series->values);

#ifndef RECURVE_RUNTIME_SERIES_DATA_H_
#define RECURVE_RUNTIME_SERIES_DATA_H_

#include <cstddef>
#include <expected>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/error.h"

namespace recurve {

struct Series {
  std::vector<std::string> columns;  // names; "column 2" where the file has none
  std::vector<double> values;        // [rows, columns]
  std::vector<double> times;         // [rows]; 0, 1, 2, ... where the file has none
  std::string time_name;             // empty where the file has none

  size_t rows() const { return times.size(); }
  size_t width() const { return columns.size(); }
  // The values of one column, in order of time.
  std::vector<double> Column(size_t index) const;
};

// `name` is what messages call the file; they name the line.
std::expected<Series, Error> ParseSeries(std::string_view text, std::string_view name);
std::expected<Series, Error> ReadSeries(const std::string& path);

// Mean 0 and deviation 1 in each column, over the rows it was taken from; a constant column is only shifted.
struct Standardization {
  std::vector<double> means, deviations;

  // Over the first `rows` rows, which must exist.
  static Standardization Of(const Series& series, size_t rows);
  // values: [any, columns].
  std::vector<double> Apply(std::span<const double> values) const;
  std::vector<double> Undo(std::span<const double> values) const;
  // Texts for the metadata of a weight file, exact: "mean deviation" of each column, separated by commas.
  std::string Serialize() const;
  static std::expected<Standardization, Error> Deserialize(std::string_view serialized);
};

}  // namespace recurve

#endif  // RECURVE_RUNTIME_SERIES_DATA_H_

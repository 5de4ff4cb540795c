// compiler/import/json_reader.h: values of a JSON document that nobody has checked, each read with its place.

#ifndef RECURVE_COMPILER_IMPORT_JSON_READER_H_
#define RECURVE_COMPILER_IMPORT_JSON_READER_H_

#include <fmt/format.h>

#include <expected>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "compiler/import/network.h"

namespace recurve {

// What `read` makes of a value, if there is one.
template <typename Value, typename Read>
auto Then(const std::expected<Value, Error>& value, const Read& read) -> decltype(read(*value)) {
  if (!value) return std::unexpected(value.error());
  return read(*value);
}

// A value and where it stands: "layers[1].weights[0]".
class JsonPlace {
 public:
  using Json = nlohmann::json;

  static std::expected<Json, Error> Parse(std::string_view bytes, std::string_view file) {
    Json json = Json::parse(bytes, nullptr, /*allow_exceptions=*/false);
    if (json.is_discarded()) return std::unexpected(Error{fmt::format("cannot import `{}`: it is no JSON", file)});
    return json;
  }

  JsonPlace(const Json& json, std::string_view file) : json_(&json), file_(file) {}

  std::unexpected<Error> Fail(const std::string& flaw) const {
    const std::string place = path_.empty() ? "" : fmt::format("`{}` ", path_);
    return std::unexpected(Error{fmt::format("cannot import `{}`: {}{}", file_, place, flaw)});
  }

  const Json& json() const { return *json_; }
  bool Has(const std::string& key) const { return json_->is_object() && json_->contains(key); }

  std::expected<JsonPlace, Error> At(const std::string& key) const {
    if (!json_->is_object()) return Fail("is no object");
    if (!json_->contains(key)) return Fail(fmt::format("has no `{}`", key));
    return JsonPlace((*json_)[key], file_, path_.empty() ? key : path_ + "." + key);
  }
  std::expected<JsonPlace, Error> At(size_t index) const {
    if (!json_->is_array()) return Fail("is no array");
    if (index >= json_->size()) return Fail(fmt::format("has {} elements, and one more is wanted", json_->size()));
    return JsonPlace((*json_)[index], file_, fmt::format("{}[{}]", path_, index));
  }
  size_t size() const { return json_->is_array() ? json_->size() : 0; }

  std::expected<std::string, Error> Text() const {
    if (!json_->is_string()) return Fail("is no text");
    return json_->get<std::string>();
  }
  // A whole number from 1 to a million: a count of something that fits into memory.
  std::expected<size_t, Error> Count() const {
    if (!json_->is_number_integer() || json_->get<int64_t>() < 1 || json_->get<int64_t>() > 1'000'000)
      return Fail("is no number from 1 to a million");
    return json_->get<size_t>();
  }
  std::expected<std::vector<double>, Error> Numbers() const {
    if (!json_->is_array()) return Fail("is no array of numbers");
    std::vector<double> numbers;
    for (const Json& value : *json_) {
      if (!value.is_number()) return Fail(fmt::format("has something else than numbers at {}", numbers.size()));
      numbers.push_back(value.get<double>());
    }
    return numbers;
  }
  std::expected<Matrix, Error> Rows() const {
    Matrix matrix{size(), 0, {}};
    for (size_t r = 0; r < size(); ++r) {
      auto row = Then(At(r), [](const JsonPlace& place) { return place.Numbers(); });
      if (!row) return std::unexpected(row.error());
      if (r > 0 && row->size() != matrix.columns) return Fail(fmt::format("has rows of different lengths, at {}", r));
      matrix.columns = row->size();
      matrix.values.insert(matrix.values.end(), row->begin(), row->end());
    }
    if (matrix.values.empty()) return Fail("is no matrix");
    return matrix;
  }

 private:
  JsonPlace(const Json& json, std::string_view file, std::string path)
      : json_(&json), file_(file), path_(std::move(path)) {}

  const Json* json_;
  std::string_view file_;
  std::string path_;
};

}  // namespace recurve

#endif  // RECURVE_COMPILER_IMPORT_JSON_READER_H_

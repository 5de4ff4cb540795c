#include "runtime/weights.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>
#include <optional>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "runtime/file.h"

namespace recurve {
namespace {

using Json = nlohmann::ordered_json;

static_assert(std::endian::native == std::endian::little,
              "safetensors values are little-endian and copied as they are");

constexpr size_t kLengthBytes = 8;
constexpr uint64_t kLargestHeader = 100'000'000;  // as in the reference implementation

std::unexpected<Error> Fail(std::string_view name, std::string_view flaw) {
  return std::unexpected(Error{fmt::format("cannot read weights from `{}`: {}", name, flaw)});
}

// Names come from a file that may hold anything: what a message repeats of them is short and printable.
std::string Quoted(std::string_view name) {
  std::string text = "`";
  for (const char c : name.substr(0, 64)) text += c >= ' ' && c != 127 ? c : '?';
  return text + (name.size() > 64 ? "...`" : "`");
}

template <typename T>
void Append(std::span<const double> values, std::vector<std::byte>& bytes) {
  for (const double value : values) {
    const T element = static_cast<T>(value);
    const auto* begin = reinterpret_cast<const std::byte*>(&element);
    bytes.insert(bytes.end(), begin, begin + sizeof element);
  }
}

template <typename T>
std::vector<double> Extract(std::span<const std::byte> bytes) {
  std::vector<double> values(bytes.size() / sizeof(T));
  for (size_t i = 0; i < values.size(); ++i) {
    T element;
    std::memcpy(&element, bytes.data() + i * sizeof element, sizeof element);
    values[i] = element;
  }
  return values;
}

// A tensor's entry in the header.
struct Place {
  WeightTensor tensor;
  uint64_t begin = 0, end = 0;  // bytes, from the end of the header
};

// The unsigned numbers of a JSON array, or nothing if it is anything else.
std::optional<std::vector<uint64_t>> Numbers(const Json& json) {
  if (!json.is_array()) return std::nullopt;
  std::vector<uint64_t> numbers;
  for (const Json& element : json) {
    if (!element.is_number_unsigned()) return std::nullopt;
    numbers.push_back(element.get<uint64_t>());
  }
  return numbers;
}

// Reads one entry; returns what is wrong with it, or nothing.
std::optional<std::string> ParsePlace(const Json& entry, Place& place) {
  if (!entry.is_object()) return "its entry is not an object";
  const auto dtype = entry.find("dtype"), shape = entry.find("shape"), offsets = entry.find("data_offsets");
  if (dtype == entry.end() || !dtype->is_string()) return "it has no `dtype`";
  const auto& type = dtype->get_ref<const std::string&>();
  if (type != "F32" && type != "F64") return fmt::format("its type is {}, not F32 or F64", Quoted(type));
  place.tensor.element = type == "F32" ? ElementType::kF32 : ElementType::kF64;
  const auto dims = shape == entry.end() ? std::nullopt : Numbers(*shape);
  if (!dims) return "its `shape` is not a list of sizes";
  place.tensor.shape = *dims;
  const auto range = offsets == entry.end() ? std::nullopt : Numbers(*offsets);
  if (!range || range->size() != 2) return "its `data_offsets` are not two numbers";
  place.begin = (*range)[0];
  place.end = (*range)[1];
  uint64_t bytes = ElementBytes(place.tensor.element);
  for (const uint64_t dim : place.tensor.shape) {
    if (dim != 0 && bytes > std::numeric_limits<uint64_t>::max() / dim) return "its shape exceeds what memory holds";
    bytes *= dim;
  }
  if (place.end < place.begin || place.end - place.begin != bytes) {
    return fmt::format("its shape needs {} bytes, its place is [{}, {})", bytes, place.begin, place.end);
  }
  return std::nullopt;
}

}  // namespace

const WeightTensor* WeightFile::Find(std::string_view name) const {
  const auto found = std::ranges::find(tensors, name, &WeightTensor::name);
  return found == tensors.end() ? nullptr : &*found;
}

std::string_view WeightFile::Metadata(const std::string& key) const {
  const auto found = metadata.find(key);
  return found == metadata.end() ? std::string_view() : found->second;
}

std::expected<WeightFile, Error> ParseWeights(std::span<const std::byte> bytes, std::string_view name) {
  if (bytes.size() < kLengthBytes) return Fail(name, fmt::format("it has {} bytes, a header needs 8", bytes.size()));
  uint64_t length;
  std::memcpy(&length, bytes.data(), kLengthBytes);
  const uint64_t rest = bytes.size() - kLengthBytes;
  if (length > kLargestHeader || length > rest) {
    return Fail(name, fmt::format("its header should have {} bytes, {} follow", length, rest));
  }
  const auto* text = reinterpret_cast<const char*>(bytes.data() + kLengthBytes);
  const Json header = Json::parse(text, text + length, nullptr, /*allow_exceptions=*/false);
  if (!header.is_object()) return Fail(name, "its header is not a JSON object");
  const auto values = bytes.subspan(kLengthBytes + length);

  WeightFile file;
  std::vector<Place> places;
  for (const auto& [key, entry] : header.items()) {
    if (key == "__metadata__") {
      if (!entry.is_object()) return Fail(name, "its `__metadata__` is not an object");
      for (const auto& [word, value] : entry.items()) {
        if (!value.is_string()) return Fail(name, fmt::format("its metadata {} is not a text", Quoted(word)));
        file.metadata[word] = value.get<std::string>();
      }
      continue;
    }
    Place place;
    place.tensor.name = key;
    if (auto flaw = ParsePlace(entry, place)) return Fail(name, fmt::format("tensor {}: {}", Quoted(key), *flaw));
    places.push_back(std::move(place));
  }
  // Places must cover the values exactly once: no gap that hides something, no byte that is read twice. So no file
  // makes us allocate more than twice its own size.
  std::ranges::sort(places, {}, [](const Place& place) { return std::pair(place.begin, place.end); });
  uint64_t end = 0;
  for (const Place& place : places) {
    if (place.begin != end) {
      return Fail(name, fmt::format("tensor {} begins at byte {}, the one before it ends at {}",
                                    Quoted(place.tensor.name), place.begin, end));
    }
    end = place.end;
  }
  if (end != values.size()) return Fail(name, fmt::format("its tensors need {} bytes, it has {}", end, values.size()));
  for (Place& place : places) {
    const auto part = values.subspan(place.begin, place.end - place.begin);
    place.tensor.values = place.tensor.element == ElementType::kF32 ? Extract<float>(part) : Extract<double>(part);
    file.tensors.push_back(std::move(place.tensor));
  }
  return file;
}

std::vector<std::byte> FormatWeights(const WeightFile& file) {
  Json header = Json::object();
  if (!file.metadata.empty()) header["__metadata__"] = file.metadata;
  uint64_t offset = 0;
  for (const WeightTensor& tensor : file.tensors) {
    const uint64_t end = offset + tensor.values.size() * ElementBytes(tensor.element);
    header[tensor.name] = {{"dtype", tensor.element == ElementType::kF64 ? "F64" : "F32"},
                           {"shape", tensor.shape},
                           {"data_offsets", {offset, end}}};
    offset = end;
  }
  // Text that is not UTF-8 is replaced rather than thrown about; values begin at a multiple of eight bytes.
  std::string text = header.dump(-1, ' ', false, Json::error_handler_t::replace);
  text.append((8 - text.size() % 8) % 8, ' ');
  const uint64_t length = text.size();
  std::vector<std::byte> bytes(kLengthBytes + text.size());
  std::memcpy(bytes.data(), &length, kLengthBytes);
  std::memcpy(bytes.data() + kLengthBytes, text.data(), text.size());
  bytes.reserve(bytes.size() + offset);
  for (const WeightTensor& tensor : file.tensors) {
    if (tensor.element == ElementType::kF64) {
      Append<double>(tensor.values, bytes);
    } else {
      Append<float>(tensor.values, bytes);
    }
  }
  return bytes;
}

std::expected<WeightFile, Error> ReadWeights(const std::string& path) {
  auto contents = ReadFile(path);
  if (!contents) return std::unexpected(std::move(contents.error()));
  return ParseWeights(std::as_bytes(std::span(*contents)), path);
}

std::expected<void, Error> WriteWeights(const std::string& path, const WeightFile& file) {
  const std::vector<std::byte> bytes = FormatWeights(file);
  return WriteFile(path, {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
}

WeightFile Collect(const Parameters& parameters, std::string_view prefix) {
  WeightFile file;
  const Program& program = parameters.program();
  for (const recurve_slot* slot : program.parameters()) {
    WeightTensor tensor{.name = fmt::format("{}{}", prefix, slot->name), .element = program.element()};
    for (int i = 0; i < slot->rank; ++i) tensor.shape.push_back(static_cast<uint64_t>(slot->dims[i]));
    if (program.element() == ElementType::kF64) {
      if (const auto values = parameters.Read<double>(slot->name)) tensor.values.assign(values->begin(), values->end());
    } else {
      if (const auto values = parameters.Read<float>(slot->name)) tensor.values.assign(values->begin(), values->end());
    }
    file.tensors.push_back(std::move(tensor));
  }
  return file;
}

std::expected<void, Error> Restore(Parameters& parameters, const WeightFile& file, std::string_view prefix) {
  const Program& program = parameters.program();
  std::vector<const WeightTensor*> sources;
  for (const recurve_slot* slot : program.parameters()) {
    const WeightTensor* source = file.Find(fmt::format("{}{}", prefix, slot->name));
    if (source == nullptr) {
      return std::unexpected(Error{
          fmt::format("the weights have no tensor `{}{}`, which `{}` needs", prefix, slot->name, program.name())});
    }
    if (!std::ranges::equal(source->shape, std::span(slot->dims, static_cast<size_t>(slot->rank)),
                            [](uint64_t a, recurve_dim b) { return a == static_cast<uint64_t>(b); })) {
      return std::unexpected(
          Error{fmt::format("the weights' `{}` is [{}], `{}` needs {}", source->name, fmt::join(source->shape, ", "),
                            program.name(), program.ShapeText(*slot))});
    }
    sources.push_back(source);
  }
  for (size_t i = 0; i < sources.size(); ++i) {
    const char* name = program.parameters()[i]->name;
    if (program.element() == ElementType::kF64) {
      const auto values = parameters.Write<double>(name);
      if (!values) return std::unexpected(values.error());
      std::ranges::copy(sources[i]->values, values->begin());
    } else {
      const auto values = parameters.Write<float>(name);
      if (!values) return std::unexpected(values.error());
      std::ranges::transform(sources[i]->values, values->begin(), [](double x) { return static_cast<float>(x); });
    }
  }
  return {};
}

}  // namespace recurve

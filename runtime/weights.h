// runtime/weights.h: named tensors in a file, in the safetensors format.
//
// A file is the length of a header, the header (JSON: for each tensor its type, shape and place, and free text under
// `__metadata__`), and the values. It holds nothing that could run, other tools read it, and every field of it is
// checked here before it is believed: a damaged or hostile file yields an Error that says what and where.
// Format: https://github.com/huggingface/safetensors, README, "Format".
//
//   recurve::WeightFile file = recurve::Collect(parameters);
//   file.metadata["entry"] = "lstm";
//   auto written = recurve::WriteWeights("lstm.safetensors", file);
//
// Values are doubles in memory, which holds f32 and f64 exactly; a file's type is chosen when it is written, and
// loading into a program converts to the program's.

#ifndef RECURVE_RUNTIME_WEIGHTS_H_
#define RECURVE_RUNTIME_WEIGHTS_H_

#include <cstddef>
#include <cstdint>
#include <expected>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/error.h"
#include "runtime/parameters.h"

namespace recurve {

struct WeightTensor {
  std::string name;
  std::vector<uint64_t> shape;
  ElementType element = ElementType::kF32;  // in the file: kF32 or kF64
  std::vector<double> values;               // row-major, as many as the shape says
};

struct WeightFile {
  std::map<std::string, std::string> metadata;
  std::vector<WeightTensor> tensors;

  const WeightTensor* Find(std::string_view name) const;
  // The metadata of that key, or empty.
  std::string_view Metadata(const std::string& key) const;
};

// `name` is what messages call the file.
std::expected<WeightFile, Error> ParseWeights(std::span<const std::byte> bytes, std::string_view name);
std::vector<std::byte> FormatWeights(const WeightFile& file);

std::expected<WeightFile, Error> ReadWeights(const std::string& path);
// The file appears whole or not at all: it is written beside its place, forced to the disk, and then renamed.
std::expected<void, Error> WriteWeights(const std::string& path, const WeightFile& file);

// All parameters of a program, in its precision; under names that begin with `prefix`.
WeightFile Collect(const Parameters& parameters, std::string_view prefix = "");
// Sets every parameter of a program from the tensor of its name behind `prefix`. Fails, before anything is changed, if
// one is missing or has another shape; tensors the program does not know are left alone.
std::expected<void, Error> Restore(Parameters& parameters, const WeightFile& file, std::string_view prefix = "");

}  // namespace recurve

#endif  // RECURVE_RUNTIME_WEIGHTS_H_

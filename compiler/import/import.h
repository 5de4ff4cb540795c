// compiler/import/import.h: trained recurrent models from other programs, as a model of ours and its weights.
//
//   auto imported = recurve::Import("amp.nam", recurve::ImportOptions{});
//   imported->source         the model `amp` in the language
//   imported->weights        what belongs into its parameters
//
// Formats, told by name and contents:
//   .safetensors   state dicts of PyTorch: nn.RNN, nn.LSTM (proj_size too), nn.GRU, stacked and bidirectional, and a
//                  linear layer behind
//   .onnx          a row of RNN, LSTM and GRU nodes with what exporters put between and behind them
//   .json          RTNeural's, with weights from Keras or as a state dict of PyTorch
//   .nam           Neural Amp Modeler, architecture LSTM
//
// Files may hold anything: what is not as it should be ends in an Error that says where.

#ifndef RECURVE_COMPILER_IMPORT_IMPORT_H_
#define RECURVE_COMPILER_IMPORT_IMPORT_H_

#include <expected>
#include <string>
#include <string_view>

#include "runtime/error.h"
#include "runtime/weights.h"

namespace recurve {

struct Imported {
  std::string entry;  // the model's name
  std::string source;
  WeightFile weights;
};

struct ImportOptions {
  std::string name;          // of the model; empty: of the file
  bool has_lengths = false;  // the model takes the lengths of its sequences
  bool relu = false;         // PyTorch's nn.RNN was made with nonlinearity="relu", which its state dict does not say
};

std::expected<Imported, Error> Import(const std::string& path, const ImportOptions& options);

// The same from bytes, by format. `name` is what messages call the file.
std::expected<Imported, Error> ImportPyTorch(const WeightFile& file, std::string_view name,
                                             const ImportOptions& options);
std::expected<Imported, Error> ImportJson(std::string_view bytes, std::string_view name, const ImportOptions& options);
std::expected<Imported, Error> ImportNam(std::string_view bytes, std::string_view name, const ImportOptions& options);
std::expected<Imported, Error> ImportOnnx(std::string_view bytes, std::string_view name, const ImportOptions& options);

}  // namespace recurve

#endif  // RECURVE_COMPILER_IMPORT_IMPORT_H_

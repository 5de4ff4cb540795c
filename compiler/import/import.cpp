// compiler/import/import.cpp: which importer a file is for.

#include "compiler/import/import.h"

#include <fmt/format.h>

#include <filesystem>

#include "compiler/interface.h"
#include "runtime/file.h"

namespace recurve {

std::expected<Imported, Error> Import(const std::string& path, const ImportOptions& given) {
  ImportOptions options = given;
  const std::filesystem::path file(path);
  if (options.name.empty()) options.name = CIdentifier(file.stem().string());
  const std::string extension = file.extension().string(), name = file.filename().string();
  if (extension == ".safetensors") {
    auto weights = ReadWeights(path);
    if (!weights) return std::unexpected(weights.error());
    return ImportPyTorch(*weights, name, options);
  }
  auto bytes = ReadFile(path);
  if (!bytes) return std::unexpected(bytes.error());
  if (extension == ".onnx") return ImportOnnx(*bytes, name, options);
  if (extension == ".json") return ImportJson(*bytes, name, options);
  if (extension == ".nam") return ImportNam(*bytes, name, options);
  return std::unexpected(
      Error{fmt::format("cannot import `{}`: files of .safetensors, .onnx, .json and .nam can be", name)});
}

}  // namespace recurve

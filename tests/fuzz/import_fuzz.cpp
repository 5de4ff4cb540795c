// tests/fuzz/import_fuzz.cpp: libFuzzer on the importers: the first byte chooses the format, the rest is the file.
//
//   ./dev build fuzz && build/fuzz/tests/import_fuzz -max_total_time=600 CORPUS
//
// tests/interchange has the seeded form of it. What is imported must be readable by the language.

#include <cstdint>
#include <cstdlib>
#include <span>
#include <string_view>

#include "compiler/import/import.h"
#include "frontend/frontend.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace recurve;
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  const ImportOptions options{.name = "m"};
  std::expected<Imported, Error> imported = std::unexpected(Error{});
  switch (data[0] % 4) {
    case 0: imported = ImportOnnx(bytes, "f.onnx", options); break;
    case 1: imported = ImportJson(bytes, "f.json", options); break;
    case 2: imported = ImportNam(bytes, "f.nam", options); break;
    default: {
      const auto weights = ParseWeights(std::as_bytes(std::span(bytes)), "f.safetensors");
      if (weights) imported = ImportPyTorch(*weights, "f.safetensors", options);
    }
  }
  if (imported && !frontend::Load("m", imported->source).program) std::abort();
  return 0;
}

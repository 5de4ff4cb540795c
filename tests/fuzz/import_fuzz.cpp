// tests/fuzz/import_fuzz.cpp: libFuzzer on one importer; CMake makes a program of it for each format (kFormat).
//
//   ./dev build fuzz && build/fuzz/tests/import_nam_fuzz -max_total_time=600 CORPUS tests/interchange/goldens
//
// tests/interchange has the seeded form of it. What is imported must be readable by the language.

#include <cstdint>
#include <cstdlib>
#include <span>
#include <string_view>

#include "compiler/import/import.h"
#include "frontend/frontend.h"

namespace {

constexpr std::string_view kFormat = RECURVE_FUZZ_FORMAT;
static_assert(kFormat == "onnx" || kFormat == "json" || kFormat == "nam" || kFormat == "safetensors");

std::expected<recurve::Imported, recurve::Error> Import(std::string_view bytes) {
  using namespace recurve;
  const ImportOptions options{.name = "m"};
  if constexpr (kFormat == "onnx") return ImportOnnx(bytes, "f.onnx", options);
  if constexpr (kFormat == "json") return ImportJson(bytes, "f.json", options);
  if constexpr (kFormat == "nam") return ImportNam(bytes, "f.nam", options);
  const auto weights = ParseWeights(std::as_bytes(std::span(bytes)), "f.safetensors");
  if (!weights) return std::unexpected(weights.error());
  return ImportPyTorch(*weights, "f.safetensors", options);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto imported = Import({reinterpret_cast<const char*>(data), size});
  if (imported && !recurve::frontend::Load("m", imported->source).program) std::abort();
  return 0;
}

// tests/fuzz/parser_fuzz.cpp: libFuzzer on the whole frontend. tests/frontend/fuzz_test.cpp runs the same promise on
// seeded mutations in every test run.

#include "tests/fuzz/parser_fuzz.h"

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  if (std::string broken = recurve::frontend::BrokenPromiseOf(text); !broken.empty()) {
    std::fprintf(stderr, "%s\n", broken.c_str());
    std::abort();
  }
  return 0;
}

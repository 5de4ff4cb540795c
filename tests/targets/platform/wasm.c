/* tests/targets/platform/wasm.c: a module whose host prints. */

#include "harness.h"

__attribute__((import_module("host"), import_name("put"))) void host_put(const char* text, size_t length);

void put(const char* text) {
  size_t length = 0;
  while (text[length] != 0) ++length;
  host_put(text, length);
}

__attribute__((export_name("run"))) int run(void) { return run_cases(); }

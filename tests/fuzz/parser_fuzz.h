// tests/fuzz/parser_fuzz.h: what must hold for every text given to the frontend, shared by the libFuzzer program and
// the seeded test.

#ifndef RECURVE_TESTS_FUZZ_PARSER_FUZZ_H_
#define RECURVE_TESTS_FUZZ_PARSER_FUZZ_H_

#include <string>
#include <string_view>

#include "frontend/frontend.h"
#include "ir/verifier.h"

namespace recurve::frontend {

// A text that has no program says why. An entry of a program, given small extents, either becomes a graph that verifies
// or says why not. Returns what was broken, or nothing.
inline std::string BrokenPromiseOf(std::string_view text) {
  LoadResult loaded = Load("fuzz.cell", text);
  if (!loaded.program) return loaded.messages.empty() ? "no program and no message" : "";
  for (const Entry& entry : loaded.program->entries) {
    Extents extents;
    int64_t number = 2;
    for (const std::string& extent : entry.extents) extents[extent] = number++ % 4 + 1;
    BuildResult built = Build(*loaded.program, entry.name, extents);
    if (!built.graph) {
      if (built.messages.empty()) return "no graph of `" + entry.name + "` and no message";
      continue;
    }
    if (std::string why = ir::Verify(*built.graph); !why.empty()) return "`" + entry.name + "`: " + why;
  }
  return {};
}

}  // namespace recurve::frontend

#endif  // RECURVE_TESTS_FUZZ_PARSER_FUZZ_H_

// tests/support/graph_of.h: from source text to a graph, in a test.

#ifndef RECURVE_TESTS_SUPPORT_GRAPH_OF_H_
#define RECURVE_TESTS_SUPPORT_GRAPH_OF_H_

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <utility>

#include "frontend/frontend.h"
#include "ir/graph.h"

namespace recurve {

// A mistake in the source is a failure of the test.
inline ir::Graph GraphOf(const std::string& source, const std::string& entry, const frontend::Extents& extents) {
  const frontend::LoadResult loaded = frontend::Load("test", source);
  EXPECT_TRUE(loaded.program) << loaded.messages;
  if (!loaded.program) return {};
  frontend::BuildResult built = frontend::Build(*loaded.program, entry, extents);
  EXPECT_TRUE(built.graph) << built.messages;
  return built.graph ? *std::move(built.graph) : ir::Graph();
}

// A library cell as a model of one scan, so that the library's text need not be read.
inline ir::Graph LibraryCell(const std::string& cell, int64_t inputs, int64_t units) {
  return GraphOf(
      fmt::format("model m(I, H) {{\n  input x: [I] over T\n  y = scan {}(H=H) over x\n  output y\n}}\n", cell), "m",
      {{"I", inputs}, {"H", units}});
}

// A cell whose gates have weights of their own.
inline ir::Graph SeparateGates(int64_t inputs, int64_t units) {
  return GraphOf(R"(
cell c(I, H) {
  input x: [I]
  state h: [H]
  param Wf: [H, I], Uf: [H, H], Wg: [H, I], Ug: [H, H], bf: [H], bg: [H]
  f = sigmoid(Wf @ x + Uf @ h + bf)
  h' = f * h + (1 - f) * tanh(Wg @ x + Ug @ h + bg)
  output y = h'
}
)",
                 "c", {{"I", inputs}, {"H", units}});
}

}  // namespace recurve

#endif  // RECURVE_TESTS_SUPPORT_GRAPH_OF_H_

// tests/ir/ir_testing.h: graphs from text and small tensors, for the tests of this folder.

#ifndef RECURVE_TESTS_IR_IR_TESTING_H_
#define RECURVE_TESTS_IR_IR_TESTING_H_

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <numeric>
#include <string_view>
#include <utility>
#include <vector>

#include "ir/interpreter.h"
#include "ir/text.h"

namespace recurve::ir {

// The graph of a text that must read; an empty graph and a failed test otherwise.
inline Graph Read(std::string_view text) {
  auto graph = ReadText(text);
  if (graph) return *std::move(graph);
  ADD_FAILURE() << fmt::format("{}:{}: {}", graph.error().line, graph.error().column, graph.error().message);
  return {};
}

// 1, 2, 3, ... in a shape.
inline Tensor Counting(std::vector<int64_t> shape) {
  Tensor tensor = Tensor::Filled(std::move(shape), 0);
  std::iota(tensor.values.begin(), tensor.values.end(), 1.0);
  return tensor;
}

}  // namespace recurve::ir

#endif  // RECURVE_TESTS_IR_IR_TESTING_H_

// tests/driver/batch_first_test.cpp: sequences laid out batch by batch give the same numbers, in other places.

#include "compiler/batch_first.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>

#include "compiler/compile.h"
#include "compiler/gradcheck.h"
#include "ir/verifier.h"
#include "runtime/session.h"
#include "tests/support/graph_of.h"

namespace recurve {
namespace {

constexpr const char* kModels[] = {
    "model m(H) {\n  input x: [3] over T\n  y = scan lstm(H=H) over x\n  output y\n}\n",
    "model m(H) {\n  input tokens: int[5] over T by n, target: int[5] over T\n  param table: [5, H], P: [5, H]\n"
    "  a = scan gru(H=H) over table[tokens]\n  b = reverse scan gru(H=H) over table[tokens]\n  z = P @ (a + b)\n"
    "  output z\n  loss cross_entropy(z, target)\n}\n",
};

// All tensors after forward and backward, sequences as [T, B, ...] whatever their layout.
std::map<std::string, std::vector<double>> Results(const ir::Graph& graph, size_t steps, size_t batch) {
  auto program = CompileToMemory(graph);
  EXPECT_TRUE(program) << program.error().message;
  Session session(*program);
  EXPECT_TRUE(session.SetExtent("T", steps) && session.SetExtent("B", batch) && session.Initialize(3));
  auto is_sequence = [&](const recurve_slot& slot) { return slot.rank >= 2 && slot.dims[0] < 0 && slot.dims[1] < 0; };
  auto is_batch_first = [&](const recurve_slot& slot) {
    return is_sequence(slot) && program->axes()[static_cast<size_t>(-1 - slot.dims[0])] == std::string_view("B");
  };
  // Element (t, b) of a sequence to its place in the slot's layout, or back.
  auto moved = [&](const recurve_slot& slot, const std::vector<double>& values, bool back) {
    if (!is_batch_first(slot)) return values;
    std::vector<double> result(values.size());
    const size_t width = values.size() / steps / batch;
    for (size_t t = 0; t < steps; ++t) {
      for (size_t b = 0; b < batch; ++b) {
        const size_t time_first = (t * batch + b) * width, batch_first = (b * steps + t) * width;
        for (size_t i = 0; i < width; ++i)
          result[(back ? time_first : batch_first) + i] = values[(back ? batch_first : time_first) + i];
      }
    }
    return result;
  };
  for (const recurve_slot* slot : session.tensors()) {
    if (slot->kind == RECURVE_SLOT_OUTPUT) continue;
    std::vector<double> values = *session.Get(slot->name);
    for (size_t i = 0; i < values.size(); ++i)
      values[i] = slot->classes == RECURVE_ANY_INDEX ? static_cast<double>(1 + i % steps)
                  : slot->is_index                   ? static_cast<double>(i * 7 % 5)
                                                     : std::sin(static_cast<double>(i));
    EXPECT_TRUE(session.Set(slot->name, moved(*slot, values, false)));
  }
  EXPECT_TRUE(session.Forward() && session.Backward());
  std::map<std::string, std::vector<double>> results;
  for (const recurve_slot* slot : session.tensors()) {
    if (slot->kind == RECURVE_SLOT_OUTPUT) results[slot->name] = moved(*slot, *session.Get(slot->name), true);
  }
  return results;
}

TEST(BatchFirst, IsTheSameElsewhere) {
  for (const char* source : kModels) {
    const ir::Graph graph = GraphOf(source, "m", {{"H", 6}}), other = BatchFirst(graph);
    EXPECT_EQ(ir::Verify(other), "");
    const ir::Shape& shape = other.type(other.inputs()[0]).shape;
    EXPECT_EQ(shape[0].axis, "B");
    EXPECT_EQ(shape[1].axis, "T");
    for (const auto& [steps, batch] : {std::pair{5, 3}, std::pair{1, 4}, std::pair{6, 1}}) {
      const auto results = Results(other, steps, batch);
      for (const auto& [name, expected] : Results(graph, steps, batch)) {
        const std::vector<double>& seen = results.at(name);
        ASSERT_EQ(seen.size(), expected.size());
        // Sums over steps and rows, of which gradients are made, are taken in the order of memory: HasGradients has
        // them.
        if (!name.ends_with("_adj")) EXPECT_EQ(seen, expected) << name << " " << steps << " " << batch;
        for (size_t i = 0; i < seen.size(); ++i) EXPECT_NEAR(seen[i], expected[i], 1e-5) << name;
      }
    }
  }
}

TEST(BatchFirst, HasGradients) {
  for (const char* source : kModels) {
    auto report = Gradcheck(BatchFirst(GraphOf(source, "m", {{"H", 6}})), {.precision = Precision::kF64});
    ASSERT_TRUE(report) << report.error().message;
    EXPECT_TRUE(report->passed()) << PrintReport(*report);
  }
}

TEST(BatchFirst, StepsAreAsTheyWere) {
  const ir::Graph graph = GraphOf(kModels[0], "m", {{"H", 6}});
  std::vector<double> outputs[2];
  for (int i = 0; i < 2; ++i) {
    auto program = CompileToMemory(i == 0 ? graph : BatchFirst(graph));
    ASSERT_TRUE(program);
    Stream stream(*program, 2);
    ASSERT_TRUE(stream.parameters().Initialize(3));
    for (int t = 0; t < 3; ++t) {
      ASSERT_TRUE(stream.Set("x", std::vector<double>{1, 2, 3, -4, 5, 0.1 * t}) && stream.Step());
      const std::vector<double> y = *stream.Get("y");
      outputs[i].insert(outputs[i].end(), y.begin(), y.end());
    }
  }
  EXPECT_EQ(outputs[0], outputs[1]);
}

}  // namespace
}  // namespace recurve

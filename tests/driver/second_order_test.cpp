// tests/driver/second_order_test.cpp: the derivative composes with itself: for every library cell the gradient of the
// squared norm of its gradient, through time, against finite differences, against the unrolled program, and compiled.

#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "compiler/compile.h"
#include "compiler/derivative.h"
#include "compiler/gradcheck.h"
#include "compiler/graph_util.h"
#include "frontend/frontend.h"
#include "ir/verifier.h"

namespace recurve {
namespace {

ir::Graph LibraryCell(const std::string& cell) {
  std::ifstream file(RECURVE_SOURCE_DIR "/frontend/library/" + cell + ".cell");
  std::stringstream text;
  text << file.rdbuf();
  frontend::LoadResult loaded = frontend::Load(cell, text.str());
  EXPECT_TRUE(loaded.program) << loaded.messages;
  return *frontend::Build(*loaded.program, cell, {{"I", 2}, {"H", 3}}).graph;
}

// The graph of one scalar: the sum of squares of every gradient, for adjoints that are given as data.
ir::Graph SquaredNormOfGradient(const ir::Graph& graph) {
  std::vector<std::string> wrt;
  for (ir::NodeId id : graph.inputs()) wrt.push_back(graph[id].As<ir::InputAttr>().name);
  ir::Graph joint = Vjp(graph, wrt);
  ir::Graph norm;
  norm.name = graph.name + "_norm";
  NodeMap map = EmptyMap(joint);
  for (ir::NodeId id : joint.inputs()) {
    const auto& input = joint[id].As<ir::InputAttr>();
    ir::Role role = input.role == ir::Role::kAdjoint ? ir::Role::kData : input.role;
    map[id] = AddInputOfType(norm, input.name, role, joint.type(id)).id();
  }
  CopyAbsent(joint, map, norm);
  ir::Expr sum;
  for (size_t i = graph.outputs().size(); i < joint.outputs().size(); ++i) {
    ir::Expr gradient = norm.At(map[joint.outputs()[i].node]);
    std::vector<int> axes;
    for (int axis = 0; axis < gradient.type().rank(); ++axis) axes.push_back(axis);
    ir::Expr square = ir::ReduceSum(gradient * gradient, axes);
    sum = sum ? sum + square : square;
  }
  norm.AddOutput("norm", sum);
  return norm;
}

class SecondOrder : public testing::TestWithParam<const char*> {};

TEST_P(SecondOrder, GradientOfTheGradientsNorm) {
  const ir::Graph norm = SquaredNormOfGradient(LibraryCell(GetParam()));
  ASSERT_EQ(ir::Verify(norm), "");
  const Trial trial = MakeTrial(norm, {{"T", 3}, {"B", 2}}, 17);
  ASSERT_EQ(ir::Verify(trial.joint), "");
  const std::vector<double> differences = FiniteDifferenceErrors(trial, /*elements=*/6, 17);
  const std::vector<double> unrolled = UnrolledErrors(trial);
  for (size_t k = 0; k < trial.wrt.size(); ++k) {
    EXPECT_LE(differences[k], kFiniteDifferenceTolerance) << trial.wrt[k];
    EXPECT_LE(unrolled[k], kUnrolledTolerance) << trial.wrt[k];
  }
  auto program = CompileToMemory(norm, {.precision = Precision::kF64, .entries = {"forward", "backward"}});
  ASSERT_TRUE(program) << program.error().message;
  auto compiled = ErrorsOf(*program, trial);
  ASSERT_TRUE(compiled) << compiled.error().message;
  for (size_t k = 0; k < compiled->errors.size(); ++k) {
    EXPECT_LE(compiled->errors[k], compiled->tolerances[k]) << trial.joint.outputs()[k].name;
  }
}

// Reverse scans in the forward part, products that read the tape: uses of it that first derivatives have not.
TEST_P(SecondOrder, FromATapeInHalfTheBytes) {
  const ir::Graph norm = SquaredNormOfGradient(LibraryCell(GetParam()));
  const Trial trial = MakeTrial(norm, {{"T", 3}, {"B", 2}}, 17, Storage::kBf16);
  auto program = CompileToMemory(norm, {.store = Storage::kBf16, .entries = {"forward", "backward"}});
  ASSERT_TRUE(program) << program.error().message;
  auto compiled = ErrorsOf(*program, trial, Storage::kBf16);
  ASSERT_TRUE(compiled) << compiled.error().message;
  for (size_t k = 0; k < compiled->errors.size(); ++k) {
    EXPECT_LE(compiled->errors[k], compiled->tolerances[k]) << trial.joint.outputs()[k].name;
  }
}

INSTANTIATE_TEST_SUITE_P(Library, SecondOrder,
                         testing::Values("elman", "lstm", "gru", "gru_reset_before", "peephole_lstm", "layernorm_lstm",
                                         "mgu", "slstm", "mogrifier_lstm", "indrnn", "sru", "mingru", "qrnn"),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace recurve

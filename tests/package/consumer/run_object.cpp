// Calls the compiled object through the C++ runtime, which knows no compiler.
#include <fmt/format.h>

#include "runtime/abi.h"
#include "runtime/session.h"

extern "C" const recurve_program smoother_program;

int main() {
  auto program = recurve::Program::Wrap(&smoother_program);
  if (!program) return fmt::print(stderr, "{}\n", program.error().message), 1;
  recurve::Session session(*program);
  session.SetExtent("T", 4);
  session.Initialize(/*seed=*/1);
  for (float& x : *session.Tensor<float>("x")) x = 1;
  if (auto done = session.Inference(); !done) return fmt::print(stderr, "{}\n", done.error().message), 2;
  fmt::print("{} steps\n", session.Tensor<float>("y")->size());
  return 0;
}

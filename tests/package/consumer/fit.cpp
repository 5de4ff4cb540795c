// Compiles the smoother in this process and takes gradient steps until it follows its input.
#include <fmt/format.h>

#include "compiler/compile.h"
#include "runtime/session.h"

int main(int, char** arguments) {
  auto program = recurve::CompileFile(arguments[1], "smoother", {{"H", 8}});
  if (!program) return fmt::print(stderr, "{}\n", program.error().message), 1;
  recurve::Session session(*program);
  session.SetExtent("T", 16);
  session.Initialize(/*seed=*/1);
  for (float& x : *session.Tensor<float>("x")) x = 1;
  double first = 0, last = 0;
  for (int step = 0; step < 50; ++step) {
    if (auto done = session.Forward(); !done) return fmt::print(stderr, "{}\n", done.error().message), 2;
    const std::span<float> y = *session.Tensor<float>("y"), y_adj = *session.Tensor<float>("y_adj");
    double loss = 0;
    for (size_t t = 0; t < y.size(); ++t) {
      y_adj[t] = (y[t] - 1) / 16;
      loss += 0.5 * (y[t] - 1) * (y[t] - 1) / 16;
    }
    (step == 0 ? first : last) = loss;
    if (auto done = session.Backward(); !done) return fmt::print(stderr, "{}\n", done.error().message), 2;
    const std::span<float> P = *session.Parameter<float>("P"), P_adj = *session.Tensor<float>("P_adj");
    for (size_t i = 0; i < P.size(); ++i) P[i] -= 0.02f * P_adj[i];
  }
  fmt::print("loss {}\n", last < 0.9 * first ? "falls" : "does not fall");
  return last < 0.9 * first ? 0 : 1;
}

// frontend/examples/long_memory/long_memory.cpp: what gates are for.
//
//     long_memory OUT.svg [STEPS [STEPS-OF-COPY]]
//
// Two problems on which a network must carry something over many steps (Hochreiter & Schmidhuber 1997, Long short-term
// memory, experiments 4 and 5; Arjovsky, Shah & Bengio 2016, Unitary evolution recurrent neural networks, section 4):
//   adding   of T numbers in [0, 1) two are marked, one in each half; the target is their sum. Who ignores the input
//            says 1 and has a mean squared error of 1/6.
//   copy     ten symbols of eight, then nothing for 30 steps, then a sign: the ten are to be said again. Who has no
//            memory guesses one of eight: ln 8 a symbol.
// An Elman network, a GRU and an LSTM of 64 units (of copy 128) learn each with the same optimizer, from batches that
// never repeat. The curves are of batches that take no part in training.

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <numbers>
#include <string>
#include <vector>

#include "compiler/compile.h"
#include "runtime/file.h"
#include "runtime/plot.h"
#include "runtime/random.h"
#include "runtime/session.h"
#include "runtime/update.h"

namespace {

using recurve::Random;
using recurve::Session;

constexpr size_t kBatch = 50;
constexpr size_t kSymbols = 8, kRecalled = 10, kDelay = 30, kClasses = kSymbols + 2;

struct Task {
  std::string name, source;
  size_t steps = 0;     // of a sequence
  double solved = 0;    // a loss below this is a solution, and the end of it
  double ignorant = 0;  // the loss of who remembers nothing
  size_t hidden = 64;
};

Task Adding(size_t steps, const std::string& cell) {
  return {fmt::format("adding, T = {}", steps),
          "model task(H) {\n  input x: [2] over T\n  input target: [1]\n  param P: [1, H], p: [1]\n  h = scan " + cell +
              "(H=H) over x\n  loss mse(P @ last(h) + p, target)\n}\n",
          steps, 0.002, 1.0 / 6};
}

Task Copy(const std::string& cell) {
  const double share = static_cast<double>(kRecalled) / static_cast<double>(kDelay + 2 * kRecalled);
  return {fmt::format("copy over {} steps", kDelay),
          "model task(V, H) {\n  input x: int[V] over T, target: int[V] over T\n  param P: [V, H], p: [V]\n"
          "  h = scan " +
              cell + "(H=H) over one_hot(x)\n  loss cross_entropy(P @ h + p, target)\n}\n",
          kDelay + 2 * kRecalled,
          0.02,
          share * std::log(static_cast<double>(kSymbols)),
          128};
}

// [T, B, ...], each sequence drawn anew.
void FillAdding(Session& session, Random& random, size_t steps) {
  const std::span<float> x = *session.Tensor<float>("x"), target = *session.Tensor<float>("target");
  for (size_t b = 0; b < kBatch; ++b) {
    const size_t marked[2] = {random.Below(static_cast<uint32_t>(steps / 2)),
                              steps / 2 + random.Below(static_cast<uint32_t>(steps - steps / 2))};
    target[b] = 0;
    for (size_t t = 0; t < steps; ++t) {
      float* const at = &x[(t * kBatch + b) * 2];
      at[0] = static_cast<float>(random.Uniform());
      at[1] = t == marked[0] || t == marked[1] ? 1.0f : 0.0f;
      if (at[1] != 0) target[b] += at[0];
    }
  }
}

void FillCopy(Session& session, Random& random, size_t steps) {
  const std::span<int32_t> x = *session.Tensor<int32_t>("x"), target = *session.Tensor<int32_t>("target");
  constexpr int32_t kNothing = kSymbols, kSign = kSymbols + 1;
  for (size_t b = 0; b < kBatch; ++b) {
    for (size_t t = 0; t < steps; ++t) x[t * kBatch + b] = target[t * kBatch + b] = kNothing;
    x[(kRecalled + kDelay - 1) * kBatch + b] = kSign;
    for (size_t k = 0; k < kRecalled; ++k) {
      const auto symbol = static_cast<int32_t>(random.Below(kSymbols));
      x[k * kBatch + b] = symbol;
      target[(steps - kRecalled + k) * kBatch + b] = symbol;
    }
  }
}

// Gates begin with memories of all lengths up to the task's: units forget at rates whose times are uniform between one
// step and all (Tallec & Ollivier 2018, Can recurrent neural networks warp time?, ICLR, equation 16).
void OpenGates(const std::string& cell, const Task& task, Session& session) {
  Random random(4);
  auto time = [&] { return static_cast<float>(std::log(1 + random.Uniform() * static_cast<double>(task.steps - 2))); };
  if (cell == "lstm") {
    const std::span<float> b = *session.Parameter<float>("h.b");
    for (size_t i = 0; i < task.hidden; ++i) {
      b[task.hidden + i] = time();
      b[i] = -b[task.hidden + i];
    }
  } else if (cell == "gru") {
    const std::span<float> b = *session.Parameter<float>("h.b");
    for (size_t i = task.hidden; i < 2 * task.hidden; ++i) b[i] = time();
  }
}

[[noreturn]] void Die(const std::string& message) {
  fmt::print(stderr, "long_memory: {}\n", message);
  std::exit(2);
}

// The loss of fresh batches sixty times on the way, until it is solved or the steps are over.
recurve::PlotLine Learn(const Task& task, const std::string& cell, int steps) {
  const bool copies = task.name.starts_with("copy");
  std::map<std::string, int64_t, std::less<>> extents{{"H", static_cast<int64_t>(task.hidden)}};
  if (copies) extents["V"] = kClasses;
  recurve::CompileOptions options{.optimizer = {"adam", ""}};
  options.wrt = {"P", "p", "h.W", "h.U", "h.b"};
  if (cell == "gru") options.wrt.push_back("h.d");
  auto program = recurve::Compile(task.source, "task", extents, options);
  if (!program) Die(program.error().message);
  Session session(*program);
  session.SetExtent("T", task.steps);
  session.SetExtent("B", kBatch);
  session.Initialize(/*seed=*/1);
  session.Fill("loss_adj", 1);
  OpenGates(cell, task, session);
  recurve::Updater<float> updater;
  if (auto done = updater.Prepare(session.shared_parameters(), session, {.rate = 2e-3, .clip = 1}); !done)
    Die(done.error().message);
  const int every = std::max(1, steps / 60);
  Random training(2), held_out(3);
  recurve::PlotLine line{.name = fmt::format("{}, {}", cell, task.name), .x = {}, .y = {}};
  for (int step = 0; step <= steps; ++step) {
    if (step % every == 0) {
      double sum = 0;
      constexpr int kBatches = 4;
      for (int i = 0; i < kBatches; ++i) {
        copies ? FillCopy(session, held_out, task.steps) : FillAdding(session, held_out, task.steps);
        if (auto done = session.Evaluate(); !done) Die(done.error().message);
        sum += session.Get("loss")->front() / kBatches;
      }
      line.x.push_back(static_cast<double>(step));
      line.y.push_back(sum / task.ignorant);
      fmt::print("\r{:32} step {:5}  loss {:.4f}", line.name, step, sum);
      std::fflush(stdout);
      if (sum < task.solved) break;
    }
    copies ? FillCopy(session, training, task.steps) : FillAdding(session, training, task.steps);
    if (auto done = session.Forward(); !done) Die(done.error().message);
    if (auto done = session.Backward(); !done) Die(done.error().message);
    updater.Step(static_cast<uint64_t>(steps));
    session.shared_parameters()->MarkChanged();
  }
  const bool is_solved = line.y.back() * task.ignorant < task.solved;
  fmt::print("  {}\n", is_solved ? "solved" : "not solved");
  return line;
}

// One picture below the other.
std::string Stacked(const std::vector<recurve::Plot>& plots) {
  std::string text;
  int height = 0;
  for (const recurve::Plot& plot : plots) {
    std::string one = recurve::Draw(plot);
    const size_t at = one.find("<svg ");
    text += one.substr(at).insert(5, fmt::format("y=\"{}\" ", height));
    height += plot.height;
  }
  return fmt::format("<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"900\" height=\"{}\">\n{}</svg>\n", height,
                     text);
}

}  // namespace

int main(int count, char** arguments) {
  if (count < 2) Die("usage: long_memory OUT.svg [STEPS [STEPS-OF-COPY]]");
  const int steps = count > 2 ? std::atoi(arguments[2]) : 3000,
            copy_steps = count > 3 ? std::atoi(arguments[3]) : 20000;
  std::vector<recurve::Plot> plots;
  for (int problem = 0; problem < 4; ++problem) {
    recurve::Plot plot{.x_label = "steps of training, 50 sequences each", .y_label = "loss, of what no memory has"};
    for (const char* cell : {"elman", "gru", "lstm"}) {
      const Task task = problem == 3 ? Copy(cell) : Adding(size_t{100} << problem, cell);
      plot.title = task.name;
      plot.lines.push_back(Learn(task, cell, problem == 3 ? copy_steps : steps));
    }
    plots.push_back(std::move(plot));
  }
  if (auto done = recurve::WriteFile(arguments[1], Stacked(plots)); !done) Die(done.error().message);
  fmt::print("{}\n", arguments[1]);
  return 0;
}

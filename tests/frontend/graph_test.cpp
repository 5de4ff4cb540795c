// tests/frontend/graph_test.cpp: the graphs that cells and models become: their interface, and their numbers against
// formulas written here by hand.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <random>

#include "frontend/frontend.h"
#include "frontend/library.h"
#include "ir/interpreter.h"
#include "ir/text.h"
#include "ir/verifier.h"

namespace recurve::frontend {
namespace {

using Values = std::vector<double>;

ir::Graph GraphOf(const std::string& text, const std::string& entry, const Extents& extents) {
  LoadResult loaded = Load("test.cell", text);
  EXPECT_TRUE(loaded.program) << loaded.messages;
  if (!loaded.program) return {};
  BuildResult built = Build(*loaded.program, entry, extents);
  EXPECT_TRUE(built.graph) << built.messages;
  if (!built.graph) return {};
  EXPECT_EQ(ir::Verify(*built.graph), "");
  return *built.graph;
}

ir::Graph LibraryGraph(const std::string& cell, const Extents& extents) {
  for (const LibraryFile& file : LibraryFiles()) {
    if (file.name == cell + ".cell") return GraphOf(std::string(file.text), cell, extents);
  }
  ADD_FAILURE() << "no library file of " << cell;
  return {};
}

// "x data [T, B, 4]; W parameter [8, 4]" and "y, hT": what a caller sees.
std::string Inputs(const ir::Graph& graph) {
  constexpr const char* kRoles[] = {"data", "parameter", "constant", "state"};
  std::string text;
  for (ir::NodeId id : graph.inputs()) {
    const auto& input = graph[id].As<ir::InputAttr>();
    if (!text.empty()) text += "; ";
    text += input.name + " " + kRoles[static_cast<int>(input.role)] + " " + ir::PrintShape(graph.type(id).shape);
    if (input.classes > 0) text += " of " + std::to_string(input.classes);
  }
  return text;
}
std::string Outputs(const ir::Graph& graph) {
  std::string text;
  for (const ir::Output& output : graph.outputs()) {
    text += (text.empty() ? "" : "; ") + output.name + " " + ir::PrintShape(graph.type(output.node).shape);
  }
  return text;
}

// A graph with random inputs, evaluated.
struct Evaluation {
  std::map<std::string, Values> inputs, outputs;
};
Evaluation Evaluate(const ir::Graph& graph, const ir::Bindings& bindings, unsigned seed = 7) {
  std::mt19937 random(seed);
  std::normal_distribution<double> normal;
  Evaluation result;
  std::vector<ir::Tensor> tensors;
  for (ir::NodeId id : graph.inputs()) {
    const auto& input = graph[id].As<ir::InputAttr>();
    ir::Tensor tensor = ir::Tensor::Filled(ir::Extents(graph.type(id).shape, bindings), 0);
    for (double& value : tensor.values) {
      value = input.classes > 0 ? static_cast<double>(random() % input.classes) : 0.5 * normal(random);
    }
    result.inputs[input.name] = tensor.values;
    tensors.push_back(std::move(tensor));
  }
  std::vector<ir::Tensor> outputs = ir::Interpret(graph, bindings, tensors);
  for (size_t i = 0; i < outputs.size(); ++i) result.outputs[graph.outputs()[i].name] = outputs[i].values;
  return result;
}

double Sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

// matrix [rows, vector.size()] times vector plus bias.
Values Affine(const Values& matrix, const Values& vector, Values bias) {
  for (size_t row = 0; row < bias.size(); ++row) {
    for (size_t i = 0; i < vector.size(); ++i) bias[row] += matrix[row * vector.size() + i] * vector[i];
  }
  return bias;
}
Values Part(const Values& values, size_t begin, size_t size) {
  return Values(values.begin() + begin, values.begin() + begin + size);
}

constexpr int kSteps = 4, kBatch = 3, kIn = 2, kHidden = 5;

// Runs a library cell and the same cell by hand. `step(in, x, states)` replaces the states; the first one is y.
using Step = std::function<void(const std::map<std::string, Values>& in, const Values& x, std::vector<Values>& states)>;
void ExpectCell(const std::string& cell, const std::vector<std::string>& states, const Step& step) {
  Evaluation run = Evaluate(LibraryGraph(cell, {{"I", kIn}, {"H", kHidden}}), {{"T", kSteps}, {"B", kBatch}});
  for (int example = 0; example < kBatch; ++example) {
    std::vector<Values> now;
    for (const std::string& state : states) {
      now.push_back(Part(run.inputs.at(state + "0"), example * kHidden, kHidden));
    }
    for (int t = 0; t < kSteps; ++t) {
      step(run.inputs, Part(run.inputs.at("x"), (t * kBatch + example) * kIn, kIn), now);
      for (int i = 0; i < kHidden; ++i) {
        EXPECT_NEAR(run.outputs.at("y")[(t * kBatch + example) * kHidden + i], now[0][i], 1e-12)
            << cell << " step " << t;
      }
    }
    for (size_t s = 0; s < states.size(); ++s) {
      for (int i = 0; i < kHidden; ++i) {
        EXPECT_NEAR(run.outputs.at(states[s] + "T")[example * kHidden + i], now[s][i], 1e-12) << cell;
      }
    }
  }
}

TEST(LibraryCells, ElmanIsItsFormula) {
  ExpectCell("elman", {"h"}, [](const auto& in, const Values& x, std::vector<Values>& s) {
    Values h = Affine(in.at("W"), x, Affine(in.at("U"), s[0], in.at("b")));
    for (int i = 0; i < kHidden; ++i) s[0][i] = std::tanh(h[i]);
  });
}

TEST(LibraryCells, LstmIsItsFormula) {
  ExpectCell("lstm", {"h", "c"}, [](const auto& in, const Values& x, std::vector<Values>& s) {
    Values z = Affine(in.at("W"), x, Affine(in.at("U"), s[0], in.at("b")));
    for (int k = 0; k < kHidden; ++k) {
      double i = z[k], f = z[kHidden + k], g = z[2 * kHidden + k], o = z[3 * kHidden + k];
      s[1][k] = Sigmoid(f) * s[1][k] + Sigmoid(i) * std::tanh(g);
      s[0][k] = Sigmoid(o) * std::tanh(s[1][k]);
    }
  });
}

TEST(LibraryCells, PeepholeLstmIsItsFormula) {
  ExpectCell("peephole_lstm", {"h", "c"}, [](const auto& in, const Values& x, std::vector<Values>& s) {
    Values z = Affine(in.at("W"), x, Affine(in.at("U"), s[0], in.at("b")));
    for (int k = 0; k < kHidden; ++k) {
      double old = s[1][k];
      s[1][k] = Sigmoid(z[kHidden + k] + in.at("pf")[k] * old) * old +
                Sigmoid(z[k] + in.at("pi")[k] * old) * std::tanh(z[2 * kHidden + k]);
      s[0][k] = Sigmoid(z[3 * kHidden + k] + in.at("po")[k] * s[1][k]) * std::tanh(s[1][k]);
    }
  });
}

TEST(LibraryCells, LayernormLstmIsItsFormula) {
  auto normalise = [](Values v) {
    double mean = 0, variance = 0;
    for (double x : v) mean += x / v.size();
    for (double x : v) variance += (x - mean) * (x - mean) / v.size();
    for (double& x : v) x = (x - mean) / std::sqrt(variance + 1e-5);
    return v;
  };
  ExpectCell("layernorm_lstm", {"h", "c"}, [&](const auto& in, const Values& x, std::vector<Values>& s) {
    Values zx = normalise(Affine(in.at("W"), x, Values(4 * kHidden)));
    Values zh = normalise(Affine(in.at("U"), s[0], Values(4 * kHidden)));
    Values z(4 * kHidden);
    for (int k = 0; k < 4 * kHidden; ++k) z[k] = in.at("gx")[k] * zx[k] + in.at("gh")[k] * zh[k] + in.at("b")[k];
    for (int k = 0; k < kHidden; ++k) {
      s[1][k] = Sigmoid(z[kHidden + k]) * s[1][k] + Sigmoid(z[k]) * std::tanh(z[2 * kHidden + k]);
    }
    Values c = normalise(s[1]);
    for (int k = 0; k < kHidden; ++k) {
      s[0][k] = Sigmoid(z[3 * kHidden + k]) * std::tanh(in.at("gc")[k] * c[k] + in.at("bc")[k]);
    }
  });
}

TEST(LibraryCells, GruIsItsFormula) {
  ExpectCell("gru", {"h"}, [](const auto& in, const Values& x, std::vector<Values>& s) {
    Values zx = Affine(in.at("W"), x, in.at("b")), zh = Affine(in.at("U"), s[0], in.at("d"));
    for (int k = 0; k < kHidden; ++k) {
      double r = Sigmoid(zx[k] + zh[k]), z = Sigmoid(zx[kHidden + k] + zh[kHidden + k]);
      double n = std::tanh(zx[2 * kHidden + k] + r * zh[2 * kHidden + k]);
      s[0][k] = (1 - z) * n + z * s[0][k];
    }
  });
}

TEST(LibraryCells, GruResetBeforeIsItsFormula) {
  ExpectCell("gru_reset_before", {"h"}, [](const auto& in, const Values& x, std::vector<Values>& s) {
    Values gates = Affine(in.at("W"), x, Affine(in.at("U"), s[0], in.at("b")));
    Values reset = s[0];
    for (int k = 0; k < kHidden; ++k) reset[k] *= Sigmoid(gates[k]);
    Values n = Affine(in.at("Wn"), x, Affine(in.at("Un"), reset, in.at("bn")));
    for (int k = 0; k < kHidden; ++k) {
      double z = Sigmoid(gates[kHidden + k]);
      s[0][k] = (1 - z) * std::tanh(n[k]) + z * s[0][k];
    }
  });
}

TEST(LibraryCells, MguIsItsFormula) {
  ExpectCell("mgu", {"h"}, [](const auto& in, const Values& x, std::vector<Values>& s) {
    Values f = Affine(in.at("Wf"), x, Affine(in.at("Uf"), s[0], in.at("bf")));
    Values kept = s[0];
    for (int k = 0; k < kHidden; ++k) kept[k] *= Sigmoid(f[k]);
    Values n = Affine(in.at("Wn"), x, Affine(in.at("Un"), kept, in.at("bn")));
    for (int k = 0; k < kHidden; ++k) {
      s[0][k] = (1 - Sigmoid(f[k])) * s[0][k] + Sigmoid(f[k]) * std::tanh(n[k]);
    }
  });
}

// Without the stabiliser: c and n as the paper defines them. From zero states both forms are one function.
TEST(LibraryCells, SlstmIsThePapersUnstabilisedFormula) {
  ir::Graph graph = LibraryGraph("slstm", {{"I", kIn}, {"H", kHidden}});
  ir::Bindings bindings{{"T", kSteps}, {"B", 1}};
  Evaluation random = Evaluate(graph, bindings);
  std::vector<ir::Tensor> tensors;
  for (ir::NodeId id : graph.inputs()) {
    const auto& input = graph[id].As<ir::InputAttr>();
    tensors.push_back(ir::Tensor::Filled(ir::Extents(graph.type(id).shape, bindings), 0));
    if (input.role != ir::Role::kState) tensors.back().values = random.inputs.at(input.name);
  }
  std::vector<ir::Tensor> outputs = ir::Interpret(graph, bindings, tensors);
  Values h(kHidden), c(kHidden), n(kHidden);
  const auto& in = random.inputs;
  for (int t = 0; t < kSteps; ++t) {
    Values x = Part(in.at("x"), t * kIn, kIn);
    Values z = Affine(in.at("W"), x, Affine(in.at("U"), h, in.at("b")));
    for (int k = 0; k < kHidden; ++k) {
      double i = std::exp(z[k]), f = Sigmoid(z[kHidden + k]);
      c[k] = f * c[k] + i * std::tanh(z[2 * kHidden + k]);
      n[k] = f * n[k] + i;
      h[k] = Sigmoid(z[3 * kHidden + k]) * c[k] / n[k];
      EXPECT_NEAR(outputs[0].values[t * kHidden + k], h[k], 1e-12) << "step " << t;
    }
  }
}

TEST(LibraryCells, AllBuildVerifyAndReadBack) {
  int cells = 0;
  for (const LibraryFile& file : LibraryFiles()) {
    if (file.name == "functions.cell") continue;
    std::string name(file.name.substr(0, file.name.find('.')));
    Extents extents = {{"H", 4}};
    if (file.text.find("(I, H)") != file.text.npos) extents["I"] = 3;
    if (file.text.find("(L, V)") != file.text.npos) extents = {{"L", 3}, {"V", 4}};
    ir::Graph graph = GraphOf(std::string(file.text), name, extents);
    std::string text = ir::PrintText(graph);
    auto again = ir::ReadText(text);
    ASSERT_TRUE(again) << again.error().message;
    EXPECT_EQ(ir::PrintText(*again), text);
    EXPECT_EQ(graph.outputs()[0].name, "y");
    ++cells;
  }
  EXPECT_EQ(cells, 15);
}

TEST(CellGraph, HasInputsStatesAndParametersInOrder) {
  ir::Graph graph = GraphOf(
      "cell c(I, H) {\n"
      "  param W: [H, I]\n  state h: [H], k: []\n  input x: [I], s: []\n  const m: [H, H]\n"
      "  h' = W @ x + m @ h\n  k' = k + s\n  output k', z = h\n}\n",
      "c", {{"I", 2}, {"H", 3}});
  EXPECT_EQ(Inputs(graph),
            "x data [T, B, 2]; s data [T, B]; h0 state [B, 3]; k0 state [B]; W parameter [3, 2]; m constant [3, 3]");
  EXPECT_EQ(Outputs(graph), "y [T, B]; z [T, B, 3]; hT [B, 3]; kT [B]");
}

TEST(CellGraph, AStateWithItsOwnBeginningIsNoInput) {
  ir::Graph graph = GraphOf(
      "cell c(H) {\n  state a: [H] = 0, b: [H] = 1, d: [H] = 2 * p\n  param p: []\n"
      "  a' = a\n  b' = b + 1\n  d' = d\n}\n",
      "c", {{"H", 2}});
  EXPECT_EQ(Inputs(graph), "a0 state [B, 2]; p parameter []");
  Evaluation run = Evaluate(graph, {{"T", 3}, {"B", 1}});
  EXPECT_EQ(run.outputs["bT"], (Values{4, 4}));
  EXPECT_DOUBLE_EQ(run.outputs["dT"][0], 2 * run.inputs["p"][0]);
}

TEST(CellGraph, ParametersCarryTheirDistribution) {
  ir::Graph graph = GraphOf(
      "cell c(H) {\n  state h: [H]\n  param a: [H, H] ~ uniform(-1/sqrt(H), 2), b: [H] ~ normal(1, 0.5 * H)\n"
      "  param d: [H] ~ constant(3), e: [H], f: [H, 2*H]\n  h' = a @ h + b + d + e + f @ concat(h, h)\n}\n",
      "c", {{"H", 4}});
  auto init = [&](const char* name) { return graph[graph.FindInput(name)].As<ir::InputAttr>().init; };
  using enum ir::Init::Kind;
  EXPECT_EQ(init("a"), (ir::Init{kUniform, -0.5, 2}));
  EXPECT_EQ(init("b"), (ir::Init{kNormal, 1, 2}));
  EXPECT_EQ(init("d"), (ir::Init{kConstant, 3, 0}));
  EXPECT_EQ(init("e"), (ir::Init{kConstant, 0, 0}));
  EXPECT_EQ(init("f").kind, kUniform);
  EXPECT_DOUBLE_EQ(init("f").b, 1 / std::sqrt(8));
}

TEST(CellGraph, RepeatNamesTheParametersOfEachRound) {
  ir::Graph graph = GraphOf(
      "cell c(H, N) {\n  state h: [H]\n  z = h\n  repeat r in N {\n    param Q: [H, H]\n    z = tanh(Q @ z)\n  }\n"
      "  h' = z\n}\n",
      "c", {{"H", 2}, {"N", 3}});
  EXPECT_EQ(Inputs(graph), "h0 state [B, 2]; r0.Q parameter [2, 2]; r1.Q parameter [2, 2]; r2.Q parameter [2, 2]");
}

TEST(CellGraph, ContractionsHaveTheActivationOnTheLeft) {
  std::string text = ir::PrintText(LibraryGraph("lstm", {{"I", 4}, {"H", 8}}));
  EXPECT_NE(text.find("contract \"bi,oi->bo\" %x, %W"), text.npos) << text;
  EXPECT_NE(text.find("contract \"bi,oi->bo\" %h, %U"), text.npos) << text;
}

TEST(CellGraph, ValuesCarryTheNamesOfTheSource) {
  std::string text = ir::PrintText(LibraryGraph("lstm", {{"I", 4}, {"H", 8}}));
  for (const char* label : {"%i = slice", "%f = slice", "%c' = add", "%h' = mul"}) {
    EXPECT_NE(text.find(label), text.npos) << label;
  }
}

// Each function of the language on one vector, against C++.
struct FunctionRow {
  const char* text;
  double (*value)(double a, double b);
};

TEST(CellGraph, FunctionsAreTheirFormulas) {
  const FunctionRow kRows[] = {
      {"a + b", [](double a, double b) { return a + b; }},
      {"a / b - 2 * a", [](double a, double b) { return a / b - 2 * a; }},
      {"-a^2", [](double a, double) { return -(a * a); }},
      {"b^7 + b^-3", [](double, double b) { return std::pow(b, 7) + std::pow(b, -3); }},
      {"abs(b)^0.5 + abs(b)^1.5", [](double, double b) { return std::sqrt(std::abs(b)) + std::pow(std::abs(b), 1.5); }},
      {"abs(a)^b", [](double a, double b) { return std::pow(std::abs(a), b); }},
      {"a > b", [](double a, double b) { return a > b ? 1.0 : 0.0; }},
      {"a >= b", [](double a, double b) { return a >= b ? 1.0 : 0.0; }},
      {"a <= a", [](double, double) { return 1.0; }},
      {"a != a", [](double, double) { return 0.0; }},
      {"a == a", [](double, double) { return 1.0; }},
      {"select(a < b, a, b)", [](double a, double b) { return std::min(a, b); }},
      {"max(a, b) * min(a, b)", [](double a, double b) { return a * b; }},
      {"gelu(a)", [](double a, double) { return a * 0.5 * std::erfc(-a / std::sqrt(2.0)); }},
      {"silu(a)", [](double a, double) { return a * Sigmoid(a); }},
      {"elu(a)", [](double a, double) { return a > 0 ? a : std::expm1(a); }},
      {"elu(a, 0.5)", [](double a, double) { return a > 0 ? a : 0.5 * std::expm1(a); }},
      {"leaky_relu(a)", [](double a, double) { return a > 0 ? a : 0.01 * a; }},
      {"leaky_relu(a, 0.3)", [](double a, double) { return a > 0 ? a : 0.3 * a; }},
      {"softsign(a)", [](double a, double) { return a / (1 + std::abs(a)); }},
      {"hard_sigmoid(4 * a)", [](double a, double) { return std::min(std::max(4 * a / 6 + 0.5, 0.0), 1.0); }},
      {"clamp(a, -0.1, 0.1)", [](double a, double) { return std::clamp(a, -0.1, 0.1); }},
      {"mod(7 * a, 2)", [](double a, double) { return 7 * a - 2 * std::floor(7 * a / 2); }},
      {"sign(a) * floor(3 * a)", [](double a, double) { return (a > 0   ? 1
                                                                : a < 0 ? -1
                                                                        : 0) *
                                                               std::floor(3 * a); }},
      {"logsigmoid(a)", [](double a, double) { return std::log(Sigmoid(a)); }},
      {"softplus(a)", [](double a, double) { return std::log1p(std::exp(a)); }},
      {"a * (H + 1)", [](double a, double) { return a * 6; }},
  };
  for (const FunctionRow& row : kRows) {
    ir::Graph graph = GraphOf(std::string("cell c(H) {\n  input a: [H], b: [H]\n  output y = ") + row.text +
                                  "\n  output unused = a + b + H\n}\n",
                              "c", {{"H", 5}});
    if (graph.size() == 0) continue;
    Evaluation run = Evaluate(graph, {{"T", 1}, {"B", 1}});
    for (int i = 0; i < 5; ++i) {
      double expected = row.value(run.inputs["a"][i], run.inputs["b"][i]);
      EXPECT_NEAR(run.outputs["y"][i], expected, 1e-12 * std::max(1.0, std::abs(expected))) << row.text;
    }
  }
}

// Reductions of one vector, against C++.
TEST(CellGraph, ReductionsAreTheirFormulas) {
  ir::Graph graph = GraphOf(
      "cell c(H) {\n  input a: [H]\n  output s = sum(a), m = mean(a), v = var(a), n = norm(a), l = logsumexp(a)\n"
      "  output p = softmax(a), q = log_softmax(a), r = rmsnorm(a), t = size(a) * max(a) + min(a)\n}\n",
      "c", {{"H", 4}});
  Evaluation run = Evaluate(graph, {{"T", 1}, {"B", 1}});
  Values a = run.inputs["a"];
  double sum = 0, squares = 0, exponentials = 0;
  for (double x : a) {
    sum += x;
    squares += x * x;
    exponentials += std::exp(x);
  }
  EXPECT_NEAR(run.outputs["s"][0], sum, 1e-12);
  EXPECT_NEAR(run.outputs["m"][0], sum / 4, 1e-12);
  EXPECT_NEAR(run.outputs["v"][0], squares / 4 - sum * sum / 16, 1e-12);
  EXPECT_NEAR(run.outputs["n"][0], std::sqrt(squares), 1e-12);
  EXPECT_NEAR(run.outputs["l"][0], std::log(exponentials), 1e-12);
  EXPECT_NEAR(run.outputs["t"][0], 4 * *std::ranges::max_element(a) + *std::ranges::min_element(a), 1e-12);
  for (int i = 0; i < 4; ++i) {
    EXPECT_NEAR(run.outputs["p"][i], std::exp(a[i]) / exponentials, 1e-12);
    EXPECT_NEAR(run.outputs["q"][i], a[i] - std::log(exponentials), 1e-12);
    EXPECT_NEAR(run.outputs["r"][i], a[i] / std::sqrt(squares / 4 + 1e-5), 1e-12);
  }
}

TEST(CellGraph, MatrixStatesMultiplyPerExample) {
  ir::Graph graph = GraphOf(
      "cell c(D) {\n  input k: [D], v: [D], q: [D]\n  state C: [D, D]\n  C' = 0.5 * C + outer(v, k)\n"
      "  output C' @ q, z = q @ C', w = C'^T @ q\n}\n",
      "c", {{"D", 3}});
  Evaluation run = Evaluate(graph, {{"T", 1}, {"B", 2}});
  for (int b = 0; b < 2; ++b) {
    for (int i = 0; i < 3; ++i) {
      double y = 0, z = 0;
      for (int j = 0; j < 3; ++j) {
        auto memory = [&](int row, int column) {
          return 0.5 * run.inputs["C0"][(b * 3 + row) * 3 + column] +
                 run.inputs["v"][b * 3 + row] * run.inputs["k"][b * 3 + column];
        };
        y += memory(i, j) * run.inputs["q"][b * 3 + j];
        z += memory(j, i) * run.inputs["q"][b * 3 + j];
      }
      EXPECT_NEAR(run.outputs["y"][b * 3 + i], y, 1e-12);
      EXPECT_NEAR(run.outputs["z"][b * 3 + i], z, 1e-12);
      EXPECT_NEAR(run.outputs["w"][b * 3 + i], z, 1e-12);
    }
  }
}

TEST(CellGraph, ParameterArithmeticMeansWhatItSays) {
  ir::Graph graph = GraphOf(
      "cell c(H) {\n  state h: [H]\n  param W: [H, H], g: []\n  h' = (W - W^T - g * eye(H)) @ h\n}\n", "c", {{"H", 2}});
  Evaluation run = Evaluate(graph, {{"T", 1}, {"B", 1}});
  const Values &w = run.inputs["W"], &h = run.inputs["h0"];
  double g = run.inputs["g"][0];
  EXPECT_NEAR(run.outputs["hT"][0], -g * h[0] + (w[1] - w[2]) * h[1], 1e-12);
  EXPECT_NEAR(run.outputs["hT"][1], (w[2] - w[1]) * h[0] - g * h[1], 1e-12);
}

constexpr const char* kTagger =
    "model tagger(V, E, H, C) {\n"
    "  input tokens: int[V] over T, label: int[C] over T\n"
    "  param table: [V, E], P: [C, H], p: [C]\n"
    "  y = scan lstm(H=H) over table[tokens]\n"
    "  logits = P @ y + p\n"
    "  output logits\n"
    "  loss cross_entropy(logits, label)\n"
    "}\n";

TEST(ModelGraph, HasTheInterfaceOfTheReference) {
  ir::Graph graph = GraphOf(kTagger, "tagger", {{"V", 7}, {"E", 3}, {"H", 4}, {"C", 5}});
  EXPECT_EQ(Inputs(graph),
            "tokens data [T, B] of 7; label data [T, B] of 5; y.h0 state [B, 4]; y.c0 state [B, 4]; "
            "table parameter [7, 3]; P parameter [5, 4]; p parameter [5]; "
            "y.W parameter [16, 3]; y.U parameter [16, 4]; y.b parameter [16]");
  EXPECT_EQ(Outputs(graph), "logits [T, B, 5]; loss []; y.hT [B, 4]; y.cT [B, 4]");
}

TEST(ModelGraph, CrossEntropyIsTheMeanOverStepsAndExamples) {
  ir::Graph graph = GraphOf(kTagger, "tagger", {{"V", 7}, {"E", 3}, {"H", 4}, {"C", 5}});
  Evaluation run = Evaluate(graph, {{"T", 6}, {"B", 2}});
  double total = 0;
  for (int row = 0; row < 12; ++row) {
    double exponentials = 0;
    for (int k = 0; k < 5; ++k) exponentials += std::exp(run.outputs["logits"][row * 5 + k]);
    int label = static_cast<int>(run.inputs["label"][row]);
    total += std::log(exponentials) - run.outputs["logits"][row * 5 + label];
  }
  EXPECT_NEAR(run.outputs["loss"][0], total / 12, 1e-12);
}

TEST(ModelGraph, MeanSquaredErrorIsTheMeanOfEverything) {
  ir::Graph graph = GraphOf(
      "model m(I) {\n  input x: [I] over T, t: [I] over T\n  output d = x - t\n  loss mse(x, t)\n}\n", "m", {{"I", 3}});
  Evaluation run = Evaluate(graph, {{"T", 4}, {"B", 2}});
  double total = 0;
  for (double d : run.outputs["d"]) total += d * d;
  EXPECT_NEAR(run.outputs["loss"][0], total / 24, 1e-12);
}

TEST(ModelGraph, AStackNamesEachLayer) {
  ir::Graph graph = GraphOf(
      "model m(I, H, L) {\n  input x: [I] over T\n  y = x\n  for l in 1..L { y = scan elman(H=H) over y }\n"
      "  output y\n}\n",
      "m", {{"I", 2}, {"H", 3}, {"L", 2}});
  EXPECT_EQ(Inputs(graph),
            "x data [T, B, 2]; l1.y.h0 state [B, 3]; l2.y.h0 state [B, 3]; l1.y.W parameter [3, 2]; "
            "l1.y.U parameter [3, 3]; l1.y.b parameter [3]; l2.y.W parameter [3, 3]; l2.y.U parameter [3, 3]; "
            "l2.y.b parameter [3]");
}

TEST(ModelGraph, AnInstanceSharesItsParameters) {
  ir::Graph graph = GraphOf(
      "model m(I) {\n  input x: [I] over S, z: [I] over T\n  let c = elman(H=I)\n  a = scan c over x\n"
      "  b = scan c over z from a.state\n  output b, last = a.state.h\n}\n",
      "m", {{"I", 2}});
  EXPECT_EQ(Inputs(graph),
            "x data [S, B, 2]; z data [T, B, 2]; a.h0 state [B, 2]; c.W parameter [2, 2]; c.U parameter [2, 2]; "
            "c.b parameter [2]");
  EXPECT_EQ(Outputs(graph), "b [T, B, 2]; last [B, 2]; a.hT [B, 2]; b.hT [B, 2]");
  // The second scan goes on where the first ends.
  Evaluation run = Evaluate(graph, {{"S", 2}, {"T", 1}, {"B", 1}});
  for (int i = 0; i < 2; ++i) {
    double z = run.inputs["c.b"][i];
    for (int j = 0; j < 2; ++j) {
      z += run.inputs["c.W"][i * 2 + j] * run.inputs["z"][j] + run.inputs["c.U"][i * 2 + j] * run.outputs["last"][j];
    }
    EXPECT_NEAR(run.outputs["b"][i], std::tanh(z), 1e-12);
  }
}

TEST(ModelGraph, AReverseScanRunsFromTheEnd) {
  ir::Graph graph = GraphOf(
      "cell add(I) {\n  input x: [I]\n  state s: [I]\n  s' = s + x\n  output s'\n}\n"
      "model m(I) {\n  input x: [I] over T\n  y = reverse scan add over x\n  output y\n}\n",
      "m", {{"I", 1}});
  Evaluation run = Evaluate(graph, {{"T", 3}, {"B", 1}});
  const Values& x = run.inputs["x"];
  double s0 = run.inputs["y.s0"][0];
  EXPECT_NEAR(run.outputs["y"][2], s0 + x[2], 1e-12);
  EXPECT_NEAR(run.outputs["y"][0], s0 + x[0] + x[1] + x[2], 1e-12);
}

TEST(ModelGraph, AValueOfAnExampleJoinsASequence) {
  ir::Graph graph =
      GraphOf("model m(I) {\n  input x: [I] over T, u: [I], g: []\n  output y = x * u + g\n}\n", "m", {{"I", 2}});
  Evaluation run = Evaluate(graph, {{"T", 2}, {"B", 2}});
  for (int t = 0; t < 2; ++t) {
    for (int b = 0; b < 2; ++b) {
      for (int i = 0; i < 2; ++i) {
        EXPECT_NEAR(run.outputs["y"][(t * 2 + b) * 2 + i],
                    run.inputs["x"][(t * 2 + b) * 2 + i] * run.inputs["u"][b * 2 + i] + run.inputs["g"][b], 1e-12);
      }
    }
  }
}

}  // namespace
}  // namespace recurve::frontend

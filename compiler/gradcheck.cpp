// compiler/gradcheck.cpp: random arguments, four ways to a gradient, and a table of their differences.

#include "compiler/gradcheck.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <map>

#include "compiler/compile.h"
#include "compiler/derivative.h"
#include "compiler/roundoff.h"
#include "compiler/unroll.h"
#include "runtime/random.h"
#include "runtime/session.h"

namespace recurve {
namespace {

using ir::Tensor;

double DrawParameter(Random& random, const ir::Init& init) {
  switch (init.kind) {
    case ir::Init::Kind::kConstant: return init.a + random.Uniform(-0.5, 0.5);
    case ir::Init::Kind::kUniform: return random.Uniform(init.a, init.b);
    case ir::Init::Kind::kNormal: return random.Normal(init.a, init.b);
  }
  return 0;
}

double DrawElement(Random& random, const ir::Node& input, Storage store) {
  const auto& attr = input.As<ir::InputAttr>();
  if (input.type.element == ir::Element::kIndex) {
    // Of numbers small ones, so that a length is within a short sequence, at its end or beyond it.
    const int64_t classes = attr.classes == ir::kAnyIndex ? 7 : attr.classes;
    return random.Below(static_cast<uint32_t>(classes));
  }
  bool is_parameter = attr.role == ir::Role::kParameter || attr.role == ir::Role::kConstant;
  double value = is_parameter ? DrawParameter(random, attr.init) : random.Uniform(-1, 1);
  value = static_cast<double>(static_cast<float>(value));
  return is_parameter ? RoundToStorage(value, store) : value;
}

double Largest(const Tensor& tensor) {
  double largest = 0;
  for (double value : tensor.values) largest = std::max(largest, std::abs(value));
  return largest;
}

// The largest difference of two tensors; infinite where one is a number and the other is not.
double LargestDifference(std::span<const double> a, std::span<const double> b) {
  if (a.size() != b.size()) return std::numeric_limits<double>::infinity();
  double largest = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    if (a[i] == b[i] || (std::isnan(a[i]) && std::isnan(b[i]))) continue;
    double difference = std::abs(a[i] - b[i]);
    largest = std::max(largest, std::isnan(difference) ? std::numeric_limits<double>::infinity() : difference);
  }
  return largest;
}

// A zero tensor has no scale of its own; its errors are absolute.
double Relative(double difference, double scale) { return scale > 0 ? difference / scale : difference; }

double Dot(std::span<const double> a, std::span<const double> b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

size_t OutputCount(const Trial& trial) { return trial.primal.outputs().size(); }

// The weights of the primal outputs, in their order: the arguments of `joint` that are not the primal's.
std::span<const Tensor> Weights(const Trial& trial) {
  return std::span(trial.arguments).subspan(trial.primal.inputs().size());
}

// The outputs that have weights: the real ones, by index.
std::vector<size_t> WeightedOutputs(const Trial& trial) {
  std::vector<size_t> result;
  for (size_t k = 0; k < OutputCount(trial); ++k) {
    if (trial.joint.FindInput(trial.primal.outputs()[k].name + "_adj") >= 0) result.push_back(k);
  }
  return result;
}

// The scalar whose gradient is checked, at other arguments, less its value at the trial's own: a difference taken
// element by element keeps the digits that a difference of sums would lose.
double LossChange(const Trial& trial, const std::vector<size_t>& weighted, std::span<const Tensor> arguments) {
  std::vector<Tensor> outputs = ir::Interpret(trial.primal, trial.sizes, arguments);
  double sum = 0;
  for (size_t w = 0; w < weighted.size(); ++w) {
    const auto& moved = outputs[weighted[w]].values;
    const auto& here = trial.reference[weighted[w]].values;
    for (size_t i = 0; i < moved.size(); ++i) sum += Weights(trial)[w].values[i] * (moved[i] - here[i]);
  }
  return sum;
}

// The loss around the trial's arguments, along `direction` of one argument.
class Line {
 public:
  Line(const Trial& trial, const std::vector<size_t>& weighted, size_t argument, std::span<const double> direction)
      : trial_(trial),
        weighted_(weighted),
        argument_(argument),
        direction_(direction),
        arguments_(trial.arguments.begin(),
                   trial.arguments.begin() + static_cast<ptrdiff_t>(trial.primal.inputs().size())) {}

  // The derivative, (8 (f(h) - f(-h)) - (f(2h) - f(-2h))) / 12h, with an error of h^4 / 30 f'''''. `bend` becomes the
  // difference of the slopes to both sides: small like h where f is smooth. A kink or a jump within 2h makes it at
  // least 2/3 of the derivative's error.
  double Slope(double step, double* bend) {
    const double left = At(-2 * step), right = At(2 * step);
    *bend = std::abs(left + right) / (2 * step);
    return (8 * (At(step) - At(-step)) - (right - left)) / (12 * step);
  }

 private:
  double At(double distance) {
    for (size_t i = 0; i < direction_.size(); ++i)
      arguments_[argument_].values[i] = trial_.arguments[argument_].values[i] + distance * direction_[i];
    return LossChange(trial_, weighted_, arguments_);
  }

  const Trial& trial_;
  const std::vector<size_t>& weighted_;
  size_t argument_;
  std::span<const double> direction_;
  std::vector<Tensor> arguments_;
};

// What rounding in the interpreter may move the loss by.
double LossNoise(const Trial& trial, const std::vector<size_t>& weighted) {
  const std::span inputs = std::span(trial.arguments).first(trial.primal.inputs().size());
  const std::span outputs = std::span(trial.reference).first(OutputCount(trial));
  const std::vector<double> movements =
      RoundoffTolerance(trial.primal, trial.sizes, inputs, outputs, UnitRoundoff(Precision::kF64), /*draws=*/3);
  double noise = 0;
  for (size_t w = 0; w < weighted.size(); ++w) {
    for (double weight : Weights(trial)[w].values) noise += std::abs(weight) * movements[weighted[w]];
  }
  return noise;
}

// The least difference between a gradient along a direction and finite differences of four steps; 0 where `noise` of
// the loss explains it, or a kink or a jump that stands nearer than the smallest step.
double DirectionError(Line line, double expected, double scale, double noise) {
  constexpr double kSteps[] = {1e-3, 1e-4, 1e-5, 1e-6};
  double least = std::numeric_limits<double>::infinity(), bend = 0;
  bool is_noise = false;
  for (double step : kSteps) {
    const double error = std::abs(line.Slope(step, &bend) - expected);
    least = std::min(least, Relative(error, scale));
    if (least < 0.01 * kFiniteDifferenceTolerance) return least;
    // The coefficients of the four values that make a slope add up to 18/12.
    is_noise |= error <= 1.5 * noise / step;
  }
  const bool is_bend = least <= 1.5 * Relative(bend, scale);
  return least > kFiniteDifferenceTolerance && (is_noise || is_bend) ? 0 : least;
}

// What a difference of losses can resolve at best is a share of the losses' terms. A gradient far below that counts as
// large as that share.
double ResolvableScale(const Trial& trial, const std::vector<size_t>& weighted) {
  double terms = 0;
  for (size_t w = 0; w < weighted.size(); ++w) {
    const auto& values = trial.reference[weighted[w]].values;
    for (size_t i = 0; i < values.size(); ++i) terms += std::abs(values[i] * Weights(trial)[w].values[i]);
  }
  return 1e-4 * terms;
}

// The index among `graph`'s inputs, not its nodes.
size_t InputPosition(const ir::Graph& graph, std::string_view name) {
  return std::ranges::find(graph.inputs(), graph.FindInput(name)) - graph.inputs().begin();
}

// Gives every argument of the trial to a session.
std::expected<void, Error> SetArguments(Session& session, const Trial& trial) {
  for (const auto& [axis, size] : trial.sizes) {
    if (auto done = session.SetExtent(axis, static_cast<size_t>(size)); !done) return done;
  }
  for (size_t i = 0; i < trial.arguments.size(); ++i) {
    const auto& [name, role, init, classes] = trial.joint[trial.joint.inputs()[i]].As<ir::InputAttr>();
    const std::vector<double>& values = trial.arguments[i].values;
    // A weight that no gradient depends on is not asked for.
    if (role == ir::Role::kAdjoint && session.FindTensor(name) == nullptr) continue;
    if (role != ir::Role::kParameter && role != ir::Role::kConstant) {
      if (auto done = session.Set(name, values); !done) return done;
    } else if (session.program().element() == ElementType::kF32) {
      auto memory = session.Parameter<float>(name);
      if (!memory) return std::unexpected(memory.error());
      std::ranges::copy(values, memory->begin());
    } else {
      auto memory = session.Parameter<double>(name);
      if (!memory) return std::unexpected(memory.error());
      std::ranges::copy(values, memory->begin());
    }
  }
  return {};
}

// Tensors by name.
using Values = std::map<std::string, Tensor, std::less<>>;

// Adds what the graph yields for inputs among `values`; each tensor passes through `stored` when it is written there.
void InterpretInto(const ir::Graph& graph, const ir::Bindings& sizes, Values& values,
                   const std::function<void(const std::string&, Tensor&)>& stored) {
  std::vector<Tensor> inputs;
  for (ir::NodeId id : graph.inputs()) inputs.push_back(values.at(graph[id].As<ir::InputAttr>().name));
  std::vector<Tensor> outputs = ir::Interpret(graph, sizes, inputs);
  for (size_t k = 0; k < outputs.size(); ++k) {
    const std::string& name = graph.outputs()[k].name;
    stored(name, outputs[k]);
    values.insert_or_assign(name, std::move(outputs[k]));
  }
}

// What storing packed weights and tape in 16 bits may move every output of the trial by: the most of rounding each
// value, which makes some equal that were not, and of `draws` of the directions in which each may be moved. The real
// errors of a program that computes the values in another order are smaller and rarely all one way; the factor two
// covers what a few draws miss.
std::vector<double> StorageTolerance(const Trial& trial, Storage store, int draws) {
  const Programs programs = Lower(trial.primal, {.wrt = trial.wrt});
  Values arguments;
  for (size_t i = 0; i < trial.arguments.size(); ++i)
    arguments.emplace(trial.joint[trial.joint.inputs()[i]].As<ir::InputAttr>().name, trial.arguments[i]);
  std::vector<double> tolerance(trial.reference.size());
  for (int draw = 0; draw <= draws; ++draw) {
    Random random(static_cast<uint64_t>(draw));
    auto moved_to = [&](double value) {
      if (draw == 0) return RoundToStorage(value, store);
      return value + (random.Uniform(-1, 1) < 0 ? -1 : 1) * StorageRoundoff(value, store);
    };
    auto move = [&](const std::string& name, Tensor& tensor) {
      if (!name.starts_with("tape") && !name.starts_with("packed")) return;
      for (double& value : tensor.values) value = moved_to(value);
    };
    Values values = arguments;
    InterpretInto(programs.pack, trial.sizes, values, move);
    InterpretInto(programs.forward, trial.sizes, values, move);
    InterpretInto(programs.backward, trial.sizes, values, [](const std::string&, Tensor&) {});
    for (size_t k = 0; k < trial.reference.size(); ++k) {
      const Tensor& moved = values.at(trial.joint.outputs()[k].name);
      tolerance[k] = std::max(tolerance[k], 2 * LargestDifference(moved.values, trial.reference[k].values));
    }
  }
  return tolerance;
}

}  // namespace

Trial MakeTrial(const ir::Graph& graph, ir::Bindings sizes, uint64_t seed, Storage store) {
  Trial trial{.primal = graph, .sizes = std::move(sizes)};
  int time_axes = 0;
  for (const std::string& axis : ir::SymbolicAxes(graph)) {
    if (axis == "B") {
      trial.sizes.try_emplace(axis, 2);
    } else {
      trial.sizes.try_emplace(axis, 4 - time_axes++ % 2);
    }
  }
  for (ir::NodeId id : graph.inputs()) {
    const auto& attr = graph[id].As<ir::InputAttr>();
    if (graph.type(id).element == ir::Element::kReal && attr.role != ir::Role::kConstant)
      trial.wrt.push_back(attr.name);
  }
  trial.joint = Vjp(graph, trial.wrt);
  Random random(seed);
  for (ir::NodeId id : trial.joint.inputs()) {
    Tensor tensor = Tensor::Filled(ir::Extents(trial.joint.type(id).shape, trial.sizes), 0);
    for (double& value : tensor.values) value = DrawElement(random, trial.joint[id], store);
    trial.arguments.push_back(std::move(tensor));
  }
  trial.reference = ir::Interpret(trial.joint, trial.sizes, trial.arguments);
  return trial;
}

std::vector<double> FiniteDifferenceErrors(const Trial& trial, int elements, uint64_t seed) {
  const std::vector<size_t> weighted = WeightedOutputs(trial);
  const double resolvable = ResolvableScale(trial, weighted), noise = LossNoise(trial, weighted);
  Random random(seed);
  std::vector<double> errors;
  for (size_t k = 0; k < trial.wrt.size(); ++k) {
    const Tensor& gradient = trial.reference[OutputCount(trial) + k];
    const size_t argument = InputPosition(trial.primal, trial.wrt[k]);
    const double scale = std::max(Largest(gradient), resolvable);
    const int64_t count = gradient.size();
    double largest = 0;
    std::vector<double> direction(count);
    auto check = [&] {
      Line line(trial, weighted, argument, direction);
      largest = std::max(largest, DirectionError(std::move(line), Dot(gradient.values, direction), scale, noise));
    };
    for (double& value : direction) value = random.Uniform(-1, 1);
    check();
    for (int64_t n = 0; n < std::min<int64_t>(count, elements); ++n) {
      std::ranges::fill(direction, 0);
      direction[count <= elements ? n : random.Below(static_cast<uint32_t>(count))] = 1;
      check();
    }
    errors.push_back(largest);
  }
  return errors;
}

std::vector<double> UnrolledErrors(const Trial& trial) {
  ir::Graph unrolled = trial.primal;
  for (const std::string& axis : ir::SymbolicAxes(trial.primal)) {
    if (axis != "B") unrolled = Unroll(unrolled, axis, trial.sizes.find(axis)->second);
  }
  const ir::Graph derivative = Vjp(unrolled, trial.wrt);
  const std::vector<Tensor> witness = ir::Interpret(derivative, trial.sizes, trial.arguments);
  std::vector<double> errors, roundoff;
  for (size_t k = OutputCount(trial); k < trial.reference.size(); ++k) {
    const Tensor& gradient = trial.reference[k];
    const double difference = LargestDifference(witness[k].values, gradient.values);
    const double error = Relative(difference, Largest(gradient));
    // Of a gradient that cancels to nothing only noise is left. How much is asked of the witness: what is checked
    // cannot excuse itself.
    if (error > kUnrolledTolerance && roundoff.empty())
      roundoff = RoundoffTolerance(derivative, trial.sizes, trial.arguments, witness, UnitRoundoff(Precision::kF64),
                                   /*draws=*/3);
    errors.push_back(error > kUnrolledTolerance && difference <= roundoff[k] ? 0 : error);
  }
  return errors;
}

std::expected<CompiledErrors, Error> ErrorsOf(const Program& program, const Trial& trial, Storage store,
                                              MathAccuracy math) {
  Session session(program);
  if (auto done = SetArguments(session, trial); !done) return std::unexpected(done.error());
  if (auto done = session.Forward(); !done) return std::unexpected(done.error());
  if (auto done = session.Backward(); !done) return std::unexpected(done.error());

  constexpr int kDraws = 3, kMoreDraws = 40;
  const double unit = UnitRoundoff(program.element() == ElementType::kF32 ? Precision::kF32 : Precision::kF64);
  auto tolerances = [&](int draws) {
    std::vector<double> all =
        RoundoffTolerance(trial.joint, trial.sizes, trial.arguments, trial.reference, unit, draws, math);
    if (store == Storage::kSame) return all;
    const std::vector<double> of_storage = StorageTolerance(trial, store, draws);
    for (size_t k = 0; k < all.size(); ++k) all[k] += of_storage[k];
    return all;
  };
  CompiledErrors result{.errors = {}, .tolerances = tolerances(kDraws)};
  bool within = true;
  for (size_t k = 0; k < trial.reference.size(); ++k) {
    auto values = session.Get(trial.joint.outputs()[k].name);
    if (!values) return std::unexpected(values.error());
    result.errors.push_back(LargestDifference(*values, trial.reference[k].values));
    within = within && result.errors[k] <= result.tolerances[k];
  }
  // A value that stands next to a kink or a step crosses it in few of the draws: look again before calling it an error.
  if (!within) result.tolerances = tolerances(kMoreDraws);
  for (size_t k = 0; k < trial.reference.size(); ++k) {
    double scale = Largest(trial.reference[k]);
    result.errors[k] = Relative(result.errors[k], scale);
    result.tolerances[k] = Relative(result.tolerances[k], scale);
  }
  return result;
}

bool GradcheckReport::passed() const { return std::ranges::all_of(rows, &GradcheckRow::passed); }

std::expected<GradcheckReport, Error> Gradcheck(const ir::Graph& graph, const GradcheckOptions& options) {
  auto program = CompileToMemory(graph, {.precision = options.precision, .store = options.store, .math = options.math});
  if (!program) return std::unexpected(program.error());

  const Trial trial = MakeTrial(graph, options.sizes, options.seed, options.store);
  const std::vector<double> differences = FiniteDifferenceErrors(trial, options.elements, options.seed);
  const std::vector<double> unrolled = UnrolledErrors(trial);
  auto compiled = ErrorsOf(*program, trial, options.store, options.math);
  if (!compiled) return std::unexpected(compiled.error());

  GradcheckReport report{.precision = options.precision, .store = options.store, .seed = options.seed};
  for (size_t k = 0; k < trial.reference.size(); ++k) {
    GradcheckRow row{.name = trial.joint.outputs()[k].name, .elements = trial.reference[k].size()};
    row.compiled = compiled->errors[k];
    row.tolerance = compiled->tolerances[k];
    row.passed = row.compiled <= row.tolerance;
    if (k >= OutputCount(trial)) {
      row.finite_differences = differences[k - OutputCount(trial)];
      row.unrolled = unrolled[k - OutputCount(trial)];
      row.passed =
          row.passed && row.finite_differences <= kFiniteDifferenceTolerance && row.unrolled <= kUnrolledTolerance;
    }
    report.rows.push_back(std::move(row));
  }
  return report;
}

std::string PrintReport(const GradcheckReport& report) {
  size_t width = 8;
  for (const GradcheckRow& row : report.rows) width = std::max(width, row.name.size());
  const std::string_view precision = report.store == Storage::kBf16        ? "bf16"
                                     : report.store == Storage::kF16       ? "f16"
                                     : report.precision == Precision::kF32 ? "f32"
                                                                           : "f64";
  auto number = [](std::optional<double> value) { return value ? fmt::format("{:.1e}", *value) : std::string("-"); };
  std::string text = fmt::format("{:<{}} {:>9} {:>19} {:>10} {:>13} {:>10}\n", "tensor", width, "elements",
                                 "finite differences", "unrolled", fmt::format("compiled {}", precision), "tolerance");
  for (const GradcheckRow& row : report.rows) {
    text += fmt::format("{:<{}} {:>9} {:>19} {:>10} {:>13} {:>10}{}\n", row.name, width, row.elements,
                        number(row.finite_differences), number(row.unrolled), number(row.compiled),
                        number(row.tolerance), row.passed ? "" : "  FAILED");
  }
  return text + fmt::format("{} (seed {})\n", report.passed() ? "all agree" : "disagreement", report.seed);
}

}  // namespace recurve

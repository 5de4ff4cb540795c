// tests/support/random_cell.cpp: a grammar walked at random, from wanted shapes to text.

#include "tests/support/random_cell.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <span>
#include <vector>

#include "runtime/random.h"

namespace recurve {
namespace {

// An expression: what is written, its extent ("" is a scalar, "H" a vector) and bounds of its elements.
struct Value {
  std::string text;
  std::string extent;
  double low = 0, high = 0;

  double magnitude() const { return std::max(std::abs(low), std::abs(high)); }
};

struct Matrix {
  std::string name, rows, columns;
};

// A function of one argument: where it may be applied, and how it moves bounds. Monotone ones move the ends.
struct Unary {
  std::string_view name;
  double from, to;
  std::function<std::pair<double, double>(double, double)> bounds;
};

using Bounds = std::pair<double, double>;

constexpr double kMatrixBound = 0.6;  // every weight lies in [-kMatrixBound, kMatrixBound]
constexpr double kVectorBound = 0.8;
constexpr double kLargest = 3;  // larger values are squashed before anyone uses them

double Sigmoid(double x) { return 1 / (1 + std::exp(-x)); }
double Softplus(double x) { return std::log1p(std::exp(x)); }

template <typename Function>
auto Monotone(Function function) {
  return [function](double low, double high) { return Bounds{function(low), function(high)}; };
}

auto Between(double least, double most) {
  return [least, most](double, double) { return Bounds{least, most}; };
}

// 0 at 0, at most |x|, least somewhere between -0.3 and 0: silu and gelu.
Bounds GatedBounds(double low, double high) { return {low < 0 ? -0.3 : 0, std::max(high, 0.0)}; }

Bounds AbsBounds(double low, double high) {
  double largest = std::max(std::abs(low), std::abs(high));
  return {low <= 0 && high >= 0 ? 0 : std::min(std::abs(low), std::abs(high)), largest};
}

std::span<const Unary> Unaries() {
  constexpr double kAll = 1e9;
  static const auto* rows = new std::vector<Unary>{
      {"neg", -kAll, kAll, [](double low, double high) { return Bounds{-high, -low}; }},
      {"abs", -kAll, kAll, AbsBounds},
      {"sign", -kAll, kAll, Between(-1, 1)},
      {"floor", -kAll, kAll, Monotone([](double x) { return std::floor(x); })},
      {"relu", -kAll, kAll, Monotone([](double x) { return std::max(x, 0.0); })},
      {"leaky_relu", -kAll, kAll, Monotone([](double x) { return x; })},
      {"elu", -kAll, kAll, Monotone([](double x) { return x < 0 ? std::expm1(x) : x; })},
      {"gelu", -kAll, kAll, GatedBounds},
      {"silu", -kAll, kAll, GatedBounds},
      {"softsign", -kAll, kAll, Monotone([](double x) { return x / (1 + std::abs(x)); })},
      {"hard_sigmoid", -kAll, kAll, Between(0, 1)},
      {"sqrt", 0.1, kAll, Monotone([](double x) { return std::sqrt(x); })},
      {"rsqrt", 0.1, kAll, [](double low, double high) { return Bounds{1 / std::sqrt(high), 1 / std::sqrt(low)}; }},
      {"exp", -kAll, 2, Monotone([](double x) { return std::exp(x); })},
      {"expm1", -kAll, 2, Monotone([](double x) { return std::expm1(x); })},
      {"log", 0.1, kAll, Monotone([](double x) { return std::log(x); })},
      {"log1p", -0.8, kAll, Monotone([](double x) { return std::log1p(x); })},
      {"tanh", -kAll, kAll, Monotone([](double x) { return std::tanh(x); })},
      {"sigmoid", -kAll, kAll, Monotone(Sigmoid)},
      {"logsigmoid", -kAll, kAll, Monotone([](double x) { return -Softplus(-x); })},
      {"softplus", -kAll, kAll, Monotone(Softplus)},
      {"sin", -kAll, kAll, Between(-1, 1)},
      {"cos", -kAll, kAll, Between(-1, 1)},
      {"erf", -kAll, kAll, Monotone([](double x) { return std::erf(x); })},
  };
  return *rows;
}

class Generator {
 public:
  explicit Generator(uint64_t seed) : random_(seed) {}

  RandomCell Run() {
    cell_.extents = {{"I", 1 + Below(6)}, {"H", 1 + Below(9)}};
    Functions();
    Inputs();
    States();
    declared_ = pool_.size();
    for (int64_t n = 1 + Below(4); n > 0; --n) Equation();
    NextStates();
    Outputs();
    cell_.source = functions_ + "cell random(I, H) {\n" + declarations_ + equations_ + "}\n";
    return std::move(cell_);
  }

 private:
  int64_t Below(int64_t count) { return random_.Below(static_cast<uint32_t>(count)); }
  bool Chance(double probability) { return random_.Uniform() < probability; }
  template <typename Items>
  const auto& Any(const Items& items) {
    return items[static_cast<size_t>(Below(static_cast<int64_t>(std::size(items))))];
  }
  // A number with two digits after the point.
  double Number(double low, double high) {
    return std::round((low + (high - low) * static_cast<double>(Below(1000)) / 1000) * 100) / 100;
  }
  std::string AnyExtent() { return Chance(0.75) ? "H" : "I"; }
  double Size(const std::string& extent) const {
    return extent.empty() ? 1 : static_cast<double>(cell_.extents.find(extent)->second);
  }
  std::string Fresh(std::string_view stem) { return fmt::format("{}{}", stem, ++names_); }

  // Declarations.

  void Functions() {
    functions_ =
        "fn squash(a) = a / (1 + abs(a))\n"
        "fn mix(z, a, b) = z * a + (1 - z) * b\n\n";
  }

  void Inputs() {
    for (int64_t n = 1 + Below(2); n > 0; --n) Declare("input", Fresh("x"), n == 1 ? "I" : AnyExtent());
    if (Chance(0.2)) Declare("input", Fresh("x"), "");
  }

  void Declare(std::string_view kind, const std::string& name, const std::string& extent) {
    declarations_ += fmt::format("  {} {}: [{}]\n", kind, name, extent);
    pool_.push_back({name, extent, -1, 1});
  }

  void States() {
    for (int64_t n = 1 + Below(3); n > 0; --n) {
      states_.push_back({Fresh("h"), Chance(0.1) ? "" : AnyExtent(), -1, 1});
      Declare("state", states_.back().text, states_.back().extent);
    }
  }

  Value Vector(const std::string& extent) {
    for (const Value& vector : vectors_) {
      if (vector.extent == extent && Chance(0.4)) return vector;
    }
    vectors_.push_back({Fresh("b"), extent, -kVectorBound, kVectorBound});
    declarations_ += fmt::format("  {} {}: [{}] ~ uniform({}, {})\n", Chance(0.1) ? "const" : "param",
                                 vectors_.back().text, extent, -kVectorBound, kVectorBound);
    return vectors_.back();
  }

  // A matrix of these sides as it is written, perhaps one that serves elsewhere already, perhaps transposed.
  std::string MatrixText(const std::string& rows, const std::string& columns) {
    for (const Matrix& matrix : matrices_) {
      if (matrix.rows == rows && matrix.columns == columns && Chance(0.4)) return matrix.name;
      if (matrix.rows == columns && matrix.columns == rows && Chance(0.4)) return matrix.name + "^T";
    }
    bool transposed = Chance(0.25);
    matrices_.push_back({Fresh("W"), transposed ? columns : rows, transposed ? rows : columns});
    const Matrix& matrix = matrices_.back();
    declarations_ += fmt::format("  param {}: [{}, {}] ~ uniform({}, {})\n", matrix.name, matrix.rows, matrix.columns,
                                 -kMatrixBound, kMatrixBound);
    return matrix.name + (transposed ? "^T" : "");
  }

  // Equations.

  void Equation() {
    switch (Below(6)) {
      case 0: return Split();
      case 1: return Repeat();
      default: return Define(Fresh("v"), Expression(Chance(0.1) ? "" : AnyExtent(), 3));
    }
  }

  void Define(const std::string& name, const Value& value) {
    equations_ += fmt::format("  {} = {}\n", name, value.text);
    pool_.push_back({name, value.extent, value.low, value.high});
  }

  // Gates: a product of several blocks of rows, and a vector, cut into equal parts.
  void Split() {
    const int64_t parts = 2 + Below(3);
    const std::string unit = AnyExtent(), stacked = fmt::format("{}*{}", parts, unit);
    const Value source = Leaf(AnyExtent());
    std::string product = fmt::format("{} @ {}", MatrixOf(stacked, source.extent), source.text);
    double bound = kMatrixBound * Size(source.extent) * source.magnitude();
    if (Chance(0.5)) {
      const Value other = Leaf(AnyExtent());
      product += fmt::format(" + {} @ {}", MatrixOf(stacked, other.extent), other.text);
      bound += kMatrixBound * Size(other.extent) * other.magnitude();
    }
    if (Chance(0.7)) {
      const std::string bias = Fresh("b");
      declarations_ += fmt::format("  param {}: [{}] ~ uniform({}, {})\n", bias, stacked, -kVectorBound, kVectorBound);
      product += " + " + bias;
      bound += kVectorBound;
    }
    std::string targets;
    std::vector<Value> gates;
    for (int64_t part = 0; part < parts; ++part) {
      gates.push_back({Fresh("g"), unit, -bound, bound});
      targets += (part == 0 ? "" : ", ") + gates.back().text;
    }
    equations_ += fmt::format("  {} = split({}, {})\n", targets, product, parts);
    for (const Value& gate : gates) pool_.push_back(gate);
  }

  // A stacked matrix is never shared: its sides are of no other value.
  std::string MatrixOf(const std::string& rows, const std::string& columns) {
    const std::string name = Fresh("W");
    declarations_ +=
        fmt::format("  param {}: [{}, {}] ~ uniform({}, {})\n", name, rows, columns, -kMatrixBound, kMatrixBound);
    return name;
  }

  // A few rounds of one map, with the same parameters in each.
  void Repeat() {
    const std::string name = Fresh("v"), extent = AnyExtent();
    Define(name, Squash(Expression(extent, 2)));
    const std::string matrix = MatrixText(extent, extent);
    const Value offset = Leaf(extent);
    equations_ += fmt::format("  repeat r in {} {{\n    {} = tanh({} @ {} + {})\n  }}\n", 2 + Below(2), name, matrix,
                              name, offset.text);
    pool_.back().low = -1;
    pool_.back().high = 1;
  }

  // Every state's next value is a mean of the previous one and of something in [-1, 1].
  void NextStates() {
    for (const Value& state : states_) {
      const Value candidate = Apply("tanh", Expression(state.extent, 3));
      std::string next = candidate.text;
      if (Chance(0.6)) {
        const Value gate = Apply("sigmoid", Expression(state.extent, 2));
        next = Chance(0.5) ? fmt::format("{0} * {1} + (1 - {0}) * {2}", gate.text, state.text, next)
                           : fmt::format("mix({}, {}, {})", gate.text, state.text, next);
      } else if (Chance(0.3)) {
        next = fmt::format("0.6 * {} + 0.4 * {}", state.text, next);
      }
      equations_ += fmt::format("  {}' = {}\n", state.text, next);
      pool_.push_back({state.text + "'", state.extent, -1, 1});
      if (Chance(0.4)) Equation();
    }
  }

  void Outputs() {
    equations_ += fmt::format("  output {}'\n", Any(states_).text);
    if (Chance(0.6)) equations_ += fmt::format("  output {} = {}\n", Fresh("y"), Expression(AnyExtent(), 3).text);
    if (Chance(0.2)) equations_ += fmt::format("  output {} = {}\n", Fresh("y"), Expression("", 2).text);
  }

  // Expressions.

  // Something that has a name, of this extent.
  Value Leaf(const std::string& extent) {
    std::vector<Value> fitting;
    for (const Value& value : pool_) {
      if (value.extent == extent) fitting.push_back(value);
    }
    if (extent.empty() && (fitting.empty() || Chance(0.5))) {
      const double number = Number(-2, 2);
      return {number < 0 ? fmt::format("({})", number) : fmt::format("{}", number), "", number, number};
    }
    if (fitting.empty() || Chance(0.15)) return Vector(extent);
    // Later values are likelier: they depend on more.
    const int64_t count = static_cast<int64_t>(fitting.size());
    return fitting[static_cast<size_t>(std::max(Below(count), Below(count)))];
  }

  Value Expression(const std::string& extent, int depth) {
    if (depth == 0 || Chance(0.1)) return Leaf(extent);
    const Value value = Compound(extent, depth - 1);
    return value.magnitude() > kLargest ? Squash(value) : value;
  }

  Value Compound(const std::string& extent, int depth) {
    switch (Below(extent.empty() ? 7 : 11)) {
      case 0:
      case 1: return ApplyAny(Expression(extent, depth));
      case 2:
      case 3: return Arithmetic(Expression(extent, depth), Operand(extent, depth));
      case 4: return Choice(extent, depth);
      case 5: return Power(Expression(extent, depth));
      case 6: return extent.empty() ? Reduction(Expression(AnyExtent(), depth)) : Whole(Expression(extent, depth));
      case 7:
      case 8:
      case 9: return Product(extent, depth);
      default: return Chance(0.6) ? Joined(extent, depth) : InTime(extent, depth);
    }
  }

  // What depends on the step: random numbers, its number, values of earlier steps.
  Value InTime(const std::string& extent, int depth) {
    const Value a = Leaf(extent);
    switch (Below(5)) {
      case 0:
      case 1: {
        const double keep = 1 - Number(0.1, 0.5);
        return {fmt::format("{}({}, {})", Chance(0.7) ? "dropout" : "variational_dropout", a.text, 1 - keep), extent,
                std::min(0.0, a.low / keep), std::max(0.0, a.high / keep)};
      }
      case 2: return {fmt::format("zoneout({}, {}, 0.3)", a.text, Leaf(extent).text), extent, -kLargest, kLargest};
      case 3: {
        const Value& state = Any(states_);
        const Value scalar{fmt::format("sin(step({}))", state.text), "", -1, 1};
        return Arithmetic(Expression(extent, depth), scalar);
      }
      default: {
        // An input or a state: these stand above every equation.
        const Value& source = pool_[static_cast<size_t>(Below(static_cast<int64_t>(declared_)))];
        if (source.extent != extent) return a;
        return {fmt::format("{}[-{}]", source.text, 1 + Below(3)), extent, std::min(source.low, 0.0),
                std::max(source.high, 0.0)};
      }
    }
  }

  // The second operand of arithmetic: of the same extent, or a scalar that is repeated.
  Value Operand(const std::string& extent, int depth) { return Expression(Chance(0.2) ? "" : extent, depth); }

  Value Apply(std::string_view name, const Value& a) {
    for (const Unary& row : Unaries()) {
      if (row.name != name) continue;
      auto [low, high] = row.bounds(a.low, a.high);
      return {fmt::format("{}({})", name, a.text), a.extent, low, high};
    }
    return a;
  }

  Value Squash(const Value& a) {
    constexpr std::string_view kSquashing[] = {"tanh", "sigmoid", "softsign", "erf", "sin", "cos"};
    if (Chance(0.2)) return {fmt::format("squash({})", a.text), a.extent, -1, 1};
    if (Chance(0.2)) return {fmt::format("clamp({}, -1.5, 1.25)", a.text), a.extent, -1.5, 1.25};
    return Apply(Any(kSquashing), a);
  }

  Value ApplyAny(const Value& a) {
    if (Chance(0.03)) {
      cell_.stops_gradients = true;
      return {fmt::format("stop_gradient({})", a.text), a.extent, a.low, a.high};
    }
    const Unary& row = Any(Unaries());
    if (a.low >= row.from && a.high <= row.to) return Apply(row.name, a);
    // Moved to where the function is at home.
    const Value positive{fmt::format("(0.3 + abs({}))", Apply("tanh", a).text), a.extent, 0.3, 1.3};
    return Apply(row.name, positive);
  }

  Value Arithmetic(const Value& a, const Value& b) {
    const std::string extent = a.extent.empty() ? b.extent : a.extent;
    auto binary = [&](std::string_view op, double low, double high) {
      return Value{fmt::format("({} {} {})", a.text, op, b.text), extent, low, high};
    };
    auto call = [&](std::string_view name, double low, double high) {
      return Value{fmt::format("{}({}, {})", name, a.text, b.text), extent, low, high};
    };
    const double products[] = {a.low * b.low, a.low * b.high, a.high * b.low, a.high * b.high};
    switch (Below(9)) {
      case 0:
      case 1: return binary("+", a.low + b.low, a.high + b.high);
      case 2:
      case 3: return binary("-", a.low - b.high, a.high - b.low);
      case 4:
      case 5: return binary("*", *std::ranges::min_element(products), *std::ranges::max_element(products));
      case 6: return call("min", std::min(a.low, b.low), std::min(a.high, b.high));
      case 7: return call("max", std::max(a.low, b.low), std::max(a.high, b.high));
      default: {
        const double bound = a.magnitude() / 0.5;
        return {fmt::format("{} / (0.5 + {})", Wrapped(a), Apply("abs", b).text), extent, -bound, bound};
      }
    }
  }

  static std::string Wrapped(const Value& a) { return fmt::format("({})", a.text); }

  Value Choice(const std::string& extent, int depth) {
    constexpr std::string_view kComparisons[] = {"<", "<=", ">", ">=", "==", "!="};
    const Value left = Leaf(extent), right = Leaf(extent), a = Expression(extent, depth), b = Expression(extent, depth);
    return {fmt::format("select({} {} {}, {}, {})", left.text, Any(kComparisons), right.text, a.text, b.text), extent,
            std::min(a.low, b.low), std::max(a.high, b.high)};
  }

  Value Power(const Value& a) {
    if (Chance(0.4)) return {fmt::format("({})^2", a.text), a.extent, 0, a.magnitude() * a.magnitude()};
    if (Chance(0.3)) return {fmt::format("mod({}, 1.5)", a.text), a.extent, 0, 1.5};
    const double exponent = Number(-1.5, 2.5);
    const Value base{fmt::format("0.4 + {}", Apply("sigmoid", a).text), a.extent, 0.4, 1.4};
    const double ends[] = {std::pow(0.4, exponent), std::pow(1.4, exponent)};
    return {fmt::format("pow({}, {})", base.text, exponent), a.extent, std::min(ends[0], ends[1]),
            std::max(ends[0], ends[1])};
  }

  // From a vector to a scalar.
  Value Reduction(const Value& a) {
    const double size = Size(a.extent);
    switch (Below(4)) {
      case 0:
        return {fmt::format("sum({})", a.text), "", std::min(a.low * size, a.low), std::max(a.high * size, a.high)};
      case 1: return {fmt::format("mean({})", a.text), "", a.low, a.high};
      case 2: return {fmt::format("max({})", a.text), "", a.low, a.high};
      default: return {fmt::format("logsumexp({})", a.text), "", a.low, a.high + std::log(size)};
    }
  }

  // From a vector to a vector, every element depending on all.
  Value Whole(const Value& a) {
    if (Chance(0.5)) return {fmt::format("softmax({})", a.text), a.extent, 0, 1};
    const double bound = std::sqrt(Size(a.extent));
    return {fmt::format("layernorm({})", a.text), a.extent, -bound, bound};
  }

  Value Product(const std::string& extent, int depth) {
    const Value a = Expression(AnyExtent(), depth);
    std::string matrix = MatrixText(extent, a.extent);
    if (extent == a.extent && Chance(0.15)) {
      // Arithmetic on parameters: an antisymmetric matrix.
      const std::string plain = matrix.substr(0, matrix.find('^'));
      matrix = fmt::format("({0} - {0}^T)", plain);
    }
    const double bound = 2 * kMatrixBound * Size(a.extent) * a.magnitude();
    return {fmt::format("({} @ {})", matrix, Wrapped(a)), extent, -bound, bound};
  }

  // A part of two vectors side by side.
  Value Joined(const std::string& extent, int depth) {
    const Value a = Expression(AnyExtent(), depth), b = Expression(extent, depth);
    const std::string text = Chance(0.5) ? fmt::format("concat({}, {})[{}:]", a.text, b.text, a.extent)
                                         : fmt::format("concat({}, {})[:{}]", b.text, a.text, extent);
    return {text, extent, b.low, b.high};
  }

  Random random_;
  RandomCell cell_;
  std::string functions_, declarations_, equations_;
  std::vector<Value> pool_, states_, vectors_;
  std::vector<Matrix> matrices_;
  size_t declared_ = 0;  // of the pool: inputs and states
  int names_ = 0;
};

}  // namespace

RandomCell MakeRandomCell(uint64_t seed) { return Generator(seed).Run(); }

}  // namespace recurve

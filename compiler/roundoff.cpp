// compiler/roundoff.cpp: a graph with noise of the size of rounding errors, a graph that adds such errors up beside its
// values, and what both say of the outputs.

#include "compiler/roundoff.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <utility>

#include "compiler/derivative_rules.h"
#include "ir/builder.h"
#include "ir/internal_error.h"

namespace recurve {
namespace {

using ir::Expr;
using ir::Graph;
using ir::Node;
using ir::NodeId;
using ir::Op;

// On movements seen in a few draws, and on errors added up: roundoff.h.
constexpr double kSafety = 8, kTail = 3;

// How many roundoffs of its result an elementwise operation may be off; sums are treated by their terms.
double RoundoffsOf(Op op, MathAccuracy math) {
  const double elementary = math == MathAccuracy::kFast ? 12 : 4;
  switch (op) {
    case Op::kMul:
    case Op::kDiv:
    case Op::kSqrt: return 1;
    case Op::kRsqrt: return 2;
    case Op::kExp:
    case Op::kTanh:
    case Op::kSigmoid:
    case Op::kLogSigmoid:
    case Op::kSoftplus: return elementary;
    case Op::kExpm1:
    case Op::kLog:
    case Op::kLog1p:
    case Op::kSin:
    case Op::kCos:
    case Op::kErf: return 4;
    case Op::kPow: return 16;
    case Op::kAdd:
    case Op::kSub:
    case Op::kNeg:
    case Op::kAbs:
    case Op::kSign:
    case Op::kFloor:
    case Op::kRelu:
    case Op::kStopGradient:
    case Op::kMin:
    case Op::kMax:
    case Op::kLess:
    case Op::kLessEqual:
    case Op::kEqual:
    case Op::kSelect:
    case Op::kInput:
    case Op::kConstant:
    case Op::kIota:
    case Op::kRandom:
    case Op::kReal:
    case Op::kTraining:
    case Op::kExtent:
    case Op::kBroadcast:
    case Op::kReshape:
    case Op::kTranspose:
    case Op::kSlice:
    case Op::kConcat:
    case Op::kContract:
    case Op::kReduceSum:
    case Op::kReduceMax:
    case Op::kGather:
    case Op::kScatterAdd:
    case Op::kOneHot:
    case Op::kScan:
    case Op::kScanResult: return 0;
  }
  return 0;
}

// The numbers of a storage: `digits` binary ones, down to 2^least, in steps of 2^(least - digits + 1) below that.
struct Format {
  int digits, least;
  double largest;
};
Format FormatOf(Storage storage) {
  switch (storage) {
    case Storage::kSame: break;
    case Storage::kBf16: return {8, -126, 0x1.FEp127};
    case Storage::kF16: return {11, -14, 65504};
  }
  return {53, -1022, std::numeric_limits<double>::max()};
}

// The distance between the storage's numbers around `value`.
double SpacingAt(double value, const Format& format) {
  int exponent = value == 0 ? format.least : std::max(std::ilogb(value), format.least);
  return std::ldexp(1.0, exponent - format.digits + 1);
}

// Which values of a graph are known without error:
//   arithmetic on constants alone: an exponent such as 2 - 1 is a whole number, and a negative base has no power with
//   an exponent beside it whole numbers: places, sizes, what one_hot and comparisons of such say, and their sums and
//   products (as long as they are below 2^24)
class ExactValues {
 public:
  explicit ExactValues(const Graph& graph) : of_constants_(graph.size()), whole_(graph.size()) {
    for (NodeId id = 0; id < graph.size(); ++id) {
      const Node& node = graph[id];
      auto all = [&](const std::vector<bool>& are) {
        return std::ranges::all_of(node.args, [&](NodeId arg) { return are[arg]; });
      };
      const bool is_arithmetic =
          node.op != Op::kInput && node.op != Op::kScan && node.op != Op::kExtent && !node.args.empty();
      of_constants_[id] = node.op == Op::kConstant || (is_arithmetic && all(of_constants_));
      whole_[id] = IsWhole(node) || (StaysWhole(node.op) && !node.args.empty() && all(whole_));
    }
  }

  bool operator[](NodeId id) const { return of_constants_[id] || whole_[id]; }

 private:
  static bool IsWhole(const Node& node) {
    if (node.op == Op::kConstant) {
      const double value = node.As<ir::ConstantAttr>().value;
      return value == std::floor(value) && std::abs(value) < 0x1p24;
    }
    return node.op == Op::kIota || node.op == Op::kReal || node.op == Op::kOneHot || node.op == Op::kExtent;
  }
  static bool StaysWhole(Op op) {
    switch (op) {
      case Op::kAdd:
      case Op::kSub:
      case Op::kMul:
      case Op::kNeg:
      case Op::kAbs:
      case Op::kMin:
      case Op::kMax:
      case Op::kLess:
      case Op::kLessEqual:
      case Op::kEqual:
      case Op::kSelect:
      case Op::kBroadcast:
      case Op::kReshape:
      case Op::kTranspose:
      case Op::kSlice:
      case Op::kConcat:
      case Op::kReduceSum:
      case Op::kReduceMax: return true;
      default: return false;
    }
  }

  std::vector<bool> of_constants_, whole_;
};

// How large the rounding error of a single operation is.
class RoundingErrors {
 public:
  RoundingErrors(const ir::Bindings& bindings, MathAccuracy math) : bindings_(bindings), math_(math) {}

  // The value whose multiple by the unit roundoff is the rounding error of a node's result; empty where nothing is
  // rounded.
  Expr ErrorSize(Graph& graph, NodeId id) const {
    const Node node = graph[id];
    Expr result = graph.At(id);
    auto arg = [&](int i) { return graph.At(node.args[i]); };
    if (node.op == Op::kAdd || node.op == Op::kSub) return Abs(arg(0)) + Abs(arg(1));
    // Near a zero of the function the error is that of the reduced argument.
    if (node.op == Op::kSin || node.op == Op::kCos) return Abs(result) * RoundoffsOf(node.op, math_) + Abs(arg(0));
    if (node.op == Op::kContract) {
      const auto& labels = node.As<ir::ContractAttr>();
      ir::Shape summed;
      for (size_t i = 0; i < labels.lhs.size(); ++i) {
        if (!labels.out.contains(labels.lhs[i])) summed.push_back(arg(0).shape()[i]);
      }
      return Contract(Abs(arg(0)), Abs(arg(1)), labels) * std::sqrt(Elements(summed));
    }
    if (node.op == Op::kReduceSum) {
      double terms = Elements(arg(0).shape()) / std::max(1.0, Elements(result.shape()));
      return ReduceSum(Abs(arg(0)), node.As<ir::AxesAttr>().axes) * std::sqrt(terms);
    }
    if (node.op == Op::kScatterAdd)
      return ScatterAdd(arg(0), Abs(arg(1)), result.shape()[0].extent) * std::sqrt(Elements(arg(0).shape()));
    return RoundoffsOf(node.op, math_) == 0 ? Expr() : Abs(result) * RoundoffsOf(node.op, math_);
  }

 private:
  double Elements(const ir::Shape& shape) const {
    double product = 1;
    for (int64_t extent : ir::Extents(shape, bindings_)) product *= static_cast<double>(extent);
    return product;
  }

  const ir::Bindings& bindings_;
  MathAccuracy math_;
};

class Perturbation {
 public:
  Perturbation(const ir::Bindings& bindings, double unit, uint64_t seed, MathAccuracy math)
      : rounding_(bindings, math), unit_(unit), phase_(static_cast<double>(seed % 1000003)) {}

  Graph Run(const Graph& graph) {
    Graph result;
    result.name = graph.name;
    std::vector<NodeId> map(graph.size());
    const ExactValues exact(graph);
    for (NodeId id = 0; id < graph.size(); ++id) {
      Node node = graph[id];
      for (NodeId& arg : node.args) arg = map[arg];
      if (node.op == Op::kScan) {
        ir::ScanAttr attr = node.As<ir::ScanAttr>();
        attr.body = std::make_shared<const Graph>(Run(*attr.body));
        node.attr = std::move(attr);
      }
      map[id] = result.Add(node);
      if (exact[id]) continue;
      if (Expr size = rounding_.ErrorSize(result, map[id])) map[id] = Move(result.At(map[id]), size, node.op).id();
    }
    for (const ir::Output& output : graph.outputs()) result.AddOutput(output.name, map[output.node]);
    return result;
  }

 private:
  // `value` moved by up to unit_ * size. The sine of a large multiple is as good as random. It depends on nothing but
  // the operation and its result, as rounding does: a value that the adjoint computes again is the same value again.
  Expr Move(Expr value, Expr size, Op op) const {
    const double phase = phase_ + 0.7548776662466927 * static_cast<double>(op);
    return value + size * (Sin(value * 1e9 + phase) * unit_);
  }

  RoundingErrors rounding_;
  double unit_;
  double phase_;
};

// Adds up errors beside the values that they are of: see roundoff.h.
class ErrorPropagation {
 public:
  ErrorPropagation(const ir::Bindings& bindings, double unit, MathAccuracy math)
      : rounding_(bindings, math), unit_(unit) {}

  // The outputs of `graph`, then the error of each, in multiples of the unit roundoff.
  Graph Run(const Graph& graph) const {
    Graph result;
    result.name = graph.name;
    std::vector<Pair> pairs(graph.size());
    for (NodeId id : graph.inputs()) pairs[id].value = result.At(result.Add(graph[id]));
    Translate(graph, result, pairs);
    for (const ir::Output& output : graph.outputs()) result.AddOutput(output.name, pairs[output.node].value);
    for (const ir::Output& output : graph.outputs())
      result.AddOutput(output.name + kSuffix, ErrorOrZero(pairs[output.node]));
    return result;
  }

 private:
  static constexpr const char* kSuffix = "_error";

  // A value and its error; an empty one is zero.
  struct Pair {
    Expr value, error;
  };
  // The results of a scan that are one value and its error, the latter -1 where it is zero.
  struct ResultPair {
    int value = -1, error = -1;
  };

  static Expr ErrorOrZero(const Pair& pair) {
    return pair.error ? pair.error : ir::Constant(*pair.value.graph(), pair.value.shape(), 0);
  }

  // Adds all nodes but inputs, whose pairs are there.
  void Translate(const Graph& graph, Graph& result, std::vector<Pair>& pairs) const {
    const ExactValues exact(graph);
    std::vector<std::vector<ResultPair>> scan_results(graph.size());
    for (NodeId id = 0; id < graph.size(); ++id) {
      Node node = graph[id];
      if (node.op == Op::kInput) continue;
      if (node.op == Op::kScan) {
        pairs[id].value = AddScan(node, result, pairs, scan_results[id]);
        continue;
      }
      if (node.op == Op::kScanResult) {
        const Expr scan = pairs[node.args[0]].value;
        const auto [value, error] = scan_results[node.args[0]][node.As<ir::ResultAttr>().index];
        pairs[id] = {ScanResult(scan, value), error < 0 ? Expr() : ScanResult(scan, error)};
        continue;
      }
      for (NodeId& arg : node.args) arg = pairs[arg].value.id();
      pairs[id].value = result.At(result.Add(node));
      if (exact[id]) continue;
      std::vector<Expr> parts = OperandErrors(graph, id, pairs);
      if (Expr size = rounding_.ErrorSize(result, pairs[id].value.id())) parts.push_back(size);
      pairs[id].error = RootOfSquares(parts);
    }
  }

  static Expr RootOfSquares(const std::vector<Expr>& parts) {
    if (parts.size() <= 1) return parts.empty() ? Expr() : Abs(parts[0]);
    Expr sum = parts[0] * parts[0];
    for (size_t i = 1; i < parts.size(); ++i) sum = sum + parts[i] * parts[i];
    return Sqrt(sum);
  }

  // Whether `a` is the largest element of `b`, spread over it: equal where it is, however both were rounded.
  static bool IsMaximumOf(const Graph& graph, NodeId a, NodeId b) {
    while (graph[a].op == Op::kBroadcast || graph[a].op == Op::kReshape) a = graph[a].args[0];
    return graph[a].op == Op::kReduceMax && graph[a].args[0] == b;
  }

  // What the result of a comparison, a sign or a floor moves by where the errors of the operands decide it.
  Expr JumpOf(const Graph& graph, NodeId id, const std::vector<Pair>& pairs) const {
    const Node& node = graph[id];
    std::vector<Expr> errors;
    for (NodeId arg : node.args)
      if (pairs[arg].error) errors.push_back(pairs[arg].error);
    if (errors.empty()) return {};
    auto value = [&](int i) { return pairs[node.args[i]].value; };
    auto jump = [&](Expr distance, double height) {
      return Less(distance, RootOfSquares(errors) * (kTail * unit_)) * (height / unit_);
    };
    if (node.op == Op::kLess || node.op == Op::kLessEqual || node.op == Op::kEqual) {
      const NodeId a = node.args[0], b = node.args[1];
      if (a == b || IsMaximumOf(graph, a, b) || IsMaximumOf(graph, b, a)) return {};
      return jump(Abs(value(0) - value(1)), 1);
    }
    if (node.op == Op::kSign) return jump(Abs(value(0)), 2);
    if (node.op == Op::kFloor) return jump(Abs(value(0) - Floor(value(0) + 0.5)), 1);
    if (node.op == Op::kSelect && pairs[node.args[0]].error)
      return pairs[node.args[0]].error * Abs(value(1) - value(2));
    return {};
  }

  // What the errors of a node's operands make of its result; signs mean nothing.
  std::vector<Expr> OperandErrors(const Graph& graph, NodeId id, const std::vector<Pair>& pairs) const {
    const Node& node = graph[id];
    Graph& result = *pairs[id].value.graph();
    auto error = [&](int i) { return pairs[node.args[i]].error; };
    // The same operation on the errors of some operands.
    auto apply = [&](std::vector<Expr> args) {
      Node moved = node;
      for (size_t i = 0; i < args.size(); ++i) moved.args[i] = args[i].id();
      return result.At(result.Add(moved));
    };
    std::vector<Expr> parts;
    switch (node.op) {
#define UNARY(Kind, ...) case Op::k##Kind:
#define BINARY(Kind, ...) case Op::k##Kind:
#define TERNARY(Kind, ...) case Op::k##Kind:
#include "ir/ops.def"
      for (int i = 0; i < static_cast<int>(node.args.size()); ++i) {
        if (!error(i)) continue;
        if (node.op == Op::kStopGradient) parts.push_back(error(i));
        if (GradientFlows(node.op, i))
          parts.push_back(OperandGradient(graph, id, i, error(i), [&](NodeId of) { return pairs[of].value; }));
      }
      if (Expr jump = JumpOf(graph, id, pairs)) parts.push_back(jump);
      break;
      case Op::kBroadcast:
      case Op::kReshape:
      case Op::kTranspose:
      case Op::kSlice:
      case Op::kReduceMax:
        if (error(0)) parts.push_back(apply({error(0)}));
        break;
      case Op::kGather:
        if (error(0)) parts.push_back(apply({error(0), pairs[node.args[1]].value}));
        break;
      case Op::kConcat: {
        if (std::ranges::none_of(node.args, [&](NodeId arg) { return bool(pairs[arg].error); })) break;
        std::vector<Expr> errors;
        for (NodeId arg : node.args) errors.push_back(ErrorOrZero(pairs[arg]));
        parts.push_back(apply(errors));
        break;
      }
      case Op::kContract:
        for (int i = 0; i < 2; ++i) {
          if (!error(i)) continue;
          const Expr other = pairs[node.args[1 - i]].value, own = error(i) * error(i), weight = other * other;
          parts.push_back(Sqrt(i == 0 ? apply({own, weight}) : apply({weight, own})));
        }
        break;
      case Op::kReduceSum:
        if (error(0)) parts.push_back(Sqrt(apply({error(0) * error(0)})));
        break;
      case Op::kScatterAdd:
        if (error(1)) parts.push_back(Sqrt(apply({pairs[node.args[0]].value, error(1) * error(1)})));
        break;
      case Op::kConstant:
      case Op::kIota:
      case Op::kRandom:
      case Op::kReal:
      case Op::kExtent:
      case Op::kOneHot: break;
      case Op::kInput:
      case Op::kScan:
      case Op::kScanResult: StopOnInternalError("errors of inputs and scans are not those of an operation");
    }
    return parts;
  }

  // The scan with the errors of carries among its carries, and so on. `results` becomes one pair per result.
  Expr AddScan(const Node& node, Graph& result, const std::vector<Pair>& outer,
               std::vector<ResultPair>& results) const {
    const auto& attr = node.As<ir::ScanAttr>();
    const Graph& from = *attr.body;
    Graph body;
    body.name = from.name;
    std::vector<Pair> inner(from.size());
    std::vector<Expr> operands;
    // Adds the inputs [begin, end) and the errors among them that may differ from zero; returns how many errors.
    auto add_inputs = [&](int begin, int end, bool is_carry) {
      for (int i = begin; i < end; ++i) {
        inner[from.inputs()[i]].value = body.At(body.Add(from[from.inputs()[i]]));
        operands.push_back(outer[node.args[i]].value);
      }
      int errors = 0;
      for (int i = begin; i < end; ++i) {
        const Pair& operand = outer[node.args[i]];
        if (!is_carry && !operand.error) continue;
        Node input = from[from.inputs()[i]];
        auto name = input.As<ir::InputAttr>();
        name.name += kSuffix;
        input.attr = std::move(name);
        inner[from.inputs()[i]].error = body.At(body.Add(input));
        operands.push_back(ErrorOrZero(operand));
        ++errors;
      }
      return errors;
    };
    ir::ScanAttr added = attr;
    const int sequences_end = attr.carries + attr.sequences;
    added.carries += add_inputs(0, attr.carries, true);
    added.sequences += add_inputs(attr.carries, sequences_end, false);
    add_inputs(sequences_end, static_cast<int>(from.inputs().size()), false);
    Translate(from, body, inner);

    results.resize(from.outputs().size());
    auto add_outputs = [&](int begin, int end, bool is_carry) {
      for (int i = begin; i < end; ++i) {
        results[i].value = static_cast<int>(body.outputs().size());
        body.AddOutput(from.outputs()[i].name, inner[from.outputs()[i].node].value);
      }
      for (int i = begin; i < end; ++i) {
        const Pair& pair = inner[from.outputs()[i].node];
        if (!is_carry && !pair.error) continue;
        results[i].error = static_cast<int>(body.outputs().size());
        body.AddOutput(from.outputs()[i].name + kSuffix, ErrorOrZero(pair));
      }
    };
    add_outputs(0, attr.carries, true);
    add_outputs(attr.carries, static_cast<int>(from.outputs().size()), false);
    added.body = std::make_shared<const Graph>(std::move(body));
    return Scan(result, operands, std::move(added));
  }

  RoundingErrors rounding_;
  double unit_;
};

}  // namespace

double UnitRoundoff(Precision precision) { return precision == Precision::kF32 ? 0x1p-24 : 0x1p-53; }

double RoundToStorage(double value, Storage storage) {
  if (storage == Storage::kSame || !std::isfinite(value)) return value;
  const Format format = FormatOf(storage);
  const double spacing = SpacingAt(value, format);
  const double rounded = std::nearbyint(value / spacing) * spacing;
  return std::abs(rounded) > format.largest ? std::copysign(std::numeric_limits<double>::infinity(), value) : rounded;
}

double StorageRoundoff(double value, Storage storage) {
  const double rounded = RoundToStorage(value, storage);
  if (rounded == value || std::isnan(value)) return 0;
  return std::isinf(rounded) ? rounded : SpacingAt(value, FormatOf(storage)) / 2;
}

Graph PerturbRoundoff(const Graph& graph, const ir::Bindings& bindings, double unit, uint64_t seed, MathAccuracy math) {
  return Perturbation(bindings, unit, seed, math).Run(graph);
}

Graph PropagateRoundoff(const Graph& graph, const ir::Bindings& bindings, double unit, MathAccuracy math) {
  return ErrorPropagation(bindings, unit, math).Run(graph);
}

std::vector<double> RoundoffTolerance(const Graph& graph, const ir::Bindings& bindings,
                                      std::span<const ir::Tensor> inputs, std::span<const ir::Tensor> reference,
                                      double unit, int draws, MathAccuracy math) {
  // What is smaller than every normal number has few digits or none.
  const bool is_single = unit >= UnitRoundoff(Precision::kF32);
  const double smallest = is_single ? std::numeric_limits<float>::min() : std::numeric_limits<double>::min();
  std::vector<double> tolerance(reference.size(), smallest);
  for (size_t k = 0; k < reference.size(); ++k) {
    // Writing the result down rounds it once.
    for (double value : reference[k].values) tolerance[k] = std::max(tolerance[k], unit * std::abs(value));
  }
  const std::vector<ir::Tensor> added = ir::Interpret(PropagateRoundoff(graph, bindings, unit, math), bindings, inputs);
  for (size_t k = 0; k < reference.size(); ++k) {
    // Where a derivative is infinite, as that of sqrt at zero, first order says nothing and the draws alone tell.
    for (double error : added[reference.size() + k].values)
      if (std::isfinite(error)) tolerance[k] = std::max(tolerance[k], kTail * unit * error);
  }
  for (int draw = 0; draw < draws; ++draw) {
    std::vector<ir::Tensor> moved = ir::Interpret(
        PerturbRoundoff(graph, bindings, kSafety * unit, static_cast<uint64_t>(draw), math), bindings, inputs);
    for (size_t k = 0; k < reference.size(); ++k) {
      for (size_t i = 0; i < reference[k].values.size(); ++i)
        tolerance[k] = std::max(tolerance[k], std::abs(moved[k].values[i] - reference[k].values[i]));
    }
  }
  return tolerance;
}

}  // namespace recurve

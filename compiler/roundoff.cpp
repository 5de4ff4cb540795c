// compiler/roundoff.cpp: a graph with noise of the size of rounding errors, and what it does to the outputs.

#include "compiler/roundoff.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>

#include "ir/builder.h"

namespace recurve {
namespace {

using ir::Expr;
using ir::Graph;
using ir::Node;
using ir::NodeId;
using ir::Op;

constexpr double kSafety = 8;

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

class Perturbation {
 public:
  Perturbation(const ir::Bindings& bindings, double unit, uint64_t seed, MathAccuracy math)
      : bindings_(bindings), unit_(unit), math_(math), phase_(static_cast<double>(seed % 1000003)) {}

  Graph Run(const Graph& graph) {
    Graph result;
    result.name = graph.name;
    std::vector<NodeId> map(graph.size());
    std::vector<bool> exact(graph.size());
    for (NodeId id = 0; id < graph.size(); ++id) {
      Node node = graph[id];
      exact[id] = IsExact(node, exact);
      for (NodeId& arg : node.args) arg = map[arg];
      if (node.op == Op::kScan) {
        ir::ScanAttr attr = node.As<ir::ScanAttr>();
        attr.body = std::make_shared<const Graph>(Run(*attr.body));
        node.attr = std::move(attr);
      }
      map[id] = result.Add(node);
      if (exact[id]) continue;
      if (Expr size = ErrorSize(result, map[id])) map[id] = Move(result.At(map[id]), size, node.op).id();
    }
    for (const ir::Output& output : graph.outputs()) result.AddOutput(output.name, map[output.node]);
    return result;
  }

 private:
  // Arithmetic on constants alone is not moved: an exponent such as 2 - 1 is a whole number, and a negative base has no
  // power with an exponent beside it.
  static bool IsExact(const Node& node, const std::vector<bool>& exact) {
    if (node.op == Op::kConstant) return true;
    if (node.op == Op::kInput || node.op == Op::kScan || node.op == Op::kExtent || node.args.empty()) return false;
    return std::ranges::all_of(node.args, [&](NodeId arg) { return exact[arg]; });
  }

  // The value whose `unit_` multiple is the rounding error of a node's result; empty where nothing is rounded.
  Expr ErrorSize(Graph& graph, NodeId id) {
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

  double Elements(const ir::Shape& shape) const {
    double product = 1;
    for (int64_t extent : ir::Extents(shape, bindings_)) product *= static_cast<double>(extent);
    return product;
  }

  // `value` moved by up to unit_ * size. The sine of a large multiple is as good as random. It depends on nothing but
  // the operation and its result, as rounding does: a value that the adjoint computes again is the same value again.
  Expr Move(Expr value, Expr size, Op op) const {
    const double phase = phase_ + 0.7548776662466927 * static_cast<double>(op);
    return value + size * (Sin(value * 1e9 + phase) * unit_);
  }

  const ir::Bindings& bindings_;
  double unit_;
  MathAccuracy math_;
  double phase_;
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

std::vector<double> RoundoffTolerance(const Graph& graph, const ir::Bindings& bindings,
                                      std::span<const ir::Tensor> inputs, std::span<const ir::Tensor> reference,
                                      double unit, int draws, MathAccuracy math) {
  std::vector<double> tolerance(reference.size());
  for (size_t k = 0; k < reference.size(); ++k) {
    // Writing the result down rounds it once.
    for (double value : reference[k].values) tolerance[k] = std::max(tolerance[k], unit * std::abs(value));
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

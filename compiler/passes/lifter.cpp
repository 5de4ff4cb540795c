// compiler/passes/lifter.cpp: one rule per operation.

#include "compiler/passes/lifter.h"

#include <numeric>
#include <string_view>
#include <utility>

#include "ir/internal_error.h"

namespace recurve {

using ir::Expr;
using ir::Graph;
using ir::Node;
using ir::NodeId;
using ir::Op;

namespace {

ir::Shape WithTime(const ir::Dim& time, const ir::Shape& shape) {
  ir::Shape result = {time};
  result.insert(result.end(), shape.begin(), shape.end());
  return result;
}

std::vector<int> Shifted(std::vector<int> axes) {
  for (int& axis : axes) ++axis;
  return axes;
}

// The axes of a broadcast or transpose that leaves the time axis in front.
std::vector<int> ShiftedBehindTime(const std::vector<int>& axes) {
  std::vector<int> result = Shifted(axes);
  result.insert(result.begin(), 0);
  return result;
}

}  // namespace

char FreshLabel(const ir::ContractAttr& labels) {
  static constexpr std::string_view kLetters = "tsruvwxyzabcdefghijklmnopqTSRUVWXYZABCDEFGHIJKLMNOPQ";
  for (char letter : kLetters) {
    if ((labels.lhs + labels.rhs).find(letter) == std::string::npos) return letter;
  }
  StopOnInternalError("a contraction uses every letter");
}

bool IsLiftable(const Graph& body, NodeId id, const std::vector<bool>& timed) {
  const Node& node = body[id];
  switch (node.op) {
#define UNARY(Kind, ...) case Op::k##Kind:
#define BINARY(Kind, ...) case Op::k##Kind:
#define TERNARY(Kind, ...) case Op::k##Kind:
#include "ir/ops.def"
    case Op::kConstant:
    case Op::kIota:
    case Op::kRandom:
    case Op::kReal:
    case Op::kExtent:
    case Op::kBroadcast:
    case Op::kReshape:
    case Op::kTranspose:
    case Op::kSlice:
    case Op::kConcat:
    case Op::kContract:
    case Op::kReduceSum:
    case Op::kReduceMax:
    case Op::kOneHot: return true;
    case Op::kGather: return !timed[node.args[0]];
    case Op::kScatterAdd:
    case Op::kScan:
    case Op::kScanResult: return !timed[id];
    case Op::kInput: return false;
  }
  std::unreachable();
}

Lifter::Lifter(Graph& target, const Graph& body, ir::Dim time, std::vector<bool> timed,
               std::function<NodeId(NodeId)> leaf)
    : target_(target),
      body_(body),
      time_(std::move(time)),
      timed_(std::move(timed)),
      leaf_(std::move(leaf)),
      lifted_(EmptyMap(body)) {}

Expr Lifter::Lift(NodeId inner) {
  if (lifted_[inner] == kAbsent) lifted_[inner] = leaf_(inner);
  if (lifted_[inner] == kAbsent) {
    if (timed_[inner]) {
      lifted_[inner] = LiftOperation(body_[inner]).id();
    } else {
      for (NodeId arg : body_[inner].args) Lift(arg);
      lifted_[inner] = CopyNode(body_, inner, lifted_, target_);
    }
    if (target_[lifted_[inner]].label.empty()) target_.SetLabel(lifted_[inner], body_[inner].label);
  }
  return target_.At(lifted_[inner]);
}

Expr Lifter::Sequence(NodeId inner) {
  Expr value = Lift(inner);
  if (timed_[inner]) return value;
  ir::Shape shape = WithTime(time_, value.shape());
  const Node& node = target_[value.id()];
  if (node.op == Op::kBroadcast) {
    std::vector<int> axes = Shifted(node.As<ir::AxesAttr>().axes);
    return BroadcastTo(target_.At(node.args[0]), shape, axes);
  }
  std::vector<int> axes(value.type().rank());
  std::iota(axes.begin(), axes.end(), 1);
  return BroadcastTo(value, shape, axes);
}

Expr Lifter::LiftOperation(const Node& node) {
  auto sequence = [&](size_t i) { return Sequence(node.args[i]); };
  auto sequences = [&] {
    std::vector<Expr> operands;
    for (size_t i = 0; i < node.args.size(); ++i) operands.push_back(sequence(i));
    return operands;
  };
  switch (node.op) {
#define UNARY(Kind, ...) case Op::k##Kind:
#define BINARY(Kind, ...) case Op::k##Kind:
#define TERNARY(Kind, ...) case Op::k##Kind:
#include "ir/ops.def"
    return Elementwise(node.op, sequences());
    case Op::kBroadcast:
      return BroadcastTo(sequence(0), WithTime(time_, node.type.shape),
                         ShiftedBehindTime(node.As<ir::AxesAttr>().axes));
    case Op::kReshape: return Reshape(sequence(0), WithTime(time_, node.type.shape));
    case Op::kTranspose: return Transpose(sequence(0), ShiftedBehindTime(node.As<ir::AxesAttr>().axes));
    case Op::kSlice: {
      const auto& [axis, start] = node.As<ir::SliceAttr>();
      return Slice(sequence(0), axis + 1, start, node.type.shape[axis].extent);
    }
    case Op::kConcat: return Concat(sequences(), node.As<ir::ConcatAttr>().axis + 1);
    case Op::kContract: {
      auto labels = node.As<ir::ContractAttr>();
      std::string time(1, FreshLabel(labels));
      if (timed_[node.args[0]]) labels.lhs = time + labels.lhs;
      if (timed_[node.args[1]]) labels.rhs = time + labels.rhs;
      labels.out = time + labels.out;
      Expr lhs = Lift(node.args[0]);
      return Contract(lhs, Lift(node.args[1]), std::move(labels));
    }
    case Op::kReduceSum: return ReduceSum(sequence(0), Shifted(node.As<ir::AxesAttr>().axes));
    case Op::kReduceMax: return ReduceMax(sequence(0));
    case Op::kGather: {
      Expr table = Lift(node.args[0]);
      return Gather(table, sequence(1));
    }
    case Op::kOneHot: return OneHot(sequence(0), node.type.shape.back().extent);
    case Op::kReal: return Real(sequence(0));
    case Op::kRandom: {
      std::vector<Expr> counters = sequences();
      return Random(counters[0], counters[1], counters[2], counters[3], counters[4]);
    }
    case Op::kInput:
    case Op::kConstant:
    case Op::kIota:
    case Op::kExtent:
    case Op::kScatterAdd:
    case Op::kScan:
    case Op::kScanResult: break;
  }
  StopOnInternalError("an operation without a lifted form is lifted");
}

}  // namespace recurve

// compiler/passes/defer_sums.cpp: sums over time, taken after the scan.
//
// A reverse scan that differentiates a cell adds dz_t x_t^T to the gradient of W at every step: a carry that is only
// ever added to. Nothing reads it before the last step, so dz is stacked instead, and the sum over steps of products
// over the batch becomes one contraction over time and batch:
//
//   dW' = dW + contract dz, x "bo,bi->oi"   becomes   dW = init + contract dzs, xs "tbo,tbi->oi"
//
// The sum over time moves through everything that is linear (additions, movement, products with what does not change)
// down to contractions, scatters and reductions, which sum over one axis more.

#include <algorithm>
#include <utility>

#include "compiler/graph_util.h"
#include "compiler/passes.h"
#include "compiler/passes/after_scan.h"

namespace recurve {

using ir::Expr;
using ir::Graph;
using ir::Node;
using ir::NodeId;
using ir::Op;

namespace {

// A value of the body that is added to the carry, or subtracted from it.
struct Term {
  NodeId inner;
  bool negative;
};

// The terms of next = carry + terms; empty when the carry is read elsewhere, or does anything else.
std::vector<Term> TermsOf(const ScanDraft& draft, const ScanDraft::Carry& carry, const std::vector<int>& uses) {
  const Graph& body = *draft.body;
  NodeId input[] = {carry.input};
  std::vector<bool> reads_carry = DependsOn(body, input);
  std::vector<Term> terms;
  for (NodeId sum = carry.next;;) {
    if (!reads_carry[sum] || uses[sum] != 1) return {};
    if (sum == carry.input) return terms;
    const Node& node = body[sum];
    if (node.op == Op::kAdd && reads_carry[node.args[1]] && !reads_carry[node.args[0]]) {
      terms.push_back({node.args[0], false});
      sum = node.args[1];
    } else if ((node.op == Op::kAdd || node.op == Op::kSub) && !reads_carry[node.args[1]]) {
      terms.push_back({node.args[1], node.op == Op::kSub});
      sum = node.args[0];
    } else {
      return {};
    }
  }
}

// Sums over time of body values, built behind the scan.
class TimeSum {
 public:
  explicit TimeSum(AfterScan& after) : after_(after) {}

  // Sum over the steps of the value of `inner`; of its type.
  Expr Of(NodeId inner) {
    const Node& node = after_.body()[inner];
    if (!after_.timed(inner)) return after_.Lift(inner) * Steps(node.type.shape);
    switch (node.op) {
#define UNARY(Kind, ...) case Op::k##Kind:
#define BINARY(Kind, ...) case Op::k##Kind:
#define TERNARY(Kind, ...) case Op::k##Kind:
#include "ir/ops.def"
      return OfElementwise(inner);
      case Op::kReshape: return Reshape(Of(node.args[0]), node.type.shape);
      case Op::kTranspose: return Transpose(Of(node.args[0]), node.As<ir::AxesAttr>().axes);
      case Op::kBroadcast: return BroadcastTo(Of(node.args[0]), node.type.shape, node.As<ir::AxesAttr>().axes);
      case Op::kContract: return OfContraction(node);
      case Op::kReduceSum: {
        std::vector<int> axes = {0};
        for (int axis : node.As<ir::AxesAttr>().axes) axes.push_back(axis + 1);
        return ReduceSum(after_.Lift(node.args[0]), axes);
      }
      case Op::kScatterAdd: {
        Expr index = after_.Sequence(node.args[0]);
        return ScatterAdd(index, after_.Sequence(node.args[1]), node.type.shape[0].extent);
      }
      case Op::kInput:
      case Op::kConstant:
      case Op::kIota:
      case Op::kRandom:
      case Op::kReal:
      case Op::kExtent:
      case Op::kSlice:
      case Op::kConcat:
      case Op::kReduceMax:
      case Op::kGather:
      case Op::kOneHot:
      case Op::kScan:
      case Op::kScanResult: return OverFirstAxis(inner);
    }
    std::unreachable();
  }

 private:
  Expr OverFirstAxis(NodeId inner) { return ReduceSum(after_.Lift(inner), {0}); }

  Expr OfElementwise(NodeId inner) {
    const Node& node = after_.body()[inner];
    auto timed = [&](size_t i) { return after_.timed(node.args[i]); };
    auto lift = [&](size_t i) { return after_.Lift(node.args[i]); };
    auto sum = [&](size_t i) { return Of(node.args[i]); };
    if (node.op == Op::kNeg) return -sum(0);
    if (node.op == Op::kAdd || node.op == Op::kSub) {
      Expr first = sum(0);
      return node.op == Op::kAdd ? first + sum(1) : first - sum(1);
    }
    if (node.op == Op::kMul && !timed(0)) return sum(1) * lift(0);
    if (node.op == Op::kMul && !timed(1)) return sum(0) * lift(1);
    if (node.op == Op::kDiv && !timed(1)) return sum(0) / lift(1);
    return OverFirstAxis(inner);
  }

  // Over both operands' steps at once; an operand that does not change is multiplied by the sum of the other.
  Expr OfContraction(const Node& node) {
    auto labels = node.As<ir::ContractAttr>();
    bool both_timed = after_.timed(node.args[0]) && after_.timed(node.args[1]);
    if (both_timed) {
      std::string time(1, FreshLabel(labels));
      labels.lhs = time + labels.lhs;
      labels.rhs = time + labels.rhs;
    }
    auto operand = [&](NodeId arg) { return after_.timed(arg) && !both_timed ? Of(arg) : after_.Lift(arg); };
    Expr lhs = operand(node.args[0]);
    return Contract(lhs, operand(node.args[1]), std::move(labels));
  }

  // The number of steps, repeated over a shape.
  Expr Steps(const ir::Shape& shape) {
    Expr count = after_.time().is_constant() ? Constant(after_.graph(), {}, static_cast<double>(after_.time().extent))
                                             : Extent(after_.graph(), after_.time());
    return shape.empty() ? count : BroadcastTo(count, shape, {});
  }

  AfterScan& after_;
};

// init + terms, without the init; the builder's operators keep the order of the terms.
Expr SumOfTerms(AfterScan& after, const std::vector<Term>& terms) {
  TimeSum sum(after);
  Expr total;
  for (const Term& term : terms) {
    Expr value = sum.Of(term.inner);
    if (!total) {
      total = term.negative ? -value : value;
    } else {
      total = term.negative ? total - value : total + value;
    }
  }
  return total;
}

bool IsZero(const Node& node) { return node.op == Op::kConstant && node.As<ir::ConstantAttr>().value == 0; }

std::vector<NodeId> DeferSumsOfScan(Graph& to, const Node& scan, const std::vector<bool>& wanted) {
  const ScanDraft before(scan);
  std::vector<int> uses = UseCounts(*before.body);
  std::vector<NodeId> stacked;
  for (size_t i = 0; i < before.stacked.size(); ++i) {
    if (wanted[before.carries.size() + i]) stacked.push_back(before.stacked[i].inner);
  }
  const std::vector<bool> nothing_moved(before.body->size());

  // The terms of each carry that is deferred; none for the others.
  std::vector<std::vector<Term>> deferred;
  ScanDraft draft = before;
  draft.carries.clear();
  AfterScan trial(before, nothing_moved, stacked);
  for (const auto& carry : before.carries) {
    std::vector<Term> terms = TermsOf(before, carry, uses);
    if (!terms.empty()) {
      AfterScan alone(before, nothing_moved, stacked);
      SumOfTerms(alone, terms);
      if (!IsWorthStacking(before, alone.newly_stacked(), carry.next)) terms.clear();
    }
    if (terms.empty()) {
      draft.carries.push_back(carry);
    } else {
      SumOfTerms(trial, terms);
    }
    deferred.push_back(std::move(terms));
  }

  std::vector<NodeId> added = WithoutRedundant(before, stacked, trial.newly_stacked());
  stacked.insert(stacked.end(), added.begin(), added.end());
  for (NodeId inner : added) draft.stacked.push_back({inner, draft.NameOf(inner)});
  AfterScan after(before, nothing_moved, stacked);
  std::vector<NodeId> roots;
  for (const auto& terms : deferred) {
    if (!terms.empty()) roots.push_back(SumOfTerms(after, terms).id());
  }

  std::vector<NodeId> built = draft.Build(to);
  auto first_stacked = built.begin() + static_cast<int>(draft.carries.size());
  auto result = [&](NodeId inner) {
    auto found = std::ranges::find(draft.stacked, inner, &ScanDraft::Stacked::inner);
    return first_stacked[found - draft.stacked.begin()];
  };
  std::vector<NodeId> spliced = after.Splice(to, roots, result);
  std::vector<NodeId> results;
  auto next_spliced = spliced.begin();
  auto next_carry = built.begin();
  for (size_t i = 0; i < deferred.size(); ++i) {
    if (deferred[i].empty()) {
      results.push_back(*next_carry++);
    } else {
      Expr init = to.At(before.carries[i].init), sum = to.At(*next_spliced++);
      results.push_back(IsZero(to[init.id()]) ? sum.id() : (init + sum).id());
    }
  }
  results.insert(results.end(), first_stacked, first_stacked + static_cast<int>(before.stacked.size()));
  return results;
}

}  // namespace

Graph DeferSums(const Graph& graph) { return RewriteScans(graph, DeferSumsOfScan); }

}  // namespace recurve

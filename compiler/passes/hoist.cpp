// compiler/passes/hoist.cpp: before a scan, what does not depend on its carry.
//
// A product with the input of a step, W @ x_t, is small: one row a batch example. The same product for all steps is
// one large contraction, and the loop keeps only what the recurrence forces to be sequential.
//
// What moves:
//   invariant   every value that depends on invariants alone, once for all steps. Broadcasts, transposes and constants
//               stay in the body: they cost nothing there, and outside they would be stored.
//   timed       contractions, reductions, gathers and one-hot rows of values that do not depend on the carry, lifted
//               over time with the operations that feed them. A costly elementwise value that feeds one and is read by
//               the body as well moves too; a cheap one is computed twice.
//   followers   an operation on a moved value whose only reader it is, if it stores no more: a bias addition moves, the
//               four slices of a gate vector stay. In a sum of several terms those that do not depend on the carry are
//               added first, so that they move together: (x W + h U) + b is (x W + b) + h U.
//   the rest    elementwise work on inputs stays where it is: moving it would save nothing. A scan without a carry is
//               no recurrence, so everything in it moves.
//
// A stacked result that is an element, an invariant or a moved value is that value itself.

#include <algorithm>
#include <memory>
#include <span>
#include <vector>

#include "compiler/graph_util.h"
#include "compiler/passes.h"
#include "compiler/passes/lifter.h"
#include "compiler/passes/scan_draft.h"

namespace recurve {

using ir::Graph;
using ir::Node;
using ir::NodeId;
using ir::Op;

namespace {

bool IsWorthHoisting(Op op) {
  return op == Op::kContract || op == Op::kReduceSum || op == Op::kReduceMax || op == Op::kGather || op == Op::kOneHot;
}

// Broadcast and transposed invariants are read in place by whoever uses them.
bool IsFreeInBody(Op op) { return IsLeaf(op) || op == Op::kInput || op == Op::kBroadcast || op == Op::kTranspose; }

// Whether a value of shape `a` has at least as many elements as one of shape `b` whatever the symbolic sizes are.
bool IsAsLarge(const ir::Shape& a, const ir::Shape& b) {
  int64_t constant_a = 1, constant_b = 1;
  std::vector<std::string> axes_a, axes_b;
  auto count = [](const ir::Shape& shape, int64_t& constant, std::vector<std::string>& axes) {
    for (const ir::Dim& dim : shape) {
      if (dim.is_constant()) {
        constant *= dim.extent;
      } else {
        axes.push_back(dim.axis);
      }
    }
    std::ranges::sort(axes);
  };
  count(a, constant_a, axes_a);
  count(b, constant_b, axes_b);
  return constant_a >= constant_b && std::ranges::includes(axes_a, axes_b);
}

// Decides which values of a body are computed before the scan.
class HoistAnalysis {
 public:
  explicit HoistAnalysis(const ScanDraft& draft)
      : draft_(draft), body_(*draft.body), timed_(draft.Timed()), uses_(UseCounts(body_)), hoisted_(body_.size()) {
    std::vector<bool> sequential = DependsOn(body_, draft.CarryInputs());
    movable_.resize(body_.size());
    for (NodeId id = 0; id < body_.size(); ++id) {
      movable_[id] = !sequential[id] && (body_[id].op == Op::kInput || IsLiftable(body_, id, timed_));
      for (NodeId arg : body_[id].args) movable_[id] = movable_[id] && movable_[arg];
      hoisted_[id] = movable_[id] && (IsRoot(id) || IsFollower(id));
    }
    AddCostlyFeeders();
  }

  // Whether the body reads the value as an operand of the scan from now on.
  bool hoisted(NodeId id) const { return hoisted_[id]; }
  // Whether the value can be had outside without computing anything there.
  bool available(NodeId id) const { return hoisted_[id] || (movable_[id] && !timed_[id]) || draft_.FindElement(id); }
  const std::vector<bool>& timed() const { return timed_; }

 private:
  bool IsRoot(NodeId id) const {
    Op op = body_[id].op;
    if (op == Op::kInput) return false;
    // Of a scan the results move; the scan goes with them.
    if (!timed_[id]) return !IsFreeInBody(op) && op != Op::kScan;
    return IsWorthHoisting(op) || draft_.carries.empty();
  }

  bool IsFollower(NodeId id) const {
    bool shrinks = false;
    for (NodeId arg : body_[id].args) {
      bool only_reader = uses_[arg] == 1;
      if (timed_[arg] && !hoisted_[arg] && body_[arg].op != Op::kInput && !only_reader) return false;
      shrinks = shrinks || (timed_[arg] && hoisted_[arg] && only_reader &&
                            IsAsLarge(body_.type(arg).shape, body_.type(id).shape));
    }
    return shrinks;
  }

  // Elementwise values that both sides would compute.
  void AddCostlyFeeders() {
    std::vector<bool> outside(body_.size()), inside(body_.size());
    for (const ir::Output& output : body_.outputs()) inside[output.node] = true;
    for (NodeId id = body_.size() - 1; id >= 0; --id) {
      outside[id] = outside[id] || hoisted_[id];
      if (inside[id] && outside[id] && ElementwiseArity(body_[id].op) != 0 && CostOf(body_[id].op) == ir::Cost::kCostly)
        hoisted_[id] = true;
      for (NodeId arg : body_[id].args) {
        if (outside[id]) outside[arg] = true;
        if (inside[id] && !hoisted_[id]) inside[arg] = true;
      }
    }
  }

  const ScanDraft& draft_;
  const Graph& body_;
  std::vector<bool> timed_;
  std::vector<int> uses_;
  std::vector<bool> movable_, hoisted_;
};

// The terms of a tree of additions, from left to right; additions that something else reads, or that could move as they
// are, stay whole.
void CollectTerms(const Graph& body, NodeId sum, const std::vector<bool>& is_inner, std::vector<NodeId>& terms) {
  for (NodeId arg : body[sum].args) {
    if (is_inner[arg]) {
      CollectTerms(body, arg, is_inner, terms);
    } else {
      terms.push_back(arg);
    }
  }
}

// The body with the terms of its sums in the order of the file's comment.
Graph RegroupSums(const ScanDraft& draft) {
  const Graph& body = *draft.body;
  HoistAnalysis analysis(draft);
  std::vector<bool> sequential = DependsOn(body, draft.CarryInputs());
  std::vector<int> uses = UseCounts(body);
  // Additions of which only another addition is made, with the carry in both.
  std::vector<bool> is_inner(body.size());
  for (NodeId id = 0; id < body.size(); ++id) {
    if (body[id].op != Op::kAdd) continue;
    for (NodeId arg : body[id].args) is_inner[arg] = body[arg].op == Op::kAdd && sequential[arg] && uses[arg] == 1;
  }

  Graph to;
  to.name = body.name;
  NodeMap map = EmptyMap(body);
  for (NodeId id = 0; id < body.size(); ++id) {
    map[id] = CopyNode(body, id, map, to);
    if (body[id].op != Op::kAdd || !sequential[id] || is_inner[id]) continue;
    std::vector<NodeId> terms, first, last;
    CollectTerms(body, id, is_inner, terms);
    for (NodeId term : terms) (sequential[term] ? last : first).push_back(term);
    auto moves = [&](NodeId term) { return analysis.timed()[term] && analysis.hoisted(term); };
    if (first.size() < 2 || std::ranges::none_of(first, moves)) continue;
    ir::Expr sum = to.At(map[first[0]]);
    for (NodeId term : std::span(first).subspan(1)) sum = sum + to.At(map[term]);
    for (NodeId term : last) sum = sum + to.At(map[term]);
    to.SetLabel(sum.id(), body[id].label);
    map[id] = sum.id();
  }
  CopyOutputs(body, map, to);
  return DropDeadNodes(to);
}

std::vector<NodeId> HoistFromScan(Graph& to, const Node& scan, const std::vector<bool>&) {
  Node regrouped = scan;
  std::get<ir::ScanAttr>(regrouped.attr).body = std::make_shared<const Graph>(RegroupSums(ScanDraft(scan)));
  const ScanDraft before(regrouped);
  ScanDraft draft = before;
  HoistAnalysis analysis(before);
  Lifter lifter(to, *before.body, before.time, analysis.timed(), [&](NodeId inner) {
    if (const auto* element = before.FindElement(inner)) return element->outer;
    if (const auto* invariant = before.FindInvariant(inner)) return invariant->outer;
    return kAbsent;
  });

  // The values that the body still reads become operands; Build leaves the others out.
  std::vector<bool> read(before.body->size());
  for (const auto& carry : before.carries) read[carry.next] = true;
  draft.stacked.clear();
  for (const auto& value : before.stacked) {
    if (analysis.available(value.inner)) continue;
    draft.stacked.push_back(value);
    read[value.inner] = true;
  }
  for (NodeId id = before.body->size() - 1; id >= 0; --id) {
    if (!read[id] || analysis.hoisted(id)) continue;
    for (NodeId arg : (*before.body)[id].args) read[arg] = true;
  }
  for (NodeId id = 0; id < before.body->size(); ++id) {
    if (!read[id] || !analysis.hoisted(id)) continue;
    auto& operands = lifter.timed(id) ? draft.elements : draft.invariants;
    operands.push_back({lifter.Lift(id).id(), id});
  }

  std::vector<NodeId> sequences;
  for (const auto& value : before.stacked) {
    sequences.push_back(analysis.available(value.inner) ? lifter.Sequence(value.inner).id() : kAbsent);
  }
  std::vector<NodeId> results = draft.Build(to);
  auto kept = results.begin() + static_cast<int>(draft.carries.size());
  std::vector<NodeId> all(results.begin(), kept);
  for (NodeId sequence : sequences) all.push_back(sequence == kAbsent ? *kept++ : sequence);
  return all;
}

}  // namespace

Graph Hoist(const Graph& graph) { return RewriteScans(graph, HoistFromScan); }

}  // namespace recurve

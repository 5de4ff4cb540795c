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
//   followers   an operation on a moved value whose only reader it is, if it stores no more: a nonlinearity moves, the
//               four slices of a gate vector stay. What only adds an invariant to a product or multiplies it by one,
//               such as a bias, stays too, where the scan makes products itself and goes on from there: its lane
//               programs have room for it, and a product alone goes straight from its tiles to memory. A longer chain
//               of operations, such as a normalization, moves if that leaves the scan less to read. In a sum of several
//               terms those that do not depend on the carry are added first, so that they move together: (x W + h U) +
//               b is (x W + b) + h U.
//   the rest    elementwise work on inputs stays where it is: moving it would save nothing. A scan without a carry is
//               no recurrence, so everything in it moves.
//
// A stacked result that is an element, an invariant or a moved value is that value itself.

#include <algorithm>
#include <map>
#include <memory>
#include <span>
#include <string>
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

// How many elements values have together: a count for each product of symbolic axes.
using Elements = std::map<std::vector<std::string>, int64_t>;

void AddElements(const ir::Shape& shape, Elements& elements) {
  int64_t constant = 1;
  std::vector<std::string> axes;
  for (const ir::Dim& dim : shape) {
    if (dim.is_constant()) {
      constant *= dim.extent;
    } else {
      axes.push_back(dim.axis);
    }
  }
  std::ranges::sort(axes);
  elements[axes] += constant;
}

// Whether `a` is no more than `b` whatever the symbolic sizes are.
bool IsAtMost(const Elements& a, const Elements& b) {
  return std::ranges::all_of(a, [&](const auto& entry) {
    auto found = b.find(entry.first);
    return found != b.end() && entry.second <= found->second;
  });
}

// Decides which values of a body are computed before the scan.
class HoistAnalysis {
 public:
  explicit HoistAnalysis(const ScanDraft& draft)
      : draft_(draft),
        body_(*draft.body),
        timed_(draft.Timed()),
        uses_(UseCounts(body_)),
        movable_(body_.size()),
        hoisted_(body_.size()) {
    std::vector<bool> sequential = DependsOn(body_, draft.CarryInputs());
    std::vector<bool> all(body_.size());
    is_continued_.resize(body_.size());
    for (NodeId id = body_.size() - 1; id >= 0; --id) {
      if (!sequential[id] && !(is_continued_[id] && IsDataMovement(body_[id].op))) continue;
      has_products_ |= body_[id].op == Op::kContract;
      for (NodeId arg : body_[id].args) is_continued_[arg] = true;
    }
    for (NodeId id = 0; id < body_.size(); ++id) {
      const std::vector<NodeId>& args = body_[id].args;
      auto is_in = [&](const std::vector<bool>& set) { return [&](NodeId arg) { return set[arg]; }; };
      movable_[id] = !sequential[id] && (body_[id].op == Op::kInput || IsLiftable(body_, id, timed_)) &&
                     std::ranges::all_of(args, is_in(movable_));
      if (!movable_[id]) continue;
      hoisted_[id] = IsRoot(id) || IsFollower(id);
      all[id] =
          IsRoot(id) || (timed_[id] && std::ranges::any_of(args, [&](NodeId arg) { return timed_[arg] && all[arg]; }));
    }
    // The whole chain moves if the scan then reads less.
    Elements with_followers = ElementsRead(hoisted_), with_all = ElementsRead(all);
    if (IsAtMost(with_all, with_followers) && with_all != with_followers) hoisted_ = all;
    AddCostlyFeeders();
  }

  // Whether the body reads the value as an operand of the scan from now on, if at all.
  bool hoisted(NodeId id) const { return hoisted_[id]; }
  // Whether the value can be had outside without computing anything there.
  bool available(NodeId id) const { return IsAvailable(id, hoisted_); }
  bool timed(NodeId id) const { return timed_[id]; }

  // Which body nodes the scan needs, not looking behind those that moved.
  std::vector<bool> Read() const { return Read(hoisted_); }

 private:
  bool IsRoot(NodeId id) const {
    Op op = body_[id].op;
    if (op == Op::kInput) return false;
    // Of a nested scan the results move; the scan goes with them.
    if (!timed_[id]) return !IsFreeInBody(op) && op != Op::kScan;
    return IsWorthHoisting(op) || draft_.carries.empty();
  }

  // A cheap operation on a product and an invariant, with which the scan goes on.
  bool IsEpilogueOfProduct(NodeId id) const {
    const Node& node = body_[id];
    if (!has_products_ || !is_continued_[id] || ir::ElementwiseArity(node.op) != 2 ||
        CostOf(node.op) != ir::Cost::kCheap)
      return false;
    const NodeId a = node.args[0], b = node.args[1];
    return timed_[a] != timed_[b] && body_[timed_[a] ? a : b].op == Op::kContract;
  }

  bool IsFollower(NodeId id) const {
    if (IsEpilogueOfProduct(id)) return false;
    bool replaces = false;
    for (NodeId arg : body_[id].args) {
      bool only_reader = uses_[arg] == 1;
      if (timed_[arg] && !hoisted_[arg] && body_[arg].op != Op::kInput && !only_reader) return false;
      if (!timed_[arg] || !hoisted_[arg] || !only_reader) continue;
      Elements own, replaced;
      AddElements(body_.type(id).shape, own);
      AddElements(body_.type(arg).shape, replaced);
      replaces = replaces || IsAtMost(own, replaced);
    }
    return replaces;
  }

  bool IsAvailable(NodeId id, const std::vector<bool>& hoisted) const {
    return hoisted[id] || (movable_[id] && !timed_[id]) || draft_.FindElement(id) != nullptr;
  }

  std::vector<bool> Read(const std::vector<bool>& hoisted) const {
    std::vector<bool> read(body_.size());
    for (const auto& carry : draft_.carries) read[carry.next] = true;
    for (const auto& value : draft_.stacked) {
      if (!IsAvailable(value.inner, hoisted)) read[value.inner] = true;
    }
    for (NodeId id = body_.size() - 1; id >= 0; --id) {
      if (!read[id] || hoisted[id]) continue;
      for (NodeId arg : body_[id].args) read[arg] = true;
    }
    return read;
  }

  Elements ElementsRead(const std::vector<bool>& hoisted) const {
    Elements elements;
    std::vector<bool> read = Read(hoisted);
    for (NodeId id = 0; id < body_.size(); ++id) {
      if (read[id] && hoisted[id] && timed_[id]) AddElements(body_.type(id).shape, elements);
    }
    return elements;
  }

  // Costly elementwise values that both sides would compute move for good.
  void AddCostlyFeeders() {
    std::vector<bool> inside = Read(), outside(body_.size());
    for (NodeId id = body_.size() - 1; id >= 0; --id) {
      outside[id] = outside[id] || hoisted_[id];
      if (!outside[id]) continue;
      if (inside[id] && ir::IsElementwise(body_[id].op) && CostOf(body_[id].op) == ir::Cost::kCostly)
        hoisted_[id] = true;
      for (NodeId arg : body_[id].args) outside[arg] = true;
    }
  }

  const ScanDraft& draft_;
  const Graph& body_;
  std::vector<bool> timed_;
  std::vector<int> uses_;
  bool has_products_ = false;       // of what depends on the carry
  std::vector<bool> is_continued_;  // read by what depends on the carry, perhaps in parts
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
    auto moves = [&](NodeId term) { return analysis.timed(term) && analysis.hoisted(term); };
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
  Lifter lifter(to, *before.body, before.time, before.Timed(), [&](NodeId inner) {
    if (const auto* element = before.FindElement(inner)) return element->outer;
    if (const auto* invariant = before.FindInvariant(inner)) return invariant->outer;
    return kAbsent;
  });

  std::vector<bool> read = analysis.Read();
  for (NodeId id = 0; id < before.body->size(); ++id) {
    if (!read[id] || !analysis.hoisted(id)) continue;
    (analysis.timed(id) ? draft.elements : draft.invariants).push_back({lifter.Lift(id).id(), id});
  }
  std::erase_if(draft.stacked, [&](const auto& value) { return analysis.available(value.inner); });

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

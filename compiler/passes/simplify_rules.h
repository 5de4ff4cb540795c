// compiler/passes/simplify_rules.h: the rules of Simplify, by kind of operation.
//
// A rule looks at one node and at the nodes that made its operands, and returns an equal value that costs less, or an
// empty Expr. It builds with the ordinary builder; what it builds is simplified in the next round.
//
// A constant zero is structural: it is the adjoint of a value that no gradient reaches, and so 0 * x and 0 / x are 0
// even where x is infinite or not a number. No other rule changes a value by more than the order of a sum.

#ifndef RECURVE_COMPILER_PASSES_SIMPLIFY_RULES_H_
#define RECURVE_COMPILER_PASSES_SIMPLIFY_RULES_H_

#include <optional>
#include <span>
#include <vector>

#include "ir/builder.h"
#include "ir/graph.h"

namespace recurve {

// A node whose operands stand in `graph` already, but not itself.
struct Site {
  ir::Graph& graph;
  const ir::Node& node;
  std::vector<bool> sole_reader;         // for each operand whether no other node reads it
  std::vector<const ir::Node*> readers;  // of the node's result
  bool is_output = false;                // whether an output of the graph reads it, too

  ir::Expr arg(size_t i) const { return graph.At(node.args[i]); }
  const ir::Node& maker(size_t i) const { return graph[node.args[i]]; }
};

// The axes of a broadcast, a transpose or a reduction.
inline const std::vector<int>& AxesOf(const ir::Node& node) { return node.As<ir::AxesAttr>().axes; }
// The number that a constant repeats, if the value is one.
std::optional<double> SplatOf(const ir::Graph& graph, ir::NodeId id);
// The same with several operands: the number that all of them repeat.
std::optional<double> CommonSplatOf(const ir::Graph& graph, std::span<const ir::NodeId> ids);
// `a` repeated to `shape`, or itself when it has that shape.
ir::Expr BroadcastIfNeeded(ir::Expr a, const ir::Shape& shape, std::vector<int> axes);

// simplify_elementwise.cpp
ir::Expr SimplifyElementwise(const Site& site);

// simplify_movement.cpp
ir::Expr SimplifyBroadcast(const Site& site);
ir::Expr SimplifyReshape(const Site& site);
ir::Expr SimplifyTranspose(const Site& site);
ir::Expr SimplifySlice(const Site& site);
ir::Expr SimplifyConcat(const Site& site);

// simplify_reduction.cpp
ir::Expr SimplifyContract(const Site& site);
ir::Expr SimplifyReduceSum(const Site& site);
ir::Expr SimplifyReduceMax(const Site& site);
ir::Expr SimplifyGather(const Site& site);
ir::Expr SimplifyScatterAdd(const Site& site);

}  // namespace recurve

#endif  // RECURVE_COMPILER_PASSES_SIMPLIFY_RULES_H_

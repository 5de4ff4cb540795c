// compiler/graph_util.h: what every stage that maps a graph to a graph needs: copying nodes, inlining, dependence.
//
// Stages do not edit a graph, they build a new one while a NodeMap remembers what stands for each old node:
//
//   NodeMap map = EmptyMap(from);
//   for (ir::NodeId id = 0; id < from.size(); ++id) map[id] = CopyNode(from, id, map, to);
//   CopyOutputs(from, map, to);

#ifndef RECURVE_COMPILER_GRAPH_UTIL_H_
#define RECURVE_COMPILER_GRAPH_UTIL_H_

#include <set>
#include <span>
#include <string>
#include <vector>

#include "ir/builder.h"
#include "ir/graph.h"

namespace recurve {

// For each node of one graph its stand-in in another, kAbsent where there is none yet.
using NodeMap = std::vector<ir::NodeId>;
inline constexpr ir::NodeId kAbsent = -1;

NodeMap EmptyMap(const ir::Graph& from);

// Appends a copy of one node; its operands are translated by `map` and must be present. Does not write `map`.
ir::NodeId CopyNode(const ir::Graph& from, ir::NodeId id, const NodeMap& map, ir::Graph& to);

// Copies every node that is absent in `map`, front to back. With the inputs present it inlines a body.
void CopyAbsent(const ir::Graph& from, NodeMap& map, ir::Graph& to);

// Copies what `roots` need and `map` lacks; a node that is present is not looked behind.
void CopyNeeded(const ir::Graph& from, std::span<const ir::NodeId> roots, NodeMap& map, ir::Graph& to);

// Appends the outputs of `from` under their names.
void CopyOutputs(const ir::Graph& from, const NodeMap& map, ir::Graph& to);

// Appends an input of any type; `classes` is read where the element is kIndex.
ir::Expr AddInputOfType(ir::Graph& graph, std::string name, ir::Role role, const ir::Type& type, int64_t classes = 0);

// The number of classes of an index value, which is an input seen through data movement; 0 for a real value.
int64_t ClassesOf(const ir::Graph& graph, ir::NodeId id);

// Nodes of the outputs, in order.
std::vector<ir::NodeId> OutputNodes(const ir::Graph& graph);

// For each node whether it is one of `roots` or needs one of them.
std::vector<bool> DependsOn(const ir::Graph& graph, std::span<const ir::NodeId> roots);

// For each node whether it is one of `roots` or is needed by one of them. What stands in `stops` is not looked behind.
std::vector<bool> NeededBy(const ir::Graph& graph, std::span<const ir::NodeId> roots,
                           const std::vector<bool>& stops = {});

// How often each node is an operand or an output.
std::vector<int> UseCounts(const ir::Graph& graph);

// For each node that is a scan its `result` nodes in order of appearance; empty for all others.
std::vector<std::vector<ir::NodeId>> ResultsOfScans(const ir::Graph& graph);

// The name of the state that a carry of a scan is, known by the output NAMET that holds its last value; empty without
// one.
std::string StateOfCarry(const ir::Graph& graph, ir::NodeId scan, int carry);

// An operation without operands that is made anywhere for nothing: constant, iota, extent.
bool IsLeaf(ir::Op op);

// An operation that moves elements and computes none: broadcast, reshape, transpose, slice, concat.
bool IsDataMovement(ir::Op op);

// Hands out each name once: the name itself, or with the first number from 2 on that makes it new.
class UniqueNames {
 public:
  std::string operator()(const std::string& name);

 private:
  std::set<std::string> taken_;
};

}  // namespace recurve

#endif  // RECURVE_COMPILER_GRAPH_UTIL_H_

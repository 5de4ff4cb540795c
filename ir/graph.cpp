// ir/graph.cpp: graphs, and the names of operations from the table.

#include "ir/graph.h"

#include <algorithm>

#include "ir/builder.h"

namespace recurve::ir {
namespace {

struct OpRow {
  std::string_view name;
  int arity;
  Cost cost;
};

constexpr Cost kCheap = Cost::kCheap;
constexpr Cost kCostly = Cost::kCostly;

constexpr OpRow kOpRows[] = {
#define UNARY(Kind, text, cost, ...) {text, 1, cost},
#define BINARY(Kind, text, cost, ...) {text, 2, cost},
#define TERNARY(Kind, text, cost, ...) {text, 3, cost},
#define STRUCTURAL(Kind, text) {text, 0, kCostly},
#include "ir/ops.def"
};

const OpRow& RowOf(Op op) { return kOpRows[static_cast<int>(op)]; }

void CollectAxes(const Shape& shape, std::vector<std::string>& axes) {
  for (const Dim& dim : shape) {
    if (!dim.is_constant() && std::ranges::find(axes, dim.axis) == axes.end()) axes.push_back(dim.axis);
  }
}

void CollectAxes(const Graph& graph, std::vector<std::string>& axes) {
  for (NodeId id = 0; id < graph.size(); ++id) {
    CollectAxes(graph.type(id).shape, axes);
    if (graph[id].op == Op::kExtent) CollectAxes(Shape{graph[id].As<ExtentAttr>().dim}, axes);
    if (graph[id].op != Op::kScan) continue;
    CollectAxes(Shape{graph[id].As<ScanAttr>().time}, axes);
    CollectAxes(*graph[id].As<ScanAttr>().body, axes);
  }
}

}  // namespace

std::string_view Name(Op op) { return RowOf(op).name; }
int ElementwiseArity(Op op) { return RowOf(op).arity; }
Cost CostOf(Op op) { return RowOf(op).cost; }

Attr EmptyAttr(Op op) {
  switch (op) {
#define UNARY(Kind, ...) case Op::k##Kind:
#define BINARY(Kind, ...) case Op::k##Kind:
#define TERNARY(Kind, ...) case Op::k##Kind:
#include "ir/ops.def"
    case Op::kIota:
    case Op::kReshape:
    case Op::kReduceMax:
    case Op::kGather:
    case Op::kScatterAdd:
    case Op::kOneHot:
    case Op::kReal:
    case Op::kRandom: return std::monostate();
    case Op::kInput: return InputAttr();
    case Op::kConstant: return ConstantAttr();
    case Op::kExtent: return ExtentAttr();
    case Op::kBroadcast:
    case Op::kTranspose:
    case Op::kReduceSum: return AxesAttr();
    case Op::kSlice: return SliceAttr();
    case Op::kConcat: return ConcatAttr();
    case Op::kContract: return ContractAttr();
    case Op::kScan: return ScanAttr();
    case Op::kScanResult: return ResultAttr();
  }
  return std::monostate();
}

NodeId Graph::Add(Node node) {
  nodes_.push_back(std::move(node));
  NodeId id = size() - 1;
  if (nodes_.back().op == Op::kInput) inputs_.push_back(id);
  return id;
}

Expr Graph::AddInput(std::string name, Role role, Shape shape, Init init) {
  Node node{.op = Op::kInput,
            .type = {Element::kReal, std::move(shape)},
            .attr = InputAttr{.name = name, .role = role, .init = init},
            .label = std::move(name)};
  return At(Add(std::move(node)));
}

Expr Graph::AddIndexInput(std::string name, Role role, Shape shape, int64_t classes) {
  Node node{.op = Op::kInput,
            .type = {Element::kIndex, std::move(shape)},
            .attr = InputAttr{.name = name, .role = role, .classes = classes},
            .label = std::move(name)};
  return At(Add(std::move(node)));
}

void Graph::AddOutput(std::string name, Expr value) { AddOutput(std::move(name), value.id()); }

NodeId Graph::FindInput(std::string_view name) const {
  auto found = std::ranges::find_if(inputs_, [&](NodeId id) { return nodes_[id].As<InputAttr>().name == name; });
  return found == inputs_.end() ? -1 : *found;
}

NodeId Graph::FindOutput(std::string_view name) const {
  auto found = std::ranges::find(outputs_, name, &Output::name);
  return found == outputs_.end() ? -1 : found->node;
}

Expr Graph::At(NodeId id) { return Expr(this, id); }

std::vector<std::string> SymbolicAxes(const Graph& graph) {
  std::vector<std::string> axes;
  CollectAxes(graph, axes);
  if (std::erase(axes, "B") != 0) axes.push_back("B");
  return axes;
}

}  // namespace recurve::ir

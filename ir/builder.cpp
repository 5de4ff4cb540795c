// ir/builder.cpp: graphs from arithmetic: a function fills a node in, InferType gives it its type or stops the program.

#include "ir/builder.h"

#include <fmt/format.h>

#include <numeric>

#include "ir/internal_error.h"

namespace recurve::ir {
namespace {

[[noreturn]] void Stop(const Graph& graph, Op op, std::string_view why) {
  StopOnInternalError(fmt::format("`{}` {} in graph `{}`", Name(op), why, graph.name));
}

Expr Build(Graph& graph, Node node) {
  Type type;
  if (std::string why = InferType(graph, node, &type); !why.empty()) Stop(graph, node.op, why);
  node.type = std::move(type);
  return graph.At(graph.Add(std::move(node)));
}

Expr ConstantLike(Expr a, double value) { return Constant(*a.graph(), a.shape(), value); }

}  // namespace

Expr Elementwise(Op op, std::span<const Expr> args) {
  if (args.empty()) StopOnInternalError(fmt::format("`{}` without operands", Name(op)));
  Node node{.op = op};
  for (Expr arg : args) node.args.push_back(arg.id());
  return Build(*args[0].graph(), std::move(node));
}

#define UNARY(Kind, ...) \
  Expr Kind(Expr a) { return Elementwise(Op::k##Kind, {{a}}); }
#define BINARY(Kind, ...) \
  Expr Kind(Expr a, Expr b) { return Elementwise(Op::k##Kind, {{a, b}}); }
#define TERNARY(Kind, ...) \
  Expr Kind(Expr a, Expr b, Expr c) { return Elementwise(Op::k##Kind, {{a, b, c}}); }
#include "ir/ops.def"

Expr operator-(Expr a) { return Neg(a); }
Expr operator+(Expr a, Expr b) { return Add(a, b); }
Expr operator-(Expr a, Expr b) { return Sub(a, b); }
Expr operator*(Expr a, Expr b) { return Mul(a, b); }
Expr operator/(Expr a, Expr b) { return Div(a, b); }
Expr operator+(Expr a, double b) { return Add(a, ConstantLike(a, b)); }
Expr operator-(Expr a, double b) { return Sub(a, ConstantLike(a, b)); }
Expr operator*(Expr a, double b) { return Mul(a, ConstantLike(a, b)); }
Expr operator/(Expr a, double b) { return Div(a, ConstantLike(a, b)); }
Expr operator+(double a, Expr b) { return Add(ConstantLike(b, a), b); }
Expr operator-(double a, Expr b) { return Sub(ConstantLike(b, a), b); }
Expr operator*(double a, Expr b) { return Mul(ConstantLike(b, a), b); }
Expr operator/(double a, Expr b) { return Div(ConstantLike(b, a), b); }

Expr Constant(Graph& graph, Shape shape, double value) {
  return Build(graph, {.op = Op::kConstant, .type = {Element::kReal, std::move(shape)}, .attr = ConstantAttr{value}});
}

Expr Iota(Graph& graph, Dim size) {
  return Build(graph, {.op = Op::kIota, .type = {Element::kReal, {std::move(size)}}});
}

Expr Extent(Graph& graph, Dim dim) { return Build(graph, {.op = Op::kExtent, .attr = ExtentAttr{std::move(dim)}}); }

Expr BroadcastTo(Expr a, Shape shape, std::vector<int> axes) {
  return Build(*a.graph(), {.op = Op::kBroadcast,
                            .args = {a.id()},
                            .type = {a.type().element, std::move(shape)},
                            .attr = AxesAttr{std::move(axes)}});
}

Expr BroadcastTrailing(Expr a, const Shape& shape) {
  if (a.shape() == shape) return a;
  std::vector<int> axes(a.shape().size());
  std::iota(axes.begin(), axes.end(), static_cast<int>(shape.size() - axes.size()));
  return BroadcastTo(a, shape, std::move(axes));
}

Expr Reshape(Expr a, Shape shape) {
  if (a.shape() == shape) return a;
  return Build(*a.graph(), {.op = Op::kReshape, .args = {a.id()}, .type = {a.type().element, std::move(shape)}});
}

Expr Transpose(Expr a, std::vector<int> axes) {
  return Build(*a.graph(), {.op = Op::kTranspose, .args = {a.id()}, .attr = AxesAttr{std::move(axes)}});
}

Expr Slice(Expr a, int axis, int64_t start, int64_t size) {
  Type type = a.type();
  if (axis < 0 || axis >= type.rank()) Stop(*a.graph(), Op::kSlice, "has no such axis");
  type.shape[axis] = size;
  if (type == a.type() && start == 0) return a;
  return Build(*a.graph(), {.op = Op::kSlice, .args = {a.id()}, .type = type, .attr = SliceAttr{axis, start}});
}

Expr Concat(std::span<const Expr> parts, int axis) {
  if (parts.empty()) StopOnInternalError("`concat` without operands");
  if (parts.size() == 1) return parts[0];
  Node node{.op = Op::kConcat, .attr = ConcatAttr{axis}};
  for (Expr part : parts) node.args.push_back(part.id());
  return Build(*parts[0].graph(), std::move(node));
}

Expr Contract(Expr lhs, Expr rhs, std::string_view labels) {
  size_t comma = labels.find(','), arrow = labels.find("->");
  if (comma == labels.npos || arrow == labels.npos || comma > arrow)
    Stop(*lhs.graph(), Op::kContract, "needs labels such as `bi,oi->bo`");
  return Contract(
      lhs, rhs,
      ContractAttr{std::string(labels.substr(0, comma)), std::string(labels.substr(comma + 1, arrow - comma - 1)),
                   std::string(labels.substr(arrow + 2))});
}

Expr Contract(Expr lhs, Expr rhs, ContractAttr labels) {
  return Build(*lhs.graph(), {.op = Op::kContract, .args = {lhs.id(), rhs.id()}, .attr = std::move(labels)});
}

Expr ReduceSum(Expr a, std::vector<int> axes) {
  if (axes.empty()) return a;
  return Build(*a.graph(), {.op = Op::kReduceSum, .args = {a.id()}, .attr = AxesAttr{std::move(axes)}});
}

Expr ReduceMax(Expr a) { return Build(*a.graph(), {.op = Op::kReduceMax, .args = {a.id()}}); }

Expr Gather(Expr table, Expr index) {
  return Build(*table.graph(), {.op = Op::kGather, .args = {table.id(), index.id()}});
}

Expr ScatterAdd(Expr index, Expr updates, int64_t classes) {
  if (updates.type().rank() < index.type().rank()) Stop(*index.graph(), Op::kScatterAdd, "lacks axes in its updates");
  Type type{Element::kReal, {classes}};
  type.shape.insert(type.shape.end(), updates.shape().begin() + index.type().rank(), updates.shape().end());
  return Build(*index.graph(), {.op = Op::kScatterAdd, .args = {index.id(), updates.id()}, .type = type});
}

Expr OneHot(Expr index, int64_t classes) {
  Type type{Element::kReal, index.shape()};
  type.shape.push_back(classes);
  return Build(*index.graph(), {.op = Op::kOneHot, .args = {index.id()}, .type = type});
}

Expr Real(Expr index) { return Build(*index.graph(), {.op = Op::kReal, .args = {index.id()}}); }

Expr Random(Expr seed, Expr site, Expr step, Expr row, Expr unit) {
  return Build(*seed.graph(), {.op = Op::kRandom, .args = {seed.id(), site.id(), step.id(), row.id(), unit.id()}});
}

Expr Scan(Graph& graph, std::span<const Expr> operands, ScanAttr attr) {
  Node node{.op = Op::kScan, .attr = std::move(attr)};
  for (Expr operand : operands) node.args.push_back(operand.id());
  return Build(graph, std::move(node));
}

Expr ScanResult(Expr scan, int index) {
  return Build(*scan.graph(), {.op = Op::kScanResult, .args = {scan.id()}, .attr = ResultAttr{index}});
}

}  // namespace recurve::ir

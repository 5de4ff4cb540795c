// ir/builder.h: building graphs with ordinary arithmetic; types are inferred here and nowhere else.
//
// An Expr is a node of a graph under construction. Elementwise functions want operands of one shape; a number beside
// an Expr becomes a constant of its shape. A shape that does not fit is a mistake of the caller's and stops the
// program: what a user can get wrong is reported by the frontend before it comes here.
//
//   Expr z = Contract(x, w, "bi,oi->bo") + BroadcastTo(bias, {Dim("B"), 8}, {1});
//   Expr i = Sigmoid(Slice(z, 1, 0, 4));

#ifndef RECURVE_IR_BUILDER_H_
#define RECURVE_IR_BUILDER_H_

#include <span>
#include <string_view>

#include "ir/graph.h"

namespace recurve::ir {

class Expr {
 public:
  Expr() = default;
  Expr(Graph* graph, NodeId id) : graph_(graph), id_(id) {}

  Graph* graph() const { return graph_; }
  NodeId id() const { return id_; }
  const Type& type() const { return graph_->type(id_); }
  const Shape& shape() const { return type().shape; }
  explicit operator bool() const { return graph_ != nullptr; }

 private:
  Graph* graph_ = nullptr;
  NodeId id_ = -1;
};

// One function per elementwise row: Tanh(a), Add(a, b), Select(condition, a, b), ...
#define UNARY(Kind, ...) Expr Kind(Expr a);
#define BINARY(Kind, ...) Expr Kind(Expr a, Expr b);
#define TERNARY(Kind, ...) Expr Kind(Expr a, Expr b, Expr c);
#include "ir/ops.def"

Expr operator-(Expr a);
Expr operator+(Expr a, Expr b);
Expr operator-(Expr a, Expr b);
Expr operator*(Expr a, Expr b);
Expr operator/(Expr a, Expr b);
Expr operator+(Expr a, double b);
Expr operator-(Expr a, double b);
Expr operator*(Expr a, double b);
Expr operator/(Expr a, double b);
Expr operator+(double a, Expr b);
Expr operator-(double a, Expr b);
Expr operator*(double a, Expr b);
Expr operator/(double a, Expr b);

// An elementwise operation of any arity by its kind.
Expr Elementwise(Op op, std::span<const Expr> args);

Expr Constant(Graph& graph, Shape shape, double value);
// 0, 1, ..., size - 1 as reals: [size].
Expr Iota(Graph& graph, Dim size);
// The run-time size of an axis as a real scalar [].
Expr Extent(Graph& graph, Dim dim);

// Repeats `a` to `shape`; axis i of `a` becomes axis axes[i] of the result.
Expr BroadcastTo(Expr a, Shape shape, std::vector<int> axes);
// Repeats `a` to `shape`, last axis aligned with last axis (`a` is a suffix of `shape`); `a` itself when equal.
Expr BroadcastTrailing(Expr a, const Shape& shape);
Expr Reshape(Expr a, Shape shape);
Expr Transpose(Expr a, std::vector<int> axes);
Expr Slice(Expr a, int axis, int64_t start, int64_t size);
Expr Concat(std::span<const Expr> parts, int axis);
// Contract(x, w, "bi,oi->bo"); see ContractAttr.
Expr Contract(Expr lhs, Expr rhs, std::string_view labels);
Expr Contract(Expr lhs, Expr rhs, ContractAttr labels);
// Sums over the axes; the result lacks them.
Expr ReduceSum(Expr a, std::vector<int> axes);
// Largest over the last axis; the result lacks it.
Expr ReduceMax(Expr a);
// Rows of `table` [V, ...] at `index` [...]: index shape, then row shape.
Expr Gather(Expr table, Expr index);
// [classes, ...row] in which row index[k] has received updates[k, ...row] for every k.
Expr ScatterAdd(Expr index, Expr updates, int64_t classes);
// index shape, then [classes].
Expr OneHot(Expr index, int64_t classes);

// An index as a real number.
Expr Real(Expr index);
// Uniform in [0, 1): the upper 24 bits of word 0 of Philox 4x32-10 with key (seed, site) and counter (step, row, unit,
// 0), times 2^-24. Operands are whole numbers in [0, 2^24), of one shape. The same on every machine, in every precision
// and wherever it is computed.
Expr Random(Expr seed, Expr site, Expr step, Expr row, Expr unit);

// Operands as in ScanAttr. Returns the scan; ScanResult names its results.
Expr Scan(Graph& graph, std::span<const Expr> operands, ScanAttr attr);
Expr ScanResult(Expr scan, int index);

// The type that a scan's result `index` has.
Type ScanResultType(const ScanAttr& attr, int index);

// What a type may be at most. Constant extents are at least 1, and their product in a shape stays below kMaxElements,
// so that no arithmetic on sizes overflows.
inline constexpr int kMaxRank = 16;
inline constexpr int64_t kMaxElements = int64_t{1} << 40;

// The type of a node from its operation, operands and attributes; `node.type` is read only where the operation does
// not determine it (input, constant, iota, broadcast, reshape, slice, scatter_add, one_hot state it). Returns an empty
// string and sets `type` (which may be `&node.type`), or says what is wrong with a node however malformed. The builder,
// the reader of the text form and the verifier share this.
std::string InferType(const Graph& graph, const Node& node, Type* type);

}  // namespace recurve::ir

#endif  // RECURVE_IR_BUILDER_H_

// ir/graph.h: the tensor language: types, nodes and graphs.
//
// A graph is a list of nodes in which every operand stands before its user, so that one walk from front to back is an
// evaluation order and one walk from back to front is the order of the reverse mode. Every node yields one tensor; a
// scan yields several, which `result` nodes name. Passes do not edit a graph, they build a new one.
//
// An axis is either a constant or the name of a size that is known when the compiled function is called: `B`, the
// batch, or a time axis such as `T`. Sequences are time-first: [T, B, ...]. Values of a step are [B, ...]. Parameters
// have no batch axis.
//
// The language has one real type, whose precision (f32, f64) is chosen when code is generated, and one integer type
// for tokens.
//
//   ir::Graph graph;
//   ir::Expr x = graph.AddInput("x", ir::Role::kData, {ir::Dim("B"), 4});   // builder.h
//   graph.AddOutput("y", Tanh(x * x));

#ifndef RECURVE_IR_GRAPH_H_
#define RECURVE_IR_GRAPH_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace recurve::ir {

// The size of one axis: a constant, or a name that is bound when the compiled function is called.
struct Dim {
  int64_t extent = 0;  // meaningful when `axis` is empty
  std::string axis;

  Dim() = default;
  Dim(int64_t constant) : extent(constant) {}                // NOLINT: a number is a size
  explicit Dim(std::string name) : axis(std::move(name)) {}  // Dim("T")

  bool is_constant() const { return axis.empty(); }
  bool operator==(const Dim&) const = default;
};

using Shape = std::vector<Dim>;

enum class Element : uint8_t { kReal, kIndex };

struct Type {
  Element element = Element::kReal;
  Shape shape;

  int rank() const { return static_cast<int>(shape.size()); }
  bool operator==(const Type&) const = default;
};

enum class Op : uint8_t {
#define UNARY(Kind, ...) k##Kind,
#define BINARY(Kind, ...) k##Kind,
#define TERNARY(Kind, ...) k##Kind,
#define STRUCTURAL(Kind, ...) k##Kind,
#include "ir/ops.def"
};

enum class Cost : uint8_t { kCheap, kCostly };

// The word an operation has in the text form, e.g. "reduce_sum".
std::string_view Name(Op op);
// How many operands an elementwise operation has (1 to 3), 0 for a structural one.
int ElementwiseArity(Op op);
inline bool IsElementwise(Op op) { return ElementwiseArity(op) != 0; }
// The cost column of an elementwise operation; structural ones are kCostly.
Cost CostOf(Op op);

// What a graph's input is to the person who calls the program.
enum class Role : uint8_t {
  kData,       // a sequence or a value given with every call
  kParameter,  // trained
  kConstant,   // a parameter that is never trained
  kState,      // the initial value of a state; zero unless the caller says otherwise
  kAdjoint,    // dL/d(output), given to a backward pass
  kTape,       // saved by the forward pass for the backward pass
  kPacked,     // computed from parameters alone, ahead of the calls
  kCarry,      // in a scan's body: a state before the step
  kElement,    // in a scan's body: one time step of a sequence
  kInvariant,  // in a scan's body: the same at every step
};

// The distribution of a parameter before training.
struct Init {
  enum class Kind : uint8_t { kConstant, kUniform, kNormal } kind = Kind::kConstant;
  double a = 0;  // the constant, the lower bound, or the mean
  double b = 0;  // the upper bound, or the standard deviation
  bool operator==(const Init&) const = default;
};

using NodeId = int32_t;

class Graph;

// The classes of an index that is a number: all that `real` keeps exactly in every precision.
inline constexpr int64_t kAnyIndex = int64_t{1} << 24;

struct InputAttr {
  std::string name;
  Role role = Role::kData;
  Init init;
  // kIndex inputs: indices are in [0, classes).
  int64_t classes = 0;  // kAnyIndex of numbers that count no classes: a seed, the length of a sequence
  bool operator==(const InputAttr&) const = default;
};
struct ConstantAttr {
  double value = 0;
  bool operator==(const ConstantAttr&) const = default;
};
// broadcast: axes[i] is the axis of the result that operand axis i becomes (ascending).
// transpose: axes[i] is the axis of the operand that result axis i comes from.
// reduce_sum: the reduced axes, ascending.
struct AxesAttr {
  std::vector<int> axes;
  bool operator==(const AxesAttr&) const = default;
};
// slice: elements [start, start + extent of the result) of `axis`, a constant axis.
struct SliceAttr {
  int axis = 0;
  int64_t start = 0;
  bool operator==(const SliceAttr&) const = default;
};
struct ConcatAttr {
  int axis = 0;
  bool operator==(const ConcatAttr&) const = default;
};
// One letter an axis. Letters are distinct within an operand; a letter of the result stands in at least one operand;
// a letter of only one operand stands in the result (sum it before). "bi,oi->bo" is x @ W^T for rows x.
struct ContractAttr {
  std::string lhs, rhs, out;
  bool operator==(const ContractAttr&) const = default;
};
// extent: the axis whose size is asked.
struct ExtentAttr {
  Dim dim;
  bool operator==(const ExtentAttr&) const = default;
};
// A scan repeats `body` for t = 0 .. T-1 (reverse: T-1 .. 0).
//   Operands      carries initial values, then `sequences` tensors [T, ...], then invariants
//   Body inputs   carries (kCarry), elements (kElement: the operand without its first axis), invariants (kInvariant)
//   Body outputs  the next value of each carry, then any number of stacked values
//   Results       the final value of each carry, then each stacked value with T in front; the value that step t
//                 computes stands at index t also when the scan runs in reverse
struct ScanAttr {
  std::shared_ptr<const Graph> body;
  int carries = 0;
  int sequences = 0;
  Dim time;
  bool reverse = false;
  // Scans of two programs with the same number run the same steps, and the later one may start in mid-sequence from
  // carries that the earlier one kept (compiler/split.h). Nothing to what the scan computes; -1: no such scan.
  int checkpoint = -1;
  bool operator==(const ScanAttr&) const = default;
};
struct ResultAttr {
  int index = 0;
  bool operator==(const ResultAttr&) const = default;
};

using Attr = std::variant<std::monostate, InputAttr, ConstantAttr, AxesAttr, SliceAttr, ConcatAttr, ContractAttr,
                          ExtentAttr, ScanAttr, ResultAttr>;

// The attribute that nodes of an operation carry, with nothing filled in.
Attr EmptyAttr(Op op);

struct Node {
  Op op = Op::kConstant;
  std::vector<NodeId> args;
  Type type;  // of a scan: the scalar [], never read
  Attr attr;
  std::string label;  // what the source calls this value, for people; may be empty

  template <typename T>
  const T& As() const {
    return std::get<T>(attr);
  }
};

struct Output {
  std::string name;
  NodeId node = 0;
  bool operator==(const Output&) const = default;
};

class Expr;

class Graph {
 public:
  std::string name;

  // Appends a node whose operands are already in the graph. Types are the caller's word: builder.h infers them,
  // verifier.h checks them.
  NodeId Add(Node node);
  Expr AddInput(std::string name, Role role, Shape shape, Init init = {});
  Expr AddIndexInput(std::string name, Role role, Shape shape, int64_t classes);
  void AddOutput(std::string name, Expr value);
  void AddOutput(std::string name, NodeId value) { outputs_.push_back({std::move(name), value}); }
  void SetLabel(NodeId id, std::string label) { nodes_[id].label = std::move(label); }

  const Node& operator[](NodeId id) const { return nodes_[id]; }
  const Type& type(NodeId id) const { return nodes_[id].type; }
  int size() const { return static_cast<int>(nodes_.size()); }
  // Inputs in the order they were added; outputs likewise.
  const std::vector<NodeId>& inputs() const { return inputs_; }
  const std::vector<Output>& outputs() const { return outputs_; }
  // The input or output of that name, or -1.
  NodeId FindInput(std::string_view name) const;
  NodeId FindOutput(std::string_view name) const;
  Expr At(NodeId id);

 private:
  std::vector<Node> nodes_;
  std::vector<NodeId> inputs_;
  std::vector<Output> outputs_;
};

// The names of the symbolic axes of a graph and its scan bodies, time axes in order of appearance and `B` last.
std::vector<std::string> SymbolicAxes(const Graph& graph);

}  // namespace recurve::ir

#endif  // RECURVE_IR_GRAPH_H_

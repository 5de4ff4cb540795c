// ir/inference.cpp: the type of every operation, one rule each.
//
// A rule sees a node whose attribute is its own and whose operands exist, and answers for any such node, however
// malformed: the reader of the text form relies on it.

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "ir/builder.h"

namespace recurve::ir {
namespace {

// The operand types that an inference rule sees. A rule answers as InferType does; the sentence it returns goes on
// after the name of the operation.
using Args = std::vector<const Type*>;

bool IsLetter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

bool IsAxisName(std::string_view name) {
  auto fits = [](char c) { return IsLetter(c) || c == '_' || (c >= '0' && c <= '9'); };
  return !name.empty() && (IsLetter(name[0]) || name[0] == '_') && std::ranges::all_of(name, fits);
}

std::string CheckShape(const Shape& shape) {
  if (shape.size() > kMaxRank) return fmt::format("has {} axes, more than {}", shape.size(), kMaxRank);
  int64_t elements = 1;
  for (const Dim& dim : shape) {
    if (!dim.is_constant()) {
      if (!IsAxisName(dim.axis)) return "has an axis whose name is not an identifier";
      continue;
    }
    if (dim.extent < 1) return fmt::format("has an axis of extent {}", dim.extent);
    if (dim.extent > kMaxElements / elements) return fmt::format("has more than {} elements", kMaxElements);
    elements *= dim.extent;
  }
  return {};
}

std::string CheckReal(const Args& args) {
  bool real = std::ranges::all_of(args, [](const Type* arg) { return arg->element == Element::kReal; });
  return real ? "" : "needs real operands";
}

std::string InferInput(const Node& node, Type* type) {
  *type = node.type;
  bool index = node.type.element == Element::kIndex;
  int64_t classes = node.As<InputAttr>().classes;
  if (index && classes < 1) return fmt::format("has indices of {} classes", classes);
  if (!index && classes != 0) return "has classes and is real";
  return {};
}

std::string InferBroadcast(const Node& node, const Args& args, Type* type) {
  const auto& axes = node.As<AxesAttr>().axes;
  const Type& a = *args[0];
  if (static_cast<int>(axes.size()) != a.rank()) return "needs one axis per operand axis";
  for (int i = 0; i < a.rank(); ++i) {
    if (i > 0 && axes[i] <= axes[i - 1]) return "needs ascending axes";
    if (axes[i] < 0 || axes[i] >= node.type.rank()) return fmt::format("has no axis {}", axes[i]);
    if (node.type.shape[axes[i]] != a.shape[i]) return fmt::format("axis {} differs from the operand's", axes[i]);
  }
  *type = {a.element, node.type.shape};
  return {};
}

std::string InferReshape(const Node& node, const Args& args, Type* type) {
  // Symbolic axes keep their order; constants around them may be regrouped as long as each run has the same product.
  auto runs = [](const Shape& shape) {
    std::vector<std::pair<std::string, int64_t>> result{{"", 1}};
    for (const Dim& dim : shape) {
      if (dim.is_constant()) {
        result.back().second *= dim.extent;
      } else {
        result.emplace_back(dim.axis, 1);
      }
    }
    return result;
  };
  if (runs(args[0]->shape) != runs(node.type.shape)) return "changes the number of elements";
  *type = {args[0]->element, node.type.shape};
  return {};
}

std::string InferTranspose(const Node& node, const Args& args, Type* type) {
  const auto& axes = node.As<AxesAttr>().axes;
  std::vector<int> sorted = axes, all(args[0]->rank());
  std::ranges::sort(sorted);
  std::iota(all.begin(), all.end(), 0);
  if (sorted != all) return "needs a permutation of the operand's axes";
  *type = {args[0]->element, {}};
  for (int axis : axes) type->shape.push_back(args[0]->shape[axis]);
  return {};
}

std::string InferSlice(const Node& node, const Args& args, Type* type) {
  const auto& [axis, start] = node.As<SliceAttr>();
  const Type& a = *args[0];
  if (axis < 0 || axis >= a.rank() || !a.shape[axis].is_constant()) return fmt::format("has no constant axis {}", axis);
  if (node.type.rank() != a.rank() || !node.type.shape[axis].is_constant()) return "keeps the number of axes";
  int64_t size = node.type.shape[axis].extent;
  if (start < 0 || size < 1 || start > a.shape[axis].extent - size) return "leaves the operand's range";
  *type = a;
  type->shape[axis] = size;
  return {};
}

std::string InferConcat(const Node& node, const Args& args, Type* type) {
  int axis = node.As<ConcatAttr>().axis;
  if (args.empty()) return "needs an operand";
  *type = *args[0];
  if (axis < 0 || axis >= type->rank()) return fmt::format("has no axis {}", axis);
  int64_t total = 0;
  for (const Type* arg : args) {
    Type expected = *args[0];
    if (arg->rank() != type->rank() || !arg->shape[axis].is_constant()) return "needs a constant axis in each operand";
    expected.shape[axis] = arg->shape[axis];
    if (*arg != expected) return "operands differ off the joined axis";
    total = std::min(total + arg->shape[axis].extent, kMaxElements + 1);
  }
  type->shape[axis] = total;
  return {};
}

std::string InferContract(const Node& node, const Args& args, Type* type) {
  const ContractAttr& labels = node.As<ContractAttr>();
  if (std::string why = CheckReal(args); !why.empty()) return why;
  if (static_cast<int>(labels.lhs.size()) != args[0]->rank() || static_cast<int>(labels.rhs.size()) != args[1]->rank())
    return "needs one label per operand axis";
  if (!std::ranges::all_of(labels.lhs + labels.rhs, IsLetter)) return "needs letters as labels";
  auto distinct = [](std::string text) {
    std::ranges::sort(text);
    return std::ranges::adjacent_find(text) == text.end();
  };
  if (!distinct(labels.lhs) || !distinct(labels.rhs) || !distinct(labels.out)) return "repeats a label";
  *type = {Element::kReal, {}};
  for (char label : labels.lhs) {
    size_t at = labels.rhs.find(label);
    if (at == std::string::npos) {
      if (labels.out.find(label) == std::string::npos) return fmt::format("drops label `{}` of one operand", label);
    } else if (args[0]->shape[labels.lhs.find(label)] != args[1]->shape[at]) {
      return fmt::format("label `{}` has two extents", label);
    }
  }
  for (char label : labels.rhs) {
    if (labels.lhs.find(label) == std::string::npos && labels.out.find(label) == std::string::npos)
      return fmt::format("drops label `{}` of one operand", label);
  }
  for (char label : labels.out) {
    if (size_t at = labels.lhs.find(label); at != std::string::npos) {
      type->shape.push_back(args[0]->shape[at]);
    } else if (size_t in_rhs = labels.rhs.find(label); in_rhs != std::string::npos) {
      type->shape.push_back(args[1]->shape[in_rhs]);
    } else {
      return fmt::format("label `{}` is in no operand", label);
    }
  }
  return {};
}

std::string InferReduceSum(const Node& node, const Args& args, Type* type) {
  const auto& axes = node.As<AxesAttr>().axes;
  if (std::string why = CheckReal(args); !why.empty()) return why;
  *type = {Element::kReal, {}};
  for (size_t i = 0; i < axes.size(); ++i) {
    if (axes[i] < 0 || axes[i] >= args[0]->rank() || (i > 0 && axes[i] <= axes[i - 1]))
      return "needs ascending axes of the operand";
  }
  for (int axis = 0; axis < args[0]->rank(); ++axis) {
    if (std::ranges::find(axes, axis) == axes.end()) type->shape.push_back(args[0]->shape[axis]);
  }
  return {};
}

std::string InferGather(const Args& args, Type* type) {
  const Type& table = *args[0];
  const Type& index = *args[1];
  if (table.rank() == 0 || table.element != Element::kReal || index.element != Element::kIndex)
    return "needs a table of reals and indices";
  *type = {Element::kReal, index.shape};
  type->shape.insert(type->shape.end(), table.shape.begin() + 1, table.shape.end());
  return {};
}

std::string InferScatterAdd(const Node& node, const Args& args, Type* type) {
  const Shape& index = args[0]->shape;
  const Shape& updates = args[1]->shape;
  const Shape& table = node.type.shape;
  if (args[0]->element != Element::kIndex || args[1]->element != Element::kReal)
    return "needs indices and real updates";
  if (updates.size() < index.size() || !std::equal(index.begin(), index.end(), updates.begin()))
    return "needs updates that begin with the index shape";
  if (table.empty() || !table[0].is_constant()) return "needs a constant number of rows";
  if (!std::equal(updates.begin() + index.size(), updates.end(), table.begin() + 1, table.end()))
    return "needs the shape of a row";
  *type = {Element::kReal, table};
  return {};
}

std::string InferOneHot(const Node& node, const Args& args, Type* type) {
  if (args[0]->element != Element::kIndex) return "needs indices";
  if (node.type.rank() != args[0]->rank() + 1 || !node.type.shape.back().is_constant()) return "adds one constant axis";
  *type = {Element::kReal, args[0]->shape};
  type->shape.push_back(node.type.shape.back());
  return {};
}

std::string InferReal(const Args& args, Type* type) {
  if (args[0]->element != Element::kIndex) return "needs indices";
  *type = {Element::kReal, args[0]->shape};
  return {};
}

std::string InferScan(const Node& node, const Args& args, Type* type) {
  const ScanAttr& attr = node.As<ScanAttr>();
  if (attr.body == nullptr) return "needs a body";
  const Graph& body = *attr.body;
  if (std::string why = CheckShape({attr.time}); !why.empty()) return why;
  int operands = static_cast<int>(args.size());
  if (args.size() != body.inputs().size()) return "needs one operand per input of its body";
  if (attr.carries < 0 || attr.sequences < 0 || attr.carries > operands || attr.sequences > operands - attr.carries)
    return "has fewer operands than carries and sequences";
  if (static_cast<int>(body.outputs().size()) < attr.carries) return "has a body with fewer outputs than carries";
  for (int i = 0; i < operands; ++i) {
    const InputAttr& input = body[body.inputs()[i]].As<InputAttr>();
    Role role = i < attr.carries ? Role::kCarry : i < attr.carries + attr.sequences ? Role::kElement : Role::kInvariant;
    if (input.role != role) return fmt::format("has a body whose input `{}` is of another role", input.name);
    Type expected = body.type(body.inputs()[i]);
    if (role == Role::kElement) expected.shape.insert(expected.shape.begin(), attr.time);
    if (*args[i] != expected) return fmt::format("operand {} does not fit its body's input", i);
  }
  for (int i = 0; i < attr.carries; ++i) {
    if (body.type(body.outputs()[i].node) != body.type(body.inputs()[i]))
      return fmt::format("carry {} changes its type", i);
  }
  *type = {};
  return {};
}

std::string InferScanResult(const Graph& graph, const Node& node, Type* type) {
  const Node& scan = graph[node.args[0]];
  if (scan.op != Op::kScan) return "needs a scan";
  const ScanAttr& attr = scan.As<ScanAttr>();
  int index = node.As<ResultAttr>().index;
  if (index < 0 || index >= static_cast<int>(attr.body->outputs().size()))
    return fmt::format("has no result {}", index);
  *type = ScanResultType(attr, index);
  return {};
}

std::string CheckOperandCount(const Node& node) {
  int wanted = 0;
  switch (node.op) {
#define UNARY(Kind, ...) case Op::k##Kind:
#define BINARY(Kind, ...) case Op::k##Kind:
#define TERNARY(Kind, ...) case Op::k##Kind:
#include "ir/ops.def"
    wanted = ElementwiseArity(node.op);
    break;
    case Op::kInput:
    case Op::kConstant:
    case Op::kIota:
    case Op::kExtent: wanted = 0; break;
    case Op::kBroadcast:
    case Op::kReshape:
    case Op::kTranspose:
    case Op::kSlice:
    case Op::kReduceSum:
    case Op::kReduceMax:
    case Op::kOneHot:
    case Op::kReal:
    case Op::kScanResult: wanted = 1; break;
    case Op::kContract:
    case Op::kGather:
    case Op::kScatterAdd: wanted = 2; break;
    case Op::kRandom: wanted = 5; break;
    case Op::kConcat:
    case Op::kScan: return {};
  }
  if (static_cast<int>(node.args.size()) == wanted) return {};
  return fmt::format("needs {} operand{} and has {}", wanted, wanted == 1 ? "" : "s", node.args.size());
}

// The rule of the operation, for a node with its own attribute and as many operands as it wants.
std::string ApplyRule(const Graph& graph, const Node& node, const Args& args, Type* type) {
  switch (node.op) {
#define UNARY(Kind, ...) case Op::k##Kind:
#define BINARY(Kind, ...) case Op::k##Kind:
#define TERNARY(Kind, ...) case Op::k##Kind:
#include "ir/ops.def"
    case Op::kRandom:
      for (const Type* arg : args) {
        if (*arg != *args[0]) return "needs operands of one shape";
      }
      *type = *args[0];
      return CheckReal(args);
    case Op::kInput: return InferInput(node, type);
    case Op::kConstant: *type = node.type; return type->element == Element::kReal ? "" : "is real";
    case Op::kIota:
      *type = node.type;
      if (type->element != Element::kReal || type->rank() != 1) return "is real and needs one axis";
      return {};
    case Op::kExtent: *type = {}; return CheckShape({node.As<ExtentAttr>().dim});
    case Op::kBroadcast: return InferBroadcast(node, args, type);
    case Op::kReshape: return InferReshape(node, args, type);
    case Op::kTranspose: return InferTranspose(node, args, type);
    case Op::kSlice: return InferSlice(node, args, type);
    case Op::kConcat: return InferConcat(node, args, type);
    case Op::kContract: return InferContract(node, args, type);
    case Op::kReduceSum: return InferReduceSum(node, args, type);
    case Op::kReduceMax:
      if (args[0]->rank() == 0) return "needs an axis";
      *type = *args[0];
      type->shape.pop_back();
      return CheckReal(args);
    case Op::kGather: return InferGather(args, type);
    case Op::kScatterAdd: return InferScatterAdd(node, args, type);
    case Op::kOneHot: return InferOneHot(node, args, type);
    case Op::kReal: return InferReal(args, type);
    case Op::kScan: return InferScan(node, args, type);
    case Op::kScanResult: return InferScanResult(graph, node, type);
  }
  return "is unknown";
}

}  // namespace

Type ScanResultType(const ScanAttr& attr, int index) {
  const Graph& body = *attr.body;
  Type type = body.type(body.outputs()[index].node);
  if (index >= attr.carries) type.shape.insert(type.shape.begin(), attr.time);
  return type;
}

std::string InferType(const Graph& graph, const Node& node, Type* type) {
  if (node.attr.index() != EmptyAttr(node.op).index()) return "carries another operation's attribute";
  if (std::string why = CheckOperandCount(node); !why.empty()) return why;
  Args args;
  for (NodeId id : node.args) {
    if (id < 0 || id >= graph.size()) return "has an operand that is not in the graph";
    if (graph[id].op == Op::kScan && node.op != Op::kScanResult) return "reads a scan, which only `result` does";
    args.push_back(&graph.type(id));
  }
  if (std::string why = CheckShape(node.type.shape); !why.empty()) return why;
  Type inferred;  // `type` may be the node's own
  if (std::string why = ApplyRule(graph, node, args, &inferred); !why.empty()) return why;
  if (std::string why = CheckShape(inferred.shape); !why.empty()) return why;
  *type = std::move(inferred);
  return {};
}

}  // namespace recurve::ir

// ir/text_printer.cpp: a graph as text.
//
// One statement a node. A value is called by its label; the second value of a label `z` is `%z~2`, a value without a
// label is its number. Labels and names that are not plain words are quoted, so every string survives. Doubles are
// printed with as few digits as read back to the same number.

#include <fmt/format.h>

#include <cmath>
#include <map>
#include <span>

#include "ir/text.h"
#include "ir/text_words.h"

namespace recurve::ir {
namespace {

std::string Quoted(std::string_view text) {
  std::string quoted = "\"";
  for (char c : text) {
    if (c == '"' || c == '\\') {
      quoted += {'\\', c};
    } else if (c >= ' ' && c <= '~') {
      quoted += c;
    } else {
      quoted += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
    }
  }
  return quoted + '"';
}

std::string PrintName(std::string_view name) { return IsWord(name) ? std::string(name) : Quoted(name); }

// A NaN loses its sign and payload.
std::string PrintNumber(double value) { return std::isnan(value) ? "nan" : fmt::format("{}", value); }

std::string PrintDim(const Dim& dim) { return dim.is_constant() ? fmt::format("{}", dim.extent) : dim.axis; }

std::string PrintType(const Type& type) {
  return fmt::format("{}{}", type.element == Element::kIndex ? "index " : "", PrintShape(type.shape));
}

std::string PrintInit(const Init& init) {
  bool by_default = init.kind == Init::Kind::kConstant && init.a == 0 && !std::signbit(init.a);
  if (by_default) return {};
  std::string_view word = kInitWords[static_cast<size_t>(init.kind)];
  if (init.kind == Init::Kind::kConstant) return fmt::format(" ~ {}({})", word, PrintNumber(init.a));
  return fmt::format(" ~ {}({}, {})", word, PrintNumber(init.a), PrintNumber(init.b));
}

// The words that stand before the operands.
struct LeadingAttribute {
  std::string operator()(const ConstantAttr& attr) const { return " " + PrintNumber(attr.value); }
  std::string operator()(const ExtentAttr& attr) const { return " " + PrintDim(attr.dim); }
  std::string operator()(const ContractAttr& attr) const {
    return " " + Quoted(fmt::format("{},{}->{}", attr.lhs, attr.rhs, attr.out));
  }
  std::string operator()(const auto&) const { return {}; }
};

// The words that stand after them.
struct TrailingAttribute {
  std::string operator()(const AxesAttr& attr) const { return fmt::format(" axes=[{}]", fmt::join(attr.axes, ", ")); }
  std::string operator()(const SliceAttr& attr) const {
    return fmt::format(" axis={} start={}", attr.axis, attr.start);
  }
  std::string operator()(const ConcatAttr& attr) const { return fmt::format(" axis={}", attr.axis); }
  std::string operator()(const ResultAttr& attr) const { return fmt::format(" {}", attr.index); }
  std::string operator()(const auto&) const { return {}; }
};

class GraphPrinter {
 public:
  // `carries` is how many outputs are next values; -1 for a graph that is not the body of a scan.
  GraphPrinter(const Graph& graph, int carries, int depth) : graph_(graph), carries_(carries), depth_(depth) {
    std::map<std::string_view, int> seen;
    for (NodeId id = 0; id < graph.size(); ++id) {
      std::string_view label = graph[id].label;
      if (label.empty()) {
        references_.push_back(fmt::format("%{}", id));
        continue;
      }
      // A number without quotes is a value without a label.
      std::string reference = "%" + (IsNumber(label) ? Quoted(label) : PrintName(label));
      int count = ++seen[label];
      references_.push_back(count == 1 ? std::move(reference) : fmt::format("{}~{}", reference, count));
    }
  }

  std::string Print() const {
    std::string indent(2 * depth_, ' '), text = "{\n";
    for (NodeId id = 0; id < graph_.size(); ++id)
      text += fmt::format("{}  {} = {}\n", indent, references_[id], PrintNode(graph_[id]));
    return text + fmt::format("{}  return{}\n{}}}", indent, PrintOutputs(), indent);
  }

 private:
  std::string PrintNode(const Node& node) const {
    if (node.op == Op::kInput) return PrintInput(node);
    if (node.op == Op::kScan) return PrintScan(node);
    std::string operands = PrintReferences(node.args);
    return fmt::format("{}{}{}{}{} : {}", Name(node.op), std::visit(LeadingAttribute(), node.attr),
                       operands.empty() ? "" : " ", operands, std::visit(TrailingAttribute(), node.attr),
                       PrintType(node.type));
  }

  std::string PrintInput(const Node& node) const {
    const InputAttr& attr = node.As<InputAttr>();
    std::string named = attr.name == node.label ? "" : " named " + PrintName(attr.name);
    std::string classes = node.type.element == Element::kIndex ? fmt::format(" index({})", attr.classes) : "";
    return fmt::format("input {}{}{} {}{}", kRoleWords[static_cast<size_t>(attr.role)], named, classes,
                       PrintShape(node.type.shape), PrintInit(attr.init));
  }

  std::string PrintScan(const Node& node) const {
    const ScanAttr& attr = node.As<ScanAttr>();
    std::span<const NodeId> args = node.args;
    std::string text = "scan " + PrintDim(attr.time);
    if (attr.reverse) text += " reverse";
    if (attr.checkpoint >= 0) text += fmt::format(" checkpoint {}", attr.checkpoint);
    if (!attr.body->name.empty()) text += " named " + PrintName(attr.body->name);
    auto group = [&](std::string_view word, std::span<const NodeId> ids) {
      if (!ids.empty()) text += fmt::format(" {}({})", word, PrintReferences(ids));
    };
    group("carries", args.first(attr.carries));
    group("sequences", args.subspan(attr.carries, attr.sequences));
    group("invariants", args.subspan(attr.carries + attr.sequences));
    return text + " " + GraphPrinter(*attr.body, attr.carries, depth_ + 1).Print();
  }

  std::string PrintReferences(std::span<const NodeId> ids) const {
    std::string text;
    for (NodeId id : ids) text += (text.empty() ? "" : ", ") + references_[id];
    return text;
  }

  std::string PrintOutputs() const {
    std::string text;
    for (int i = 0; i < static_cast<int>(graph_.outputs().size()); ++i) {
      const Output& output = graph_.outputs()[i];
      std::string_view lead = carries_ < 0 ? (i == 0 ? "" : ",") : i == carries_ ? " stacked" : i == 0 ? " next" : ",";
      text += fmt::format("{} {} = {}", lead, PrintName(output.name), references_[output.node]);
    }
    return text;
  }

  const Graph& graph_;
  int carries_;
  int depth_;
  std::vector<std::string> references_;
};

}  // namespace

std::string PrintShape(const Shape& shape) {
  std::string text = "[";
  for (size_t i = 0; i < shape.size(); ++i) text += (i == 0 ? "" : ", ") + PrintDim(shape[i]);
  return text + "]";
}

std::string PrintText(const Graph& graph) {
  return fmt::format("graph {} {}\n", PrintName(graph.name), GraphPrinter(graph, -1, 0).Print());
}

}  // namespace recurve::ir

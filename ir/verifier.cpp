// ir/verifier.cpp: one check per sentence of verifier.h, in the order in which later ones rely on earlier ones.

#include "ir/verifier.h"

#include <fmt/format.h>

#include <set>
#include <string_view>

#include "ir/builder.h"

namespace recurve::ir {
namespace {

std::string Verify(const Graph& graph, std::string_view where);

std::string CheckNode(const Graph& graph, NodeId id, std::string_view where) {
  const Node& node = graph[id];
  auto blame = [&](std::string_view why) {
    std::string label = node.label.empty() ? "" : fmt::format(" `{}`", node.label);
    return fmt::format("{}node {}{}: `{}` {}", where, id, label, Name(node.op), why);
  };
  for (NodeId arg : node.args) {
    if (arg < 0 || arg >= id) return blame("reads a value that does not stand before it");
  }
  // InferType reads the types inside a body, so the body comes first.
  const ScanAttr* scan = std::get_if<ScanAttr>(&node.attr);
  if (scan != nullptr && scan->body != nullptr) {
    if (std::string why = Verify(*scan->body, blame("has a body in which ")); !why.empty()) return why;
  }
  Type type;
  if (std::string why = InferType(graph, node, &type); !why.empty()) return blame(why);
  if (type != node.type) return blame("has another type than its operands give");
  return {};
}

// `where` opens the sentence: empty, or the scan whose body the graph is.
std::string Verify(const Graph& graph, std::string_view where) {
  for (NodeId id = 0; id < graph.size(); ++id) {
    if (std::string why = CheckNode(graph, id, where); !why.empty()) return why;
  }
  std::set<std::string_view> names;
  for (NodeId id : graph.inputs()) {
    std::string_view name = graph[id].As<InputAttr>().name;
    if (!names.insert(name).second) return fmt::format("{}two inputs are named `{}`", where, name);
  }
  names.clear();
  for (const auto& [name, id] : graph.outputs()) {
    if (id < 0 || id >= graph.size()) return fmt::format("{}output `{}` is not a value of the graph", where, name);
    if (graph[id].op == Op::kScan) return fmt::format("{}output `{}` is a scan, not a result of one", where, name);
    if (!names.insert(name).second) return fmt::format("{}two outputs are named `{}`", where, name);
  }
  return {};
}

}  // namespace

std::string Verify(const Graph& graph) { return Verify(graph, ""); }

}  // namespace recurve::ir

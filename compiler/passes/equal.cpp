// compiler/passes/equal.cpp: equality of computations.

#include "compiler/passes/equal.h"

#include <string>

#include "compiler/graph_util.h"

namespace recurve {

using ir::Graph;
using ir::Node;
using ir::NodeId;
using ir::Op;

ir::ContractAttr CanonicalLabels(const ir::ContractAttr& labels) {
  std::string seen;
  auto rename = [&](std::string text) {
    for (char& letter : text) {
      if (seen.find(letter) == std::string::npos) seen.push_back(letter);
      letter = static_cast<char>('a' + seen.find(letter));
    }
    return text;
  };
  std::string lhs = rename(labels.lhs), rhs = rename(labels.rhs);
  return {lhs, rhs, rename(labels.out)};
}

bool AreEqual(const Node& a, const Node& b) {
  if (a.op == Op::kInput || a.op != b.op || a.args != b.args || a.type != b.type) return false;
  if (a.op == Op::kContract)
    return CanonicalLabels(a.As<ir::ContractAttr>()) == CanonicalLabels(b.As<ir::ContractAttr>());
  if (a.op != Op::kScan) return a.attr == b.attr;
  const auto& x = a.As<ir::ScanAttr>();
  const auto& y = b.As<ir::ScanAttr>();
  return x.carries == y.carries && x.sequences == y.sequences && x.time == y.time && x.reverse == y.reverse &&
         AreEqual(*x.body, *y.body);
}

bool AreEqual(const Graph& a, const Graph& b) {
  if (a.size() != b.size() || OutputNodes(a) != OutputNodes(b)) return false;
  for (NodeId id = 0; id < a.size(); ++id) {
    bool equal = a[id].op == Op::kInput ? b[id].op == Op::kInput && a.type(id) == b.type(id) : AreEqual(a[id], b[id]);
    if (!equal) return false;
  }
  return true;
}

}  // namespace recurve

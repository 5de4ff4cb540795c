// compiler/state_delay.cpp: carries for the older values of each carry.

#include "compiler/state_delay.h"

#include <fmt/format.h>

#include <cmath>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "compiler/graph_util.h"
#include "ir/builder.h"

namespace recurve {
namespace {

using ir::Expr;
using ir::Graph;
using ir::Node;
using ir::NodeId;
using ir::Op;

// "y.h", 2: "y.ago2_h".
std::string OlderName(const std::string& state, int age) {
  const size_t behind_path = state.rfind('.') + 1;  // 0 where there is none
  return fmt::format("{}ago{}_{}", state.substr(0, behind_path), age, state.substr(behind_path));
}

class Delayer {
 public:
  Delayer(const Graph& from, double steps)
      : from_(from), whole_(static_cast<int>(steps)), fraction_(steps - whole_), map_(EmptyMap(from)) {
    to_.name = from.name;
  }

  Graph Run() {
    for (NodeId id = 0; id < from_.size(); ++id) {
      const Node& node = from_[id];
      if (node.op == Op::kScan) {
        AddScan(id);
      } else if (node.op == Op::kScanResult) {
        // Stacked values stand behind the carries, of which there are more now.
        Node copy = node;
        auto& index = std::get<ir::ResultAttr>(copy.attr).index;
        const int carries = from_[node.args[0]].As<ir::ScanAttr>().carries;
        if (index >= carries) index += carries * Older();
        copy.args[0] = map_[node.args[0]];
        map_[id] = to_.Add(std::move(copy));
      } else {
        map_[id] = CopyNode(from_, id, map_, to_);
      }
    }
    CopyOutputs(from_, map_, to_);
    for (const ir::Output& output : older_outputs_) to_.AddOutput(output.name, output.node);
    return std::move(to_);
  }

 private:
  // How many older values of a state there are beside the one of the last step.
  int Older() const { return whole_ - 1 + (fraction_ > 0 ? 1 : 0); }

  // Carries of the new scan: those that were, then the older values of the first one, of the second one, and so on.
  void AddScan(NodeId id) {
    const Node& scan = from_[id];
    auto attr = scan.As<ir::ScanAttr>();
    std::vector<NodeId> args;
    for (int k = 0; k < attr.carries; ++k) args.push_back(map_[scan.args[k]]);
    for (int k = 0; k < attr.carries; ++k) {
      const Node& beginning = from_[scan.args[k]];
      const bool is_given = beginning.op == Op::kInput && beginning.As<ir::InputAttr>().role == ir::Role::kState;
      for (int age = 2; age < 2 + Older(); ++age) {
        if (!is_given) {
          args.push_back(map_[scan.args[k]]);
          continue;
        }
        const std::string given = beginning.As<ir::InputAttr>().name;
        const std::string name = OlderName(given.substr(0, given.size() - 1), age);
        args.push_back(AddInputOfType(to_, name + "0", ir::Role::kState, beginning.type).id());
      }
    }
    for (size_t k = static_cast<size_t>(attr.carries); k < scan.args.size(); ++k) args.push_back(map_[scan.args[k]]);
    const int carries = attr.carries;
    attr.body = std::make_shared<Graph>(Body(*attr.body, carries));
    attr.carries += carries * Older();
    std::vector<Expr> operands;
    for (NodeId arg : args) operands.push_back(to_.At(arg));
    const Expr delayed = ir::Scan(to_, operands, attr);
    to_.SetLabel(delayed.id(), scan.label);
    map_[id] = delayed.id();
    for (int k = 0; k < carries; ++k) {
      const std::string state = StateOfCarry(from_, id, k);
      for (int age = 2; age < 2 + Older() && !state.empty(); ++age) {
        const int index = carries + k * Older() + age - 2;
        older_outputs_.push_back({OlderName(state, age) + "T", ir::ScanResult(delayed, index).id()});
      }
    }
  }

  Graph Body(const Graph& body, int carries) const {
    Graph to;
    to.name = body.name;
    NodeMap map = EmptyMap(body);
    // Inputs in the order of operands: newest values, older ones, all else.
    std::vector<std::vector<Expr>> ages(static_cast<size_t>(carries));  // of each carry, from the newest
    std::vector<NodeId> inputs = body.inputs();
    auto add = [&](NodeId id, const std::string& name) {
      return AddInputOfType(to, name, body[id].As<ir::InputAttr>().role, body.type(id));
    };
    for (int k = 0; k < carries; ++k) ages[k].push_back(add(inputs[k], body[inputs[k]].As<ir::InputAttr>().name));
    for (int k = 0; k < carries; ++k) {
      const std::string name = body[inputs[k]].As<ir::InputAttr>().name;
      for (int age = 2; age < 2 + Older(); ++age) ages[k].push_back(add(inputs[k], OlderName(name, age)));
    }
    for (size_t k = static_cast<size_t>(carries); k < inputs.size(); ++k)
      map[inputs[k]] = CopyNode(body, inputs[k], map, to);
    for (int k = 0; k < carries; ++k) {
      Expr read = ages[k][whole_ - 1];
      if (fraction_ > 0) read = (1 - fraction_) * read + fraction_ * ages[k][whole_];
      map[inputs[k]] = read.id();
    }
    CopyAbsent(body, map, to);
    const std::vector<ir::Output>& outputs = body.outputs();
    for (int k = 0; k < carries; ++k) to.AddOutput(outputs[k].name, map[outputs[k].node]);
    for (int k = 0; k < carries; ++k) {
      for (int age = 2; age < 2 + Older(); ++age) to.AddOutput(OlderName(outputs[k].name, age), ages[k][age - 2].id());
    }
    for (size_t k = static_cast<size_t>(carries); k < outputs.size(); ++k)
      to.AddOutput(outputs[k].name, map[outputs[k].node]);
    return to;
  }

  const Graph& from_;
  int whole_;
  double fraction_;
  Graph to_;
  NodeMap map_;
  std::vector<ir::Output> older_outputs_;
};

// The name of a state that a step selects, or an empty string.
std::string SelectedState(const Graph& graph) {
  for (NodeId id = 0; id < graph.size(); ++id) {
    if (graph[id].op != Op::kScan) continue;
    const Graph& body = *graph[id].As<ir::ScanAttr>().body;
    for (NodeId inner = 0; inner < body.size(); ++inner) {
      if (body[inner].op != Op::kSelect) continue;
      for (NodeId arg : body[inner].args) {
        if (body[arg].op == Op::kInput && body[arg].As<ir::InputAttr>().role == ir::Role::kCarry)
          return body[arg].As<ir::InputAttr>().name;
      }
    }
  }
  return "";
}

}  // namespace

std::expected<ir::Graph, Error> DelayStates(const ir::Graph& graph, double steps) {
  if (steps == 1) return graph;
  if (!(steps >= 1 && steps <= kMostDelay)) {
    return std::unexpected(
        Error{fmt::format("states can't be delayed by {} steps: 1 to {} are possible", steps, kMostDelay)});
  }
  if (const std::string state = SelectedState(graph); !state.empty()) {
    return std::unexpected(Error{
        fmt::format("`{}` can't be delayed: a step keeps or drops it as a whole (a length, `reset`, zoneout)", state)});
  }
  return Delayer(graph, steps).Run();
}

}  // namespace recurve

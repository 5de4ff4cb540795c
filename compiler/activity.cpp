// compiler/activity.cpp: one walk forward for `varied`, one walk back for `active`; repeated over a scan's body until
// the carries agree. A body has few carries, and each repetition adds at least one.

#include "compiler/activity.h"

#include "compiler/derivative_rules.h"

namespace recurve {
namespace {

using ir::Graph;
using ir::Node;
using ir::NodeId;
using ir::Op;

void FindVaried(const Graph& graph, const std::vector<bool>& inputs, Activity& activity);
void FindActive(const Graph& graph, const std::vector<bool>& seeded, Activity& activity);

void FindVariedInScan(const Node& node, ScanActivity& scan) {
  const ir::ScanAttr& attr = node.As<ir::ScanAttr>();
  const ir::Graph& body = *attr.body;
  for (bool grown = true; grown;) {
    grown = false;
    FindVaried(body, scan.varied, scan.body);
    for (int carry = 0; carry < attr.carries; ++carry) {
      if (scan.varied[carry] || !scan.body.varied[body.outputs()[carry].node]) continue;
      scan.varied[carry] = grown = true;
    }
  }
}

void FindActiveInScan(const Node& node, ScanActivity& scan) {
  const ir::ScanAttr& attr = node.As<ir::ScanAttr>();
  const ir::Graph& body = *attr.body;
  for (bool grown = true; grown;) {
    grown = false;
    FindActive(body, scan.seeded, scan.body);
    for (int carry = 0; carry < attr.carries; ++carry) {
      if (scan.seeded[carry] || !scan.body.active[body.inputs()[carry]]) continue;
      scan.seeded[carry] = grown = true;
    }
  }
}

// A result varies when the body's output does, or, of a carry, when its initial value does: a scan over no step at all
// hands it through.
bool ResultVaries(const Node& scan, const ScanActivity& activity, int index) {
  const ir::ScanAttr& attr = scan.As<ir::ScanAttr>();
  return index < attr.carries ? activity.varied[index] : activity.body.varied[attr.body->outputs()[index].node];
}

void FindVaried(const Graph& graph, const std::vector<bool>& inputs, Activity& activity) {
  std::vector<bool>& varied = activity.varied;
  varied.assign(graph.size(), false);
  for (size_t i = 0; i < inputs.size(); ++i) varied[graph.inputs()[i]] = inputs[i];
  for (NodeId id = 0; id < graph.size(); ++id) {
    const Node& node = graph[id];
    if (node.op == Op::kScan) {
      ScanActivity& scan = activity.scans[id];
      const ir::ScanAttr& attr = node.As<ir::ScanAttr>();
      scan.varied.clear();
      for (NodeId arg : node.args) scan.varied.push_back(varied[arg]);
      FindVariedInScan(node, scan);
      for (size_t index = 0; index < attr.body->outputs().size(); ++index) {
        varied[id] = varied[id] || ResultVaries(node, scan, static_cast<int>(index));
      }
    } else if (node.op == Op::kScanResult) {
      NodeId scan = node.args[0];
      varied[id] = ResultVaries(graph[scan], activity.scans.at(scan), node.As<ir::ResultAttr>().index);
    } else {
      for (size_t i = 0; i < node.args.size(); ++i) {
        if (varied[node.args[i]] && GradientFlows(node.op, static_cast<int>(i))) varied[id] = true;
      }
    }
  }
}

void FindActive(const Graph& graph, const std::vector<bool>& seeded, Activity& activity) {
  std::vector<bool>& active = activity.active;
  active.assign(graph.size(), false);
  for (auto& [id, scan] : activity.scans)
    scan.seeded.assign(graph[id].As<ir::ScanAttr>().body->outputs().size(), false);
  auto reach = [&](NodeId id) { active[id] = active[id] || activity.varied[id]; };
  for (size_t i = 0; i < seeded.size(); ++i) {
    if (seeded[i]) reach(graph.outputs()[i].node);
  }
  for (NodeId id = graph.size() - 1; id >= 0; --id) {
    const Node& node = graph[id];
    if (!active[id]) continue;
    if (node.op == Op::kScan) {
      ScanActivity& scan = activity.scans.at(id);
      FindActiveInScan(node, scan);
      for (size_t i = 0; i < node.args.size(); ++i) {
        bool is_seeded_carry = static_cast<int>(i) < node.As<ir::ScanAttr>().carries && scan.seeded[i];
        if (is_seeded_carry || scan.body.active[node.As<ir::ScanAttr>().body->inputs()[i]]) reach(node.args[i]);
      }
    } else if (node.op == Op::kScanResult) {
      activity.scans.at(node.args[0]).seeded[node.As<ir::ResultAttr>().index] = true;
      reach(node.args[0]);
    } else {
      for (size_t i = 0; i < node.args.size(); ++i) {
        if (GradientFlows(node.op, static_cast<int>(i))) reach(node.args[i]);
      }
    }
  }
}

}  // namespace

Activity FindActivity(const Graph& graph, const std::vector<bool>& varied, const std::vector<bool>& seeded) {
  Activity activity;
  FindVaried(graph, varied, activity);
  FindActive(graph, seeded, activity);
  return activity;
}

}  // namespace recurve

// compiler/activity.h: which values a gradient passes through, known before any adjoint is built.
//
// A value varies when some input in question changes it differentiably. It is active when, besides, it reaches a seeded
// output differentiably: exactly the active values have adjoints. In a scan both are least fixed points, since what one
// step makes of a carry enters the next step.
//
// Knowing this first lets the derivative leave out zeros instead of building them, and lets a scan's adjoint be derived
// when the scan is met on the way forward, so that the tape can be added to it.
// Source: Hascoet & Pascual 2013, The Tapenade automatic differentiation tool, ACM TOMS 39(3), section 4 (activity).

#ifndef RECURVE_COMPILER_ACTIVITY_H_
#define RECURVE_COMPILER_ACTIVITY_H_

#include <map>
#include <vector>

#include "ir/graph.h"

namespace recurve {

struct ScanActivity;

struct Activity {
  std::vector<bool> varied;  // by node; a scan varies when one of its results does
  std::vector<bool> active;  // by node
  std::map<ir::NodeId, ScanActivity> scans;
};

struct ScanActivity {
  Activity body;
  std::vector<bool> varied;  // by body input: in some step
  std::vector<bool> seeded;  // by body output: its adjoint arrives, from outside or from the step that comes after
};

// `varied`: by input of the graph, in the order of graph.inputs(). `seeded`: by output.
Activity FindActivity(const ir::Graph& graph, const std::vector<bool>& varied, const std::vector<bool>& seeded);

}  // namespace recurve

#endif  // RECURVE_COMPILER_ACTIVITY_H_

// compiler/derivative_scan.h: the adjoint of a scan is a scan over reversed time.
//
// Its body is the adjoint of the body. The adjoint of a carry is a carry: it enters a step as the adjoint of the next
// value and leaves as that of the previous one. The adjoint of an invariant is a sum over the steps, a carry from zero.
// The adjoint of an element is a stacked result. The forward values that the body mentions are the tape (tape.h); the
// scan stacks them, and of its own carries the value before the step.

#ifndef RECURVE_COMPILER_DERIVATIVE_SCAN_H_
#define RECURVE_COMPILER_DERIVATIVE_SCAN_H_

#include "compiler/activity.h"
#include "compiler/reverse_walk.h"
#include "ir/graph.h"

namespace recurve {

// `scan` is active. The forward scan keeps its results under their numbers and gets those of the tape behind them.
ScanDerivative DeriveScan(const ir::ScanAttr& scan, const ScanActivity& activity);

}  // namespace recurve

#endif  // RECURVE_COMPILER_DERIVATIVE_SCAN_H_

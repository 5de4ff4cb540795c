// bench/serve.h: our kernels as one engine among the peers (peers/engine.h).
//
// Ours is asked first: `prepare` writes the data that all others read. `compare FOLDER` answers how far the results
// that a peer left there are from those in f64, and in which tensor; `compare` the same of our own. `grid` gives all
// points and `limits` what the machine reaches right now, both as a line of JSON.

#ifndef RECURVE_BENCH_SERVE_H_
#define RECURVE_BENCH_SERVE_H_

#include <memory>

#include "runtime/team.h"

namespace recurve::bench {

void ServeKernels(std::shared_ptr<Team> team);

}  // namespace recurve::bench

#endif  // RECURVE_BENCH_SERVE_H_

// tests/support/session_results.h: what compiled programs compute, for tests that compare two of them.

#ifndef RECURVE_TESTS_SUPPORT_SESSION_RESULTS_H_
#define RECURVE_TESTS_SUPPORT_SESSION_RESULTS_H_

#include <cstdint>
#include <iosfwd>
#include <map>
#include <string>
#include <vector>

#include "runtime/session.h"

namespace recurve {

struct Sizes {
  int64_t inputs, units;
  size_t steps, batch;
};

// The name of a test.
void PrintTo(const Sizes& sizes, std::ostream* out);

// Uniform numbers in every tensor of f32 that is given from outside, and adjoints of every output.
void FillArguments(Session& session, uint64_t seed);

// Every output and gradient of one forward and backward pass.
std::map<std::string, std::vector<double>> Results(Session& session);

// Results of a session with these sizes for a team of `threads`, or none.
std::map<std::string, std::vector<double>> ResultsWithTeam(const Program& program, const Sizes& sizes, size_t threads);

}  // namespace recurve

#endif  // RECURVE_TESTS_SUPPORT_SESSION_RESULTS_H_

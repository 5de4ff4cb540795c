// tests/support/random_model.h: models around a random cell, whose scans share its weights.

#ifndef RECURVE_TESTS_SUPPORT_RANDOM_MODEL_H_
#define RECURVE_TESTS_SUPPORT_RANDOM_MODEL_H_

#include <string>

#include "tests/support/random_cell.h"

namespace recurve {

// The model `m`: the cell reads sequences r_* over S, and goes on from there along others w_* over T. What it yields is
// read0, read1, ... and written0, ..., of which the latter are outputs.
std::string ReadsAndGoesOn(const RandomCell& cell);

// The model `m`: the cell goes over sequences x_* over T in both directions, and once more backwards from where the
// first ended. Outputs are products of what the directions yield, and the last ones.
std::string GoesBothWays(const RandomCell& cell);

}  // namespace recurve

#endif  // RECURVE_TESTS_SUPPORT_RANDOM_MODEL_H_

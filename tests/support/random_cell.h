// tests/support/random_cell.h: random cells, written in the language.
//
// Every cell is well typed by construction: an expression is made for a wanted shape. Every value carries an interval
// that holds for any data in [-1, 1], so that log and sqrt get what they can take, nothing overflows, states stay in
// [-1, 1], and finite differences have smooth ground to stand on. The same seed gives the same cell on every machine.

#ifndef RECURVE_TESTS_SUPPORT_RANDOM_CELL_H_
#define RECURVE_TESTS_SUPPORT_RANDOM_CELL_H_

#include <cstdint>
#include <map>
#include <string>

namespace recurve {

struct RandomCell {
  std::string source;  // defines the cell `random`, and perhaps functions that it calls
  std::map<std::string, int64_t, std::less<>> extents;
  bool stops_gradients = false;  // then finite differences know more than the derivative
};

RandomCell MakeRandomCell(uint64_t seed);

}  // namespace recurve

#endif  // RECURVE_TESTS_SUPPORT_RANDOM_CELL_H_

// tests/lanes/seed.h: where random tests start. RECURVE_SEED=N in the environment repeats the run that printed N.

#ifndef RECURVE_TESTS_LANES_SEED_H_
#define RECURVE_TESTS_LANES_SEED_H_

#include <cstdint>
#include <cstdlib>

namespace recurve {

inline uint64_t Seed() {
  const char* text = std::getenv("RECURVE_SEED");
  return text != nullptr ? std::strtoull(text, nullptr, 10) : 1;
}

}  // namespace recurve

#endif  // RECURVE_TESTS_LANES_SEED_H_

/* tests/targets/platform/harness.h: what a test program for a machine without a C library is made of.
 *
 * The generated cases call `check`; a platform brings `put` and calls `run_cases`.
 */

#ifndef RECURVE_TESTS_TARGETS_PLATFORM_HARNESS_H_
#define RECURVE_TESTS_TARGETS_PLATFORM_HARNESS_H_

#include <stddef.h>
#include <stdint.h>

/* Of the platform: prints text. */
void put(const char* text);

/* Of the cases: runs all of them and returns how many results were too far off. */
int run_cases(void);

/* Memory for `bytes`, aligned to 64; all of it is free again after `reset_memory`. */
void* take_memory(size_t bytes);
void reset_memory(void);

void put_number(unsigned number);

#endif /* RECURVE_TESTS_TARGETS_PLATFORM_HARNESS_H_ */

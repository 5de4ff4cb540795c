/* tests/targets/platform/harness.c: memory, numbers, and what compilers expect of every environment. */

#include "harness.h"

static unsigned char arena[400 * 1024];
static size_t used;

void reset_memory(void) { used = 0; }

void* take_memory(size_t bytes) {
  unsigned char* start = arena + used;
  start += (64 - (uintptr_t)start % 64) % 64;
  used = (size_t)(start - arena) + bytes;
  if (used <= sizeof arena) return start;
  put("the arena is too small\n");
  for (;;) {
  }
}

void put_number(unsigned number) {
  char digits[12];
  int at = sizeof digits - 1;
  digits[at] = 0;
  do {
    digits[--at] = (char)('0' + number % 10);
    number /= 10;
  } while (number != 0);
  put(digits + at);
}

/* A compiler may call these for the code of the harness. Compiled programs are checked not to. */
void* memcpy(void* restrict to, const void* restrict from, size_t count) {
  for (size_t i = 0; i < count; ++i) ((volatile unsigned char*)to)[i] = ((const unsigned char*)from)[i];
  return to;
}

void* memset(void* to, int value, size_t count) {
  for (size_t i = 0; i < count; ++i) ((volatile unsigned char*)to)[i] = (unsigned char)value;
  return to;
}

/* tests/targets/platform/linux.c: a process that knows two system calls, for x86-64, AArch64 and RISC-V. */

#include "harness.h"

static long system_call(long number, long a, long b, long c) {
#if defined(__x86_64__)
  long result;
  __asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
  return result;
#elif defined(__aarch64__)
  register long x8 __asm__("x8") = number;
  register long x0 __asm__("x0") = a;
  register long x1 __asm__("x1") = b;
  register long x2 __asm__("x2") = c;
  __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2) : "memory");
  return x0;
#else
  register long a7 __asm__("a7") = number;
  register long a0 __asm__("a0") = a;
  register long a1 __asm__("a1") = b;
  register long a2 __asm__("a2") = c;
  __asm__ volatile("ecall" : "+r"(a0) : "r"(a7), "r"(a1), "r"(a2) : "memory");
  return a0;
#endif
}

#if defined(__x86_64__)
enum { kWrite = 1, kExit = 60 };
#else
enum { kWrite = 64, kExit = 93 };
#endif

void put(const char* text) {
  size_t length = 0;
  while (text[length] != 0) ++length;
  system_call(kWrite, 1, (long)text, (long)length);
}

__attribute__((used)) static void start(void) { system_call(kExit, run_cases() != 0, 0, 0); }

/* The stack that a process starts with is aligned, but a call would have moved it. */
#if defined(__x86_64__)
__asm__(".globl _start\n_start:\n  call start\n");
#elif defined(__aarch64__)
__asm__(".globl _start\n_start:\n  bl start\n");
#else
__asm__(
    ".globl _start\n_start:\n  .option push\n  .option norelax\n  la gp, __global_pointer$\n  .option pop\n  call "
    "start\n");
#endif

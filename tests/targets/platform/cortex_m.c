/* tests/targets/platform/cortex_m.c: reset, floating point, and a debugger (semihosting) that prints and ends the run.
 */

#include "harness.h"

extern unsigned char stack_begin[], stack_end[];

static int semihosting(int operation, const void* argument) {
  register int r0 __asm__("r0") = operation;
  register const void* r1 __asm__("r1") = argument;
  __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
  return r0;
}

enum { kWrite0 = 0x04, kExit = 0x18 };

void put(const char* text) { semihosting(kWrite0, text); }

static void leave(void) {
  const uintptr_t application_exit = 0x20026;
  semihosting(kExit, (const void*)application_exit);
  for (;;) {
  }
}

static void fault(void) {
  put("fault\n");
  leave();
}

static void reset(void) {
  /* Full access to the coprocessors 10 and 11: floating point, and vectors where there are some. */
  *(volatile uint32_t*)0xE000ED88 |= 0xFu << 20;
  __asm__ volatile("dsb\n  isb" ::: "memory");
#if __ARM_ARCH >= 8
  /* A push below the stack faults. */
  __asm__ volatile("msr msplim, %0" ::"r"(stack_begin));
#endif
  put(run_cases() == 0 ? "PASS\n" : "FAIL\n");
  leave();
}

typedef void (*handler)(void);
__attribute__((section(".vectors"), used)) static const handler vectors[16] = {
    (handler)stack_end,
    reset,
    fault,
    fault,
    fault,
    fault,
    fault,
    fault,
    fault,
    fault,
    fault,
    fault,
    fault,
    fault,
    fault,
    fault,
};

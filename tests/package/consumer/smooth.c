/* Runs the compiled smoother over a step, in C99 and without anything of Recurve but the object and its header. */
#include <stdio.h>
#include <stdlib.h>

#include "smoother.h"

static void* aligned(size_t bytes) {
  char* memory = malloc(bytes + 64);
  if (memory == NULL) exit(2);
  return memory + (64 - (uintptr_t)memory % 64) % 64;
}

int main(void) {
  float parameters[3][8], P[8], x[4] = {0, 1, 1, 1}, y[4], h[8] = {0};
  void *packed = aligned(SMOOTHER_PACKED_BYTES), *workspace = aligned(smoother_workspace_bytes(4, 1));
  struct smoother_pack_args pack = {0};
  struct smoother_inference_args run = {0};
  int i, t;
  for (i = 0; i < 8; ++i) {
    parameters[0][i] = 0.1f * (float)(i + 1); /* W */
    parameters[1][i] = 0.1f * (float)i;       /* u */
    parameters[2][i] = 0;                     /* b */
    P[i] = 0.125f;
  }
  pack.P = P;
  pack.h_W = parameters[0];
  pack.h_u = parameters[1];
  pack.h_b = parameters[2];
  pack.packed = packed;
  pack.workspace = workspace;
  smoother_pack(&pack);
  run.T = 4;
  run.B = 1;
  run.x = x;
  run.h_h0 = h;
  run.h_u = parameters[1];
  run.h_b = parameters[2];
  run.y = y;
  run.packed = packed;
  run.workspace = workspace;
  smoother_inference(&run);
  for (t = 0; t < 4; ++t) printf("%g\n", (double)y[t]);
  return 0;
}

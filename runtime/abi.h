/* runtime/abi.h: the binary interface between a compiled program and whoever calls it. C99 and C++.
 *
 * A compiled program is one constant, `recurve_program`, which a JIT hands out and an object file exports as
 * NAME_program. It names every entry (forward, backward, step, pack, ...) and describes the slots of each.
 *
 * An entry takes one pointer to an array of slots, each as wide as a pointer: sizes of the symbolic axes first, then
 * pointers to tensors. A C caller writes the same bytes as a struct with named members (the generated header):
 *
 *     struct lstm_forward_args { size_t T, B; const float *x, *h0, *c0; float *y, *hT, *cT; const void *packed; ... };
 *
 * Tensors are dense, row-major, time-first ([T, B, ...]), of the program's precision; index tensors are int32_t.
 * Pointers want the alignment of their element; packed, tape and workspace want RECURVE_ALIGNMENT bytes.
 * Entries never allocate, lock, print or call a library. Two calls may run at once unless they share a buffer that
 * one of them writes.
 */

#ifndef RECURVE_RUNTIME_ABI_H_
#define RECURVE_RUNTIME_ABI_H_

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define RECURVE_ABI_VERSION 3
#define RECURVE_ALIGNMENT 64
#define RECURVE_MAX_AXES 8

/* Threads that a caller lends to a call; null is the calling thread alone. A call that has work for `count` threads
 * gives parallel_for one body, which any pool can run; one that is too small does not. Results are the same bits
 * however many bodies run at once. Without `barrier` a body that runs too late to take part returns at once, and those
 * that do take part meet by atomic operations, without giving their processors up. Guarded, since generated headers
 * hold the same lines and may be included before or after this one. */
#ifndef RECURVE_TEAM_DEFINED
#define RECURVE_TEAM_DEFINED
struct recurve_team {
  size_t count; /* bodies to run, at least 1 */
  /* Calls body(call, i) once for every i below count, in any threads and order, and returns when all have returned. */
  void (*parallel_for)(const struct recurve_team* team, void (*body)(void* call, size_t i), void* call);
  /* Returns when bodies 0 to count - 1 have called it. Only where parallel_for runs all of them at once; else null. */
  void (*barrier)(const struct recurve_team* team, size_t i);
  void* context; /* the caller's own */
};
#endif

enum recurve_slot_kind {
  RECURVE_SLOT_EXTENT,    /* size_t: the size of a symbolic axis */
  RECURVE_SLOT_INPUT,     /* const pointer to data */
  RECURVE_SLOT_PARAMETER, /* const pointer to a trained parameter */
  RECURVE_SLOT_CONSTANT,  /* const pointer to a parameter that is never trained */
  RECURVE_SLOT_STATE,     /* const pointer to an initial state; in `step` and `update`: pointer to what is read and
                             overwritten */
  RECURVE_SLOT_ADJOINT,   /* const pointer to dL/d(output of the same name without `_adj`); null means zero */
  RECURVE_SLOT_OUTPUT,    /* pointer that the entry overwrites; null where the value is not wanted */
  RECURVE_SLOT_PACKED,    /* program.packed_bytes, written by `pack`, read by the others */
  RECURVE_SLOT_TAPE,      /* what forward saves for backward */
  RECURVE_SLOT_WORKSPACE, /* scratch, contents undefined before and after */
  RECURVE_SLOT_TEAM       /* const struct recurve_team*, or null */
};

/* A parameter of a program, as NAME_info lists them for C programs that load weights. Guarded like the team. */
#ifndef RECURVE_TENSOR_DEFINED
#define RECURVE_TENSOR_DEFINED
struct recurve_tensor {
  const char* name;
  const int64_t* dims; /* `rank` of them; the tensor is dense and row-major */
  int32_t rank;
  int32_t is_trained;
};
#endif

/* A size: >= 0 is a constant, -1 - k is axis k of the program. */
typedef int64_t recurve_dim;

/* The classes of an index that is a number and counts none: a seed, the length of a sequence. */
#define RECURVE_ANY_INDEX ((int64_t)1 << 24)

struct recurve_slot {
  const char* name; /* "x", "W", "h0", "hT", "y_adj", ... */
  int32_t kind;     /* enum recurve_slot_kind */
  int32_t is_index; /* elements are int32_t instead of the program's precision */
  int32_t rank;
  const recurve_dim* dims;
  int64_t classes; /* of an index tensor: values are in [0, classes) */
  int32_t init; /* parameters: 0 constant init_a, 1 uniform [init_a, init_b), 2 normal(mean init_a, deviation init_b) */
  double init_a, init_b;
};

struct recurve_entry {
  const char* name; /* "forward", "inference", "backward", "step", "reset", "encode", "update", "evaluate",
                       "pack" */
  void (*run)(const void* slots);
  /* Bytes of workspace for these sizes of the program's axes; null when none is needed. */
  size_t (*workspace_bytes)(const size_t* extents);
  int32_t slot_count;
  const struct recurve_slot* slots;
};

struct recurve_program {
  int32_t abi_version;
  const char* name;
  const char* target;    /* what it was compiled for, for people */
  int32_t element_bytes; /* 4 or 8 */
  int32_t axis_count;
  const char* const* axes; /* names of the symbolic axes, e.g. "T", "B" */
  size_t packed_bytes;
  size_t (*tape_bytes)(const size_t* extents); /* null when there is no backward entry */
  int32_t entry_count;
  const struct recurve_entry* entries;
};

#ifdef __cplusplus
}
#endif

#endif /* RECURVE_RUNTIME_ABI_H_ */

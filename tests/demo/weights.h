/* tests/demo/weights.h: reads trained weights in C11, as small as it can be.
 *
 * A safetensors file is the length of a header (8 bytes, little endian), the header (JSON) and the values. The files
 * that `recurve train` writes have no spaces or escapes in the parts that are looked for here; a reader for any file
 * wants a JSON parser. Everything that is wrong ends the program with a message.
 */
#ifndef RECURVE_TESTS_DEMO_WEIGHTS_H_
#define RECURVE_TESTS_DEMO_WEIGHTS_H_

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static _Noreturn void fail(const char* what, const char* name) {
  fprintf(stderr, "%s: %s\n", what, name);
  exit(2);
}

/* The whole of a file and a zero byte behind it, in memory that malloc gave. */
static char* read_file(const char* path, size_t* bytes) {
  FILE* file = fopen(path, "rb");
  char* contents;
  long size;
  if (file == NULL || fseek(file, 0, SEEK_END) != 0 || (size = ftell(file)) < 0) fail("cannot read", path);
  rewind(file);
  contents = (char*)malloc((size_t)size + 1);
  if (contents == NULL || fread(contents, 1, (size_t)size, file) != (size_t)size) fail("cannot read", path);
  fclose(file);
  contents[size] = 0;
  *bytes = (size_t)size;
  return contents;
}

struct weights {
  char* header;       /* JSON, ended by a zero byte */
  const char* values; /* what offsets count from */
};

static struct weights read_weights(const char* path) {
  struct weights weights;
  size_t bytes;
  uint64_t length;
  char* contents = read_file(path, &bytes);
  if (bytes < 8) fail("not a safetensors file", path);
  memcpy(&length, contents, 8);
  if (length > bytes - 8) fail("not a safetensors file", path);
  weights.header = (char*)malloc(length + 1);
  if (weights.header == NULL) fail("no memory for", path);
  memcpy(weights.header, contents + 8, length);
  weights.header[length] = 0;
  weights.values = contents + 8 + length;
  return weights;
}

/* What stands behind "name": in the header. */
static const char* find_name(const struct weights* weights, const char* name) {
  char quoted[256];
  const char* found;
  snprintf(quoted, sizeof quoted, "\"%s\":", name);
  found = strstr(weights->header, quoted);
  if (found == NULL) fail("the weights lack", name);
  return found + strlen(quoted);
}

/* The values of a tensor of `count` floats, in memory that is aligned for them. */
static float* tensor(const struct weights* weights, const char* name, size_t count) {
  const char* offsets = strstr(find_name(weights, name), "\"data_offsets\":[");
  unsigned long long begin, end;
  float* values = (float*)malloc(count * sizeof(float));
  if (offsets == NULL || sscanf(offsets, "\"data_offsets\":[%llu,%llu]", &begin, &end) != 2 ||
      end - begin != count * sizeof(float))
    fail("another shape has", name);
  if (values == NULL) fail("no memory for", name);
  memcpy(values, weights->values + begin, count * sizeof(float));
  return values;
}

/* Memory for `packed`, `tape` and `workspace`. */
static void* aligned_bytes(size_t bytes) {
  void* memory = aligned_alloc(64, bytes == 0 ? 64 : (bytes + 63) / 64 * 64);
  if (memory == NULL) fail("no memory for", "a buffer");
  return memory;
}

#endif /* RECURVE_TESTS_DEMO_WEIGHTS_H_ */

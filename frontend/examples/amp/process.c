/* frontend/examples/amp/process.c: a real-time callback that sends a sound through an imported LSTM.
 *
 *     process IN.wav OUT.wav FRAMES
 *
 * The callback gets FRAMES samples at a time, as an audio host would hand them over, and runs the model once a sample.
 * Whatever FRAMES is, the output is the same. On standard output: the share of the time that a host has for a block
 * which the callback took, in the middle and at its longest. The longest one also has what else the machine did.
 */
#define _POSIX_C_SOURCE 199309L
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "amp.h"

static struct amp_stream stream;

/* No memory is taken, nothing is locked, and every sample costs the same. */
static void callback(const float* in, float* out, size_t frames) {
  for (size_t i = 0; i < frames; ++i) amp_stream_step(&stream, in + i, out + i);
}

static double seconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static int by_value(const void* a, const void* b) {
  const double x = *(const double*)a, y = *(const double*)b;
  return (x > y) - (x < y);
}

static void fail(const char* what) {
  fprintf(stderr, "process: %s\n", what);
  exit(2);
}

/* The header of the one form that is read: 16 bits, mono, samples right behind it. */
enum { kHeader = 44 };

static unsigned number_at(const unsigned char* bytes, int count) {
  unsigned number = 0;
  while (count-- > 0) number = number << 8 | bytes[count];
  return number;
}

int main(int count, char** arguments) {
  unsigned char header[kHeader];
  if (count != 4) fail("usage: process IN.wav OUT.wav FRAMES");
  const size_t frames = strtoul(arguments[3], NULL, 10);
  FILE *in = fopen(arguments[1], "rb"), *out = fopen(arguments[2], "wb");
  if (in == NULL || out == NULL || frames == 0) fail("can't open the files, or no frames in a block");
  if (fread(header, 1, kHeader, in) != kHeader || memcmp(header + 36, "data", 4) != 0 ||
      number_at(header + 22, 2) != 1 || number_at(header + 34, 2) != 16)
    fail("the sound is not mono of 16 bits");
  const double rate = number_at(header + 24, 4);
  const size_t samples = number_at(header + 40, 4) / 2;
  unsigned char* bytes = malloc(2 * samples);
  float *sound = malloc(samples * sizeof *sound), *result = malloc(samples * sizeof *result);
  double* shares = malloc((samples / frames + 1) * sizeof *shares);
  if (bytes == NULL || sound == NULL || result == NULL || shares == NULL) fail("no memory");
  if (fread(bytes, 2, samples, in) != samples) fail("the sound ends too soon");
  for (size_t i = 0; i < samples; ++i) sound[i] = (float)(int16_t)number_at(bytes + 2 * i, 2) / 32768;

  amp_stream_reset(&stream);
  size_t blocks = 0;
  for (size_t at = 0; at < samples; at += frames) {
    const size_t now = samples - at < frames ? samples - at : frames;
    const double begin = seconds();
    callback(sound + at, result + at, now);
    shares[blocks++] = (seconds() - begin) * rate / (double)now;
  }
  for (size_t i = 0; i < samples; ++i) {
    const float value = result[i] < -1 ? -1 : result[i] > 1 ? 1 : result[i];
    const int whole = (int)(32767 * value);
    bytes[2 * i] = (unsigned char)(whole & 255);
    bytes[2 * i + 1] = (unsigned char)(whole >> 8 & 255);
  }
  if (fwrite(header, 1, kHeader, out) != kHeader || fwrite(bytes, 2, samples, out) != samples || fclose(out) != 0)
    fail("can't write the result");
  /* The exact results, beside the sound of 16 bits. */
  double sum = 0;
  for (size_t i = 0; i < samples; ++i) sum = sum * 0.999 + (double)result[i];
  qsort(shares, blocks, sizeof *shares, by_value);
  printf("%zu frames a block: %.2f %% of real time in the middle, %.2f %% at most; checksum %a\n", frames,
         100 * shares[blocks / 2], 100 * shares[blocks - 1], sum);
  return 0;
}

/* tests/demo/sunspots.c: the trained sunspot model as an exported object, one year ahead.
 *
 *   sunspots WEIGHTS DATA.csv FIRST LENGTH
 *
 * Prints, for each row of DATA from FIRST on, what the model predicts from the LENGTH rows before it, as `recurve
 * forecast` does. The weight file's metadata holds the mean and the deviation that values were standardized with.
 */
#include "sunspots.h"

#include "weights.h"

enum { kMostRows = 4096 };

/* The second column of a CSV file with comments, a title row and two columns. */
static size_t read_column(const char* path, double* values) {
  size_t bytes, rows = 0;
  char* line = strtok(read_file(path, &bytes), "\n");
  for (; line != NULL && rows < kMostRows; line = strtok(NULL, "\n")) {
    if (sscanf(line, "%*f,%lf", &values[rows]) == 1) ++rows;
  }
  return rows;
}

int main(int argc, char** argv) {
  enum { H = sunspots_H };
  static double values[kMostRows];
  static float x[kMostRows], prediction[kMostRows];
  float h[H] = {0}, c[H] = {0};
  double mean, deviation;
  size_t rows, row, first, length, i;
  if (argc != 5) fail("usage", "sunspots WEIGHTS DATA.csv FIRST LENGTH");
  const struct weights weights = read_weights(argv[1]);
  if (sscanf(find_name(&weights, "standardization"), "\"%lf %lf", &mean, &deviation) != 2)
    fail("no mean and deviation in", argv[1]);
  rows = read_column(argv[2], values);
  first = (size_t)atoi(argv[3]);
  length = (size_t)atoi(argv[4]);
  float *P = tensor(&weights, "P", H), *p = tensor(&weights, "p", 1);
  float *W = tensor(&weights, "h.W", 4 * H), *U = tensor(&weights, "h.U", 4 * H * H),
        *b = tensor(&weights, "h.b", 4 * H);
  void *packed = aligned_bytes(SUNSPOTS_PACKED_BYTES), *workspace = aligned_bytes(sunspots_workspace_bytes(length, 1));

  struct sunspots_pack_args pack = {
      .P = P, .p = p, .h_W = W, .h_U = U, .h_b = b, .packed = packed, .workspace = workspace};
  sunspots_pack(&pack);
  for (row = first; row < rows; ++row) {
    const size_t T = row < length ? row : length;
    for (i = 0; i < T; ++i) x[i] = (float)((values[row - T + i] - mean) / deviation);
    struct sunspots_inference_args inference = {.T = T,
                                                .B = 1,
                                                .x = x,
                                                .h_h0 = h,
                                                .h_c0 = c,
                                                .p = p,
                                                .h_b = b,
                                                .prediction = prediction,
                                                .packed = packed,
                                                .workspace = workspace};
    sunspots_inference(&inference);
    printf("%.9g\n", prediction[T - 1] * deviation + mean);
  }
  return 0;
}

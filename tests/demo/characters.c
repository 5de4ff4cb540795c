/* tests/demo/characters.c: the trained character model as an exported object, writing greedily.
 *
 *   characters WEIGHTS TEXT PROMPT COUNT
 *
 * Characters are numbered by their place among those that TEXT has. Every step the likeliest next one is taken, so that
 * the output is that of `recurve sample --temperature=0`.
 */
#include "characters.h"

#include "weights.h"

static unsigned char symbols[256]; /* of token 0, 1, ... */
static int32_t token_of[256];

static void read_symbols(const char* path) {
  size_t bytes, i;
  int count = 0, c;
  const unsigned char* text = (const unsigned char*)read_file(path, &bytes);
  static char seen[256];
  for (i = 0; i < bytes; ++i) seen[text[i]] = 1;
  for (c = 0; c < 256; ++c) {
    if (!seen[c]) continue;
    symbols[count] = (unsigned char)c;
    token_of[c] = count++;
  }
  if (count != characters_V) fail("another number of characters has", path);
}

int main(int argc, char** argv) {
  enum { V = characters_V, E = characters_E, H = characters_H };
  int32_t token;
  float logits[V], h[H], c[H];
  int i, k, count;
  if (argc != 5) fail("usage", "characters WEIGHTS TEXT PROMPT COUNT");
  const struct weights weights = read_weights(argv[1]);
  read_symbols(argv[2]);
  float *table = tensor(&weights, "table", V * E), *P = tensor(&weights, "P", V * H), *p = tensor(&weights, "p", V);
  float *W = tensor(&weights, "h.W", 4 * H * E), *U = tensor(&weights, "h.U", 4 * H * H);
  float* b = tensor(&weights, "h.b", 4 * H);
  void *packed = aligned_bytes(CHARACTERS_PACKED_BYTES), *workspace = aligned_bytes(characters_workspace_bytes(1, 1));

  struct characters_pack_args pack = {
      .table = table, .P = P, .p = p, .h_W = W, .h_U = U, .h_b = b, .packed = packed, .workspace = workspace};
  characters_pack(&pack);
  struct characters_step_args step = {.B = 1,
                                      .tokens = &token,
                                      .h_h = h,
                                      .h_c = c,
                                      .table = table,
                                      .p = p,
                                      .h_b = b,
                                      .logits = logits,
                                      .packed = packed,
                                      .workspace = workspace};
  memset(h, 0, sizeof h);
  memset(c, 0, sizeof c);
  for (i = 0; argv[3][i] != 0; ++i) {
    token = token_of[(unsigned char)argv[3][i]];
    characters_step(&step);
  }
  printf("%s", argv[3]);
  for (count = atoi(argv[4]); count > 0; --count) {
    token = 0;
    for (k = 1; k < V; ++k) {
      if (logits[k] > logits[token]) token = k;
    }
    putchar(symbols[token]);
    characters_step(&step);
  }
  putchar('\n');
  return 0;
}

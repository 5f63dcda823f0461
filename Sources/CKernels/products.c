// The inner loops of convolutions: the sums stay in registers, one multiply-add an operand.
#include "products.h"

enum { GROUP = LANES / 2 };

#define NNK_PRODUCTS(NAME, TARGET, VECTORS, FUSED, WORDS)                                                             \
  TARGET static void NAME(const uint32_t *const *planes, ptrdiff_t count, const uint32_t *weight, ptrdiff_t blocks,    \
                          float *out) {                                                                               \
    nnk_vector s[TILES][VECTORS];                                                                                     \
    UNROLLED for (int t = 0; t < TILES; ++t)                                                                          \
      UNROLLED for (int v = 0; v < VECTORS; ++v) s[t][v] = vector_all(0);                                             \
    for (ptrdiff_t k = 0; k < count; ++k) {                                                                           \
      if (!planes[k]) {                                                                                               \
        weight += blocks * WORDS * VECTORS * LANES;                                                                   \
        continue;                                                                                                     \
      }                                                                                                               \
      const uint32_t *x = planes[k];                                                                                  \
      for (ptrdiff_t b = 0; b < blocks; ++b, x += TILES * WORDS)                                                      \
        UNROLLED for (int c = 0; c < WORDS; ++c, weight += VECTORS * LANES) {                                         \
          nnk_words w[VECTORS];                                                                                       \
          UNROLLED for (int v = 0; v < VECTORS; ++v) w[v] = words_load(weight + v * LANES);                           \
          UNROLLED for (int t = 0; t < TILES; ++t)                                                                    \
            UNROLLED for (int v = 0; v < VECTORS; ++v) s[t][v] = FUSED(s[t][v], w[v], x[t * WORDS + c]);              \
        }                                                                                                             \
    }                                                                                                                 \
    UNROLLED for (int t = 0; t < TILES; ++t)                                                                          \
      UNROLLED for (int v = 0; v < VECTORS; ++v) vector_store(out + (t * VECTORS + v) * LANES, s[t][v]);              \
  }
NNK_PRODUCTS(products2_float32, WIDE, 2, FUSED_FLOAT32, LANES)
NNK_PRODUCTS(products1_float32, WIDE, 1, FUSED_FLOAT32, LANES)
#ifndef NNK_AVX2
NNK_PRODUCTS(products2_bfloat16, AVX512_BF16, 2, FUSED_BFLOAT16, LANES / 2)
NNK_PRODUCTS(products1_bfloat16, AVX512_BF16, 1, FUSED_BFLOAT16, LANES / 2)
#endif

void nnk_products(nnk_type type, int vectors, const uint32_t *const *planes, ptrdiff_t count, const uint32_t *weight,
                  ptrdiff_t blocks, float *out) {
#ifndef NNK_AVX2
  if (type != NNK_FLOAT32) {
    (vectors == 2 ? products2_bfloat16 : products1_bfloat16)(planes, count, weight, blocks, out);
    return;
  }
#endif
  (vectors == 2 ? products2_float32 : products1_float32)(planes, count, weight, blocks, out);
}

#define NNK_SUMS(NAME, TARGET, VECTORS, FUSED)                                                                        \
  TARGET static void NAME(const uint32_t *x, const uint32_t *d, ptrdiff_t block, ptrdiff_t count, float *sums) {       \
    nnk_vector s[GROUP][VECTORS];                                                                                     \
    UNROLLED for (int c = 0; c < GROUP; ++c)                                                                          \
      UNROLLED for (int v = 0; v < VECTORS; ++v) s[c][v] = vector_load(sums + (c * VECTORS + v) * LANES);             \
    for (ptrdiff_t t = 0; t < count; ++t, x += LANES, d += LANES) {                                                   \
      nnk_words w[VECTORS];                                                                                           \
      UNROLLED for (int v = 0; v < VECTORS; ++v) w[v] = words_load(d + v * block);                                    \
      UNROLLED for (int c = 0; c < GROUP; ++c)                                                                        \
        UNROLLED for (int v = 0; v < VECTORS; ++v) s[c][v] = FUSED(s[c][v], w[v], x[c]);                              \
    }                                                                                                                 \
    UNROLLED for (int c = 0; c < GROUP; ++c)                                                                          \
      UNROLLED for (int v = 0; v < VECTORS; ++v) vector_store(sums + (c * VECTORS + v) * LANES, s[c][v]);             \
  }
NNK_SUMS(sums2_float32, WIDE, 2, FUSED_FLOAT32)
NNK_SUMS(sums1_float32, WIDE, 1, FUSED_FLOAT32)
#ifndef NNK_AVX2
NNK_SUMS(sums2_bfloat16, AVX512_BF16, 2, FUSED_BFLOAT16)
NNK_SUMS(sums1_bfloat16, AVX512_BF16, 1, FUSED_BFLOAT16)
#endif

void nnk_sums(nnk_type type, int vectors, const uint32_t *x, const uint32_t *d, ptrdiff_t block, ptrdiff_t count, float *sums) {
  for (int c = 0; c < LANES; c += GROUP) {
    float *to = sums + c * vectors * LANES;
#ifndef NNK_AVX2
    if (type != NNK_FLOAT32) {
      (vectors == 2 ? sums2_bfloat16 : sums1_bfloat16)(x + c, d, block, count, to);
      continue;
    }
#endif
    (vectors == 2 ? sums2_float32 : sums1_float32)(x + c, d, block, count, to);
  }
}

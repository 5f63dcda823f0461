// The inner loops of convolutions on AVX-512: 24 sums of 16 channels in registers, one multiply-add an operand.
#include "products.h"

enum { GROUP = 8 };

#define FUSED_FLOAT32(S, W, X) \
  _mm512_fmadd_ps(_mm512_castsi512_ps(W), _mm512_castsi512_ps(_mm512_set1_epi32((int)(X))), S)
#define FUSED_BFLOAT16(S, W, X) _mm512_dpbf16_ps(S, (__m512bh)(W), (__m512bh)_mm512_set1_epi32((int)(X)))

#define NNK_PRODUCTS(NAME, TARGET, VECTORS, FUSED, WORDS)                                                             \
  TARGET static void NAME(const uint32_t *const *planes, ptrdiff_t count, const uint32_t *weight, ptrdiff_t blocks,    \
                          float *out) {                                                                               \
    __m512 s[TILES][VECTORS];                                                                                         \
    UNROLLED for (int t = 0; t < TILES; ++t)                                                                          \
      UNROLLED for (int v = 0; v < VECTORS; ++v) s[t][v] = _mm512_setzero_ps();                                       \
    for (ptrdiff_t k = 0; k < count; ++k) {                                                                           \
      if (!planes[k]) {                                                                                               \
        weight += blocks * WORDS * VECTORS * LANES;                                                                   \
        continue;                                                                                                     \
      }                                                                                                               \
      const uint32_t *x = planes[k];                                                                                  \
      for (ptrdiff_t b = 0; b < blocks; ++b, x += TILES * WORDS)                                                      \
        UNROLLED for (int c = 0; c < WORDS; ++c, weight += VECTORS * LANES) {                                         \
          __m512i w[VECTORS];                                                                                         \
          UNROLLED for (int v = 0; v < VECTORS; ++v) w[v] = _mm512_loadu_si512(weight + v * LANES);                   \
          UNROLLED for (int t = 0; t < TILES; ++t)                                                                    \
            UNROLLED for (int v = 0; v < VECTORS; ++v) s[t][v] = FUSED(s[t][v], w[v], x[t * WORDS + c]);              \
        }                                                                                                             \
    }                                                                                                                 \
    UNROLLED for (int t = 0; t < TILES; ++t)                                                                          \
      UNROLLED for (int v = 0; v < VECTORS; ++v) _mm512_store_ps(out + (t * VECTORS + v) * LANES, s[t][v]);           \
  }
NNK_PRODUCTS(products2_float32, AVX512, 2, FUSED_FLOAT32, 16)
NNK_PRODUCTS(products1_float32, AVX512, 1, FUSED_FLOAT32, 16)
NNK_PRODUCTS(products2_bfloat16, AVX512_BF16, 2, FUSED_BFLOAT16, 8)
NNK_PRODUCTS(products1_bfloat16, AVX512_BF16, 1, FUSED_BFLOAT16, 8)

void nnk_products(nnk_type type, int vectors, const uint32_t *const *planes, ptrdiff_t count, const uint32_t *weight,
                  ptrdiff_t blocks, float *out) {
  if (type == NNK_FLOAT32) (vectors == 2 ? products2_float32 : products1_float32)(planes, count, weight, blocks, out);
  else (vectors == 2 ? products2_bfloat16 : products1_bfloat16)(planes, count, weight, blocks, out);
}

#define NNK_SUMS(NAME, TARGET, VECTORS, FUSED)                                                                        \
  TARGET static void NAME(const uint32_t *x, const uint32_t *d, ptrdiff_t block, ptrdiff_t count, float *sums) {       \
    __m512 s[GROUP][VECTORS];                                                                                         \
    UNROLLED for (int c = 0; c < GROUP; ++c)                                                                          \
      UNROLLED for (int v = 0; v < VECTORS; ++v) s[c][v] = _mm512_loadu_ps(sums + (c * VECTORS + v) * LANES);         \
    for (ptrdiff_t t = 0; t < count; ++t, x += LANES, d += LANES) {                                                   \
      __m512i w[VECTORS];                                                                                             \
      UNROLLED for (int v = 0; v < VECTORS; ++v) w[v] = _mm512_loadu_si512(d + v * block);                            \
      UNROLLED for (int c = 0; c < GROUP; ++c)                                                                        \
        UNROLLED for (int v = 0; v < VECTORS; ++v) s[c][v] = FUSED(s[c][v], w[v], x[c]);                              \
    }                                                                                                                 \
    UNROLLED for (int c = 0; c < GROUP; ++c)                                                                          \
      UNROLLED for (int v = 0; v < VECTORS; ++v) _mm512_storeu_ps(sums + (c * VECTORS + v) * LANES, s[c][v]);         \
  }
NNK_SUMS(sums2_float32, AVX512, 2, FUSED_FLOAT32)
NNK_SUMS(sums1_float32, AVX512, 1, FUSED_FLOAT32)
NNK_SUMS(sums2_bfloat16, AVX512_BF16, 2, FUSED_BFLOAT16)
NNK_SUMS(sums1_bfloat16, AVX512_BF16, 1, FUSED_BFLOAT16)

void nnk_sums(nnk_type type, int vectors, const uint32_t *x, const uint32_t *d, ptrdiff_t block, ptrdiff_t count, float *sums) {
  for (int c = 0; c < LANES; c += GROUP) {
    float *to = sums + c * vectors * LANES;
    if (type == NNK_FLOAT32) (vectors == 2 ? sums2_float32 : sums1_float32)(x + c, d, block, count, to);
    else (vectors == 2 ? sums2_bfloat16 : sums1_bfloat16)(x + c, d, block, count, to);
  }
}

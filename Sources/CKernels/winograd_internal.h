// What Winograd's convolution and its weight gradient share: the transform of the source, and constants.
#pragma once
#include <immintrin.h>
#include <stdint.h>
#include "nnk_internal.h"

#define AVX512 __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq")))
#define AVX512_BF16 __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512bf16")))
#define UNROLLED _Pragma("clang loop unroll(full)")

enum { LANES = 16, TILES = 12 };

#define NNK_FUSED_FLOAT32(S, W, X) \
  _mm512_fmadd_ps(_mm512_castsi512_ps(W), _mm512_castsi512_ps(_mm512_set1_epi32((int)(X))), S)
#define NNK_FUSED_BFLOAT16(S, W, X) _mm512_dpbf16_ps(S, (__m512bh)(W), (__m512bh)_mm512_set1_epi32((int)(X)))
#define NNK_LOAD_FLOAT32(P) _mm512_loadu_ps(P)
#define NNK_LOAD_BFLOAT16(P) \
  _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)(P))), 16))
#define NNK_STORE_FLOAT32(P, V) _mm512_storeu_ps(P, V)
#define NNK_STORE_BFLOAT16(P, V) _mm256_storeu_si256((__m256i *)(P), (__m256i)_mm512_cvtneps_pbh(V))

// A row of tiles of the source for one block of channels: position i of tile t at to[i * position + ...]; groups of TILES
// tiles follow each other after 16 positions. `lines` are the four rows of the source below the tiles.
void nnk_winograd_tiles_float32(const void *const *lines, ptrdiff_t width, ptrdiff_t columns, float *to, ptrdiff_t first,
                                ptrdiff_t position);
void nnk_winograd_tiles_bfloat16(const void *const *lines, ptrdiff_t width, ptrdiff_t columns, uint16_t *to, ptrdiff_t first,
                                 ptrdiff_t position);

// The same for sums over tiles, and for the gradient, of which a tile has two rows: words of 32 bits, in bfloat16 pairs of
// neighbouring tiles.
void nnk_winograd_source_words_float32(const void *const *lines, ptrdiff_t width, ptrdiff_t columns, uint32_t *to,
                                       ptrdiff_t first, ptrdiff_t position);
void nnk_winograd_source_words_bfloat16(const void *const *lines, ptrdiff_t width, ptrdiff_t columns, uint32_t *to,
                                        ptrdiff_t first, ptrdiff_t position);
void nnk_winograd_gradient_words_float32(const void *const *lines, ptrdiff_t width, ptrdiff_t columns, uint32_t *to,
                                         ptrdiff_t first, ptrdiff_t position);
void nnk_winograd_gradient_words_bfloat16(const void *const *lines, ptrdiff_t width, ptrdiff_t columns, uint32_t *to,
                                          ptrdiff_t first, ptrdiff_t position);

// Words whose lower halves are `even` and whose upper halves are `odd`, rounded to nearest even.
AVX512_BF16 NNK_INLINE __m512i nnk_paired(__m512 even, __m512 odd) {
  const __m512i order = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6, 21,
                                         5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
  return _mm512_permutexvar_epi16(order, (__m512i)_mm512_cvtne2ps_pbh(odd, even));
}

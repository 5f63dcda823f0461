// Products of blocks of 16 channels on AVX-512, and what the kernels made of them share.
#pragma once
#include <immintrin.h>
#include <stdint.h>
#include "nnk_engine.h"
#include "nnk_internal.h"

#define AVX512 __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq")))
#define AVX512_BF16 __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512bf16")))
#define UNROLLED _Pragma("clang loop unroll(full)")

// TILES rows beside each other and SPAN blocks of output channels fill the registers.
enum { LANES = 16, TILES = 12, SPAN = 2 };

#define NNK_LOAD_FLOAT32(P) _mm512_loadu_ps(P)
#define NNK_LOAD_BFLOAT16(P) \
  _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)(P))), 16))
#define NNK_STORE_FLOAT32(P, V) _mm512_storeu_ps(P, V)
#define NNK_STORE_BFLOAT16(P, V) _mm256_storeu_si256((__m256i *)(P), (__m256i)_mm512_cvtneps_pbh(V))

// out[row][vector][lane] = sum over planes, blocks and channels of rows and weights. A plane is [block][TILES][16 channels],
// NULL for zeros; weights are [plane][block][channel, or in bfloat16 pair of channels][vector][lane], in words of 32 bits.
void nnk_products(nnk_type type, int vectors, const uint32_t *const *planes, ptrdiff_t count, const uint32_t *weight,
                  ptrdiff_t blocks, float *out);
// sums[channel][vector][lane] += x . d over `count` rows of 16 words, in bfloat16 pairs of neighbouring rows; the second
// vector of d lies `block` words behind the first.
void nnk_sums(nnk_type type, int vectors, const uint32_t *x, const uint32_t *d, ptrdiff_t block, ptrdiff_t count, float *sums);

// Words whose lower halves are `even` and whose upper halves are `odd`, rounded to nearest even.
AVX512_BF16 NNK_INLINE __m512i nnk_paired(__m512 even, __m512 odd) {
  const __m512i order = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6, 21,
                                         5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
  return _mm512_permutexvar_epi16(order, (__m512i)_mm512_cvtne2ps_pbh(odd, even));
}

// Products of blocks of channels, and what the kernels made of them share. These sources are compiled twice: for AVX-512
// with blocks of 16 channels, and with NNK_AVX2 defined (the files *_avx2.c) for AVX2 with blocks of 8.
#pragma once
#include <immintrin.h>
#include <stdint.h>
#include "nnk_engine.h"
#include "nnk_internal.h"

#define AVX512 __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq")))
#define AVX512_BF16 __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512bf16")))
#define UNROLLED _Pragma("clang loop unroll(full)")

// TILES rows beside each other and SPAN blocks of output channels fill the registers.
#ifdef NNK_AVX2
#define NNK_VARIANT(NAME) NAME##_8
#define WIDE __attribute__((target("avx2,fma")))
#define WIDE_BF16 WIDE
enum { LANES = 8, TILES = 6, SPAN = 2 };
typedef __m256 nnk_vector;
typedef __m256i nnk_words;
#else
#define NNK_VARIANT(NAME) NAME##_16
#define WIDE AVX512
#define WIDE_BF16 AVX512_BF16
enum { LANES = 16, TILES = 12, SPAN = 2 };
typedef __m512 nnk_vector;
typedef __m512i nnk_words;
#endif

// What elements are multiplied as. AVX2 has no products of bfloat16: there it is only how activations are stored.
NNK_INLINE nnk_type nnk_inner(nnk_type type) { return LANES == 16 ? type : NNK_FLOAT32; }
// Elements in a word of 32 bits of the products' operands.
NNK_INLINE ptrdiff_t nnk_per_word(nnk_type type) { return nnk_inner(type) == NNK_FLOAT32 ? 1 : 2; }

#ifdef NNK_AVX2
WIDE NNK_INLINE nnk_vector vector_all(float value) { return _mm256_set1_ps(value); }
WIDE NNK_INLINE nnk_vector vector_load(const float *p) { return _mm256_loadu_ps(p); }
WIDE NNK_INLINE void vector_store(float *p, nnk_vector v) { _mm256_storeu_ps(p, v); }
WIDE NNK_INLINE nnk_vector vector_fused(nnk_vector a, nnk_vector b, nnk_vector sum) { return _mm256_fmadd_ps(a, b, sum); }
WIDE NNK_INLINE nnk_words words_all(uint32_t word) { return _mm256_set1_epi32((int)word); }
WIDE NNK_INLINE nnk_words words_load(const uint32_t *p) { return _mm256_loadu_si256((const __m256i *)p); }
WIDE NNK_INLINE nnk_vector vector_load_half(const uint16_t *p) {
  return (nnk_vector)_mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)p)), 16);
}
// Rounded to nearest even; what is not a number stays one.
WIDE NNK_INLINE void vector_store_half(uint16_t *p, nnk_vector v) {
  __m256i bits = (__m256i)v, odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
  __m256i rounded = _mm256_srli_epi32(_mm256_add_epi32(bits, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff))), 16);
  __m256i absent = (__m256i)_mm256_cmp_ps(v, v, _CMP_UNORD_Q);
  rounded = _mm256_blendv_epi8(rounded, _mm256_set1_epi32(0x7fc0), absent);
  _mm_storeu_si128((__m128i *)p, _mm_packus_epi32(_mm256_castsi256_si128(rounded), _mm256_extracti128_si256(rounded, 1)));
}
// The first `count` of every `stride`-th float, zeros behind them.
WIDE NNK_INLINE nnk_vector vector_gather(const float *p, ptrdiff_t stride, ptrdiff_t count) {
  const __m256i lanes = _mm256_set_epi32(7, 6, 5, 4, 3, 2, 1, 0);
  __m256i index = _mm256_mullo_epi32(lanes, _mm256_set1_epi32((int)stride));
  __m256i mask = _mm256_cmpgt_epi32(_mm256_set1_epi32(count < LANES ? (int)count : LANES), lanes);
  return _mm256_mask_i32gather_ps(_mm256_setzero_ps(), p, index, (__m256)mask, 4);
}
#else
WIDE NNK_INLINE nnk_vector vector_all(float value) { return _mm512_set1_ps(value); }
WIDE NNK_INLINE nnk_vector vector_load(const float *p) { return _mm512_loadu_ps(p); }
WIDE NNK_INLINE void vector_store(float *p, nnk_vector v) { _mm512_storeu_ps(p, v); }
WIDE NNK_INLINE nnk_vector vector_fused(nnk_vector a, nnk_vector b, nnk_vector sum) { return _mm512_fmadd_ps(a, b, sum); }
WIDE NNK_INLINE nnk_words words_all(uint32_t word) { return _mm512_set1_epi32((int)word); }
WIDE NNK_INLINE nnk_words words_load(const uint32_t *p) { return _mm512_loadu_si512(p); }
WIDE NNK_INLINE nnk_vector vector_load_half(const uint16_t *p) {
  return (nnk_vector)_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)p)), 16);
}
WIDE_BF16 NNK_INLINE void vector_store_half(uint16_t *p, nnk_vector v) {
  _mm256_storeu_si256((__m256i *)p, (__m256i)_mm512_cvtneps_pbh(v));
}
// The first `count` of every `stride`-th float, zeros behind them.
WIDE NNK_INLINE nnk_vector vector_gather(const float *p, ptrdiff_t stride, ptrdiff_t count) {
  const __m512i lanes = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
  __mmask16 mask = count >= LANES ? 0xffff : (__mmask16)((1u << count) - 1);
  return _mm512_mask_i32gather_ps(_mm512_setzero_ps(), mask, _mm512_mullo_epi32(lanes, _mm512_set1_epi32((int)stride)), p, 4);
}

// Words whose lower halves are `even` and whose upper halves are `odd`, rounded to nearest even.
AVX512_BF16 NNK_INLINE __m512i nnk_paired(__m512 even, __m512 odd) {
  const __m512i order = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6, 21,
                                         5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
  return _mm512_permutexvar_epi16(order, (__m512i)_mm512_cvtne2ps_pbh(odd, even));
}
// Words whose lower halves are the elements at `even` and whose upper halves those at `odd`; NULL is zero.
AVX512 NNK_INLINE __m512i nnk_pair_of(const uint16_t *even, const uint16_t *odd) {
  const __m256i none = _mm256_setzero_si256();
  __m512i low = _mm512_cvtepu16_epi32(even ? _mm256_loadu_si256((const __m256i *)even) : none);
  __m512i high = _mm512_cvtepu16_epi32(odd ? _mm256_loadu_si256((const __m256i *)odd) : none);
  return _mm512_or_si512(low, _mm512_slli_epi32(high, 16));
}
#endif

#define FUSED_FLOAT32(S, W, X) vector_fused((nnk_vector)(W), (nnk_vector)words_all(X), S)
#define FUSED_BFLOAT16(S, W, X) _mm512_dpbf16_ps(S, (__m512bh)(W), (__m512bh)words_all(X))

// out[row][vector][lane] = sum over planes, blocks and channels of rows and weights. A plane is [block][TILES][channel],
// NULL for zeros; weights are [plane][block][channel, or in bfloat16 pair of channels][vector][lane], in words of 32 bits.
// `type` is what is multiplied.
void NNK_VARIANT(nnk_products)(nnk_type type, int vectors, const uint32_t *const *planes, ptrdiff_t count,
                               const uint32_t *weight, ptrdiff_t blocks, float *out);
// sums[channel][vector][lane] += x . d over `count` rows of LANES words, in bfloat16 pairs of neighbouring rows; the second
// vector of d lies `block` words behind the first.
void NNK_VARIANT(nnk_sums)(nnk_type type, int vectors, const uint32_t *x, const uint32_t *d, ptrdiff_t block,
                           ptrdiff_t count, float *sums);
#define nnk_products NNK_VARIANT(nnk_products)
#define nnk_sums NNK_VARIANT(nnk_sums)

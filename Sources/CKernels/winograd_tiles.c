// Winograd's transforms of a row of 4 x 4 tiles that lie two voxels apart: B' d B of the source, and A d A' of the
// gradient for the weight gradient. Sixteen vectors of a block's channels a tile, one per position.
#include "winograd_internal.h"

// A column of four voxels of the source, transformed along y; zero outside.
#define NNK_SOURCE_COLUMN(NAME, ELEMENT, LOAD)                                                                        \
  WIDE NNK_INLINE void NAME(const void *const *lines, ptrdiff_t x, ptrdiff_t width, nnk_vector c[4]) {                 \
    if (x < 0 || x >= width) {                                                                                        \
      UNROLLED for (int i = 0; i < 4; ++i) c[i] = vector_all(0);                                                      \
      return;                                                                                                         \
    }                                                                                                                 \
    nnk_vector d[4];                                                                                                  \
    UNROLLED for (int i = 0; i < 4; ++i) d[i] = LOAD((const ELEMENT *)lines[i] + x * LANES);                          \
    c[0] = d[0] - d[2];                                                                                               \
    c[1] = d[1] + d[2];                                                                                               \
    c[2] = d[2] - d[1];                                                                                               \
    c[3] = d[1] - d[3];                                                                                               \
  }
NNK_SOURCE_COLUMN(source_column_float32, float, vector_load)
NNK_SOURCE_COLUMN(source_column_bfloat16, uint16_t, vector_load_half)

// Four columns' element i as the four positions of row i.
WIDE NNK_INLINE void source_row(const nnk_vector *a, const nnk_vector *b, const nnk_vector *c, const nnk_vector *d, int i,
                                nnk_vector v[4]) {
  v[0] = a[i] - c[i];
  v[1] = b[i] + c[i];
  v[2] = c[i] - b[i];
  v[3] = b[i] - d[i];
}

// A column of two voxels of the gradient, likewise.
#define NNK_GRADIENT_COLUMN(NAME, ELEMENT, LOAD)                                                                      \
  WIDE NNK_INLINE void NAME(const void *const *lines, ptrdiff_t x, ptrdiff_t width, nnk_vector c[4]) {                 \
    if (x >= width) {                                                                                                 \
      UNROLLED for (int i = 0; i < 4; ++i) c[i] = vector_all(0);                                                      \
      return;                                                                                                         \
    }                                                                                                                 \
    nnk_vector d0 = LOAD((const ELEMENT *)lines[0] + x * LANES), d1 = LOAD((const ELEMENT *)lines[1] + x * LANES);    \
    c[0] = d0;                                                                                                        \
    c[1] = d0 + d1;                                                                                                   \
    c[2] = d0 - d1;                                                                                                   \
    c[3] = vector_all(0) - d1;                                                                                        \
  }
NNK_GRADIENT_COLUMN(gradient_column_float32, float, vector_load)
NNK_GRADIENT_COLUMN(gradient_column_bfloat16, uint16_t, vector_load_half)

WIDE NNK_INLINE void gradient_row(const nnk_vector *a, const nnk_vector *b, int i, nnk_vector v[4]) {
  v[0] = a[i];
  v[1] = a[i] + b[i];
  v[2] = a[i] - b[i];
  v[3] = vector_all(0) - b[i];
}

// MARK: - Tiles in groups, one vector after the other

// ELEMENT is what is multiplied; the column knows what is stored.
#define NNK_TILES(NAME, TARGET, ELEMENT, COLUMN, STORE)                                                               \
  TARGET static void NAME(const void *const *lines, ptrdiff_t width, ptrdiff_t columns, ELEMENT *to, ptrdiff_t first,  \
                          ptrdiff_t position) {                                                                       \
    nnk_vector a[4], b[4], c[4], d[4], v[4];                                                                          \
    COLUMN(lines, -1, width, a);                                                                                      \
    COLUMN(lines, 0, width, b);                                                                                       \
    ptrdiff_t lane = first % TILES;                                                                                   \
    to += first / TILES * 16 * position;                                                                              \
    for (ptrdiff_t t = 0; t < columns; ++t) {                                                                         \
      COLUMN(lines, 2 * t + 1, width, c);                                                                             \
      COLUMN(lines, 2 * t + 2, width, d);                                                                             \
      ELEMENT *p = to + lane * LANES;                                                                                 \
      UNROLLED for (int i = 0; i < 4; ++i) {                                                                          \
        source_row(a, b, c, d, i, v);                                                                                 \
        UNROLLED for (int j = 0; j < 4; ++j, p += position) STORE(p, v[j]);                                           \
        a[i] = c[i];                                                                                                  \
        b[i] = d[i];                                                                                                  \
      }                                                                                                               \
      if (++lane == TILES) lane = 0, to += 16 * position;                                                             \
    }                                                                                                                 \
  }
NNK_TILES(tiles_float32, WIDE, float, source_column_float32, vector_store)
#ifdef NNK_AVX2
NNK_TILES(tiles_bfloat16, WIDE, float, source_column_bfloat16, vector_store)
#else
NNK_TILES(tiles_bfloat16, WIDE_BF16, uint16_t, source_column_bfloat16, vector_store_half)
#endif

void nnk_winograd_tiles(nnk_type type, const void *const *lines, ptrdiff_t width, ptrdiff_t columns, void *to,
                        ptrdiff_t first, ptrdiff_t position) {
  if (type == NNK_FLOAT32) tiles_float32(lines, width, columns, to, first, position);
  else tiles_bfloat16(lines, width, columns, to, first, position);
}

// MARK: - Tiles for sums over tiles: words of 32 bits, a float or in bfloat16 a pair of neighbouring tiles

// A row of tiles as floats; `first` is the number of the first, `position` and `to` count words.
#define NNK_SOURCE_WORDS(NAME, COLUMN)                                                                                \
  WIDE static void NAME(const void *const *lines, ptrdiff_t width, ptrdiff_t columns, uint32_t *to, ptrdiff_t first,   \
                        ptrdiff_t position) {                                                                         \
    nnk_vector a[4], b[4], c[4], d[4], v[4];                                                                          \
    COLUMN(lines, -1, width, a);                                                                                      \
    COLUMN(lines, 0, width, b);                                                                                       \
    to += first * LANES;                                                                                              \
    for (ptrdiff_t t = 0; t < columns; ++t, to += LANES) {                                                            \
      COLUMN(lines, 2 * t + 1, width, c);                                                                             \
      COLUMN(lines, 2 * t + 2, width, d);                                                                             \
      uint32_t *p = to;                                                                                               \
      UNROLLED for (int i = 0; i < 4; ++i) {                                                                          \
        source_row(a, b, c, d, i, v);                                                                                 \
        UNROLLED for (int j = 0; j < 4; ++j, p += position) vector_store((float *)p, v[j]);                           \
        a[i] = c[i];                                                                                                  \
        b[i] = d[i];                                                                                                  \
      }                                                                                                               \
    }                                                                                                                 \
  }

#define NNK_GRADIENT_WORDS(NAME, COLUMN)                                                                              \
  WIDE static void NAME(const void *const *lines, ptrdiff_t width, ptrdiff_t columns, uint32_t *to, ptrdiff_t first,   \
                        ptrdiff_t position) {                                                                         \
    nnk_vector a[4], b[4], v[4];                                                                                      \
    to += first * LANES;                                                                                              \
    for (ptrdiff_t t = 0; t < columns; ++t, to += LANES) {                                                            \
      COLUMN(lines, 2 * t, width, a);                                                                                 \
      COLUMN(lines, 2 * t + 1, width, b);                                                                             \
      uint32_t *p = to;                                                                                               \
      UNROLLED for (int i = 0; i < 4; ++i) {                                                                          \
        gradient_row(a, b, i, v);                                                                                     \
        UNROLLED for (int j = 0; j < 4; ++j, p += position) vector_store((float *)p, v[j]);                           \
      }                                                                                                               \
    }                                                                                                                 \
  }
NNK_SOURCE_WORDS(source_words_float32, source_column_float32)
NNK_GRADIENT_WORDS(gradient_words_float32, gradient_column_float32)

#ifdef NNK_AVX2
NNK_SOURCE_WORDS(source_words_bfloat16, source_column_bfloat16)
NNK_GRADIENT_WORDS(gradient_words_bfloat16, gradient_column_bfloat16)
#else
// One tile on its own: an even one leaves room for its neighbour, an odd one joins what is there.
AVX512_BF16 NNK_INLINE void store_half(uint32_t *p, nnk_vector v, int is_odd) {
  __m512i half = _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(v));
  if (is_odd) half = _mm512_or_si512(_mm512_slli_epi32(half, 16), _mm512_loadu_si512(p));
  _mm512_storeu_si512(p, half);
}

AVX512_BF16 static void source_words_bfloat16(const void *const *lines, ptrdiff_t width, ptrdiff_t columns, uint32_t *to,
                                              ptrdiff_t first, ptrdiff_t position) {
  nnk_vector a[4], b[4], c[4], d[4], e[4], f[4], v[4], w[4];
  source_column_bfloat16(lines, -1, width, a);
  source_column_bfloat16(lines, 0, width, b);
  for (ptrdiff_t t = 0; t < columns;) {
    uint32_t *p = to + (first + t) / 2 * LANES;
    source_column_bfloat16(lines, 2 * t + 1, width, c);
    source_column_bfloat16(lines, 2 * t + 2, width, d);
    int is_odd = (first + t) % 2 != 0;
    if (is_odd || t + 1 == columns) {
      UNROLLED for (int i = 0; i < 4; ++i) {
        source_row(a, b, c, d, i, v);
        UNROLLED for (int j = 0; j < 4; ++j, p += position) store_half(p, v[j], is_odd);
        a[i] = c[i];
        b[i] = d[i];
      }
      t += 1;
      continue;
    }
    source_column_bfloat16(lines, 2 * t + 3, width, e);
    source_column_bfloat16(lines, 2 * t + 4, width, f);
    UNROLLED for (int i = 0; i < 4; ++i) {
      source_row(a, b, c, d, i, v);
      source_row(c, d, e, f, i, w);
      UNROLLED for (int j = 0; j < 4; ++j, p += position) _mm512_storeu_si512(p, nnk_paired(v[j], w[j]));
      a[i] = e[i];
      b[i] = f[i];
    }
    t += 2;
  }
}

AVX512_BF16 static void gradient_words_bfloat16(const void *const *lines, ptrdiff_t width, ptrdiff_t columns, uint32_t *to,
                                                ptrdiff_t first, ptrdiff_t position) {
  nnk_vector a[4], b[4], c[4], d[4], v[4], w[4];
  for (ptrdiff_t t = 0; t < columns;) {
    uint32_t *p = to + (first + t) / 2 * LANES;
    gradient_column_bfloat16(lines, 2 * t, width, a);
    gradient_column_bfloat16(lines, 2 * t + 1, width, b);
    int is_odd = (first + t) % 2 != 0;
    if (is_odd || t + 1 == columns) {
      UNROLLED for (int i = 0; i < 4; ++i) {
        gradient_row(a, b, i, v);
        UNROLLED for (int j = 0; j < 4; ++j, p += position) store_half(p, v[j], is_odd);
      }
      t += 1;
      continue;
    }
    gradient_column_bfloat16(lines, 2 * t + 2, width, c);
    gradient_column_bfloat16(lines, 2 * t + 3, width, d);
    UNROLLED for (int i = 0; i < 4; ++i) {
      gradient_row(a, b, i, v);
      gradient_row(c, d, i, w);
      UNROLLED for (int j = 0; j < 4; ++j, p += position) _mm512_storeu_si512(p, nnk_paired(v[j], w[j]));
    }
    t += 2;
  }
}
#endif

void nnk_winograd_source_words(nnk_type type, const void *const *lines, ptrdiff_t width, ptrdiff_t columns, uint32_t *to,
                               ptrdiff_t first, ptrdiff_t position) {
  (type == NNK_FLOAT32 ? source_words_float32 : source_words_bfloat16)(lines, width, columns, to, first, position);
}

void nnk_winograd_gradient_words(nnk_type type, const void *const *lines, ptrdiff_t width, ptrdiff_t columns, uint32_t *to,
                                 ptrdiff_t first, ptrdiff_t position) {
  (type == NNK_FLOAT32 ? gradient_words_float32 : gradient_words_bfloat16)(lines, width, columns, to, first, position);
}

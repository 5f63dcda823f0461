// See nnk_inference.h. Every loop has a plain form, and one for processors with float16 conversions where it pays.

#include "include/nnk_inference.h"

#include <math.h>
#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#define HALF_TARGET __attribute__((target("avx,f16c")))
static int has_half(void) { return __builtin_cpu_supports("avx") && __builtin_cpu_supports("f16c"); }
#endif

// Products and sums round separately, as the float16 semantics ask: no fused multiply-add.
#pragma STDC FP_CONTRACT OFF

static inline float bits_to_float(uint32_t bits) {
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

static inline uint32_t float_to_bits(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  return bits;
}

static inline float half_to_float(uint16_t half) {
  uint32_t sign = (uint32_t)(half & 0x8000) << 16;
  uint32_t exponent = (half >> 10) & 0x1F;
  uint32_t mantissa = half & 0x3FF;
  if (exponent == 0x1F) return bits_to_float(sign | 0x7F800000u | (mantissa << 13));
  if (exponent != 0) return bits_to_float(sign | ((exponent + 112) << 23) | (mantissa << 13));
  float small = (float)mantissa * 0x1p-24f;
  return sign ? -small : small;
}

static inline uint16_t float_to_half(float value) {
  uint32_t bits = float_to_bits(value);
  uint16_t sign = (uint16_t)((bits >> 16) & 0x8000);
  bits &= 0x7FFFFFFFu;
  if (bits > 0x7F800000u) return sign | 0x7E00;   // not a number
  if (bits >= 0x477FF000u) return sign | 0x7C00;  // 65520 and above round to infinity
  if (bits < 0x38800000u) {                       // below 2^-14: adding 0.5 rounds at the subnormal's last bit
    float shifted = bits_to_float(bits) + 0.5f;
    return sign | (uint16_t)(float_to_bits(shifted) - 0x3F000000u);
  }
  bits += 0xFFFu + ((bits >> 13) & 1);
  return sign | (uint16_t)((bits - 0x38000000u) >> 13);
}

// Rounds once: the float in between is made odd when it is inexact, so that the second rounding cannot go astray.
static inline uint16_t double_to_half(double value) {
  float near = (float)value;
  uint32_t bits = float_to_bits(near);
  if ((double)near != value && !(bits & 1)) {
    int moves_up = (value > 0) == (value > (double)near);
    bits = moves_up ? bits + 1 : bits - 1;
  }
  return float_to_half(bits_to_float(bits));
}

#if defined(__x86_64__)
// Eight at a time; the callers finish what is left over with the plain form.
static HALF_TARGET inline __m256 load_half(const uint16_t *p) {
  return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)p));
}
static HALF_TARGET inline void store_half(uint16_t *p, __m256 v) {
  _mm_storeu_si128((__m128i *)p, _mm256_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT));
}
static HALF_TARGET ptrdiff_t from_float_8(const float *source, uint16_t *halves, ptrdiff_t count) {
  ptrdiff_t i = 0;
  for (; i + 8 <= count; i += 8) store_half(halves + i, _mm256_loadu_ps(source + i));
  return i;
}
static HALF_TARGET ptrdiff_t to_float_8(const uint16_t *halves, float *result, ptrdiff_t count) {
  ptrdiff_t i = 0;
  for (; i + 8 <= count; i += 8) _mm256_storeu_ps(result + i, load_half(halves + i));
  return i;
}
static HALF_TARGET ptrdiff_t accumulate_product_8(
    uint16_t *sums, const float *prediction, const uint16_t *weights, ptrdiff_t count) {
  ptrdiff_t i = 0;
  for (; i + 8 <= count; i += 8) {
    __m256 product = _mm256_mul_ps(_mm256_loadu_ps(prediction + i), load_half(weights + i));
    store_half(sums + i, _mm256_add_ps(load_half(sums + i), product));
  }
  return i;
}
static HALF_TARGET ptrdiff_t accumulate_8(uint16_t *sums, const uint16_t *addend, ptrdiff_t count) {
  ptrdiff_t i = 0;
  for (; i + 8 <= count; i += 8)
    store_half(sums + i, _mm256_add_ps(load_half(sums + i), load_half(addend + i)));
  return i;
}
static HALF_TARGET ptrdiff_t divide_8(uint16_t *sums, const uint16_t *divisors, ptrdiff_t count) {
  ptrdiff_t i = 0;
  for (; i + 8 <= count; i += 8)
    store_half(sums + i, _mm256_div_ps(load_half(sums + i), load_half(divisors + i)));
  return i;
}
static HALF_TARGET ptrdiff_t divide_by_8(uint16_t *sums, float divisor, ptrdiff_t count) {
  ptrdiff_t i = 0;
  __m256 all = _mm256_set1_ps(divisor);
  for (; i + 8 <= count; i += 8) store_half(sums + i, _mm256_div_ps(load_half(sums + i), all));
  return i;
}
#define START(call) has_half() ? call : 0
#else
#define START(call) 0
#endif

void nnk_half_from_float(const float *source, uint16_t *halves, ptrdiff_t count) {
  for (ptrdiff_t i = START(from_float_8(source, halves, count)); i < count; i++) halves[i] = float_to_half(source[i]);
}

void nnk_half_to_float(const uint16_t *halves, float *result, ptrdiff_t count) {
  for (ptrdiff_t i = START(to_float_8(halves, result, count)); i < count; i++) result[i] = half_to_float(halves[i]);
}

void nnk_half_accumulate_product(
    uint16_t *sums, const float *prediction, const uint16_t *weights, ptrdiff_t count) {
  for (ptrdiff_t i = START(accumulate_product_8(sums, prediction, weights, count)); i < count; i++) {
    float product = prediction[i] * half_to_float(weights[i]);
    sums[i] = float_to_half(half_to_float(sums[i]) + product);
  }
}

void nnk_half_accumulate(uint16_t *sums, const uint16_t *addend, ptrdiff_t count) {
  for (ptrdiff_t i = START(accumulate_8(sums, addend, count)); i < count; i++)
    sums[i] = float_to_half(half_to_float(sums[i]) + half_to_float(addend[i]));
}

int nnk_half_divide(uint16_t *sums, const uint16_t *divisors, ptrdiff_t count) {
  for (ptrdiff_t i = START(divide_8(sums, divisors, count)); i < count; i++)
    sums[i] = float_to_half(half_to_float(sums[i]) / half_to_float(divisors[i]));
  int infinite = 0;
  for (ptrdiff_t i = 0; i < count; i++) infinite |= (sums[i] & 0x7FFF) == 0x7C00;
  return infinite;
}

void nnk_half_divide_by(uint16_t *sums, float divisor, ptrdiff_t count) {
  for (ptrdiff_t i = START(divide_by_8(sums, divisor, count)); i < count; i++)
    sums[i] = float_to_half(half_to_float(sums[i]) / divisor);
}

void nnk_float_accumulate_product(float *sums, const float *prediction, const float *weights, ptrdiff_t count) {
  for (ptrdiff_t i = 0; i < count; i++) {
    float product = prediction[i] * weights[i];
    sums[i] += product;
  }
}

// The input rows that one output row reads, at most two in each of two planes, and their weights.
struct row_terms {
  int count;
  int plane[4];
  ptrdiff_t row[4];
  double plane_weight[4], row_weight[4];
};

static inline struct row_terms terms_of_row(double upper_share, struct nnk_linear_axis rows, int32_t y) {
  struct row_terms terms = {0};
  const double plane_weights[2] = {1 - upper_share, upper_share}, share = rows.share[y];
  for (int p = 0; p < (upper_share == 0 ? 1 : 2); p++) {
    for (int r = 0; r < (share == 0 ? 1 : 2); r++) {
      terms.plane[terms.count] = p;
      terms.row[terms.count] = r == 0 ? rows.low[y] : rows.high[y];
      terms.plane_weight[terms.count] = plane_weights[p];
      terms.row_weight[terms.count++] = r == 0 ? 1 - share : share;
    }
  }
  return terms;
}

static void resample_rows(
    const uint16_t *const planes[2], double upper_share, ptrdiff_t width, struct nnk_linear_axis rows,
    struct nnk_linear_axis columns, float *result) {
  float sources[4][width];
  for (int32_t y = 0; y < rows.count; y++) {
    struct row_terms terms = terms_of_row(upper_share, rows, y);
    for (int k = 0; k < terms.count; k++)
      nnk_half_to_float(planes[terms.plane[k]] + terms.row[k] * width, sources[k], width);
    for (int32_t x = 0; x < columns.count; x++) {
      double high = columns.share[x], low = 1 - high, sum = 0;
      ptrdiff_t a = columns.low[x], b = columns.high[x];
      for (int k = 0; k < terms.count; k++) {
        // The value meets its weights one after the other: value * plane * row * column.
        double left = (double)sources[k][a] * terms.plane_weight[k] * terms.row_weight[k];
        double right = (double)sources[k][b] * terms.plane_weight[k] * terms.row_weight[k];
        sum += left * low;
        sum += right * high;
      }
      result[(ptrdiff_t)y * columns.count + x] = half_to_float(double_to_half(sum));
    }
  }
}

#if defined(__x86_64__)
#define WIDE_TARGET __attribute__((target("avx2,f16c")))
static int has_wide(void) { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("f16c"); }

// Four sums to halves and back to floats, each rounded once, as double_to_half does.
static WIDE_TARGET inline __m128 round_to_half_4(__m256d sum) {
  const __m256d sign = _mm256_set1_pd(-0.0);
  __m128i near = _mm_castps_si128(_mm256_cvtpd_ps(sum));
  __m256d back = _mm256_cvtps_pd(_mm_castsi128_ps(near));
  __m256d differs = _mm256_cmp_pd(back, sum, _CMP_NEQ_UQ);
  __m256d grows = _mm256_cmp_pd(_mm256_andnot_pd(sign, sum), _mm256_andnot_pd(sign, back), _CMP_GT_OQ);
  // The low halves of the 64-bit masks are 32-bit masks.
  __m128i inexact = _mm_castps_si128(_mm_shuffle_ps(
      _mm_castpd_ps(_mm256_castpd256_pd128(differs)), _mm_castpd_ps(_mm256_extractf128_pd(differs, 1)), 0x88));
  __m128i up = _mm_castps_si128(_mm_shuffle_ps(
      _mm_castpd_ps(_mm256_castpd256_pd128(grows)), _mm_castpd_ps(_mm256_extractf128_pd(grows, 1)), 0x88));
  const __m128i one = _mm_set1_epi32(1);
  __m128i even = _mm_cmpeq_epi32(_mm_and_si128(near, one), _mm_setzero_si128());
  __m128i step = _mm_sub_epi32(_mm_set1_epi32(-1), _mm_add_epi32(up, up));
  near = _mm_add_epi32(near, _mm_and_si128(_mm_and_si128(inexact, even), step));
  return _mm_cvtph_ps(_mm_cvtps_ph(_mm_castsi128_ps(near), _MM_FROUND_TO_NEAREST_INT));
}

// One row of four planes times the weight of the plane, one plane per lane.
static WIDE_TARGET void load_lanes(
    const uint16_t *const planes[4], ptrdiff_t first, ptrdiff_t width, double weight, double *lanes) {
  const __m256d weights = _mm256_set1_pd(weight);
  ptrdiff_t i = 0;
  for (; i + 4 <= width; i += 4) {
    __m128 rows[4];
    for (int k = 0; k < 4; k++)
      rows[k] = _mm_cvtph_ps(_mm_loadl_epi64((const __m128i *)(planes[k] + first + i)));
    _MM_TRANSPOSE4_PS(rows[0], rows[1], rows[2], rows[3]);
    for (int k = 0; k < 4; k++)
      _mm256_storeu_pd(lanes + 4 * (i + k), _mm256_mul_pd(_mm256_cvtps_pd(rows[k]), weights));
  }
  for (; i < width; i++)
    for (int k = 0; k < 4; k++) lanes[4 * i + k] = (double)half_to_float(planes[k][first + i]) * weight;
}

// One output row of four classes; `terms` hold the weighted input, `count` rows side by side at every position.
#define RESAMPLE_COLUMNS(COUNT)                                                                     \
  static WIDE_TARGET void resample_columns_##COUNT(                                                 \
      const double *terms, struct nnk_linear_axis columns, float *const results[4]) {               \
    float rest[4][4];                                                                               \
    for (int32_t x = 0; x < columns.count; x += 4) {                                                \
      __m128 values[4];                                                                             \
      const int32_t end = columns.count - x < 4 ? columns.count - x : 4;                            \
      for (int32_t i = 0; i < 4; i++) {                                                             \
        const int32_t at = x + (i < end ? i : 0);                                                   \
        const double *a = terms + 4 * COUNT * (ptrdiff_t)columns.low[at];                           \
        const double *b = terms + 4 * COUNT * (ptrdiff_t)columns.high[at];                          \
        const __m256d high = _mm256_set1_pd(columns.share[at]);                                     \
        const __m256d low = _mm256_set1_pd(1 - columns.share[at]);                                  \
        __m256d sum = _mm256_setzero_pd();                                                          \
        for (int k = 0; k < COUNT; k++) {                                                           \
          sum = _mm256_add_pd(sum, _mm256_mul_pd(_mm256_loadu_pd(a + 4 * k), low));                 \
          sum = _mm256_add_pd(sum, _mm256_mul_pd(_mm256_loadu_pd(b + 4 * k), high));                \
        }                                                                                           \
        values[i] = round_to_half_4(sum);                                                           \
      }                                                                                             \
      _MM_TRANSPOSE4_PS(values[0], values[1], values[2], values[3]);                                \
      if (end == 4) {                                                                               \
        for (int k = 0; k < 4; k++) _mm_storeu_ps(results[k] + x, values[k]);                       \
      } else {                                                                                      \
        for (int k = 0; k < 4; k++) _mm_storeu_ps(rest[k], values[k]);                              \
        for (int k = 0; k < 4; k++) memcpy(results[k] + x, rest[k], (size_t)end * sizeof(float));   \
      }                                                                                             \
    }                                                                                               \
  }
RESAMPLE_COLUMNS(1)
RESAMPLE_COLUMNS(2)
RESAMPLE_COLUMNS(4)

// Four classes at once, one per lane: all share places and weights, so nothing has to be gathered.
static WIDE_TARGET void resample_rows_4(
    const uint16_t *const lower[4], const uint16_t *const upper[4], double upper_share, ptrdiff_t width,
    struct nnk_linear_axis rows, struct nnk_linear_axis columns, float *const results[4], double *scratch) {
  // Neighbouring output rows read the same input rows: an even and an odd one are kept for each plane.
  double *kept[2][2], *terms = scratch + 16 * width;
  ptrdiff_t kept_row[2][2] = {{-1, -1}, {-1, -1}};
  for (int i = 0; i < 4; i++) kept[i >> 1][i & 1] = scratch + 4 * width * i;
  for (int32_t y = 0; y < rows.count; y++) {
    const struct row_terms row = terms_of_row(upper_share, rows, y);
    for (int k = 0; k < row.count; k++) {
      const int plane = row.plane[k], slot = (int)(row.row[k] & 1);
      double *lanes = kept[plane][slot];
      if (kept_row[plane][slot] != row.row[k]) {
        load_lanes(plane == 0 ? lower : upper, row.row[k] * width, width, row.plane_weight[k], lanes);
        kept_row[plane][slot] = row.row[k];
      }
      const __m256d weight = _mm256_set1_pd(row.row_weight[k]);
      for (ptrdiff_t i = 0; i < width; i++)
        _mm256_storeu_pd(
            terms + 4 * (i * row.count + k), _mm256_mul_pd(_mm256_loadu_pd(lanes + 4 * i), weight));
    }
    float *const lines[4] = {
        results[0] + (ptrdiff_t)y * columns.count, results[1] + (ptrdiff_t)y * columns.count,
        results[2] + (ptrdiff_t)y * columns.count, results[3] + (ptrdiff_t)y * columns.count};
    if (row.count == 1) resample_columns_1(terms, columns, lines);
    if (row.count == 2) resample_columns_2(terms, columns, lines);
    if (row.count == 4) resample_columns_4(terms, columns, lines);
  }
}
#endif

void nnk_half_resample_classes(
    const uint16_t *lower, const uint16_t *upper, ptrdiff_t class_stride, int class_count, double upper_share,
    ptrdiff_t width, struct nnk_linear_axis rows, struct nnk_linear_axis columns, float *result,
    double *scratch) {
  const ptrdiff_t size = (ptrdiff_t)rows.count * columns.count;
#if defined(__x86_64__)
  // Lanes without a class of their own repeat the last one, into the same place.
  if (has_wide()) {
    const uint16_t *lows[4], *highs[4];
    float *results[4];
    for (int k = 0; k < nnk_resampled_classes; k++) {
      const int index = k < class_count ? k : class_count - 1;
      lows[k] = lower + index * class_stride;
      highs[k] = upper + index * class_stride;
      results[k] = result + index * size;
    }
    resample_rows_4(lows, highs, upper_share, width, rows, columns, results, scratch);
    return;
  }
#endif
  for (int k = 0; k < class_count; k++) {
    const uint16_t *const planes[2] = {lower + k * class_stride, upper + k * class_stride};
    resample_rows(planes, upper_share, width, rows, columns, result + k * size);
  }
}

#if defined(__x86_64__)
static WIDE_TARGET ptrdiff_t keep_maximum_8(
    const float *values, float *best, int16_t *labels, int16_t label, ptrdiff_t count) {
  const __m128i winner = _mm_set1_epi16(label);
  ptrdiff_t i = 0;
  for (; i + 8 <= count; i += 8) {
    __m256 value = _mm256_loadu_ps(values + i), old = _mm256_loadu_ps(best + i);
    __m256 larger = _mm256_cmp_ps(value, old, _CMP_GT_OQ);
    _mm256_storeu_ps(best + i, _mm256_blendv_ps(old, value, larger));
    __m256i mask = _mm256_castps_si256(larger);
    __m128i narrow = _mm_packs_epi32(_mm256_castsi256_si128(mask), _mm256_extracti128_si256(mask, 1));
    __m128i *target = (__m128i *)(labels + i);
    _mm_storeu_si128(target, _mm_blendv_epi8(_mm_loadu_si128(target), winner, narrow));
  }
  return i;
}
#define START_WIDE(call) has_wide() ? call : 0
#else
#define START_WIDE(call) 0
#endif

void nnk_float_keep_maximum(
    const float *values, float *best, int16_t *labels, int16_t label, ptrdiff_t count) {
  for (ptrdiff_t i = START_WIDE(keep_maximum_8(values, best, labels, label, count)); i < count; i++) {
    int larger = values[i] > best[i];
    best[i] = larger ? values[i] : best[i];
    labels[i] = larger ? label : labels[i];
  }
}

void nnk_float_paint_region(const float *logits, int16_t *labels, int16_t label, ptrdiff_t count) {
  for (ptrdiff_t i = 0; i < count; i++) {
    float logit = logits[i];
    // Far from zero the answer needs no exponential.
    int inside = logit > 0.01f || (logit > 0 && 1 / (1 + expf(-logit)) > 0.5f);
    labels[i] = inside ? label : labels[i];
  }
}

void nnk_float_softmax(float *logits, ptrdiff_t classes, ptrdiff_t count) {
  for (ptrdiff_t i = 0; i < count; i++) {
    float maximum = logits[i], sum = 0;
    for (ptrdiff_t k = 1; k < classes; k++) {
      float value = logits[k * count + i];
      maximum = value > maximum ? value : maximum;
    }
    for (ptrdiff_t k = 0; k < classes; k++) {
      float value = expf(logits[k * count + i] - maximum);
      logits[k * count + i] = value;
      sum += value;
    }
    for (ptrdiff_t k = 0; k < classes; k++) logits[k * count + i] /= sum;
  }
}

void nnk_float_sigmoid(float *logits, ptrdiff_t count) {
  for (ptrdiff_t i = 0; i < count; i++) logits[i] = 1 / (1 + expf(-logits[i]));
}

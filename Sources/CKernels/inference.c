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

// Sums the four (or eight) neighbours of each output position in one row.
static void resample_row(
    const float *const sources[4], const double weights[4], int source_count, struct nnk_linear_axis columns,
    uint16_t *result) {
  for (int32_t x = 0; x < columns.count; x++) {
    double high = columns.share[x], low = 1 - high, sum = 0;
    ptrdiff_t a = columns.low[x], b = columns.high[x];
    for (int k = 0; k < source_count; k++) {
      // The value meets its weights one after the other: value * plane * row * column.
      const double *w = weights + 2 * k;
      double left = (double)sources[k][a] * w[0] * w[1];
      double right = (double)sources[k][b] * w[0] * w[1];
      sum += left * low;
      sum += right * high;
    }
    result[x] = double_to_half(sum);
  }
}

void nnk_half_resample_plane(
    const uint16_t *lower, const uint16_t *upper, double upper_share, ptrdiff_t width,
    struct nnk_linear_axis rows, struct nnk_linear_axis columns, uint16_t *result) {
  int plane_count = upper_share == 0 ? 1 : 2;
  float buffer[4][width];
  const float *sources[4] = {buffer[0], buffer[1], buffer[2], buffer[3]};
  const uint16_t *planes[2] = {lower, upper};
  const double plane_weights[2] = {1 - upper_share, upper_share};
  for (int32_t y = 0; y < rows.count; y++) {
    double row_weights[2] = {1 - rows.share[y], rows.share[y]};
    double weights[8];
    int source_count = 0;
    for (int p = 0; p < plane_count; p++) {
      for (int r = 0; r < 2; r++) {
        if (r == 1 && row_weights[1] == 0) continue;
        ptrdiff_t row = r == 0 ? rows.low[y] : rows.high[y];
        nnk_half_to_float(planes[p] + row * width, buffer[source_count], width);
        weights[2 * source_count] = plane_weights[p];
        weights[2 * source_count + 1] = row_weights[r];
        source_count++;
      }
    }
    resample_row(sources, weights, source_count, columns, result + (ptrdiff_t)y * columns.count);
  }
}

void nnk_float_keep_maximum(
    const float *values, float *best, int16_t *labels, int16_t label, ptrdiff_t count) {
  for (ptrdiff_t i = 0; i < count; i++) {
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

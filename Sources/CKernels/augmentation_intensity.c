// Pointwise loops of data augmentation, the statistics they need, noise, and flips.
#include "CKernels.h"
#include "augmentation_internal.h"

enum { lane_count = 16 };

// Sums of the distances from `origin`, which keep their digits where the mean is large.
typedef struct {
  double sum, square;
  float low, high;
} nnk_sums;

static NNK_INLINE void finish_statistics(const nnk_sums *sums, ptrdiff_t count, float origin, double *result) {
  const double n = (double)count, mean = count > 0 ? sums->sum / n : 0;
  const double variance = count > 1 ? (sums->square - sums->sum * mean) / (n - 1) : 0;
  result[0] = mean + (double)origin;
  result[1] = variance > 0 ? sqrt(variance) : 0;
  result[2] = sums->low;
  result[3] = sums->high;
}

// Sums over values that `CHANGE` makes of `value` on the way; lanes are added in a fixed order.
#define NNK_SUM_LOOP(CHANGE)                                                     \
  double sums[lane_count] = {0}, squares[lane_count] = {0};                      \
  float lows[lane_count], highs[lane_count];                                     \
  for (int lane = 0; lane < lane_count; lane++) {                                \
    lows[lane] = INFINITY;                                                       \
    highs[lane] = -INFINITY;                                                     \
  }                                                                              \
  const ptrdiff_t whole = count - count % lane_count;                            \
  for (ptrdiff_t i = 0; i < whole; i += lane_count) {                            \
    for (int lane = 0; lane < lane_count; lane++) {                              \
      float value = values[i + lane];                                            \
      CHANGE(i + lane);                                                          \
      const double distance = (double)value - (double)origin;                    \
      sums[lane] += distance;                                                    \
      squares[lane] += distance * distance;                                      \
      lows[lane] = value < lows[lane] ? value : lows[lane];                      \
      highs[lane] = value > highs[lane] ? value : highs[lane];                   \
    }                                                                            \
  }                                                                              \
  nnk_sums total = {0, 0, lows[0], highs[0]};                                    \
  for (int lane = 0; lane < lane_count; lane++) {                                \
    total.sum += sums[lane];                                                     \
    total.square += squares[lane];                                               \
    total.low = lows[lane] < total.low ? lows[lane] : total.low;                 \
    total.high = highs[lane] > total.high ? highs[lane] : total.high;            \
  }                                                                              \
  for (ptrdiff_t i = whole; i < count; i++) {                                    \
    float value = values[i];                                                     \
    CHANGE(i);                                                                   \
    const double distance = (double)value - (double)origin;                      \
    total.sum += distance;                                                       \
    total.square += distance * distance;                                         \
    total.low = value < total.low ? value : total.low;                           \
    total.high = value > total.high ? value : total.high;                        \
  }                                                                              \
  finish_statistics(&total, count, origin, result);

NNK_CLONES void nnk_statistics(const float *values, ptrdiff_t count, double *result) {
  const float origin = count > 0 ? values[0] : 0;
#define NNK_KEEP(i) (void)(i)
  NNK_SUM_LOOP(NNK_KEEP)
}

NNK_CLONES void nnk_power(
    float *values, ptrdiff_t count, float sign, float lower, float denominator, float range, float exponent,
    double *result) {
  const float origin = lower;
#define NNK_RAISE(i) values[i] = value = nnk_powf((sign * value - lower) / denominator, exponent) * range + lower
  NNK_SUM_LOOP(NNK_RAISE)
}

NNK_CLONES void nnk_affine(float *values, ptrdiff_t count, float shift, float factor, float offset) {
  for (ptrdiff_t i = 0; i < count; i++) values[i] = (values[i] - shift) * factor + offset;
}

NNK_CLONES void nnk_contrast(
    float *values, ptrdiff_t count, float shift, float factor, float lower, float upper) {
  for (ptrdiff_t i = 0; i < count; i++) {
    float value = (values[i] - shift) * factor + shift;
    value = value < lower ? lower : value;
    values[i] = value > upper ? upper : value;
  }
}

// A pair of words from a counter and a key: ten rounds of Philox with two 32-bit words.
static NNK_INLINE void random_pair(uint32_t counter, uint32_t block, uint32_t key, uint32_t *a, uint32_t *b) {
  uint32_t x = counter, y = block;
  for (int round = 0; round < 10; round++) {
    const uint64_t product = (uint64_t)x * 0xD256D193u;
    x = (uint32_t)(product >> 32) ^ key ^ y;
    y = (uint32_t)product;
    key += 0x9E3779B9u;
  }
  *a = x;
  *b = y;
}

// sin and cos of pi * t for |t| <= 1: t is taken to the nearest quarter turn, the rest goes through Taylor series.
static NNK_INLINE void sine_and_cosine(float t, float *sine, float *cosine) {
  const float quarter = nnk_round(2.0f * t);
  const float y = (t - 0.5f * quarter) * 3.14159265358979f, z = y * y;
  const float s = (((z * (1.0f / 362880) - 1.0f / 5040) * z + 1.0f / 120) * z - 1.0f / 6) * z * y + y;
  const float c = (((z * (1.0f / 40320) - 1.0f / 720) * z + 1.0f / 24) * z - 0.5f) * z + 1.0f;
  const int32_t turn = (int32_t)quarter;
  const float swapped_s = turn & 1 ? c : s, swapped_c = turn & 1 ? s : c;
  *sine = turn & 2 ? -swapped_s : swapped_s;
  *cosine = (turn + 1) & 2 ? -swapped_c : swapped_c;
}

enum { PAIRS = 1024 };

NNK_CLONES void nnk_add_normal_noise(float *values, ptrdiff_t count, float sigma, uint64_t seed) {
  // Box and Muller: a radius and an angle make two numbers; the first go to the first half of a block.
  for (ptrdiff_t start = 0, block = 0; start < count; start += 2 * PAIRS, block++) {
    float first[PAIRS], second[PAIRS];
    const uint32_t high = (uint32_t)(seed >> 32) ^ (uint32_t)block * 0x85EBCA6Bu;
    for (uint32_t i = 0; i < PAIRS; i++) {
      uint32_t a, b;
      random_pair(i, high, (uint32_t)seed, &a, &b);
      const float uniform = ((float)(int32_t)(a >> 1) + 0.5f) * 0x1p-31f;
      float exponent;
      const float fraction = nnk_split_log2(uniform, &exponent);
      // Rounding may lift the logarithm of 1 above 0.
      const float square = -1.3862943611198906f * (exponent + fraction);
      const float radius = sigma * sqrtf(square > 0 ? square : 0);
      float sine, cosine;
      sine_and_cosine((float)(int32_t)b * 0x1p-31f, &sine, &cosine);
      first[i] = radius * cosine;
      second[i] = radius * sine;
    }
    const ptrdiff_t left = count - start < PAIRS ? count - start : PAIRS;
    for (ptrdiff_t i = 0; i < left; i++) values[start + i] += first[i];
    const ptrdiff_t rest = count - start - PAIRS < PAIRS ? count - start - PAIRS : PAIRS;
    for (ptrdiff_t i = 0; i < rest; i++) values[start + PAIRS + i] += second[i];
  }
}

#define NNK_DEFINE_FLIP(name, element)                                                                \
  NNK_CLONES void name(element *values, const ptrdiff_t *shape, const int32_t *flips) {               \
    const ptrdiff_t width = shape[2];                                                                 \
    element *restrict kept = malloc(sizeof(element) * (size_t)width);                                 \
    if (!kept) abort();                                                                               \
    for (ptrdiff_t z = 0; z < shape[0]; z++) {                                                        \
      const ptrdiff_t sz = flips[0] ? shape[0] - 1 - z : z;                                           \
      for (ptrdiff_t y = 0; y < shape[1]; y++) {                                                      \
        const ptrdiff_t sy = flips[1] ? shape[1] - 1 - y : y;                                         \
        const ptrdiff_t here = z * shape[1] + y, there = sz * shape[1] + sy;                          \
        if (there < here || (there == here && !flips[2])) continue;                                   \
        element *a = values + here * width, *b = values + there * width;                              \
        memcpy(kept, a, sizeof(element) * (size_t)width);                                             \
        if (there == here) {                                                                          \
          for (ptrdiff_t x = 0; x < width; x++) a[x] = kept[width - 1 - x];                           \
          continue;                                                                                   \
        }                                                                                             \
        reverse_##element(b, a, width, flips[2]);                                                     \
        reverse_##element(kept, b, width, flips[2]);                                                  \
      }                                                                                               \
    }                                                                                                 \
    free(kept);                                                                                       \
  }

#define NNK_DEFINE_REVERSE(element)                                                                   \
  static NNK_INLINE void reverse_##element(                                                           \
      const element *restrict in, element *restrict out, ptrdiff_t width, int reverses) {             \
    if (!reverses) {                                                                                  \
      memcpy(out, in, sizeof(element) * (size_t)width);                                               \
      return;                                                                                         \
    }                                                                                                 \
    for (ptrdiff_t x = 0; x < width; x++) out[x] = in[width - 1 - x];                                 \
  }

NNK_DEFINE_REVERSE(float)
NNK_DEFINE_REVERSE(int16_t)
NNK_DEFINE_FLIP(nnk_flip_floats, float)
NNK_DEFINE_FLIP(nnk_flip_labels, int16_t)

NNK_CLONES void nnk_replace_label(int16_t *labels, ptrdiff_t count, int16_t label, int16_t replacement) {
  for (ptrdiff_t i = 0; i < count; i++) labels[i] = labels[i] == label ? replacement : labels[i];
}

void nnk_copy_box(
    const void *source, const ptrdiff_t *source_shape, const ptrdiff_t *start, void *target,
    const ptrdiff_t *shape, ptrdiff_t element_size) {
  const size_t row = (size_t)(shape[2] * element_size);
  for (ptrdiff_t z = 0; z < shape[0]; z++) {
    for (ptrdiff_t y = 0; y < shape[1]; y++) {
      const ptrdiff_t line = ((start[0] + z) * source_shape[1] + start[1] + y) * source_shape[2] + start[2];
      memcpy(
          (char *)target + (z * shape[1] + y) * shape[2] * element_size,
          (const char *)source + line * element_size, row);
    }
  }
}

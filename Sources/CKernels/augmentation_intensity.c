// Intensity loops of data augmentation: blur, low resolution, statistics, pointwise changes, noise; and
// flips.
#include "CKernels.h"
#include "augmentation_internal.h"

// Reflection without repeating the edge, folded as often as a short axis needs.
static ptrdiff_t reflect(ptrdiff_t index, ptrdiff_t extent) {
  if (extent == 1) return 0;
  const ptrdiff_t period = 2 * (extent - 1);
  index %= period;
  if (index < 0) index += period;
  return index < extent ? index : period - index;
}

static NNK_INLINE void blur_rows(
    const float *source, float *target, ptrdiff_t row_count, ptrdiff_t width, const float *taps,
    ptrdiff_t tap_count) {
  const ptrdiff_t radius = tap_count / 2;
  float *padded = malloc(sizeof(float) * (size_t)(width + tap_count));
  if (!padded) abort();
  for (ptrdiff_t r = 0; r < row_count; r++) {
    const float *restrict in = source + r * width;
    float *restrict out = target + r * width;
    memcpy(padded + radius, in, sizeof(float) * (size_t)width);
    for (ptrdiff_t i = 1; i <= radius; i++) {
      padded[radius - i] = in[reflect(-i, width)];
      padded[radius + width - 1 + i] = in[reflect(width - 1 + i, width)];
    }
    for (ptrdiff_t x = 0; x < width; x++) out[x] = taps[0] * padded[x];
    for (ptrdiff_t k = 1; k < tap_count; k++) {
      const float tap = taps[k];
      const float *restrict shifted = padded + k;
      for (ptrdiff_t x = 0; x < width; x++) out[x] += tap * shifted[x];
    }
  }
  free(padded);
}

NNK_CLONES void nnk_blur_axis(
    const float *source, float *target, const ptrdiff_t *shape, int axis, const float *taps,
    ptrdiff_t tap_count) {
  if (axis == 2) {
    blur_rows(source, target, shape[0] * shape[1], shape[2], taps, tap_count);
    return;
  }
  const ptrdiff_t outer = axis == 0 ? 1 : shape[0], extent = shape[axis];
  const ptrdiff_t inner = axis == 0 ? shape[1] * shape[2] : shape[2];
  for (ptrdiff_t o = 0; o < outer; o++) {
    for (ptrdiff_t i = 0; i < extent; i++) {
      float *restrict out = target + (o * extent + i) * inner;
      for (ptrdiff_t k = 0; k < tap_count; k++) {
        const float tap = taps[k];
        const float *restrict in = source + (o * extent + reflect(i + k - tap_count / 2, extent)) * inner;
        if (k == 0) {
          for (ptrdiff_t x = 0; x < inner; x++) out[x] = tap * in[x];
        } else {
          for (ptrdiff_t x = 0; x < inner; x++) out[x] += tap * in[x];
        }
      }
    }
  }
}

static NNK_INLINE ptrdiff_t nearest_exact(ptrdiff_t index, ptrdiff_t from, ptrdiff_t to) {
  const float ratio = (float)from / (float)to;
  const ptrdiff_t source = (ptrdiff_t)floorf(((float)index + 0.5f) * ratio);
  return source < from - 1 ? source : from - 1;
}

typedef struct {
  ptrdiff_t low, high;
  float weight;
} interval;

// Where target index `index` lies between two of `from` samples, pixel areas aligned rather than corners.
static NNK_INLINE interval linear_interval(ptrdiff_t index, ptrdiff_t from, ptrdiff_t to) {
  const float ratio = (float)from / (float)to;
  const float centre = ratio * ((float)index + 0.5f) - 0.5f;
  const float position = centre < 0 ? 0 : centre;
  interval result;
  result.low = (ptrdiff_t)position < from - 1 ? (ptrdiff_t)position : from - 1;
  result.high = result.low < from - 1 ? result.low + 1 : result.low;
  result.weight = position - (float)result.low;
  return result;
}

NNK_CLONES void nnk_low_resolution(
    float *values, const ptrdiff_t *shape, const ptrdiff_t *low_shape, float *scratch) {
  const ptrdiff_t low_row = low_shape[2], low_plane = low_shape[1] * low_shape[2];
  float *small = scratch, *restrict mixed = scratch + low_shape[0] * low_plane;
  for (ptrdiff_t z = 0; z < low_shape[0]; z++) {
    const ptrdiff_t sz = nearest_exact(z, shape[0], low_shape[0]);
    for (ptrdiff_t y = 0; y < low_shape[1]; y++) {
      const float *in = values + (sz * shape[1] + nearest_exact(y, shape[1], low_shape[1])) * shape[2];
      float *out = small + z * low_plane + y * low_row;
      for (ptrdiff_t x = 0; x < low_row; x++) out[x] = in[nearest_exact(x, shape[2], low_shape[2])];
    }
  }
  for (ptrdiff_t z = 0; z < shape[0]; z++) {
    const interval iz = linear_interval(z, low_shape[0], shape[0]);
    for (ptrdiff_t y = 0; y < shape[1]; y++) {
      const interval iy = linear_interval(y, low_shape[1], shape[1]);
      const float *near = small + iz.low * low_plane, *far = small + iz.high * low_plane;
      const float *a = near + iy.low * low_row, *b = near + iy.high * low_row;
      const float *c = far + iy.low * low_row, *d = far + iy.high * low_row;
      const float wz = iz.weight, vz = 1.0f - wz, wy = iy.weight, vy = 1.0f - wy;
      for (ptrdiff_t x = 0; x < low_row; x++) {
        mixed[x] = vz * (vy * a[x] + wy * b[x]) + wz * (vy * c[x] + wy * d[x]);
      }
      float *out = values + (z * shape[1] + y) * shape[2];
      for (ptrdiff_t x = 0; x < shape[2]; x++) {
        const interval ix = linear_interval(x, low_row, shape[2]);
        out[x] = (1.0f - ix.weight) * mixed[ix.low] + ix.weight * mixed[ix.high];
      }
    }
  }
}

enum { lane_count = 16 };

NNK_CLONES void nnk_statistics(const float *values, ptrdiff_t count, double *result) {
  double sums[lane_count] = {0};
  float lows[lane_count], highs[lane_count];
  for (int lane = 0; lane < lane_count; lane++) lows[lane] = highs[lane] = count > 0 ? values[0] : 0;
  const ptrdiff_t whole = count - count % lane_count;
  for (ptrdiff_t i = 0; i < whole; i += lane_count) {
    for (int lane = 0; lane < lane_count; lane++) {
      const float value = values[i + lane];
      sums[lane] += (double)value;
      lows[lane] = value < lows[lane] ? value : lows[lane];
      highs[lane] = value > highs[lane] ? value : highs[lane];
    }
  }
  double sum = 0;
  float low = lows[0], high = highs[0];
  for (int lane = 0; lane < lane_count; lane++) {
    sum += sums[lane];
    low = lows[lane] < low ? lows[lane] : low;
    high = highs[lane] > high ? highs[lane] : high;
  }
  for (ptrdiff_t i = whole; i < count; i++) {
    sum += (double)values[i];
    low = values[i] < low ? values[i] : low;
    high = values[i] > high ? values[i] : high;
  }
  const double mean = count > 0 ? sum / (double)count : 0;
  double squares[lane_count] = {0};
  for (ptrdiff_t i = 0; i < whole; i += lane_count) {
    for (int lane = 0; lane < lane_count; lane++) {
      const double difference = (double)values[i + lane] - mean;
      squares[lane] += difference * difference;
    }
  }
  double square = 0;
  for (int lane = 0; lane < lane_count; lane++) square += squares[lane];
  for (ptrdiff_t i = whole; i < count; i++) {
    const double difference = (double)values[i] - mean;
    square += difference * difference;
  }
  result[0] = mean;
  result[1] = count > 1 ? sqrt(square / (double)(count - 1)) : 0;
  result[2] = low;
  result[3] = high;
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

void nnk_power(float *values, ptrdiff_t count, float lower, float denominator, float range, float exponent) {
  for (ptrdiff_t i = 0; i < count; i++) {
    values[i] = powf((values[i] - lower) / denominator, exponent) * range + lower;
  }
}

static NNK_INLINE uint64_t next_random(uint64_t *state) {
  uint64_t z = *state += 0x9E3779B97F4A7C15u;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  return z ^ (z >> 31);
}

void nnk_add_normal_noise(float *values, ptrdiff_t count, float sigma, uint64_t seed) {
  uint64_t state = seed;
  for (ptrdiff_t i = 0; i < count; i += 2) {
    float u, v, s;
    do {  // Marsaglia's polar method, two numbers from one word
      const uint64_t word = next_random(&state);
      u = (float)(int32_t)(uint32_t)word * 0x1p-31f;
      v = (float)(int32_t)(uint32_t)(word >> 32) * 0x1p-31f;
      s = u * u + v * v;
    } while (s >= 1.0f || s == 0.0f);
    const float factor = sigma * sqrtf(-2.0f * logf(s) / s);
    values[i] += u * factor;
    if (i + 1 < count) values[i + 1] += v * factor;
  }
}

#define NNK_DEFINE_FLIP(name, element)                                                                \
  NNK_CLONES void name(                                                                               \
      const element *source, element *target, const ptrdiff_t *shape, const int32_t *flips) {         \
    for (ptrdiff_t z = 0; z < shape[0]; z++) {                                                        \
      const ptrdiff_t sz = flips[0] ? shape[0] - 1 - z : z;                                           \
      for (ptrdiff_t y = 0; y < shape[1]; y++) {                                                      \
        const ptrdiff_t sy = flips[1] ? shape[1] - 1 - y : y;                                         \
        const element *restrict in = source + (sz * shape[1] + sy) * shape[2];                        \
        element *restrict out = target + (z * shape[1] + y) * shape[2];                               \
        if (flips[2]) {                                                                               \
          for (ptrdiff_t x = 0; x < shape[2]; x++) out[x] = in[shape[2] - 1 - x];                     \
        } else {                                                                                      \
          memcpy(out, in, sizeof(element) * (size_t)shape[2]);                                        \
        }                                                                                             \
      }                                                                                               \
    }                                                                                                 \
  }

NNK_DEFINE_FLIP(nnk_flip_floats, float)
NNK_DEFINE_FLIP(nnk_flip_labels, int16_t)

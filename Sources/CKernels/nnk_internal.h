// Shared by the kernel files: per-CPU versions and small vector mathematics.
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define NNK_CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#define NNK_INLINE static inline __attribute__((always_inline))

NNK_INLINE ptrdiff_t nnk_size(const int type) { return type == 0 ? 4 : 2; }

// Elements of activations: computed as float whatever they are stored as. `type` is a constant where this is inlined.
NNK_INLINE float nnk_load(const void *p, ptrdiff_t i, const int type) {
  if (type == 0) return ((const float *)p)[i];
  uint32_t bits = (uint32_t)((const uint16_t *)p)[i] << 16;
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

// Rounds to nearest even; what is not a number stays one.
NNK_INLINE void nnk_store(void *p, ptrdiff_t i, float value, const int type) {
  if (type == 0) {
    ((float *)p)[i] = value;
    return;
  }
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  uint32_t rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
  ((uint16_t *)p)[i] = (uint16_t)(value == value ? rounded : 0x7fc0u);
}

// exp(x) by 2^n * p(r), relative error under 2e-7 on [-87, 88]; below that 0-ish, above that large. Vectorises.
NNK_INLINE float nnk_expf(float x) {
  x = x < -87.0f ? -87.0f : (x > 88.0f ? 88.0f : x);
  float n = x * 1.44269504088896341f;
  n = (n + 12582912.0f) - 12582912.0f;  // round to nearest
  float r = x - n * 0.693359375f;
  r = r - n * -2.12194440e-4f;
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1.0f;
  int bits = ((int)n + 127) << 23;
  float scale;
  memcpy(&scale, &bits, sizeof scale);
  return p * scale;
}

// Softmax sums of a strip of voxels, taken from the largest logit so that confident voxels keep their digits. Per voxel:
// sum of exp(x - top), own = x[label] - top (0 without such a channel), and unless NULL mean = sum over channels of x - top.
NNK_INLINE void nnk_softmax_sums(const float *x, const int16_t *labels, ptrdiff_t channels, ptrdiff_t stride,
                                 ptrdiff_t length, float *top, float *sum, float *own, float *mean) {
  for (ptrdiff_t v = 0; v < length; ++v) top[v] = x[v], sum[v] = 0, own[v] = 0;
  if (mean)
    for (ptrdiff_t v = 0; v < length; ++v) mean[v] = 0;
  for (ptrdiff_t c = 1; c < channels; ++c)
    for (ptrdiff_t v = 0; v < length; ++v) {
      float value = x[c * stride + v];
      top[v] = value > top[v] ? value : top[v];
    }
  for (ptrdiff_t c = 0; c < channels; ++c)
    for (ptrdiff_t v = 0; v < length; ++v) {
      float value = x[c * stride + v] - top[v];
      sum[v] += nnk_expf(value);
      own[v] = labels[v] == c ? value : own[v];
      if (mean) mean[v] += value;
    }
}

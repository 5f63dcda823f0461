// What the files of augmentation kernels share.
#pragma once
#include <math.h>
#include <stdlib.h>
#include <string.h>

// The same bits on every CPU: no clone may fuse multiplications with additions.
#pragma STDC FP_CONTRACT OFF

#define NNK_INLINE inline __attribute__((always_inline))
#if defined(__x86_64__) && defined(__linux__)
#define NNK_CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define NNK_CLONES
#endif

static NNK_INLINE float nnk_bits_as_float(uint32_t bits) {
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

static NNK_INLINE uint32_t nnk_float_as_bits(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  return bits;
}

// A number to the nearest whole one, for magnitudes below 2^22.
static NNK_INLINE float nnk_round(float value) { return (value + 12582912.0f) - 12582912.0f; }

// Splits x > 0 into 2^exponent * m with m between the roots of 1/2 and 2; returns log2(m) to about 1e-7. By the series
// of the inverse hyperbolic tangent: log(m) = 2 (s + s^3/3 + s^5/5 + ...) with s = (m - 1) / (m + 1).
static NNK_INLINE float nnk_split_log2(float x, float *exponent) {
  const uint32_t bits = nnk_float_as_bits(x) - 0x3F3504F3u;  // the root of 1/2
  *exponent = (float)((int32_t)bits >> 23);
  const float m = nnk_bits_as_float((bits & 0x007FFFFFu) + 0x3F3504F3u);
  const float s = (m - 1.0f) / (m + 1.0f), t = s * s;
  const float series = ((0.2222222222f * t + 0.2857142857f) * t + 0.4f) * t + 0.6666666667f;
  return (series * t * s + 2.0f * s) * 1.4426950408889634f;
}

// 2^r for |r| <= 1/2, by its Taylor series.
static NNK_INLINE float nnk_exp2_small(float r) {
  const float y = r * 0.6931471805599453f;
  float p = 1.0f / 5040;
  p = p * y + 1.0f / 720;
  p = p * y + 1.0f / 120;
  p = p * y + 1.0f / 24;
  p = p * y + 1.0f / 6;
  p = p * y + 0.5f;
  return p * y * y + y + 1.0f;
}

// x^exponent for x >= 0 and a positive exponent, relative error about 3e-7; 0 for x below the normal numbers, and where
// the result is. Vectorises: the exponent is split so that its product with the binary exponent stays exact.
static NNK_INLINE float nnk_powf(float x, float exponent) {
  const float head = nnk_bits_as_float(nnk_float_as_bits(exponent) & 0xFFFFE000u), tail = exponent - head;
  float e;
  const float l = nnk_split_log2(x, &e);
  const float exact = head * e, rest = tail * e + exponent * l;
  float n = nnk_round(exact + rest);
  const float power = nnk_exp2_small((exact - n) + rest);
  n = n < -126.0f ? -126.0f : (n > 127.0f ? 127.0f : n);
  const float result = power * nnk_bits_as_float((uint32_t)((int32_t)n + 127) << 23);
  return ((x >= 1.17549435e-38f) & (exact + rest > -126.0f)) ? result : 0.0f;
}

// Activation functions of stored activations, and parametric ReLU. All are 0 at 0, so that lanes beyond the channels stay 0.
#include <math.h>
#include "nnk_engine.h"
#include "nnk_internal.h"
#include "nnk_loop.h"

typedef struct {
  const void *x, *dy;
  void *y;
  const float *slope;
  float *sums;
  ptrdiff_t count, samples, blocks, voxels;
  int block, type, f;
  float a, b;
} nnk_activation_job;

// The exponential linear unit's constants, which give it its fixed point at mean 0 and deviation 1.
static const float selu_scale = 1.0507009873554805f, selu_alpha = 1.6732632423543772f;
static const float root_half = 0.70710678118654752f, root_two_over_pi = 0.79788456080286536f;
static const float density_at_zero = 0.39894228040143268f;  // of the standard normal distribution

NNK_INLINE float logistic(float x) { return 1.0f / (1.0f + nnk_expf(-x)); }
NNK_INLINE float clamped(float x, float low, float high) { return x < low ? low : (x > high ? high : x); }
NNK_INLINE float gelu_argument(float x) { return root_two_over_pi * (x + 0.044715f * x * x * x); }
NNK_INLINE float log_one_plus_exp(float x) { return (x > 0 ? x : 0.0f) + log1pf(nnk_expf(-fabsf(x))); }

NNK_INLINE float activated(const int f, float x, float a) {
  switch (f) {
    case NNK_ACT_LEAKY: return x > 0 ? x : a * x;
    case NNK_ACT_RELU6: return clamped(x, 0, 6);
    case NNK_ACT_ELU: return x > 0 ? x : a * expm1f(x);
    case NNK_ACT_CELU: return x > 0 ? x : a * expm1f(x / a);
    case NNK_ACT_SELU: return selu_scale * (x > 0 ? x : selu_alpha * expm1f(x));
    case NNK_ACT_GELU: return 0.5f * x * (1 + erff(x * root_half));
    case NNK_ACT_GELU_TANH: return 0.5f * x * (1 + tanhf(gelu_argument(x)));
    case NNK_ACT_SILU: return x * logistic(x);
    case NNK_ACT_MISH: return x * tanhf(log_one_plus_exp(x));
    case NNK_ACT_HARDSWISH: return x * clamped(x + 3, 0, 6) / 6;
    default: return tanhf(x);
  }
}

NNK_INLINE float slope_at(const int f, float x, float a) {
  switch (f) {
    case NNK_ACT_LEAKY: return x > 0 ? 1 : a;
    case NNK_ACT_RELU6: return x > 0 && x < 6 ? 1 : 0;
    case NNK_ACT_ELU: return x > 0 ? 1 : a * expf(x);
    case NNK_ACT_CELU: return x > 0 ? 1 : expf(x / a);
    case NNK_ACT_SELU: return selu_scale * (x > 0 ? 1 : selu_alpha * expf(x));
    case NNK_ACT_GELU: return 0.5f * (1 + erff(x * root_half)) + x * density_at_zero * expf(-0.5f * x * x);
    case NNK_ACT_GELU_TANH: {
      float t = tanhf(gelu_argument(x));
      return 0.5f * (1 + t) + 0.5f * x * (1 - t * t) * root_two_over_pi * (1 + 3 * 0.044715f * x * x);
    }
    case NNK_ACT_SILU: {
      float s = logistic(x);
      return s * (1 + x * (1 - s));
    }
    case NNK_ACT_MISH: {
      float t = tanhf(log_one_plus_exp(x));
      return t + x * (1 - t * t) * logistic(x);
    }
    case NNK_ACT_HARDSWISH: return x < -3 ? 0 : (x > 3 ? 1 : x / 3 + 0.5f);
    default: {
      float t = tanhf(x);
      return 1 - t * t;
    }
  }
}

NNK_INLINE void activation_range(const nnk_activation_job *j, ptrdiff_t chunk, const int f, const int type,
                                 const int backward) {
  ptrdiff_t start = chunk * NNK_CHUNK, end = start + NNK_CHUNK < j->count ? start + NNK_CHUNK : j->count;
  const float a = j->a;
  for (ptrdiff_t i = start; i < end; ++i) {
    float x = nnk_load(j->x, i, type);
    nnk_store(j->y, i, backward ? slope_at(f, x, a) * nnk_load(j->dy, i, type) : activated(f, x, a), type);
  }
}

#define NNK_EACH_ACTIVATION(F, BACKWARD)                             \
  case F:                                                            \
    if (j->type == NNK_FLOAT32) activation_range(j, chunk, F, 0, BACKWARD); \
    else activation_range(j, chunk, F, 1, BACKWARD);                 \
    break;
#define NNK_ACTIVATION(NAME, BACKWARD)                            \
  NNK_CLONES static void NAME(ptrdiff_t chunk, void *context) {   \
    const nnk_activation_job *j = context;                        \
    switch (j->f) {                                               \
      NNK_EACH_ACTIVATION(NNK_ACT_LEAKY, BACKWARD)                \
      NNK_EACH_ACTIVATION(NNK_ACT_RELU6, BACKWARD)                \
      NNK_EACH_ACTIVATION(NNK_ACT_ELU, BACKWARD)                  \
      NNK_EACH_ACTIVATION(NNK_ACT_CELU, BACKWARD)                 \
      NNK_EACH_ACTIVATION(NNK_ACT_SELU, BACKWARD)                 \
      NNK_EACH_ACTIVATION(NNK_ACT_GELU, BACKWARD)                 \
      NNK_EACH_ACTIVATION(NNK_ACT_GELU_TANH, BACKWARD)            \
      NNK_EACH_ACTIVATION(NNK_ACT_SILU, BACKWARD)                 \
      NNK_EACH_ACTIVATION(NNK_ACT_MISH, BACKWARD)                 \
      NNK_EACH_ACTIVATION(NNK_ACT_HARDSWISH, BACKWARD)            \
      NNK_EACH_ACTIVATION(NNK_ACT_TANH, BACKWARD)                 \
    }                                                             \
  }
NNK_ACTIVATION(activate_chunk, 0)
NNK_ACTIVATION(activate_backward_chunk, 1)

void nnk_activate(nnk_activation f, const void *x, void *y, nnk_type type, ptrdiff_t count, float a) {
  nnk_activation_job job = {.x = x, .y = y, .count = count, .type = type, .f = (int)f, .a = a};
  nnk_parallel(chunks(count), activate_chunk, &job);
}

void nnk_activate_backward(nnk_activation f, const void *x, const void *dy, void *dx, nnk_type type, ptrdiff_t count,
                           float a) {
  nnk_activation_job job = {.x = x, .dy = dy, .y = dx, .count = count, .type = type, .f = (int)f, .a = a};
  nnk_parallel(chunks(count), activate_backward_chunk, &job);
}

// Parametric ReLU's derivative by its slope, of one plane: the sum of dy x where x is below 0.
NNK_INLINE void slope_sums_lanes(const nnk_activation_job *j, ptrdiff_t plane, const int B, const int type) {
  const char *x = (const char *)j->x + plane * j->voxels * B * nnk_size(type);
  const char *dy = (const char *)j->dy + plane * j->voxels * B * nnk_size(type);
  double total = 0;
  for (ptrdiff_t start = 0; start < j->voxels; start += 256) {
    ptrdiff_t end = start + 256 < j->voxels ? start + 256 : j->voxels;
    float s[16] = {0};
    for (ptrdiff_t v = start; v < end; ++v)
      for (int l = 0; l < B; ++l) {
        float value = nnk_load(x, v * B + l, type);
        s[l] += value > 0 ? 0 : value * nnk_load(dy, v * B + l, type);
      }
    for (int l = 0; l < B; ++l) total += s[l];
  }
  j->sums[plane] = (float)total;
}

NNK_CLONES static void slope_sums_plane(ptrdiff_t i, void *context) {
  const nnk_activation_job *j = context;
  if (j->type == NNK_FLOAT32) {
    if (j->block == 16) slope_sums_lanes(j, i, 16, 0);
    else slope_sums_lanes(j, i, 8, 0);
  } else {
    if (j->block == 16) slope_sums_lanes(j, i, 16, 1);
    else slope_sums_lanes(j, i, 8, 1);
  }
}

void nnk_slope_sums(const void *x, const void *dy, nnk_type type, float *sums, ptrdiff_t planes, ptrdiff_t voxels,
                    int block) {
  nnk_activation_job job = {.x = x, .dy = dy, .sums = sums, .voxels = voxels, .block = block, .type = type};
  nnk_parallel(planes, slope_sums_plane, &job);
}

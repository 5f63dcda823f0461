// Norms fused with leaky ReLU on channel-blocked activations: instance norm in one go per plane; batch norm and norms with
// running statistics in parts, between which the caller puts the samples' moments or sums together.
#include <math.h>
#include "nnk_engine.h"
#include "nnk_internal.h"

typedef struct {
  const void *x, *dy;
  void *y;
  const float *gamma, *beta;
  float *mean, *rstd, *dgamma, *dbeta;
  const float *centre, *tilt;
  double *first, *second;
  ptrdiff_t blocks, voxels;
  int block, type;
  float eps, slope;
} nnk_norm;

// Sums run in float over short runs and in double over runs, so that millions of voxels keep six digits.
enum { NNK_RUN = 256 };

// The norm of one channel as a line, a x + b, rounded as the reference rounds it: voxels near zero decide by their last bit
// which branch of leaky ReLU they take, and the way back must decide as the way there did.
NNK_INLINE void norm_line(const nnk_norm *j, ptrdiff_t row, ptrdiff_t channel, float *a, float *b) {
#pragma clang fp contract(off)
  *a = j->rstd[row] * j->gamma[channel];
  *b = j->beta[channel] - j->mean[row] * *a;
}

NNK_INLINE float norm_value(float x, float a, float b) {
#pragma clang fp contract(off)
  return x * a + b;
}

// What float32 cannot tell from zero, in a norm whose values have a deviation of about one: it counts as positive on the
// way back. One voxel on the other side of leaky ReLU's kink moves a gradient's norm by parts in a thousand.
#define NNK_KINK (-1.2e-6f)

// From the statistics as they are stored, so that a second application gives the same bits.
NNK_INLINE void norm_apply_lanes(const nnk_norm *j, ptrdiff_t plane, const int B, const int type) {
  const char *x = (const char *)j->x + plane * j->voxels * B * nnk_size(type);
  char *y = (char *)j->y + plane * j->voxels * B * nnk_size(type);
  ptrdiff_t channel = (plane % j->blocks) * B;
  float a[16], b[16];
  for (int l = 0; l < B; ++l) norm_line(j, plane * B + l, channel + l, &a[l], &b[l]);
  const float slope = j->slope;
  for (ptrdiff_t v = 0; v < j->voxels; ++v)
    for (int l = 0; l < B; ++l) {
      float z = norm_value(nnk_load(x, v * B + l, type), a[l], b[l]);
      nnk_store(y, v * B + l, z > 0 ? z : z * slope, type);
    }
}

// Mean and biased variance of a plane's lanes.
NNK_INLINE void norm_plane_moments(const nnk_norm *j, ptrdiff_t plane, double *means, double *variances, const int B,
                                   const int type) {
  const char *x = (const char *)j->x + plane * j->voxels * B * nnk_size(type);
  double sum[16] = {0}, square[16] = {0};
  float shift[16];
  for (int l = 0; l < B; ++l) shift[l] = nnk_load(x, l, type);
  for (ptrdiff_t start = 0; start < j->voxels; start += NNK_RUN) {
    ptrdiff_t end = start + NNK_RUN < j->voxels ? start + NNK_RUN : j->voxels;
    float s[16] = {0}, q[16] = {0};
    for (ptrdiff_t v = start; v < end; ++v)
      for (int l = 0; l < B; ++l) {
        float d = nnk_load(x, v * B + l, type) - shift[l];
        s[l] += d;
        q[l] += d * d;
      }
    for (int l = 0; l < B; ++l) {
      sum[l] += s[l];
      square[l] += q[l];
    }
  }
  for (int l = 0; l < B; ++l) {
    double mean = sum[l] / (double)j->voxels;
    double variance = square[l] / (double)j->voxels - mean * mean;
    means[l] = mean + shift[l];
    variances[l] = variance > 0 ? variance : 0;
  }
}

NNK_INLINE void norm_forward_lanes(const nnk_norm *j, ptrdiff_t plane, const int B, const int type) {
  double mean[16], variance[16];
  norm_plane_moments(j, plane, mean, variance, B, type);
  for (int l = 0; l < B; ++l) {
    j->mean[plane * B + l] = (float)mean[l];
    j->rstd[plane * B + l] = (float)(1.0 / sqrt(variance[l] + (double)j->eps));
  }
  norm_apply_lanes(j, plane, B, type);
}

NNK_INLINE void norm_moments_lanes(const nnk_norm *j, ptrdiff_t plane, const int B, const int type) {
  norm_plane_moments(j, plane, j->first + plane * B, j->second + plane * B, B, type);
}

// A body per block size and type, so that the loops over lanes and the loads are compiled for each.
#define NNK_NORM(NAME)                                                                                           \
  NNK_CLONES static void NAME##_16f(const nnk_norm *j, ptrdiff_t i) { NAME##_lanes(j, i, 16, NNK_FLOAT32); }     \
  NNK_CLONES static void NAME##_16h(const nnk_norm *j, ptrdiff_t i) { NAME##_lanes(j, i, 16, NNK_BFLOAT16); }    \
  NNK_CLONES static void NAME##_8f(const nnk_norm *j, ptrdiff_t i) { NAME##_lanes(j, i, 8, NNK_FLOAT32); }       \
  NNK_CLONES static void NAME##_8h(const nnk_norm *j, ptrdiff_t i) { NAME##_lanes(j, i, 8, NNK_BFLOAT16); }      \
  static void NAME##_plane(ptrdiff_t i, void *context) {                                                         \
    const nnk_norm *j = context;                                                                                 \
    if (j->type == NNK_FLOAT32) (j->block == 16 ? NAME##_16f : NAME##_8f)(j, i);                                 \
    else (j->block == 16 ? NAME##_16h : NAME##_8h)(j, i);                                                        \
  }
NNK_NORM(norm_apply)
NNK_NORM(norm_forward)
NNK_NORM(norm_moments)

void nnk_norm_forward(const void *x, void *y, nnk_type type, float *mean, float *rstd, const float *gamma, const float *beta,
                      ptrdiff_t samples, ptrdiff_t blocks, ptrdiff_t voxels, int block, float eps, float slope) {
  nnk_norm job = {.x = x, .y = y, .mean = mean, .rstd = rstd, .gamma = gamma, .beta = beta, .blocks = blocks,
                  .voxels = voxels, .block = block, .type = type, .eps = eps, .slope = slope};
  nnk_parallel(samples * blocks, norm_forward_plane, &job);
}

void nnk_norm_moments(const void *x, nnk_type type, double *mean, double *variance, ptrdiff_t samples, ptrdiff_t blocks,
                      ptrdiff_t voxels, int block) {
  nnk_norm job = {.x = x, .first = mean, .second = variance, .blocks = blocks, .voxels = voxels, .block = block,
                  .type = type};
  nnk_parallel(samples * blocks, norm_moments_plane, &job);
}

void nnk_norm_apply(const void *x, void *y, nnk_type type, const float *mean, const float *rstd, const float *gamma,
                    const float *beta, ptrdiff_t samples, ptrdiff_t blocks, ptrdiff_t voxels, int block, float slope) {
  nnk_norm job = {.x = x, .y = y, .mean = (float *)mean, .rstd = (float *)rstd, .gamma = gamma, .beta = beta,
                  .blocks = blocks, .voxels = voxels, .block = block, .type = type, .slope = slope};
  nnk_parallel(samples * blocks, norm_apply_plane, &job);
}

// Per lane of a plane the sum of the gradient behind the activation, and of its product with the normalised values.
NNK_INLINE void norm_plane_sums(const nnk_norm *j, ptrdiff_t plane, double *sums, double *dots, const int B,
                                const int type) {
  const ptrdiff_t offset = plane * j->voxels * B * nnk_size(type);
  const char *x = (const char *)j->x + offset, *dy = (const char *)j->dy + offset;
  ptrdiff_t channel = (plane % j->blocks) * B;
  float mean[16], rstd[16], a[16], b[16];
  double sum[16] = {0}, dot[16] = {0};
  for (int l = 0; l < B; ++l) {
    mean[l] = j->mean[plane * B + l];
    rstd[l] = j->rstd[plane * B + l];
    norm_line(j, plane * B + l, channel + l, &a[l], &b[l]);
  }
  const float slope = j->slope;
  for (ptrdiff_t start = 0; start < j->voxels; start += NNK_RUN) {
    ptrdiff_t end = start + NNK_RUN < j->voxels ? start + NNK_RUN : j->voxels;
    float s[16] = {0}, q[16] = {0};
    for (ptrdiff_t v = start; v < end; ++v)
      for (int l = 0; l < B; ++l) {
        float value = nnk_load(x, v * B + l, type), h = (value - mean[l]) * rstd[l];
        float g = nnk_load(dy, v * B + l, type);
        g = norm_value(value, a[l], b[l]) > NNK_KINK ? g : g * slope;
        s[l] += g;
        q[l] += g * h;
      }
    for (int l = 0; l < B; ++l) {
      sum[l] += s[l];
      dot[l] += q[l];
    }
  }
  for (int l = 0; l < B; ++l) {
    sums[l] = sum[l];
    dots[l] = dot[l];
  }
}

// The gradient by x of a plane, from the means of those sums over what shares a mean and a variance.
NNK_INLINE void norm_plane_gradient(const nnk_norm *j, ptrdiff_t plane, const float *centre, const float *tilt,
                                    const int B, const int type) {
  const ptrdiff_t offset = plane * j->voxels * B * nnk_size(type);
  const char *x = (const char *)j->x + offset, *dy = (const char *)j->dy + offset;
  char *dx = (char *)j->y + offset;
  ptrdiff_t channel = (plane % j->blocks) * B;
  float mean[16], rstd[16], a[16], b[16], scale[16];
  for (int l = 0; l < B; ++l) {
    mean[l] = j->mean[plane * B + l];
    rstd[l] = j->rstd[plane * B + l];
    norm_line(j, plane * B + l, channel + l, &a[l], &b[l]);
    scale[l] = j->gamma[channel + l] * rstd[l];
  }
  const float slope = j->slope;
  for (ptrdiff_t v = 0; v < j->voxels; ++v) {
    // dx may be dy: everything is read before anything is written, so that the lanes stay one vector.
    float value[16], h[16], g[16], d[16];
    for (int l = 0; l < B; ++l) value[l] = nnk_load(x, v * B + l, type);
    for (int l = 0; l < B; ++l) h[l] = (value[l] - mean[l]) * rstd[l];
    for (int l = 0; l < B; ++l) g[l] = nnk_load(dy, v * B + l, type);
    for (int l = 0; l < B; ++l) g[l] = norm_value(value[l], a[l], b[l]) > NNK_KINK ? g[l] : g[l] * slope;
    for (int l = 0; l < B; ++l) d[l] = scale[l] * (g[l] - centre[l] - h[l] * tilt[l]);
    for (int l = 0; l < B; ++l) nnk_store(dx, v * B + l, d[l], type);
  }
}

NNK_INLINE void norm_backward_lanes(const nnk_norm *j, ptrdiff_t plane, const int B, const int type) {
  double sum[16], dot[16];
  float centre[16], tilt[16];
  norm_plane_sums(j, plane, sum, dot, B, type);
  for (int l = 0; l < B; ++l) {
    j->dbeta[plane * B + l] = (float)sum[l];
    j->dgamma[plane * B + l] = (float)dot[l];
    centre[l] = (float)(sum[l] / (double)j->voxels);
    tilt[l] = (float)(dot[l] / (double)j->voxels);
  }
  norm_plane_gradient(j, plane, centre, tilt, B, type);
}

NNK_INLINE void norm_sums_lanes(const nnk_norm *j, ptrdiff_t plane, const int B, const int type) {
  norm_plane_sums(j, plane, j->first + plane * B, j->second + plane * B, B, type);
}

NNK_INLINE void norm_gradient_lanes(const nnk_norm *j, ptrdiff_t plane, const int B, const int type) {
  ptrdiff_t channel = (plane % j->blocks) * B;
  float centre[16], tilt[16];
  for (int l = 0; l < B; ++l) {
    centre[l] = j->centre[channel + l];
    tilt[l] = j->tilt[channel + l];
  }
  norm_plane_gradient(j, plane, centre, tilt, B, type);
}

NNK_NORM(norm_backward)
NNK_NORM(norm_sums)
NNK_NORM(norm_gradient)

void nnk_norm_backward(const void *x, const void *dy, void *dx, nnk_type type, const float *mean, const float *rstd,
                       const float *gamma, const float *beta, float *dgamma_parts, float *dbeta_parts,
                       ptrdiff_t samples, ptrdiff_t blocks, ptrdiff_t voxels, int block, float slope) {
  nnk_norm job = {.x = x, .dy = dy, .y = dx, .mean = (float *)mean, .rstd = (float *)rstd, .gamma = gamma,
                  .beta = beta, .dgamma = dgamma_parts, .dbeta = dbeta_parts, .blocks = blocks, .voxels = voxels,
                  .block = block, .type = type, .slope = slope};
  nnk_parallel(samples * blocks, norm_backward_plane, &job);
}

void nnk_norm_sums(const void *x, const void *dy, nnk_type type, const float *mean, const float *rstd, const float *gamma,
                   const float *beta, double *dgamma, double *dbeta, ptrdiff_t samples, ptrdiff_t blocks,
                   ptrdiff_t voxels, int block, float slope) {
  nnk_norm job = {.x = x, .dy = dy, .mean = (float *)mean, .rstd = (float *)rstd, .gamma = gamma, .beta = beta,
                  .first = dbeta, .second = dgamma, .blocks = blocks, .voxels = voxels, .block = block, .type = type,
                  .slope = slope};
  nnk_parallel(samples * blocks, norm_sums_plane, &job);
}

void nnk_norm_gradient(const void *x, const void *dy, void *dx, nnk_type type, const float *mean, const float *rstd,
                       const float *gamma, const float *beta, const float *centre, const float *tilt, ptrdiff_t samples,
                       ptrdiff_t blocks, ptrdiff_t voxels, int block, float slope) {
  nnk_norm job = {.x = x, .dy = dy, .y = dx, .mean = (float *)mean, .rstd = (float *)rstd, .gamma = gamma,
                  .beta = beta, .centre = centre, .tilt = tilt, .blocks = blocks, .voxels = voxels, .block = block,
                  .type = type, .slope = slope};
  nnk_parallel(samples * blocks, norm_gradient_plane, &job);
}

// Instance norm fused with leaky ReLU on channel-blocked activations.
#include <math.h>
#include "nnk_engine.h"
#include "nnk_internal.h"

typedef struct {
  const float *x, *dy, *gamma, *beta;
  float *y, *mean, *rstd, *dgamma, *dbeta;
  ptrdiff_t blocks, voxels;
  int block;
  float eps, slope;
} nnk_norm;

// Sums run in float over short runs and in double over runs, so that millions of voxels keep six digits.
enum { NNK_RUN = 256 };

NNK_INLINE void norm_forward_lanes(const nnk_norm *j, ptrdiff_t plane, const int B) {
  const float *x = j->x + plane * j->voxels * B;
  float *y = j->y + plane * j->voxels * B;
  double sum[16] = {0}, square[16] = {0};
  float shift[16];
  for (int l = 0; l < B; ++l) shift[l] = x[l];
  for (ptrdiff_t start = 0; start < j->voxels; start += NNK_RUN) {
    ptrdiff_t end = start + NNK_RUN < j->voxels ? start + NNK_RUN : j->voxels;
    float s[16] = {0}, q[16] = {0};
    for (ptrdiff_t v = start; v < end; ++v)
      for (int l = 0; l < B; ++l) {
        float d = x[v * B + l] - shift[l];
        s[l] += d;
        q[l] += d * d;
      }
    for (int l = 0; l < B; ++l) {
      sum[l] += s[l];
      square[l] += q[l];
    }
  }
  ptrdiff_t channel = (plane % j->blocks) * B;
  float a[16], b[16];
  for (int l = 0; l < B; ++l) {
    double mean = sum[l] / (double)j->voxels;
    double variance = square[l] / (double)j->voxels - mean * mean;
    double rstd = 1.0 / sqrt((variance > 0 ? variance : 0) + (double)j->eps);
    double centre = mean + shift[l];
    j->mean[plane * B + l] = (float)centre;
    j->rstd[plane * B + l] = (float)rstd;
    a[l] = (float)(j->gamma[channel + l] * rstd);
    b[l] = (float)(j->beta[channel + l] - centre * j->gamma[channel + l] * rstd);
  }
  const float slope = j->slope;
  for (ptrdiff_t v = 0; v < j->voxels; ++v)
    for (int l = 0; l < B; ++l) {
      float z = x[v * B + l] * a[l] + b[l];
      y[v * B + l] = z > 0 ? z : z * slope;
    }
}

NNK_CLONES static void norm_forward_16(const nnk_norm *j, ptrdiff_t plane) { norm_forward_lanes(j, plane, 16); }
NNK_CLONES static void norm_forward_8(const nnk_norm *j, ptrdiff_t plane) { norm_forward_lanes(j, plane, 8); }

static void norm_forward_plane(ptrdiff_t plane, void *context) {
  const nnk_norm *j = context;
  if (j->block == 16) norm_forward_16(j, plane); else norm_forward_8(j, plane);
}

void nnk_norm_forward(const float *x, float *y, float *mean, float *rstd, const float *gamma, const float *beta,
                      ptrdiff_t samples, ptrdiff_t blocks, ptrdiff_t voxels, int block, float eps, float slope) {
  nnk_norm job = {.x = x, .y = y, .mean = mean, .rstd = rstd, .gamma = gamma, .beta = beta, .blocks = blocks,
                  .voxels = voxels, .block = block, .eps = eps, .slope = slope};
  nnk_parallel(samples * blocks, norm_forward_plane, &job);
}

NNK_INLINE void norm_backward_lanes(const nnk_norm *j, ptrdiff_t plane, const int B) {
  const float *x = j->x + plane * j->voxels * B;
  const float *dy = j->dy + plane * j->voxels * B;
  float *dx = j->y + plane * j->voxels * B;
  ptrdiff_t channel = (plane % j->blocks) * B;
  float mean[16], rstd[16], gamma[16], beta[16];
  double sum[16] = {0}, dot[16] = {0};
  for (int l = 0; l < B; ++l) {
    mean[l] = j->mean[plane * B + l];
    rstd[l] = j->rstd[plane * B + l];
    gamma[l] = j->gamma[channel + l];
    beta[l] = j->beta[channel + l];
  }
  const float slope = j->slope;
  for (ptrdiff_t start = 0; start < j->voxels; start += NNK_RUN) {
    ptrdiff_t end = start + NNK_RUN < j->voxels ? start + NNK_RUN : j->voxels;
    float s[16] = {0}, q[16] = {0};
    for (ptrdiff_t v = start; v < end; ++v)
      for (int l = 0; l < B; ++l) {
        float h = (x[v * B + l] - mean[l]) * rstd[l];
        float g = dy[v * B + l];
        g = h * gamma[l] + beta[l] > 0 ? g : g * slope;
        s[l] += g;
        q[l] += g * h;
      }
    for (int l = 0; l < B; ++l) {
      sum[l] += s[l];
      dot[l] += q[l];
    }
  }
  float scale[16], centre[16], tilt[16];
  for (int l = 0; l < B; ++l) {
    j->dbeta[plane * B + l] = (float)sum[l];
    j->dgamma[plane * B + l] = (float)dot[l];
    scale[l] = gamma[l] * rstd[l];
    centre[l] = (float)(sum[l] / (double)j->voxels);
    tilt[l] = (float)(dot[l] / (double)j->voxels);
  }
  for (ptrdiff_t v = 0; v < j->voxels; ++v)
    for (int l = 0; l < B; ++l) {
      float h = (x[v * B + l] - mean[l]) * rstd[l];
      float g = dy[v * B + l];
      g = h * gamma[l] + beta[l] > 0 ? g : g * slope;
      dx[v * B + l] = scale[l] * (g - centre[l] - h * tilt[l]);
    }
}

NNK_CLONES static void norm_backward_16(const nnk_norm *j, ptrdiff_t plane) { norm_backward_lanes(j, plane, 16); }
NNK_CLONES static void norm_backward_8(const nnk_norm *j, ptrdiff_t plane) { norm_backward_lanes(j, plane, 8); }

static void norm_backward_plane(ptrdiff_t plane, void *context) {
  const nnk_norm *j = context;
  if (j->block == 16) norm_backward_16(j, plane); else norm_backward_8(j, plane);
}

void nnk_norm_backward(const float *x, const float *dy, float *dx, const float *mean, const float *rstd,
                       const float *gamma, const float *beta, float *dgamma_parts, float *dbeta_parts,
                       ptrdiff_t samples, ptrdiff_t blocks, ptrdiff_t voxels, int block, float slope) {
  nnk_norm job = {.x = x, .dy = dy, .y = dx, .mean = (float *)mean, .rstd = (float *)rstd, .gamma = gamma,
                  .beta = beta, .dgamma = dgamma_parts, .dbeta = dbeta_parts, .blocks = blocks, .voxels = voxels,
                  .block = block, .slope = slope};
  nnk_parallel(samples * blocks, norm_backward_plane, &job);
}

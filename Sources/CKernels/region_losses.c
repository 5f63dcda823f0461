// Binary cross-entropy and soft Dice of region maps: plain logits [N][R][V], targets [N][T][V] of 0/1 with T >= R;
// with an ignore map it is the last target channel.
#include <math.h>
#include "nnk_engine.h"
#include "nnk_internal.h"

typedef struct {
  const float *x, *p, *a, *b;
  const int16_t *targets;
  float *y;
  double *sums;
  ptrdiff_t regions, targets_per_sample, voxels;
  int has_ignore;
  float scale;
} nnk_region_job;

NNK_CLONES static void region_plane(ptrdiff_t plane, void *context) {
  const nnk_region_job *j = context;
  ptrdiff_t n = plane / j->regions, r = plane % j->regions;
  const float *x = j->x + plane * j->voxels;
  const float *p = j->p + plane * j->voxels;
  const int16_t *y = j->targets + (n * j->targets_per_sample + r) * j->voxels;
  const int16_t *ignore = j->targets + (n * j->targets_per_sample + j->targets_per_sample - 1) * j->voxels;
  double *out = j->sums + plane * 5;
  double entropy = 0, intersection = 0, predicted = 0, reference = 0, valid = 0;
  for (ptrdiff_t v = 0; v < j->voxels; ++v) {
    float mask = j->has_ignore && ignore[v] ? 0.0f : 1.0f;
    float t = y[v] ? 1.0f : 0.0f;
    // log(1 + exp(-|x|)) keeps its digits on both sides.
    float value = (x[v] > 0 ? x[v] : 0.0f) - x[v] * t + log1pf(expf(-fabsf(x[v])));
    entropy += (double)(value * mask);
    intersection += (double)(p[v] * t * mask);
    predicted += (double)(p[v] * mask);
    reference += (double)(t * mask);
    valid += (double)mask;
  }
  out[0] = entropy, out[1] = intersection, out[2] = predicted, out[3] = reference, out[4] = valid;
}

void nnk_region_sums(const float *x, const float *p, const int16_t *targets, ptrdiff_t samples, ptrdiff_t regions,
                     ptrdiff_t targets_per_sample, ptrdiff_t voxels, int has_ignore, double *sums) {
  nnk_region_job job = {.x = x, .p = p, .targets = targets, .sums = sums, .regions = regions,
                        .targets_per_sample = targets_per_sample, .voxels = voxels, .has_ignore = has_ignore};
  nnk_parallel(samples * regions, region_plane, &job);
}

NNK_CLONES static void region_gradient_plane(ptrdiff_t plane, void *context) {
  const nnk_region_job *j = context;
  ptrdiff_t n = plane / j->regions, r = plane % j->regions;
  const float *p = j->p + plane * j->voxels;
  float *dx = j->y + plane * j->voxels;
  const int16_t *y = j->targets + (n * j->targets_per_sample + r) * j->voxels;
  const int16_t *ignore = j->targets + (n * j->targets_per_sample + j->targets_per_sample - 1) * j->voxels;
  const float a = j->a[plane], b = j->b[plane];
  for (ptrdiff_t v = 0; v < j->voxels; ++v) {
    float mask = j->has_ignore && ignore[v] ? 0.0f : 1.0f;
    float t = y[v] ? 1.0f : 0.0f;
    dx[v] += mask * (j->scale * (p[v] - t) + (a * t + b) * p[v] * (1.0f - p[v]));
  }
}

void nnk_region_loss_gradient(const float *p, const int16_t *targets, float *dx, ptrdiff_t samples, ptrdiff_t regions,
                              ptrdiff_t targets_per_sample, ptrdiff_t voxels, int has_ignore, float bce_scale,
                              const float *a, const float *b) {
  nnk_region_job job = {.p = p, .targets = targets, .y = dx, .regions = regions,
                        .targets_per_sample = targets_per_sample, .voxels = voxels, .has_ignore = has_ignore,
                        .scale = bce_scale, .a = a, .b = b};
  nnk_parallel(samples * regions, region_gradient_plane, &job);
}

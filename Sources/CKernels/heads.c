// Output heads: pointwise convolutions from blocked features to a few plain float32 logits, without the padding to whole
// blocks of channels and the change of layout that a convolution would need.
#include "nnk_engine.h"
#include "nnk_internal.h"

enum { HEAD_RUN = 4096 };

typedef struct {
  const nnk_head *h;
  const void *x;
  void *dx;
  const float *g;
  float *y, *partial;
} nnk_head_job;

NNK_INLINE ptrdiff_t runs(const nnk_head *h) { return (h->voxels + HEAD_RUN - 1) / HEAD_RUN; }

#define NNK_HEAD(NAME)                                                                                                    \
  NNK_CLONES static void NAME##_16f(const nnk_head_job *j, ptrdiff_t i) { NAME##_lanes(j, i, 16, NNK_FLOAT32); }          \
  NNK_CLONES static void NAME##_16h(const nnk_head_job *j, ptrdiff_t i) { NAME##_lanes(j, i, 16, NNK_BFLOAT16); }         \
  NNK_CLONES static void NAME##_8f(const nnk_head_job *j, ptrdiff_t i) { NAME##_lanes(j, i, 8, NNK_FLOAT32); }            \
  NNK_CLONES static void NAME##_8h(const nnk_head_job *j, ptrdiff_t i) { NAME##_lanes(j, i, 8, NNK_BFLOAT16); }           \
  static void NAME##_run(ptrdiff_t i, void *context) {                                                                    \
    const nnk_head_job *j = context;                                                                                      \
    if (j->h->type == NNK_FLOAT32) (j->h->block == 16 ? NAME##_16f : NAME##_8f)(j, i);                                    \
    else (j->h->block == 16 ? NAME##_16h : NAME##_8h)(j, i);                                                              \
  }

// A run of voxels of one sample: [first, end).
#define NNK_HEAD_RANGE                                                                      \
  const nnk_head *h = j->h;                                                                 \
  const ptrdiff_t sample = index / runs(h), first = index % runs(h) * HEAD_RUN;             \
  const ptrdiff_t end = first + HEAD_RUN < h->voxels ? first + HEAD_RUN : h->voxels;        \
  const ptrdiff_t width = h->blocks * B, plane = h->voxels * B * nnk_size(type);            \
  (void)width;

NNK_INLINE void head_forward_lanes(const nnk_head_job *j, ptrdiff_t index, const int B, const int type) {
  NNK_HEAD_RANGE
  const char *x = (const char *)j->x + sample * h->blocks * plane;
  for (ptrdiff_t v = first; v < end; ++v)
    for (ptrdiff_t k = 0; k < h->classes; ++k) {
      float t[16] = {0};
      for (ptrdiff_t b = 0; b < h->blocks; ++b)
        for (int l = 0; l < B; ++l) t[l] += nnk_load(x + b * plane, v * B + l, type) * h->weight[k * width + b * B + l];
      for (int half = B / 2; half > 0; half /= 2)
        for (int l = 0; l < half; ++l) t[l] += t[l + half];
      j->y[(sample * h->classes + k) * h->voxels + v] = t[0] + h->bias[k];
    }
}
NNK_HEAD(head_forward)

NNK_INLINE void head_source_lanes(const nnk_head_job *j, ptrdiff_t index, const int B, const int type) {
  NNK_HEAD_RANGE
  const float *g = j->g + sample * h->classes * h->voxels;
  for (ptrdiff_t b = 0; b < h->blocks; ++b) {
    char *dx = (char *)j->dx + (sample * h->blocks + b) * plane;
    for (ptrdiff_t v = first; v < end; ++v) {
      float t[16] = {0};
      for (ptrdiff_t k = 0; k < h->classes; ++k) {
        float value = g[k * h->voxels + v];
        for (int l = 0; l < B; ++l) t[l] += value * h->weight[k * width + b * B + l];
      }
      for (int l = 0; l < B; ++l) nnk_store(dx, v * B + l, t[l], type);
    }
  }
}
NNK_HEAD(head_source)

NNK_INLINE void head_weight_lanes(const nnk_head_job *j, ptrdiff_t index, const int B, const int type) {
  NNK_HEAD_RANGE
  const float *g = j->g + sample * h->classes * h->voxels;
  float *sums = j->partial + index * h->classes * (width + 1);
  for (ptrdiff_t k = 0; k < h->classes; ++k) {
    float sum = 0;
    for (ptrdiff_t v = first; v < end; ++v) sum += g[k * h->voxels + v];
    sums[h->classes * width + k] = sum;
  }
  for (ptrdiff_t b = 0; b < h->blocks; ++b) {
    const char *x = (const char *)j->x + (sample * h->blocks + b) * plane;
    for (ptrdiff_t low = 0; low < h->classes; low += 4) {
      const int count = h->classes - low < 4 ? (int)(h->classes - low) : 4;
      // The classes beyond the last repeat it, so that the inner loop has a constant length.
      const float *row[4];
      for (int k = 0; k < 4; ++k) row[k] = g + (low + (k < count ? k : count - 1)) * h->voxels;
      float t[4][16] = {{0}};
      for (ptrdiff_t v = first; v < end; ++v) {
        float lanes[16];
        for (int l = 0; l < B; ++l) lanes[l] = nnk_load(x, v * B + l, type);
        for (int k = 0; k < 4; ++k) {
          const float value = row[k][v];
          for (int l = 0; l < B; ++l) t[k][l] += value * lanes[l];
        }
      }
      for (int k = 0; k < count; ++k)
        for (int l = 0; l < B; ++l) sums[(low + k) * width + b * B + l] = t[k][l];
    }
  }
}
NNK_HEAD(head_weight)

void nnk_head_forward(const nnk_head *h, const void *x, float *y) {
  nnk_head_job job = {.h = h, .x = x, .y = y};
  nnk_parallel(h->samples * runs(h), head_forward_run, &job);
}

void nnk_head_source_gradient(const nnk_head *h, const float *g, void *dx) {
  nnk_head_job job = {.h = h, .g = g, .dx = dx};
  nnk_parallel(h->samples * runs(h), head_source_run, &job);
}

ptrdiff_t nnk_head_scratch(const nnk_head *h) {
  return h->samples * runs(h) * h->classes * (h->blocks * h->block + 1);
}

void nnk_head_weight_gradient(const nnk_head *h, const float *g, const void *x, float *scratch, float *weight,
                              float *bias) {
  nnk_head_job job = {.h = h, .g = g, .x = x, .partial = scratch};
  ptrdiff_t count = h->samples * runs(h), width = h->blocks * h->block, stride = h->classes * (width + 1);
  nnk_parallel(count, head_weight_run, &job);
  for (ptrdiff_t k = 0; k < h->classes; ++k) {
    for (ptrdiff_t c = 0; c < h->channels; ++c) {
      double sum = 0;
      for (ptrdiff_t i = 0; i < count; ++i) sum += scratch[i * stride + k * width + c];
      weight[k * h->channels + c] = (float)sum;
    }
    double sum = 0;
    for (ptrdiff_t i = 0; i < count; ++i) sum += scratch[i * stride + h->classes * width + k];
    bias[k] = (float)sum;
  }
}

// In-place optimizer steps.
#include "nnk_engine.h"
#include "nnk_internal.h"

typedef struct {
  float *w, *m;
  const float *g;
  ptrdiff_t count;
  float rate, momentum, decay, scale;
  int nesterov, first;
} nnk_sgd_job;

enum { NNK_STEP = 1 << 16 };

NNK_CLONES static void sgd_chunk(ptrdiff_t chunk, void *context) {
  const nnk_sgd_job *j = context;
  ptrdiff_t start = chunk * NNK_STEP, end = start + NNK_STEP < j->count ? start + NNK_STEP : j->count;
  float *restrict w = j->w, *restrict m = j->m;
  const float *restrict g = j->g;
  const float momentum = j->momentum, kept = j->first ? 0.0f : j->momentum;
  for (ptrdiff_t i = start; i < end; ++i) {
    float d = g[i] * j->scale + j->decay * w[i];
    float direction = kept * m[i] + d;
    m[i] = direction;
    w[i] -= j->rate * (j->nesterov ? d + momentum * direction : direction);
  }
}

void nnk_sgd(float *w, const float *g, float *m, ptrdiff_t count, float rate, float momentum, float decay, float scale,
             int nesterov, int first) {
  nnk_sgd_job job = {w, m, g, count, rate, momentum, decay, scale, nesterov, first};
  nnk_parallel((count + NNK_STEP - 1) / NNK_STEP, sgd_chunk, &job);
}

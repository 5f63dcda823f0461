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

typedef struct {
  float *w, *m, *v, *top;
  const float *g;
  ptrdiff_t count;
  nnk_adam_step step;
} nnk_adam_job;

NNK_INLINE void adam_range(const nnk_adam_job *j, ptrdiff_t chunk, const int amsgrad) {
  ptrdiff_t start = chunk * NNK_STEP, end = start + NNK_STEP < j->count ? start + NNK_STEP : j->count;
  float *restrict w = j->w, *restrict m = j->m, *restrict v = j->v, *restrict top = j->top;
  const float *restrict g = j->g;
  const nnk_adam_step s = j->step;
  for (ptrdiff_t i = start; i < end; ++i) {
    float d = g[i] * s.scale + s.decay * w[i];
    m[i] += (d - m[i]) * (1 - s.beta1);
    v[i] = v[i] * s.beta2 + d * d * (1 - s.beta2);
    float square = v[i];
    if (amsgrad) {
      top[i] = top[i] > square ? top[i] : square;
      square = top[i];
    }
    w[i] = w[i] * s.shrink - s.rate * m[i] / (__builtin_sqrtf(square) / s.root + s.epsilon);
  }
}

NNK_CLONES static void adam_chunk(ptrdiff_t chunk, void *context) { adam_range(context, chunk, 0); }
NNK_CLONES static void amsgrad_chunk(ptrdiff_t chunk, void *context) { adam_range(context, chunk, 1); }

void nnk_adam(float *w, const float *g, float *m, float *v, float *top, ptrdiff_t count, nnk_adam_step step) {
  nnk_adam_job job = {w, m, v, top, g, count, step};
  nnk_parallel((count + NNK_STEP - 1) / NNK_STEP, top ? amsgrad_chunk : adam_chunk, &job);
}

typedef struct {
  float *w, *m, *v, *n, *last;
  const float *g;
  ptrdiff_t count;
  nnk_adan_step step;
} nnk_adan_job;

NNK_CLONES static void adan_chunk(ptrdiff_t chunk, void *context) {
  const nnk_adan_job *j = context;
  ptrdiff_t start = chunk * NNK_STEP, end = start + NNK_STEP < j->count ? start + NNK_STEP : j->count;
  float *restrict w = j->w, *restrict m = j->m, *restrict v = j->v, *restrict n = j->n, *restrict last = j->last;
  const float *restrict g = j->g;
  const nnk_adan_step s = j->step;
  const float after = 1 - s.beta2;
  for (ptrdiff_t i = start; i < end; ++i) {
    float d = g[i] * s.scale;
    // The first step only remembers the gradient: there is no difference yet, and the moments stay zero.
    if (!s.first) {
      float change = d - last[i], ahead = d + after * change;
      m[i] = m[i] * (1 - s.beta1) + d * s.beta1;
      v[i] = v[i] * after + change * s.beta2;
      n[i] = n[i] * (1 - s.beta3) + ahead * ahead * s.beta3;
    }
    float rate = s.rate / (__builtin_sqrtf(n[i] * s.correction3) + s.epsilon);
    w[i] = (w[i] - rate * (m[i] * s.correction1 + after * v[i] * s.correction2)) * s.shrink;
    last[i] = d;
  }
}

void nnk_adan(float *w, const float *g, float *m, float *v, float *n, float *last, ptrdiff_t count,
              nnk_adan_step step) {
  nnk_adan_job job = {w, m, v, n, last, g, count, step};
  nnk_parallel((count + NNK_STEP - 1) / NNK_STEP, adan_chunk, &job);
}

// Losses that weigh voxels differently: label smoothing, top-k and focal, all functions of the cross-entropy per voxel.
#include <math.h>
#include <stdlib.h>
#include "nnk_engine.h"
#include "nnk_internal.h"

enum { NNK_STRIP = 1024 };

typedef struct {
  const float *x;
  const int16_t *labels;
  float *entropy, *uniform;
  int64_t *counts;
  ptrdiff_t channels, voxels;
  int ignored;
} nnk_entropies;

NNK_CLONES static void entropies_sample(ptrdiff_t n, void *context) {
  const nnk_entropies *j = context;
  int64_t counted = 0;
  for (ptrdiff_t start = 0; start < j->voxels; start += NNK_STRIP) {
    ptrdiff_t length = j->voxels - start < NNK_STRIP ? j->voxels - start : NNK_STRIP;
    const float *x = j->x + n * j->channels * j->voxels + start;
    const int16_t *labels = j->labels + n * j->voxels + start;
    float *entropy = j->entropy + n * j->voxels + start, *uniform = j->uniform + n * j->voxels + start;
    float top[NNK_STRIP], sum[NNK_STRIP], own[NNK_STRIP], mean[NNK_STRIP];
    nnk_softmax_sums(x, labels, j->channels, j->voxels, length, top, sum, own, mean);
    for (ptrdiff_t v = 0; v < length; ++v) {
      int valid = labels[v] != j->ignored;
      float total = logf(sum[v]);
      entropy[v] = valid ? total - own[v] : 0.0f;
      uniform[v] = valid ? total - mean[v] / (float)j->channels : 0.0f;
      counted += valid;
    }
  }
  j->counts[n] = counted;
}

int64_t nnk_voxel_entropies(const float *x, const int16_t *labels, ptrdiff_t samples, ptrdiff_t channels,
                            ptrdiff_t voxels, int ignored, float *entropy, float *uniform) {
  int64_t counts[samples];
  nnk_entropies job = {x, labels, entropy, uniform, counts, channels, voxels, ignored};
  nnk_parallel(samples, entropies_sample, &job);
  int64_t total = 0;
  for (ptrdiff_t n = 0; n < samples; ++n) total += counts[n];
  return total;
}

double nnk_smoothed_entropy(const float *entropy, const float *uniform, ptrdiff_t count, float epsilon, float scale,
                            float *weight, float *tilt) {
  double sum = 0;
  for (ptrdiff_t i = 0; i < count; ++i) {
    sum += (double)((1 - epsilon) * entropy[i] + epsilon * uniform[i]);
    weight[i] += scale;
    tilt[i] += scale * epsilon;
  }
  return sum;
}

// The value that would stand at `index` if the values were sorted in descending order; reorders them.
static float select_descending(float *values, ptrdiff_t count, ptrdiff_t index) {
  ptrdiff_t low = 0, high = count - 1;
  while (low < high) {
    float a = values[low], b = values[low + (high - low) / 2], c = values[high];
    float pivot = a > b ? (b > c ? b : (a > c ? c : a)) : (a > c ? a : (b > c ? c : b));
    ptrdiff_t i = low, k = high;
    while (i <= k) {
      while (values[i] > pivot) ++i;
      while (values[k] < pivot) --k;
      if (i <= k) {
        float swap = values[i];
        values[i++] = values[k];
        values[k--] = swap;
      }
    }
    if (index <= k) high = k;
    else if (index >= i) low = i;
    else break;
  }
  return values[index];
}

double nnk_top_entropy(const float *entropy, const float *uniform, ptrdiff_t count, ptrdiff_t kept, float epsilon,
                       float scale, float *weight, float *tilt) {
  if (kept <= 0) return 0;
  if (kept > count) kept = count;
  float *values = malloc((size_t)count * sizeof(float));
  if (!values) abort();
  for (ptrdiff_t i = 0; i < count; ++i) values[i] = (1 - epsilon) * entropy[i] + epsilon * uniform[i];
  float threshold = select_descending(values, count, kept - 1);
  ptrdiff_t above = 0;
  for (ptrdiff_t i = 0; i < count; ++i) above += values[i] > threshold;
  free(values);
  ptrdiff_t equals = kept - above;
  double sum = 0;
  for (ptrdiff_t i = 0; i < count; ++i) {
    float value = (1 - epsilon) * entropy[i] + epsilon * uniform[i];
    if (value < threshold || (value == threshold && equals-- <= 0)) continue;
    sum += (double)value;
    weight[i] += scale;
    tilt[i] += scale * epsilon;
  }
  return sum;
}

double nnk_focal(const float *entropy, ptrdiff_t count, float gamma, float scale, float *weight) {
  double sum = 0;
  for (ptrdiff_t i = 0; i < count; ++i) {
    float p = expf(-entropy[i]), rest = 1 - p;
    float modulation = powf(rest, gamma);
    sum += (double)(modulation * entropy[i]);
    // The limit of (1 - p)^(gamma - 1) where p is 1 matters only times an entropy of zero.
    float slope = rest > 0 ? gamma * p * powf(rest, gamma - 1) * entropy[i] : 0.0f;
    weight[i] += scale * (modulation + slope);
  }
  return sum;
}

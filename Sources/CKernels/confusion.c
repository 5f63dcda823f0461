// Counts of right and wrong voxels, for the pseudo-Dice of training.
#include "nnk_engine.h"
#include "nnk_internal.h"

void nnk_label_confusion(const float *x, const int16_t *labels, ptrdiff_t samples, ptrdiff_t channels, ptrdiff_t voxels,
                         int ignored, int64_t *counts) {
  for (ptrdiff_t n = 0; n < samples; ++n) {
    const float *logits = x + n * channels * voxels;
    const int16_t *own = labels + n * voxels;
    for (ptrdiff_t v = 0; v < voxels; ++v) {
      if (own[v] == ignored) continue;
      ptrdiff_t best = 0;
      for (ptrdiff_t c = 1; c < channels; ++c)
        if (logits[c * voxels + v] > logits[best * voxels + v]) best = c;
      if (best == own[v]) {
        counts[best * 3] += 1;
      } else {
        counts[best * 3 + 1] += 1;
        if (own[v] >= 0 && own[v] < channels) counts[own[v] * 3 + 2] += 1;
      }
    }
  }
}

void nnk_region_confusion(const float *x, const int16_t *targets, ptrdiff_t samples, ptrdiff_t regions,
                          ptrdiff_t targets_per_sample, ptrdiff_t voxels, int has_ignore, int64_t *counts) {
  for (ptrdiff_t n = 0; n < samples; ++n)
    for (ptrdiff_t r = 0; r < regions; ++r) {
      const float *logits = x + (n * regions + r) * voxels;
      const int16_t *own = targets + (n * targets_per_sample + r) * voxels;
      const int16_t *ignore = targets + (n * targets_per_sample + targets_per_sample - 1) * voxels;
      int64_t *out = counts + r * 3;
      for (ptrdiff_t v = 0; v < voxels; ++v) {
        if (has_ignore && ignore[v]) continue;
        int predicted = logits[v] > 0, wanted = own[v] != 0;
        out[0] += predicted & wanted;
        out[1] += predicted & (wanted ^ 1);
        out[2] += (predicted ^ 1) & wanted;
      }
    }
}

// Dropout on channel-blocked activations. What is dropped depends on a key and on a value's place in the plain order alone,
// so that every block size, thread count and pass over the same values drops the same.
#include "nnk_engine.h"
#include "nnk_internal.h"

typedef struct {
  const void *x;
  void *y;
  ptrdiff_t channels, blocks, voxels;
  int block, type;
  nnk_dropped unit;
  uint64_t key, threshold;
  float scale;
} nnk_dropout_job;

// The finaliser of SplitMix64: consecutive counters give independent bits.
NNK_INLINE uint64_t mixed(uint64_t z) {
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
  return z ^ (z >> 31);
}

// The factor of the unit with a number: 0, or the scale of what is kept.
NNK_INLINE float factor(const nnk_dropout_job *j, uint64_t unit) {
  uint64_t draw = mixed(j->key + (unit + 1) * 0x9E3779B97F4A7C15ull) >> 11;
  return draw < j->threshold ? j->scale : 0.0f;
}

NNK_INLINE void dropout_lanes(const nnk_dropout_job *j, ptrdiff_t plane, const int B, const int type) {
  const char *x = (const char *)j->x + plane * j->voxels * B * nnk_size(type);
  char *y = (char *)j->y + plane * j->voxels * B * nnk_size(type);
  ptrdiff_t n = plane / j->blocks, channel = plane % j->blocks * B;
  float f[16];
  uint64_t first[16];
  for (int l = 0; l < B; ++l) {
    uint64_t row = (uint64_t)(n * j->channels + channel + l);
    f[l] = factor(j, j->unit == NNK_SAMPLES ? (uint64_t)n : row);
    first[l] = row * (uint64_t)j->voxels;
  }
  // Lanes beyond the channels hold zeros, whatever their factor.
  for (ptrdiff_t v = 0; v < j->voxels; ++v) {
    if (j->unit == NNK_ELEMENTS)
      for (int l = 0; l < B; ++l) f[l] = factor(j, first[l] + (uint64_t)v);
    for (int l = 0; l < B; ++l) nnk_store(y, v * B + l, nnk_load(x, v * B + l, type) * f[l], type);
  }
}

NNK_CLONES static void dropout_plane(ptrdiff_t i, void *context) {
  const nnk_dropout_job *j = context;
  if (j->type == NNK_FLOAT32) {
    if (j->block == 16) dropout_lanes(j, i, 16, 0);
    else dropout_lanes(j, i, 8, 0);
  } else {
    if (j->block == 16) dropout_lanes(j, i, 16, 1);
    else dropout_lanes(j, i, 8, 1);
  }
}

void nnk_dropout(const void *x, void *y, nnk_type type, ptrdiff_t samples, ptrdiff_t channels, ptrdiff_t voxels, int block,
                 nnk_dropped unit, double kept, uint64_t key) {
  nnk_dropout_job job = {.x = x, .y = y, .channels = channels, .blocks = (channels + block - 1) / block,
                         .voxels = voxels, .block = block, .type = type, .unit = unit, .key = key,
                         .threshold = (uint64_t)(kept * 0x1p53), .scale = kept > 0 ? (float)(1.0 / kept) : 0.0f};
  nnk_parallel(samples * job.blocks, dropout_plane, &job);
}

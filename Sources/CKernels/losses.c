// Softmax, cross-entropy and soft Dice on plain logits [N][K][V], with their gradients.
#include <math.h>
#include "nnk_engine.h"
#include "nnk_internal.h"

// Voxels are handled in tiles small enough for the first cache, channels outside, so that every loop vectorises.
enum { NNK_TILE = 1024 };

typedef struct {
  const float *x, *a, *b, *weight, *tilt;
  const int16_t *labels;
  float *y;
  double *sums;    // [tiles][...]
  int64_t *counts;  // [tiles]
  ptrdiff_t channels, voxels, tiles;
  int ignored;
  float scale;
} nnk_loss;

NNK_CLONES static void softmax_tile(ptrdiff_t index, void *context) {
  const nnk_loss *j = context;
  ptrdiff_t n = index / j->tiles, start = (index % j->tiles) * NNK_TILE;
  ptrdiff_t length = j->voxels - start < NNK_TILE ? j->voxels - start : NNK_TILE;
  const float *x = j->x + n * j->channels * j->voxels + start;
  float *p = j->y + n * j->channels * j->voxels + start;
  float top[NNK_TILE], sum[NNK_TILE];
  for (ptrdiff_t v = 0; v < length; ++v) top[v] = x[v], sum[v] = 0;
  for (ptrdiff_t c = 1; c < j->channels; ++c)
    for (ptrdiff_t v = 0; v < length; ++v) {
      float value = x[c * j->voxels + v];
      top[v] = value > top[v] ? value : top[v];
    }
  for (ptrdiff_t c = 0; c < j->channels; ++c)
    for (ptrdiff_t v = 0; v < length; ++v) {
      float e = nnk_expf(x[c * j->voxels + v] - top[v]);
      p[c * j->voxels + v] = e;
      sum[v] += e;
    }
  for (ptrdiff_t c = 0; c < j->channels; ++c)
    for (ptrdiff_t v = 0; v < length; ++v) p[c * j->voxels + v] /= sum[v];
}

static ptrdiff_t tile_count(ptrdiff_t voxels) { return (voxels + NNK_TILE - 1) / NNK_TILE; }

void nnk_softmax(const float *x, float *p, ptrdiff_t samples, ptrdiff_t channels, ptrdiff_t voxels) {
  nnk_loss job = {.x = x, .y = p, .channels = channels, .voxels = voxels, .tiles = tile_count(voxels)};
  nnk_parallel(samples * job.tiles, softmax_tile, &job);
}

NNK_CLONES static void cross_entropy_sample(ptrdiff_t n, void *context) {
  const nnk_loss *j = context;
  double total = 0;
  int64_t counted = 0;
  for (ptrdiff_t start = 0; start < j->voxels; start += NNK_TILE) {
    ptrdiff_t length = j->voxels - start < NNK_TILE ? j->voxels - start : NNK_TILE;
    const float *x = j->x + n * j->channels * j->voxels + start;
    const int16_t *labels = j->labels + n * j->voxels + start;
    float top[NNK_TILE], sum[NNK_TILE], own[NNK_TILE];
    nnk_softmax_sums(x, labels, j->channels, j->voxels, length, top, sum, own, 0);
    for (ptrdiff_t v = 0; v < length; ++v)
      if (labels[v] != j->ignored) {
        total += (double)(logf(sum[v]) - own[v]);
        counted += 1;
      }
  }
  j->sums[n] = total;
  j->counts[n] = counted;
}

void nnk_cross_entropy(const float *x, const int16_t *labels, ptrdiff_t samples, ptrdiff_t channels, ptrdiff_t voxels,
                       int ignored, double *sum, int64_t *counted) {
  nnk_loss job = {.x = x, .labels = labels, .sums = sum, .counts = counted, .channels = channels, .voxels = voxels,
                  .ignored = ignored};
  nnk_parallel(samples, cross_entropy_sample, &job);
}

NNK_CLONES static void dice_plane(ptrdiff_t plane, void *context) {
  const nnk_loss *j = context;
  ptrdiff_t n = plane / j->channels, c = plane % j->channels;
  const float *p = j->x + plane * j->voxels;
  const int16_t *labels = j->labels + n * j->voxels;
  double intersection = 0, predicted = 0, reference = 0;
  for (ptrdiff_t start = 0; start < j->voxels; start += NNK_TILE) {
    ptrdiff_t end = start + NNK_TILE < j->voxels ? start + NNK_TILE : j->voxels;
    float i16[16] = {0}, p16[16] = {0}, r16[16] = {0};
    ptrdiff_t v = start;
    for (; v + 16 <= end; v += 16)
      for (int l = 0; l < 16; ++l) {
        float valid = labels[v + l] != j->ignored ? 1.0f : 0.0f;
        float y = labels[v + l] == c ? 1.0f : 0.0f;
        i16[l] += p[v + l] * y;
        p16[l] += p[v + l] * valid;
        r16[l] += y;
      }
    for (; v < end; ++v) {
      float valid = labels[v] != j->ignored ? 1.0f : 0.0f, y = labels[v] == c ? 1.0f : 0.0f;
      i16[0] += p[v] * y;
      p16[0] += p[v] * valid;
      r16[0] += y;
    }
    for (int l = 0; l < 16; ++l) intersection += i16[l], predicted += p16[l], reference += r16[l];
  }
  double *out = j->sums + plane * 3;
  out[0] = intersection, out[1] = predicted, out[2] = reference;
}

void nnk_dice_sums(const float *p, const int16_t *labels, ptrdiff_t samples, ptrdiff_t channels, ptrdiff_t voxels,
                   int ignored, double *sums) {
  nnk_loss job = {.x = p, .labels = labels, .sums = sums, .channels = channels, .voxels = voxels, .ignored = ignored};
  nnk_parallel(samples * channels, dice_plane, &job);
}

NNK_CLONES static void gradient_tile(ptrdiff_t index, void *context) {
  const nnk_loss *j = context;
  ptrdiff_t n = index / j->tiles, start = (index % j->tiles) * NNK_TILE;
  ptrdiff_t length = j->voxels - start < NNK_TILE ? j->voxels - start : NNK_TILE;
  const float *p = j->x + n * j->channels * j->voxels + start;
  const int16_t *labels = j->labels + n * j->voxels + start;
  float *dx = j->y + n * j->channels * j->voxels + start;
  const float *a = j->a + n * j->channels, *b = j->b + n * j->channels;
  const float *weight = j->weight ? j->weight + n * j->voxels + start : 0;
  const float *tilt = j->tilt ? j->tilt + n * j->voxels + start : 0;
  const float uniform = 1.0f / (float)j->channels;
  float dot[NNK_TILE], pull[NNK_TILE], push[NNK_TILE];
  for (ptrdiff_t v = 0; v < length; ++v) {
    dot[v] = 0;
    pull[v] = weight ? weight[v] : j->scale;
    push[v] = tilt ? tilt[v] : 0.0f;
  }
  for (ptrdiff_t c = 0; c < j->channels; ++c)
    for (ptrdiff_t v = 0; v < length; ++v) {
      float g = b[c] + (labels[v] == c ? a[c] : 0.0f);
      dot[v] += g * p[c * j->voxels + v];
    }
  for (ptrdiff_t c = 0; c < j->channels; ++c)
    for (ptrdiff_t v = 0; v < length; ++v) {
      float y = labels[v] == c ? 1.0f : 0.0f;
      float probability = p[c * j->voxels + v];
      float g = b[c] + y * a[c];
      float value = probability * (g - dot[v]) + pull[v] * (probability - y) + push[v] * (y - uniform);
      dx[c * j->voxels + v] += labels[v] == j->ignored ? 0.0f : value;
    }
}

void nnk_softmax_loss_gradient(const float *p, const int16_t *labels, float *dx, ptrdiff_t samples, ptrdiff_t channels,
                               ptrdiff_t voxels, int ignored, float ce_scale, const float *weight, const float *tilt,
                               const float *a, const float *b) {
  nnk_loss job = {.x = p, .labels = labels, .y = dx, .channels = channels, .voxels = voxels,
                  .tiles = tile_count(voxels), .ignored = ignored, .scale = ce_scale, .weight = weight, .tilt = tilt,
                  .a = a, .b = b};
  nnk_parallel(samples * job.tiles, gradient_tile, &job);
}

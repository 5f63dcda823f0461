// Intensities and masks of preprocessing: scaling, sums in NumPy's order, and what lies outside the object.
#include <malloc.h>
#include "nnk_internal.h"
#include "nnk_preprocessing.h"

#pragma STDC FP_CONTRACT OFF

NNK_CLONES void nnk_range(const float *values, ptrdiff_t count, float *low, float *high) {
  float least[32], most[32];
  for (int k = 0; k < 32; k++) {
    least[k] = __builtin_inff();
    most[k] = -__builtin_inff();
  }
  ptrdiff_t i = 0;
  for (; i + 32 <= count; i += 32)
    for (int k = 0; k < 32; k++) {
      const float value = values[i + k];
      least[k] = value < least[k] ? value : least[k];
      most[k] = value > most[k] ? value : most[k];
    }
  for (; i < count; i++) {
    least[0] = values[i] < least[0] ? values[i] : least[0];
    most[0] = values[i] > most[0] ? values[i] : most[0];
  }
  for (int k = 1; k < 32; k++) {
    least[0] = least[k] < least[0] ? least[k] : least[0];
    most[0] = most[k] > most[0] ? most[k] : most[0];
  }
  *low = least[0];
  *high = most[0];
}

NNK_CLONES void nnk_clip_and_normalize(
    float *values, ptrdiff_t count, float low, float high, float offset, float divisor) {
  for (ptrdiff_t i = 0; i < count; i++) {
    float value = values[i];
    value = value < low ? low : value;
    value = value > high ? high : value;
    values[i] = (value - offset) / divisor;
  }
}

NNK_CLONES void nnk_normalize(float *values, ptrdiff_t count, float offset, float divisor) {
  for (ptrdiff_t i = 0; i < count; i++) values[i] = (values[i] - offset) / divisor;
}

NNK_CLONES void nnk_normalize_inside(
    float *values, const int16_t *segmentation, ptrdiff_t count, float offset, float divisor) {
  for (ptrdiff_t i = 0; i < count; i++) {
    const float scaled = (values[i] - offset) / divisor;
    values[i] = segmentation[i] >= 0 ? scaled : values[i];
  }
}

ptrdiff_t nnk_pack_inside(
    const float *values, const int16_t *segmentation, ptrdiff_t count, float *packed) {
  ptrdiff_t kept = 0;
  for (ptrdiff_t i = 0; i < count; i++) {
    packed[kept] = values[i];
    kept += segmentation[i] >= 0;
  }
  return kept;
}

// Eight interleaved sums of up to 128 values, or a plain sum of fewer than eight.
NNK_INLINE float block_sum(const float *values, ptrdiff_t count, float mean, int squares) {
#define TERM(v) (squares ? ((v) - mean) * ((v) - mean) : (v))
  if (count < 8) {
    // NumPy starts from negative zero, which only matters for the sign of an empty sum of zeros.
    float sum = -0.0f;
    for (ptrdiff_t i = 0; i < count; i++) sum += TERM(values[i]);
    return sum;
  }
  float sums[8];
  for (int k = 0; k < 8; k++) sums[k] = TERM(values[k]);
  ptrdiff_t i = 8;
  for (; i + 8 <= count; i += 8)
    for (int k = 0; k < 8; k++) sums[k] += TERM(values[i + k]);
  float sum = ((sums[0] + sums[1]) + (sums[2] + sums[3])) + ((sums[4] + sums[5]) + (sums[6] + sums[7]));
  for (; i < count; i++) sum += TERM(values[i]);
  return sum;
#undef TERM
}

NNK_CLONES static float leaf_sum(const float *values, ptrdiff_t count, float mean, int squares) {
  return squares ? block_sum(values, count, mean, 1) : block_sum(values, count, mean, 0);
}

static float tree_sum(const float *values, ptrdiff_t count, float mean, int squares) {
  if (count <= 128) return leaf_sum(values, count, mean, squares);
  const ptrdiff_t half = (count / 2) & ~(ptrdiff_t)7;
  const float first = tree_sum(values, half, mean, squares);
  return first + tree_sum(values + half, count - half, mean, squares);
}

float nnk_pairwise_sum(const float *values, ptrdiff_t count) { return tree_sum(values, count, 0, 0); }

float nnk_pairwise_square_sum(const float *values, ptrdiff_t count, float mean) {
  return tree_sum(values, count, mean, 1);
}

NNK_CLONES void nnk_mark_nonzero(const float *values, ptrdiff_t count, uint8_t *mask) {
  for (ptrdiff_t i = 0; i < count; i++) mask[i] |= values[i] != 0.0f;
}

NNK_CLONES void nnk_mark_outside(const uint8_t *mask, int16_t *segmentation, ptrdiff_t count) {
  for (ptrdiff_t i = 0; i < count; i++) {
    segmentation[i] = mask[i] == 0 && segmentation[i] == 0 ? -1 : segmentation[i];
  }
}

ptrdiff_t nnk_pack_labelled(const float *values, const int16_t *labels, ptrdiff_t count, float *packed) {
  ptrdiff_t kept = 0;
  for (ptrdiff_t i = 0; i < count; i++) {
    packed[kept] = values[i];
    kept += labels[i] > 0;
  }
  return kept;
}

NNK_CLONES ptrdiff_t nnk_count_labelled(const int16_t *labels, ptrdiff_t count) {
  ptrdiff_t result = 0;
  for (ptrdiff_t i = 0; i < count; i++) result += labels[i] > 0;
  return result;
}

NNK_CLONES int nnk_is_constant(const int16_t *values, ptrdiff_t count, int16_t value) {
  uint16_t difference = 0;
  for (ptrdiff_t i = 0; i < count; i++) difference |= (uint16_t)(values[i] ^ value);
  return difference == 0;
}

void nnk_return_freed_blocks(int threshold) { mallopt(M_MMAP_THRESHOLD, threshold); }

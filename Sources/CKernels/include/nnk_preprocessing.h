// Resampling, normalisation and counting of preprocessing; callers run slices and channels in parallel.
// Sums and products are never contracted, so that every CPU gives the same bits.
#pragma once
#include <stddef.h>
#include <stdint.h>

// The linear map that resizes one axis: `tap_count` weights per output sample, from its first tap on.
struct nnk_resize_axis {
  ptrdiff_t input_count;
  ptrdiff_t output_count;
  // Copies of the edge sample before and after the samples.
  ptrdiff_t padding;
  ptrdiff_t tap_count;
  // Whether samples become cubic spline coefficients before they are weighted.
  int32_t needs_prefilter;
  // Into the padded samples.
  const int32_t *first_taps;
  const float *weights;
};

// The floats of scratch that one call of the functions below needs.
ptrdiff_t nnk_resize_scratch(const struct nnk_resize_axis *axis);
// Resizes `width` lines that lie side by side, samples `input_step` and `output_step` apart, and clips the
// result.
void nnk_resize_lines(
    const float *input, ptrdiff_t input_step, float *output, ptrdiff_t output_step, ptrdiff_t width,
    const struct nnk_resize_axis *axis, float low, float high, float *scratch);
// Resizes `row_count` rows whose samples are neighbours, rows `input_stride` and `output_stride` apart, and
// clips the result.
void nnk_resize_rows(
    const float *input, ptrdiff_t input_stride, float *output, ptrdiff_t output_stride, ptrdiff_t row_count,
    const struct nnk_resize_axis *axis, float low, float high, float *scratch);

// Smallest and largest value; NaN is passed over.
void nnk_range(const float *values, ptrdiff_t count, float *low, float *high);
// values[i] = (clip(values[i]) - offset) / divisor
void nnk_clip_and_normalize(float *values, ptrdiff_t count, float low, float high, float offset, float divisor);
void nnk_normalize(float *values, ptrdiff_t count, float offset, float divisor);
// The same where the segmentation is not negative.
void nnk_normalize_inside(
    float *values, const int16_t *segmentation, ptrdiff_t count, float offset, float divisor);
// Copies the values where the segmentation is not negative; returns how many.
ptrdiff_t nnk_pack_inside(const float *values, const int16_t *segmentation, ptrdiff_t count, float *packed);

// The sum in the order of NumPy's pairwise summation, and that of (value - mean)^2.
float nnk_pairwise_sum(const float *values, ptrdiff_t count);
float nnk_pairwise_square_sum(const float *values, ptrdiff_t count, float mean);

// mask[i] |= values[i] != 0
void nnk_mark_nonzero(const float *values, ptrdiff_t count, uint8_t *mask);
// Writes -1 where the mask and the segmentation are both 0.
void nnk_mark_outside(const uint8_t *mask, int16_t *segmentation, ptrdiff_t count);
// Copies the values where the label is positive; `packed` has room for one more. Returns how many.
ptrdiff_t nnk_pack_labelled(const float *values, const int16_t *labels, ptrdiff_t count, float *packed);
ptrdiff_t nnk_count_labelled(const int16_t *labels, ptrdiff_t count);
// Whether all values equal `value`.
int nnk_is_constant(const int16_t *values, ptrdiff_t count, int16_t value);

// NumPy's legacy generator: 624 words of state, and the position of the next one in them.
void nnk_twister_regenerate(uint32_t *state);
// Fills `target` with values drawn with replacement from `limit + 1` of them; returns the new position.
ptrdiff_t nnk_twister_draw(
    uint32_t *state, ptrdiff_t position, const float *values, uint32_t limit, float *target,
    ptrdiff_t count);
// Shuffles from the last value to the second; returns the new position.
ptrdiff_t nnk_twister_shuffle(uint32_t *state, ptrdiff_t position, uint32_t *values, ptrdiff_t count);

// Makes the allocator give blocks of at least `threshold` bytes back to the system as soon as they are free.
void nnk_return_freed_blocks(int threshold);

// float16 accumulators of the sliding window, and the planes of its logits on their way to labels.
// Halves travel as their bit patterns, so that Swift needs no float16 instructions of its own.
#pragma once
#include <stddef.h>
#include <stdint.h>

// half(x) of each value, rounded to nearest even, and back.
void nnk_half_from_float(const float *source, uint16_t *halves, ptrdiff_t count);
void nnk_half_to_float(const uint16_t *halves, float *result, ptrdiff_t count);

// sums[i] = half(float(sums[i]) + prediction[i] * weights[i]): product and sum each rounded in float32.
void nnk_half_accumulate_product(
    uint16_t *sums, const float *prediction, const uint16_t *weights, ptrdiff_t count);
// sums[i] = half(float(sums[i]) + float(addend[i]))
void nnk_half_accumulate(uint16_t *sums, const uint16_t *addend, ptrdiff_t count);
// sums[i] = half(float(sums[i]) / float(divisors[i])); nonzero when a result is infinite.
int nnk_half_divide(uint16_t *sums, const uint16_t *divisors, ptrdiff_t count);
// sums[i] = half(float(sums[i]) / divisor)
void nnk_half_divide_by(uint16_t *sums, float divisor, ptrdiff_t count);
// sums[i] += prediction[i] * weights[i] in float32.
void nnk_float_accumulate_product(float *sums, const float *prediction, const float *weights, ptrdiff_t count);

// Where linear interpolation reads along one axis: low[i] and high[i] with the share of high[i].
struct nnk_linear_axis {
  const int32_t *low;
  const int32_t *high;
  const double *share;
  int32_t count;
};

// How many classes are resampled at once.
enum { nnk_resampled_classes = 4 };

// Rows of one output plane of up to nnk_resampled_classes classes, by linear interpolation between two input planes
// of each, in double, rounded to half and given as floats [classes, rows, columns].
// Terms are value * weight(plane) * weight(row) * weight(column), added planes first, columns last.
// `scratch` holds 32 * width doubles.
void nnk_half_resample_classes(
    const uint16_t *lower, const uint16_t *upper, ptrdiff_t class_stride, int class_count, double upper_share,
    ptrdiff_t width, struct nnk_linear_axis rows, struct nnk_linear_axis columns, float *result,
    double *scratch);

// labels[i] = label where value[i] > best[i], which then becomes value[i]: the first maximum wins.
void nnk_float_keep_maximum(
    const float *values, float *best, int16_t *labels, int16_t label, ptrdiff_t count);
// labels[i] = label where the sigmoid of the logit, in float32, exceeds one half.
void nnk_float_paint_region(const float *logits, int16_t *labels, int16_t label, ptrdiff_t count);
// In place: logits [classes, count] to softmax probabilities per position, in float32.
void nnk_float_softmax(float *logits, ptrdiff_t classes, ptrdiff_t count);
// In place: the sigmoid in float32.
void nnk_float_sigmoid(float *logits, ptrdiff_t count);

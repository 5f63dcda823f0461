// Resizing one axis with interpolating splines: many lines side by side, each a recursive filter and a few taps.
#include "nnk_internal.h"
#include "nnk_preprocessing.h"

#pragma STDC FP_CONTRACT OFF

// Sixteen neighbouring lanes; memory holds them at any float's address.
typedef float lanes16 __attribute__((vector_size(64), aligned(4)));
typedef int32_t bits16 __attribute__((vector_size(64), aligned(4)));

// Lines that are filtered together: enough independent recursions to hide the latency of one.
enum { line_lanes = 64, row_lanes = 32 };

// The pole of the cubic B-spline, sqrt(3) - 2 (Unser, Aldroubi and Eden 1993).
static const float pole = -0.2679491924311228f;
// Powers of the pole beyond this one vanish in a float.
enum { pole_terms = 24 };

ptrdiff_t nnk_resize_scratch(const struct nnk_resize_axis *axis) {
  return (axis->input_count + 2 * axis->padding) * line_lanes;
}

// Copies the edge samples outwards.
NNK_INLINE void pad(float *samples, const struct nnk_resize_axis *axis, const ptrdiff_t lanes) {
  const float *first = samples + axis->padding * lanes;
  const float *last = first + (axis->input_count - 1) * lanes;
  for (ptrdiff_t i = 0; i < axis->padding; i++) {
    memcpy(samples + i * lanes, first, (size_t)lanes * sizeof(float));
    memcpy(
        samples + (axis->padding + axis->input_count + i) * lanes, last, (size_t)lanes * sizeof(float));
  }
}

// Samples to spline coefficients, continued by reflection about half a sample beyond each end.
NNK_INLINE void prefilter(float *values, ptrdiff_t count, const int groups) {
  lanes16 *samples = (lanes16 *)values;
  lanes16 state[4] = {0};
  const ptrdiff_t terms = count < pole_terms ? count : pole_terms;
  float power = 6;
  for (ptrdiff_t i = 0; i < terms; i++) {
    for (int k = 0; k < groups; k++) state[k] += samples[i * groups + k] * power;
    power *= pole;
  }
  // The first sample takes its own past, which is its future mirrored.
  for (int k = 0; k < groups; k++) {
    state[k] = 6 * samples[k] + pole * state[k];
    samples[k] = state[k];
  }
  for (ptrdiff_t i = 1; i < count; i++)
    for (int k = 0; k < groups; k++) {
      state[k] = 6 * samples[i * groups + k] + pole * state[k];
      samples[i * groups + k] = state[k];
    }
  for (int k = 0; k < groups; k++) {
    state[k] *= pole / (pole - 1);
    samples[(count - 1) * groups + k] = state[k];
  }
  for (ptrdiff_t i = count - 2; i >= 0; i--)
    for (int k = 0; k < groups; k++) {
      state[k] = pole * (state[k] - samples[i * groups + k]);
      samples[i * groups + k] = state[k];
    }
}

// `a` where the mask is set, else `b`; a macro, since vectors are not passed to functions alike on every CPU.
#define CHOOSE(mask, a, b) ((lanes16)(((mask) & (bits16)(a)) | (~(mask) & (bits16)(b))))

// One output sample of every lane, clipped; NaN stays NaN.
NNK_INLINE void weigh(
    const float *samples, const struct nnk_resize_axis *axis, ptrdiff_t index, const int groups, float low,
    float high, float *values) {
  const lanes16 *tap = (const lanes16 *)samples + axis->first_taps[index] * groups;
  const float *weight = axis->weights + index * axis->tap_count;
  lanes16 *result = (lanes16 *)values;
  const lanes16 lows = (lanes16){0} + low, highs = (lanes16){0} + high;
  for (int k = 0; k < groups; k++) {
    lanes16 value = tap[k] * weight[0];
    for (ptrdiff_t i = 1; i < axis->tap_count; i++) value += tap[i * groups + k] * weight[i];
    value = CHOOSE(value < lows, lows, value);
    result[k] = CHOOSE(value > highs, highs, value);
  }
}

NNK_CLONES void nnk_resize_lines(
    const float *input, ptrdiff_t input_step, float *output, ptrdiff_t output_step, ptrdiff_t width,
    const struct nnk_resize_axis *axis, float low, float high, float *scratch) {
  float *samples = scratch + axis->padding * line_lanes;
  for (ptrdiff_t start = 0; start < width; start += line_lanes) {
    const ptrdiff_t lanes = width - start < line_lanes ? width - start : line_lanes;
    for (ptrdiff_t i = 0; i < axis->input_count; i++) {
      float *sample = samples + i * line_lanes;
      memcpy(sample, input + i * input_step + start, (size_t)lanes * sizeof(float));
      for (ptrdiff_t k = lanes; k < line_lanes; k++) sample[k] = 0;
    }
    pad(scratch, axis, line_lanes);
    if (axis->needs_prefilter) prefilter(scratch, axis->input_count + 2 * axis->padding, line_lanes / 16);
    for (ptrdiff_t i = 0; i < axis->output_count; i++) {
      if (lanes == line_lanes) {
        weigh(scratch, axis, i, line_lanes / 16, low, high, output + i * output_step + start);
      } else {
        float result[line_lanes];
        weigh(scratch, axis, i, line_lanes / 16, low, high, result);
        memcpy(output + i * output_step + start, result, (size_t)lanes * sizeof(float));
      }
    }
  }
}

NNK_CLONES void nnk_resize_rows(
    const float *input, ptrdiff_t input_stride, float *output, ptrdiff_t output_stride, ptrdiff_t row_count,
    const struct nnk_resize_axis *axis, float low, float high, float *scratch) {
  enum { tile = 16 };
  float *samples = scratch + axis->padding * row_lanes;
  for (ptrdiff_t start = 0; start < row_count; start += row_lanes) {
    const ptrdiff_t lanes = row_count - start < row_lanes ? row_count - start : row_lanes;
    // Missing rows repeat the last one, so that every lane holds numbers.
    for (ptrdiff_t i = 0; i < axis->input_count; i += tile) {
      const ptrdiff_t end = i + tile < axis->input_count ? i + tile : axis->input_count;
      for (ptrdiff_t k = 0; k < row_lanes; k++) {
        const float *row = input + (start + (k < lanes ? k : lanes - 1)) * input_stride;
        for (ptrdiff_t j = i; j < end; j++) samples[j * row_lanes + k] = row[j];
      }
    }
    pad(scratch, axis, row_lanes);
    if (axis->needs_prefilter) prefilter(scratch, axis->input_count + 2 * axis->padding, row_lanes / 16);
    for (ptrdiff_t i = 0; i < axis->output_count; i += tile) {
      const ptrdiff_t end = i + tile < axis->output_count ? i + tile : axis->output_count;
      float results[tile][row_lanes];
      for (ptrdiff_t j = i; j < end; j++) weigh(scratch, axis, j, row_lanes / 16, low, high, results[j - i]);
      for (ptrdiff_t k = 0; k < lanes; k++) {
        float *row = output + (start + k) * output_stride;
        for (ptrdiff_t j = i; j < end; j++) row[j] = results[j - i][k];
      }
    }
  }
}

// Inner loops of data augmentation on one channel: sampling through a linear map, blurring, resizing,
// statistics. Shapes are three extents, slowest axis first; a 2D image has a leading extent of 1.
#pragma once
#include <stddef.h>
#include <stdint.h>

/// Samples `source` linearly at `matrix * u + centre` for every centred target position `u`; outside counts
/// as 0.
void nnk_sample_linear(
    const float *source, const ptrdiff_t *source_shape, float *target, const ptrdiff_t *target_shape,
    const double *matrix);

/// Samples labels at the same positions: the label with the highest linear weight, scores rounded to float16.
void nnk_sample_labels(
    const int16_t *source, const ptrdiff_t *source_shape, int16_t *target, const ptrdiff_t *target_shape,
    const double *matrix, int16_t outside);

/// Convolves along one axis with an odd number of taps, reflecting at both ends without repeating the edge.
void nnk_blur_axis(
    const float *source, float *target, const ptrdiff_t *shape, int axis, const float *taps,
    ptrdiff_t tap_count);

/// Shrinks to `low_shape` by nearest-exact and enlarges linearly again, in place; `scratch` holds the small
/// image and one row of it.
void nnk_low_resolution(float *values, const ptrdiff_t *shape, const ptrdiff_t *low_shape, float *scratch);

/// Writes mean, unbiased standard deviation, minimum and maximum.
void nnk_statistics(const float *values, ptrdiff_t count, double *result);

/// x = (x - shift) * factor + offset.
void nnk_affine(float *values, ptrdiff_t count, float shift, float factor, float offset);

/// x = clamp((x - shift) * factor + shift, lower, upper).
void nnk_contrast(float *values, ptrdiff_t count, float shift, float factor, float lower, float upper);

/// x = ((x - lower) / denominator) ^ exponent * range + lower.
void nnk_power(float *values, ptrdiff_t count, float lower, float denominator, float range, float exponent);

/// Adds normal noise of standard deviation `sigma`; the same seed gives the same noise.
void nnk_add_normal_noise(float *values, ptrdiff_t count, float sigma, uint64_t seed);

/// Copies with the axes flipped whose entry in `flips` is not 0.
void nnk_flip_floats(const float *source, float *target, const ptrdiff_t *shape, const int32_t *flips);
void nnk_flip_labels(const int16_t *source, int16_t *target, const ptrdiff_t *shape, const int32_t *flips);

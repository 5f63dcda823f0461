// Inner loops of data augmentation: sampling through a linear map, filters, statistics, noise, morphology. Shapes are
// three extents, slowest axis first; a 2D image has a leading extent of 1. One thread each.
#pragma once
#include <stddef.h>
#include <stdint.h>

/// Samples every channel of `source` linearly at `matrix * u + centre` for every centred target position `u`;
/// outside counts as 0.
void nnk_sample_linear(
    const float *source, const ptrdiff_t *source_shape, float *target, const ptrdiff_t *target_shape,
    const double *matrix, ptrdiff_t channel_count);

/// Samples labels at the same positions: the label with the highest linear weight, scores rounded to float16.
void nnk_sample_labels(
    const int16_t *source, const ptrdiff_t *source_shape, int16_t *target, const ptrdiff_t *target_shape,
    const double *matrix, int16_t outside);

/// Takes the nearest voxel at the same positions, halves to the even one.
void nnk_sample_nearest_floats(
    const float *source, const ptrdiff_t *source_shape, float *target, const ptrdiff_t *target_shape,
    const double *matrix, float outside);
void nnk_sample_nearest_labels(
    const int16_t *source, const ptrdiff_t *source_shape, int16_t *target, const ptrdiff_t *target_shape,
    const double *matrix, int16_t outside);

/// Convolves in place along every axis with an odd number of taps, none for an axis that is left alone, reflecting at
/// both ends without repeating the edge.
void nnk_blur(float *values, const ptrdiff_t *shape, const float *const taps[3], const ptrdiff_t tap_counts[3]);

/// Shrinks to `low_shape` by nearest-exact and enlarges linearly again, in place; `scratch` holds the small
/// image and one row of it.
void nnk_low_resolution(float *values, const ptrdiff_t *shape, const ptrdiff_t *low_shape, float *scratch);

/// Adds `strength` times the discrete Laplacian over the last `axis_count` axes, the edge repeated outside.
void nnk_sharpen(const float *source, float *target, const ptrdiff_t *shape, int axis_count, float strength);

/// The median of a cube of `size` voxels over the last `axis_count` axes, reflecting with the edge repeated; of an
/// even number of values the upper one.
void nnk_median(const float *source, float *target, const ptrdiff_t *shape, int axis_count, ptrdiff_t size);

/// x += (a[z] b[y] c[x] - shift) * factor.
void nnk_add_product(
    float *values, const ptrdiff_t *shape, const float *along_z, const float *along_y, const float *along_x,
    float shift, float factor);

/// A power of the relative intensity; shift and factor bring the weight into 0...1.
typedef struct {
  float shift, factor, lower, range, exponent;
} nnk_local_gamma;

/// Mixes the relative intensity r with r ^ exponent by the weight (a[z] b[y] c[x] - shift) * factor.
void nnk_local_power(
    float *values, const ptrdiff_t *shape, const float *along_z, const float *along_y, const float *along_x,
    const nnk_local_gamma *gamma);

/// Writes mean, unbiased standard deviation, minimum and maximum.
void nnk_statistics(const float *values, ptrdiff_t count, double *result);

/// x = (x - shift) * factor + offset.
void nnk_affine(float *values, ptrdiff_t count, float shift, float factor, float offset);

/// x = clamp((x - shift) * factor + shift, lower, upper).
void nnk_contrast(float *values, ptrdiff_t count, float shift, float factor, float lower, float upper);

/// x = ((sign x - lower) / denominator) ^ exponent * range + lower, and the statistics of the result.
void nnk_power(
    float *values, ptrdiff_t count, float sign, float lower, float denominator, float range, float exponent,
    double *result);

/// Adds normal noise of standard deviation `sigma`; the same seed gives the same noise.
void nnk_add_normal_noise(float *values, ptrdiff_t count, float sigma, uint64_t seed);

/// Flips in place the axes whose entry in `flips` is not 0.
void nnk_flip_floats(float *values, const ptrdiff_t *shape, const int32_t *flips);
void nnk_flip_labels(int16_t *values, const ptrdiff_t *shape, const int32_t *flips);

/// Writes `replacement` wherever `label` is.
void nnk_replace_label(int16_t *labels, ptrdiff_t count, int16_t label, int16_t replacement);

/// Copies a box out of an array.
void nnk_copy_box(
    const void *source, const ptrdiff_t *source_shape, const ptrdiff_t *start, void *target,
    const ptrdiff_t *shape, ptrdiff_t element_size);

/// Dilates a mask of zeros and ones: the dilated mask is 1 where any voxel of the structuring element, laid with its
/// voxel `origin` on the place, meets a 1; outside counts as 0. `offsets` are rows of dz, dy, first dx, last dx.
void nnk_dilate(
    const uint8_t *mask, uint8_t *target, const ptrdiff_t *shape, const int32_t *offsets, ptrdiff_t offset_count);

/// Numbers the components of a mask from 1 by full connectivity, in the order of their first voxels, and returns how
/// many there are; `labels` has one entry per voxel.
int32_t nnk_label_components(const uint8_t *mask, int32_t *labels, const ptrdiff_t *shape);

// Convolutions on a processor's matrix unit (AMX): what the way forward, the way back and the weight gradient share.
#pragma once
#include "products.h"

// A product step takes SIDE rows on either side and SIDE numbers in bfloat16 between them. A matrix of the unit has HALF
// rows of 64 bytes; four of them hold the result.
enum { HALF = 16, SIDE = 32, PANEL_BYTES = SIDE * 2, MATRIX_BYTES = HALF * 64, MOST_TAPS = 8 };

// Before and after a thread's products.
void nnk_matrix_begin(int is_portable);
void nnk_matrix_end(int is_portable);
// out = sum over `count` steps of rows and weights. Rows: SIDE of 64 bytes at rows[i] + offset; weights: two matrices of
// pairs a step. out: [half of the rows][half of the weights][16][16].
void nnk_matrix_rows(int is_portable, const char *const *rows, ptrdiff_t offset, ptrdiff_t count, const char *weight, float *out);
// sums += d . x over `count` steps of SIDE positions. d: rows of channels `stride` bytes apart, the second half `other`
// bytes behind the first; x: a matrix of pairs of positions a step, for two blocks of channels `block` bytes apart.
void nnk_matrix_sums(int is_portable, const char *d, ptrdiff_t stride, ptrdiff_t other, const char *x, ptrdiff_t block,
                     ptrdiff_t count, float *sums);

// How one axis of a result is made from a source: point i of phase p adds up, for each of its taps t, the weight of tap[p][t]
// with the source at i * step + low + offset[p][t]; it lies at i * phases + p of the result.
typedef struct {
  ptrdiff_t phases, step, low, reach;  // reach: places of the source that a point sees
  ptrdiff_t taps[MOST_TAPS], offset[MOST_TAPS][MOST_TAPS], tap[MOST_TAPS][MOST_TAPS];
  ptrdiff_t source, result, points;    // extents, and points of the longest phase
} nnk_axis;

// Positions of a plane that are worked on together: samples x rows x columns of points, with room for the taps beyond.
// Neighbours along x follow each other, whatever the stride, since a plane is split by the parity of its rows and columns.
typedef struct {
  ptrdiff_t first_sample, samples, first_row, rows;  // of points
  ptrdiff_t height, width;                           // of a sample, with what the taps reach
  ptrdiff_t count;                                   // positions from the first point to the last
  ptrdiff_t parity;                                  // positions from one parity to the next
} nnk_patch;

NNK_INLINE ptrdiff_t nnk_ceil(ptrdiff_t a, ptrdiff_t b) { return (a + b - 1) / b; }
NNK_INLINE ptrdiff_t nnk_least(ptrdiff_t a, ptrdiff_t b) { return a < b ? a : b; }

void nnk_forward_axes(const nnk_matrix_convolution *g, nnk_axis axes[3]);
void nnk_adjoint_axes(const nnk_matrix_convolution *g, nnk_axis axes[3]);
nnk_patch nnk_make_patch(const nnk_axis axes[3], ptrdiff_t first_sample, ptrdiff_t samples, ptrdiff_t first_row, ptrdiff_t rows);
// From a point to a place of the source that its taps see, `y` and `x` below reach.
NNK_INLINE ptrdiff_t nnk_patch_offset(const nnk_axis axes[3], const nnk_patch *p, ptrdiff_t y, ptrdiff_t x) {
  ptrdiff_t parity = y % axes[1].step * axes[2].step + x % axes[2].step;
  return parity * p->parity + y / axes[1].step * p->width + x / axes[2].step;
}

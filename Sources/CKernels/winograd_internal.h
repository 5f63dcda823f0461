// Winograd's transforms, which the convolution and its weight gradient share.
#pragma once
#include "products.h"

// A row of tiles of the source for one block of channels: position i of tile t at to[i * position + ...]; groups of TILES
// tiles follow each other after 16 positions. `lines` are the four rows of the source below the tiles.
void nnk_winograd_tiles_float32(const void *const *lines, ptrdiff_t width, ptrdiff_t columns, float *to, ptrdiff_t first,
                                ptrdiff_t position);
void nnk_winograd_tiles_bfloat16(const void *const *lines, ptrdiff_t width, ptrdiff_t columns, uint16_t *to, ptrdiff_t first,
                                 ptrdiff_t position);

// The same for sums over tiles, and for the gradient, of which a tile has two rows: words of 32 bits, in bfloat16 pairs of
// neighbouring tiles.
void nnk_winograd_source_words_float32(const void *const *lines, ptrdiff_t width, ptrdiff_t columns, uint32_t *to,
                                       ptrdiff_t first, ptrdiff_t position);
void nnk_winograd_source_words_bfloat16(const void *const *lines, ptrdiff_t width, ptrdiff_t columns, uint32_t *to,
                                        ptrdiff_t first, ptrdiff_t position);
void nnk_winograd_gradient_words_float32(const void *const *lines, ptrdiff_t width, ptrdiff_t columns, uint32_t *to,
                                         ptrdiff_t first, ptrdiff_t position);
void nnk_winograd_gradient_words_bfloat16(const void *const *lines, ptrdiff_t width, ptrdiff_t columns, uint32_t *to,
                                          ptrdiff_t first, ptrdiff_t position);

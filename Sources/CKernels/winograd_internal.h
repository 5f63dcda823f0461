// Winograd's transforms, which the convolution and its weight gradient share.
#pragma once
#include "products.h"

// A row of tiles of the source for one block of channels: position i of tile t at to[i * position + ...], as it is multiplied;
// groups of TILES tiles follow each other after 16 positions. `lines` are the four rows of the source below the tiles.
void NNK_VARIANT(nnk_winograd_tiles)(nnk_type type, const void *const *lines, ptrdiff_t width, ptrdiff_t columns, void *to,
                                     ptrdiff_t first, ptrdiff_t position);

// The same for sums over tiles, and for the gradient, of which a tile has two rows: words of 32 bits, in bfloat16 pairs of
// neighbouring tiles.
void NNK_VARIANT(nnk_winograd_source_words)(nnk_type type, const void *const *lines, ptrdiff_t width, ptrdiff_t columns,
                                            uint32_t *to, ptrdiff_t first, ptrdiff_t position);
void NNK_VARIANT(nnk_winograd_gradient_words)(nnk_type type, const void *const *lines, ptrdiff_t width, ptrdiff_t columns,
                                              uint32_t *to, ptrdiff_t first, ptrdiff_t position);
#define nnk_winograd_tiles NNK_VARIANT(nnk_winograd_tiles)
#define nnk_winograd_source_words NNK_VARIANT(nnk_winograd_source_words)
#define nnk_winograd_gradient_words NNK_VARIANT(nnk_winograd_gradient_words)

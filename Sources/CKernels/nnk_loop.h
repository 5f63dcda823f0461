// The arguments of a loop over activations, and how its body is compiled per element type and block size.
#pragma once
#include "nnk_engine.h"
#include "nnk_internal.h"

enum { NNK_CHUNK = 1 << 16 };

typedef struct {
  const void *x, *z;
  void *y;
  const float *bias;
  ptrdiff_t count, samples, channels, voxels, blocks;
  int block, type;
  float value;
  ptrdiff_t extent[3], kernel[3];
} nnk_loop;

NNK_INLINE ptrdiff_t chunks(ptrdiff_t count) { return (count + NNK_CHUNK - 1) / NNK_CHUNK; }

#define NNK_CHUNKED(NAME, STATEMENT)                                             \
  NNK_CLONES static void NAME(ptrdiff_t chunk, void *context) {                  \
    const nnk_loop *j = context;                                                 \
    const float *x = j->x, *z = j->z;                                            \
    float *y = j->y;                                                             \
    const float value = j->value;                                                \
    (void)x, (void)z, (void)value;                                               \
    ptrdiff_t start = chunk * NNK_CHUNK, end = start + NNK_CHUNK;                \
    if (end > j->count) end = j->count;                                          \
    for (ptrdiff_t i = start; i < end; ++i) STATEMENT;                           \
  }

// One body per block size and type, so that the loops over lanes and the loads are compiled for each.
#define NNK_BY_TYPE(NAME, CALL16F, CALL8F, CALL16H, CALL8H)      \
  NNK_CLONES static void NAME(ptrdiff_t i, void *context) {      \
    const nnk_loop *j = context;                                 \
    if (j->type == NNK_FLOAT32) {                                \
      if (j->block == 16) CALL16F; else CALL8F;                  \
    } else {                                                     \
      if (j->block == 16) CALL16H; else CALL8H;                  \
    }                                                            \
  }
#define NNK_LANES(NAME, BODY) NNK_BY_TYPE(NAME, BODY(j, i, 16, 0), BODY(j, i, 8, 0), BODY(j, i, 16, 1), BODY(j, i, 8, 1))

// Residual blocks: the activated sum of two branches, and average pooling on the shortcut.
#include "nnk_engine.h"
#include "nnk_internal.h"
#include "nnk_loop.h"

NNK_INLINE void residual_range(const nnk_loop *j, ptrdiff_t chunk, const int type, const int backward) {
  ptrdiff_t start = chunk * NNK_CHUNK, end = start + NNK_CHUNK < j->count ? start + NNK_CHUNK : j->count;
  const void *x = j->x, *z = j->z;
  void *y = j->y;
  const float slope = j->value;
  for (ptrdiff_t i = start; i < end; ++i) {
    float a = nnk_load(x, i, type), b = nnk_load(z, i, type);
    float value = backward ? b : a + b;
    nnk_store(y, i, (backward ? a : value) > 0 ? value : value * slope, type);
  }
}

#define NNK_RESIDUAL(NAME, BACKWARD)                                          \
  NNK_CLONES static void NAME(ptrdiff_t chunk, void *context) {               \
    const nnk_loop *j = context;                                              \
    if (j->type == NNK_FLOAT32) residual_range(j, chunk, 0, BACKWARD);        \
    else residual_range(j, chunk, 1, BACKWARD);                               \
  }
NNK_RESIDUAL(residual_chunk, 0)
NNK_RESIDUAL(residual_backward_chunk, 1)

void nnk_residual(const void *a, const void *b, void *y, nnk_type type, ptrdiff_t count, float slope) {
  nnk_loop job = {.x = a, .z = b, .y = y, .count = count, .type = type, .value = slope};
  nnk_parallel(chunks(count), residual_chunk, &job);
}

void nnk_residual_backward(const void *y, const void *dy, void *g, nnk_type type, ptrdiff_t count, float slope) {
  nnk_loop job = {.x = y, .z = dy, .y = g, .count = count, .type = type, .value = slope};
  nnk_parallel(chunks(count), residual_backward_chunk, &job);
}

NNK_INLINE void pool_lanes(const nnk_loop *j, ptrdiff_t plane, const int B, const int type, const int backward) {
  const ptrdiff_t *e = j->extent, *k = j->kernel;
  ptrdiff_t window = k[0] * k[1] * k[2], small = e[0] * e[1] * e[2];
  const float share = 1.0f / (float)window;
  char *large = (char *)(backward ? j->y : (void *)j->x) + plane * small * window * B * nnk_size(type);
  char *little = (char *)(backward ? (void *)j->x : j->y) + plane * small * B * nnk_size(type);
  for (ptrdiff_t z = 0; z < e[0]; ++z)
    for (ptrdiff_t y = 0; y < e[1]; ++y)
      for (ptrdiff_t x = 0; x < e[2]; ++x) {
        ptrdiff_t at = ((z * e[1] + y) * e[2] + x) * B;
        float sum[16] = {0};
        if (backward)
          for (int l = 0; l < B; ++l) sum[l] = nnk_load(little, at + l, type) * share;
        for (ptrdiff_t kz = 0; kz < k[0]; ++kz)
          for (ptrdiff_t ky = 0; ky < k[1]; ++ky)
            for (ptrdiff_t kx = 0; kx < k[2]; ++kx) {
              ptrdiff_t from =
                  (((z * k[0] + kz) * e[1] * k[1] + y * k[1] + ky) * e[2] * k[2] + x * k[2] + kx) * B;
              for (int l = 0; l < B; ++l) {
                if (backward) nnk_store(large, from + l, sum[l], type);
                else sum[l] += nnk_load(large, from + l, type);
              }
            }
        if (!backward)
          for (int l = 0; l < B; ++l) nnk_store(little, at + l, sum[l] * share, type);
      }
}

#define NNK_POOL(J, I, B, TYPE) pool_lanes(J, I, B, TYPE, 0)
#define NNK_POOL_BACKWARD(J, I, B, TYPE) pool_lanes(J, I, B, TYPE, 1)
NNK_LANES(pool_plane, NNK_POOL)
NNK_LANES(pool_backward_plane, NNK_POOL_BACKWARD)

void nnk_average_pool(const void *x, void *y, nnk_type type, ptrdiff_t samples, ptrdiff_t blocks,
                      const ptrdiff_t extent[3], const ptrdiff_t kernel[3], int block) {
  nnk_loop job = {.x = x, .y = y, .block = block, .type = type, .extent = {extent[0], extent[1], extent[2]},
                  .kernel = {kernel[0], kernel[1], kernel[2]}};
  nnk_parallel(samples * blocks, pool_plane, &job);
}

void nnk_average_pool_backward(const void *dy, void *dx, nnk_type type, ptrdiff_t samples, ptrdiff_t blocks,
                               const ptrdiff_t extent[3], const ptrdiff_t kernel[3], int block) {
  nnk_loop job = {.x = dy, .y = dx, .block = block, .type = type, .extent = {extent[0], extent[1], extent[2]},
                  .kernel = {kernel[0], kernel[1], kernel[2]}};
  nnk_parallel(samples * blocks, pool_backward_plane, &job);
}

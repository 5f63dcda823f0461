// Elementwise loops, reductions and layout copies of the CPU backend.
#include "nnk_engine.h"
#include "nnk_internal.h"
#include "nnk_loop.h"

NNK_CHUNKED(add_chunk, y[i] += x[i])
NNK_CHUNKED(add_half_chunk, nnk_store(y, i, nnk_load(y, i, 1) + nnk_load(x, i, 1), 1))
NNK_CHUNKED(to_half_chunk, nnk_store(y, i, x[i], 1))
NNK_CHUNKED(to_float_chunk, y[i] = nnk_load(x, i, 1))
NNK_CHUNKED(scale_chunk, y[i] *= value)
NNK_CHUNKED(sigmoid_chunk, y[i] = 1.0f / (1.0f + nnk_expf(-x[i])))

void nnk_add_into(void *a, const void *b, nnk_type type, ptrdiff_t count) {
  nnk_loop job = {.x = b, .y = a, .count = count};
  nnk_parallel(chunks(count), type == NNK_FLOAT32 ? add_chunk : add_half_chunk, &job);
}

void nnk_to_bfloat16(const float *x, void *y, ptrdiff_t count) {
  nnk_loop job = {.x = x, .y = y, .count = count};
  nnk_parallel(chunks(count), to_half_chunk, &job);
}

void nnk_to_float32(const void *x, float *y, ptrdiff_t count) {
  nnk_loop job = {.x = x, .y = y, .count = count};
  nnk_parallel(chunks(count), to_float_chunk, &job);
}

void nnk_scale(float *a, float scale, ptrdiff_t count) {
  nnk_loop job = {.y = a, .count = count, .value = scale};
  nnk_parallel(chunks(count), scale_chunk, &job);
}

void nnk_sigmoid(const float *x, float *p, ptrdiff_t count) {
  nnk_loop job = {.x = x, .y = p, .count = count};
  nnk_parallel(chunks(count), sigmoid_chunk, &job);
}

// Gradients have millions of elements at most: one thread, fixed order, eight partial sums.
NNK_CLONES double nnk_sum_of_squares(const float *a, ptrdiff_t count) {
  double s[8] = {0};
  ptrdiff_t i = 0;
  for (; i + 8 <= count; i += 8)
    for (int l = 0; l < 8; ++l) s[l] += (double)a[i + l] * (double)a[i + l];
  for (; i < count; ++i) s[0] += (double)a[i] * (double)a[i];
  return ((s[0] + s[1]) + (s[2] + s[3])) + ((s[4] + s[5]) + (s[6] + s[7]));
}

NNK_INLINE void channel_sums_lanes(const nnk_loop *j, ptrdiff_t b, const int B, const int type) {
  double total[16] = {0};
  float *sums = j->y;
  for (ptrdiff_t n = 0; n < j->samples; ++n) {
    const char *x = (const char *)j->x + (n * j->blocks + b) * j->voxels * B * nnk_size(type);
    for (ptrdiff_t start = 0; start < j->voxels; start += 256) {
      ptrdiff_t end = start + 256 < j->voxels ? start + 256 : j->voxels;
      float s[16] = {0};
      for (ptrdiff_t v = start; v < end; ++v)
        for (int l = 0; l < B; ++l) s[l] += nnk_load(x, v * B + l, type);
      for (int l = 0; l < B; ++l) total[l] += s[l];
    }
  }
  for (int l = 0; l < B; ++l) sums[b * B + l] = (float)total[l];
}

NNK_LANES(channel_sums_block, channel_sums_lanes)

void nnk_channel_sums(const void *x, nnk_type type, float *sums, ptrdiff_t samples, ptrdiff_t blocks, ptrdiff_t voxels,
                      int block) {
  nnk_loop job = {.x = x, .y = sums, .samples = samples, .blocks = blocks, .voxels = voxels, .block = block,
                  .type = type};
  nnk_parallel(blocks, channel_sums_block, &job);
}

NNK_INLINE void plain_to_blocked_lanes(const nnk_loop *j, ptrdiff_t plane, const int B, const int type) {
  ptrdiff_t n = plane / j->blocks, b = plane % j->blocks;
  char *y = (char *)j->y + plane * j->voxels * B * nnk_size(type);
  for (ptrdiff_t l = 0; l < B; ++l) {
    ptrdiff_t c = b * B + l;
    const float *x = (const float *)j->x + (n * j->channels + c) * j->voxels;
    if (c < j->channels)
      for (ptrdiff_t v = 0; v < j->voxels; ++v) nnk_store(y, v * B + l, x[v], type);
    else
      for (ptrdiff_t v = 0; v < j->voxels; ++v) nnk_store(y, v * B + l, 0, type);
  }
}

NNK_LANES(plain_to_blocked_plane, plain_to_blocked_lanes)

void nnk_plain_to_blocked(const float *x, void *y, nnk_type type, ptrdiff_t samples, ptrdiff_t channels,
                          ptrdiff_t voxels, int block) {
  ptrdiff_t blocks = (channels + block - 1) / block;
  nnk_loop job = {.x = x, .y = y, .channels = channels, .voxels = voxels, .blocks = blocks, .block = block,
                  .type = type};
  nnk_parallel(samples * blocks, plain_to_blocked_plane, &job);
}

NNK_INLINE void blocked_to_plain_lanes(const nnk_loop *j, ptrdiff_t plane, const int B, const int type) {
  ptrdiff_t n = plane / j->channels, c = plane % j->channels;
  const char *x = (const char *)j->x + ((n * j->blocks + c / B) * j->voxels * B + c % B) * nnk_size(type);
  float *y = (float *)j->y + plane * j->voxels;
  for (ptrdiff_t v = 0; v < j->voxels; ++v) y[v] = nnk_load(x, v * B, type);
}

NNK_LANES(blocked_to_plain_plane, blocked_to_plain_lanes)

void nnk_blocked_to_plain(const void *x, nnk_type type, float *y, ptrdiff_t samples, ptrdiff_t channels,
                          ptrdiff_t voxels, int block) {
  nnk_loop job = {.x = x, .y = y, .channels = channels, .voxels = voxels, .blocks = (channels + block - 1) / block,
                  .block = block, .type = type};
  nnk_parallel(samples * channels, blocked_to_plain_plane, &job);
}

static void concatenate_sample(ptrdiff_t n, void *context) {
  const nnk_loop *j = context;
  char *y = (char *)j->y + n * (j->count + j->voxels);
  memcpy(y, (const char *)j->x + n * j->count, (size_t)j->count);
  memcpy(y + j->count, (const char *)j->z + n * j->voxels, (size_t)j->voxels);
}

void nnk_concatenate(const void *a, const void *b, void *y, ptrdiff_t samples, ptrdiff_t a_size, ptrdiff_t b_size) {
  nnk_loop job = {.x = a, .z = b, .y = y, .count = a_size, .voxels = b_size};
  nnk_parallel(samples, concatenate_sample, &job);
}

static void split_sample(ptrdiff_t n, void *context) {
  const nnk_loop *j = context;
  const char *y = (const char *)j->x + n * (j->count + j->voxels);
  memcpy((char *)j->y + n * j->count, y, (size_t)j->count);
  memcpy((char *)j->z + n * j->voxels, y + j->count, (size_t)j->voxels);
}

void nnk_split(const void *y, void *a, void *b, ptrdiff_t samples, ptrdiff_t a_size, ptrdiff_t b_size) {
  nnk_loop job = {.x = y, .y = a, .z = b, .count = a_size, .voxels = b_size};
  nnk_parallel(samples, split_sample, &job);
}

// Scatter (to space) or gather (to depth) of one plane of the large tensor, row by row.
NNK_INLINE void space_lanes(const nnk_loop *j, ptrdiff_t plane, const int B, const int type, const int gather) {
  ptrdiff_t n = plane / j->blocks, b = plane % j->blocks, size = nnk_size(type);
  const ptrdiff_t *e = j->extent, *k = j->kernel;
  ptrdiff_t small = e[0] * e[1] * e[2];
  char *large = (char *)j->y + plane * small * k[0] * k[1] * k[2] * B * size;
  char *deep = (char *)j->x + n * k[0] * k[1] * k[2] * j->blocks * small * B * size;
  float bias[16] = {0};
  if (!gather && j->bias)
    for (int l = 0; l < B; ++l) bias[l] = j->bias[b * B + l];
  for (ptrdiff_t z = 0; z < e[0] * k[0]; ++z)
    for (ptrdiff_t y = 0; y < e[1] * k[1]; ++y)
      for (ptrdiff_t kx = 0; kx < k[2]; ++kx) {
        ptrdiff_t kernel = ((z % k[0]) * k[1] + y % k[1]) * k[2] + kx;
        char *row = deep + (((kernel * j->blocks + b) * e[0] + z / k[0]) * e[1] + y / k[1]) * e[2] * B * size;
        char *line = large + ((z * e[1] * k[1] + y) * e[2] * k[2] * B + kx * B) * size;
        for (ptrdiff_t x = 0; x < e[2]; ++x) {
          if (gather) memcpy(row + x * B * size, line + x * k[2] * B * size, (size_t)(B * size));
          else
            for (int l = 0; l < B; ++l)
              nnk_store(line, x * k[2] * B + l, nnk_load(row, x * B + l, type) + bias[l], type);
        }
      }
}

#define NNK_TO_SPACE(J, I, B, TYPE) space_lanes(J, I, B, TYPE, 0)
#define NNK_TO_DEPTH(J, I, B, TYPE) space_lanes(J, I, B, TYPE, 1)
NNK_LANES(to_space_plane, NNK_TO_SPACE)
NNK_LANES(to_depth_plane, NNK_TO_DEPTH)

void nnk_depth_to_space(const void *t, void *y, nnk_type type, const float *bias, ptrdiff_t samples, ptrdiff_t blocks,
                        const ptrdiff_t extent[3], const ptrdiff_t kernel[3], int block) {
  nnk_loop job = {.x = t, .y = y, .bias = bias, .blocks = blocks, .block = block, .type = type,
                  .extent = {extent[0], extent[1], extent[2]}, .kernel = {kernel[0], kernel[1], kernel[2]}};
  nnk_parallel(samples * blocks, to_space_plane, &job);
}

void nnk_space_to_depth(const void *y, void *t, nnk_type type, ptrdiff_t samples, ptrdiff_t blocks,
                        const ptrdiff_t extent[3], const ptrdiff_t kernel[3], int block) {
  nnk_loop job = {.x = t, .y = (void *)y, .blocks = blocks, .block = block, .type = type,
                  .extent = {extent[0], extent[1], extent[2]}, .kernel = {kernel[0], kernel[1], kernel[2]}};
  nnk_parallel(samples * blocks, to_depth_plane, &job);
}

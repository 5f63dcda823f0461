// Elementwise loops, reductions and layout copies of the CPU backend.
#include "nnk_engine.h"
#include "nnk_internal.h"

enum { NNK_CHUNK = 1 << 16 };

typedef struct {
  const float *x, *z, *bias;
  float *y;
  double *sums;
  ptrdiff_t count, samples, channels, voxels, blocks;
  int block;
  float value;
  ptrdiff_t extent[3], kernel[3];
} nnk_loop;

static ptrdiff_t chunks(ptrdiff_t count) { return (count + NNK_CHUNK - 1) / NNK_CHUNK; }

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

NNK_CHUNKED(leaky_relu_chunk, y[i] = x[i] > 0 ? x[i] : x[i] * value)
NNK_CHUNKED(leaky_relu_backward_chunk, y[i] = x[i] > 0 ? z[i] : z[i] * value)
NNK_CHUNKED(add_chunk, y[i] += x[i])
NNK_CHUNKED(scale_chunk, y[i] *= value)
NNK_CHUNKED(sigmoid_chunk, y[i] = 1.0f / (1.0f + nnk_expf(-x[i])))

void nnk_leaky_relu(const float *x, float *y, ptrdiff_t count, float slope) {
  nnk_loop job = {.x = x, .y = y, .count = count, .value = slope};
  nnk_parallel(chunks(count), leaky_relu_chunk, &job);
}

void nnk_leaky_relu_backward(const float *y, const float *dy, float *dx, ptrdiff_t count, float slope) {
  nnk_loop job = {.x = y, .z = dy, .y = dx, .count = count, .value = slope};
  nnk_parallel(chunks(count), leaky_relu_backward_chunk, &job);
}

void nnk_add_into(float *a, const float *b, ptrdiff_t count) {
  nnk_loop job = {.x = b, .y = a, .count = count};
  nnk_parallel(chunks(count), add_chunk, &job);
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

NNK_INLINE void channel_sums_lanes(const nnk_loop *j, ptrdiff_t b, const int B) {
  double total[16] = {0};
  for (ptrdiff_t n = 0; n < j->samples; ++n) {
    const float *x = j->x + (n * j->blocks + b) * j->voxels * B;
    for (ptrdiff_t start = 0; start < j->voxels; start += 256) {
      ptrdiff_t end = start + 256 < j->voxels ? start + 256 : j->voxels;
      float s[16] = {0};
      for (ptrdiff_t v = start; v < end; ++v)
        for (int l = 0; l < B; ++l) s[l] += x[v * B + l];
      for (int l = 0; l < B; ++l) total[l] += s[l];
    }
  }
  for (int l = 0; l < B; ++l) j->y[b * B + l] = (float)total[l];
}

NNK_CLONES static void channel_sums_block(ptrdiff_t b, void *context) {
  const nnk_loop *j = context;
  if (j->block == 16) channel_sums_lanes(j, b, 16); else channel_sums_lanes(j, b, 8);
}

void nnk_channel_sums(const float *x, float *sums, ptrdiff_t samples, ptrdiff_t blocks, ptrdiff_t voxels, int block) {
  nnk_loop job = {.x = x, .y = sums, .samples = samples, .blocks = blocks, .voxels = voxels, .block = block};
  nnk_parallel(blocks, channel_sums_block, &job);
}

static void plain_to_blocked_plane(ptrdiff_t plane, void *context) {
  const nnk_loop *j = context;
  ptrdiff_t n = plane / j->blocks, b = plane % j->blocks, B = j->block;
  float *y = j->y + plane * j->voxels * B;
  for (ptrdiff_t l = 0; l < B; ++l) {
    ptrdiff_t c = b * B + l;
    const float *x = j->x + (n * j->channels + c) * j->voxels;
    if (c < j->channels)
      for (ptrdiff_t v = 0; v < j->voxels; ++v) y[v * B + l] = x[v];
    else
      for (ptrdiff_t v = 0; v < j->voxels; ++v) y[v * B + l] = 0;
  }
}

void nnk_plain_to_blocked(const float *x, float *y, ptrdiff_t samples, ptrdiff_t channels, ptrdiff_t voxels, int block) {
  ptrdiff_t blocks = (channels + block - 1) / block;
  nnk_loop job = {.x = x, .y = y, .channels = channels, .voxels = voxels, .blocks = blocks, .block = block};
  nnk_parallel(samples * blocks, plain_to_blocked_plane, &job);
}

static void blocked_to_plain_plane(ptrdiff_t plane, void *context) {
  const nnk_loop *j = context;
  ptrdiff_t n = plane / j->channels, c = plane % j->channels, B = j->block;
  const float *x = j->x + (n * j->blocks + c / B) * j->voxels * B + c % B;
  float *y = j->y + plane * j->voxels;
  for (ptrdiff_t v = 0; v < j->voxels; ++v) y[v] = x[v * B];
}

void nnk_blocked_to_plain(const float *x, float *y, ptrdiff_t samples, ptrdiff_t channels, ptrdiff_t voxels, int block) {
  nnk_loop job = {.x = x, .y = y, .channels = channels, .voxels = voxels, .blocks = (channels + block - 1) / block,
                  .block = block};
  nnk_parallel(samples * channels, blocked_to_plain_plane, &job);
}

static void concatenate_sample(ptrdiff_t n, void *context) {
  const nnk_loop *j = context;
  float *y = j->y + n * (j->count + j->voxels);
  memcpy(y, j->x + n * j->count, (size_t)j->count * sizeof(float));
  memcpy(y + j->count, j->z + n * j->voxels, (size_t)j->voxels * sizeof(float));
}

void nnk_concatenate(const float *a, const float *b, float *y, ptrdiff_t samples, ptrdiff_t a_size, ptrdiff_t b_size) {
  nnk_loop job = {.x = a, .z = b, .y = y, .count = a_size, .voxels = b_size};
  nnk_parallel(samples, concatenate_sample, &job);
}

static void split_sample(ptrdiff_t n, void *context) {
  const nnk_loop *j = context;
  const float *y = j->x + n * (j->count + j->voxels);
  memcpy(j->y + n * j->count, y, (size_t)j->count * sizeof(float));
  memcpy((float *)j->z + n * j->voxels, y + j->count, (size_t)j->voxels * sizeof(float));
}

void nnk_split(const float *y, float *a, float *b, ptrdiff_t samples, ptrdiff_t a_size, ptrdiff_t b_size) {
  nnk_loop job = {.x = y, .y = a, .z = b, .count = a_size, .voxels = b_size};
  nnk_parallel(samples, split_sample, &job);
}

// Scatter (to space) or gather (to depth) of one plane of the large tensor, row by row.
NNK_INLINE void space_plane(const nnk_loop *j, ptrdiff_t plane, const int B, const int gather) {
  ptrdiff_t n = plane / j->blocks, b = plane % j->blocks;
  const ptrdiff_t *e = j->extent, *k = j->kernel;
  ptrdiff_t small = e[0] * e[1] * e[2];
  float *large = j->y + plane * small * k[0] * k[1] * k[2] * B;
  const float *deep = j->x + n * k[0] * k[1] * k[2] * j->blocks * small * B;
  for (ptrdiff_t z = 0; z < e[0] * k[0]; ++z)
    for (ptrdiff_t y = 0; y < e[1] * k[1]; ++y)
      for (ptrdiff_t kx = 0; kx < k[2]; ++kx) {
        ptrdiff_t kernel = ((z % k[0]) * k[1] + y % k[1]) * k[2] + kx;
        float *row = (float *)deep + (((kernel * j->blocks + b) * e[0] + z / k[0]) * e[1] + y / k[1]) * e[2] * B;
        float *line = large + (z * e[1] * k[1] + y) * e[2] * k[2] * B + kx * B;
        for (ptrdiff_t x = 0; x < e[2]; ++x)
          for (int l = 0; l < B; ++l) {
            if (gather) row[x * B + l] = line[x * k[2] * B + l];
            else line[x * k[2] * B + l] = row[x * B + l] + (j->bias ? j->bias[b * B + l] : 0.0f);
          }
      }
}

NNK_CLONES static void to_space_plane(ptrdiff_t plane, void *context) {
  const nnk_loop *j = context;
  if (j->block == 16) space_plane(j, plane, 16, 0); else space_plane(j, plane, 8, 0);
}

NNK_CLONES static void to_depth_plane(ptrdiff_t plane, void *context) {
  const nnk_loop *j = context;
  if (j->block == 16) space_plane(j, plane, 16, 1); else space_plane(j, plane, 8, 1);
}

void nnk_depth_to_space(const float *t, float *y, const float *bias, ptrdiff_t samples, ptrdiff_t blocks,
                        const ptrdiff_t extent[3], const ptrdiff_t kernel[3], int block) {
  nnk_loop job = {.x = t, .y = y, .bias = bias, .blocks = blocks, .block = block,
                  .extent = {extent[0], extent[1], extent[2]}, .kernel = {kernel[0], kernel[1], kernel[2]}};
  nnk_parallel(samples * blocks, to_space_plane, &job);
}

void nnk_space_to_depth(const float *y, float *t, ptrdiff_t samples, ptrdiff_t blocks, const ptrdiff_t extent[3],
                        const ptrdiff_t kernel[3], int block) {
  nnk_loop job = {.x = t, .y = (float *)y, .blocks = blocks, .block = block,
                  .extent = {extent[0], extent[1], extent[2]}, .kernel = {kernel[0], kernel[1], kernel[2]}};
  nnk_parallel(samples * blocks, to_depth_plane, &job);
}

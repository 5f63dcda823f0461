// Transposed convolution with kernel = stride, and its gradients: every output voxel has one source, so that
// each offset within the kernel is a matrix product of its own, written where it belongs.
//
// Packed weights, forward: [offset][output span][input channel or pair][vector][lane]; for the source gradient, which
// adds up over offsets: [input span][offset][output channel or pair][vector][lane].
#include <stdlib.h>
#include "products.h"

enum { STRIP = 128 };

NNK_INLINE ptrdiff_t offset_count(const nnk_upsampling *u) { return u->kernel[0] * u->kernel[1] * u->kernel[2]; }
NNK_INLINE ptrdiff_t voxel_count(const nnk_upsampling *u) { return u->extent[0] * u->extent[1] * u->extent[2]; }

// The voxel of the result that offset 0 of a source voxel reaches, and the way from there to another offset.
NNK_INLINE ptrdiff_t place_of(const nnk_upsampling *u, ptrdiff_t v) {
  ptrdiff_t x = v % u->extent[2], y = v / u->extent[2] % u->extent[1], z = v / u->extent[2] / u->extent[1];
  ptrdiff_t width = u->extent[2] * u->kernel[2], height = u->extent[1] * u->kernel[1];
  return (z * u->kernel[0] * height + y * u->kernel[1]) * width + x * u->kernel[2];
}
NNK_INLINE ptrdiff_t offset_of(const nnk_upsampling *u, ptrdiff_t k) {
  ptrdiff_t x = k % u->kernel[2], y = k / u->kernel[2] % u->kernel[1], z = k / u->kernel[2] / u->kernel[1];
  ptrdiff_t width = u->extent[2] * u->kernel[2], height = u->extent[1] * u->kernel[1];
  return (z * height + y) * width + x;
}

// MARK: - Weights

typedef struct {
  const nnk_upsampling *u;
  const float *weight;  // [C][O][offset]
  int is_adjoint;
  void *packed;
} nnk_packing;

// One span of the side that the product gives: forward of an offset and output channels, adjoint of input channels.
static void pack_span(ptrdiff_t index, void *context) {
  const nnk_packing *j = context;
  const nnk_upsampling *u = j->u;
  ptrdiff_t offsets = offset_count(u), step = nnk_per_word(u->type);
  ptrdiff_t given = j->is_adjoint ? u->input_blocks : u->output_blocks, spans = (given + SPAN - 1) / SPAN;
  ptrdiff_t taken = (j->is_adjoint ? u->output_blocks : u->input_blocks) * LANES;
  ptrdiff_t block = index % spans * SPAN, vectors = block + 1 < given ? 2 : 1;
  ptrdiff_t first = j->is_adjoint ? 0 : index / spans, last = j->is_adjoint ? offsets : first + 1;
  ptrdiff_t at = (j->is_adjoint ? block * offsets : first * given + block) * taken * LANES;
  for (ptrdiff_t k = first; k < last; ++k)
    for (ptrdiff_t t = 0; t < taken; t += step)
      for (ptrdiff_t v = 0; v < vectors; ++v)
        for (ptrdiff_t lane = 0; lane < LANES; ++lane)
          for (ptrdiff_t half = 0; half < step; ++half, ++at) {
            ptrdiff_t g = (block + v) * LANES + lane, c = j->is_adjoint ? g : t + half, o = j->is_adjoint ? t + half : g;
            int is_inside = c < u->input_channels && o < u->output_channels;
            nnk_store(j->packed, at, is_inside ? j->weight[(c * u->output_channels + o) * offsets + k] : 0, nnk_inner(u->type));
          }
}

int NNK_VARIANT(nnk_upsampling_supports)(const nnk_upsampling *u) {
  return nnk_lanes_are_supported(u->type, u->lanes);
}

ptrdiff_t NNK_VARIANT(nnk_upsampling_weight_bytes)(const nnk_upsampling *u) {
  return offset_count(u) * u->input_blocks * u->output_blocks * LANES * LANES * nnk_size(nnk_inner(u->type));
}

void NNK_VARIANT(nnk_upsampling_pack)(const nnk_upsampling *u, const float *weight, int is_adjoint, void *packed) {
  nnk_packing j = {u, weight, is_adjoint, packed};
  ptrdiff_t spans = ((is_adjoint ? u->input_blocks : u->output_blocks) + SPAN - 1) / SPAN;
  nnk_parallel(is_adjoint ? spans : spans * offset_count(u), pack_span, &j);
}

// MARK: - Forward and source gradient

typedef struct {
  const nnk_upsampling *u;
  const void *x;
  const uint32_t *weight;
  const float *bias;
  void *y;
  ptrdiff_t groups, chunk;  // groups of TILES voxels of a sample, and how many a unit takes
} nnk_plan;

// Rows of a product to `count` voxels, a bias added unless NULL.
#define NNK_STORE_ROWS(NAME, TARGET, STORE, ELEMENT)                                                                   \
  TARGET static void NAME(const float *from, ptrdiff_t stride, const float *bias, void *to, const ptrdiff_t *voxels,   \
                          ptrdiff_t count) {                                                                           \
    nnk_vector b = bias ? vector_load(bias) : vector_all(0);                                                           \
    for (ptrdiff_t t = 0; t < count; ++t)                                                                              \
      STORE((ELEMENT *)to + voxels[t] * LANES, vector_load(from + t * stride) + b);                                    \
  }
NNK_STORE_ROWS(store_rows_float32, WIDE, vector_store, float)
NNK_STORE_ROWS(store_rows_bfloat16, WIDE_BF16, vector_store_half, uint16_t)

NNK_INLINE void store_rows(nnk_type type, const float *from, ptrdiff_t stride, const float *bias, void *to,
                           const ptrdiff_t *voxels, ptrdiff_t count) {
  (type == NNK_FLOAT32 ? store_rows_float32 : store_rows_bfloat16)(from, stride, bias, to, voxels, count);
}

// Blocks of channels of some voxels beside each other, as they are multiplied.
WIDE static void gather_rows(const void *from, const ptrdiff_t *voxels, ptrdiff_t count, nnk_type type, void *to) {
  for (ptrdiff_t t = 0; t < count; ++t) {
    if (type == NNK_FLOAT32) vector_store((float *)to + t * LANES, vector_load((const float *)from + voxels[t] * LANES));
#ifdef NNK_AVX2
    else vector_store((float *)to + t * LANES, vector_load_half((const uint16_t *)from + voxels[t] * LANES));
#else
    else memcpy((uint16_t *)to + t * LANES, (const uint16_t *)from + voxels[t] * LANES, LANES * sizeof(uint16_t));
#endif
  }
}

static void forward_group(const nnk_plan *p, ptrdiff_t sample, ptrdiff_t group, char *rows, float *products) {
  const nnk_upsampling *u = p->u;
  ptrdiff_t voxels = voxel_count(u), offsets = offset_count(u), row = LANES * nnk_size(u->type);
  ptrdiff_t words = LANES / nnk_per_word(u->type), first = group * TILES, from[TILES], to[TILES];
  ptrdiff_t count = voxels - first < TILES ? voxels - first : TILES;
  for (ptrdiff_t t = 0; t < TILES; ++t) from[t] = first + (t < count ? t : count - 1), to[t] = place_of(u, from[t]);
  for (ptrdiff_t b = 0; b < u->input_blocks; ++b)
    gather_rows((const char *)p->x + (sample * u->input_blocks + b) * voxels * row, from, TILES, u->type,
                rows + b * TILES * words * 4);
  const uint32_t *plane = (const uint32_t *)rows, *weight = p->weight;
  for (ptrdiff_t k = 0; k < offsets; ++k) {
    ptrdiff_t way = offset_of(u, k);
    for (ptrdiff_t o = 0; o < u->output_blocks; o += SPAN) {
      int vectors = o + 1 < u->output_blocks ? 2 : 1;
      nnk_products(nnk_inner(u->type), vectors, &plane, 1, weight, u->input_blocks, products);
      weight += u->input_blocks * words * vectors * LANES;
      for (int v = 0; v < vectors; ++v) {
        char *y = (char *)p->y + ((sample * u->output_blocks + o + v) * voxels * offsets + way) * row;
        store_rows(u->type, products + v * LANES, vectors * LANES, p->bias ? p->bias + (o + v) * LANES : NULL, y, to, count);
      }
    }
  }
}

static void adjoint_group(const nnk_plan *p, ptrdiff_t sample, ptrdiff_t group, char *rows, float *products) {
  const nnk_upsampling *u = p->u;
  ptrdiff_t voxels = voxel_count(u), offsets = offset_count(u), row = LANES * nnk_size(u->type);
  ptrdiff_t words = LANES / nnk_per_word(u->type), first = group * TILES, from[TILES], at[TILES], voxel[TILES];
  ptrdiff_t count = voxels - first < TILES ? voxels - first : TILES;
  for (ptrdiff_t t = 0; t < TILES; ++t)
    voxel[t] = first + (t < count ? t : count - 1), from[t] = place_of(u, voxel[t]);
  for (ptrdiff_t k = 0; k < offsets; ++k) {
    for (ptrdiff_t t = 0; t < TILES; ++t) at[t] = from[t] + offset_of(u, k);
    for (ptrdiff_t b = 0; b < u->output_blocks; ++b)
      gather_rows((const char *)p->y + (sample * u->output_blocks + b) * voxels * offsets * row, at,
                  TILES, u->type, rows + (k * u->output_blocks + b) * TILES * words * 4);
  }
  const uint32_t *plane = (const uint32_t *)rows, *weight = p->weight;
  for (ptrdiff_t c = 0; c < u->input_blocks; c += SPAN) {
    int vectors = c + 1 < u->input_blocks ? 2 : 1;
    nnk_products(nnk_inner(u->type), vectors, &plane, 1, weight, offsets * u->output_blocks, products);
    weight += offsets * u->output_blocks * words * vectors * LANES;
    for (int v = 0; v < vectors; ++v) {
      char *x = (char *)p->x + (sample * u->input_blocks + c + v) * voxels * row;
      store_rows(u->type, products + v * LANES, vectors * LANES, NULL, x, voxel, count);
    }
  }
}

static void run_unit(ptrdiff_t index, const nnk_plan *p, int is_adjoint) {
  const nnk_upsampling *u = p->u;
  ptrdiff_t units = (p->groups + p->chunk - 1) / p->chunk, sample = index / units, first = index % units * p->chunk;
  ptrdiff_t last = first + p->chunk < p->groups ? first + p->chunk : p->groups;
  ptrdiff_t blocks = is_adjoint ? u->output_blocks * offset_count(u) : u->input_blocks;
  size_t bytes = (size_t)(blocks * TILES * LANES * nnk_size(nnk_inner(u->type)));
  char *rows = aligned_alloc(64, bytes + TILES * SPAN * LANES * sizeof(float));
  if (!rows) abort();
  for (ptrdiff_t group = first; group < last; ++group)
    (is_adjoint ? adjoint_group : forward_group)(p, sample, group, rows, (float *)(rows + bytes));
  free(rows);
}
static void run_forward(ptrdiff_t index, void *context) { run_unit(index, context, 0); }
static void run_adjoint(ptrdiff_t index, void *context) { run_unit(index, context, 1); }

static void run(nnk_plan *p, void (*body)(ptrdiff_t, void *)) {
  p->groups = (voxel_count(p->u) + TILES - 1) / TILES;
  p->chunk = p->groups < 64 ? (p->groups + 3) / 4 : 32;
  nnk_parallel((p->groups + p->chunk - 1) / p->chunk * p->u->samples, body, p);
}

void NNK_VARIANT(nnk_upsampling_forward)(const nnk_upsampling *u, const void *x, const void *packed, const float *bias, void *y) {
  nnk_plan p = {.u = u, .x = x, .weight = packed, .bias = bias, .y = y};
  run(&p, run_forward);
}

void NNK_VARIANT(nnk_upsampling_source_gradient)(const nnk_upsampling *u, const void *dy, const void *packed, void *dx) {
  nnk_plan p = {.u = u, .x = dx, .weight = packed, .y = (void *)dy};
  run(&p, run_adjoint);
}

// MARK: - Weight gradient

typedef struct {
  const nnk_upsampling *u;
  const void *x, *dy;
  float *sums, *weight;
  ptrdiff_t strips, splits, sum_floats;
} nnk_sum_plan;

// Voxels as words: floats, or in bfloat16 pairs of neighbouring rows; an absent partner is zero.
WIDE static void pack_rows(const void *from, const ptrdiff_t *voxels, ptrdiff_t count, uint32_t *to, nnk_type type) {
#ifndef NNK_AVX2
  if (type != NNK_FLOAT32) {
    const uint16_t *rows = from;
    for (ptrdiff_t t = 0; t < count; t += 2)
      _mm512_storeu_si512(to + t / 2 * LANES,
                          nnk_pair_of(rows + voxels[t] * LANES, t + 1 < count ? rows + voxels[t + 1] * LANES : NULL));
    return;
  }
#endif
  gather_rows(from, voxels, count, type, to);
}

// Sums: [offset][output span][input block][channel][vector][lane].
static void sum_split(ptrdiff_t split, void *context) {
  const nnk_sum_plan *p = context;
  const nnk_upsampling *u = p->u;
  ptrdiff_t voxels = voxel_count(u), offsets = offset_count(u), row = LANES * nnk_size(u->type), units = p->strips * u->samples;
  uint32_t *x = aligned_alloc(64, (size_t)((u->input_blocks + u->output_blocks) * STRIP * LANES) * sizeof(uint32_t));
  if (!x) abort();
  uint32_t *d = x + u->input_blocks * STRIP * LANES;
  float *sums = p->sums + split * p->sum_floats;
  memset(sums, 0, (size_t)p->sum_floats * sizeof(float));
  for (ptrdiff_t unit = units * split / p->splits; unit < units * (split + 1) / p->splits; ++unit) {
    ptrdiff_t sample = unit / p->strips, first = unit % p->strips * STRIP, from[STRIP], to[STRIP], at[STRIP];
    ptrdiff_t count = voxels - first < STRIP ? voxels - first : STRIP;
    ptrdiff_t rows = (count + nnk_per_word(u->type) - 1) / nnk_per_word(u->type);
    for (ptrdiff_t t = 0; t < count; ++t) from[t] = first + t, to[t] = place_of(u, first + t);
    for (ptrdiff_t b = 0; b < u->input_blocks; ++b)
      pack_rows((const char *)p->x + (sample * u->input_blocks + b) * voxels * row, from, count, x + b * STRIP * LANES, u->type);
    for (ptrdiff_t k = 0; k < offsets; ++k) {
      for (ptrdiff_t t = 0; t < count; ++t) at[t] = to[t] + offset_of(u, k);
      for (ptrdiff_t b = 0; b < u->output_blocks; ++b)
        pack_rows((const char *)p->dy + (sample * u->output_blocks + b) * voxels * offsets * row, at, count, d + b * STRIP * LANES, u->type);
      for (ptrdiff_t o = 0; o < u->output_blocks; o += SPAN) {
        int vectors = o + 1 < u->output_blocks ? 2 : 1;
        for (ptrdiff_t b = 0; b < u->input_blocks; ++b)
          nnk_sums(nnk_inner(u->type), vectors, x + b * STRIP * LANES, d + o * STRIP * LANES, STRIP * LANES, rows,
                   sums + ((k * u->output_blocks + o) * u->input_blocks + b * vectors) * LANES * LANES);
      }
    }
  }
  free(x);
}

// The weights of one block of input channels.
static void gather_block(ptrdiff_t b, void *context) {
  const nnk_sum_plan *p = context;
  const nnk_upsampling *u = p->u;
  ptrdiff_t offsets = offset_count(u);
  for (ptrdiff_t k = 0; k < offsets; ++k)
    for (ptrdiff_t o = 0; o < u->output_channels; ++o) {
      ptrdiff_t block = o / LANES, span = block / SPAN * SPAN, vectors = span + 1 < u->output_blocks ? 2 : 1;
      const float *from = p->sums + ((k * u->output_blocks + span) * u->input_blocks + b * vectors) * LANES * LANES +
        (block - span) * LANES + o % LANES;
      for (ptrdiff_t c = b * LANES; c < (b + 1) * LANES && c < u->input_channels; ++c) {
        float sum = 0;
        for (ptrdiff_t s = 0; s < p->splits; ++s) sum += from[s * p->sum_floats + c % LANES * vectors * LANES];
        p->weight[(c * u->output_channels + o) * offsets + k] = sum;
      }
    }
}

static nnk_sum_plan plan_sums(const nnk_upsampling *u) {
  nnk_sum_plan p = {.u = u, .strips = (voxel_count(u) + STRIP - 1) / STRIP};
  ptrdiff_t units = p.strips * u->samples;
  p.splits = nnk_thread_count() < units ? nnk_thread_count() : units;
  p.sum_floats = offset_count(u) * u->input_blocks * u->output_blocks * LANES * LANES;
  return p;
}

ptrdiff_t NNK_VARIANT(nnk_upsampling_scratch)(const nnk_upsampling *u) {
  nnk_sum_plan p = plan_sums(u);
  return p.splits * p.sum_floats;
}

void NNK_VARIANT(nnk_upsampling_weight_gradient)(const nnk_upsampling *u, const void *x, const void *dy, float *scratch, float *weight) {
  nnk_sum_plan p = plan_sums(u);
  p.x = x, p.dy = dy, p.sums = scratch, p.weight = weight;
  nnk_parallel(p.splits, sum_split, &p);
  nnk_parallel(u->input_blocks, gather_block, &p);
}

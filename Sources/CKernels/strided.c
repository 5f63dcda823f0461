// Convolutions of any taps and strides between blocked activations by their definition, forward and back to the source.
//
// Either way, results that the same taps reach form a lattice: forward all of them, on the way back those of equal remainder
// by the stride (a phase). TILES points of a plane of the lattice lie beside each other in a product, whose planes are
// what each tap sees there, laid out once for all phases and all blocks of results.
#include <stdlib.h>
#include "products.h"

// Products of so many taps are added up on their own, for fewer roundings in a row.
enum { MOST_TAPS = 343, RUN = 9, LAYOUT_BYTES = 384 * 1024 };

// One axis: point q takes what lies at from_step * q + from_first + from_tap * m for its taps m, and gives what lies at
// to_step * q + to_first + r in phase r. Tap m of phase r is tap r + phases * m of the kernel, or without phases m.
typedef struct {
  ptrdiff_t from, to, points, taps, phases, kernel;
  ptrdiff_t from_step, from_first, from_tap, to_step, to_first;
} nnk_axis;

typedef struct {
  const nnk_convolution *g;
  nnk_axis axes[3];
  ptrdiff_t from_blocks, to_blocks, to_channels;
  int is_adjoint;
  ptrdiff_t taps, groups, chunk, chunks;  // groups of TILES points of a plane, and how many a unit takes
  const char *from;
  const float *weight, *bias;
  char *packed, *to;
} nnk_plan;

NNK_INLINE ptrdiff_t ceiling(ptrdiff_t a, ptrdiff_t b) { return (a + b - 1) / b; }
NNK_INLINE ptrdiff_t least(ptrdiff_t a, ptrdiff_t b) { return a < b ? a : b; }
NNK_INLINE ptrdiff_t taps_of(const nnk_axis *a, ptrdiff_t phase) { return ceiling(a->kernel - phase, a->phases); }
NNK_INLINE ptrdiff_t kernel_size(const nnk_convolution *g) { return g->kernel[0] * g->kernel[1] * g->kernel[2]; }

static nnk_plan plan(const nnk_convolution *g, int is_adjoint) {
  nnk_plan p = {.g = g, .is_adjoint = is_adjoint, .taps = 1};
  for (int i = 0; i < 3; ++i) {
    ptrdiff_t stride = g->stride[i], pad = g->padding[i], kernel = g->kernel[i];
    nnk_axis forward = {.from = g->input[i], .to = g->output[i], .points = g->output[i], .phases = 1, .from_step = stride,
                        .from_first = -pad, .from_tap = 1, .to_step = 1};
    nnk_axis adjoint = {.from = g->output[i], .to = g->input[i], .points = (g->input[i] - 1 + pad) / stride + 1,
                        .phases = stride, .from_step = 1, .from_tap = -1, .to_step = stride, .to_first = -pad};
    p.axes[i] = is_adjoint ? adjoint : forward;
    p.axes[i].kernel = kernel;
    p.axes[i].taps = taps_of(p.axes + i, 0);
    p.taps *= p.axes[i].taps;
  }
  p.from_blocks = is_adjoint ? g->output_blocks : g->input_blocks;
  p.to_blocks = is_adjoint ? g->input_blocks : g->output_blocks;
  p.to_channels = is_adjoint ? g->input_channels : g->output_channels;
  p.groups = ceiling(p.axes[1].points * p.axes[2].points, TILES);
  ptrdiff_t group_bytes = p.taps * p.from_blocks * TILES * LANES * nnk_size(nnk_inner(g->type));
  ptrdiff_t most = LAYOUT_BYTES / group_bytes < 1 ? 1 : LAYOUT_BYTES / group_bytes;
  p.chunk = ceiling(p.groups, ceiling(p.groups, most));
  p.chunks = ceiling(p.groups, p.chunk);
  return p;
}

// MARK: - Weights: [span of results][phase][tap][channel or pair][vector][lane]

typedef struct {
  ptrdiff_t r[3], taps[3];
} nnk_phase;

// Calls for every phase, z outermost.
#define FOR_PHASES(P, F)                                                                                              \
  for ((F).r[0] = 0; (F).r[0] < (P)->axes[0].phases; ++(F).r[0])                                                      \
    for ((F).r[1] = 0; (F).r[1] < (P)->axes[1].phases; ++(F).r[1])                                                    \
      for ((F).r[2] = 0; (F).r[2] < (P)->axes[2].phases; ++(F).r[2])

NNK_INLINE void count_taps(const nnk_plan *p, nnk_phase *f) {
  for (int i = 0; i < 3; ++i) f->taps[i] = f->r[i] < p->axes[i].kernel ? taps_of(p->axes + i, f->r[i]) : 0;
}

static void pack_span(ptrdiff_t span, void *context) {
  const nnk_plan *p = context;
  const nnk_convolution *g = p->g;
  ptrdiff_t block = span * SPAN, vectors = block + 1 < p->to_blocks ? 2 : 1, step = nnk_per_word(g->type);
  ptrdiff_t from = p->from_blocks * LANES, window = kernel_size(g), at = block * window * from * LANES;
  nnk_phase f;
  FOR_PHASES(p, f) {
    count_taps(p, &f);
    for (ptrdiff_t m = 0; m < f.taps[0] * f.taps[1] * f.taps[2]; ++m) {
      ptrdiff_t x = f.r[2] + m % f.taps[2] * p->axes[2].phases;
      ptrdiff_t y = f.r[1] + m / f.taps[2] % f.taps[1] * p->axes[1].phases;
      ptrdiff_t z = f.r[0] + m / f.taps[2] / f.taps[1] * p->axes[0].phases;
      ptrdiff_t tap = (z * g->kernel[1] + y) * g->kernel[2] + x;
      for (ptrdiff_t c = 0; c < from; c += step)
        for (ptrdiff_t v = 0; v < vectors; ++v)
          for (ptrdiff_t lane = 0; lane < LANES; ++lane)
            for (ptrdiff_t half = 0; half < step; ++half, ++at) {
              ptrdiff_t t = (block + v) * LANES + lane, i = p->is_adjoint ? t : c + half, o = p->is_adjoint ? c + half : t;
              int is_inside = i < g->input_channels && o < g->output_channels;
              nnk_store(p->packed, at, is_inside ? p->weight[(o * g->input_channels + i) * window + tap] : 0, nnk_inner(g->type));
            }
    }
  }
}

int NNK_VARIANT(nnk_strided_supports)(const nnk_convolution *g) {
  return nnk_lanes_are_supported(g->type, g->lanes) && !g->plain_source && kernel_size(g) <= MOST_TAPS;
}

ptrdiff_t NNK_VARIANT(nnk_strided_weight_bytes)(const nnk_convolution *g) {
  return kernel_size(g) * g->input_blocks * g->output_blocks * LANES * LANES * nnk_size(nnk_inner(g->type));
}

void NNK_VARIANT(nnk_strided_pack)(const nnk_convolution *g, const float *weight, int is_adjoint, void *packed) {
  nnk_plan p = plan(g, is_adjoint);
  p.weight = weight, p.packed = packed;
  nnk_parallel(ceiling(p.to_blocks, SPAN), pack_span, &p);
}

// MARK: - A unit of work

WIDE static void copy_block(const nnk_plan *p, ptrdiff_t from, char *to) {
  const char *at = p->from + from * LANES * nnk_size(p->g->type);
  if (p->g->type == NNK_FLOAT32) vector_store((float *)to, vector_load((const float *)at));
#ifdef NNK_AVX2
  else vector_store((float *)to, vector_load_half((const uint16_t *)at));
#else
  else memcpy(to, at, LANES * sizeof(uint16_t));
#endif
}

// What every tap sees from the points of some groups: [tap][group][block][TILES][channel]; zero outside.
static void lay_out(const nnk_plan *p, ptrdiff_t sample, ptrdiff_t q, const ptrdiff_t groups[2], char *to) {
  const nnk_axis *z = p->axes, *y = p->axes + 1, *x = p->axes + 2;
  ptrdiff_t block_bytes = LANES * nnk_size(nnk_inner(p->g->type)), volume = z->from * y->from * x->from;
  ptrdiff_t row_bytes = TILES * block_bytes, group_bytes = p->from_blocks * row_bytes;
  for (ptrdiff_t m = 0; m < p->taps; ++m, to += (groups[1] - groups[0]) * group_bytes) {
    ptrdiff_t at_z = z->from_step * q + z->from_first + z->from_tap * (m / x->taps / y->taps);
    if (at_z < 0 || at_z >= z->from) continue;  // not looked at either
    for (ptrdiff_t point = groups[0] * TILES; point < groups[1] * TILES; ++point) {
      ptrdiff_t i = point - groups[0] * TILES;
      char *tile = to + i / TILES * group_bytes + i % TILES * block_bytes;
      ptrdiff_t at_y = y->from_step * (point / x->points) + y->from_first + y->from_tap * (m / x->taps % y->taps);
      ptrdiff_t at_x = x->from_step * (point % x->points) + x->from_first + x->from_tap * (m % x->taps);
      int is_inside = at_y >= 0 && at_y < y->from && at_x >= 0 && at_x < x->from && point < y->points * x->points;
      ptrdiff_t voxel = sample * p->from_blocks * volume + (at_z * y->from + at_y) * x->from + at_x;
      for (ptrdiff_t b = 0; b < p->from_blocks; ++b) {
        if (is_inside) copy_block(p, voxel + b * volume, tile + b * row_bytes);
        else memset(tile + b * row_bytes, 0, (size_t)block_bytes);
      }
    }
  }
}

#define NNK_STORE_POINTS(NAME, TARGET, ELEMENT, STORE)                                                                \
  TARGET static void NAME(const float *from, ptrdiff_t runs, ptrdiff_t vectors, const float *bias, void *to,          \
                          const ptrdiff_t *voxels) {                                                                  \
    nnk_vector b = bias ? vector_load(bias) : vector_all(0);                                                          \
    for (ptrdiff_t t = 0; t < TILES; ++t) {                                                                           \
      if (voxels[t] < 0) continue;                                                                                    \
      nnk_vector sum = vector_all(0);                                                                                 \
      for (ptrdiff_t r = 0; r < runs; ++r) sum = sum + vector_load(from + (r * TILES + t) * vectors * LANES);         \
      STORE((ELEMENT *)to + voxels[t] * LANES, sum + b);                                                              \
    }                                                                                                                 \
  }
NNK_STORE_POINTS(store_points_float32, WIDE, float, vector_store)
NNK_STORE_POINTS(store_points_bfloat16, WIDE_BF16, uint16_t, vector_store_half)

// The results of one phase at one group's points for one span.
static void run_group(const nnk_plan *p, const nnk_phase *f, const char *layout, ptrdiff_t tap_bytes, ptrdiff_t sample, ptrdiff_t q,
                      ptrdiff_t group, ptrdiff_t block, const uint32_t *weight, float *products) {
  const nnk_axis *z = p->axes, *y = p->axes + 1, *x = p->axes + 2;
  const uint32_t *planes[MOST_TAPS];
  ptrdiff_t count = 0, voxels[TILES], volume = z->to * y->to * x->to, to_z = z->to_step * q + z->to_first + f->r[0];
  for (ptrdiff_t a = 0; a < f->taps[0]; ++a) {
    ptrdiff_t at_z = z->from_step * q + z->from_first + z->from_tap * a;
    for (ptrdiff_t b = 0; b < f->taps[1]; ++b)
      for (ptrdiff_t c = 0; c < f->taps[2]; ++c)
        planes[count++] = at_z < 0 || at_z >= z->from
          ? NULL : (const uint32_t *)(layout + ((a * y->taps + b) * x->taps + c) * tap_bytes);
  }
  int vectors = block + 1 < p->to_blocks ? 2 : 1;
  ptrdiff_t words = p->from_blocks * LANES / nnk_per_word(p->g->type) * vectors * LANES, runs = ceiling(count, RUN);
  for (ptrdiff_t r = 0; r < runs; ++r)
    nnk_products(nnk_inner(p->g->type), vectors, planes + r * RUN, least(RUN, count - r * RUN), weight + r * RUN * words,
                 p->from_blocks, products + r * TILES * vectors * LANES);
  for (ptrdiff_t t = 0; t < TILES; ++t) {
    ptrdiff_t point = group * TILES + t, to_y = y->to_step * (point / x->points) + y->to_first + f->r[1];
    ptrdiff_t to_x = x->to_step * (point % x->points) + x->to_first + f->r[2];
    int is_inside = point < y->points * x->points && to_y >= 0 && to_y < y->to && to_x >= 0 && to_x < x->to;
    voxels[t] = is_inside ? (to_z * y->to + to_y) * x->to + to_x : -1;
  }
  for (int v = 0; v < vectors; ++v) {
    char *to = p->to + (sample * p->to_blocks + block + v) * volume * LANES * nnk_size(p->g->type);
    const float *bias = p->bias ? p->bias + (block + v) * LANES : NULL;
    (p->g->type == NNK_FLOAT32 ? store_points_float32 : store_points_bfloat16)(
      products + v * LANES, runs, vectors, bias, to, voxels);
  }
}

static void run_unit(ptrdiff_t index, void *context) {
  const nnk_plan *p = context;
  ptrdiff_t chunk = index % p->chunks, q = index / p->chunks % p->axes[0].points, sample = index / p->chunks / p->axes[0].points;
  ptrdiff_t groups[2] = {chunk * p->chunk, least((chunk + 1) * p->chunk, p->groups)};
  ptrdiff_t from = p->from_blocks * LANES, word_bytes = LANES * nnk_size(nnk_inner(p->g->type));
  ptrdiff_t group_bytes = from * TILES * nnk_size(nnk_inner(p->g->type)), tap_bytes = (groups[1] - groups[0]) * group_bytes;
  size_t product_bytes = (size_t)(ceiling(p->taps, RUN) * TILES * SPAN * LANES) * sizeof(float), layout_bytes = (size_t)(p->taps * tap_bytes + 63);
  char *scratch = aligned_alloc(64, (product_bytes + layout_bytes) / 64 * 64);
  if (!scratch) abort();
  char *layout = scratch + product_bytes;
  lay_out(p, sample, q, groups, layout);
  const char *weight = p->packed;
  for (ptrdiff_t block = 0; block < p->to_blocks; block += SPAN) {
    ptrdiff_t vectors = block + 1 < p->to_blocks ? 2 : 1;
    nnk_phase f;
    FOR_PHASES(p, f) {
      count_taps(p, &f);
      ptrdiff_t to_z = p->axes[0].to_step * q + p->axes[0].to_first + f.r[0];
      if (to_z >= 0 && to_z < p->axes[0].to)
        for (ptrdiff_t group = groups[0]; group < groups[1]; ++group)
          run_group(p, &f, layout + (group - groups[0]) * group_bytes, tap_bytes, sample, q, group, block,
                    (const uint32_t *)weight, (float *)scratch);
      weight += f.taps[0] * f.taps[1] * f.taps[2] * from * vectors * word_bytes;
    }
  }
  free(scratch);
}

static void run(nnk_plan *p, const void *from, const void *packed, const float *bias, void *to) {
  p->from = from, p->packed = (char *)packed, p->bias = bias, p->to = to;
  nnk_parallel(p->g->batch * p->axes[0].points * p->chunks, run_unit, p);
}

void NNK_VARIANT(nnk_strided_forward)(const nnk_convolution *g, const void *source, const void *packed, const float *bias,
                                      void *result) {
  nnk_plan p = plan(g, 0);
  run(&p, source, packed, bias, result);
}

void NNK_VARIANT(nnk_strided_adjoint)(const nnk_convolution *g, const void *gradient, const void *packed, void *source) {
  nnk_plan p = plan(g, 1);
  run(&p, gradient, packed, NULL, source);
}

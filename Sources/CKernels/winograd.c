// Convolutions of stride 1 with 3 x 3 taps in the plane by Winograd's minimal filtering F(2 x 2, 3 x 3): four
// results of a plane for 16 products in place of 36; the taps along z are added up among the products. The products
// are those of Lavin and Gray, "Fast algorithms for convolutional neural networks" (2016).
//
// A unit of work is a band of tile rows of one sample over some planes. Transformed planes of the source lie in a ring,
// TILES tiles beside each other, so that the inner loop holds TILES x 2 accumulators of a block's output channels.
#include <stdlib.h>
#include "nnk_engine.h"
#include "winograd_internal.h"

enum { RING_BYTES = 2 << 20 };

typedef struct {
  const nnk_winograd *g;
  const void *source, *weight;
  const float *bias;
  void *result;
  ptrdiff_t columns, rows, band, bands, chunk, chunks;
  // Of one transformed plane of a band.
  ptrdiff_t plane_elements;
} nnk_plan;

// MARK: - The way back from the products of a tile to four results

typedef struct {
  // Where a tile's first result lies, and how much of the tile lies inside.
  ptrdiff_t at;
  int rows, columns;
} nnk_place;

#define NNK_RESULTS(NAME, TARGET, ELEMENT, STORE)                                                                     \
  TARGET static void NAME(const float *products, ptrdiff_t stride, const float *bias, ptrdiff_t width, ELEMENT *to,      \
                          const nnk_place *p) {                                                                       \
    nnk_vector top[4], low[4], b = bias ? vector_load(bias) : vector_all(0);                                          \
    UNROLLED for (int j = 0; j < 4; ++j) {                                                                            \
      nnk_vector m[4];                                                                                                \
      UNROLLED for (int i = 0; i < 4; ++i) m[i] = vector_load(products + (4 * i + j) * stride);                       \
      if (j == 1) m[1] = m[1] + b;                                                                                    \
      top[j] = m[0] + (m[1] + m[2]);                                                                                  \
      low[j] = m[1] - (m[2] + m[3]);                                                                                  \
    }                                                                                                                 \
    to += p->at * LANES;                                                                                              \
    STORE(to, top[0] + (top[1] + top[2]));                                                                            \
    if (p->columns > 1) STORE(to + LANES, top[1] - (top[2] + top[3]));                                                \
    if (p->rows < 2) return;                                                                                          \
    to += width * LANES;                                                                                              \
    STORE(to, low[0] + (low[1] + low[2]));                                                                            \
    if (p->columns > 1) STORE(to + LANES, low[1] - (low[2] + low[3]));                                                \
  }
NNK_RESULTS(results_float32, WIDE, float, vector_store)
NNK_RESULTS(results_bfloat16, WIDE_BF16, uint16_t, vector_store_half)

// MARK: - A unit of work

// The transformed tiles of one plane of a band: [tile group][position][input block][tile][channel].
static void transform_plane(const nnk_plan *p, ptrdiff_t sample, ptrdiff_t z, ptrdiff_t first, ptrdiff_t count,
                            const void *zero, void *to) {
  const nnk_winograd *g = p->g;
  ptrdiff_t bytes = nnk_size(g->type), row = g->extent[2] * LANES * bytes;
  ptrdiff_t position = g->input_blocks * TILES * LANES;
  for (ptrdiff_t b = 0; b < g->input_blocks; ++b) {
    const char *plane = (const char *)p->source +
      ((sample * g->input_blocks + b) * g->extent[0] + z) * g->extent[1] * row;
    for (ptrdiff_t r = 0; r < count; ++r) {
      const void *lines[4];
      for (int i = 0; i < 4; ++i) {
        ptrdiff_t y = 2 * (first + r) - 1 + i;
        lines[i] = y < 0 || y >= g->extent[1] ? zero : plane + y * row;
      }
      char *target = (char *)to + b * TILES * LANES * nnk_size(nnk_inner(g->type));
      nnk_winograd_tiles(g->type, lines, g->extent[2], p->columns, target, r * p->columns, position);
    }
  }
}

// The results of one span of output blocks for one group of tiles of a plane.
static void run_group(const nnk_plan *p, const char *const *ring, ptrdiff_t sample, ptrdiff_t z, ptrdiff_t first,
                      ptrdiff_t group, ptrdiff_t tiles, ptrdiff_t o, float *products) {
  const nnk_winograd *g = p->g;
  const nnk_type inner = nnk_inner(g->type);
  ptrdiff_t bytes = nnk_size(g->type), position = g->input_blocks * TILES * LANES * nnk_size(inner);
  ptrdiff_t words = LANES / nnk_per_word(g->type), width = g->extent[2], voxels = g->extent[0] * g->extent[1] * width;
  nnk_place places[TILES];
  for (ptrdiff_t t = 0; t < tiles; ++t) {
    ptrdiff_t y = 2 * (first + (group * TILES + t) / p->columns), x = 2 * ((group * TILES + t) % p->columns);
    places[t] = (nnk_place){(z * g->extent[1] + y) * width + x, y + 1 < g->extent[1] ? 2 : 1, x + 1 < width ? 2 : 1};
  }
  int vectors = o + 1 < g->output_blocks ? 2 : 1;
  const uint32_t *weight = (const uint32_t *)p->weight + o * 16 * g->depth * g->input_blocks * words * LANES;
  ptrdiff_t stride = TILES * vectors * LANES;
  for (int a = 0; a < 16; ++a) {
    const uint32_t *planes[3];
    for (ptrdiff_t k = 0; k < g->depth; ++k)
      planes[k] = ring[k] ? (const uint32_t *)(ring[k] + (group * 16 + a) * position) : NULL;
    nnk_products(inner, vectors, planes, g->depth, weight, g->input_blocks, products + a * stride);
    weight += g->depth * g->input_blocks * words * vectors * LANES;
  }
  for (int v = 0; v < vectors; ++v) {
    char *to = (char *)p->result + (sample * g->output_blocks + o + v) * voxels * LANES * bytes;
    const float *bias = p->bias ? p->bias + (o + v) * LANES : NULL;
    for (ptrdiff_t t = 0; t < tiles; ++t) {
      const float *from = products + (t * vectors + v) * LANES;
      if (g->type == NNK_FLOAT32) results_float32(from, stride, bias, width, (float *)to, places + t);
      else results_bfloat16(from, stride, bias, width, (uint16_t *)to, places + t);
    }
  }
}

static void run_unit(ptrdiff_t index, void *context) {
  const nnk_plan *p = context;
  const nnk_winograd *g = p->g;
  ptrdiff_t band = index % p->bands, chunk = index / p->bands % p->chunks, sample = index / p->bands / p->chunks;
  ptrdiff_t first = band * p->band, rows = p->rows - first < p->band ? p->rows - first : p->band;
  ptrdiff_t tiles = rows * p->columns, depth = g->depth, half = depth / 2;
  ptrdiff_t plane_bytes = p->plane_elements * nnk_size(nnk_inner(g->type));
  size_t product_bytes = 16 * TILES * SPAN * LANES * sizeof(float);
  size_t zero_bytes = ((size_t)(g->extent[2] * LANES * nnk_size(g->type)) + 63) / 64 * 64;
  char *scratch = aligned_alloc(64, product_bytes + zero_bytes + (size_t)(depth * plane_bytes));
  if (!scratch) abort();
  float *products = (float *)scratch;
  char *zero = scratch + product_bytes, *planes = zero + zero_bytes;
  memset(zero, 0, zero_bytes);
  ptrdiff_t begin = chunk * p->chunk, end = begin + p->chunk < g->extent[0] ? begin + p->chunk : g->extent[0];
  ptrdiff_t next = begin - half < 0 ? 0 : begin - half;  // the first plane that has not been transformed
  for (ptrdiff_t z = begin; z < end; ++z) {
    for (; next <= z + half && next < g->extent[0]; ++next)
      transform_plane(p, sample, next, first, rows, zero, planes + next % depth * plane_bytes);
    const char *ring[3];
    for (ptrdiff_t k = 0; k < depth; ++k) {
      ptrdiff_t plane = z - half + k;
      ring[k] = plane < 0 || plane >= g->extent[0] ? NULL : planes + plane % depth * plane_bytes;
    }
    // Spans outside, so that a span's weights stay in the cache for all groups.
    for (ptrdiff_t o = 0; o < g->output_blocks; o += SPAN)
      for (ptrdiff_t group = 0; group * TILES < tiles; ++group) {
        ptrdiff_t left = tiles - group * TILES;
        run_group(p, ring, sample, z, first, group, left < TILES ? left : TILES, o, products);
      }
  }
  free(scratch);
}

// MARK: - Interface

int NNK_VARIANT(nnk_winograd_supports)(const nnk_winograd *g) {
  return nnk_lanes_are_supported(g->type, g->lanes) && (g->depth == 1 || g->depth == 3);
}

ptrdiff_t NNK_VARIANT(nnk_winograd_weight_bytes)(const nnk_winograd *g) {
  return 16 * g->depth * g->input_blocks * g->output_blocks * LANES * LANES * nnk_size(nnk_inner(g->type));
}

typedef struct {
  const nnk_winograd *g;
  const float *weight;
  int is_adjoint;
  void *packed;
} nnk_packing;

// The 16 positions of one tap of z for one input channel, a vector of output channels each; zero beyond the channels.
WIDE static void transform_weights(const nnk_packing *j, ptrdiff_t o, ptrdiff_t c, ptrdiff_t k, nnk_vector u[16]) {
  const nnk_winograd *g = j->g;
  ptrdiff_t taps = g->depth * 9, left = g->output_channels - o * LANES;
  UNROLLED for (int a = 0; a < 16; ++a) u[a] = vector_all(0);
  if (c >= g->input_channels || left <= 0) return;
  ptrdiff_t stride = j->is_adjoint ? taps : g->input_channels * taps;
  const float *from = j->is_adjoint ? j->weight + (c * g->output_channels + o * LANES) * taps
                                    : j->weight + (o * LANES * g->input_channels + c) * taps;
  nnk_vector w[3][3], rows[4][3];
  for (int i = 0; i < 9; ++i)
    w[i / 3][i % 3] = vector_gather(from + (j->is_adjoint ? (g->depth - 1 - k) * 9 + 8 - i : k * 9 + i), stride, left);
  const nnk_vector half = vector_all(0.5f);
  UNROLLED for (int i = 0; i < 3; ++i) {
    nnk_vector ends = w[0][i] + w[2][i];
    rows[0][i] = w[0][i];
    rows[1][i] = half * (ends + w[1][i]);
    rows[2][i] = half * (ends - w[1][i]);
    rows[3][i] = w[2][i];
  }
  UNROLLED for (int i = 0; i < 4; ++i) {
    nnk_vector ends = rows[i][0] + rows[i][2];
    u[4 * i] = rows[i][0];
    u[4 * i + 1] = half * (ends + rows[i][1]);
    u[4 * i + 2] = half * (ends - rows[i][1]);
    u[4 * i + 3] = rows[i][2];
  }
}

#ifndef NNK_AVX2
AVX512_BF16 static void store_pairs(uint32_t *to, ptrdiff_t position, const nnk_vector even[16], const nnk_vector odd[16]) {
  for (int a = 0; a < 16; ++a) _mm512_storeu_si512(to + a * position, nnk_paired(even[a], odd[a]));
}
#endif

// The weights of one span of output blocks for one input block: [position][tap of z][channel or pair][vector][lane].
WIDE static void pack_blocks(ptrdiff_t index, void *context) {
  const nnk_packing *j = context;
  const nnk_winograd *g = j->g;
  ptrdiff_t o = index / g->input_blocks * SPAN, block = index % g->input_blocks, inputs = g->input_blocks * LANES;
  ptrdiff_t vectors = o + 1 < g->output_blocks ? 2 : 1, step = nnk_per_word(g->type);
  ptrdiff_t position = g->depth * inputs / step * vectors * LANES;
  uint32_t *to = (uint32_t *)j->packed + o * 16 * g->depth * inputs / step * LANES;
  for (ptrdiff_t k = 0; k < g->depth; ++k)
    for (ptrdiff_t c = block * LANES; c < (block + 1) * LANES; c += step)
      for (ptrdiff_t v = 0; v < vectors; ++v) {
        nnk_vector u[16];
        uint32_t *at = to + ((k * inputs + c) / step * vectors + v) * LANES;
        transform_weights(j, o + v, c, k, u);
#ifndef NNK_AVX2
        if (g->type != NNK_FLOAT32) {
          nnk_vector odd[16];
          transform_weights(j, o + v, c + 1, k, odd);
          store_pairs(at, position, u, odd);
          continue;
        }
#endif
        for (int a = 0; a < 16; ++a) vector_store((float *)(at + a * position), u[a]);
      }
}

void NNK_VARIANT(nnk_winograd_pack)(const nnk_winograd *g, const float *weight, int is_adjoint, void *packed) {
  nnk_packing j = {g, weight, is_adjoint, packed};
  nnk_parallel((g->output_blocks + SPAN - 1) / SPAN * g->input_blocks, pack_blocks, &j);
}

// The smallest band with few tiles left over in its last group: a ring beyond the second cache costs less than they do.
static ptrdiff_t best_band(const nnk_winograd *g, ptrdiff_t columns, ptrdiff_t rows) {
  ptrdiff_t tile = 16 * g->input_blocks * LANES * nnk_size(nnk_inner(g->type)) * g->depth, best = 1;
  double least = 1e30;
  for (ptrdiff_t band = 1; band <= rows; ++band) {
    ptrdiff_t groups = (band * columns + TILES - 1) / TILES;
    if (groups > 1 && band > 1 && groups * TILES * tile > RING_BYTES) break;
    ptrdiff_t whole = rows / band, rest = rows % band;
    double cost = (double)(whole * groups + (rest * columns + TILES - 1) / TILES);
    if (cost < least * 0.985) least = cost, best = band;
  }
  return best;
}

void NNK_VARIANT(nnk_winograd_run)(const nnk_winograd *g, const void *source, const void *packed, const float *bias, void *result) {
  nnk_plan p = {.g = g, .source = source, .weight = packed, .bias = bias, .result = result};
  p.columns = (g->extent[2] + 1) / 2;
  p.rows = (g->extent[1] + 1) / 2;
  p.band = best_band(g, p.columns, p.rows);
  p.bands = (p.rows + p.band - 1) / p.band;
  p.plane_elements = (p.band * p.columns + TILES - 1) / TILES * TILES * 16 * g->input_blocks * LANES;
  // Few units: planes are shared out too, though every chunk transforms two planes more.
  ptrdiff_t threads = nnk_thread_count(), units = g->batch * p.bands;
  p.chunks = 1;
  while (units * p.chunks % threads != 0 && units * p.chunks < 8 * threads && g->extent[0] / (p.chunks + 1) >= 8) ++p.chunks;
  p.chunk = (g->extent[0] + p.chunks - 1) / p.chunks;
  p.chunks = (g->extent[0] + p.chunk - 1) / p.chunk;
  nnk_parallel(g->batch * p.bands * p.chunks, run_unit, &p);
}

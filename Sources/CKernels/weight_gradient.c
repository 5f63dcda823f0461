// The weight gradient of convolutions with three taps along x, by its definition.
//
// A unit of work is one block of output channels with one of input channels. Rows are first laid out so that the
// inner loop needs no borders; then the accumulators (three taps, half a block of input channels) take a tile of rows per
// tap of z and y, so that every row is read from cache 2 * kd * kh times and from memory once.
#include <stdlib.h>
#include "products.h"

enum { TAPS = 3, GROUP = LANES / 2, CACHE_BYTES = 600 * 1024, STRIP_BYTES = 20 * 1024, MOST_PLANES = 8 };

typedef struct {
  const nnk_convolution *g;
  const void *source, *gradient;
  float *partial;
  int splits;
  ptrdiff_t tile_rows, strip_rows, source_rows, packed_width, packed_outputs;
} nnk_unit;

NNK_INLINE ptrdiff_t group_count(const nnk_convolution *g) {
  ptrdiff_t channels = g->plain_source && g->input_channels < LANES ? g->input_channels : LANES;
  return (channels + GROUP - 1) / GROUP;
}

// A unit takes up to SPAN blocks on either side, so that every packed row serves more than one product.
NNK_INLINE ptrdiff_t spans(ptrdiff_t blocks) { return (blocks + SPAN - 1) / SPAN; }

NNK_INLINE ptrdiff_t unit_floats(const nnk_convolution *g) {
  return g->kernel[0] * g->kernel[1] * 2 * TAPS * GROUP * LANES;
}

// MARK: - Laying out rows: LANES words of 32 bits per position, a float or a pair of neighbours in bfloat16.

#ifdef NNK_AVX2
// Stored elements as floats.
WIDE static void widen(const uint16_t *from, uint32_t *to, ptrdiff_t count) {
  for (ptrdiff_t i = 0; i < count; ++i) vector_store((float *)to + i * LANES, vector_load_half(from + i * LANES));
}
#else
// Every position with the one `step` further on, zero from `count` on; the n-th pair begins at position n * `stride`.
AVX512 static void pair(const uint16_t *from, uint32_t *to, ptrdiff_t pairs, ptrdiff_t stride, ptrdiff_t step, ptrdiff_t count) {
  for (ptrdiff_t n = 0; n < pairs; ++n, to += LANES) {
    ptrdiff_t even = n * stride, odd = even + step;
    _mm512_storeu_si512(to, nnk_pair_of(from + even * LANES, odd < count ? from + odd * LANES : NULL));
  }
}
#endif

// One row of the gradient: `count` positions, the last pair filled up with zero.
static void pack_outputs(const void *row, uint32_t *to, ptrdiff_t count, nnk_type type) {
  if (type == NNK_FLOAT32) {
    memcpy(to, row, (size_t)(count * LANES) * sizeof(float));
    return;
  }
#ifdef NNK_AVX2
  widen(row, to, count);
#else
  pair(row, to, (count + 1) / 2, 2, 1, count);
#endif
}

// A row of a plain source as blocks of 16 channels, the absent ones zero.
static void interleave_planes(const nnk_convolution *g, const void *row, void *to) {
  ptrdiff_t plane = g->input[0] * g->input[1] * g->input[2], bytes = nnk_size(g->type);
  memset(to, 0, (size_t)(g->input[2] * LANES * bytes));
  for (ptrdiff_t c = 0; c < g->input_channels; ++c)
    for (ptrdiff_t x = 0; x < g->input[2]; ++x) {
      if (g->type == NNK_FLOAT32) ((float *)to)[x * LANES + c] = ((const float *)row)[c * plane + x];
      else ((uint16_t *)to)[x * LANES + c] = ((const uint16_t *)row)[c * plane + x];
    }
}

// One row of the source with its border; in bfloat16 every position is paired with the one a stride further.
WIDE static void pack_source(const nnk_unit *u, const void *row, uint32_t *to) {
  const nnk_convolution *g = u->g;
  ptrdiff_t pad = g->padding[2], width = g->input[2];
  ptrdiff_t inside = width < u->packed_width - pad ? width : u->packed_width - pad;
  memset(to, 0, (size_t)(pad * LANES) * sizeof(uint32_t));
  memset(to + (pad + inside) * LANES, 0, (size_t)((u->packed_width - pad - inside) * LANES) * sizeof(uint32_t));
  if (g->type == NNK_FLOAT32) {
    memcpy(to + pad * LANES, row, (size_t)(inside * LANES) * sizeof(float));
    return;
  }
#ifdef NNK_AVX2
  widen(row, to + pad * LANES, inside);
#else
  const uint16_t *from = row;
  ptrdiff_t stride = g->stride[2];
  for (ptrdiff_t i = pad < stride ? -pad : -stride; i < 0; ++i)
    if (i + stride >= 0 && i + stride < width)
      _mm512_storeu_si512(to + (i + pad) * LANES, nnk_pair_of(NULL, from + (i + stride) * LANES));
  pair(from, to + pad * LANES, inside, 1, stride, width);
#endif
}

// MARK: - The inner loop

// sum[tap][channel] += gradient row . source row shifted by tap, over some rows.
#define NNK_ROWS(NAME, TARGET, FUSED)                                                                                 \
  TARGET static void NAME(const uint32_t *gradient, ptrdiff_t gradient_row, const uint32_t *source,                  \
                          ptrdiff_t source_row, ptrdiff_t rows, ptrdiff_t positions, ptrdiff_t step, float *sum) {   \
    nnk_vector s[TAPS][GROUP];                                                                                        \
    UNROLLED for (int t = 0; t < TAPS; ++t)                                                                           \
      UNROLLED for (int c = 0; c < GROUP; ++c) s[t][c] = vector_load(sum + (t * GROUP + c) * LANES);                  \
    for (ptrdiff_t r = 0; r < rows; ++r) {                                                                            \
      const uint32_t *d = gradient + r * gradient_row, *x = source + r * source_row;                                  \
      for (ptrdiff_t p = 0; p < positions; ++p, d += LANES, x += step * LANES) {                                      \
        nnk_words v = words_load(d);                                                                                  \
        UNROLLED for (int t = 0; t < TAPS; ++t)                                                                       \
          UNROLLED for (int c = 0; c < GROUP; ++c) s[t][c] = FUSED(s[t][c], v, x[t * LANES + c]);                     \
      }                                                                                                               \
    }                                                                                                                 \
    UNROLLED for (int t = 0; t < TAPS; ++t)                                                                           \
      UNROLLED for (int c = 0; c < GROUP; ++c) vector_store(sum + (t * GROUP + c) * LANES, s[t][c]);                  \
  }
NNK_ROWS(rows_float32, WIDE, FUSED_FLOAT32)
#ifdef NNK_AVX2
#define rows_bfloat16 rows_float32
#else
NNK_ROWS(rows_bfloat16, AVX512_BF16, FUSED_BFLOAT16)
#endif

// MARK: - A unit of work

typedef struct {
  // Packed rows of the gradient, one tile per output block of the unit.
  uint32_t *outputs;
  // Packed rows of the source, one tile per input block and tap of z; which plane a tile holds, or -1.
  uint32_t *planes;
  ptrdiff_t held[SPAN][MOST_PLANES], held_sample, held_row;
  // One row of a plain source in blocks.
  uint32_t *line;
} nnk_tiles;

static const uint32_t *source_tile(const nnk_unit *u, nnk_tiles *t, ptrdiff_t first, int offset, ptrdiff_t sample,
                                   ptrdiff_t row, ptrdiff_t plane) {
  const nnk_convolution *g = u->g;
  ptrdiff_t place = plane % g->kernel[0];
  uint32_t *tile = t->planes + (offset * g->kernel[0] + place) * u->source_rows * u->packed_width * LANES;
  if (t->held[offset][place] == plane) return tile;
  t->held[offset][place] = plane;
  ptrdiff_t bytes = nnk_size(g->type), row_elements = g->input[2] * (g->plain_source ? 1 : LANES);
  ptrdiff_t lead = g->plain_source ? sample * g->input_channels : sample * g->input_blocks + first + offset;
  const char *from = (const char *)u->source + (lead * g->input[0] + plane) * g->input[1] * row_elements * bytes;
  for (ptrdiff_t r = 0; r < u->source_rows; ++r) {
    ptrdiff_t y = row * g->stride[1] - g->padding[1] + r;
    uint32_t *to = tile + r * u->packed_width * LANES;
    if (y < 0 || y >= g->input[1]) {
      memset(to, 0, (size_t)(u->packed_width * LANES) * sizeof(uint32_t));
      continue;
    }
    const void *line = from + y * row_elements * bytes;
    if (g->plain_source) interleave_planes(g, line, t->line), line = t->line;
    pack_source(u, line, to);
  }
  return tile;
}

// All taps of y and groups of channels, strip by strip, so that a strip stays in the first cache.
static void multiply_tile(const nnk_unit *u, const uint32_t *outputs, const uint32_t *source, ptrdiff_t rows, float *sums) {
  const nnk_convolution *g = u->g;
  ptrdiff_t step = g->stride[2] * nnk_per_word(g->type), groups = group_count(g);
  ptrdiff_t source_row = u->packed_width * LANES, output_row = u->packed_outputs * LANES;
  for (ptrdiff_t first = 0; first < rows; first += u->strip_rows) {
    ptrdiff_t strip = rows - first < u->strip_rows ? rows - first : u->strip_rows;
    for (ptrdiff_t ky = 0; ky < g->kernel[1]; ++ky)
      for (ptrdiff_t c = 0; c < groups; ++c)
        (g->type == NNK_FLOAT32 ? rows_float32 : rows_bfloat16)(
          outputs + first * output_row, output_row, source + (first * g->stride[1] + ky) * source_row + c * GROUP,
          g->stride[1] * source_row, strip, u->packed_outputs, step, sums + (ky * 2 + c) * TAPS * GROUP * LANES);
  }
}

static void run_tile(const nnk_unit *u, nnk_tiles *t, const ptrdiff_t in[2], const ptrdiff_t out[2], ptrdiff_t tile,
                     float *sums) {
  const nnk_convolution *g = u->g;
  ptrdiff_t tiles_per_plane = (g->output[1] + u->tile_rows - 1) / u->tile_rows, bytes = nnk_size(g->type);
  ptrdiff_t z = tile % g->output[0], row = tile / g->output[0] % tiles_per_plane * u->tile_rows;
  ptrdiff_t sample = tile / g->output[0] / tiles_per_plane;
  ptrdiff_t rows = g->output[1] - row < u->tile_rows ? g->output[1] - row : u->tile_rows;
  ptrdiff_t output_tile = u->tile_rows * u->packed_outputs * LANES;
  if (t->held_sample != sample || t->held_row != row) memset(t->held, -1, sizeof t->held);
  t->held_sample = sample;
  t->held_row = row;
  for (ptrdiff_t o = out[0]; o < out[1]; ++o) {
    ptrdiff_t line = ((sample * g->output_blocks + o) * g->output[0] + z) * g->output[1] + row;
    for (ptrdiff_t r = 0; r < rows; ++r)
      pack_outputs((const char *)u->gradient + (line + r) * g->output[2] * LANES * bytes,
                   t->outputs + (o - out[0]) * output_tile + r * u->packed_outputs * LANES, g->output[2], g->type);
  }
  for (ptrdiff_t kz = 0; kz < g->kernel[0]; ++kz) {
    ptrdiff_t plane = z * g->stride[0] - g->padding[0] + kz;
    if (plane < 0 || plane >= g->input[0]) continue;
    for (ptrdiff_t i = in[0]; i < in[1]; ++i) {
      const uint32_t *source = source_tile(u, t, in[0], (int)(i - in[0]), sample, row, plane);
      for (ptrdiff_t o = out[0]; o < out[1]; ++o)
        multiply_tile(u, t->outputs + (o - out[0]) * output_tile, source, rows,
                      sums + (o * g->input_blocks + i) * unit_floats(g) + kz * g->kernel[1] * 2 * TAPS * GROUP * LANES);
    }
  }
}

static void run_unit(ptrdiff_t index, void *context) {
  const nnk_unit *u = context;
  const nnk_convolution *g = u->g;
  ptrdiff_t columns = spans(g->input_blocks), per_split = columns * spans(g->output_blocks);
  ptrdiff_t split = index / per_split, i = index % columns * SPAN, o = index % per_split / columns * SPAN;
  ptrdiff_t in[2] = {i, i + SPAN < g->input_blocks ? i + SPAN : g->input_blocks};
  ptrdiff_t out[2] = {o, o + SPAN < g->output_blocks ? o + SPAN : g->output_blocks};
  float *sums = u->partial + split * g->input_blocks * g->output_blocks * unit_floats(g);
  for (ptrdiff_t block = out[0]; block < out[1]; ++block)
    memset(sums + (block * g->input_blocks + in[0]) * unit_floats(g), 0,
           (size_t)((in[1] - in[0]) * unit_floats(g)) * sizeof(float));
  ptrdiff_t outputs = SPAN * u->tile_rows * u->packed_outputs * LANES;
  ptrdiff_t planes = SPAN * g->kernel[0] * u->source_rows * u->packed_width * LANES;
  uint32_t *scratch = aligned_alloc(64, (size_t)(outputs + planes + g->input[2] * LANES) * sizeof(uint32_t));
  if (!scratch) abort();
  nnk_tiles t = {.outputs = scratch, .planes = scratch + outputs, .line = scratch + outputs + planes, .held_sample = -1};
  ptrdiff_t tiles = g->batch * g->output[0] * ((g->output[1] + u->tile_rows - 1) / u->tile_rows);
  for (ptrdiff_t tile = tiles * split / u->splits; tile < tiles * (split + 1) / u->splits; ++tile)
    run_tile(u, &t, in, out, tile, sums);
  free(scratch);
}

// MARK: - Putting the parts together

typedef struct {
  const nnk_unit *u;
  float *weight;
} nnk_gather;

// The sums of all splits as one output channel of the plain weight [O][C][kz][ky][kx].
static void gather_channel(ptrdiff_t o, void *context) {
  const nnk_gather *j = context;
  const nnk_convolution *g = j->u->g;
  ptrdiff_t window = g->kernel[0] * g->kernel[1], per_split = g->input_blocks * g->output_blocks * unit_floats(g);
  for (ptrdiff_t c = 0; c < g->input_channels; ++c) {
    ptrdiff_t lane = c % LANES, unit = o / LANES * g->input_blocks + c / LANES;
    for (ptrdiff_t w = 0; w < window; ++w)
      for (ptrdiff_t t = 0; t < TAPS; ++t) {
        ptrdiff_t at = unit * unit_floats(g) +
          (((w * 2 + lane / GROUP) * TAPS + t) * GROUP + lane % GROUP) * LANES + o % LANES;
        float sum = 0;
        for (int s = 0; s < j->u->splits; ++s) sum += j->u->partial[s * per_split + at];
        j->weight[((o * g->input_channels + c) * window + w) * TAPS + t] = sum;
      }
  }
}

int NNK_VARIANT(nnk_weight_gradient_supports)(const nnk_convolution *g) {
  return nnk_lanes_are_supported(g->type, g->lanes) && g->kernel[2] == TAPS && g->kernel[0] <= MOST_PLANES &&
         !(g->plain_source && g->input_channels > LANES);
}

static nnk_unit plan_units(const nnk_convolution *g) {
  nnk_unit u = {.g = g};
  ptrdiff_t pairs = nnk_per_word(g->type);
  u.packed_outputs = (g->output[2] + pairs - 1) / pairs;
  u.packed_width = (u.packed_outputs * pairs - 1) * g->stride[2] + TAPS;
  ptrdiff_t source_row = u.packed_width * LANES * 4, output_row = u.packed_outputs * LANES * 4;
  ptrdiff_t in_span = g->input_blocks < SPAN ? g->input_blocks : SPAN;
  ptrdiff_t out_span = g->output_blocks < SPAN ? g->output_blocks : SPAN;
  u.tile_rows = 1;
  while (u.tile_rows < g->output[1]) {
    ptrdiff_t rows = u.tile_rows + 1;
    ptrdiff_t source_rows = (rows - 1) * g->stride[1] + g->kernel[1];
    if (out_span * rows * output_row + in_span * g->kernel[0] * source_rows * source_row > CACHE_BYTES) break;
    u.tile_rows = rows;
  }
  ptrdiff_t tiles_per_plane = (g->output[1] + u.tile_rows - 1) / u.tile_rows;
  u.tile_rows = (g->output[1] + tiles_per_plane - 1) / tiles_per_plane;  // of equal height
  u.source_rows = (u.tile_rows - 1) * g->stride[1] + g->kernel[1];
  u.strip_rows = STRIP_BYTES / (output_row + g->stride[1] * source_row);
  if (u.strip_rows < 1) u.strip_rows = 1;
  ptrdiff_t units = spans(g->input_blocks) * spans(g->output_blocks), threads = nnk_thread_count();
  u.splits = units % threads == 0 || units > 8 * threads ? 1 : (int)threads;  // equal shares for all threads
  return u;
}

ptrdiff_t NNK_VARIANT(nnk_weight_gradient_scratch)(const nnk_convolution *g) {
  return plan_units(g).splits * g->input_blocks * g->output_blocks * unit_floats(g);
}

void NNK_VARIANT(nnk_weight_gradient_run)(const nnk_convolution *g, const void *source, const void *gradient, float *scratch,
                             float *weight) {
  nnk_unit u = plan_units(g);
  u.source = source;
  u.gradient = gradient;
  u.partial = scratch;
  nnk_parallel(u.splits * spans(g->input_blocks) * spans(g->output_blocks), run_unit, &u);
  nnk_gather gather = {&u, weight};
  nnk_parallel(g->output_channels, gather_channel, &gather);
}

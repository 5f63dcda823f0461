// The weight gradient of a convolution on the processor's matrix unit: for every tap the product of the gradient with the
// source that lies a constant way off, summed over positions.
//
// A split of the positions walks over planes of z with a ring of planes of the source, pairs of positions by channels, beside
// the gradient's, channels by positions; a part has some of the output channels. The source lies there twice, paired from
// its first and from its second position, so that every way is a whole number of pairs. Sums:
// [output span][input span][tap][half of the outputs][half of the inputs][16 outputs][16 inputs].
#include <stdlib.h>
#include "matrix_internal.h"

enum { ROOM_BYTES = 5 << 18, LEAST_POSITIONS = 512, SHARED_BYTES = 1 << 20 };

typedef struct {
  const nnk_matrix_convolution *g;
  nnk_axis axes[3];
  const char *source, *gradient;
  float *sums;
  ptrdiff_t input_blocks, output_blocks, input_spans, output_spans, taps, sum_floats;
  ptrdiff_t samples, sets, band, bands, splits, part, parts;
} nnk_plan;

// Bytes from a channel of the gradient to the next, an odd number of lines so that they spread over the cache.
NNK_INLINE ptrdiff_t channel_bytes(const nnk_patch *patch) { return (nnk_ceil(patch->count, SIDE) | 1) * 64; }
NNK_INLINE ptrdiff_t gradient_block_bytes(const nnk_patch *patch) { return LANES * channel_bytes(patch); }
// Of the source, one of the two ways to pair the positions of a parity, and all of a block.
NNK_INLINE ptrdiff_t pairing_bytes(const nnk_patch *patch) { return patch->parity * LANES * 2; }
NNK_INLINE ptrdiff_t source_block_bytes(const nnk_plan *p, const nnk_patch *patch) {
  return p->axes[1].step * p->axes[2].step * 2 * pairing_bytes(patch);
}

// MARK: - Layouts

// Words 0 to 15 and 16 to 31 by turns: two positions of 16 channels as pairs.
AVX512 NNK_INLINE __m512i paired_positions(const char *at) {
  const __m512i order = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6, 21,
                                         5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
  return _mm512_permutexvar_epi16(order, _mm512_loadu_si512(at));
}

// 32 positions of 16 channels to 16 channels of 32 positions.
AVX512 static void transpose(const char *from, char *to, ptrdiff_t channel) {
  __m512i a[16], b[16];
  UNROLLED for (int i = 0; i < 16; ++i) a[i] = paired_positions(from + i * 64);
  UNROLLED for (int i = 0; i < 16; i += 2) {
    b[i] = _mm512_unpacklo_epi32(a[i], a[i + 1]);
    b[i + 1] = _mm512_unpackhi_epi32(a[i], a[i + 1]);
  }
  UNROLLED for (int i = 0; i < 16; i += 4) {
    a[i] = _mm512_unpacklo_epi64(b[i], b[i + 2]);
    a[i + 1] = _mm512_unpackhi_epi64(b[i], b[i + 2]);
    a[i + 2] = _mm512_unpacklo_epi64(b[i + 1], b[i + 3]);
    a[i + 3] = _mm512_unpackhi_epi64(b[i + 1], b[i + 3]);
  }
  UNROLLED for (int i = 0; i < 4; ++i) {
    __m512i even0 = _mm512_shuffle_i32x4(a[i], a[4 + i], 0x88), odd0 = _mm512_shuffle_i32x4(a[i], a[4 + i], 0xdd);
    __m512i even1 = _mm512_shuffle_i32x4(a[8 + i], a[12 + i], 0x88), odd1 = _mm512_shuffle_i32x4(a[8 + i], a[12 + i], 0xdd);
    _mm512_store_si512(to + i * channel, _mm512_shuffle_i32x4(even0, even1, 0x88));
    _mm512_store_si512(to + (8 + i) * channel, _mm512_shuffle_i32x4(even0, even1, 0xdd));
    _mm512_store_si512(to + (4 + i) * channel, _mm512_shuffle_i32x4(odd0, odd1, 0x88));
    _mm512_store_si512(to + (12 + i) * channel, _mm512_shuffle_i32x4(odd0, odd1, 0xdd));
  }
}

// A row of 16 channels, zero outside of the extent.
static void copy_row(const char *row, ptrdiff_t extent, ptrdiff_t first, ptrdiff_t step, ptrdiff_t count, char *to) {
  const ptrdiff_t bytes = LANES * 2;
  ptrdiff_t begin = first < 0 ? nnk_least(nnk_ceil(-first, step), count) : 0;
  ptrdiff_t end = first < extent ? nnk_least((extent - 1 - first) / step + 1, count) : begin;
  memset(to, 0, (size_t)(begin * bytes));
  if (step == 1 && end > begin) memcpy(to + begin * bytes, row + (first + begin) * bytes, (size_t)((end - begin) * bytes));
  else
    for (ptrdiff_t i = begin; i < end; ++i) memcpy(to + i * bytes, row + (first + i * step) * bytes, LANES * 2);
  if (end < count) memset(to + end * bytes, 0, (size_t)((count - end) * bytes));
}

AVX512 static void pair_rows(const char *rows, ptrdiff_t count, char *to) {
  for (ptrdiff_t i = 0; i < count; i += 2) _mm512_store_si512(to + i * LANES * 2, paired_positions(rows + i * LANES * 2));
}

// A plane of the source: [block][parity][from the first or second][pair of positions][channel][2]. `rows` has room for a
// parity of positions and one more.
static void pack_source(const nnk_plan *p, const nnk_patch *patch, ptrdiff_t z, char *rows, char *to) {
  const nnk_axis *y = p->axes + 1, *x = p->axes + 2;
  ptrdiff_t row = x->source * LANES * 2, block = p->axes[0].source * y->source * row, bytes = pairing_bytes(patch);
  for (ptrdiff_t b = 0; b < p->input_blocks; ++b)
    for (ptrdiff_t parity = 0; parity < y->step * x->step; ++parity, to += 2 * bytes) {
      char *at = rows;
      for (ptrdiff_t n = patch->first_sample; n < patch->first_sample + patch->samples; ++n) {
        const char *plane = p->source + (n * p->input_blocks + b) * block + z * y->source * row;
        for (ptrdiff_t i = 0; i < patch->height; ++i, at += patch->width * LANES * 2) {
          ptrdiff_t r = (patch->first_row + i) * y->step + parity / x->step + y->low;
          if (r < 0 || r >= y->source) memset(at, 0, (size_t)(patch->width * LANES * 2));
          else copy_row(plane + r * row, x->source, parity % x->step + x->low, x->step, patch->width, at);
        }
      }
      memset(at, 0, (size_t)(rows + (patch->parity + 1) * LANES * 2 - at));
      pair_rows(rows, patch->parity, to);
      pair_rows(rows + LANES * 2, patch->parity, to + bytes);
    }
}

// A plane of the gradient's blocks that a part takes: [block][channel][position], zero between the points.
static void pack_gradient(const nnk_plan *p, const nnk_patch *patch, ptrdiff_t z, ptrdiff_t first, ptrdiff_t blocks, char *rows,
                          char *to) {
  const nnk_axis *y = p->axes + 1, *x = p->axes + 2;
  ptrdiff_t row = x->result * LANES * 2, block = p->axes[0].result * y->result * row, line = patch->width * LANES * 2;
  ptrdiff_t positions = nnk_ceil(patch->count, SIDE) * SIDE, channel = channel_bytes(patch);
  for (ptrdiff_t b = first; b < first + blocks; ++b, to += gradient_block_bytes(patch)) {
    memset(rows, 0, (size_t)(positions * LANES * 2));
    for (ptrdiff_t n = 0; n < patch->samples; ++n) {
      const char *plane = p->gradient + ((patch->first_sample + n) * p->output_blocks + b) * block + z * y->result * row;
      for (ptrdiff_t i = 0; i < patch->rows; ++i)
        memcpy(rows + (n * patch->height + i) * line, plane + (patch->first_row + i) * row, (size_t)row);
    }
    for (ptrdiff_t i = 0; i < positions; i += SIDE) transpose(rows + i * LANES * 2, to + i * 2, channel);
  }
}

// MARK: - A split of the positions and a part of the channels

// Everything that one plane of points adds to the sums.
static void add_plane(const nnk_plan *p, const nnk_patch *patch, ptrdiff_t z, const char *ring, const char *gradient, ptrdiff_t first,
                      ptrdiff_t spans, float *sums) {
  const nnk_axis *a = p->axes;
  ptrdiff_t source_block = source_block_bytes(p, patch), gradient_block = gradient_block_bytes(patch);
  ptrdiff_t channel = channel_bytes(patch), pairing = pairing_bytes(patch), steps = nnk_ceil(patch->count, SIDE);
  for (ptrdiff_t o = 0; o < spans; ++o)
    for (ptrdiff_t i = 0; i < p->input_spans; ++i) {
      // A span with one block only has it twice; the second sums are not used.
      ptrdiff_t other = 2 * (first + o) + 1 < p->output_blocks ? gradient_block : 0;
      ptrdiff_t block = 2 * i + 1 < p->input_blocks ? source_block : 0;
      float *to = sums + ((first + o) * p->input_spans + i) * p->taps * SIDE * SIDE;
      for (ptrdiff_t k = 0; k < a[0].reach; ++k) {
        ptrdiff_t from = z * a[0].step + a[0].low + k;
        if (from < 0 || from >= a[0].source) continue;
        const char *x = ring + (from % a[0].reach * p->input_blocks + 2 * i) * source_block;
        for (ptrdiff_t tap = 0; tap < a[1].reach * a[2].reach; ++tap) {
          ptrdiff_t way = nnk_patch_offset(a, patch, tap / a[2].reach, tap % a[2].reach);
          ptrdiff_t parity = way / patch->parity, within = way % patch->parity;
          const char *pairs = x + (2 * parity + within % 2) * pairing + within / 2 * 64;
          nnk_matrix_sums(p->g->is_portable, gradient + 2 * o * gradient_block, channel, other, pairs, block, steps,
                          to + (k * a[1].reach * a[2].reach + tap) * SIDE * SIDE);
        }
      }
    }
}

static void run_share(ptrdiff_t index, void *context) {
  const nnk_plan *p = context;
  const nnk_axis *a = p->axes;
  ptrdiff_t part = index % p->parts, split = index / p->parts, depth = a[0].points, units = p->sets * p->bands * depth;
  ptrdiff_t first = part * p->part, spans = nnk_least(p->part, p->output_spans - first);
  ptrdiff_t blocks = nnk_least(2 * spans, p->output_blocks - 2 * first);
  nnk_patch largest = nnk_make_patch(a, 0, p->samples, 0, p->band);
  ptrdiff_t plane = p->input_blocks * source_block_bytes(p, &largest), row_bytes = (largest.parity + SIDE) * LANES * 2;
  char *rows = aligned_alloc(64, (size_t)(row_bytes + a[0].reach * plane + blocks * gradient_block_bytes(&largest)));
  if (!rows) abort();
  char *ring = rows + row_bytes, *gradient = ring + a[0].reach * plane;
  float *sums = p->sums + split * p->sum_floats;
  memset(sums + first * p->input_spans * p->taps * SIDE * SIDE, 0,
         (size_t)(spans * p->input_spans * p->taps * SIDE * SIDE) * sizeof(float));
  nnk_matrix_begin(p->g->is_portable);
  ptrdiff_t place = -1, next = 0;  // the set and band in the ring, and its first plane that is not there yet
  nnk_patch patch = largest;
  for (ptrdiff_t u = units * split / p->splits; u < units * (split + 1) / p->splits; ++u) {
    ptrdiff_t z = u % depth, low = z * a[0].step + a[0].low;
    if (u / depth != place) {
      place = u / depth, next = 0;
      ptrdiff_t set = place / p->bands * p->samples, top = place % p->bands * p->band;
      patch = nnk_make_patch(a, set, nnk_least(p->samples, p->g->batch - set), top, nnk_least(p->band, a[1].points - top));
    }
    if (next < low) next = low;
    for (; next < nnk_least(low + a[0].reach, a[0].source); ++next)
      pack_source(p, &patch, next, rows, ring + next % a[0].reach * p->input_blocks * source_block_bytes(p, &patch));
    pack_gradient(p, &patch, z, 2 * first, blocks, rows, gradient);
    add_plane(p, &patch, z, ring, gradient, first, spans, sums);
  }
  nnk_matrix_end(p->g->is_portable);
  free(rows);
}

// MARK: - Putting the parts together

typedef struct {
  const nnk_plan *p;
  float *weight;
} nnk_gather;

// The weights of one span of output channels with one of inputs.
AVX512 static void gather_spans(ptrdiff_t index, void *context) {
  const nnk_gather *j = context;
  const nnk_plan *p = j->p;
  ptrdiff_t output = index / p->input_spans * SIDE, input = index % p->input_spans * SIDE;
  const float *sums = p->sums + index * p->taps * SIDE * SIDE;
  for (ptrdiff_t o = 0; o < SIDE && output + o < p->g->output_channels; ++o)
    for (ptrdiff_t v = 0; v < SIDE / LANES; ++v) {
      ptrdiff_t first = input + v * LANES, inputs = nnk_least(LANES, p->g->input_channels - first);
      float *to = j->weight + ((output + o) * p->g->input_channels + first) * p->taps;
      for (ptrdiff_t k = 0; k < p->taps; ++k) {
        const float *from = sums + (k * 4 + o / HALF * 2 + v) * HALF * HALF + o % HALF * HALF;
        __m512 sum = _mm512_loadu_ps(from);
        for (ptrdiff_t s = 1; s < p->splits; ++s) sum = _mm512_add_ps(sum, _mm512_loadu_ps(from + s * p->sum_floats));
        float lanes[LANES];
        _mm512_storeu_ps(lanes, sum);
        for (ptrdiff_t i = 0; i < inputs; ++i) to[i * p->taps + k] = lanes[i];
      }
    }
}

static nnk_plan make_plan(const nnk_matrix_convolution *g) {
  nnk_plan p = {.g = g, .input_blocks = nnk_ceil(g->input_channels, LANES), .output_blocks = nnk_ceil(g->output_channels, LANES)};
  nnk_forward_axes(g, p.axes);
  p.input_spans = nnk_ceil(p.input_blocks, 2), p.output_spans = nnk_ceil(p.output_blocks, 2);
  p.taps = g->kernel[0] * g->kernel[1] * g->kernel[2];
  p.sum_floats = p.output_spans * p.input_spans * p.taps * SIDE * SIDE;
  ptrdiff_t rows = p.axes[1].points, threads = nnk_thread_count();
  nnk_patch patch = nnk_make_patch(p.axes, 0, 1, 0, rows);
  ptrdiff_t bytes = p.axes[0].reach * p.input_blocks * source_block_bytes(&p, &patch) + p.output_blocks * gradient_block_bytes(&patch);
  p.band = rows, p.samples = 1;
  if (bytes > ROOM_BYTES) {
    ptrdiff_t row = bytes / patch.height, fitting = ROOM_BYTES / row - (patch.height - rows);
    p.band = nnk_ceil(rows, nnk_ceil(rows, fitting < 4 ? 4 : fitting));
  } else if (patch.count < LEAST_POSITIONS) {
    ptrdiff_t fitting = nnk_least(LEAST_POSITIONS / patch.count, ROOM_BYTES / bytes);
    p.samples = nnk_least(fitting < 1 ? 1 : fitting, g->batch);
  }
  p.bands = nnk_ceil(rows, p.band);
  p.sets = nnk_ceil(g->batch, p.samples);
  p.samples = nnk_ceil(g->batch, p.sets);
  // Large sums are shared out: every thread lays out the source, but keeps sums of its own channels only.
  ptrdiff_t units = p.sets * p.bands * p.axes[0].points;
  p.parts = p.sum_floats * 4 > SHARED_BYTES || units < threads ? nnk_least(threads, p.output_spans) : 1;
  p.part = nnk_ceil(p.output_spans, p.parts);
  p.parts = nnk_ceil(p.output_spans, p.part);
  p.splits = nnk_least(units, threads / p.parts < 1 ? 1 : threads / p.parts);
  return p;
}

ptrdiff_t nnk_matrix_gradient_scratch(const nnk_matrix_convolution *g) {
  nnk_plan p = make_plan(g);
  return p.splits * p.sum_floats;
}

void nnk_matrix_weight_gradient(const nnk_matrix_convolution *g, const void *source, const void *gradient, float *scratch,
                                float *weight) {
  nnk_plan p = make_plan(g);
  p.source = source, p.gradient = gradient, p.sums = scratch;
  nnk_parallel(p.splits * p.parts, run_share, &p);
  nnk_gather j = {.p = &p, .weight = weight};
  nnk_parallel(p.output_spans * p.input_spans, gather_spans, &j);
}

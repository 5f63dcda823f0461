// The weight gradient of a stride 1 convolution in Winograd's form: for each of 16 positions the product of
// the transformed source and gradient, summed over tiles; then G' s G gives the nine taps of a plane.
//
// A split of the work walks over planes of z with a ring of transformed planes, a band of tile rows of some samples at
// a time, and keeps its own sums. Sums: [output span][input block][tap of z][position][channel][vector][lane].
#include <stdlib.h>
#include "nnk_engine.h"
#include "winograd_internal.h"

enum { LEAST_TILES = 128, CACHE_BYTES = 640 * 1024 };

typedef struct {
  const nnk_winograd *g;
  const void *source, *gradient;
  float *sums;
  ptrdiff_t columns, rows;       // tiles of a plane
  ptrdiff_t band, bands;         // rows of tiles
  ptrdiff_t samples, sets;       // samples taken together
  ptrdiff_t splits, words, sum_floats;  // words: of one block's tiles at one position
} nnk_plan;

// MARK: - A split

// The tiles of one plane of a set and band, for all blocks: [position][block][tile or pair][word].
static void transform_plane(const nnk_plan *p, int is_source, const ptrdiff_t samples[2], ptrdiff_t z, const ptrdiff_t rows[2],
                            const void *zero, uint32_t *to) {
  const nnk_winograd *g = p->g;
  ptrdiff_t bytes = nnk_size(g->type), row = g->extent[2] * LANES * bytes;
  ptrdiff_t blocks = is_source ? g->input_blocks : g->output_blocks, position = blocks * p->words;
  int above = is_source ? 1 : 0, taps = is_source ? 4 : 2;
  for (ptrdiff_t b = 0; b < blocks; ++b) {
    ptrdiff_t tile = 0;
    for (ptrdiff_t n = samples[0]; n < samples[1]; ++n) {
      const char *plane = (const char *)(is_source ? p->source : p->gradient) +
        ((n * blocks + b) * g->extent[0] + z) * g->extent[1] * row;
      for (ptrdiff_t r = rows[0]; r < rows[1]; ++r, tile += p->columns) {
        const void *lines[4];
        for (int i = 0; i < taps; ++i) {
          ptrdiff_t y = 2 * r - above + i;
          lines[i] = y < 0 || y >= g->extent[1] ? zero : plane + y * row;
        }
        uint32_t *target = to + b * p->words;
        (is_source ? nnk_winograd_source_words : nnk_winograd_gradient_words)(
          g->type, lines, g->extent[2], p->columns, target, tile, position);
      }
    }
  }
}

static void add_products(const nnk_plan *p, const uint32_t *const *ring, const uint32_t *gradient, ptrdiff_t count, float *sums) {
  const nnk_winograd *g = p->g;
  for (int a = 0; a < 16; ++a)
    for (ptrdiff_t k = 0; k < g->depth; ++k) {
      if (!ring[k]) continue;
      for (ptrdiff_t i = 0; i < g->input_blocks; ++i) {
        const uint32_t *x = ring[k] + (a * g->input_blocks + i) * p->words;
        for (ptrdiff_t o = 0; o < g->output_blocks; o += SPAN) {
          int vectors = o + 1 < g->output_blocks ? 2 : 1;
          const uint32_t *d = gradient + (a * g->output_blocks + o) * p->words;
          ptrdiff_t block = 16 * LANES * LANES * g->depth;
          float *to = sums + o * g->input_blocks * block + ((i * g->depth + k) * 16 + a) * LANES * LANES * vectors;
          nnk_sums(nnk_inner(g->type), vectors, x, d, p->words, count, to);
        }
      }
    }
}

static void run_split(ptrdiff_t split, void *context) {
  const nnk_plan *p = context;
  const nnk_winograd *g = p->g;
  ptrdiff_t depth = g->depth, half = depth / 2, units = p->sets * p->bands * g->extent[0];
  ptrdiff_t source_plane = 16 * g->input_blocks * p->words, gradient_plane = 16 * g->output_blocks * p->words;
  size_t zero_bytes = (size_t)(g->extent[2] * LANES * 4);
  uint32_t *planes = aligned_alloc(64, (size_t)(depth * source_plane + gradient_plane) * 4 + zero_bytes);
  if (!planes) abort();
  uint32_t *gradient = planes + depth * source_plane;
  void *zero = gradient + gradient_plane;
  memset(zero, 0, zero_bytes);
  float *sums = p->sums + split * p->sum_floats;
  memset(sums, 0, (size_t)p->sum_floats * sizeof(float));
  ptrdiff_t at = -1, next = 0;  // the set and band in the ring, and its first plane that is not there yet
  for (ptrdiff_t u = units * split / p->splits; u < units * (split + 1) / p->splits; ++u) {
    ptrdiff_t z = u % g->extent[0], place = u / g->extent[0], first = place / p->bands * p->samples, top = place % p->bands * p->band;
    ptrdiff_t samples[2] = {first, first + p->samples < g->batch ? first + p->samples : g->batch};
    ptrdiff_t rows[2] = {top, top + p->band < p->rows ? top + p->band : p->rows};
    ptrdiff_t tiles = (samples[1] - samples[0]) * (rows[1] - rows[0]) * p->columns;
    if (place != at) at = place, next = z - half < 0 ? 0 : z - half;
    for (; next <= z + half && next < g->extent[0]; ++next)
      transform_plane(p, 1, samples, next, rows, zero, planes + next % depth * source_plane);
    transform_plane(p, 0, samples, z, rows, zero, gradient);
    const uint32_t *ring[3];
    for (ptrdiff_t k = 0; k < depth; ++k) {
      ptrdiff_t plane = z - half + k;
      ring[k] = plane < 0 || plane >= g->extent[0] ? NULL : planes + plane % depth * source_plane;
    }
    add_products(p, ring, gradient, (tiles + nnk_per_word(g->type) - 1) / nnk_per_word(g->type), sums);
  }
  free(planes);
}

// MARK: - Putting the parts together

typedef struct {
  const nnk_plan *p;
  float *weight;
} nnk_gather;

// One vector of output channels with one input channel: the sums of all splits as nine taps for each tap of z.
WIDE static void gather_vector(const nnk_gather *j, ptrdiff_t o, ptrdiff_t c) {
  const nnk_plan *p = j->p;
  const nnk_winograd *g = p->g;
  ptrdiff_t span = o / SPAN * SPAN, vectors = span + 1 < g->output_blocks ? 2 : 1;
  const float *base = p->sums + span * g->input_blocks * 16 * LANES * LANES * g->depth +
    c / LANES * g->depth * 16 * LANES * LANES * vectors + (c % LANES * vectors + o - span) * LANES;
  ptrdiff_t left = g->output_channels - o * LANES, lanes = left < LANES ? left : LANES;
  for (ptrdiff_t k = 0; k < g->depth; ++k) {
    nnk_vector s[4][4], rows[3][4];
    for (int a = 0; a < 16; ++a) {
      const float *from = base + (k * 16 + a) * LANES * LANES * vectors;
      s[a / 4][a % 4] = vector_load(from);
      for (ptrdiff_t i = 1; i < p->splits; ++i)
        s[a / 4][a % 4] = s[a / 4][a % 4] + vector_load(from + i * p->sum_floats);
    }
    const nnk_vector half = vector_all(0.5f);
    for (int i = 0; i < 4; ++i) {
      nnk_vector sum = half * (s[1][i] + s[2][i]);
      rows[0][i] = s[0][i] + sum;
      rows[1][i] = half * (s[1][i] - s[2][i]);
      rows[2][i] = s[3][i] + sum;
    }
    float taps[9][LANES];
    for (int i = 0; i < 3; ++i) {
      nnk_vector sum = half * (rows[i][1] + rows[i][2]);
      vector_store(taps[3 * i], rows[i][0] + sum);
      vector_store(taps[3 * i + 1], half * (rows[i][1] - rows[i][2]));
      vector_store(taps[3 * i + 2], rows[i][3] + sum);
    }
    for (ptrdiff_t lane = 0; lane < lanes; ++lane)
      for (int i = 0; i < 9; ++i)
        j->weight[(((o * LANES + lane) * g->input_channels + c) * g->depth + k) * 9 + i] = taps[i][lane];
  }
}

static void gather_block(ptrdiff_t o, void *context) {
  const nnk_gather *j = context;
  for (ptrdiff_t c = 0; c < j->p->g->input_channels; ++c) gather_vector(j, o, c);
}

// As many samples and rows at a time as the cache holds, at least LEAST_TILES where there are as many.
static nnk_plan plan_gradient(const nnk_winograd *g) {
  nnk_plan p = {.g = g, .columns = (g->extent[2] + 1) / 2, .rows = (g->extent[1] + 1) / 2};
  ptrdiff_t tile = 16 * LANES * nnk_size(nnk_inner(g->type)) * (g->depth * g->input_blocks + g->output_blocks);
  ptrdiff_t most = CACHE_BYTES / tile < LEAST_TILES ? LEAST_TILES : CACHE_BYTES / tile;
  p.band = most / p.columns < 1 ? 1 : most / p.columns > p.rows ? p.rows : most / p.columns;
  p.bands = (p.rows + p.band - 1) / p.band;
  p.band = (p.rows + p.bands - 1) / p.bands;
  p.bands = (p.rows + p.band - 1) / p.band;
  p.samples = p.bands > 1 ? 1 : most / (p.columns * p.rows) < 1 ? 1 : most / (p.columns * p.rows);
  if (p.samples > g->batch) p.samples = g->batch;
  p.sets = (g->batch + p.samples - 1) / p.samples;
  p.samples = (g->batch + p.sets - 1) / p.sets;  // of equal size
  ptrdiff_t tiles = p.samples * p.band * p.columns;
  p.words = (tiles + nnk_per_word(g->type) - 1) / nnk_per_word(g->type) * LANES;
  p.sum_floats = 16 * g->depth * g->input_blocks * g->output_blocks * LANES * LANES;
  ptrdiff_t units = p.sets * p.bands * g->extent[0];
  p.splits = nnk_thread_count() < units ? nnk_thread_count() : units;
  return p;
}

ptrdiff_t NNK_VARIANT(nnk_winograd_gradient_scratch)(const nnk_winograd *g) {
  nnk_plan p = plan_gradient(g);
  return p.splits * p.sum_floats;
}

void NNK_VARIANT(nnk_winograd_weight_gradient)(const nnk_winograd *g, const void *source, const void *gradient, float *scratch,
                                  float *weight) {
  nnk_plan p = plan_gradient(g);
  p.source = source;
  p.gradient = gradient;
  p.sums = scratch;
  nnk_parallel(p.splits, run_split, &p);
  nnk_gather j = {&p, weight};
  nnk_parallel(g->output_blocks, gather_block, &j);
}

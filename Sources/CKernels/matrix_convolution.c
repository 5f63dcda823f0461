// Convolutions on the processor's matrix unit, by their definition: forward, and back to the source. A transposed
// convolution is the way back of a strided one.
//
// A unit of work is a patch of points, some planes deep. Planes of the source lie in a ring, 32 channels of a position to
// a line of the cache, with zeros around them and split by the parity that a stride sees; so every tap is a
// constant way from a position to another, and 32 positions, whatever rows they are in, make one product.
#include <stdlib.h>
#include "matrix_internal.h"

enum { RING_BYTES = 1 << 20, LEAST_POSITIONS = 512 };

// MARK: - Axes

void nnk_forward_axes(const nnk_matrix_convolution *g, nnk_axis axes[3]) {
  for (int i = 0; i < 3; ++i) {
    axes[i] = (nnk_axis){.phases = 1, .step = g->stride[i], .low = -g->padding[i], .reach = g->kernel[i]};
    axes[i].source = g->source[i], axes[i].result = axes[i].points = g->result[i];
    axes[i].taps[0] = g->kernel[i];
    for (ptrdiff_t t = 0; t < g->kernel[i]; ++t) axes[i].offset[0][t] = axes[i].tap[0][t] = t;
  }
}

// Place x of the source takes part in point o by tap x + padding - o * stride, if there is such a tap.
void nnk_adjoint_axes(const nnk_matrix_convolution *g, nnk_axis axes[3]) {
  for (int i = 0; i < 3; ++i) {
    nnk_axis *a = axes + i;
    ptrdiff_t stride = g->stride[i], high = -MOST_TAPS;
    *a = (nnk_axis){.phases = stride, .step = 1, .low = MOST_TAPS, .source = g->result[i], .result = g->source[i]};
    a->points = nnk_ceil(g->source[i], stride);
    for (ptrdiff_t p = 0; p < stride; ++p)
      for (ptrdiff_t k = (p + g->padding[i]) % stride; k < g->kernel[i]; k += stride) {
        ptrdiff_t t = a->taps[p]++, offset = (p + g->padding[i] - k) / stride;
        a->offset[p][t] = offset, a->tap[p][t] = k;
        if (offset < a->low) a->low = offset;
        if (offset > high) high = offset;
      }
    a->reach = high - a->low + 1;
    for (ptrdiff_t p = 0; p < stride; ++p)
      for (ptrdiff_t t = 0; t < a->taps[p]; ++t) a->offset[p][t] -= a->low;
  }
}

nnk_patch nnk_make_patch(const nnk_axis axes[3], ptrdiff_t first_sample, ptrdiff_t samples, ptrdiff_t first_row, ptrdiff_t rows) {
  nnk_patch p = {.first_sample = first_sample, .samples = samples, .first_row = first_row, .rows = rows};
  ptrdiff_t beyond_y = (axes[1].reach - 1) / axes[1].step, beyond_x = (axes[2].reach - 1) / axes[2].step;
  p.height = rows + beyond_y;
  p.width = axes[2].points + beyond_x;
  p.count = ((samples - 1) * p.height + rows - 1) * p.width + axes[2].points;
  p.parity = nnk_ceil(nnk_ceil(p.count, SIDE) * SIDE + beyond_y * p.width + beyond_x, SIDE) * SIDE;
  return p;
}

int nnk_matrix_supports(const nnk_matrix_convolution *g) {
  if (g->is_portable ? !nnk_cpu_has_avx512_bf16() : !nnk_cpu_has_amx()) return 0;
  for (int i = 0; i < 3; ++i)
    if (g->kernel[i] > MOST_TAPS || g->stride[i] > g->kernel[i]) return 0;
  return 1;
}

// MARK: - Weights

typedef struct {
  const nnk_matrix_convolution *g;
  nnk_axis axes[3];
  const float *weight;
  int is_adjoint;
  char *packed;
} nnk_packing;

// Products steps of one phase, of one span of channels.
NNK_INLINE ptrdiff_t phase_steps(const nnk_axis axes[3], const ptrdiff_t phase[3], ptrdiff_t panels) {
  return axes[0].taps[phase[0]] * axes[1].taps[phase[1]] * axes[2].taps[phase[2]] * panels;
}

// Two matrices: pairs of 32 channels, with 32 that they give. `from` and `to` say how far channels lie apart.
AVX512_BF16 static void pack_step(const float *weight, ptrdiff_t from, ptrdiff_t to, ptrdiff_t from_left, ptrdiff_t to_left,
                                  char *packed) {
  const __m512i lanes = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
  __m512i index = _mm512_mullo_epi32(lanes, _mm512_set1_epi32((int)to));
  for (ptrdiff_t n = 0; n < 2; ++n, to_left -= HALF) {
    __mmask16 mask = to_left >= HALF ? 0xffff : to_left > 0 ? (__mmask16)((1u << to_left) - 1) : 0;
    for (ptrdiff_t pair = 0; pair < HALF; ++pair) {
      __m512 rows[2];
      for (ptrdiff_t i = 0; i < 2; ++i)
        rows[i] = _mm512_mask_i32gather_ps(_mm512_setzero_ps(), 2 * pair + i < from_left ? mask : 0, index,
                                           weight + (2 * pair + i) * from + n * HALF * to, 4);
      _mm512_store_si512(packed + n * MATRIX_BYTES + pair * 64, nnk_paired(rows[0], rows[1]));
    }
  }
}

static void pack_span(ptrdiff_t span, void *context) {
  const nnk_packing *j = context;
  const nnk_matrix_convolution *g = j->g;
  ptrdiff_t taps = g->kernel[0] * g->kernel[1] * g->kernel[2];
  ptrdiff_t from_channels = j->is_adjoint ? g->output_channels : g->input_channels;
  ptrdiff_t to_channels = j->is_adjoint ? g->input_channels : g->output_channels;
  ptrdiff_t from = (j->is_adjoint ? g->input_channels : 1) * taps, to = (j->is_adjoint ? 1 : g->input_channels) * taps;
  ptrdiff_t panels = nnk_ceil(from_channels, SIDE), spans = nnk_ceil(to_channels, SIDE), phase[3];
  const nnk_axis *a = j->axes;
  char *at = j->packed;
  for (phase[0] = 0; phase[0] < a[0].phases; ++phase[0])
    for (phase[1] = 0; phase[1] < a[1].phases; ++phase[1])
      for (phase[2] = 0; phase[2] < a[2].phases; ++phase[2]) {
        ptrdiff_t steps = phase_steps(a, phase, panels);
        char *packed = at + span * steps * 2 * MATRIX_BYTES;
        for (ptrdiff_t z = 0; z < a[0].taps[phase[0]]; ++z)
          for (ptrdiff_t y = 0; y < a[1].taps[phase[1]]; ++y)
            for (ptrdiff_t x = 0; x < a[2].taps[phase[2]]; ++x) {
              ptrdiff_t tap = (a[0].tap[phase[0]][z] * g->kernel[1] + a[1].tap[phase[1]][y]) * g->kernel[2] + a[2].tap[phase[2]][x];
              for (ptrdiff_t q = 0; q < panels; ++q, packed += 2 * MATRIX_BYTES)
                pack_step(j->weight + q * SIDE * from + span * SIDE * to + tap, from, to, from_channels - q * SIDE,
                          to_channels - span * SIDE, packed);
            }
        at += spans * steps * 2 * MATRIX_BYTES;
      }
}

ptrdiff_t nnk_matrix_weight_bytes(const nnk_matrix_convolution *g) {
  return g->kernel[0] * g->kernel[1] * g->kernel[2] * nnk_ceil(g->input_channels, SIDE) * nnk_ceil(g->output_channels, SIDE) *
         2 * MATRIX_BYTES;
}

void nnk_matrix_pack(const nnk_matrix_convolution *g, const float *weight, int is_adjoint, void *packed) {
  nnk_packing j = {.g = g, .weight = weight, .is_adjoint = is_adjoint, .packed = packed};
  (is_adjoint ? nnk_adjoint_axes : nnk_forward_axes)(g, j.axes);
  nnk_parallel(nnk_ceil(is_adjoint ? g->input_channels : g->output_channels, SIDE), pack_span, &j);
}

// MARK: - A unit of work

typedef struct {
  nnk_axis axes[3];
  const char *source, *weight;
  const float *bias;
  uint16_t *result;
  int is_portable;
  ptrdiff_t batch, from_blocks, to_blocks, panels, spans;
  ptrdiff_t samples, sets, band, bands, chunk, chunks, part, parts;  // parts of spans
  ptrdiff_t slab, ring;  // planes of points between which weights stay, and planes of the source in the ring
} nnk_plan;

NNK_INLINE ptrdiff_t plane_bytes(const nnk_plan *p, const nnk_patch *patch) {
  return p->panels * p->axes[1].step * p->axes[2].step * patch->parity * PANEL_BYTES;
}

// One row of positions from the same row of two blocks of channels; `b` may be NULL.
AVX512 static void pack_row(const char *a, const char *b, ptrdiff_t extent, ptrdiff_t first, ptrdiff_t step, ptrdiff_t count, char *to) {
  ptrdiff_t begin = first < 0 ? nnk_least(nnk_ceil(-first, step), count) : 0;
  ptrdiff_t end = first < extent ? nnk_least((extent - 1 - first) / step + 1, count) : begin;
  memset(to, 0, (size_t)(begin * PANEL_BYTES));
  for (ptrdiff_t i = begin; i < end; ++i) {
    ptrdiff_t at = (first + i * step) * LANES * 2;
    __m512i low = _mm512_zextsi256_si512(_mm256_loadu_si256((const __m256i *)(a + at)));
    if (b) low = _mm512_inserti64x4(low, _mm256_loadu_si256((const __m256i *)(b + at)), 1);
    _mm512_store_si512(to + i * PANEL_BYTES, low);
  }
  if (end < count) memset(to + end * PANEL_BYTES, 0, (size_t)((count - end) * PANEL_BYTES));
}

// A plane of the source: [panel of 32 channels][parity][position][channel].
static void pack_plane(const nnk_plan *p, const nnk_patch *patch, ptrdiff_t z, char *to) {
  const nnk_axis *y = p->axes + 1, *x = p->axes + 2;
  ptrdiff_t row = x->source * LANES * 2, block = p->axes[0].source * y->source * row;
  for (ptrdiff_t q = 0; q < p->panels; ++q)
    for (ptrdiff_t parity = 0; parity < y->step * x->step; ++parity) {
      char *at = to;
      for (ptrdiff_t n = patch->first_sample; n < patch->first_sample + patch->samples; ++n) {
        const char *plane = p->source + (n * p->from_blocks + 2 * q) * block + z * y->source * row;
        for (ptrdiff_t i = 0; i < patch->height; ++i, at += patch->width * PANEL_BYTES) {
          ptrdiff_t r = (patch->first_row + i) * y->step + parity / x->step + y->low;
          if (r < 0 || r >= y->source) {
            memset(at, 0, (size_t)(patch->width * PANEL_BYTES));
          } else {
            const char *a = plane + r * row, *b = 2 * q + 1 < p->from_blocks ? a + block : NULL;
            pack_row(a, b, x->source, parity % x->step + x->low, x->step, patch->width, at);
          }
        }
      }
      to += patch->parity * PANEL_BYTES;
      memset(at, 0, (size_t)(to - at));
    }
}

NNK_INLINE const float *point_of(const float *out, ptrdiff_t i) { return out + i / HALF * 2 * HALF * HALF + i % HALF * HALF; }

// Neighbouring points of one block of channels.
AVX512_BF16 static void store_points(const float *from, ptrdiff_t first, ptrdiff_t count, __m512 bias, uint16_t *to, ptrdiff_t step) {
  ptrdiff_t i = first, end = first + count;
  if (step == 1)
    for (; i + 2 <= end; i += 2, to += 2 * LANES) {
      __m512 a = _mm512_add_ps(_mm512_load_ps(point_of(from, i)), bias);
      __m512 b = _mm512_add_ps(_mm512_load_ps(point_of(from, i + 1)), bias);
      _mm512_storeu_si512(to, (__m512i)_mm512_cvtne2ps_pbh(b, a));
    }
  for (; i < end; ++i, to += step * LANES) vector_store_half(to, _mm512_add_ps(_mm512_load_ps(point_of(from, i)), bias));
}

// The products of SIDE positions from `first`, wherever they are points, to where phase[] of them lies.
AVX512_BF16 static void store_products(const nnk_plan *p, const nnk_patch *patch, const float *out, ptrdiff_t first, ptrdiff_t span,
                                       ptrdiff_t z, const ptrdiff_t phase[3]) {
  const nnk_axis *y = p->axes + 1, *x = p->axes + 2;
  ptrdiff_t volume = p->axes[0].result * y->result * x->result, points = nnk_ceil(x->result - phase[2], x->phases);
  ptrdiff_t count = nnk_least(SIDE, patch->count - first), done = 0;
  while (done < count) {
    ptrdiff_t at = first + done, column = at % patch->width, row = at / patch->width % patch->height;
    ptrdiff_t n = patch->first_sample + at / patch->width / patch->height;
    ptrdiff_t run = nnk_least(count - done, patch->width - column), inside = nnk_least(run, points - column);
    ptrdiff_t line = (patch->first_row + row) * y->phases + phase[1];
    if (row < patch->rows && line < y->result && inside > 0)
      for (ptrdiff_t v = 0; v < 2 && 2 * span + v < p->to_blocks; ++v) {
        ptrdiff_t block = 2 * span + v;
        ptrdiff_t voxel = (z * y->result + line) * x->result + column * x->phases + phase[2];
        __m512 bias = p->bias ? _mm512_loadu_ps(p->bias + block * LANES) : _mm512_setzero_ps();
        store_points(out + v * HALF * HALF, done, inside, bias, p->result + ((n * p->to_blocks + block) * volume + voxel) * LANES,
                     x->phases);
      }
    done += run;
  }
}

// All phases of one plane of points, for one span of 32 channels of the result.
static void run_plane(const nnk_plan *p, const nnk_patch *patch, const char *ring, ptrdiff_t span, ptrdiff_t point,
                      const char **rows, float *out) {
  const nnk_axis *a = p->axes;
  ptrdiff_t phase[3], plane = plane_bytes(p, patch), panel = plane / p->panels;
  const char *weight = p->weight;
  for (phase[0] = 0; phase[0] < a[0].phases; ++phase[0])
    for (phase[1] = 0; phase[1] < a[1].phases; ++phase[1])
      for (phase[2] = 0; phase[2] < a[2].phases; ++phase[2]) {
        ptrdiff_t steps = phase_steps(a, phase, p->panels), z = point * a[0].phases + phase[0], count = 0, skipped = 0;
        for (ptrdiff_t k = 0; k < a[0].taps[phase[0]]; ++k) {
          ptrdiff_t from = point * a[0].step + a[0].low + a[0].offset[phase[0]][k];
          // Planes outside are the first or the last taps.
          if (from < 0 || from >= a[0].source) {
            if (count == 0) ++skipped;
            continue;
          }
          for (ptrdiff_t j = 0; j < a[1].taps[phase[1]]; ++j)
            for (ptrdiff_t i = 0; i < a[2].taps[phase[2]]; ++i) {
              ptrdiff_t way = nnk_patch_offset(a, patch, a[1].offset[phase[1]][j], a[2].offset[phase[2]][i]);
              for (ptrdiff_t q = 0; q < p->panels; ++q)
                rows[count++] = ring + from % p->ring * plane + q * panel + way * PANEL_BYTES;
            }
        }
        const char *w = weight + (span * steps + skipped * (steps / a[0].taps[phase[0]])) * 2 * MATRIX_BYTES;
        weight += p->spans * steps * 2 * MATRIX_BYTES;
        if (z >= a[0].result) continue;
        // Products are read a round after they were written, when they have left the store buffer.
        for (ptrdiff_t first = 0; first < patch->count + SIDE; first += SIDE) {
          ptrdiff_t turn = first / SIDE % 2 * SIDE * SIDE;
          if (first < patch->count) nnk_matrix_rows(p->is_portable, rows, first * PANEL_BYTES, count, w, out + turn);
          if (first > 0) store_products(p, patch, out + SIDE * SIDE - turn, first - SIDE, span, z, phase);
        }
      }
}

static void run_unit(ptrdiff_t index, void *context) {
  const nnk_plan *p = context;
  const nnk_axis *a = p->axes;
  ptrdiff_t part = index % p->parts, band = index / p->parts % p->bands, chunk = index / p->parts / p->bands % p->chunks;
  ptrdiff_t set = index / p->parts / p->bands / p->chunks * p->samples, top = band * p->band;
  nnk_patch patch = nnk_make_patch(a, set, nnk_least(p->samples, p->batch - set), top, nnk_least(p->band, a[1].points - top));
  ptrdiff_t plane = plane_bytes(p, &patch), steps = a[0].reach * a[1].reach * a[2].reach * p->panels;
  size_t out_bytes = 2 * SIDE * SIDE * sizeof(float), row_bytes = (size_t)nnk_ceil(steps * (ptrdiff_t)sizeof(char *), 64) * 64;
  char *scratch = aligned_alloc(64, out_bytes + row_bytes + (size_t)(p->ring * plane));
  if (!scratch) abort();
  float *out = (float *)scratch;
  const char **rows = (const char **)(scratch + out_bytes);
  char *ring = scratch + out_bytes + row_bytes;
  nnk_matrix_begin(p->is_portable);
  ptrdiff_t begin = chunk * p->chunk, end = nnk_least(begin + p->chunk, a[0].points), next = 0;
  for (ptrdiff_t z = begin; z < end; z += p->slab) {
    ptrdiff_t last = nnk_least(z + p->slab, end), low = z * a[0].step + a[0].low;
    if (next < low) next = low;
    for (ptrdiff_t high = nnk_least((last - 1) * a[0].step + a[0].low + a[0].reach, a[0].source); next < high; ++next)
      pack_plane(p, &patch, next, ring + next % p->ring * plane);
    for (ptrdiff_t span = part * p->part; span < nnk_least((part + 1) * p->part, p->spans); ++span)
      for (ptrdiff_t point = z; point < last; ++point) run_plane(p, &patch, ring, span, point, rows, out);
  }
  nnk_matrix_end(p->is_portable);
  free(scratch);
}

// MARK: - Shares of the work

static void make_plan(nnk_plan *p) {
  const nnk_axis *a = p->axes;
  ptrdiff_t threads = nnk_thread_count(), depth = a[0].points, rows = a[1].points;
  ptrdiff_t room = RING_BYTES / a[0].reach;
  p->band = rows, p->samples = 1;
  nnk_patch patch = nnk_make_patch(a, 0, 1, 0, rows);
  if (plane_bytes(p, &patch) > room) {
    ptrdiff_t row = plane_bytes(p, &patch) / patch.height, fitting = room / row - (patch.height - rows);
    p->bands = nnk_ceil(rows, fitting < 4 ? 4 : fitting);
    p->band = nnk_ceil(rows, p->bands);
  } else if (patch.count < LEAST_POSITIONS) {
    ptrdiff_t fitting = nnk_least(LEAST_POSITIONS / patch.count, room / plane_bytes(p, &patch));
    p->samples = nnk_least(fitting < 1 ? 1 : fitting, p->batch);
  }
  p->bands = nnk_ceil(rows, p->band);
  p->sets = nnk_ceil(p->batch, p->samples);
  p->samples = nnk_ceil(p->batch, p->sets);
  // Few units: planes are shared out too, though neighbours lay out some planes twice.
  ptrdiff_t units = p->sets * p->bands;
  p->chunks = 1;
  while (units * p->chunks % threads != 0 && units * p->chunks < 8 * threads &&
         depth / (p->chunks + 1) >= (units * p->chunks < threads ? 1 : 4))
    ++p->chunks;
  p->chunk = nnk_ceil(depth, p->chunks);
  p->chunks = nnk_ceil(depth, p->chunk);
  p->parts = nnk_least(p->spans, nnk_ceil(threads, units * p->chunks));
  p->part = nnk_ceil(p->spans, p->parts);
  p->parts = nnk_ceil(p->spans, p->part);
  patch = nnk_make_patch(a, 0, p->samples, 0, p->band);
  p->slab = 1;
  while (p->slab < p->chunk && (p->slab * a[0].step + a[0].reach) * plane_bytes(p, &patch) <= RING_BYTES) ++p->slab;
  p->ring = (p->slab - 1) * a[0].step + a[0].reach;
}

static void run(nnk_plan *p) {
  p->panels = nnk_ceil(p->from_blocks, 2), p->spans = nnk_ceil(p->to_blocks, 2);
  make_plan(p);
  nnk_parallel(p->sets * p->bands * p->chunks * p->parts, run_unit, p);
}

void nnk_matrix_forward(const nnk_matrix_convolution *g, const void *source, const void *packed, const float *bias, void *result) {
  nnk_plan p = {.source = source, .weight = packed, .bias = bias, .result = result, .is_portable = g->is_portable,
                .batch = g->batch, .from_blocks = nnk_ceil(g->input_channels, LANES), .to_blocks = nnk_ceil(g->output_channels, LANES)};
  nnk_forward_axes(g, p.axes);
  run(&p);
}

void nnk_matrix_adjoint(const nnk_matrix_convolution *g, const void *gradient, const void *packed, const float *bias, void *source) {
  nnk_plan p = {.source = gradient, .weight = packed, .bias = bias, .result = source, .is_portable = g->is_portable,
                .batch = g->batch, .from_blocks = nnk_ceil(g->output_channels, LANES), .to_blocks = nnk_ceil(g->input_channels, LANES)};
  nnk_adjoint_axes(g, p.axes);
  run(&p);
}

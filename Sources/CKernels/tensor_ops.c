// Functions of one and two numbers, reductions, selections and strided copies of plain float32 tensors.
#include <math.h>
#include "nnk_engine.h"
#include "nnk_internal.h"
#include "nnk_tensor.h"

enum { NNK_PIECE = 1 << 15, NNK_COLUMNS = 512, NNK_PARTIAL = 1024 };

typedef struct {
  const float *x, *z, *dy;
  float *y;
  const ptrdiff_t *shape, *x_strides, *z_strides;
  ptrdiff_t count, outer, inner, extent;
  int f;
  float a, b;
} nnk_tensor_job;

static ptrdiff_t pieces(ptrdiff_t count) { return (count + NNK_PIECE - 1) / NNK_PIECE; }

NNK_INLINE float sigmoid(float x) { return 1.0f / (1.0f + nnk_expf(-x)); }

NNK_CLONES static void map_piece(ptrdiff_t piece, void *context) {
  const nnk_tensor_job *j = context;
  ptrdiff_t start = piece * NNK_PIECE, end = start + NNK_PIECE < j->count ? start + NNK_PIECE : j->count;
  const float *x = j->x, a = j->a, b = j->b;
  float *y = j->y;
#define NNK_EACH(VALUE) for (ptrdiff_t i = start; i < end; ++i) y[i] = (VALUE)
  switch (j->f) {
    case NNK_AFFINE: NNK_EACH(a * x[i] + b); break;
    case NNK_EXP: NNK_EACH(nnk_expf(x[i])); break;
    case NNK_LOG: NNK_EACH(logf(x[i])); break;
    case NNK_SQRT: NNK_EACH(sqrtf(x[i])); break;
    case NNK_ABS: NNK_EACH(fabsf(x[i])); break;
    case NNK_POWER:
      if (a == 2) NNK_EACH(x[i] * x[i]);
      else if (a == -1) NNK_EACH(1.0f / x[i]);
      else NNK_EACH(powf(x[i], a));
      break;
    case NNK_CLAMP: NNK_EACH(x[i] < a ? a : (x[i] > b ? b : x[i])); break;
    case NNK_SIGMOID: NNK_EACH(sigmoid(x[i])); break;
    case NNK_TANH: NNK_EACH(tanhf(x[i])); break;
    case NNK_LEAKY: NNK_EACH(x[i] > 0 ? x[i] : a * x[i]); break;
    case NNK_SOFTPLUS: NNK_EACH((x[i] > 0 ? x[i] : 0.0f) + log1pf(nnk_expf(-fabsf(x[i])))); break;
  }
}

void nnk_map(nnk_function f, const float *x, float *y, ptrdiff_t count, float a, float b) {
  nnk_tensor_job job = {.x = x, .y = y, .count = count, .f = (int)f, .a = a, .b = b};
  nnk_parallel(pieces(count), map_piece, &job);
}

NNK_CLONES static void map_gradient_piece(ptrdiff_t piece, void *context) {
  const nnk_tensor_job *j = context;
  ptrdiff_t start = piece * NNK_PIECE, end = start + NNK_PIECE < j->count ? start + NNK_PIECE : j->count;
  const float *x = j->x, *value = j->z, *dy = j->dy, a = j->a, b = j->b;
  float *y = j->y;
  switch (j->f) {
    case NNK_AFFINE: NNK_EACH(a * dy[i]); break;
    case NNK_EXP: NNK_EACH(value[i] * dy[i]); break;
    case NNK_LOG: NNK_EACH(dy[i] / x[i]); break;
    case NNK_SQRT: NNK_EACH(0.5f * dy[i] / value[i]); break;
    case NNK_ABS: NNK_EACH(x[i] > 0 ? dy[i] : (x[i] < 0 ? -dy[i] : 0.0f)); break;
    case NNK_POWER:
      if (a == 2) NNK_EACH(2 * x[i] * dy[i]);
      else if (a == -1) NNK_EACH(-value[i] * value[i] * dy[i]);
      else NNK_EACH(a * powf(x[i], a - 1) * dy[i]);
      break;
    case NNK_CLAMP: NNK_EACH(x[i] >= a && x[i] <= b ? dy[i] : 0.0f); break;
    case NNK_SIGMOID: NNK_EACH(value[i] * (1 - value[i]) * dy[i]); break;
    case NNK_TANH: NNK_EACH((1 - value[i] * value[i]) * dy[i]); break;
    case NNK_LEAKY: NNK_EACH(x[i] > 0 ? dy[i] : a * dy[i]); break;
    case NNK_SOFTPLUS: NNK_EACH(sigmoid(x[i]) * dy[i]); break;
  }
#undef NNK_EACH
}

void nnk_map_gradient(nnk_function f, const float *x, const float *y, const float *dy, float *dx, ptrdiff_t count,
                      float a, float b) {
  nnk_tensor_job job = {.x = x, .z = y, .dy = dy, .y = dx, .count = count, .f = (int)f, .a = a, .b = b};
  nnk_parallel(pieces(count), map_gradient_piece, &job);
}

// A run along the last axis, where either operand may be one number.
#define NNK_RUN_OF(VALUE)                                                    \
  if (sp && sq) {                                                            \
    for (ptrdiff_t i = 0; i < length; ++i) {                                 \
      float p = a[i], q = b[i];                                              \
      y[i] = (VALUE);                                                        \
    }                                                                        \
  } else if (sp) {                                                           \
    const float q = b[0];                                                    \
    for (ptrdiff_t i = 0; i < length; ++i) {                                 \
      float p = a[i];                                                        \
      y[i] = (VALUE);                                                        \
    }                                                                        \
  } else {                                                                   \
    const float p = a[0];                                                    \
    for (ptrdiff_t i = 0; i < length; ++i) {                                 \
      float q = b[sq ? i : 0];                                               \
      y[i] = (VALUE);                                                        \
    }                                                                        \
  }                                                                          \
  break

NNK_INLINE void combine_run(int f, const float *a, ptrdiff_t sp, const float *b, ptrdiff_t sq, float *y,
                            ptrdiff_t length) {
  switch (f) {
    case NNK_ADD: NNK_RUN_OF(p + q);
    case NNK_SUBTRACT: NNK_RUN_OF(p - q);
    case NNK_MULTIPLY: NNK_RUN_OF(p * q);
    case NNK_DIVIDE: NNK_RUN_OF(p / q);
    case NNK_RAISE: NNK_RUN_OF(powf(p, q));
    case NNK_LARGER: NNK_RUN_OF(p > q ? p : q);
    case NNK_SMALLER: NNK_RUN_OF(p < q ? p : q);
    case NNK_LESS: NNK_RUN_OF(p < q ? 1.0f : 0.0f);
    case NNK_LESS_EQUAL: NNK_RUN_OF(p <= q ? 1.0f : 0.0f);
    case NNK_EQUAL: NNK_RUN_OF(p == q ? 1.0f : 0.0f);
  }
}

// Where a row of a view begins: the digits of its number, each times its stride.
NNK_INLINE ptrdiff_t row_offset(ptrdiff_t row, const ptrdiff_t *shape, const ptrdiff_t *strides) {
  ptrdiff_t offset = 0;
  for (int axis = NNK_RANK - 2; axis >= 0; --axis) {
    offset += row % shape[axis] * strides[axis];
    row /= shape[axis];
  }
  return offset;
}

static ptrdiff_t product(const ptrdiff_t *shape) {
  ptrdiff_t count = 1;
  for (int axis = 0; axis < NNK_RANK; ++axis) count *= shape[axis];
  return count;
}

NNK_CLONES static void combine_piece(ptrdiff_t piece, void *context) {
  const nnk_tensor_job *j = context;
  const ptrdiff_t inner = j->shape[NNK_RANK - 1], sp = j->x_strides[NNK_RANK - 1], sq = j->z_strides[NNK_RANK - 1];
  ptrdiff_t at = piece * NNK_PIECE, end = at + NNK_PIECE < j->count ? at + NNK_PIECE : j->count;
  while (at < end) {
    ptrdiff_t row = at / inner, column = at % inner;
    ptrdiff_t length = inner - column < end - at ? inner - column : end - at;
    combine_run(j->f, j->x + row_offset(row, j->shape, j->x_strides) + column * sp, sp,
                j->z + row_offset(row, j->shape, j->z_strides) + column * sq, sq, j->y + at, length);
    at += length;
  }
}

void nnk_combine(nnk_pair f, const float *a, const float *b, float *y, const ptrdiff_t shape[NNK_RANK],
                 const ptrdiff_t a_strides[NNK_RANK], const ptrdiff_t b_strides[NNK_RANK]) {
  nnk_tensor_job job = {.x = a, .z = b, .y = y, .shape = shape, .x_strides = a_strides, .z_strides = b_strides,
                        .count = product(shape), .f = (int)f};
  nnk_parallel(pieces(job.count), combine_piece, &job);
}

static void copy_piece(ptrdiff_t piece, void *context) {
  const nnk_tensor_job *j = context;
  const ptrdiff_t inner = j->shape[NNK_RANK - 1], from = j->x_strides[NNK_RANK - 1], to = j->z_strides[NNK_RANK - 1];
  ptrdiff_t at = piece * NNK_PIECE, end = at + NNK_PIECE < j->count ? at + NNK_PIECE : j->count;
  while (at < end) {
    ptrdiff_t row = at / inner, column = at % inner;
    ptrdiff_t length = inner - column < end - at ? inner - column : end - at;
    const float *x = j->x + row_offset(row, j->shape, j->x_strides) + column * from;
    float *y = j->y + row_offset(row, j->shape, j->z_strides) + column * to;
    if (from == 1 && to == 1) memcpy(y, x, (size_t)length * sizeof(float));
    else
      for (ptrdiff_t i = 0; i < length; ++i) y[i * to] = x[i * from];
    at += length;
  }
}

void nnk_copy_view(const float *x, float *y, const ptrdiff_t shape[NNK_RANK], const ptrdiff_t x_strides[NNK_RANK],
                   const ptrdiff_t y_strides[NNK_RANK]) {
  nnk_tensor_job job = {.x = x, .y = y, .shape = shape, .x_strides = x_strides, .z_strides = y_strides,
                        .count = product(shape)};
  nnk_parallel(pieces(job.count), copy_piece, &job);
}

NNK_INLINE float larger(float p, float q) { return p > q ? p : q; }
NNK_INLINE float smaller(float p, float q) { return p < q ? p : q; }

// One number out of a dense run. Sums run in sixteen lanes over short parts and in double precision over the parts.
NNK_INLINE float reduce_run(int r, const float *x, ptrdiff_t count) {
  if (r == NNK_SUM) {
    double total = 0;
    for (ptrdiff_t start = 0; start < count; start += NNK_PARTIAL) {
      ptrdiff_t end = start + NNK_PARTIAL < count ? start + NNK_PARTIAL : count, i = start;
      float lanes[16] = {0};
      for (; i + 16 <= end; i += 16)
        for (int l = 0; l < 16; ++l) lanes[l] += x[i + l];
      for (; i < end; ++i) lanes[0] += x[i];
      for (int l = 0; l < 16; ++l) total += (double)lanes[l];
    }
    return (float)total;
  }
  float best = x[0];
  for (ptrdiff_t i = 1; i < count; ++i) best = r == NNK_MAXIMUM ? larger(best, x[i]) : smaller(best, x[i]);
  return best;
}

NNK_INLINE void reduce_columns(const nnk_tensor_job *j, const float *x, float *y, ptrdiff_t width) {
  if (j->f == NNK_SUM) {
    double sums[NNK_COLUMNS] = {0};
    for (ptrdiff_t k = 0; k < j->count; ++k)
      for (ptrdiff_t i = 0; i < width; ++i) sums[i] += (double)x[k * j->inner + i];
    for (ptrdiff_t i = 0; i < width; ++i) y[i] = (float)sums[i];
    return;
  }
  for (ptrdiff_t i = 0; i < width; ++i) y[i] = x[i];
  for (ptrdiff_t k = 1; k < j->count; ++k)
    for (ptrdiff_t i = 0; i < width; ++i)
      y[i] = j->f == NNK_MAXIMUM ? larger(y[i], x[k * j->inner + i]) : smaller(y[i], x[k * j->inner + i]);
}

NNK_CLONES static void reduce_strip(ptrdiff_t strip, void *context) {
  const nnk_tensor_job *j = context;
  if (j->inner == 1) {
    j->y[strip] = reduce_run(j->f, j->x + strip * j->count, j->count);
    return;
  }
  ptrdiff_t strips = (j->inner + NNK_COLUMNS - 1) / NNK_COLUMNS;
  ptrdiff_t o = strip / strips, start = strip % strips * NNK_COLUMNS;
  ptrdiff_t width = j->inner - start < NNK_COLUMNS ? j->inner - start : NNK_COLUMNS;
  reduce_columns(j, j->x + o * j->count * j->inner + start, j->y + o * j->inner + start, width);
}

void nnk_reduce(nnk_reduction r, const float *x, float *y, ptrdiff_t outer, ptrdiff_t count, ptrdiff_t inner) {
  nnk_tensor_job job = {.x = x, .y = y, .count = count, .inner = inner, .f = (int)r};
  nnk_parallel(outer * ((inner + NNK_COLUMNS - 1) / NNK_COLUMNS), reduce_strip, &job);
}

// One task per outer index, so that no two of them write to the same place.
static void gather_block(ptrdiff_t o, void *context) {
  const nnk_tensor_job *j = context;
  const ptrdiff_t inner = j->inner;
  for (ptrdiff_t m = 0; m < j->count; ++m)
    for (ptrdiff_t i = 0; i < inner; ++i) {
      ptrdiff_t at = (o * j->count + m) * inner + i;
      float index = j->z[at];
      int inside = index >= 0 && index < (float)j->extent;
      ptrdiff_t cell = inside ? (o * j->extent + (ptrdiff_t)index) * inner + i : 0;
      if (j->dy) {
        if (inside) j->y[cell] += j->dy[at];
      } else {
        j->y[at] = inside ? j->x[cell] : 0.0f;
      }
    }
}

void nnk_gather(const float *x, const float *index, float *y, ptrdiff_t outer, ptrdiff_t extent, ptrdiff_t count,
                ptrdiff_t inner) {
  nnk_tensor_job job = {.x = x, .z = index, .y = y, .count = count, .inner = inner, .extent = extent};
  nnk_parallel(outer, gather_block, &job);
}

void nnk_scatter_add(const float *dy, const float *index, float *dx, ptrdiff_t outer, ptrdiff_t extent, ptrdiff_t count,
                     ptrdiff_t inner) {
  nnk_tensor_job job = {.dy = dy, .z = index, .y = dx, .count = count, .inner = inner, .extent = extent};
  nnk_parallel(outer, gather_block, &job);
}

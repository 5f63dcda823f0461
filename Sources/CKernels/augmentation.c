// Spatial sampling for data augmentation, one channel at a time and on one thread; callers run samples in
// parallel.
#include "CKernels.h"
#include "augmentation_internal.h"

// Rounds as a conversion to float16 and back would, for normal float16 magnitudes.
static NNK_INLINE float round_to_half(float value) {
  union { float f; uint32_t u; } bits = {.f = value};
  bits.u = (bits.u + 0x0FFFu + ((bits.u >> 13) & 1u)) & ~0x1FFFu;
  return bits.f;
}

// Positions along one target row: double arithmetic, then one rounding to float, so that right angles stay
// exact.
static NNK_INLINE void row_positions(
    const ptrdiff_t *source_shape, const ptrdiff_t *target_shape, const double *matrix, ptrdiff_t z,
    ptrdiff_t y, float *restrict pz, float *restrict py, float *restrict px) {
  const double uz = (double)z - 0.5 * (double)(target_shape[0] - 1);
  const double uy = (double)y - 0.5 * (double)(target_shape[1] - 1);
  const double ux = -0.5 * (double)(target_shape[2] - 1);
  const double bz = matrix[0] * uz + matrix[1] * uy + 0.5 * (double)(source_shape[0] - 1);
  const double by = matrix[3] * uz + matrix[4] * uy + 0.5 * (double)(source_shape[1] - 1);
  const double bx = matrix[6] * uz + matrix[7] * uy + 0.5 * (double)(source_shape[2] - 1);
  for (int32_t x = 0; x < (int32_t)target_shape[2]; x++) {
    const double u = ux + (double)x;
    pz[x] = (float)(bz + matrix[2] * u);
    py[x] = (float)(by + matrix[5] * u);
    px[x] = (float)(bx + matrix[8] * u);
  }
}

// Whether a row of positions stays on one plane of the source, as in flat images: only that one is read then.
static NNK_INLINE int is_flat(const double *matrix, float z) {
  return matrix[2] == 0 && z == floorf(z);
}

static NNK_INLINE int is_interior(float z, float y, float x, const ptrdiff_t *shape, int flat) {
  const float depth = (float)(flat ? shape[0] : shape[0] - 1);
  return z >= 0 && y >= 0 && x >= 0 && z < depth && y < (float)(shape[1] - 1) && x < (float)(shape[2] - 1);
}

// The eight neighbours of a position: offsets (-1 where outside) and weights, x fastest.
typedef struct {
  ptrdiff_t offsets[8];
  float weights[8];
} neighbours;

static NNK_INLINE void find_neighbours(
    float z, float y, float x, const ptrdiff_t *shape, neighbours *result) {
  const float position[3] = {z, y, x};
  ptrdiff_t index[3][2];
  float weight[3][2];
  for (int axis = 0; axis < 3; axis++) {
    const float low = floorf(position[axis]);
    index[axis][0] = (ptrdiff_t)low;
    weight[axis][1] = position[axis] - low;
    weight[axis][0] = 1.0f - weight[axis][1];
    // A neighbour without weight must not look like one outside: flat images have only one plane.
    index[axis][1] = weight[axis][1] == 0.0f ? index[axis][0] : index[axis][0] + 1;
  }
  for (int corner = 0; corner < 8; corner++) {
    const ptrdiff_t iz = index[0][corner >> 2], iy = index[1][(corner >> 1) & 1], ix = index[2][corner & 1];
    const int inside = iz >= 0 && iz < shape[0] && iy >= 0 && iy < shape[1] && ix >= 0 && ix < shape[2];
    result->offsets[corner] = inside ? (iz * shape[1] + iy) * shape[2] + ix : -1;
    result->weights[corner] = weight[0][corner >> 2] * weight[1][(corner >> 1) & 1] * weight[2][corner & 1];
  }
}

static NNK_INLINE float sample_at_border(
    const float *source, const ptrdiff_t *shape, float z, float y, float x) {
  neighbours near;
  find_neighbours(z, y, x, shape, &near);
  float sum = 0;
  for (int corner = 0; corner < 8; corner++) {
    if (near.offsets[corner] >= 0) sum += source[near.offsets[corner]] * near.weights[corner];
  }
  return sum;
}

// Voxels of a row that are sampled together; their positions and weights stay in the first cache.
enum { STRIP = 128 };

// Where the samples of a strip lie: the lower corner of each and the weights of its eight neighbours, x fastest.
typedef struct {
  int32_t base[STRIP];
  float weights[8][STRIP];
} strip_positions;

static NNK_INLINE void locate_strip(
    const float *restrict pz, const float *restrict py, const float *restrict px, int32_t count, int32_t plane,
    int32_t row, strip_positions *restrict strip) {
  for (int32_t x = 0; x < count; x++) {
    const int32_t iz = (int32_t)pz[x], iy = (int32_t)py[x], ix = (int32_t)px[x];
    const float wz = pz[x] - (float)iz, wy = py[x] - (float)iy, wx = px[x] - (float)ix;
    const float vz = 1.0f - wz, vy = 1.0f - wy, vx = 1.0f - wx;
    strip->base[x] = iz * plane + iy * row + ix;
    strip->weights[0][x] = vz * vy * vx;
    strip->weights[1][x] = vz * vy * wx;
    strip->weights[2][x] = vz * wy * vx;
    strip->weights[3][x] = vz * wy * wx;
    strip->weights[4][x] = wz * vy * vx;
    strip->weights[5][x] = wz * vy * wx;
    strip->weights[6][x] = wz * wy * vx;
    strip->weights[7][x] = wz * wy * wx;
  }
}

// Two neighbours along x are one load; the arithmetic runs over whole strips.
static NNK_INLINE void sample_strip(
    const float *source, const strip_positions *restrict strip, int32_t count, int32_t row, int32_t next,
    float *restrict out) {
  float pairs[4][2 * STRIP];
  const float *const lines[4] = {source, source + row, source + next, source + next + row};
  const int line_count = next ? 4 : 2;
  for (int line = 0; line < line_count; line++) {
    const float *from = lines[line];
    for (int32_t x = 0; x < count; x++) memcpy(pairs[line] + 2 * x, from + strip->base[x], 2 * sizeof(float));
  }
  for (int32_t x = 0; x < count; x++) {
    float sum = pairs[0][2 * x] * strip->weights[0][x];
    sum += pairs[0][2 * x + 1] * strip->weights[1][x];
    sum += pairs[1][2 * x] * strip->weights[2][x];
    sum += pairs[1][2 * x + 1] * strip->weights[3][x];
    out[x] = sum;
  }
  if (!next) return;
  for (int32_t x = 0; x < count; x++) {
    float sum = out[x];
    sum += pairs[2][2 * x] * strip->weights[4][x];
    sum += pairs[2][2 * x + 1] * strip->weights[5][x];
    sum += pairs[3][2 * x] * strip->weights[6][x];
    sum += pairs[3][2 * x + 1] * strip->weights[7][x];
    out[x] = sum;
  }
}

// The positions of one target row, and the interval of it that lies inside: a line meets a box in one interval.
typedef struct {
  float *pz, *py, *px;
  int32_t width, first, last;
  int flat;
} target_row;

static NNK_INLINE void find_row(
    const ptrdiff_t *source_shape, const ptrdiff_t *target_shape, const double *matrix, ptrdiff_t z,
    ptrdiff_t y, target_row *row) {
  row_positions(source_shape, target_shape, matrix, z, y, row->pz, row->py, row->px);
  const int flat = is_flat(matrix, row->pz[0]);
  int32_t first = 0, last = row->width;
  while (first < last && !is_interior(row->pz[first], row->py[first], row->px[first], source_shape, flat)) first++;
  while (last > first && !is_interior(row->pz[last - 1], row->py[last - 1], row->px[last - 1], source_shape, flat)) {
    last--;
  }
  row->flat = flat;
  row->first = first;
  row->last = last;
}

static void make_row(const ptrdiff_t *target_shape, target_row *row) {
  row->width = (int32_t)target_shape[2];
  row->pz = malloc(sizeof(float) * 3 * (size_t)row->width);
  if (!row->pz) abort();
  row->py = row->pz + row->width;
  row->px = row->py + row->width;
}

NNK_CLONES void nnk_sample_linear(
    const float *source, const ptrdiff_t *source_shape, float *target, const ptrdiff_t *target_shape,
    const double *matrix, ptrdiff_t channel_count) {
  const int32_t line = (int32_t)source_shape[2], plane = (int32_t)(source_shape[1] * source_shape[2]);
  const ptrdiff_t source_size = source_shape[0] * plane;
  const ptrdiff_t target_size = target_shape[0] * target_shape[1] * target_shape[2];
  target_row row;
  make_row(target_shape, &row);
  strip_positions strip;
  for (ptrdiff_t z = 0; z < target_shape[0]; z++) {
    for (ptrdiff_t y = 0; y < target_shape[1]; y++) {
      find_row(source_shape, target_shape, matrix, z, y, &row);
      float *const out = target + (z * target_shape[1] + y) * row.width;
      for (int32_t start = row.first; start < row.last; start += STRIP) {
        const int32_t count = row.last - start < STRIP ? row.last - start : STRIP;
        locate_strip(row.pz + start, row.py + start, row.px + start, count, plane, line, &strip);
        for (ptrdiff_t c = 0; c < channel_count; c++) {
          sample_strip(
              source + c * source_size, &strip, count, line, row.flat ? 0 : plane, out + c * target_size + start);
        }
      }
      for (int32_t x = 0; x < row.width; x++) {
        if (x == row.first) x = row.last;
        if (x >= row.width) break;
        for (ptrdiff_t c = 0; c < channel_count; c++) {
          out[c * target_size + x] =
              sample_at_border(source + c * source_size, source_shape, row.pz[x], row.py[x], row.px[x]);
        }
      }
    }
  }
  free(row.pz);
}

static int16_t nearest_label(
    const int16_t *source, const ptrdiff_t *shape, float z, float y, float x, int16_t outside) {
  const ptrdiff_t iz = (ptrdiff_t)rintf(z), iy = (ptrdiff_t)rintf(y), ix = (ptrdiff_t)rintf(x);
  if (iz < 0 || iz >= shape[0] || iy < 0 || iy >= shape[1] || ix < 0 || ix >= shape[2]) return outside;
  return source[(iz * shape[1] + iy) * shape[2] + ix];
}

// The winner among the labels of the eight neighbours; labels farther away have no weight and cannot win.
static int16_t vote(
    const int16_t *source, const ptrdiff_t *shape, float z, float y, float x, int16_t outside) {
  neighbours near;
  find_neighbours(z, y, x, shape, &near);
  int16_t labels[8];
  float scores[8];
  int count = 0;
  for (int corner = 0; corner < 8; corner++) {
    const int16_t label = near.offsets[corner] >= 0 ? source[near.offsets[corner]] : outside;
    int known = 0;
    while (known < count && labels[known] != label) known++;
    if (known == count) {
      labels[count] = label;
      scores[count++] = 0;
    }
    scores[known] += 1000.0f * near.weights[corner];
  }
  if (count == 1) return labels[0];
  const int16_t nearest = nearest_label(source, shape, z, y, x, outside);
  float best = -1;
  int16_t winner = outside;
  for (int i = 0; i < count; i++) {
    const float score = round_to_half(scores[i]);
    if (score > best) {
      best = score;
      winner = labels[i];
    } else if (score == best && winner != nearest && (labels[i] == nearest || labels[i] < winner)) {
      winner = labels[i];
    }
  }
  return winner;
}

enum { LANES = 16 };

// The winners of sixteen neighbouring samples: every corner's label gets the weights of all corners that share it, in
// the corners' order, so that equal labels have equal scores.
static NNK_INLINE void vote_lanes(
    const int32_t labels[8][LANES], const float weights[8][LANES], const int32_t nearest_corner[LANES],
    int16_t *restrict out) {
  float scores[8][LANES], best[LANES];
  int32_t winner[LANES], nearest[LANES], nearest_wins[LANES];
  for (int corner = 0; corner < 8; corner++) {
    float sum[LANES] = {0};
    for (int other = 0; other < 8; other++) {
      for (int lane = 0; lane < LANES; lane++) {
        sum[lane] += labels[other][lane] == labels[corner][lane] ? weights[other][lane] : 0.0f;
      }
    }
    for (int lane = 0; lane < LANES; lane++) scores[corner][lane] = round_to_half(sum[lane]);
  }
  for (int lane = 0; lane < LANES; lane++) {
    best[lane] = scores[0][lane];
    nearest[lane] = labels[0][lane];
    winner[lane] = INT32_MAX;
    nearest_wins[lane] = 0;
  }
  for (int corner = 1; corner < 8; corner++) {
    for (int lane = 0; lane < LANES; lane++) {
      best[lane] = scores[corner][lane] > best[lane] ? scores[corner][lane] : best[lane];
      nearest[lane] = nearest_corner[lane] == corner ? labels[corner][lane] : nearest[lane];
    }
  }
  for (int corner = 0; corner < 8; corner++) {
    for (int lane = 0; lane < LANES; lane++) {
      const int32_t label = labels[corner][lane];
      const int is_best = scores[corner][lane] == best[lane];
      winner[lane] = (is_best & (label < winner[lane])) ? label : winner[lane];
      nearest_wins[lane] |= is_best & (label == nearest[lane]);
    }
  }
  for (int lane = 0; lane < LANES; lane++) {
    out[lane] = (int16_t)(nearest_wins[lane] ? nearest[lane] : winner[lane]);
  }
}

// Labels of a strip inside the source; two neighbours along x are one load.
static NNK_INLINE void label_strip(
    const int16_t *source, const target_row *row, int32_t start, int32_t count, int32_t line, int32_t plane,
    int16_t *restrict out) {
  const float *restrict pz = row->pz + start, *restrict py = row->py + start, *restrict px = row->px + start;
  const int32_t next = row->flat ? 0 : plane;
  const int16_t *const lines[4] = {source, source + line, source + next, source + next + line};
  int32_t base[STRIP + LANES], pairs[4][STRIP + LANES];
  for (int32_t x = 0; x < count; x++) {
    base[x] = (int32_t)pz[x] * plane + (int32_t)py[x] * line + (int32_t)px[x];
  }
  for (int k = 0; k < 4; k++) {
    for (int32_t x = 0; x < count; x++) memcpy(pairs[k] + x, lines[k] + base[x], sizeof(int32_t));
  }
  for (int32_t x = 0; x < count; x++) out[x] = (int16_t)pairs[0][x];
  for (int32_t block = 0; block < count; block += LANES) {
    const int32_t lanes = count - block < LANES ? count - block : LANES;
    int32_t differences = 0;
    for (int32_t x = block; x < block + lanes; x++) {
      const uint32_t pair = (uint32_t)pairs[0][x];
      differences |= (pairs[0][x] ^ pairs[1][x]) | (pairs[0][x] ^ pairs[2][x]) | (pairs[0][x] ^ pairs[3][x])
          | (int32_t)(pair ^ ((pair >> 16) | (pair << 16)));
    }
    if (differences == 0) continue;
    int32_t labels[8][LANES] = {{0}}, nearest_corner[LANES] = {0};
    float weights[8][LANES] = {{0}};
    for (int32_t lane = 0; lane < lanes; lane++) {
      const int32_t x = block + lane;
      const int32_t iz = (int32_t)pz[x], iy = (int32_t)py[x], ix = (int32_t)px[x];
      const float wz = pz[x] - (float)iz, wy = py[x] - (float)iy, wx = px[x] - (float)ix;
      const float vz = 1.0f - wz, vy = 1.0f - wy, vx = 1.0f - wx;
      weights[0][lane] = 1000.0f * (vz * vy * vx);
      weights[1][lane] = 1000.0f * (vz * vy * wx);
      weights[2][lane] = 1000.0f * (vz * wy * vx);
      weights[3][lane] = 1000.0f * (vz * wy * wx);
      weights[4][lane] = 1000.0f * (wz * vy * vx);
      weights[5][lane] = 1000.0f * (wz * vy * wx);
      weights[6][lane] = 1000.0f * (wz * wy * vx);
      weights[7][lane] = 1000.0f * (wz * wy * wx);
      // To the nearest position; halves go to the even one.
      const int32_t nz = (wz > 0.5f) | ((wz == 0.5f) & iz), ny = (wy > 0.5f) | ((wy == 0.5f) & iy);
      const int32_t nx = (wx > 0.5f) | ((wx == 0.5f) & ix);
      nearest_corner[lane] = 4 * (nz & 1) + 2 * (ny & 1) + (nx & 1);
    }
    for (int k = 0; k < 4; k++) {
      for (int32_t lane = 0; lane < lanes; lane++) {
        labels[2 * k][lane] = (int16_t)pairs[k][block + lane];
        labels[2 * k + 1][lane] = pairs[k][block + lane] >> 16;
      }
    }
    int16_t winners[LANES];
    vote_lanes(labels, weights, nearest_corner, winners);
    memcpy(out + block, winners, sizeof(int16_t) * (size_t)lanes);
  }
}

NNK_CLONES void nnk_sample_labels(
    const int16_t *source, const ptrdiff_t *source_shape, int16_t *target, const ptrdiff_t *target_shape,
    const double *matrix, int16_t outside) {
  const int32_t line = (int32_t)source_shape[2], plane = (int32_t)(source_shape[1] * source_shape[2]);
  target_row row;
  make_row(target_shape, &row);
  for (ptrdiff_t z = 0; z < target_shape[0]; z++) {
    for (ptrdiff_t y = 0; y < target_shape[1]; y++) {
      find_row(source_shape, target_shape, matrix, z, y, &row);
      int16_t *const out = target + (z * target_shape[1] + y) * row.width;
      for (int32_t start = row.first; start < row.last; start += STRIP) {
        const int32_t count = row.last - start < STRIP ? row.last - start : STRIP;
        label_strip(source, &row, start, count, line, plane, out + start);
      }
      for (int32_t x = 0; x < row.width; x++) {
        if (x == row.first) x = row.last;
        if (x >= row.width) break;
        out[x] = vote(source, source_shape, row.pz[x], row.py[x], row.px[x], outside);
      }
    }
  }
  free(row.pz);
}

#define NNK_DEFINE_NEAREST(name, element)                                                               \
  void name(                                                                                            \
      const element *source, const ptrdiff_t *source_shape, element *target, const ptrdiff_t *target_shape, \
      const double *matrix, element outside) {                                                          \
    target_row row;                                                                                     \
    make_row(target_shape, &row);                                                                       \
    for (ptrdiff_t z = 0; z < target_shape[0]; z++) {                                                   \
      for (ptrdiff_t y = 0; y < target_shape[1]; y++) {                                                 \
        row_positions(source_shape, target_shape, matrix, z, y, row.pz, row.py, row.px);                \
        element *const out = target + (z * target_shape[1] + y) * row.width;                            \
        for (int32_t x = 0; x < row.width; x++) {                                                       \
          const ptrdiff_t iz = (ptrdiff_t)rintf(row.pz[x]), iy = (ptrdiff_t)rintf(row.py[x]);           \
          const ptrdiff_t ix = (ptrdiff_t)rintf(row.px[x]);                                             \
          const int inside = iz >= 0 && iz < source_shape[0] && iy >= 0 && iy < source_shape[1]         \
              && ix >= 0 && ix < source_shape[2];                                                       \
          out[x] = inside ? source[(iz * source_shape[1] + iy) * source_shape[2] + ix] : outside;       \
        }                                                                                               \
      }                                                                                                 \
    }                                                                                                   \
    free(row.pz);                                                                                       \
  }

NNK_DEFINE_NEAREST(nnk_sample_nearest_floats, float)
NNK_DEFINE_NEAREST(nnk_sample_nearest_labels, int16_t)

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

NNK_CLONES void nnk_sample_linear(
    const float *source, const ptrdiff_t *source_shape, float *target, const ptrdiff_t *target_shape,
    const double *matrix) {
  const int32_t width = (int32_t)target_shape[2];
  float *const pz = malloc(sizeof(float) * 3 * (size_t)width);
  if (!pz) abort();
  float *const py = pz + width, *const px = py + width;
  const int32_t row = (int32_t)source_shape[2];
  const ptrdiff_t plane = source_shape[1] * source_shape[2];
  for (ptrdiff_t z = 0; z < target_shape[0]; z++) {
    for (ptrdiff_t y = 0; y < target_shape[1]; y++) {
      row_positions(source_shape, target_shape, matrix, z, y, pz, py, px);
      const int flat = is_flat(matrix, pz[0]);
      const int32_t next = flat ? 0 : (int32_t)plane;
      float *restrict out = target + (z * target_shape[1] + y) * width;
      // A line meets the inside of a box in one interval.
      int32_t first = 0, last = width;
      while (first < width && !is_interior(pz[first], py[first], px[first], source_shape, flat)) first++;
      while (last > first && !is_interior(pz[last - 1], py[last - 1], px[last - 1], source_shape, flat)) {
        last--;
      }
      for (int32_t x = 0; x < first; x++) {
        out[x] = sample_at_border(source, source_shape, pz[x], py[x], px[x]);
      }
      for (int32_t x = first; x < last; x++) {
        const int32_t iz = (int32_t)pz[x], iy = (int32_t)py[x], ix = (int32_t)px[x];
        const float wz = pz[x] - (float)iz, wy = py[x] - (float)iy, wx = px[x] - (float)ix;
        const float vz = 1.0f - wz, vy = 1.0f - wy, vx = 1.0f - wx;
        const float *corner = source + iz * plane + iy * row + ix;
        float sum = corner[0] * (vz * vy * vx);
        sum += corner[1] * (vz * vy * wx);
        sum += corner[row] * (vz * wy * vx);
        sum += corner[row + 1] * (vz * wy * wx);
        sum += corner[next] * (wz * vy * vx);
        sum += corner[next + 1] * (wz * vy * wx);
        sum += corner[next + row] * (wz * wy * vx);
        sum += corner[next + row + 1] * (wz * wy * wx);
        out[x] = sum;
      }
      for (int32_t x = last; x < width; x++) {
        out[x] = sample_at_border(source, source_shape, pz[x], py[x], px[x]);
      }
    }
  }
  free(pz);
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

NNK_CLONES void nnk_sample_labels(
    const int16_t *source, const ptrdiff_t *source_shape, int16_t *target, const ptrdiff_t *target_shape,
    const double *matrix, int16_t outside) {
  const int32_t width = (int32_t)target_shape[2];
  float *const pz = malloc(sizeof(float) * 3 * (size_t)width);
  if (!pz) abort();
  float *const py = pz + width, *const px = py + width;
  const ptrdiff_t row = source_shape[2], plane = source_shape[1] * source_shape[2];
  for (ptrdiff_t z = 0; z < target_shape[0]; z++) {
    for (ptrdiff_t y = 0; y < target_shape[1]; y++) {
      row_positions(source_shape, target_shape, matrix, z, y, pz, py, px);
      const int flat = is_flat(matrix, pz[0]);
      const ptrdiff_t next = flat ? 0 : plane;
      int16_t *restrict out = target + (z * target_shape[1] + y) * width;
      for (int32_t x = 0; x < width; x++) {
        if (is_interior(pz[x], py[x], px[x], source_shape, flat)) {
          const ptrdiff_t offset = (ptrdiff_t)pz[x] * plane + (ptrdiff_t)py[x] * row + (ptrdiff_t)px[x];
          const int16_t *corner = source + offset;
          const int16_t label = corner[0];
          const int differences = (corner[1] ^ label) | (corner[row] ^ label) | (corner[row + 1] ^ label)
              | (corner[next] ^ label) | (corner[next + 1] ^ label) | (corner[next + row] ^ label)
              | (corner[next + row + 1] ^ label);
          if (differences == 0) {
            out[x] = label;
            continue;
          }
        }
        out[x] = vote(source, source_shape, pz[x], py[x], px[x], outside);
      }
    }
  }
  free(pz);
}

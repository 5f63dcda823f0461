// Filters of data augmentation: Gaussian blur, low resolution, sharpening, median, and bumps that vary over the
// image. One channel at a time and on one thread.
#include "CKernels.h"
#include "augmentation_internal.h"

// Reflection without repeating the edge, folded as often as a short axis needs.
static ptrdiff_t reflect(ptrdiff_t index, ptrdiff_t extent) {
  if (extent == 1) return 0;
  const ptrdiff_t period = 2 * (extent - 1);
  index %= period;
  if (index < 0) index += period;
  return index < extent ? index : period - index;
}

// One target line as the weighted sum of source lines, several taps at a time so that it is rarely written.
static NNK_INLINE void mix_lines(
    const float *const *lines, const float *taps, ptrdiff_t tap_count, ptrdiff_t count, float *restrict out) {
  const float *a = lines[0];
  for (ptrdiff_t x = 0; x < count; x++) out[x] = taps[0] * a[x];
  for (ptrdiff_t k = 1; k + 1 < tap_count; k += 2) {
    const float *b = lines[k], *c = lines[k + 1];
    const float tb = taps[k], tc = taps[k + 1];
    for (ptrdiff_t x = 0; x < count; x++) out[x] = out[x] + tb * b[x] + tc * c[x];
  }
}

typedef struct {
  const float *taps;
  ptrdiff_t count;
} blur_kernel;

// Blurs one plane along x and y into `out`; `lines` has room for one plane, `padded` for one row with both borders.
static NNK_INLINE void blur_plane(
    const float *in, const ptrdiff_t *shape, blur_kernel along_y, blur_kernel along_x, float *restrict lines,
    float *restrict padded, const float **mixed, float *restrict out) {
  const ptrdiff_t height = shape[1], width = shape[2], radius = along_x.count / 2;
  float *const rows = along_y.count ? lines : out;
  for (ptrdiff_t y = 0; y < height; y++) {
    const float *row = in + y * width;
    if (along_x.count == 0) {
      memcpy(rows + y * width, row, sizeof(float) * (size_t)width);
      continue;
    }
    memcpy(padded + radius, row, sizeof(float) * (size_t)width);
    for (ptrdiff_t i = 1; i <= radius; i++) {
      padded[radius - i] = row[reflect(-i, width)];
      padded[radius + width - 1 + i] = row[reflect(width - 1 + i, width)];
    }
    for (ptrdiff_t k = 0; k < along_x.count; k++) mixed[k] = padded + k;
    mix_lines(mixed, along_x.taps, along_x.count, width, rows + y * width);
  }
  if (along_y.count == 0) return;
  for (ptrdiff_t y = 0; y < height; y++) {
    for (ptrdiff_t k = 0; k < along_y.count; k++) {
      mixed[k] = lines + reflect(y + k - along_y.count / 2, height) * width;
    }
    mix_lines(mixed, along_y.taps, along_y.count, width, out + y * width);
  }
}

NNK_CLONES void nnk_blur(
    float *values, const ptrdiff_t *shape, const float *const taps[3], const ptrdiff_t tap_counts[3]) {
  const ptrdiff_t plane = shape[1] * shape[2], radius = tap_counts[0] / 2;
  const blur_kernel along_y = {taps[1], tap_counts[1]}, along_x = {taps[2], tap_counts[2]};
  // Blurred planes wait here until every plane that they have a part in is written.
  const ptrdiff_t slot_count = tap_counts[0] ? tap_counts[0] : 1;
  ptrdiff_t most_taps = 1;
  for (int axis = 0; axis < 3; axis++) {
    if (tap_counts[axis] > most_taps) most_taps = tap_counts[axis];
  }
  float *slots = malloc(sizeof(float) * (size_t)((slot_count + 1) * plane + shape[2] + most_taps));
  const float **mixed = malloc(sizeof(float *) * (size_t)most_taps);
  if (!slots || !mixed) abort();
  float *lines = slots + slot_count * plane, *padded = lines + plane;
  ptrdiff_t ready = 0;
  for (ptrdiff_t z = 0; z < shape[0]; z++) {
    const ptrdiff_t wanted = z + radius < shape[0] ? z + radius + 1 : shape[0];
    for (; ready < wanted; ready++) {
      blur_plane(
          values + ready * plane, shape, along_y, along_x, lines, padded, mixed,
          slots + ready % slot_count * plane);
    }
    float *out = values + z * plane;
    if (tap_counts[0] == 0) {
      memcpy(out, slots, sizeof(float) * (size_t)plane);
      continue;
    }
    for (ptrdiff_t y = 0; y < shape[1]; y++) {
      for (ptrdiff_t k = 0; k < tap_counts[0]; k++) {
        mixed[k] = slots + reflect(z + k - radius, shape[0]) % slot_count * plane + y * shape[2];
      }
      mix_lines(mixed, taps[0], tap_counts[0], shape[2], out + y * shape[2]);
    }
  }
  free(mixed);
  free(slots);
}

static NNK_INLINE ptrdiff_t nearest_exact(ptrdiff_t index, ptrdiff_t from, ptrdiff_t to) {
  const float ratio = (float)from / (float)to;
  const ptrdiff_t source = (ptrdiff_t)floorf(((float)index + 0.5f) * ratio);
  return source < from - 1 ? source : from - 1;
}

typedef struct {
  ptrdiff_t low, high;
  float weight;
} interval;

// Where target index `index` lies between two of `from` samples, pixel areas aligned rather than corners.
static NNK_INLINE interval linear_interval(ptrdiff_t index, ptrdiff_t from, ptrdiff_t to) {
  const float ratio = (float)from / (float)to;
  const float centre = ratio * ((float)index + 0.5f) - 0.5f;
  const float position = centre < 0 ? 0 : centre;
  interval result;
  result.low = (ptrdiff_t)position < from - 1 ? (ptrdiff_t)position : from - 1;
  result.high = result.low < from - 1 ? result.low + 1 : result.low;
  result.weight = position - (float)result.low;
  return result;
}

NNK_CLONES void nnk_low_resolution(
    float *values, const ptrdiff_t *shape, const ptrdiff_t *low_shape, float *scratch) {
  const ptrdiff_t width = shape[2], low_row = low_shape[2], low_plane = low_shape[1] * low_shape[2];
  float *small = scratch, *restrict mixed = scratch + low_shape[0] * low_plane;
  int32_t *restrict low = malloc(sizeof(int32_t) * 3 * (size_t)width);
  if (!low) abort();
  int32_t *restrict high = low + width;
  float *restrict weight = (float *)(high + width);
  for (ptrdiff_t x = 0; x < low_row; x++) low[x] = (int32_t)nearest_exact(x, width, low_row);
  for (ptrdiff_t z = 0; z < low_shape[0]; z++) {
    const ptrdiff_t sz = nearest_exact(z, shape[0], low_shape[0]);
    for (ptrdiff_t y = 0; y < low_shape[1]; y++) {
      const float *in = values + (sz * shape[1] + nearest_exact(y, shape[1], low_shape[1])) * width;
      float *restrict out = small + z * low_plane + y * low_row;
      for (ptrdiff_t x = 0; x < low_row; x++) out[x] = in[low[x]];
    }
  }
  for (ptrdiff_t x = 0; x < width; x++) {
    const interval ix = linear_interval(x, low_row, width);
    low[x] = (int32_t)ix.low;
    high[x] = (int32_t)ix.high;
    weight[x] = ix.weight;
  }
  for (ptrdiff_t z = 0; z < shape[0]; z++) {
    const interval iz = linear_interval(z, low_shape[0], shape[0]);
    for (ptrdiff_t y = 0; y < shape[1]; y++) {
      const interval iy = linear_interval(y, low_shape[1], shape[1]);
      const float *near = small + iz.low * low_plane, *far = small + iz.high * low_plane;
      const float *a = near + iy.low * low_row, *b = near + iy.high * low_row;
      const float *c = far + iy.low * low_row, *d = far + iy.high * low_row;
      const float wz = iz.weight, vz = 1.0f - wz, wy = iy.weight, vy = 1.0f - wy;
      for (ptrdiff_t x = 0; x < low_row; x++) {
        mixed[x] = vz * (vy * a[x] + wy * b[x]) + wz * (vy * c[x] + wy * d[x]);
      }
      float *restrict out = values + (z * shape[1] + y) * width;
      for (ptrdiff_t x = 0; x < width; x++) {
        out[x] = (1.0f - weight[x]) * mixed[low[x]] + weight[x] * mixed[high[x]];
      }
    }
  }
  free(low);
}

NNK_CLONES void nnk_sharpen(
    const float *source, float *target, const ptrdiff_t *shape, int axis_count, float strength) {
  const ptrdiff_t width = shape[2], plane = shape[1] * width;
  const float centre = 2.0f * (float)axis_count;
  for (ptrdiff_t z = 0; z < shape[0]; z++) {
    const ptrdiff_t above = axis_count == 3 && z > 0 ? plane : 0;
    const ptrdiff_t below = axis_count == 3 && z + 1 < shape[0] ? plane : 0;
    for (ptrdiff_t y = 0; y < shape[1]; y++) {
      const float *in = source + z * plane + y * width;
      const ptrdiff_t before = y > 0 ? width : 0, after = y + 1 < shape[1] ? width : 0;
      float *restrict out = target + z * plane + y * width;
      for (ptrdiff_t x = 0; x < width; x++) {
        const float left = in[x > 0 ? x - 1 : 0], right = in[x + 1 < width ? x + 1 : x];
        float laplace = centre * in[x] - left - right - in[x - before] - in[x + after];
        if (axis_count == 3) laplace = laplace - in[x - above] - in[x + below];
        out[x] = strength * laplace + in[x];
      }
    }
  }
}

// Moves the `rank`-th smallest of the values to its place.
static float select_rank(float *values, ptrdiff_t count, ptrdiff_t rank) {
  ptrdiff_t low = 0, high = count - 1;
  while (low < high) {
    const float pivot = values[(low + high) / 2];
    ptrdiff_t i = low, j = high;
    while (i <= j) {
      while (values[i] < pivot) i++;
      while (pivot < values[j]) j--;
      if (i <= j) {
        const float swapped = values[i];
        values[i++] = values[j];
        values[j--] = swapped;
      }
    }
    if (rank <= j) high = j;
    else if (rank >= i) low = i;
    else break;
  }
  return values[rank];
}

// Reflection that repeats the edge.
static ptrdiff_t mirror_edge(ptrdiff_t index, ptrdiff_t extent) {
  const ptrdiff_t period = 2 * extent;
  index %= period;
  if (index < 0) index += period;
  return index < extent ? index : period - 1 - index;
}

void nnk_median(
    const float *source, float *target, const ptrdiff_t *shape, int axis_count, ptrdiff_t size) {
  const ptrdiff_t depth = axis_count == 3 ? size : 1, count = depth * size * size;
  float *window = malloc(sizeof(float) * (size_t)count);
  ptrdiff_t *columns = malloc(sizeof(ptrdiff_t) * (size_t)(shape[2] + size));
  if (!window || !columns) abort();
  // A window of even size reaches one voxel further down than up.
  for (ptrdiff_t i = 0; i < shape[2] + size; i++) columns[i] = mirror_edge(i - size / 2, shape[2]);
  for (ptrdiff_t z = 0; z < shape[0]; z++) {
    for (ptrdiff_t y = 0; y < shape[1]; y++) {
      for (ptrdiff_t x = 0; x < shape[2]; x++) {
        ptrdiff_t filled = 0;
        for (ptrdiff_t k = 0; k < depth; k++) {
          const ptrdiff_t iz = mirror_edge(z + k - depth / 2, shape[0]);
          for (ptrdiff_t j = 0; j < size; j++) {
            const ptrdiff_t iy = mirror_edge(y + j - size / 2, shape[1]);
            const float *row = source + (iz * shape[1] + iy) * shape[2];
            for (ptrdiff_t i = 0; i < size; i++) window[filled++] = row[columns[x + i]];
          }
        }
        target[(z * shape[1] + y) * shape[2] + x] = select_rank(window, count, count / 2);
      }
    }
  }
  free(columns);
  free(window);
}

NNK_CLONES void nnk_add_product(
    float *values, const ptrdiff_t *shape, const float *along_z, const float *along_y, const float *along_x,
    float shift, float factor) {
  for (ptrdiff_t z = 0; z < shape[0]; z++) {
    for (ptrdiff_t y = 0; y < shape[1]; y++) {
      const float outer = along_z[z] * along_y[y];
      float *restrict out = values + (z * shape[1] + y) * shape[2];
      for (ptrdiff_t x = 0; x < shape[2]; x++) out[x] += (outer * along_x[x] - shift) * factor;
    }
  }
}

NNK_CLONES void nnk_local_power(
    float *values, const ptrdiff_t *shape, const float *along_z, const float *along_y, const float *along_x,
    const nnk_local_gamma *gamma) {
  for (ptrdiff_t z = 0; z < shape[0]; z++) {
    for (ptrdiff_t y = 0; y < shape[1]; y++) {
      const float outer = along_z[z] * along_y[y];
      float *restrict out = values + (z * shape[1] + y) * shape[2];
      for (ptrdiff_t x = 0; x < shape[2]; x++) {
        const float weight = (outer * along_x[x] - gamma->shift) * gamma->factor;
        const float relative = (out[x] - gamma->lower) / gamma->range;
        const float mixed = nnk_powf(relative, gamma->exponent) * weight + (1.0f - weight) * relative;
        out[x] = mixed * gamma->range + gamma->lower;
      }
    }
  }
}

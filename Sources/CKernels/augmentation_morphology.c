// Morphology of masks for the corruption of a previous stage: dilation by rows, and connected components.
#include "CKernels.h"
#include "augmentation_internal.h"

// Any of `reach` + 1 neighbours to the right, by doubling: out[x] = any of in[x...x + reach].
static NNK_INLINE void run_maximum(const uint8_t *in, uint8_t *restrict out, uint8_t *restrict other,
                                   ptrdiff_t count, ptrdiff_t reach) {
  memcpy(out, in, (size_t)count);
  ptrdiff_t covered = 0;
  while (covered < reach) {
    const ptrdiff_t step = covered + 1 <= reach - covered ? covered + 1 : reach - covered;
    for (ptrdiff_t x = 0; x + step < count; x++) other[x] = out[x] | out[x + step];
    memcpy(out, other, (size_t)(count > step ? count - step : 0));
    covered += step;
  }
}

NNK_CLONES void nnk_dilate(
    const uint8_t *mask, uint8_t *target, const ptrdiff_t *shape, const int32_t *offsets, ptrdiff_t offset_count) {
  const ptrdiff_t width = shape[2];
  ptrdiff_t longest = 1;
  for (ptrdiff_t i = 0; i < offset_count; i++) {
    const ptrdiff_t reach = offsets[4 * i + 3] - offsets[4 * i + 2];
    const ptrdiff_t left = offsets[4 * i + 2] < 0 ? -offsets[4 * i + 2] : offsets[4 * i + 2];
    if (reach + left > longest) longest = reach + left;
  }
  // A row with zeros on both sides, its running maximum, and room for one more.
  const ptrdiff_t padding = longest + 1, length = width + 2 * padding;
  uint8_t *row = calloc((size_t)(3 * length), 1);
  if (!row) abort();
  uint8_t *run = row + length, *other = run + length;
  memset(target, 0, (size_t)(shape[0] * shape[1] * width));
  for (ptrdiff_t z = 0; z < shape[0]; z++) {
    for (ptrdiff_t y = 0; y < shape[1]; y++) {
      const uint8_t *in = mask + (z * shape[1] + y) * width;
      if (!memchr(in, 1, (size_t)width)) continue;
      memcpy(row + padding, in, (size_t)width);
      ptrdiff_t reach = -1;
      for (ptrdiff_t i = 0; i < offset_count; i++) {
        const int32_t *offset = offsets + 4 * i;
        // Where this row is seen at the offset from: the place lies the other way.
        const ptrdiff_t tz = z - offset[0], ty = y - offset[1];
        if (tz < 0 || tz >= shape[0] || ty < 0 || ty >= shape[1]) continue;
        if (offset[3] - offset[2] != reach) {
          reach = offset[3] - offset[2];
          run_maximum(row, run, other, length, reach);
        }
        uint8_t *restrict out = target + (tz * shape[1] + ty) * width;
        const uint8_t *from = run + padding + offset[2];
        for (ptrdiff_t x = 0; x < width; x++) out[x] |= from[x];
      }
    }
  }
  free(row);
}

static int32_t find_root(int32_t *parents, int32_t node) {
  while (parents[node] != node) {
    parents[node] = parents[parents[node]];
    node = parents[node];
  }
  return node;
}

int32_t nnk_label_components(const uint8_t *mask, int32_t *labels, const ptrdiff_t *shape) {
  const ptrdiff_t width = shape[2], plane = shape[1] * width, count = shape[0] * plane;
  ptrdiff_t capacity = 1024;
  int32_t *parents = malloc(sizeof(int32_t) * (size_t)capacity);
  if (!parents) abort();
  int32_t next = 1;
  parents[0] = 0;
  for (ptrdiff_t z = 0; z < shape[0]; z++) {
    for (ptrdiff_t y = 0; y < shape[1]; y++) {
      for (ptrdiff_t x = 0; x < width; x++) {
        const ptrdiff_t here = z * plane + y * width + x;
        labels[here] = 0;
        if (!mask[here]) continue;
        int32_t root = 0;
        // The thirteen neighbours that were visited before.
        for (int k = 0; k < 13; k++) {
          const ptrdiff_t nz = z + k / 9 - 1, ny = y + k / 3 % 3 - 1, nx = x + k % 3 - 1;
          if (nz < 0 || ny < 0 || ny >= shape[1] || nx < 0 || nx >= width) continue;
          const int32_t label = labels[nz * plane + ny * width + nx];
          if (!label) continue;
          const int32_t found = find_root(parents, label);
          if (!root) root = found;
          if (found < root) {
            parents[root] = found;
            root = found;
          } else {
            parents[found] = root;
          }
        }
        if (!root) {
          if (next == capacity) {
            capacity *= 2;
            int32_t *grown = realloc(parents, sizeof(int32_t) * (size_t)capacity);
            if (!grown) abort();
            parents = grown;
          }
          parents[next] = next;
          root = next++;
        }
        labels[here] = root;
      }
    }
  }
  // Roots are the smallest of their component, so that numbers follow the order of first voxels.
  int32_t number = 0;
  for (int32_t node = 1; node < next; node++) {
    parents[node] = parents[node] == node ? -(++number) : parents[node];
  }
  for (int32_t node = 1; node < next; node++) {
    if (parents[node] > 0) parents[node] = parents[parents[node]];
  }
  for (ptrdiff_t i = 0; i < count; i++) labels[i] = -parents[labels[i]];
  free(parents);
  return number;
}

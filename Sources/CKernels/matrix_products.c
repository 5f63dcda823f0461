// The inner loops of convolutions on the matrix unit, and the same sums without one, for tests on any processor.
#include <sys/syscall.h>
#include <unistd.h>
#include "matrix_internal.h"

#define AMX __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512bf16,amx-tile,amx-bf16")))

enum { REQUEST_PERMISSION = 0x1023, TILE_DATA = 18 };  // of arch_prctl

// Linux hands the unit's registers out on request, once for a process.
static int has_permission(void) {
  static int known;  // 0 unknown, 1 no, 2 yes; threads that race find the same
  if (!known) known = syscall(SYS_arch_prctl, REQUEST_PERMISSION, TILE_DATA) == 0 ? 2 : 1;
  return known == 2;
}

int nnk_cpu_has_amx(void) {
  return nnk_cpu_has_avx512_bf16() && __builtin_cpu_supports("amx-tile") && __builtin_cpu_supports("amx-bf16") &&
         has_permission();
}

AMX static void configure(void) {
  struct {
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
  } c;
  memset(&c, 0, sizeof c);
  c.palette = 1;
  for (int i = 0; i < 8; ++i) c.row_bytes[i] = 64, c.rows[i] = HALF;
  _tile_loadconfig(&c);
}
AMX static void release(void) { _tile_release(); }

void nnk_matrix_begin(int is_portable) {
  if (!is_portable) configure();
}
void nnk_matrix_end(int is_portable) {
  if (!is_portable) release();
}

// Registers 0 to 3 hold the result, 4 and 5 rows, 6 and 7 what they are multiplied with.
#define STEP(X0, X1, STRIDE, W0, W1)                                                                                  \
  _tile_loadd(4, X0, STRIDE), _tile_loadd(6, W0, 64), _tile_loadd(7, W1, 64), _tile_loadd(5, X1, STRIDE),             \
    _tile_dpbf16ps(0, 4, 6), _tile_dpbf16ps(1, 4, 7), _tile_dpbf16ps(2, 5, 6), _tile_dpbf16ps(3, 5, 7)
#define STORE_RESULT(TO)                                                                                              \
  _tile_stored(0, TO, 64), _tile_stored(1, TO + 256, 64), _tile_stored(2, TO + 512, 64), _tile_stored(3, TO + 768, 64)

AMX static void rows_amx(const char *const *rows, ptrdiff_t offset, ptrdiff_t count, const char *weight, float *out) {
  _tile_zero(0), _tile_zero(1), _tile_zero(2), _tile_zero(3);
  for (ptrdiff_t i = 0; i < count; ++i, weight += 2 * MATRIX_BYTES) {
    const char *x = rows[i] + offset;
    STEP(x, x + MATRIX_BYTES, 64, weight, weight + MATRIX_BYTES);
  }
  STORE_RESULT(out);
}

AMX static void sums_amx(const char *d, ptrdiff_t stride, ptrdiff_t other, const char *x, ptrdiff_t block, ptrdiff_t count,
                         float *sums) {
  _tile_loadd(0, sums, 64), _tile_loadd(1, sums + 256, 64), _tile_loadd(2, sums + 512, 64), _tile_loadd(3, sums + 768, 64);
  for (ptrdiff_t i = 0; i < count; ++i, d += 64, x += MATRIX_BYTES) STEP(d, d + other, stride, x, x + block);
  STORE_RESULT(sums);
}

// out += a . b of one matrix each: 16 rows of 32 numbers, and 16 pairs of rows of 16.
static void add_product(const char *a, ptrdiff_t stride, const char *b, float *out) {
  for (int r = 0; r < HALF; ++r)
    for (int k = 0; k < SIDE; ++k)
      for (int c = 0; c < HALF; ++c)
        out[r * HALF + c] += nnk_load(a + r * stride, k, NNK_BFLOAT16) * nnk_load(b, (k / 2 * HALF + c) * 2 + k % 2, NNK_BFLOAT16);
}

void nnk_matrix_rows(int is_portable, const char *const *rows, ptrdiff_t offset, ptrdiff_t count, const char *weight, float *out) {
  if (!is_portable) return rows_amx(rows, offset, count, weight, out);
  memset(out, 0, SIDE * SIDE * sizeof(float));
  for (ptrdiff_t i = 0; i < count; ++i, weight += 2 * MATRIX_BYTES)
    for (int m = 0; m < 4; ++m)
      add_product(rows[i] + offset + m / 2 * MATRIX_BYTES, 64, weight + m % 2 * MATRIX_BYTES, out + m * HALF * HALF);
}

void nnk_matrix_sums(int is_portable, const char *d, ptrdiff_t stride, ptrdiff_t other, const char *x, ptrdiff_t block,
                     ptrdiff_t count, float *sums) {
  if (!is_portable) return sums_amx(d, stride, other, x, block, count, sums);
  for (ptrdiff_t i = 0; i < count; ++i, d += 64, x += MATRIX_BYTES)
    for (int m = 0; m < 4; ++m) add_product(d + m / 2 * other, stride, x + m % 2 * block, sums + m * HALF * HALF);
}

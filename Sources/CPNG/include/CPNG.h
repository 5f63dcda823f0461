// Reading PNG through libpng, whose errors are longjmp: they end here and become a return value.
#pragma once
#include <stddef.h>
#include <stdint.h>

typedef struct {
  uint32_t width, height;
  int32_t bit_depth;       // as stored: 1 to 16
  int32_t color_type;      // 0 grey, 2 RGB, 3 table, 4 grey with alpha, 6 RGB with alpha
  int32_t channel_count;   // of the decoded pixels
  int32_t sample_size;     // bytes per decoded sample: 1, or 2 in the machine's order
} nni_png_info;

enum { nni_message_size = 160 };

/// Reads the header into `info`; with `pixels`, which must have room for all of them, decodes too.
/// Returns 0, or -1 with a text in `message`.
int nni_png_read(const uint8_t *bytes, size_t count, nni_png_info *info, uint8_t *pixels, size_t size,
                 char message[nni_message_size]);

const char *nni_png_version(void);

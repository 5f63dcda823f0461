// Reading JPEG through libjpeg, whose errors end the program unless caught: they become a return value here.
#pragma once
#include <stddef.h>
#include <stdint.h>

typedef struct {
  uint32_t width, height;
  int32_t channel_count;  // 1 grey, 3 RGB
} nni_jpeg_info;

/// Reads the header into `info`; with `pixels`, which must have room for all of them, decodes too.
/// Returns 0, or -1 with a text in `message` of 200 bytes.
int nni_jpeg_read(const uint8_t *bytes, size_t count, nni_jpeg_info *info, uint8_t *pixels, size_t size,
                  char *message);

const char *nni_jpeg_version(void);

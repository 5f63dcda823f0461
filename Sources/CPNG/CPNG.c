// libpng's reader behind one call. Every path leaves through `done`, where the structures are freed.
#include "include/CPNG.h"
#include <png.h>
#include <setjmp.h>
#include <stdio.h>
#include <string.h>

typedef struct {
  const uint8_t *bytes;
  size_t count, position;
  char *message;
} reader;

static void take(png_structp png, png_bytep target, size_t count) {
  reader *source = png_get_io_ptr(png);
  if (count > source->count - source->position) png_error(png, "the file ends too early");
  memcpy(target, source->bytes + source->position, count);
  source->position += count;
}

static void on_error(png_structp png, png_const_charp text) {
  reader *source = png_get_error_ptr(png);
  snprintf(source->message, nni_message_size, "%s", text);
  png_longjmp(png, 1);
}

static void on_warning(png_structp png, png_const_charp text) {
  (void)png;
  (void)text;
}

// Small samples become bytes: greys of 2 and 4 bits are stretched to 0...255, those of 1 bit stay 0 and 1.
// Colours of 16 bits keep their upper byte, colour tables become colours without transparency.
static void set_up(png_structp png, png_infop info, nni_png_info *result) {
  int type = png_get_color_type(png, info), depth = png_get_bit_depth(png, info);
  result->width = png_get_image_width(png, info);
  result->height = png_get_image_height(png, info);
  result->bit_depth = depth;
  result->color_type = type;
  if (type == PNG_COLOR_TYPE_PALETTE) {
    png_set_palette_to_rgb(png);
    if (png_get_valid(png, info, PNG_INFO_tRNS)) png_set_strip_alpha(png);
  } else if (type == PNG_COLOR_TYPE_GRAY && depth == 1) {
    png_set_packing(png);
  } else if (type == PNG_COLOR_TYPE_GRAY && depth < 8) {
    png_set_expand_gray_1_2_4_to_8(png);
  } else if (depth == 16 && type == PNG_COLOR_TYPE_GRAY) {
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    png_set_swap(png);
#endif
  } else if (depth == 16) {
    png_set_strip_16(png);
  }
}

int nni_png_read(const uint8_t *bytes, size_t count, nni_png_info *result, uint8_t *pixels, size_t size,
                 char message[nni_message_size]) {
  reader source = {bytes, count, 0, message};
  png_structp png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &source, on_error, on_warning);
  if (!png) {
    snprintf(message, nni_message_size, "libpng cannot start");
    return -1;
  }
  png_infop volatile info = png_create_info_struct(png);
  volatile int status = -1;
  if (!info || setjmp(png_jmpbuf(png))) goto done;
  png_set_read_fn(png, &source, take);
  png_set_user_limits(png, 0x7fffffff, 0x7fffffff);
  png_read_info(png, info);
  set_up(png, info, result);
  int passes = png_set_interlace_handling(png);
  png_read_update_info(png, info);
  result->channel_count = png_get_channels(png, info);
  result->sample_size = png_get_bit_depth(png, info) == 16 ? 2 : 1;
  size_t row = png_get_rowbytes(png, info);
  if (row != (size_t)result->width * result->channel_count * result->sample_size)
    png_error(png, "unexpected row size");
  if (pixels) {
    if (size / row < result->height) png_error(png, "too little room for the pixels");
    for (int pass = 0; pass < passes; pass++)
      for (uint32_t y = 0; y < result->height; y++) png_read_row(png, pixels + y * row, NULL);
    png_read_end(png, NULL);
  }
  status = 0;
done: {
  png_infop taken = info;
  png_destroy_read_struct(&png, taken ? &taken : NULL, NULL);
}
  return status;
}

const char *nni_png_version(void) { return png_get_libpng_ver(NULL); }

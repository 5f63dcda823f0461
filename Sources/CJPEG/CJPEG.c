// libjpeg's decompressor behind one call. Data that end early are an error, not a grey rest.
#include "include/CJPEG.h"
#include <setjmp.h>
#include <stdio.h>
#include <jpeglib.h>
#include <jerror.h>

typedef struct {
  struct jpeg_error_mgr manager;
  jmp_buf escape;
  char *message;
} failure;

static void on_error(j_common_ptr info) {
  failure *error = (failure *)info->err;
  char text[JMSG_LENGTH_MAX];
  (*info->err->format_message)(info, text);
  snprintf(error->message, 200, "%s", text);
  longjmp(error->escape, 1);
}

static void on_message(j_common_ptr info, int level) {
  if (level >= 0) return;
  switch (info->err->msg_code) {
  case JWRN_JPEG_EOF:
  case JWRN_HIT_MARKER:
  case JWRN_HUFF_BAD_CODE:
  case JWRN_MUST_RESYNC:
  case JWRN_ARITH_BAD_CODE: on_error(info);
  default: return;
  }
}

static void say_nothing(j_common_ptr info) { (void)info; }

int nni_jpeg_read(const uint8_t *bytes, size_t count, nni_jpeg_info *result, uint8_t *pixels, size_t size,
                  char *message) {
  struct jpeg_decompress_struct info = {0};
  failure error;
  error.message = message;
  info.err = jpeg_std_error(&error.manager);
  error.manager.error_exit = on_error;
  error.manager.emit_message = on_message;
  error.manager.output_message = say_nothing;
  if (setjmp(error.escape)) {
    jpeg_destroy_decompress(&info);
    return -1;
  }
  jpeg_create_decompress(&info);
  jpeg_mem_src(&info, bytes, count);
  jpeg_read_header(&info, TRUE);
  result->width = info.image_width;
  result->height = info.image_height;
  result->channel_count = info.num_components;
  if (info.num_components == 3) info.out_color_space = JCS_RGB;
  if (info.num_components != 1 && info.num_components != 3) {
    snprintf(message, 200, "%d colour components; only grey and RGB are read", info.num_components);
    jpeg_destroy_decompress(&info);
    return -1;
  }
  if (pixels) {
    size_t row = (size_t)info.image_width * info.num_components;
    if (row == 0 || size / row < info.image_height) {
      snprintf(message, 200, "too little room for the pixels");
      jpeg_destroy_decompress(&info);
      return -1;
    }
    jpeg_start_decompress(&info);
    while (info.output_scanline < info.output_height) {
      JSAMPROW line = pixels + info.output_scanline * row;
      jpeg_read_scanlines(&info, &line, 1);
    }
    jpeg_finish_decompress(&info);
  }
  jpeg_destroy_decompress(&info);
  return 0;
}

#define TEXT(x) #x
#define VALUE(x) TEXT(x)
const char *nni_jpeg_version(void) {
#ifdef LIBJPEG_TURBO_VERSION
  return "libjpeg-turbo " VALUE(LIBJPEG_TURBO_VERSION);
#else
  return VALUE(JPEG_LIB_VERSION);
#endif
}

// libtiff over bytes in memory: nothing is read from disk, and errors are kept as text beside the file.
#include "include/CTIFF.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tiffio.h>

struct nni_tiff {
  TIFF *tiff;
  const uint8_t *bytes;
  size_t count;
  uint64_t position;
  char message[nni_tiff_message_size];
};

static tmsize_t take(thandle_t handle, void *target, tmsize_t count) {
  nni_tiff *file = (nni_tiff *)handle;
  if (count <= 0 || file->position >= file->count) return 0;
  size_t rest = file->count - file->position;
  size_t taken = (size_t)count < rest ? (size_t)count : rest;
  memcpy(target, file->bytes + file->position, taken);
  file->position += taken;
  return (tmsize_t)taken;
}

static tmsize_t refuse(thandle_t handle, void *source, tmsize_t count) {
  (void)handle;
  (void)source;
  (void)count;
  return -1;
}

static toff_t move(thandle_t handle, toff_t offset, int whence) {
  nni_tiff *file = (nni_tiff *)handle;
  switch (whence) {
  case SEEK_SET: file->position = offset; break;
  case SEEK_CUR: file->position += offset; break;
  case SEEK_END: file->position = file->count + offset; break;
  default: return (toff_t)-1;
  }
  return file->position;
}

static int leave(thandle_t handle) {
  (void)handle;
  return 0;
}

static toff_t measure(thandle_t handle) { return ((nni_tiff *)handle)->count; }

static int on_error(TIFF *tiff, void *user, const char *module, const char *format, va_list arguments) {
  (void)tiff;
  (void)module;
  nni_tiff *file = user;
  // The first error is the cause, later ones its consequences.
  if (!file->message[0]) vsnprintf(file->message, sizeof file->message, format, arguments);
  return 1;
}

static int on_warning(TIFF *tiff, void *user, const char *module, const char *format, va_list arguments) {
  (void)tiff;
  (void)user;
  (void)module;
  (void)format;
  (void)arguments;
  return 1;
}

nni_tiff *nni_tiff_open(const uint8_t *bytes, size_t count, size_t memory_limit, char *message) {
  nni_tiff *file = calloc(1, sizeof *file);
  TIFFOpenOptions *options = TIFFOpenOptionsAlloc();
  if (!file || !options) {
    snprintf(message, nni_tiff_message_size, "no memory");
    free(file);
    if (options) TIFFOpenOptionsFree(options);
    return NULL;
  }
  file->bytes = bytes;
  file->count = count;
  TIFFOpenOptionsSetMaxSingleMemAlloc(options, (tmsize_t)memory_limit);
  TIFFOpenOptionsSetErrorHandlerExtR(options, on_error, file);
  TIFFOpenOptionsSetWarningHandlerExtR(options, on_warning, file);
  // m: no memory mapping; the bytes are in memory already.
  file->tiff = TIFFClientOpenExt("image", "rm", (thandle_t)file, take, refuse, move, leave, measure, NULL, NULL,
                                 options);
  TIFFOpenOptionsFree(options);
  if (!file->tiff) {
    snprintf(message, nni_tiff_message_size, "%s", file->message[0] ? file->message : "no TIFF header");
    free(file);
    return NULL;
  }
  return file;
}

void nni_tiff_close(nni_tiff *file) {
  TIFFClose(file->tiff);
  free(file);
}

int nni_tiff_select(nni_tiff *file, uint32_t page, nni_tiff_page *info) {
  TIFF *tiff = file->tiff;
  file->message[0] = 0;
  if (page > 0) {
    if (TIFFLastDirectory(tiff)) return 1;
    if (!TIFFReadDirectory(tiff)) return file->message[0] ? -1 : 1;
  }
  if (file->message[0]) return -1;
  uint32_t depth = 1, kind = 0;
  uint16_t planar = PLANARCONFIG_CONTIG;
  memset(info, 0, sizeof *info);
  if (!TIFFGetField(tiff, TIFFTAG_IMAGEWIDTH, &info->width) ||
      !TIFFGetField(tiff, TIFFTAG_IMAGELENGTH, &info->height)) {
    snprintf(file->message, sizeof file->message, "page %u has no width or height", page);
    return -1;
  }
  TIFFGetFieldDefaulted(tiff, TIFFTAG_SAMPLESPERPIXEL, &info->sample_count);
  TIFFGetFieldDefaulted(tiff, TIFFTAG_BITSPERSAMPLE, &info->bit_count);
  TIFFGetFieldDefaulted(tiff, TIFFTAG_SAMPLEFORMAT, &info->sample_format);
  TIFFGetFieldDefaulted(tiff, TIFFTAG_COMPRESSION, &info->compression);
  TIFFGetFieldDefaulted(tiff, TIFFTAG_PLANARCONFIG, &planar);
  TIFFGetField(tiff, TIFFTAG_PHOTOMETRIC, &info->photometric);
  if (TIFFGetField(tiff, TIFFTAG_IMAGEDEPTH, &depth)) info->depth = depth;
  else info->depth = 1;
  if (TIFFGetField(tiff, TIFFTAG_SUBFILETYPE, &kind)) info->is_reduced = (kind & FILETYPE_REDUCEDIMAGE) != 0;
  info->is_planar = planar == PLANARCONFIG_SEPARATE && info->sample_count > 1;
  info->is_tiled = TIFFIsTiled(tiff);
  return 0;
}

const char *nni_tiff_description(nni_tiff *file) {
  char *text = NULL;
  return TIFFGetField(file->tiff, TIFFTAG_IMAGEDESCRIPTION, &text) ? text : NULL;
}

size_t nni_tiff_row_size(nni_tiff *file) {
  tmsize_t size = TIFFScanlineSize(file->tiff);
  return size > 0 ? (size_t)size : 0;
}

static int fail(nni_tiff *file, const char *text) {
  if (!file->message[0]) snprintf(file->message, sizeof file->message, "%s", text);
  return -1;
}

static int read_tiles(nni_tiff *file, uint8_t *pixels, uint32_t width, uint32_t height, size_t row, int planes) {
  TIFF *tiff = file->tiff;
  uint32_t tile_width = 0, tile_height = 0;
  TIFFGetField(tiff, TIFFTAG_TILEWIDTH, &tile_width);
  TIFFGetField(tiff, TIFFTAG_TILELENGTH, &tile_height);
  tmsize_t size = TIFFTileSize(tiff), tile_row = TIFFTileRowSize(tiff);
  if (!tile_width || !tile_height || size <= 0 || tile_row <= 0 || tile_row > size / (tmsize_t)tile_height)
    return fail(file, "tiles without a size");
  uint8_t *tile = malloc((size_t)size);
  if (!tile) return fail(file, "no memory for a tile");
  size_t pixel = row / width;
  int status = 0;
  for (int plane = 0; plane < planes && !status; plane++)
    for (uint64_t y = 0; y < height && !status; y += tile_height)
      for (uint64_t x = 0; x < width && !status; x += tile_width) {
        ttile_t index = TIFFComputeTile(tiff, (uint32_t)x, (uint32_t)y, 0, (uint16_t)plane);
        if (TIFFReadEncodedTile(tiff, index, tile, size) != size) status = fail(file, "a tile is cut off");
        uint64_t rows = height - y < tile_height ? height - y : tile_height;
        size_t length = (size_t)(width - x < tile_width ? width - x : tile_width) * pixel;
        for (uint64_t i = 0; i < rows && !status; i++)
          memcpy(pixels + ((size_t)plane * height + y + i) * row + x * pixel, tile + i * (size_t)tile_row, length);
      }
  free(tile);
  return status;
}

static int read_strips(nni_tiff *file, uint8_t *pixels, uint32_t height, size_t row, int planes) {
  TIFF *tiff = file->tiff;
  uint32_t rows_per_strip = height;
  TIFFGetFieldDefaulted(tiff, TIFFTAG_ROWSPERSTRIP, &rows_per_strip);
  if (!rows_per_strip) return fail(file, "strips without rows");
  if (rows_per_strip > height) rows_per_strip = height;
  for (int plane = 0; plane < planes; plane++)
    for (uint64_t y = 0; y < height; y += rows_per_strip) {
      uint64_t rows = height - y < rows_per_strip ? height - y : rows_per_strip;
      tmsize_t wanted = (tmsize_t)(rows * row);
      tstrip_t index = TIFFComputeStrip(tiff, (uint32_t)y, (uint16_t)plane);
      if (TIFFReadEncodedStrip(tiff, index, pixels + ((size_t)plane * height + y) * row, wanted) != wanted)
        return fail(file, "a strip is cut off");
    }
  return 0;
}

int nni_tiff_read(nni_tiff *file, uint8_t *pixels, size_t size) {
  uint32_t width = 0, height = 0;
  uint16_t samples = 1, planar = PLANARCONFIG_CONTIG;
  file->message[0] = 0;
  TIFFGetField(file->tiff, TIFFTAG_IMAGEWIDTH, &width);
  TIFFGetField(file->tiff, TIFFTAG_IMAGELENGTH, &height);
  TIFFGetFieldDefaulted(file->tiff, TIFFTAG_SAMPLESPERPIXEL, &samples);
  TIFFGetFieldDefaulted(file->tiff, TIFFTAG_PLANARCONFIG, &planar);
  int planes = planar == PLANARCONFIG_SEPARATE && samples > 1 ? samples : 1;
  size_t row = nni_tiff_row_size(file);
  if (!row || !width || size / row / (size_t)planes < height) return fail(file, "too little room for the pixels");
  return TIFFIsTiled(file->tiff) ? read_tiles(file, pixels, width, height, row, planes)
                                 : read_strips(file, pixels, height, row, planes);
}

const char *nni_tiff_message(nni_tiff *file) { return file->message; }
const char *nni_tiff_version(void) { return TIFFGetVersion(); }

// Reading TIFF through libtiff, whose fields are variadic calls that Swift cannot make.
#pragma once
#include <stddef.h>
#include <stdint.h>

typedef struct nni_tiff nni_tiff;

typedef struct {
  uint32_t width, height;
  uint32_t depth;            // slices inside one page
  uint16_t sample_count, bit_count;
  uint16_t sample_format;    // 1 unsigned, 2 signed, 3 real, 5 and 6 complex
  uint16_t photometric, compression;
  int32_t is_planar;         // samples lie in planes, not side by side
  int32_t is_tiled;
  int32_t is_reduced;        // a small copy of another page
} nni_tiff_page;

enum { nni_tiff_message_size = 200 };

/// Opens a file that lies in memory; the bytes must stay until it is closed. NULL with a text in `message` on failure.
/// No single allocation of the library exceeds `memory_limit` bytes.
nni_tiff *nni_tiff_open(const uint8_t *bytes, size_t count, size_t memory_limit, char *message);
void nni_tiff_close(nni_tiff *file);

/// Goes to a page. 0 on success, 1 if there is no such page, -1 on failure with a text in `nni_tiff_message`.
int nni_tiff_select(nni_tiff *file, uint32_t page, nni_tiff_page *info);

/// The ImageDescription of the selected page, or NULL.
const char *nni_tiff_description(nni_tiff *file);

/// Bytes per row of a plane of the selected page; with samples side by side there is one plane.
size_t nni_tiff_row_size(nni_tiff *file);

/// Decodes the selected page plane by plane, row by row. 0 on success, -1 on failure.
int nni_tiff_read(nni_tiff *file, uint8_t *pixels, size_t size);

const char *nni_tiff_message(nni_tiff *file);
const char *nni_tiff_version(void);

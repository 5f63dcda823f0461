#define NNK_AVX2
#include "winograd_tiles.c"

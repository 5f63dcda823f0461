#define NNK_AVX2
#include "winograd.c"

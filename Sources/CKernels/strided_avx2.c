#define NNK_AVX2
#include "strided.c"

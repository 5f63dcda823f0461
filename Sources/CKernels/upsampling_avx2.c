#define NNK_AVX2
#include "upsampling.c"

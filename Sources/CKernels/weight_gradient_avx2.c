#define NNK_AVX2
#include "weight_gradient.c"

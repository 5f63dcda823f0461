#define NNK_AVX2
#include "products.c"

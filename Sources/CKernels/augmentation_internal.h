// What the two files of augmentation kernels share.
#pragma once
#include <math.h>
#include <stdlib.h>
#include <string.h>

// The same bits on every CPU: no clone may fuse multiplications with additions.
#pragma STDC FP_CONTRACT OFF

#define NNK_INLINE inline __attribute__((always_inline))
#if defined(__x86_64__) && defined(__linux__)
#define NNK_CLONES __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define NNK_CLONES
#endif

// Kernels on plain float32 tensors of any rank up to 8: what losses and layers written in scripts are made of.
#pragma once
#include <stddef.h>

enum { NNK_RANK = 8 };

// Functions of one number; a and b are constants of the function.
typedef enum {
  NNK_AFFINE,    // a x + b
  NNK_EXP,
  NNK_LOG,
  NNK_SQRT,
  NNK_ABS,
  NNK_POWER,     // x^a
  NNK_CLAMP,     // between a and b
  NNK_SIGMOID,
  NNK_TANH,
  NNK_LEAKY,     // x, or a x below 0
  NNK_SOFTPLUS   // log(1 + e^x)
} nnk_function;
void nnk_map(nnk_function f, const float *x, float *y, ptrdiff_t count, float a, float b);
// dx = f'(x) dy, given y = f(x).
void nnk_map_gradient(nnk_function f, const float *x, const float *y, const float *dy, float *dx, ptrdiff_t count,
                      float a, float b);

// Functions of two numbers; the comparisons give 1 or 0.
typedef enum {
  NNK_ADD,
  NNK_SUBTRACT,
  NNK_MULTIPLY,
  NNK_DIVIDE,
  NNK_RAISE,
  NNK_LARGER,
  NNK_SMALLER,
  NNK_LESS,
  NNK_LESS_EQUAL,
  NNK_EQUAL
} nnk_pair;
// y is dense; a and b have strides per axis, 0 where they are repeated. Strides of the last axis are 0 or 1.
void nnk_combine(nnk_pair f, const float *a, const float *b, float *y, const ptrdiff_t shape[NNK_RANK],
                 const ptrdiff_t a_strides[NNK_RANK], const ptrdiff_t b_strides[NNK_RANK]);
// y[...] = x[...] with any strides.
void nnk_copy_view(const float *x, float *y, const ptrdiff_t shape[NNK_RANK], const ptrdiff_t x_strides[NNK_RANK],
                   const ptrdiff_t y_strides[NNK_RANK]);

typedef enum { NNK_SUM, NNK_MAXIMUM, NNK_MINIMUM } nnk_reduction;
// x [outer][count][inner] to y [outer][inner]; sums are taken in double precision.
void nnk_reduce(nnk_reduction r, const float *x, float *y, ptrdiff_t outer, ptrdiff_t count, ptrdiff_t inner);

// y[o][m][i] = x[o][index[o][m][i]][i], 0 where the index lies outside; and its adjoint, which adds dy to dx.
void nnk_gather(const float *x, const float *index, float *y, ptrdiff_t outer, ptrdiff_t extent, ptrdiff_t count,
                ptrdiff_t inner);
void nnk_scatter_add(const float *dy, const float *index, float *dx, ptrdiff_t outer, ptrdiff_t extent, ptrdiff_t count,
                     ptrdiff_t inner);

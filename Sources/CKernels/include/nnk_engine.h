// Kernels of the CPU backend. Activations are blocked by channel: [N][C/B][V][B] with B = 8 or 16 floats,
// V the product of the spatial extents; lanes beyond C hold zeros. "Plain" means [N][C][V].
#pragma once
#include <stddef.h>
#include <stdint.h>

// The pool (libgomp's, which oneDNN uses too).
void nnk_set_thread_count(int count);
int nnk_thread_count(void);
// Runs body(index, context) for every index; contiguous ranges of indices go to fixed threads.
void nnk_parallel(ptrdiff_t count, void (*body)(ptrdiff_t index, void *context), void *context);
int nnk_cpu_has_avx512(void);
int nnk_cpu_has_avx2(void);
int nnk_cpu_has_avx512_bf16(void);

// Instance norm with affine parameters, then leaky ReLU (slope 1 leaves the norm alone).
// mean, rstd: [N][C padded]; gamma, beta: [C padded], zero in the padding.
void nnk_norm_forward(const float *x, float *y, float *mean, float *rstd, const float *gamma, const float *beta,
                      ptrdiff_t samples, ptrdiff_t blocks, ptrdiff_t voxels, int block, float eps, float slope);
// dx may be dy. dgamma_parts, dbeta_parts: [N][C padded], summed by the caller over N.
void nnk_norm_backward(const float *x, const float *dy, float *dx, const float *mean, const float *rstd,
                       const float *gamma, const float *beta, float *dgamma_parts, float *dbeta_parts,
                       ptrdiff_t samples, ptrdiff_t blocks, ptrdiff_t voxels, int block, float slope);

// Leaky ReLU alone; backward takes the forward's output.
void nnk_leaky_relu(const float *x, float *y, ptrdiff_t count, float slope);
void nnk_leaky_relu_backward(const float *y, const float *dy, float *dx, ptrdiff_t count, float slope);

// a[i] += b[i]
void nnk_add_into(float *a, const float *b, ptrdiff_t count);
// a[i] = a[i] * scale
void nnk_scale(float *a, float scale, ptrdiff_t count);
// Sum of squares in double, in a fixed order for a fixed thread count.
double nnk_sum_of_squares(const float *a, ptrdiff_t count);
// Sums over N and V per channel of a blocked tensor: sums [C padded].
void nnk_channel_sums(const float *x, float *sums, ptrdiff_t samples, ptrdiff_t blocks, ptrdiff_t voxels, int block);

// Copies between plain and blocked layouts; lanes beyond C become zeros.
void nnk_plain_to_blocked(const float *x, float *y, ptrdiff_t samples, ptrdiff_t channels, ptrdiff_t voxels, int block);
void nnk_blocked_to_plain(const float *x, float *y, ptrdiff_t samples, ptrdiff_t channels, ptrdiff_t voxels, int block);

// Concatenation of channel blocks and its inverse; a and b are blocked with full blocks except b's last.
void nnk_concatenate(const float *a, const float *b, float *y, ptrdiff_t samples, ptrdiff_t a_size, ptrdiff_t b_size);
void nnk_split(const float *y, float *a, float *b, ptrdiff_t samples, ptrdiff_t a_size, ptrdiff_t b_size);

// Transposed convolution with kernel = stride: t is [N][K*blocks][D*H*W][B], k outermost of the channels;
// y is [N][blocks][D*kd][H*kh][W*kw][B]. bias: [blocks*B] or NULL.
void nnk_depth_to_space(const float *t, float *y, const float *bias, ptrdiff_t samples, ptrdiff_t blocks,
                        const ptrdiff_t extent[3], const ptrdiff_t kernel[3], int block);
void nnk_space_to_depth(const float *y, float *t, ptrdiff_t samples, ptrdiff_t blocks, const ptrdiff_t extent[3],
                        const ptrdiff_t kernel[3], int block);

// Losses on plain logits [N][K][V].
// Softmax over channels; p may be x.
void nnk_softmax(const float *x, float *p, ptrdiff_t samples, ptrdiff_t channels, ptrdiff_t voxels);
void nnk_sigmoid(const float *x, float *p, ptrdiff_t count);
// Cross-entropy of logits x against labels [N][V] (int16); voxels equal to `ignored` do not count (pass -32768 for
// none). Gives, per sample, the sum of -log p and the number of voxels counted.
void nnk_cross_entropy(const float *x, const int16_t *labels, ptrdiff_t samples, ptrdiff_t channels, ptrdiff_t voxels,
                       int ignored, double *sum, int64_t *counted);
// Per sample and class, three sums: intersection, prediction mass, reference mass: [N][K][3].
void nnk_dice_sums(const float *p, const int16_t *labels, ptrdiff_t samples, ptrdiff_t channels, ptrdiff_t voxels,
                   int ignored, double *sums);
// Adds to dx the gradient of  ce_scale * sum(-log p[label])  and of a Dice term whose derivative by p[n][k][v] is
// a[n][k] * y + b[n][k] (a, b: [N][K]); nothing where the label is `ignored`.
void nnk_softmax_loss_gradient(const float *p, const int16_t *labels, float *dx, ptrdiff_t samples, ptrdiff_t channels,
                               ptrdiff_t voxels, int ignored, float ce_scale, const float *a, const float *b);

// Regions: p = sigmoid(x). Five sums per sample and region: binary cross-entropy, intersection, prediction mass,
// reference mass, voxels counted: [N][R][5]. Targets [N][T][V], the last an ignore map if has_ignore.
void nnk_region_sums(const float *x, const float *p, const int16_t *targets, ptrdiff_t samples, ptrdiff_t regions,
                     ptrdiff_t targets_per_sample, ptrdiff_t voxels, int has_ignore, double *sums);
// Adds to dx: bce_scale * (p - y) and the Dice term with derivative a[n][r] * y + b[n][r] by p.
void nnk_region_loss_gradient(const float *p, const int16_t *targets, float *dx, ptrdiff_t samples, ptrdiff_t regions,
                              ptrdiff_t targets_per_sample, ptrdiff_t voxels, int has_ignore, float bce_scale,
                              const float *a, const float *b);

// Stochastic gradient descent with momentum, optionally Nesterov's; weight decay is added to the scaled gradient.
void nnk_sgd(float *w, const float *g, float *m, ptrdiff_t count, float rate, float momentum, float decay, float scale,
             int nesterov, int first);

// Hard predictions against targets, added to counts [K][3]: true positives, false positives, false negatives.
// Labels: the class of the largest logit; the first of equals wins. Regions: logit > 0.
void nnk_label_confusion(const float *x, const int16_t *labels, ptrdiff_t samples, ptrdiff_t channels, ptrdiff_t voxels,
                         int ignored, int64_t *counts);
void nnk_region_confusion(const float *x, const int16_t *targets, ptrdiff_t samples, ptrdiff_t regions,
                          ptrdiff_t targets_per_sample, ptrdiff_t voxels, int has_ignore, int64_t *counts);

// Kernels of the CPU backend. Activations are blocked by channel: [N][C/B][V][B] with B = 8 or 16 floats,
// V the product of the spatial extents; lanes beyond C hold zeros. "Plain" means [N][C][V].
#pragma once
#include <stddef.h>
#include <stdint.h>

// How activations are stored; arithmetic on them is float32 throughout, and parameters are always float32.
typedef enum { NNK_FLOAT32 = 0, NNK_BFLOAT16 = 1 } nnk_type;

// The pool (libgomp's, which oneDNN uses too).
void nnk_set_thread_count(int count);
int nnk_thread_count(void);
// Runs body(index, context) for every index; contiguous ranges of indices go to fixed threads.
void nnk_parallel(ptrdiff_t count, void (*body)(ptrdiff_t index, void *context), void *context);
int nnk_cpu_has_avx512(void);
int nnk_cpu_has_avx2(void);
int nnk_cpu_has_avx512_bf16(void);
// Whether bfloat16 is multiplied faster than float32. Intel's dot products of AVX-512 have half the rate.
int nnk_cpu_prefers_bfloat16(void);
// Whether products of blocks of `lanes` channels can be computed: 16 with AVX-512, 8 with AVX2. Activations of bfloat16
// need AVX-512's dot products with 16; with 8 they are widened and multiplied as float32.
int nnk_lanes_are_supported(nnk_type type, int lanes);
// A matrix unit for bfloat16, with leave from the system to use it.
int nnk_cpu_has_amx(void);

// Instance norm with affine parameters, then leaky ReLU (slope 1 leaves the norm alone).
// mean, rstd: [N][C padded]; gamma, beta: [C padded], zero in the padding.
void nnk_norm_forward(const void *x, void *y, nnk_type type, float *mean, float *rstd, const float *gamma, const float *beta,
                      ptrdiff_t samples, ptrdiff_t blocks, ptrdiff_t voxels, int block, float eps, float slope);
// The result of nnk_norm_forward once more, from its mean and rstd.
void nnk_norm_apply(const void *x, void *y, nnk_type type, const float *mean, const float *rstd, const float *gamma,
                    const float *beta, ptrdiff_t samples, ptrdiff_t blocks, ptrdiff_t voxels, int block, float slope);
// dx may be dy. dgamma_parts, dbeta_parts: [N][C padded], summed by the caller over N.
void nnk_norm_backward(const void *x, const void *dy, void *dx, nnk_type type, const float *mean, const float *rstd,
                       const float *gamma, const float *beta, float *dgamma_parts, float *dbeta_parts,
                       ptrdiff_t samples, ptrdiff_t blocks, ptrdiff_t voxels, int block, float slope);
// The parts of a norm whose statistics reach beyond a plane. Mean and biased variance of every plane: [N][C padded].
void nnk_norm_moments(const void *x, nnk_type type, double *mean, double *variance, ptrdiff_t samples, ptrdiff_t blocks,
                      ptrdiff_t voxels, int block);
// The sums over every plane that the gradients of gamma and beta consist of: [N][C padded].
void nnk_norm_sums(const void *x, const void *dy, nnk_type type, const float *mean, const float *rstd, const float *gamma,
                   const float *beta, double *dgamma, double *dbeta, ptrdiff_t samples, ptrdiff_t blocks,
                   ptrdiff_t voxels, int block, float slope);
// The gradient by x; dx may be dy. centre, tilt: [C padded], the gradients of beta and gamma over the number of values
// that share a mean and a variance; zeros where those are constants.
void nnk_norm_gradient(const void *x, const void *dy, void *dx, nnk_type type, const float *mean, const float *rstd,
                       const float *gamma, const float *beta, const float *centre, const float *tilt, ptrdiff_t samples,
                       ptrdiff_t blocks, ptrdiff_t voxels, int block, float slope);

// Residual sum: y = leaky ReLU of a + b. Backward takes y: g = dy or slope * dy.
void nnk_residual(const void *a, const void *b, void *y, nnk_type type, ptrdiff_t count, float slope);
void nnk_residual_backward(const void *y, const void *dy, void *g, nnk_type type, ptrdiff_t count, float slope);
// Activation functions of activations in any layout; `a` is the slope of NNK_ACT_LEAKY, the alpha of ELU and CELU.
typedef enum {
  NNK_ACT_LEAKY,
  NNK_ACT_RELU6,
  NNK_ACT_ELU,
  NNK_ACT_CELU,
  NNK_ACT_SELU,
  NNK_ACT_GELU,       // by the error function
  NNK_ACT_GELU_TANH,  // by its approximation
  NNK_ACT_SILU,
  NNK_ACT_MISH,
  NNK_ACT_HARDSWISH,
  NNK_ACT_TANH
} nnk_activation;
void nnk_activate(nnk_activation f, const void *x, void *y, nnk_type type, ptrdiff_t count, float a);
// dx = f'(x) dy
void nnk_activate_backward(nnk_activation f, const void *x, const void *dy, void *dx, nnk_type type, ptrdiff_t count,
                           float a);
// Per plane of a blocked tensor the sum of dy x over the voxels where x is not above 0: leaky ReLU's derivative by its slope.
void nnk_slope_sums(const void *x, const void *dy, nnk_type type, float *sums, ptrdiff_t planes, ptrdiff_t voxels,
                    int block);

// Dropout: y = x / kept, or 0 for what is dropped, decided by the key for each number, channel of a sample, or sample.
// Linear and diagonal: the gradient goes through the same function.
typedef enum { NNK_ELEMENTS, NNK_CHANNELS, NNK_SAMPLES } nnk_dropped;
void nnk_dropout(const void *x, void *y, nnk_type type, ptrdiff_t samples, ptrdiff_t channels, ptrdiff_t voxels, int block,
                 nnk_dropped unit, double kept, uint64_t key);

// Average pooling with kernel = stride; extent is the output's. x is [N][blocks][D*kd][H*kh][W*kw][B]. Backward spreads.
void nnk_average_pool(const void *x, void *y, nnk_type type, ptrdiff_t samples, ptrdiff_t blocks,
                      const ptrdiff_t extent[3], const ptrdiff_t kernel[3], int block);
void nnk_average_pool_backward(const void *dy, void *dx, nnk_type type, ptrdiff_t samples, ptrdiff_t blocks,
                               const ptrdiff_t extent[3], const ptrdiff_t kernel[3], int block);

// a[i] += b[i]
void nnk_add_into(void *a, const void *b, nnk_type type, ptrdiff_t count);
// Between storage types, rounding to nearest even.
void nnk_to_bfloat16(const float *x, void *y, ptrdiff_t count);
void nnk_to_float32(const void *x, float *y, ptrdiff_t count);
// a[i] = a[i] * scale
void nnk_scale(float *a, float scale, ptrdiff_t count);
// Sum of squares in double, in a fixed order for a fixed thread count.
double nnk_sum_of_squares(const float *a, ptrdiff_t count);
// Sums over N and V per channel of a blocked tensor: sums [C padded].
void nnk_channel_sums(const void *x, nnk_type type, float *sums, ptrdiff_t samples, ptrdiff_t blocks, ptrdiff_t voxels,
                      int block);

// Copies between the plain float32 layout and the blocked one of either type; lanes beyond C become zeros.
void nnk_plain_to_blocked(const float *x, void *y, nnk_type type, ptrdiff_t samples, ptrdiff_t channels,
                          ptrdiff_t voxels, int block);
void nnk_blocked_to_plain(const void *x, nnk_type type, float *y, ptrdiff_t samples, ptrdiff_t channels,
                          ptrdiff_t voxels, int block);

// Concatenation of channel blocks and its inverse; a and b are blocked with full blocks except b's last. Sizes are the
// bytes of one sample.
void nnk_concatenate(const void *a, const void *b, void *y, ptrdiff_t samples, ptrdiff_t a_size, ptrdiff_t b_size);
void nnk_split(const void *y, void *a, void *b, ptrdiff_t samples, ptrdiff_t a_size, ptrdiff_t b_size);

// Transposed convolution with kernel = stride: t is [N][K*blocks][D*H*W][B], k outermost of the channels;
// y is [N][blocks][D*kd][H*kh][W*kw][B]. bias: [blocks*B] or NULL.
void nnk_depth_to_space(const void *t, void *y, nnk_type type, const float *bias, ptrdiff_t samples, ptrdiff_t blocks,
                        const ptrdiff_t extent[3], const ptrdiff_t kernel[3], int block);
void nnk_space_to_depth(const void *y, void *t, nnk_type type, ptrdiff_t samples, ptrdiff_t blocks, const ptrdiff_t extent[3],
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
// a[n][k] * y + b[n][k] (a, b: [N][K]); nothing where the label is `ignored`. With `weight` [N][V] each voxel has a
// factor of its own in place of ce_scale; `tilt` [N][V] adds tilt * (y - 1 / K), as label smoothing does. Either is NULL
// if not wanted.
void nnk_softmax_loss_gradient(const float *p, const int16_t *labels, float *dx, ptrdiff_t samples, ptrdiff_t channels,
                               ptrdiff_t voxels, int ignored, float ce_scale, const float *weight, const float *tilt,
                               const float *a, const float *b);

// Per voxel: -log p[label] and the mean of -log p over the channels, both 0 where the label is `ignored`. Returns how
// many voxels count.
int64_t nnk_voxel_entropies(const float *x, const int16_t *labels, ptrdiff_t samples, ptrdiff_t channels,
                            ptrdiff_t voxels, int ignored, float *entropy, float *uniform);
// Terms made of them. Each returns the sum of its values over `count` voxels and adds `scale` times its derivative to
// weight and tilt as nnk_softmax_loss_gradient takes them. Smoothed: (1 - epsilon) entropy + epsilon uniform.
double nnk_smoothed_entropy(const float *entropy, const float *uniform, ptrdiff_t count, float epsilon, float scale,
                            float *weight, float *tilt);
// The `kept` voxels of the largest smoothed entropy; of equals the first.
double nnk_top_entropy(const float *entropy, const float *uniform, ptrdiff_t count, ptrdiff_t kept, float epsilon,
                       float scale, float *weight, float *tilt);
// (1 - p)^gamma * entropy.
double nnk_focal(const float *entropy, ptrdiff_t count, float gamma, float scale, float *weight);

// Regions: p = sigmoid(x). Five sums per sample and region: binary cross-entropy, intersection, prediction mass,
// reference mass, voxels counted: [N][R][5]. Targets [N][T][V], the last an ignore map if has_ignore.
void nnk_region_sums(const float *x, const float *p, const int16_t *targets, ptrdiff_t samples, ptrdiff_t regions,
                     ptrdiff_t targets_per_sample, ptrdiff_t voxels, int has_ignore, double *sums);
// A convolution by its definition. Activations in blocks of `lanes` channels; a source of at most as many
// channels may be plain instead. Extents along z, y, x; a plane has an extent of 1 along z.
typedef struct {
  nnk_type type;
  int lanes, plain_source;
  ptrdiff_t batch, input_channels, output_channels, input_blocks, output_blocks;
  ptrdiff_t input[3], output[3], kernel[3], stride[3], padding[3];
} nnk_convolution;
// Whether this processor can do it and there are three taps along x.
int nnk_weight_gradient_supports(const nnk_convolution *g);
// Floats of scratch space, then the plain weight gradient [O][C][z][y][x] itself.
ptrdiff_t nnk_weight_gradient_scratch(const nnk_convolution *g);
void nnk_weight_gradient_run(const nnk_convolution *g, const void *source, const void *gradient, float *scratch,
                             float *weight);

// The same forward and back to the source, between blocked activations.
int nnk_strided_supports(const nnk_convolution *g);
// The weights as the products take them, for the way forward or back to the source.
ptrdiff_t nnk_strided_weight_bytes(const nnk_convolution *g);
void nnk_strided_pack(const nnk_convolution *g, const float *weight, int is_adjoint, void *packed);
// bias: [output channels padded] or NULL.
void nnk_strided_forward(const nnk_convolution *g, const void *source, const void *packed, const float *bias, void *result);
void nnk_strided_adjoint(const nnk_convolution *g, const void *gradient, const void *packed, void *source);

// An output head: logits [N][K][V] in float32 from features in blocks of channels.
typedef struct {
  nnk_type type;
  int block;
  ptrdiff_t samples, classes, channels, blocks, voxels;
  const float *weight;  // [K][blocks * block], zero beyond the channels
  const float *bias;    // [K]
} nnk_head;
void nnk_head_forward(const nnk_head *h, const void *x, float *y);
void nnk_head_source_gradient(const nnk_head *h, const float *g, void *dx);
// Floats of scratch space, then the gradients of weight [K][C] and bias.
ptrdiff_t nnk_head_scratch(const nnk_head *h);
void nnk_head_weight_gradient(const nnk_head *h, const float *g, const void *x, float *scratch, float *weight, float *bias);

// Adds to dx: bce_scale * (p - y) and the Dice term with derivative a[n][r] * y + b[n][r] by p.
void nnk_region_loss_gradient(const float *p, const int16_t *targets, float *dx, ptrdiff_t samples, ptrdiff_t regions,
                              ptrdiff_t targets_per_sample, ptrdiff_t voxels, int has_ignore, float bce_scale,
                              const float *a, const float *b);

// Stochastic gradient descent with momentum, optionally Nesterov's; weight decay is added to the scaled gradient.
void nnk_sgd(float *w, const float *g, float *m, ptrdiff_t count, float rate, float momentum, float decay, float scale,
             int nesterov, int first);

// Adam. shrink: the factor of decoupled decay on w; rate: learning rate over the first moment's correction; root: the
// square root of the second moment's correction. top: the largest second moment so far, or NULL.
typedef struct {
  float scale, beta1, beta2, epsilon, decay, shrink, rate, root;
} nnk_adam_step;
void nnk_adam(float *w, const float *g, float *m, float *v, float *top, ptrdiff_t count, nnk_adam_step step);

// Adan. m, v, n: moments of gradient, gradient difference and square; last: the gradient of the step before.
typedef struct {
  float scale, beta1, beta2, beta3, epsilon, rate, shrink, correction1, correction2, correction3;
  int first;
} nnk_adan_step;
void nnk_adan(float *w, const float *g, float *m, float *v, float *n, float *last, ptrdiff_t count,
              nnk_adan_step step);

// Hard predictions against targets, added to counts [K][3]: true positives, false positives, false negatives.
// Labels: the class of the largest logit; the first of equals wins. Regions: logit > 0.
void nnk_label_confusion(const float *x, const int16_t *labels, ptrdiff_t samples, ptrdiff_t channels, ptrdiff_t voxels,
                         int ignored, int64_t *counts);
void nnk_region_confusion(const float *x, const int16_t *targets, ptrdiff_t samples, ptrdiff_t regions,
                          ptrdiff_t targets_per_sample, ptrdiff_t voxels, int has_ignore, int64_t *counts);

// A transposed convolution with kernel = stride: x [N][blocks][D*H*W][lanes], y [N][blocks][D*kd * H*kh * W*kw][lanes].
typedef struct {
  nnk_type type;
  int lanes;
  ptrdiff_t samples, input_channels, output_channels, input_blocks, output_blocks;
  ptrdiff_t extent[3], kernel[3];  // z, y, x, of x
} nnk_upsampling;
// Whether this processor can do it.
int nnk_upsampling_supports(const nnk_upsampling *u);
// Weights [C][O][kz][ky][kx] as the products take them, for the way forward or back to the source.
ptrdiff_t nnk_upsampling_weight_bytes(const nnk_upsampling *u);
void nnk_upsampling_pack(const nnk_upsampling *u, const float *weight, int is_adjoint, void *packed);
// bias: [O padded] or NULL.
void nnk_upsampling_forward(const nnk_upsampling *u, const void *x, const void *packed, const float *bias, void *y);
void nnk_upsampling_source_gradient(const nnk_upsampling *u, const void *dy, const void *packed, void *dx);
// Floats of scratch space, then the plain weight gradient.
ptrdiff_t nnk_upsampling_scratch(const nnk_upsampling *u);
void nnk_upsampling_weight_gradient(const nnk_upsampling *u, const void *x, const void *dy, float *scratch, float *weight);

// A convolution of stride 1 with 3 x 3 taps in the plane and one or three along z, padded so that the extents stay, between
// activations in blocks of `lanes` channels; by Winograd's minimal filtering. Weights are float32 [O][C][z][y][x].
typedef struct {
  nnk_type type;
  int lanes;
  ptrdiff_t batch, input_channels, output_channels, input_blocks, output_blocks;
  ptrdiff_t extent[3];  // z, y, x
  ptrdiff_t depth;      // taps along z
} nnk_winograd;
// Whether this processor can do it.
int nnk_winograd_supports(const nnk_winograd *g);
// The transformed weights, 16 / 9 of the plain ones in the type that is multiplied. The adjoint is the gradient by the
// source: `g` then describes the way from the convolution's output channels to its input channels.
ptrdiff_t nnk_winograd_weight_bytes(const nnk_winograd *g);
void nnk_winograd_pack(const nnk_winograd *g, const float *weight, int is_adjoint, void *packed);
// bias: [output channels padded] or NULL.
void nnk_winograd_run(const nnk_winograd *g, const void *source, const void *packed, const float *bias, void *result);
// Floats of scratch space, then the plain weight gradient [O][C][z][y][x].
ptrdiff_t nnk_winograd_gradient_scratch(const nnk_winograd *g);
void nnk_winograd_weight_gradient(const nnk_winograd *g, const void *source, const void *gradient, float *scratch,
                                  float *weight);

// A convolution in bfloat16 on the processor's matrix unit, between activations in blocks of 16 channels. Extents, taps
// and strides along z, y, x; weights are float32 [O][C][z][y][x], sums are float32.
typedef struct {
  ptrdiff_t batch, input_channels, output_channels;
  ptrdiff_t source[3], result[3], kernel[3], stride[3], padding[3];
  int is_portable;  // the same sums without the unit, slow, for tests
} nnk_matrix_convolution;
// Whether this processor can do it and the shape is one: at most eight taps an axis and no more stride than taps.
int nnk_matrix_supports(const nnk_matrix_convolution *g);
// The weights as the products take them, for the way forward or back to the source.
ptrdiff_t nnk_matrix_weight_bytes(const nnk_matrix_convolution *g);
void nnk_matrix_pack(const nnk_matrix_convolution *g, const float *weight, int is_adjoint, void *packed);
// bias: of the channels that result, padded to blocks, or NULL. The adjoint is the gradient by the source, and a transposed
// convolution.
void nnk_matrix_forward(const nnk_matrix_convolution *g, const void *source, const void *packed, const float *bias, void *result);
void nnk_matrix_adjoint(const nnk_matrix_convolution *g, const void *gradient, const void *packed, const float *bias,
                        void *source);
// Floats of scratch space, then the plain weight gradient [O][C][z][y][x].
ptrdiff_t nnk_matrix_gradient_scratch(const nnk_matrix_convolution *g);
void nnk_matrix_weight_gradient(const nnk_matrix_convolution *g, const void *source, const void *gradient, float *scratch,
                                float *weight);

// Kernels that are compiled for blocks of 16 channels (AVX-512) and of 8 (AVX2), chosen by the blocks of the activations.
#include "nnk_engine.h"

#define BY_LANES(RESULT, NAME, PARAMETERS, ARGUMENTS)               \
  RESULT NAME##_16 PARAMETERS;                                      \
  RESULT NAME##_8 PARAMETERS;                                       \
  RESULT NAME PARAMETERS { return g->lanes == 16 ? NAME##_16 ARGUMENTS : NAME##_8 ARGUMENTS; }

BY_LANES(int, nnk_winograd_supports, (const nnk_winograd *g), (g))
BY_LANES(ptrdiff_t, nnk_winograd_weight_bytes, (const nnk_winograd *g), (g))
BY_LANES(void, nnk_winograd_pack, (const nnk_winograd *g, const float *weight, int is_adjoint, void *packed),
         (g, weight, is_adjoint, packed))
BY_LANES(void, nnk_winograd_run,
         (const nnk_winograd *g, const void *source, const void *packed, const float *bias, void *result),
         (g, source, packed, bias, result))
BY_LANES(ptrdiff_t, nnk_winograd_gradient_scratch, (const nnk_winograd *g), (g))
BY_LANES(void, nnk_winograd_weight_gradient,
         (const nnk_winograd *g, const void *source, const void *gradient, float *scratch, float *weight),
         (g, source, gradient, scratch, weight))

BY_LANES(int, nnk_weight_gradient_supports, (const nnk_convolution *g), (g))
BY_LANES(ptrdiff_t, nnk_weight_gradient_scratch, (const nnk_convolution *g), (g))
BY_LANES(void, nnk_weight_gradient_run,
         (const nnk_convolution *g, const void *source, const void *gradient, float *scratch, float *weight),
         (g, source, gradient, scratch, weight))

BY_LANES(int, nnk_upsampling_supports, (const nnk_upsampling *g), (g))
BY_LANES(ptrdiff_t, nnk_upsampling_weight_bytes, (const nnk_upsampling *g), (g))
BY_LANES(void, nnk_upsampling_pack, (const nnk_upsampling *g, const float *weight, int is_adjoint, void *packed),
         (g, weight, is_adjoint, packed))
BY_LANES(void, nnk_upsampling_forward,
         (const nnk_upsampling *g, const void *x, const void *packed, const float *bias, void *y), (g, x, packed, bias, y))
BY_LANES(void, nnk_upsampling_source_gradient, (const nnk_upsampling *g, const void *dy, const void *packed, void *dx),
         (g, dy, packed, dx))
BY_LANES(ptrdiff_t, nnk_upsampling_scratch, (const nnk_upsampling *g), (g))
BY_LANES(void, nnk_upsampling_weight_gradient,
         (const nnk_upsampling *g, const void *x, const void *dy, float *scratch, float *weight), (g, x, dy, scratch, weight))

BY_LANES(int, nnk_strided_supports, (const nnk_convolution *g), (g))
BY_LANES(ptrdiff_t, nnk_strided_weight_bytes, (const nnk_convolution *g), (g))
BY_LANES(void, nnk_strided_pack, (const nnk_convolution *g, const float *weight, int is_adjoint, void *packed),
         (g, weight, is_adjoint, packed))
BY_LANES(void, nnk_strided_forward,
         (const nnk_convolution *g, const void *source, const void *packed, const float *bias, void *result),
         (g, source, packed, bias, result))
BY_LANES(void, nnk_strided_adjoint, (const nnk_convolution *g, const void *gradient, const void *packed, void *source),
         (g, gradient, packed, source))

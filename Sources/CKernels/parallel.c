// The thread pool: libgomp's exported entry points, so that our loops and oneDNN's share their threads.
#include "nnk_engine.h"

void GOMP_parallel(void (*body)(void *), void *data, unsigned threads, unsigned flags);
int omp_get_thread_num(void);
int omp_get_num_threads(void);
int omp_get_max_threads(void);
void omp_set_num_threads(int count);

typedef struct {
  ptrdiff_t count;
  void (*body)(ptrdiff_t, void *);
  void *context;
} nnk_job;

void nnk_set_thread_count(int count) { omp_set_num_threads(count < 1 ? 1 : count); }

int nnk_thread_count(void) { return omp_get_max_threads(); }

static void nnk_run(void *data) {
  const nnk_job *job = data;
  ptrdiff_t threads = omp_get_num_threads(), thread = omp_get_thread_num();
  ptrdiff_t end = job->count * (thread + 1) / threads;
  for (ptrdiff_t i = job->count * thread / threads; i < end; ++i) job->body(i, job->context);
}

void nnk_parallel(ptrdiff_t count, void (*body)(ptrdiff_t, void *), void *context) {
  nnk_job job = {count, body, context};
  if (count <= 1 || nnk_thread_count() == 1) {
    for (ptrdiff_t i = 0; i < count; ++i) body(i, context);
    return;
  }
  GOMP_parallel(nnk_run, &job, 0, 0);
}

int nnk_cpu_has_avx512(void) {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
         __builtin_cpu_supports("avx512dq");
}

int nnk_cpu_has_avx2(void) { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }

int nnk_cpu_has_avx512_bf16(void) { return __builtin_cpu_supports("avx512bf16"); }

int nnk_cpu_prefers_bfloat16(void) {
  return nnk_cpu_has_amx() || (nnk_cpu_has_avx512_bf16() && !__builtin_cpu_is("intel"));
}

int nnk_lanes_are_supported(nnk_type type, int lanes) {
  if (lanes == 8) return nnk_cpu_has_avx2();
  return lanes == 16 && nnk_cpu_has_avx512() && (type == NNK_FLOAT32 || nnk_cpu_has_avx512_bf16());
}

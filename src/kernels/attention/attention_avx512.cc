#include "kernels/attention/attention_body.h"
#include "kernels/math/simd_avx512.h"

namespace batchwright::attention {

void run_avx512(const Task& task) { run<Avx512>(task); }

void finish_avx512(const float* state, int heads, int dim, float* out) { finish<Avx512>(state, heads, dim, out); }

}  // namespace batchwright::attention

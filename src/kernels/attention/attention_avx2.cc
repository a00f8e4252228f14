#include "kernels/attention/attention_body.h"

namespace batchwright::attention {

void run_avx2(const Task& task) { run<Avx2>(task); }

void finish_avx2(const float* state, int heads, int dim, float* out) { finish<Avx2>(state, heads, dim, out); }

void store_avx2(bool is_f16, const float* k, const float* v, int dim, int offset, void* block) {
  if (!is_f16) {
    auto* keys = static_cast<float*>(block);
    float* values = keys + int64_t{dim} * kPositions + int64_t{offset} * dim;
    for (int d = 0; d < dim; d += 8) {
      for (int i = d; i < d + 8; ++i) keys[i * kPositions + offset] = k[i];
      Avx2::store(values + d, Avx2::load(v + d));
    }
    return;
  }
  auto* keys = static_cast<uint16_t*>(block);
  uint16_t* values = keys + int64_t{dim} * kPositions + int64_t{offset} * dim;
  constexpr int kNearest = _MM_FROUND_TO_NEAREST_INT;
  for (int d = 0; d < dim; d += 8) {
    alignas(16) uint16_t halves[8];
    _mm_store_si128(reinterpret_cast<__m128i*>(halves), _mm256_cvtps_ph(Avx2::load(k + d), kNearest));
    for (int i = 0; i < 8; ++i) keys[(d + i) * kPositions + offset] = halves[i];
    _mm_storeu_si128(reinterpret_cast<__m128i*>(values + d), _mm256_cvtps_ph(Avx2::load(v + d), kNearest));
  }
}

}  // namespace batchwright::attention

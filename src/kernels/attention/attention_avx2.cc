#include "kernels/attention/attention_body.h"

namespace batchwright::attention {
namespace {

constexpr int kRun = 8;  // positions that are turned into columns together

// Dimensions d to d + 7 of eight positions into eight rows of K.
[[gnu::always_inline]] inline void store_keys(const float* k, int64_t stride, uint16_t* keys) {
  __m128i rows[kRun];
#pragma GCC unroll 8
  for (int i = 0; i < kRun; ++i) rows[i] = _mm256_cvtps_ph(Avx2::load(k + i * stride), _MM_FROUND_TO_NEAREST_INT);
  __m128i pairs[kRun];
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    pairs[i] = _mm_unpacklo_epi16(rows[2 * i], rows[2 * i + 1]);
    pairs[4 + i] = _mm_unpackhi_epi16(rows[2 * i], rows[2 * i + 1]);
  }
#pragma GCC unroll 2
  for (int half = 0; half < 2; ++half) {
    const __m128i* p = pairs + 4 * half;
    const __m128i low01 = _mm_unpacklo_epi32(p[0], p[1]);
    const __m128i low23 = _mm_unpacklo_epi32(p[2], p[3]);
    const __m128i high01 = _mm_unpackhi_epi32(p[0], p[1]);
    const __m128i high23 = _mm_unpackhi_epi32(p[2], p[3]);
    const auto store = [&](int d, __m128i column) {
      _mm_storeu_si128(reinterpret_cast<__m128i*>(keys + (4 * half + d) * kPositions), column);
    };
    store(0, _mm_unpacklo_epi64(low01, low23));
    store(1, _mm_unpackhi_epi64(low01, low23));
    store(2, _mm_unpacklo_epi64(high01, high23));
    store(3, _mm_unpackhi_epi64(high01, high23));
  }
}

void store_position(bool is_f16, const float* k, const float* v, int dim, int offset, void* block) {
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

}  // namespace

void run_avx2(const Task& task) { run<Avx2>(task); }

void finish_avx2(const float* state, int heads, int dim, float* out) { finish<Avx2>(state, heads, dim, out); }

void store_avx2(bool is_f16, const float* k, const float* v, int64_t stride, int count, int dim, int offset,
                void* block) {
  int done = 0;
  for (; is_f16 && done + kRun <= count; done += kRun, k += kRun * stride, v += kRun * stride, offset += kRun) {
    auto* keys = static_cast<uint16_t*>(block);
    uint16_t* values = keys + int64_t{dim} * kPositions + int64_t{offset} * dim;
    for (int d = 0; d < dim; d += 8) store_keys(k + d, stride, keys + d * kPositions + offset);
    for (int i = 0; i < kRun; ++i, values += dim) {
      for (int d = 0; d < dim; d += 8) {
        _mm_storeu_si128(reinterpret_cast<__m128i*>(values + d),
                         _mm256_cvtps_ph(Avx2::load(v + i * stride + d), _MM_FROUND_TO_NEAREST_INT));
      }
    }
  }
  for (; done < count; ++done, k += stride, v += stride, ++offset) store_position(is_f16, k, v, dim, offset, block);
}

}  // namespace batchwright::attention

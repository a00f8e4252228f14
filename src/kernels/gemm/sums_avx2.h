// The f32 sums of a panel, [row][16] in memory: steps that the AVX2 and the AVX-VNNI kernels share. Include in
// *_avx2.cc and *_avxvnni.cc only.
#pragma once

#include <immintrin.h>

#include <cstdint>

#include "kernels/gemm/activations.h"
#include "kernels/gemm/unpack_avx2.h"

namespace batchwright {
namespace {

BATCHWRIGHT_INLINE __m256 as_floats(__m256i x) { return _mm256_cvtepi32_ps(x); }

BATCHWRIGHT_INLINE __m256 load_f16(const uint16_t* p) {
  return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
}

BATCHWRIGHT_INLINE __m256 load_bytes(const uint8_t* p) { return as_floats(_mm256_cvtepu8_epi32(load8(p))); }

BATCHWRIGHT_INLINE __m256 load_bytes(const int8_t* p) { return as_floats(_mm256_cvtepi8_epi32(load8(p))); }

template <int kRows>
BATCHWRIGHT_INLINE void zero_sums(float* sums) {
#pragma GCC unroll 16
  for (int i = 0; i < kRows * kPanelWidth; i += 8) _mm256_storeu_ps(sums + i, _mm256_setzero_ps());
}

// u = fma(f32(min), d_sum, u) over the super-block, then acc = fma(-dmin, u, acc).
template <int kRows>
BATCHWRIGHT_INLINE void finish_minimum(const UnpackedSuper& w, const StripBlock* a, float* sums) {
  __m256 u[kRows][2];
#pragma GCC unroll 4
  for (int r = 0; r < kRows; ++r) u[r][0] = u[r][1] = _mm256_setzero_ps();
  for (int b = 0; b < kSubBlocks; ++b) {
    const __m256 min0 = _mm256_loadu_ps(w.min[b]);
    const __m256 min1 = _mm256_loadu_ps(w.min[b] + 8);
#pragma GCC unroll 4
    for (int r = 0; r < kRows; ++r) {
      const __m256 d_sum = _mm256_set1_ps(a[b].d_sum[r]);
      u[r][0] = _mm256_fmadd_ps(min0, d_sum, u[r][0]);
      u[r][1] = _mm256_fmadd_ps(min1, d_sum, u[r][1]);
    }
  }
#pragma GCC unroll 4
  for (int r = 0; r < kRows; ++r) {
    for (int half = 0; half < 2; ++half) {
      float* out = sums + r * kPanelWidth + 8 * half;
      _mm256_storeu_ps(out, _mm256_fnmadd_ps(_mm256_loadu_ps(w.dmin + 8 * half), u[r][half], _mm256_loadu_ps(out)));
    }
  }
}

// acc = fma(d, s, acc), and with a minimum acc = fma(-dmin, u, acc); all [kRows][16].
template <int kRows, class Panel, bool kMinimum>
BATCHWRIGHT_INLINE void finish_super(const Panel& w, float* sums, const float* s, [[maybe_unused]] const float* u) {
  for (int columns = 0; columns < kPanelWidth; columns += 8) {
    const __m256 d = load_f16(w.d + columns);
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
      float* out = sums + r * kPanelWidth + columns;
      __m256 acc = _mm256_fmadd_ps(d, _mm256_load_ps(s + r * kPanelWidth + columns), _mm256_loadu_ps(out));
      if constexpr (kMinimum) {
        acc = _mm256_fnmadd_ps(load_f16(w.dmin + columns), _mm256_load_ps(u + r * kPanelWidth + columns), acc);
      }
      _mm256_storeu_ps(out, acc);
    }
  }
}

}  // namespace
}  // namespace batchwright

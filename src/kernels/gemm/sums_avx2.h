// From the integer sums of a block to the f32 sums of 8 outputs, [row][16] in memory: the steps that the AVX2 and the
// AVX-VNNI tiles share. Include in *_avx2.cc and *_avxvnni.cc only.
#pragma once

#include <immintrin.h>

#include <cstdint>

#include "kernels/gemm/activations.h"
#include "kernels/gemm/unpack_avx2.h"

namespace batchwright {
namespace {

BATCHWRIGHT_INLINE __m256 as_floats(__m256i x) { return _mm256_cvtepi32_ps(x); }

// acc = fma(f32(isum), d_w * d_a, acc), and with a minimum acc = fma(m_w, d_sum, acc).
template <bool kMinimum>
BATCHWRIGHT_INLINE void finish_block(__m256i isum, int half, int r, const UnpackedBlock& w, const StripBlock& a,
                                     float* sums) {
  float* out = sums + r * kPanelWidth + 8 * half;
  const __m256 scale = _mm256_mul_ps(_mm256_loadu_ps(w.d + 8 * half), _mm256_set1_ps(a.d[r]));
  __m256 acc = _mm256_fmadd_ps(as_floats(isum), scale, _mm256_loadu_ps(out));
  if constexpr (kMinimum) acc = _mm256_fmadd_ps(_mm256_loadu_ps(w.m + 8 * half), _mm256_set1_ps(a.d_sum[r]), acc);
  _mm256_storeu_ps(out, acc);
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

}  // namespace
}  // namespace batchwright

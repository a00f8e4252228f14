// From the f32 sums of a panel, [row][16], to the output. Include in *_avx2.cc and *_avxvnni.cc only.
#pragma once

#include <immintrin.h>

#include <cstdint>

#include "kernels/gemm/format_kernels.h"
#include "kernels/gemm/layout.h"

namespace batchwright {
namespace {

inline __attribute__((always_inline)) void store_panel(const RawGemm& g, int64_t panel, const float* sums) {
  const int64_t first = panel * kPanelWidth;
  const int64_t columns = g.n - first < kPanelWidth ? g.n - first : kPanelWidth;
  float* out = g.out + (first - g.out_first_column);
  const float* bias = g.bias == nullptr ? nullptr : g.bias + first;
  for (int64_t row = 0; row < g.rows; ++row, out += g.out_stride, sums += kPanelWidth) {
    if (columns == kPanelWidth) {
      __m256 low = _mm256_loadu_ps(sums);
      __m256 high = _mm256_loadu_ps(sums + 8);
      if (bias != nullptr) {
        low = _mm256_add_ps(low, _mm256_loadu_ps(bias));
        high = _mm256_add_ps(high, _mm256_loadu_ps(bias + 8));
      }
      _mm256_storeu_ps(out, low);
      _mm256_storeu_ps(out + 8, high);
    } else {
      for (int64_t c = 0; c < columns; ++c) out[c] = bias != nullptr ? sums[c] + bias[c] : sums[c];
    }
  }
}

}  // namespace
}  // namespace batchwright

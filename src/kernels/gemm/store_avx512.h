// From the f32 sums of a panel, [row][16], to the output. Include in *_avx512.cc, *_vnni.cc and *_amx.cc only.
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
  const auto mask = static_cast<__mmask16>((1u << columns) - 1);
  float* out = g.out + (first - g.out_first_column);
  const __m512 bias = g.bias == nullptr ? _mm512_setzero_ps() : _mm512_maskz_loadu_ps(mask, g.bias + first);
  for (int64_t row = 0; row < g.rows; ++row, out += g.out_stride, sums += kPanelWidth) {
    __m512 sum = _mm512_loadu_ps(sums);
    if (g.bias != nullptr) sum = _mm512_add_ps(sum, bias);  // not + 0: that would lose the sign of -0
    _mm512_mask_storeu_ps(out, mask, sum);
  }
}

}  // namespace
}  // namespace batchwright

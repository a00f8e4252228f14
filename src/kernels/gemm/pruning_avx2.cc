// What pruning.h needs beside rough products: norms of weights, and the columns whose bound reaches a value.
#include <immintrin.h>

#include "kernels/gemm/format_kernels.h"
#include "kernels/gemm/layout.h"
#include "kernels/gemm/unpack_avx2.h"

namespace batchwright {
void rough_norms_q8_0_avx2(const uint8_t* panel, int64_t blocks, float* rest, float* scales) {
  const auto* block = reinterpret_cast<const PanelQ8_0*>(panel);
  const __m256i low = _mm256_set1_epi8(7);
  const __m256i middle = _mm256_set1_epi8(4);
  const __m256i ones = _mm256_set1_epi16(1);
  for (int half = 0; half < 2; ++half) {
    __m256 rest_sum = _mm256_setzero_ps();
    __m256 scale_sum = _mm256_setzero_ps();
    for (int64_t b = 0; b < blocks; ++b) {
      __m256i squares = _mm256_setzero_si256();  // 16 in a lane, each at most 16
      for (const auto& group : block[b].q) {
        const __m256i r = _mm256_abs_epi8(_mm256_sub_epi8(_mm256_and_si256(load(group + 32 * half), low), middle));
        squares = _mm256_add_epi16(squares, _mm256_maddubs_epi16(r, r));
      }
      const __m256 d = _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(block[b].d + 8 * half)));
      const __m256 d_squared = _mm256_mul_ps(d, d);
      const __m256 sum = _mm256_cvtepi32_ps(_mm256_madd_epi16(squares, ones));
      rest_sum = _mm256_fmadd_ps(sum, d_squared, rest_sum);
      scale_sum = _mm256_add_ps(scale_sum, d_squared);
    }
    _mm256_storeu_ps(rest + 8 * half, rest_sum);
    _mm256_storeu_ps(scales + 8 * half, scale_sum);
  }
}

int rough_reaching_avx2(const float* rough, const float* bounds, float row_bound, float floor, int64_t n,
                        int32_t* columns) {
  const __m256 row = _mm256_set1_ps(row_bound);
  const __m256 least = _mm256_set1_ps(floor);
  int count = 0;
  for (int64_t i = 0; i < n; i += 8) {
    const int64_t rest = n - i;
    __m256 t;
    __m256 c;
    if (rest >= 8) {
      t = _mm256_loadu_ps(rough + i);
      c = _mm256_loadu_ps(bounds + i);
    } else {
      const __m256i ids = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
      const __m256i exist = _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int32_t>(rest)), ids);
      t = _mm256_maskload_ps(rough + i, exist);
      c = _mm256_maskload_ps(bounds + i, exist);
    }
    const __m256 upper = _mm256_fmadd_ps(row, c, t);
    auto reach = static_cast<uint32_t>(_mm256_movemask_ps(_mm256_cmp_ps(upper, least, _CMP_NLT_UQ)));
    if (rest < 8) reach &= (1U << rest) - 1;
    for (; reach != 0; reach &= reach - 1) columns[count++] = static_cast<int32_t>(i) + __builtin_ctz(reach);
  }
  return count;
}

}  // namespace batchwright

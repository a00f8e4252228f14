// Quantising four rows at once: the bits of the scalar reference (gemm_scalar.cc). What AVX2 and AVX-512 share; Strip
// is theirs:
//   magnitudes(x)  eight lanes that hold the largest absolute values of 32 floats, as bits
//   store(...)     the bytes round(x * inverse) of the rows that are used, zeros for the others, into block.q;
//   halves[h]
//                  becomes, of each row, the sums over half h of its values 0, 1 and 2, 3 of every four
#pragma once

#include <immintrin.h>

#include "kernels/gemm/activations.h"
#include "kernels/gemm/format_kernels.h"

#define BATCHWRIGHT_STRIP_INLINE static inline __attribute__((always_inline))

namespace batchwright {
namespace {

// A block of four rows; returns the rows that hold a value that is not finite as bits 0 to 3.
template <class Strip>
BATCHWRIGHT_STRIP_INLINE int store_strip_block(const float* const (&x)[kStripRows], StripBlock& block) {
  constexpr int32_t kInfinityBits = 0x7f800000;
  constexpr int32_t kTinyBits = 0x0d800000;  // 2^-100
  const __m256i m[kStripRows] = {Strip::magnitudes(x[0]), Strip::magnitudes(x[1]), Strip::magnitudes(x[2]),
                                 Strip::magnitudes(x[3])};
  const __m256i m01 = _mm256_max_epi32(_mm256_unpacklo_epi32(m[0], m[1]), _mm256_unpackhi_epi32(m[0], m[1]));
  const __m256i m23 = _mm256_max_epi32(_mm256_unpacklo_epi32(m[2], m[3]), _mm256_unpackhi_epi32(m[2], m[3]));
  const __m256i all = _mm256_max_epi32(_mm256_unpacklo_epi64(m01, m23), _mm256_unpackhi_epi64(m01, m23));
  const __m128i maxima = _mm_max_epi32(_mm256_castsi256_si128(all), _mm256_extracti128_si256(all, 1));
  const __m128i finite = _mm_cmpgt_epi32(_mm_set1_epi32(kInfinityBits), maxima);
  const __m128i used = _mm_and_si128(finite, _mm_cmpgt_epi32(maxima, _mm_set1_epi32(kTinyBits - 1)));
  const __m128 amax = _mm_castsi128_ps(maxima);
  alignas(16) float inverse[kStripRows];
  _mm_store_ps(inverse, _mm_div_ps(_mm_set1_ps(127.0F), amax));

  __m128i halves[2];
  Strip::store(x, inverse, used, block, halves);
  const __m128i both = _mm_add_epi16(halves[0], halves[1]);
  const __m128i zero = _mm_setzero_si128();
  const auto store = [](void* p, __m128i v) { _mm_storeu_si128(static_cast<__m128i*>(p), v); };
  store(block.sum16, _mm_sub_epi16(zero, _mm_slli_epi16(both, 4)));
  store(block.sum32[0], _mm_sub_epi16(zero, _mm_slli_epi16(halves[0], 5)));
  store(block.sum32[1], _mm_sub_epi16(zero, _mm_slli_epi16(halves[1], 5)));
  const __m128 d = _mm_and_ps(_mm_div_ps(amax, _mm_set1_ps(127.0F)), _mm_castsi128_ps(used));
  _mm_storeu_ps(block.d, d);
  _mm_storeu_ps(block.d_sum, _mm_mul_ps(d, _mm_cvtepi32_ps(_mm_madd_epi16(both, _mm_set1_epi16(1)))));
  return ~_mm_movemask_ps(_mm_castsi128_ps(finite)) & 15;
}

template <class Strip>
void quantize_tile(const QuantizeTile& tile) {
  alignas(64) static constexpr float kNothing[32] = {};
  const int64_t blocks = tile.k / 32;
  auto* strip = static_cast<StripBlock*>(tile.quantized) + tile.row_begin / kStripRows * blocks;
  strip += tile.column_begin / 32;
  for (int64_t row = 0; row < tile.rows; row += kStripRows, strip += blocks) {
    for (int64_t column = 0; column < tile.columns; column += 32) {
      const float* x[kStripRows];
      for (int r = 0; r < kStripRows; ++r) {
        x[r] = row + r < tile.rows ? tile.x + (row + r) * tile.x_stride + column : kNothing;
      }
      const int failed = store_strip_block<Strip>(x, strip[column / 32]);
      for (int r = 0; failed != 0 && r < kStripRows; ++r) {
        if (((failed >> r) & 1) != 0) tile.failed[row + r] = 1;
      }
    }
  }
}

}  // namespace
}  // namespace batchwright

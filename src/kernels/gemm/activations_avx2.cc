// Quantising a row of activations: the bits of the scalar reference (gemm_scalar.cc).
#include <immintrin.h>

#include "kernels/gemm/activations.h"
#include "kernels/gemm/activations_strip_avx2.h"
#include "kernels/gemm/format_kernels.h"

namespace batchwright {
namespace {

// The largest absolute value of 32 floats, as bits.
inline __attribute__((always_inline)) uint32_t absolute_maximum(const float* x) {
  const __m256i magnitude = _mm256_set1_epi32(0x7fffffff);
  const auto bits = [&](int i) { return _mm256_and_si256(_mm256_castps_si256(_mm256_loadu_ps(x + 8 * i)), magnitude); };
  const __m256i four = _mm256_max_epi32(_mm256_max_epi32(bits(0), bits(1)), _mm256_max_epi32(bits(2), bits(3)));
  __m128i m = _mm_max_epi32(_mm256_castsi256_si128(four), _mm256_extracti128_si256(four, 1));
  m = _mm_max_epi32(m, _mm_shuffle_epi32(m, 0x4e));
  m = _mm_max_epi32(m, _mm_shuffle_epi32(m, 0xb1));
  return static_cast<uint32_t>(_mm_cvtsi128_si32(m));
}

inline __attribute__((always_inline)) void store32(void* p, int32_t v) { __builtin_memcpy(p, &v, sizeof v); }

// Four groups of four values of one row.
inline __attribute__((always_inline)) void store_groups(int8_t (*q)[kStripRows][4], int64_t lane, __m128i values) {
  store32(q[0][lane], _mm_extract_epi32(values, 0));
  store32(q[1][lane], _mm_extract_epi32(values, 1));
  store32(q[2][lane], _mm_extract_epi32(values, 2));
  store32(q[3][lane], _mm_extract_epi32(values, 3));
}

// The sums of a half's values 0, 1 and 2, 3 of every four, as two int16 in the lowest 32 bits.
inline __attribute__((always_inline)) __m128i pair_sums(__m128i values) {
  __m128i sums = _mm_maddubs_epi16(_mm_set1_epi8(1), values);
  sums = _mm_add_epi16(sums, _mm_shuffle_epi32(sums, 0x4e));
  return _mm_add_epi16(sums, _mm_shuffle_epi32(sums, 0xb1));
}

inline __attribute__((always_inline)) void store_zeros(StripBlock& block, int64_t lane) {
  for (auto& group : block.q) store32(group[lane], 0);
  store32(block.sum16[lane], 0);
  store32(block.sum32[0][lane], 0);
  store32(block.sum32[1][lane], 0);
  block.d[lane] = 0;
  block.d_sum[lane] = 0;
}

inline __attribute__((always_inline)) void store_block(const float* x, StripBlock& block, int64_t lane, float amax) {
  const __m256 inverse = _mm256_set1_ps(127.0F / amax);
  // Rounds to nearest even; |x| * (127 / amax) is below 127.5, so that nothing needs a clamp.
  const auto rounded = [&](int i) { return _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(x + 8 * i), inverse)); };
  const __m256i words01 = _mm256_packs_epi32(rounded(0), rounded(1));
  const __m256i words23 = _mm256_packs_epi32(rounded(2), rounded(3));
  // The packs interleave 128-bit lanes: groups of four come out as 0 2 4 6 1 3 5 7.
  const __m256i bytes =
      _mm256_permutevar8x32_epi32(_mm256_packs_epi16(words01, words23), _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
  const __m128i first = _mm256_castsi256_si128(bytes);
  const __m128i second = _mm256_extracti128_si256(bytes, 1);
  store_groups(block.q, lane, first);
  store_groups(block.q + 4, lane, second);

  const __m128i zero = _mm_setzero_si128();
  const __m128i half0 = pair_sums(first);
  const __m128i half1 = pair_sums(second);
  const __m128i both = _mm_add_epi16(half0, half1);
  store32(block.sum16[lane], _mm_cvtsi128_si32(_mm_sub_epi16(zero, _mm_slli_epi16(both, 4))));
  store32(block.sum32[0][lane], _mm_cvtsi128_si32(_mm_sub_epi16(zero, _mm_slli_epi16(half0, 5))));
  store32(block.sum32[1][lane], _mm_cvtsi128_si32(_mm_sub_epi16(zero, _mm_slli_epi16(half1, 5))));
  const int32_t sum = _mm_cvtsi128_si32(_mm_madd_epi16(both, _mm_set1_epi16(1)));
  block.d[lane] = amax / 127.0F;
  block.d_sum[lane] = block.d[lane] * static_cast<float>(sum);
}

bool quantize_row(const float* x, int64_t k, int64_t row, void* quantized) {
  constexpr uint32_t kInfinity = 0x7f800000u;
  const int64_t blocks = k / 32;
  const int64_t lane = row % kStripRows;
  auto* strip = static_cast<StripBlock*>(quantized) + row / kStripRows * blocks;
  for (int64_t b = 0; b < blocks; ++b) {
    const uint32_t bits = absolute_maximum(x + b * 32);
    if (bits >= kInfinity) {
      for (int64_t i = 0; i < blocks; ++i) store_zeros(strip[i], lane);
      return false;
    }
    float amax;
    __builtin_memcpy(&amax, &bits, sizeof amax);
    if (amax < 0x1p-100F) {
      store_zeros(strip[b], lane);
    } else {
      store_block(x + b * 32, strip[b], lane, amax);
    }
  }
  return true;
}

struct StripAvx2 {
  BATCHWRIGHT_STRIP_INLINE __m256i magnitudes(const float* x) {
    const __m256i magnitude = _mm256_set1_epi32(0x7fffffff);
    const auto bits = [&](int i) {
      return _mm256_and_si256(_mm256_castps_si256(_mm256_loadu_ps(x + 8 * i)), magnitude);
    };
    return _mm256_max_epi32(_mm256_max_epi32(bits(0), bits(1)), _mm256_max_epi32(bits(2), bits(3)));
  }

  BATCHWRIGHT_STRIP_INLINE void store(const float* const (&x)[kStripRows], const float* inverse, __m128i used,
                                      StripBlock& block, __m128i (&halves)[2]) {
    // Bytes of each row, in groups of four as the packs interleave them: 0 2 4 6 in the low half, 1 3 5 7 in the high.
    __m256i bytes[kStripRows];
#pragma GCC unroll 4
    for (int r = 0; r < kStripRows; ++r) {
      const __m256 factor = _mm256_broadcast_ss(inverse + r);
      const auto rounded = [&](int i) {
        return _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(x[r] + 8 * i), factor));
      };
      bytes[r] =
          _mm256_packs_epi16(_mm256_packs_epi32(rounded(0), rounded(1)), _mm256_packs_epi32(rounded(2), rounded(3)));
    }
    const __m256i even01 = _mm256_unpacklo_epi32(bytes[0], bytes[1]);
    const __m256i even23 = _mm256_unpacklo_epi32(bytes[2], bytes[3]);
    const __m256i odd01 = _mm256_unpackhi_epi32(bytes[0], bytes[1]);
    const __m256i odd23 = _mm256_unpackhi_epi32(bytes[2], bytes[3]);
    const __m256i keep = _mm256_broadcastsi128_si256(used);
    const __m256i groups[4] = {_mm256_and_si256(_mm256_unpacklo_epi64(even01, even23), keep),
                               _mm256_and_si256(_mm256_unpackhi_epi64(even01, even23), keep),
                               _mm256_and_si256(_mm256_unpacklo_epi64(odd01, odd23), keep),
                               _mm256_and_si256(_mm256_unpackhi_epi64(odd01, odd23), keep)};
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) _mm256_storeu_si256(reinterpret_cast<__m256i*>(block.q[2 * i]), groups[i]);
    const auto pairs = [&](int i) { return _mm256_maddubs_epi16(_mm256_set1_epi8(1), groups[i]); };
#pragma GCC unroll 2
    for (int half = 0; half < 2; ++half) {
      const __m256i sums = _mm256_add_epi16(pairs(2 * half), pairs(2 * half + 1));
      halves[half] = _mm_add_epi16(_mm256_castsi256_si128(sums), _mm256_extracti128_si256(sums, 1));
    }
  }
};

}  // namespace

const ActivationKernels kActivationsAvx2 = {quantize_row};
const QuantizeTileKernel kQuantizeTileAvx2 = quantize_tile<StripAvx2>;

}  // namespace batchwright

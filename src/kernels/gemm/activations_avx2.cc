// Quantising a row of activations: the bits of the scalar reference (gemm_scalar.cc).
#include <immintrin.h>

#include "kernels/gemm/activations.h"
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

constexpr int32_t kInfinityBits = 0x7f800000;
constexpr int32_t kTinyBits = 0x0d800000;  // 2^-100

// The largest magnitudes of 32 values of four rows, as bits.
inline __attribute__((always_inline)) __m128i strip_maxima(const float* const (&x)[kStripRows]) {
  const __m256i magnitude = _mm256_set1_epi32(0x7fffffff);
  __m256i m[kStripRows];
#pragma GCC unroll 4
  for (int r = 0; r < kStripRows; ++r) {
    const auto bits = [&](int i) {
      return _mm256_and_si256(_mm256_castps_si256(_mm256_loadu_ps(x[r] + 8 * i)), magnitude);
    };
    m[r] = _mm256_max_epi32(_mm256_max_epi32(bits(0), bits(1)), _mm256_max_epi32(bits(2), bits(3)));
  }
  const __m256i m01 = _mm256_max_epi32(_mm256_unpacklo_epi32(m[0], m[1]), _mm256_unpackhi_epi32(m[0], m[1]));
  const __m256i m23 = _mm256_max_epi32(_mm256_unpacklo_epi32(m[2], m[3]), _mm256_unpackhi_epi32(m[2], m[3]));
  const __m256i all = _mm256_max_epi32(_mm256_unpacklo_epi64(m01, m23), _mm256_unpackhi_epi64(m01, m23));
  return _mm_max_epi32(_mm256_castsi256_si128(all), _mm256_extracti128_si256(all, 1));
}

// A block of four rows at once; returns the rows that hold a value that is not finite as bits 0 to 3.
inline __attribute__((always_inline)) int store_strip_block(const float* const (&x)[kStripRows], StripBlock& block) {
  const __m128i maxima = strip_maxima(x);
  const __m128i finite = _mm_cmpgt_epi32(_mm_set1_epi32(kInfinityBits), maxima);
  const __m128i used = _mm_and_si128(finite, _mm_cmpgt_epi32(maxima, _mm_set1_epi32(kTinyBits - 1)));
  const __m128 amax = _mm_castsi128_ps(maxima);
  alignas(16) float inverse[kStripRows];
  alignas(16) int32_t keep[kStripRows];
  _mm_store_ps(inverse, _mm_div_ps(_mm_set1_ps(127.0F), amax));
  _mm_store_si128(reinterpret_cast<__m128i*>(keep), used);

  // Bytes of each row, in groups of four as the packs interleave them: 0 2 4 6 in the low half, 1 3 5 7 in the high.
  __m256i bytes[kStripRows];
#pragma GCC unroll 4
  for (int r = 0; r < kStripRows; ++r) {
    const __m256 factor = _mm256_broadcast_ss(inverse + r);
    const auto rounded = [&](int i) {
      return _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(x[r] + 8 * i), factor));
    };
    const __m256i packed =
        _mm256_packs_epi16(_mm256_packs_epi32(rounded(0), rounded(1)), _mm256_packs_epi32(rounded(2), rounded(3)));
    bytes[r] = _mm256_and_si256(packed, _mm256_set1_epi32(keep[r]));
  }
  const __m256i even01 = _mm256_unpacklo_epi32(bytes[0], bytes[1]);
  const __m256i even23 = _mm256_unpacklo_epi32(bytes[2], bytes[3]);
  const __m256i odd01 = _mm256_unpackhi_epi32(bytes[0], bytes[1]);
  const __m256i odd23 = _mm256_unpackhi_epi32(bytes[2], bytes[3]);
  const __m256i groups[4] = {_mm256_unpacklo_epi64(even01, even23), _mm256_unpackhi_epi64(even01, even23),
                             _mm256_unpacklo_epi64(odd01, odd23), _mm256_unpackhi_epi64(odd01, odd23)};
  const auto pairs = [&](int i) { return _mm256_maddubs_epi16(_mm256_set1_epi8(1), groups[i]); };
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) _mm256_storeu_si256(reinterpret_cast<__m256i*>(block.q[2 * i]), groups[i]);

  const __m256i quarter0 = _mm256_add_epi16(pairs(0), pairs(1));
  const __m256i quarter1 = _mm256_add_epi16(pairs(2), pairs(3));
  const __m128i half0 = _mm_add_epi16(_mm256_castsi256_si128(quarter0), _mm256_extracti128_si256(quarter0, 1));
  const __m128i half1 = _mm_add_epi16(_mm256_castsi256_si128(quarter1), _mm256_extracti128_si256(quarter1, 1));
  const __m128i both = _mm_add_epi16(half0, half1);
  const __m128i zero = _mm_setzero_si128();
  const auto store = [](void* p, __m128i v) { _mm_storeu_si128(static_cast<__m128i*>(p), v); };
  store(block.sum16, _mm_sub_epi16(zero, _mm_slli_epi16(both, 4)));
  store(block.sum32[0], _mm_sub_epi16(zero, _mm_slli_epi16(half0, 5)));
  store(block.sum32[1], _mm_sub_epi16(zero, _mm_slli_epi16(half1, 5)));
  const __m128 d = _mm_and_ps(_mm_div_ps(amax, _mm_set1_ps(127.0F)), _mm_castsi128_ps(used));
  _mm_storeu_ps(block.d, d);
  _mm_storeu_ps(block.d_sum, _mm_mul_ps(d, _mm_cvtepi32_ps(_mm_madd_epi16(both, _mm_set1_epi16(1)))));
  return ~_mm_movemask_ps(_mm_castsi128_ps(finite)) & 15;
}

void quantize_tile(const QuantizeTile& tile) {
  alignas(32) static constexpr float kNothing[32] = {};
  const int64_t blocks = tile.k / 32;
  auto* strip = static_cast<StripBlock*>(tile.quantized) + tile.row_begin / kStripRows * blocks;
  strip += tile.column_begin / 32;
  for (int64_t row = 0; row < tile.rows; row += kStripRows, strip += blocks) {
    for (int64_t column = 0; column < tile.columns; column += 32) {
      const float* x[kStripRows];
      for (int r = 0; r < kStripRows; ++r) {
        x[r] = row + r < tile.rows ? tile.x + (row + r) * tile.x_stride + column : kNothing;
      }
      const int failed = store_strip_block(x, strip[column / 32]);
      for (int r = 0; failed != 0 && r < kStripRows; ++r) {
        if (((failed >> r) & 1) != 0) tile.failed[row + r] = 1;
      }
    }
  }
}

}  // namespace

const ActivationKernels kActivationsAvx2 = {quantize_row, quantize_tile};

}  // namespace batchwright

// Quantising four rows of activations with AVX-512; single rows as with AVX2.
#include "kernels/gemm/activations_strip_avx2.h"

namespace batchwright {
namespace {

struct StripAvx512 {
  BATCHWRIGHT_STRIP_INLINE __m256i magnitudes(const float* x) {
    const __m512i magnitude = _mm512_set1_epi32(0x7fffffff);
    const __m512i m = _mm512_max_epi32(_mm512_and_si512(_mm512_loadu_si512(x), magnitude),
                                       _mm512_and_si512(_mm512_loadu_si512(x + 16), magnitude));
    return _mm256_max_epi32(_mm512_castsi512_si256(m), _mm512_extracti64x4_epi64(m, 1));
  }

  BATCHWRIGHT_STRIP_INLINE void store(const float* const (&x)[kStripRows], const float* inverse, __m128i used,
                                      StripBlock& block, __m128i (&halves)[2]) {
    // In 128 bits g of a row's words: its groups g and g + 4.
    __m512i words[kStripRows];
#pragma GCC unroll 4
    for (int r = 0; r < kStripRows; ++r) {
      const __m512 factor = _mm512_set1_ps(inverse[r]);
      words[r] = _mm512_packs_epi32(_mm512_cvtps_epi32(_mm512_mul_ps(_mm512_loadu_ps(x[r]), factor)),
                                    _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_loadu_ps(x[r] + 16), factor)));
    }
    const __m512 rows01 = _mm512_castsi512_ps(_mm512_packs_epi16(words[0], words[1]));
    const __m512 rows23 = _mm512_castsi512_ps(_mm512_packs_epi16(words[2], words[3]));
    const __m512i keep = _mm512_broadcast_i32x4(used);
    const __m512i groups[2] = {
        _mm512_and_si512(_mm512_castps_si512(_mm512_shuffle_ps(rows01, rows23, 0x88)), keep),
        _mm512_and_si512(_mm512_castps_si512(_mm512_shuffle_ps(rows01, rows23, 0xdd)), keep),
    };
#pragma GCC unroll 2
    for (int half = 0; half < 2; ++half) {
      _mm512_storeu_si512(block.q[4 * half], groups[half]);
      const __m512i pairs = _mm512_maddubs_epi16(_mm512_set1_epi8(1), groups[half]);
      const __m256i two = _mm256_add_epi16(_mm512_castsi512_si256(pairs), _mm512_extracti64x4_epi64(pairs, 1));
      halves[half] = _mm_add_epi16(_mm256_castsi256_si128(two), _mm256_extracti128_si256(two, 1));
    }
  }
};

}  // namespace

const QuantizeTileKernel kQuantizeTileAvx512 = quantize_tile<StripAvx512>;

}  // namespace batchwright

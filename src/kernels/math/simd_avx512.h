// Sixteen f32 in an AVX-512 register; the names are those of simd_avx2.h. Only *_avx512.cc files include this.
#pragma once

#include "kernels/math/simd_avx2.h"

namespace batchwright {
namespace {

struct Avx512 {
  static constexpr int kLanes = 16;
  static constexpr int kRegisters = 32;
  using F = __m512;
  using Mask = __mmask16;

  BATCHWRIGHT_SIMD_INLINE F zero() { return _mm512_setzero_ps(); }
  BATCHWRIGHT_SIMD_INLINE F set1(float x) { return _mm512_set1_ps(x); }
  BATCHWRIGHT_SIMD_INLINE F broadcast(const float* x) { return _mm512_set1_ps(*x); }

  BATCHWRIGHT_SIMD_INLINE F load(const float* x) { return _mm512_loadu_ps(x); }
  BATCHWRIGHT_SIMD_INLINE F load(const uint16_t* halves) {
    return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(halves)));
  }
  BATCHWRIGHT_SIMD_INLINE void store(float* out, F x) { _mm512_storeu_ps(out, x); }

  BATCHWRIGHT_SIMD_INLINE Mask first_lanes(int64_t n) { return static_cast<Mask>((1U << n) - 1U); }
  BATCHWRIGHT_SIMD_INLINE F load_first(const float* x, int64_t n) { return _mm512_maskz_loadu_ps(first_lanes(n), x); }
  BATCHWRIGHT_SIMD_INLINE void store_first(float* out, F x, int64_t n) {
    _mm512_mask_storeu_ps(out, first_lanes(n), x);
  }
  BATCHWRIGHT_SIMD_INLINE F keep_first(F x, int64_t n) { return _mm512_maskz_mov_ps(first_lanes(n), x); }

  BATCHWRIGHT_SIMD_INLINE F add(F a, F b) { return _mm512_add_ps(a, b); }
  BATCHWRIGHT_SIMD_INLINE F sub(F a, F b) { return _mm512_sub_ps(a, b); }
  BATCHWRIGHT_SIMD_INLINE F mul(F a, F b) { return _mm512_mul_ps(a, b); }
  BATCHWRIGHT_SIMD_INLINE F div(F a, F b) { return _mm512_div_ps(a, b); }
  BATCHWRIGHT_SIMD_INLINE F fma(F a, F b, F c) { return _mm512_fmadd_ps(a, b, c); }
  BATCHWRIGHT_SIMD_INLINE F fms(F a, F b, F c) { return _mm512_fmsub_ps(a, b, c); }
  BATCHWRIGHT_SIMD_INLINE F fnma(F a, F b, F c) { return _mm512_fnmadd_ps(a, b, c); }
  BATCHWRIGHT_SIMD_INLINE F max(F a, F b) { return _mm512_max_ps(a, b); }
  BATCHWRIGHT_SIMD_INLINE F min(F a, F b) { return _mm512_min_ps(a, b); }

  BATCHWRIGHT_SIMD_INLINE F sign(F x) { return _mm512_and_ps(x, set1(-0.0F)); }
  BATCHWRIGHT_SIMD_INLINE F absolute(F x) { return _mm512_andnot_ps(set1(-0.0F), x); }
  BATCHWRIGHT_SIMD_INLINE F bits_or(F a, F b) { return _mm512_or_ps(a, b); }
  BATCHWRIGHT_SIMD_INLINE F bits_xor(F a, F b) { return _mm512_xor_ps(a, b); }
  BATCHWRIGHT_SIMD_INLINE F add_exponent(F x, F t) {
    return _mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(x), _mm512_slli_epi32(_mm512_castps_si512(t), 23)));
  }

  BATCHWRIGHT_SIMD_INLINE Mask less(F a, F b) { return _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ); }
  BATCHWRIGHT_SIMD_INLINE Mask equal(F a, F b) { return _mm512_cmp_ps_mask(a, b, _CMP_EQ_OQ); }
  BATCHWRIGHT_SIMD_INLINE Mask not_less_equal(F a, F b) { return _mm512_cmp_ps_mask(a, b, _CMP_NLE_UQ); }
  BATCHWRIGHT_SIMD_INLINE F select(Mask mask, F yes, F no) { return _mm512_mask_blend_ps(mask, no, yes); }
  BATCHWRIGHT_SIMD_INLINE F zero_where(Mask mask, F x) {
    return _mm512_maskz_mov_ps(static_cast<Mask>(~static_cast<unsigned>(mask)), x);
  }
  BATCHWRIGHT_SIMD_INLINE uint32_t mask_bits(Mask mask) { return mask; }
  BATCHWRIGHT_SIMD_INLINE Mask lanes_between(int begin, int end) {
    const __m512i lane = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    return static_cast<Mask>(_mm512_cmple_epi32_mask(_mm512_set1_epi32(begin), lane) &
                             _mm512_cmpgt_epi32_mask(_mm512_set1_epi32(end), lane));
  }

  BATCHWRIGHT_SIMD_INLINE __m256 low(F x) { return _mm512_castps512_ps256(x); }
  BATCHWRIGHT_SIMD_INLINE __m256 high(F x) { return _mm512_extractf32x8_ps(x, 1); }
  BATCHWRIGHT_SIMD_INLINE float largest(F x) { return Avx2::largest(Avx2::max(low(x), high(x))); }
  BATCHWRIGHT_SIMD_INLINE float tree_sum16(const F (&lanes)[1]) {
    return Avx2::tree_sum8(Avx2::add(low(lanes[0]), high(lanes[0])));
  }
};

}  // namespace
}  // namespace batchwright

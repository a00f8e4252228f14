// Eight f32 in an AVX2 register, behind the names that vector_math.h and the kernels' bodies are written in.
//
// Only *_avx2.cc files and those of stronger sets include this. The unnamed namespace keeps every function local to the
// file that was compiled for the instruction set.
#pragma once

#include <immintrin.h>

#include <cstdint>

#define BATCHWRIGHT_SIMD_INLINE [[gnu::always_inline]] static inline

namespace batchwright {
namespace {

// Masks of the first n of 8 lanes: 8 values from 8 - n on.
alignas(64) constexpr int32_t kFirstLanes[16] = {-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0};

struct Avx2 {
  static constexpr int kLanes = 8;
  static constexpr int kRegisters = 16;
  using F = __m256;
  using Mask = __m256;

  BATCHWRIGHT_SIMD_INLINE F zero() { return _mm256_setzero_ps(); }
  BATCHWRIGHT_SIMD_INLINE F set1(float x) { return _mm256_set1_ps(x); }
  BATCHWRIGHT_SIMD_INLINE F broadcast(const float* x) { return _mm256_broadcast_ss(x); }

  BATCHWRIGHT_SIMD_INLINE F load(const float* x) { return _mm256_loadu_ps(x); }
  BATCHWRIGHT_SIMD_INLINE F load(const uint16_t* halves) {
    return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(halves)));
  }
  BATCHWRIGHT_SIMD_INLINE void store(float* out, F x) { _mm256_storeu_ps(out, x); }

  // The first n lanes, 0 <= n < kLanes; the others are +0 and not touched in memory.
  BATCHWRIGHT_SIMD_INLINE __m256i first_lanes(int64_t n) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(kFirstLanes + 8 - n));
  }
  BATCHWRIGHT_SIMD_INLINE F load_first(const float* x, int64_t n) { return _mm256_maskload_ps(x, first_lanes(n)); }
  BATCHWRIGHT_SIMD_INLINE void store_first(float* out, F x, int64_t n) { _mm256_maskstore_ps(out, first_lanes(n), x); }
  BATCHWRIGHT_SIMD_INLINE F keep_first(F x, int64_t n) { return _mm256_and_ps(x, _mm256_castsi256_ps(first_lanes(n))); }

  BATCHWRIGHT_SIMD_INLINE F add(F a, F b) { return _mm256_add_ps(a, b); }
  BATCHWRIGHT_SIMD_INLINE F sub(F a, F b) { return _mm256_sub_ps(a, b); }
  BATCHWRIGHT_SIMD_INLINE F mul(F a, F b) { return _mm256_mul_ps(a, b); }
  BATCHWRIGHT_SIMD_INLINE F div(F a, F b) { return _mm256_div_ps(a, b); }
  BATCHWRIGHT_SIMD_INLINE F fma(F a, F b, F c) { return _mm256_fmadd_ps(a, b, c); }    // a * b + c
  BATCHWRIGHT_SIMD_INLINE F fms(F a, F b, F c) { return _mm256_fmsub_ps(a, b, c); }    // a * b - c
  BATCHWRIGHT_SIMD_INLINE F fnma(F a, F b, F c) { return _mm256_fnmadd_ps(a, b, c); }  // c - a * b
  // a > b ? a : b; b where one is NaN.
  BATCHWRIGHT_SIMD_INLINE F max(F a, F b) { return _mm256_max_ps(a, b); }
  BATCHWRIGHT_SIMD_INLINE F min(F a, F b) { return _mm256_min_ps(a, b); }  // the same with a < b

  BATCHWRIGHT_SIMD_INLINE F sign(F x) { return _mm256_and_ps(x, set1(-0.0F)); }
  BATCHWRIGHT_SIMD_INLINE F absolute(F x) { return _mm256_andnot_ps(set1(-0.0F), x); }
  BATCHWRIGHT_SIMD_INLINE F bits_or(F a, F b) { return _mm256_or_ps(a, b); }
  BATCHWRIGHT_SIMD_INLINE F bits_xor(F a, F b) { return _mm256_xor_ps(a, b); }
  // Adds the low 9 bits of t to the exponents of x.
  BATCHWRIGHT_SIMD_INLINE F add_exponent(F x, F t) {
    return _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(x), _mm256_slli_epi32(_mm256_castps_si256(t), 23)));
  }

  BATCHWRIGHT_SIMD_INLINE Mask less(F a, F b) { return _mm256_cmp_ps(a, b, _CMP_LT_OQ); }
  BATCHWRIGHT_SIMD_INLINE Mask equal(F a, F b) { return _mm256_cmp_ps(a, b, _CMP_EQ_OQ); }
  // a > b, or one is NaN.
  BATCHWRIGHT_SIMD_INLINE Mask not_less_equal(F a, F b) { return _mm256_cmp_ps(a, b, _CMP_NLE_UQ); }
  BATCHWRIGHT_SIMD_INLINE F select(Mask mask, F yes, F no) { return _mm256_blendv_ps(no, yes, mask); }
  BATCHWRIGHT_SIMD_INLINE F zero_where(Mask mask, F x) { return _mm256_andnot_ps(mask, x); }
  BATCHWRIGHT_SIMD_INLINE uint32_t mask_bits(Mask mask) { return static_cast<uint32_t>(_mm256_movemask_ps(mask)); }
  // Lanes begin <= lane < end; any integers.
  BATCHWRIGHT_SIMD_INLINE Mask lanes_between(int begin, int end) {
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return _mm256_castsi256_ps(_mm256_andnot_si256(_mm256_cmpgt_epi32(_mm256_set1_epi32(begin), lane),
                                                   _mm256_cmpgt_epi32(_mm256_set1_epi32(end), lane)));
  }

  BATCHWRIGHT_SIMD_INLINE float largest(F x) {
    __m128 m = _mm_max_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    m = _mm_max_ps(m, _mm_movehl_ps(m, m));
    m = _mm_max_ss(m, _mm_movehdup_ps(m));
    return _mm_cvtss_f32(m);
  }
  // The tree i+4, i+2, i+1.
  BATCHWRIGHT_SIMD_INLINE float tree_sum8(__m256 x) {
    __m128 s = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    s = _mm_add_ss(s, _mm_movehdup_ps(s));
    return _mm_cvtss_f32(s);
  }
  // The 16 virtual lanes of a reduction, and their tree i+8, i+4, i+2, i+1.
  BATCHWRIGHT_SIMD_INLINE float tree_sum16(const F (&lanes)[2]) { return tree_sum8(_mm256_add_ps(lanes[0], lanes[1])); }
};

}  // namespace
}  // namespace batchwright

// The AVX-VNNI micro-kernels: kRows rows (1, 2 or 4) of one strip times 16 columns, two registers wide, over the
// unpacked blocks of a panel. The f32 sums stay in memory (first-level cache) between blocks. Include in *_avxvnni.cc
// only.
//
// vpdpbusd multiplies unsigned weights by signed activations and adds four products to an int32, exactly: 32 * 255 *
// 127 is far below 2^31. (vpdpbusds is never used.) A block's sum starts at minus the weights' offset times the
// activations' sum. The products of sub-scales and sums are below 2^24, so that f32 multiplications and additions of
// them are exact and equal to the integer arithmetic of the canonical order: 2 * 128 * 16 * 32 * 127 = 16646144 at
// most.
//
// The products are asm because g++ 12 reassociates the integer additions and then spills most of its registers; the
// statements are volatile to keep their order, which bounds what is alive: 2 * kRows sums, 2 weights, 1 activation.
// {vex}, because the assembler would choose the encoding of AVX-512.
#pragma once

#include <immintrin.h>

#include <cstdint>

#include "kernels/gemm/activations.h"
#include "kernels/gemm/sums_avx2.h"
#include "kernels/gemm/unpack_avx2.h"

namespace batchwright {
namespace {

template <int kRows>
using Sums = __m256i[kRows][2];  // of the two halves of 8 columns

template <int kRows>
using Floats = float[kRows][kPanelWidth];

// s += products of a group: of both weight vectors with four activations of one row.
BATCHWRIGHT_INLINE void add_products(__m256i& s0, __m256i& s1, __m256i w0, __m256i w1, const int8_t (&a)[4]) {
  __m256i t;
  asm volatile(
      "vpbroadcastd %[a], %[t]\n\t"
      "%{vex%} vpdpbusd %[t], %[w0], %[s0]\n\t"
      "%{vex%} vpdpbusd %[t], %[w1], %[s1]"
      : [s0] "+x"(s0), [s1] "+x"(s1), [t] "=&x"(t)
      : [a] "m"(a), [w0] "x"(w0), [w1] "x"(w1));
}

// Groups [kBegin, kEnd) of a block.
template <int kRows, int kBegin, int kEnd>
BATCHWRIGHT_INLINE void add_groups(Sums<kRows>& s, const uint8_t (*w)[kGroupBytes], const StripBlock& a) {
#pragma GCC unroll 8
  for (int g = kBegin; g < kEnd; ++g) {
    const __m256i w0 = load(w[g]);
    const __m256i w1 = load(w[g] + 32);
#pragma GCC unroll 4
    for (int r = 0; r < kRows; ++r) add_products(s[r][0], s[r][1], w0, w1, a.q[g][r]);
  }
}

// The sum of a pair of StripBlock's sums, kTimes over.
template <int kTimes>
BATCHWRIGHT_INLINE __m256i sum_of(const int16_t (&pair)[2]) {
  int32_t both;
  __builtin_memcpy(&both, pair, sizeof both);
  return _mm256_madd_epi16(_mm256_set1_epi32(both), _mm256_set1_epi16(kTimes));
}

// s = -kOffset * (sum of q) of each row.
template <int kRows, int kOffset>
BATCHWRIGHT_INLINE void start(Sums<kRows>& s, const StripBlock& a) {
  static_assert(kOffset == 0 || kOffset == 8 || kOffset == 16 || kOffset == 128);
#pragma GCC unroll 4
  for (int r = 0; r < kRows; ++r) {
    __m256i sum = _mm256_setzero_si256();
    if constexpr (kOffset != 0) sum = sum_of < kOffset == 128 ? 8 : 1 > (a.sum16[r]);
    if constexpr (kOffset == 8) sum = _mm256_srai_epi32(sum, 1);
    s[r][0] = s[r][1] = sum;
  }
}

// s = -32 * (sum of q) of each row, over half a block.
template <int kRows>
BATCHWRIGHT_INLINE void start_half(Sums<kRows>& s, const StripBlock& a, int half) {
#pragma GCC unroll 4
  for (int r = 0; r < kRows; ++r) s[r][0] = s[r][1] = sum_of<1>(a.sum32[half][r]);
}

// acc = fma(f32(s), d * d_a, acc), and with a minimum acc = fma(m, d_sum, acc), of 8 columns.
template <int kRows, bool kMinimum>
BATCHWRIGHT_INLINE void finish_half(const Sums<kRows>& s, int half, __m256 d, [[maybe_unused]] __m256 m,
                                    const StripBlock& a, float* sums) {
#pragma GCC unroll 4
  for (int r = 0; r < kRows; ++r) {
    float* out = sums + r * kPanelWidth + 8 * half;
    const __m256 scale = _mm256_mul_ps(d, _mm256_set1_ps(a.d[r]));
    __m256 acc = _mm256_fmadd_ps(as_floats(s[r][half]), scale, _mm256_loadu_ps(out));
    if constexpr (kMinimum) acc = _mm256_fmadd_ps(m, _mm256_set1_ps(a.d_sum[r]), acc);
    _mm256_storeu_ps(out, acc);
  }
}

// Q4_0 (8), Q5_0 (16), Q8_0 (128), Q4_1 and Q5_1 (0, with a minimum).
template <int kRows, int kOffset, bool kMinimum>
BATCHWRIGHT_INLINE void tile_simple(const UnpackedBlock* w, int64_t blocks, const StripBlock* a, float* sums) {
  for (int64_t b = 0; b < blocks; ++b) {
    Sums<kRows> s;
    start<kRows, kOffset>(s, a[b]);
    add_groups<kRows, 0, kGroups>(s, w[b].w, a[b]);
#pragma GCC unroll 2
    for (int half = 0; half < 2; ++half) {
      const __m256 d = _mm256_load_ps(w[b].d + 8 * half);
      const __m256 m = _mm256_load_ps(w[b].m + 8 * half);
      finish_half<kRows, kMinimum>(s, half, d, m, a[b], sums);
    }
  }
}

// f32 of 8 columns' sub-scales, which stand twice as int16.
BATCHWRIGHT_INLINE __m256 scale_floats(const int16_t (*pairs)[2]) {
  return as_floats(_mm256_srai_epi32(load(pairs), 16));
}

// The scaled sums of the first half of 16 k of 8 columns, where the second has a scale of its own.
template <int kRows>
BATCHWRIGHT_INLINE void scale_first(const Sums<kRows>& s, int half, __m256 scale, Floats<kRows>& first) {
#pragma GCC unroll 4
  for (int r = 0; r < kRows; ++r) _mm256_store_ps(first[r] + 8 * half, _mm256_mul_ps(as_floats(s[r][half]), scale));
}

// sums = fma(d_a, scale * s, sums) of 8 columns, with kTwoScales fma(d_a, first + scale * s, sums).
template <int kRows, bool kTwoScales>
BATCHWRIGHT_INLINE void finish_sub_half(const Sums<kRows>& s, int half, __m256 scale,
                                        [[maybe_unused]] const Floats<kRows>& first, const StripBlock& a, float* sums) {
#pragma GCC unroll 4
  for (int r = 0; r < kRows; ++r) {
    float* out = sums + r * kPanelWidth + 8 * half;
    __m256 scaled = as_floats(s[r][half]);
    if constexpr (kTwoScales) {
      scaled = _mm256_fmadd_ps(scaled, scale, _mm256_load_ps(first[r] + 8 * half));
    } else {
      scaled = _mm256_mul_ps(scaled, scale);
    }
    _mm256_store_ps(out, _mm256_fmadd_ps(_mm256_set1_ps(a.d[r]), scaled, _mm256_load_ps(out)));
  }
}

template <int kRows, bool kTwoScales>
BATCHWRIGHT_INLINE void add_sub_block(const UnpackedSuper& w, int sub, const StripBlock& a, float* sums) {
  Sums<kRows> s;
  alignas(32) Floats<kRows> first;
  if constexpr (kTwoScales) {
    start_half<kRows>(s, a, 0);
    add_groups<kRows, 0, 4>(s, w.w[sub], a);
#pragma GCC unroll 2
    for (int half = 0; half < 2; ++half) {
      scale_first<kRows>(s, half, scale_floats(w.scale[sub][0] + 8 * half), first);
    }
    start_half<kRows>(s, a, 1);
    add_groups<kRows, 4, kGroups>(s, w.w[sub], a);
  } else {
    start<kRows, 0>(s, a);
    add_groups<kRows, 0, kGroups>(s, w.w[sub], a);
  }
#pragma GCC unroll 2
  for (int half = 0; half < 2; ++half) {
    const __m256 scale = scale_floats(w.scale[sub][kTwoScales ? 1 : 0] + 8 * half);
    finish_sub_half<kRows, kTwoScales>(s, half, scale, first, a, sums);
  }
}

// Q4_K and Q5_K (with a minimum), Q6_K (two scales a sub-block, offset 32).
template <int kRows, bool kTwoScales, bool kMinimum>
BATCHWRIGHT_INLINE void tile_super(const UnpackedSuper* w, int64_t supers, const StripBlock* a, float* sums) {
  for (int64_t i = 0; i < supers; ++i, a += kSubBlocks) {
    alignas(32) Floats<kRows> s = {};
    for (int sub = 0; sub < kSubBlocks; ++sub) add_sub_block<kRows, kTwoScales>(w[i], sub, a[sub], s[0]);
#pragma GCC unroll 4
    for (int r = 0; r < kRows; ++r) {
      for (int half = 0; half < 2; ++half) {
        float* out = sums + r * kPanelWidth + 8 * half;
        const __m256 d = _mm256_loadu_ps(w[i].d + 8 * half);
        _mm256_storeu_ps(out, _mm256_fmadd_ps(d, _mm256_load_ps(s[r] + 8 * half), _mm256_loadu_ps(out)));
      }
    }
    if constexpr (kMinimum) finish_minimum<kRows>(w[i], a, sums);
  }
}

}  // namespace
}  // namespace batchwright

// The AVX-512 VNNI micro-kernels: kRows rows (1, 2, 4, or a multiple of 4 out of neighbouring strips) times 16 columns,
// which are one register. Include in *_vnni.cc only.
//
// vpdpbusd multiplies unsigned weights by signed activations and adds four products to an int32, exactly: 32 * 255 *
// 127 is far below 2^31. (vpdpbusds is never used.) A block's sum starts at minus the weights' offset times the
// activations' sum. The products of sub-scales and sums are below 2^24, so that f32 multiplications and additions of
// them are exact and equal to the integer arithmetic of the canonical order: 2 * 128 * 16 * 32 * 127 = 16646144 at
// most.
#pragma once

#include <immintrin.h>

#include <cstdint>

#include "kernels/gemm/activations.h"
#include "kernels/gemm/unpack_vnni.h"

namespace batchwright {
namespace {

// The blocks of neighbouring strips at one place of k.
struct Strips {
  const StripBlock* first;
  int64_t stride;  // from strip to strip

  BATCHWRIGHT_INLINE const StripBlock& of(const Strips& s, int64_t block, int row) {
    return s.first[row / kStripRows * s.stride + block];
  }
};

BATCHWRIGHT_INLINE __m512i pair(const int16_t (&sums)[2]) {
  int32_t both;
  __builtin_memcpy(&both, sums, sizeof both);
  return _mm512_set1_epi32(both);
}

// s += products of a group. asm keeps the broadcast in the instruction, and the order of the statements.
BATCHWRIGHT_INLINE void add_products(__m512i& s, __m512i w, const int8_t (&a)[4]) {
  asm volatile("vpdpbusd %[a]%{1to16%}, %[w], %[s]" : [s] "+v"(s) : [w] "v"(w), [a] "m"(a));
}

template <int kRows, int kBegin, int kEnd>
BATCHWRIGHT_INLINE void add_groups(__m512i (&s)[kRows], const uint8_t (*w)[kGroupBytes], const Strips& a, int64_t b) {
#pragma GCC unroll 8
  for (int g = kBegin; g < kEnd; ++g) {
    const __m512i wg = _mm512_load_si512(w[g]);
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r) add_products(s[r], wg, Strips::of(a, b, r).q[g][r % kStripRows]);
  }
}

// -kOffset * (sum of q).
template <int kOffset>
BATCHWRIGHT_INLINE __m512i start(const StripBlock& a, int lane) {
  if constexpr (kOffset == 0) return _mm512_setzero_si512();
  const __m512i sum = _mm512_madd_epi16(pair(a.sum16[lane]), _mm512_set1_epi16(kOffset == 128 ? 8 : 1));
  return kOffset == 8 ? _mm512_srai_epi32(sum, 1) : sum;
}

// Q4_0 (8), Q5_0 (16), Q8_0 (128), Q4_1 and Q5_1 (0, with a minimum).
template <int kRows, int kOffset, bool kMinimum>
BATCHWRIGHT_INLINE void tile_simple(const WideBlock* w, int64_t blocks, const Strips& a, float* sums) {
  __m512 acc[kRows];
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r) acc[r] = _mm512_loadu_ps(sums + r * kPanelWidth);
  for (int64_t b = 0; b < blocks; ++b) {
    __m512i s[kRows];
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r) s[r] = start<kOffset>(Strips::of(a, b, r), r % kStripRows);
    add_groups<kRows, 0, kGroups>(s, w[b].w, a, b);
    const __m512 d = _mm512_load_ps(w[b].d);
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r) {
      const StripBlock& block = Strips::of(a, b, r);
      const __m512 scale = _mm512_mul_ps(d, _mm512_set1_ps(block.d[r % kStripRows]));
      acc[r] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(s[r]), scale, acc[r]);
      if constexpr (kMinimum) {
        acc[r] = _mm512_fmadd_ps(_mm512_load_ps(w[b].m), _mm512_set1_ps(block.d_sum[r % kStripRows]), acc[r]);
      }
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r) _mm512_storeu_ps(sums + r * kPanelWidth, acc[r]);
}

// f32 of the scaled integer sum of sub-block b of each row.
template <int kRows, bool kTwoScales>
BATCHWRIGHT_INLINE void scaled_sums(const WideSuper& w, int sub, const Strips& a, int64_t b, __m512 (&scaled)[kRows]) {
  __m512i s[kRows];
  if constexpr (kTwoScales) {
    for (int half = 0; half < 2; ++half) {
      const __m512 scale = _mm512_load_ps(w.scale[sub][half]);
#pragma GCC unroll 16
      for (int r = 0; r < kRows; ++r) {
        s[r] = _mm512_madd_epi16(pair(Strips::of(a, b, r).sum32[half][r % kStripRows]), _mm512_set1_epi16(1));
      }
      if (half == 0) {
        add_groups<kRows, 0, 4>(s, w.w[sub], a, b);
      } else {
        add_groups<kRows, 4, 8>(s, w.w[sub], a, b);
      }
#pragma GCC unroll 16
      for (int r = 0; r < kRows; ++r) {
        const __m512 sum = _mm512_cvtepi32_ps(s[r]);
        scaled[r] = half == 0 ? _mm512_mul_ps(sum, scale) : _mm512_fmadd_ps(sum, scale, scaled[r]);
      }
    }
  } else {
    const __m512 scale = _mm512_load_ps(w.scale[sub][0]);
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r) s[r] = _mm512_setzero_si512();
    add_groups<kRows, 0, kGroups>(s, w.w[sub], a, b);
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r) scaled[r] = _mm512_mul_ps(_mm512_cvtepi32_ps(s[r]), scale);
  }
}

// Q4_K and Q5_K (with a minimum), Q6_K (two scales a sub-block, offset 32).
template <int kRows, bool kTwoScales, bool kMinimum>
BATCHWRIGHT_INLINE void tile_super(const WideSuper* w, int64_t supers, const Strips& a, float* sums) {
  for (int64_t i = 0; i < supers; ++i) {
    __m512 s[kRows];
    __m512 u[kRows];
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r) s[r] = u[r] = _mm512_setzero_ps();
    for (int sub = 0; sub < kSubBlocks; ++sub) {
      const int64_t b = i * kSubBlocks + sub;
      __m512 scaled[kRows];
      scaled_sums<kRows, kTwoScales>(w[i], sub, a, b, scaled);
#pragma GCC unroll 16
      for (int r = 0; r < kRows; ++r) {
        const StripBlock& block = Strips::of(a, b, r);
        s[r] = _mm512_fmadd_ps(_mm512_set1_ps(block.d[r % kStripRows]), scaled[r], s[r]);
        if constexpr (kMinimum) {
          u[r] = _mm512_fmadd_ps(_mm512_load_ps(w[i].min[sub]), _mm512_set1_ps(block.d_sum[r % kStripRows]), u[r]);
        }
      }
    }
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r) {
      float* out = sums + r * kPanelWidth;
      __m512 acc = _mm512_fmadd_ps(_mm512_load_ps(w[i].d), s[r], _mm512_loadu_ps(out));
      if constexpr (kMinimum) acc = _mm512_fnmadd_ps(_mm512_load_ps(w[i].dmin), u[r], acc);
      _mm512_storeu_ps(out, acc);
    }
  }
}

}  // namespace
}  // namespace batchwright

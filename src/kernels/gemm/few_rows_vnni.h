// The AVX-512 VNNI kernels for few rows, which memory bounds: they take packed bits apart in registers and multiply
// them at once, where the tiles of tiles_vnni.h read what was unpacked before. The same integers and the same fp32
// steps in the same order. Include in *_vnni.cc only.
#pragma once

#include <immintrin.h>

#include <cstdint>

#include "kernels/gemm/prefetch.h"
#include "kernels/gemm/tiles_vnni.h"

namespace batchwright {
namespace {

// The bits kFrom and the next of `high` above the nibbles of a group.
template <int kBits, int kFrom>
BATCHWRIGHT_INLINE __m512i with_upper_bits(__m512i nibbles, [[maybe_unused]] const uint8_t* high) {
  if constexpr (kBits == 4) return nibbles;
  const __m512i upper = _mm512_set1_epi8(kBits == 5 ? 0x10 : 0x30);
  const __m512i moved = move_bits<Zmm, kFrom, 4>(_mm512_loadu_si512(high));
  constexpr int kOrAnd = 0xf8;  // nibbles | (moved & upper)
  return _mm512_ternarylogic_epi32(nibbles, moved, upper, kOrAnd);
}

template <int kRows>
BATCHWRIGHT_INLINE void add_group(__m512i (&s)[kRows], __m512i w, int group, const StripRows& a, int64_t block) {
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
    asm volatile("vpdpbusd %[a]%{1to16%}, %[w], %[s]"
                 : [s] "+v"(s[r])
                 : [w] "v"(w), [a] "m"(strip_of(a, r, block).q[group][r % kStripRows]));
  }
}

// Groups kVector and kVector + 4 of a block.
template <int kRows, int kBits, int kVector>
BATCHWRIGHT_INLINE void add_vector(__m512i (&first)[kRows], __m512i (&second)[kRows], const uint8_t (*low)[kGroupBytes],
                                   const uint8_t* high, const StripRows& a, int64_t block) {
  const __m512i nibble = _mm512_set1_epi8(15);
  const __m512i x = _mm512_loadu_si512(low[kVector]);
  add_group<kRows>(first, with_upper_bits < kBits,
                   kBits == 5 ? kVector : 2 * kVector > (_mm512_and_si512(x, nibble), high), kVector, a, block);
  add_group<kRows>(second, with_upper_bits < kBits,
                   kBits == 5 ? kVector + 4
                              : 2 * kVector > (_mm512_and_si512(_mm512_srli_epi16(x, 4), nibble),
                                               kBits == 6 ? high + kGroupBytes : high),
                   kVector + 4, a, block);
}

// Adds the products of a block: of its first 16 k to `first`, of the others to `second`, which may be the same.
template <int kRows, int kBits>
BATCHWRIGHT_INLINE void add_block(__m512i (&first)[kRows], __m512i (&second)[kRows], const uint8_t (*low)[kGroupBytes],
                                  const uint8_t* high, const StripRows& a, int64_t block) {
  add_vector<kRows, kBits, 0>(first, second, low, high, a, block);
  add_vector<kRows, kBits, 1>(first, second, low, high, a, block);
  add_vector<kRows, kBits, 2>(first, second, low, high, a, block);
  add_vector<kRows, kBits, 3>(first, second, low, high, a, block);
}

BATCHWRIGHT_INLINE __m512 load_f16(const uint16_t* p) {
  return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
}

BATCHWRIGHT_INLINE __m512 load_bytes(const uint8_t* p) { return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(load16(p))); }

BATCHWRIGHT_INLINE __m512 load_bytes(const int8_t* p) { return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(load16(p))); }

// Q4_0 (8), Q5_0 (16), Q8_0 (128), Q4_1 and Q5_1 (0, with a minimum). sums: [kRows][16], written.
template <int kRows, class Panel, int kBits, int kOffset, bool kMinimum>
BATCHWRIGHT_INLINE void few_simple(const Panel* w, int64_t blocks, const StripRows& a, float* sums) {
  __m512 acc[kRows];
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) acc[r] = _mm512_setzero_ps();
  for (int64_t b = 0; b < blocks; ++b) {
    prefetch_ahead<sizeof *w>(w + b);
    __m512i s[kRows];
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) s[r] = start<kOffset>(strip_of(a, r, b), r % kStripRows);
    if constexpr (kBits == 8) {
      const __m512i sign = _mm512_set1_epi8(-128);
#pragma GCC unroll 8
      for (int g = 0; g < kGroups; ++g) {
        add_group<kRows>(s, _mm512_xor_si512(_mm512_loadu_si512(w[b].q[g]), sign), g, a, b);
      }
    } else {
      const uint8_t* high = nullptr;
      if constexpr (kBits == 5) high = w[b].high;
      add_block<kRows, kBits>(s, s, w[b].low, high, a, b);
    }
    const __m512 d = load_f16(w[b].d);
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
      const StripBlock& strip = strip_of(a, r, b);
      const __m512 scale = _mm512_mul_ps(d, _mm512_set1_ps(strip.d[r % kStripRows]));
      acc[r] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(s[r]), scale, acc[r]);
      if constexpr (kMinimum) {
        acc[r] = _mm512_fmadd_ps(load_f16(w[b].m), _mm512_set1_ps(strip.d_sum[r % kStripRows]), acc[r]);
      }
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) _mm512_store_ps(sums + r * kPanelWidth, acc[r]);
}

// Q4_K and Q5_K (with a minimum), Q6_K (two scales a sub-block, offset 32).
template <int kRows, class Panel, int kBits, bool kMinimum>
BATCHWRIGHT_INLINE void few_super(const Panel* w, int64_t supers, const StripRows& a, float* sums) {
  constexpr bool kTwoScales = kBits == 6;
  __m512 acc[kRows];
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) acc[r] = _mm512_setzero_ps();
  for (int64_t i = 0; i < supers; ++i, ++w) {
    __m512 s[kRows];
    __m512 u[kRows];
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) s[r] = u[r] = _mm512_setzero_ps();
    for (int sub = 0; sub < kSubBlocks; ++sub) {
      constexpr size_t kPart = sizeof *w / kSubBlocks;
      prefetch_ahead<kPart>(reinterpret_cast<const uint8_t*>(w) + static_cast<size_t>(sub) * kPart);
      const int64_t b = i * kSubBlocks + sub;
      __m512i first[kRows];
      __m512i second[kRows];
#pragma GCC unroll 8
      for (int r = 0; r < kRows; ++r) {
        first[r] = second[r] = _mm512_setzero_si512();
        if constexpr (kTwoScales) {
          const __m512i ones = _mm512_set1_epi16(1);
          first[r] = _mm512_madd_epi16(pair(strip_of(a, r, b).sum32[0][r % kStripRows]), ones);
          second[r] = _mm512_madd_epi16(pair(strip_of(a, r, b).sum32[1][r % kStripRows]), ones);
        }
      }
      __m512 scaled[kRows];
      if constexpr (kTwoScales) {
        add_block<kRows, kBits>(first, second, w->low[sub], w->high[sub][0], a, b);
        const __m512 scale0 = load_bytes(w->scale[sub][0]);
        const __m512 scale1 = load_bytes(w->scale[sub][1]);
#pragma GCC unroll 8
        for (int r = 0; r < kRows; ++r) {
          scaled[r] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(second[r]), scale1,
                                      _mm512_mul_ps(_mm512_cvtepi32_ps(first[r]), scale0));
        }
      } else {
        const uint8_t* high = nullptr;
        if constexpr (kBits == 5) high = w->high[sub];
        add_block<kRows, kBits>(first, first, w->low[sub], high, a, b);
        const __m512 scale = load_bytes(w->scale[sub]);
#pragma GCC unroll 8
        for (int r = 0; r < kRows; ++r) scaled[r] = _mm512_mul_ps(_mm512_cvtepi32_ps(first[r]), scale);
      }
#pragma GCC unroll 8
      for (int r = 0; r < kRows; ++r) {
        s[r] = _mm512_fmadd_ps(_mm512_set1_ps(strip_of(a, r, b).d[r % kStripRows]), scaled[r], s[r]);
      }
      if constexpr (kMinimum) {
        const __m512 min = load_bytes(w->min[sub]);
#pragma GCC unroll 8
        for (int r = 0; r < kRows; ++r) {
          u[r] = _mm512_fmadd_ps(min, _mm512_set1_ps(strip_of(a, r, b).d_sum[r % kStripRows]), u[r]);
        }
      }
    }
    const __m512 d = load_f16(w->d);
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
      acc[r] = _mm512_fmadd_ps(d, s[r], acc[r]);
      if constexpr (kMinimum) acc[r] = _mm512_fnmadd_ps(load_f16(w->dmin), u[r], acc[r]);
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) _mm512_store_ps(sums + r * kPanelWidth, acc[r]);
}

}  // namespace
}  // namespace batchwright

// The AVX2 micro-kernels: kRows rows (1, 2 or 4) of one strip times 16 columns, over the unpacked blocks of a panel.
// The f32 sums stay in memory (first-level cache) between blocks. Include in *_avx2.cc only.
//
// vpmaddubsw multiplies unsigned weights by signed activations, adds the two products of a pair and saturates at 16
// bits; vpaddw then adds groups in int16 lanes, modulo 2^16. Both are exact here, with |activation| <= 127:
//   a pair   weights up to 63: 2 * 63 * 127 = 16002. It never saturates.
//   a lane over the 8 groups of a block
//            4 bits without offset: 16 * 15 * 127 = 30480 fits.
//            5 bits less 16, 4 bits less 8: the lane starts at -16 (-8) times its activations' sum, so that its true
//            end is a sum of 16 products of at most 16 * 127: 32512 fits, and what wraps on the way does no harm.
//            5 bits less 15.5 likewise, with the start rounded to a whole number: 16 * 15.5 * 127 + 0.5 fits.
//   a lane over the 4 groups of a half
//            5 bits without offset: 8 * 31 * 127 = 31496. 6 bits less 32: 8 * 32 * 127 = 32512.
// Q8_0 takes |w| as the unsigned factor (|-128| is 128 in a byte) and gives the sign to the activation. A pair, 2 * 128
// * 127 = 32512, fits; no two of them do, so that each is widened to int32.
//
// The products are asm because g++ 12 reassociates the integer additions and then spills most of its registers; the
// statements are volatile to keep their order, which bounds what is alive: 2 * kRows sums, 2 weights, 2 products.
#pragma once

#include <immintrin.h>

#include <cstdint>

#include "kernels/gemm/activations.h"
#include "kernels/gemm/sums_avx2.h"
#include "kernels/gemm/unpack_avx2.h"

namespace batchwright {
namespace {

template <int kRows>
using Lanes = __m256i[kRows][2];  // int16 sums of the two halves of 8 columns

BATCHWRIGHT_INLINE __m256i broadcast_pair(const int16_t (&pair)[2]) {
  int32_t both;
  __builtin_memcpy(&both, pair, sizeof both);
  return _mm256_set1_epi32(both);
}

// s += pair products of a group: of both weight vectors with four activations of one row.
BATCHWRIGHT_INLINE void add_products(__m256i& s0, __m256i& s1, __m256i w0, __m256i w1, const int8_t (&a)[4]) {
  __m256i t0;
  __m256i t1;
  asm volatile(
      "vpbroadcastd %[a], %[t0]\n\t"
      "vpmaddubsw %[t0], %[w0], %[t1]\n\t"
      "vpmaddubsw %[t0], %[w1], %[t0]\n\t"
      "vpaddw %[t1], %[s0], %[s0]\n\t"
      "vpaddw %[t0], %[s1], %[s1]"
      : [s0] "+x"(s0), [s1] "+x"(s1), [t0] "=&x"(t0), [t1] "=&x"(t1)
      : [a] "m"(a), [w0] "x"(w0), [w1] "x"(w1));
}

// s = pair products.
BATCHWRIGHT_INLINE void set_products(__m256i& s0, __m256i& s1, __m256i w0, __m256i w1, const int8_t (&a)[4]) {
  asm volatile(
      "vpbroadcastd %[a], %[s1]\n\t"
      "vpmaddubsw %[s1], %[w0], %[s0]\n\t"
      "vpmaddubsw %[s1], %[w1], %[s1]"
      : [s0] "=&x"(s0), [s1] "=&x"(s1)
      : [a] "m"(a), [w0] "x"(w0), [w1] "x"(w1));
}

// Groups [kBegin, kEnd) of a block. kFresh: the sums start with the first group's products.
template <int kRows, int kBegin, int kEnd, bool kFresh>
BATCHWRIGHT_INLINE void add_groups(Lanes<kRows>& s, const uint8_t (*w)[kGroupBytes], const StripBlock& a) {
#pragma GCC unroll 8
  for (int g = kBegin; g < kEnd; ++g) {
    const __m256i w0 = load(w[g]);
    const __m256i w1 = load(w[g] + 32);
#pragma GCC unroll 4
    for (int r = 0; r < kRows; ++r) {
      if (kFresh && g == kBegin) {
        set_products(s[r][0], s[r][1], w0, w1, a.q[g][r]);
      } else {
        add_products(s[r][0], s[r][1], w0, w1, a.q[g][r]);
      }
    }
  }
}

// acc = fma(f32(isum), d_w * d_a, acc), and with a minimum acc = fma(m_w, d_sum, acc).
template <bool kMinimum>
BATCHWRIGHT_INLINE void finish_block(__m256i isum, int half, int r, const UnpackedBlock& w, const StripBlock& a,
                                     float* sums) {
  float* out = sums + r * kPanelWidth + 8 * half;
  const __m256 scale = _mm256_mul_ps(_mm256_loadu_ps(w.d + 8 * half), _mm256_set1_ps(a.d[r]));
  __m256 acc = _mm256_fmadd_ps(as_floats(isum), scale, _mm256_loadu_ps(out));
  if constexpr (kMinimum) acc = _mm256_fmadd_ps(_mm256_loadu_ps(w.m + 8 * half), _mm256_set1_ps(a.d_sum[r]), acc);
  _mm256_storeu_ps(out, acc);
}

// In place of an offset: 15.5, for the upper five bits of Q8_0 (pruning.h).
constexpr int kOffsetRough = -1;

// Q4_0 (kOffset 8), Q5_0 (16), Q4_1 (0, with a minimum): one run over the 8 groups.
template <int kRows, int kOffset, bool kMinimum>
BATCHWRIGHT_INLINE void tile_whole(const UnpackedBlock* w, int64_t blocks, const StripBlock* a, float* sums) {
  static_assert(kOffset == 0 || kOffset == 8 || kOffset == 16 || kOffset == kOffsetRough);
  const __m256i ones = _mm256_set1_epi16(1);
  for (int64_t b = 0; b < blocks; ++b) {
    Lanes<kRows> s;
    if constexpr (kOffset != 0) {
#pragma GCC unroll 4
      for (int r = 0; r < kRows; ++r) {
        s[r][0] = broadcast_pair(a[b].sum16[r]);
        if constexpr (kOffset == 8) s[r][0] = _mm256_srai_epi16(s[r][0], 1);
        if constexpr (kOffset == kOffsetRough) s[r][0] = _mm256_sub_epi16(s[r][0], _mm256_srai_epi16(s[r][0], 5));
        s[r][1] = s[r][0];
      }
    }
    add_groups<kRows, 0, kGroups, kOffset == 0>(s, w[b].w, a[b]);
#pragma GCC unroll 4
    for (int r = 0; r < kRows; ++r) {
      for (int half = 0; half < 2; ++half) {
        finish_block<kMinimum>(_mm256_madd_epi16(s[r][half], ones), half, r, w[b], a[b], sums);
      }
    }
  }
}

// Q5_1: 5 bits without offset fit the lanes of half a block only.
template <int kRows>
BATCHWRIGHT_INLINE void tile_halves(const UnpackedBlock* w, int64_t blocks, const StripBlock* a, float* sums) {
  const __m256i ones = _mm256_set1_epi16(1);
  for (int64_t b = 0; b < blocks; ++b) {
    alignas(32) int32_t first[kRows][2][8];
    Lanes<kRows> s;
    add_groups<kRows, 0, 4, true>(s, w[b].w, a[b]);
#pragma GCC unroll 4
    for (int r = 0; r < kRows; ++r) {
      for (int half = 0; half < 2; ++half) store(first[r][half], _mm256_madd_epi16(s[r][half], ones));
    }
    add_groups<kRows, 4, 8, true>(s, w[b].w, a[b]);
#pragma GCC unroll 4
    for (int r = 0; r < kRows; ++r) {
      for (int half = 0; half < 2; ++half) {
        const __m256i isum = _mm256_add_epi32(_mm256_madd_epi16(s[r][half], ones), load(first[r][half]));
        finish_block<true>(isum, half, r, w[b], a[b], sums);
      }
    }
  }
}

// s += products of signed weights: |w| * (a with the sign of w), pairs added up to int32 at once.
BATCHWRIGHT_INLINE void add_signed_products(__m256i& s0, __m256i& s1, __m256i w0, __m256i w1, __m256i magnitude0,
                                            __m256i magnitude1, __m256i ones, const int8_t (&a)[4]) {
  __m256i t0;
  __m256i t1;
  asm volatile(
      "vpbroadcastd %[a], %[t0]\n\t"
      "vpsignb %[w0], %[t0], %[t1]\n\t"
      "vpsignb %[w1], %[t0], %[t0]\n\t"
      "vpmaddubsw %[t1], %[m0], %[t1]\n\t"
      "vpmaddubsw %[t0], %[m1], %[t0]\n\t"
      "vpmaddwd %[ones], %[t1], %[t1]\n\t"
      "vpmaddwd %[ones], %[t0], %[t0]\n\t"
      "vpaddd %[t1], %[s0], %[s0]\n\t"
      "vpaddd %[t0], %[s1], %[s1]"
      : [s0] "+x"(s0), [s1] "+x"(s1), [t0] "=&x"(t0), [t1] "=&x"(t1)
      : [a] "m"(a), [w0] "x"(w0), [w1] "x"(w1), [m0] "x"(magnitude0), [m1] "x"(magnitude1), [ones] "x"(ones));
}

// Q8_0, from the packed blocks as they are.
template <int kRows>
BATCHWRIGHT_INLINE void tile_signed(const PanelQ8_0* w, int64_t blocks, const StripBlock* a, float* sums) {
  const __m256i ones = _mm256_set1_epi16(1);
  for (int64_t b = 0; b < blocks; ++b) {
    Lanes<kRows> s;
#pragma GCC unroll 4
    for (int r = 0; r < kRows; ++r) s[r][0] = s[r][1] = _mm256_setzero_si256();
#pragma GCC unroll 8
    for (int g = 0; g < kGroups; ++g) {
      const __m256i w0 = load(w[b].q[g]);
      const __m256i w1 = load(w[b].q[g] + 32);
      const __m256i magnitude0 = _mm256_abs_epi8(w0);
      const __m256i magnitude1 = _mm256_abs_epi8(w1);
#pragma GCC unroll 4
      for (int r = 0; r < kRows; ++r) {
        add_signed_products(s[r][0], s[r][1], w0, w1, magnitude0, magnitude1, ones, a[b].q[g][r]);
      }
    }
    for (int half = 0; half < 2; ++half) {
      const __m256 d = _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(w[b].d + 8 * half)));
#pragma GCC unroll 4
      for (int r = 0; r < kRows; ++r) {
        float* out = sums + r * kPanelWidth + 8 * half;
        const __m256 scale = _mm256_mul_ps(d, _mm256_set1_ps(a[b].d[r]));
        _mm256_storeu_ps(out, _mm256_fmadd_ps(as_floats(s[r][half]), scale, _mm256_loadu_ps(out)));
      }
    }
  }
}

// The K formats. vpmaddwd with the sub-scale adds a lane's two sums and scales them at once: exact in int32, and below
// 2^24 for f32: 2 * 128 * 16 * 32 * 127 = 16646144 at most.
//   kOffset 32 (Q6_K): two halves with scales of their own. kOffset 0: Q4_K in one run, Q5_K (kHalves) in two.
template <int kRows, bool kHalves, int kOffset, bool kMinimum>
BATCHWRIGHT_INLINE void tile_super(const UnpackedSuper* w, int64_t supers, const StripBlock* a, float* sums) {
  static_assert(kOffset == 0 || (kOffset == 32 && kHalves));
  constexpr int kSecondScale = kOffset == 32 ? 1 : 0;
  for (int64_t i = 0; i < supers; ++i, a += kSubBlocks) {
    alignas(32) float s_sums[kRows][kPanelWidth] = {};
    for (int b = 0; b < kSubBlocks; ++b) {
      alignas(32) int32_t first[kRows][2][8];
      Lanes<kRows> s;
      if constexpr (kHalves) {
        if constexpr (kOffset == 32) {
#pragma GCC unroll 4
          for (int r = 0; r < kRows; ++r) s[r][0] = s[r][1] = broadcast_pair(a[b].sum32[0][r]);
        }
        add_groups<kRows, 0, 4, kOffset == 0>(s, w[i].w[b], a[b]);
#pragma GCC unroll 4
        for (int r = 0; r < kRows; ++r) {
          for (int half = 0; half < 2; ++half) {
            store(first[r][half], _mm256_madd_epi16(s[r][half], load(w[i].scale[b][0] + 8 * half)));
          }
        }
        if constexpr (kOffset == 32) {
#pragma GCC unroll 4
          for (int r = 0; r < kRows; ++r) s[r][0] = s[r][1] = broadcast_pair(a[b].sum32[1][r]);
        }
        add_groups<kRows, 4, 8, kOffset == 0>(s, w[i].w[b], a[b]);
      } else {
        add_groups<kRows, 0, 8, true>(s, w[i].w[b], a[b]);
      }
#pragma GCC unroll 4
      for (int r = 0; r < kRows; ++r) {
        const __m256 d_a = _mm256_set1_ps(a[b].d[r]);
        for (int half = 0; half < 2; ++half) {
          __m256i scaled = _mm256_madd_epi16(s[r][half], load(w[i].scale[b][kSecondScale] + 8 * half));
          if constexpr (kHalves) scaled = _mm256_add_epi32(scaled, load(first[r][half]));
          float* out = s_sums[r] + 8 * half;
          _mm256_store_ps(out, _mm256_fmadd_ps(d_a, as_floats(scaled), _mm256_load_ps(out)));
        }
      }
    }
#pragma GCC unroll 4
    for (int r = 0; r < kRows; ++r) {
      for (int half = 0; half < 2; ++half) {
        float* out = sums + r * kPanelWidth + 8 * half;
        const __m256 d = _mm256_loadu_ps(w[i].d + 8 * half);
        _mm256_storeu_ps(out, _mm256_fmadd_ps(d, _mm256_load_ps(s_sums[r] + 8 * half), _mm256_loadu_ps(out)));
      }
    }
    if constexpr (kMinimum) finish_minimum<kRows>(w[i], a, sums);
  }
}

}  // namespace
}  // namespace batchwright

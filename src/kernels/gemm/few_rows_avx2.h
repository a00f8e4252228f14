// The AVX2 kernels for few rows, which memory bounds: they take packed bits apart in registers and multiply them at
// once, where the tiles of tiles_avx2.h read what was unpacked before. The same integers and the same fp32 steps in the
// same order; tiles_avx2.h says why the int16 lanes suffice. Include in *_avx2.cc only.
//
// The halves of 8 columns of a block are done one after the other, so that the sums of all rows fit the registers.
#pragma once

#include <immintrin.h>

#include <cstdint>

#include "kernels/gemm/bits_avx2.h"
#include "kernels/gemm/prefetch.h"
#include "kernels/gemm/sums_avx2.h"
#include "kernels/gemm/tiles_avx2.h"

namespace batchwright {
namespace {

// s += pair products of 8 columns' weights of a group with four activations of one row.
BATCHWRIGHT_INLINE void add_product(__m256i& s, __m256i w, const int8_t (&a)[4]) {
  __m256i t;
  asm volatile(
      "vpbroadcastd %[a], %[t]\n\t"
      "vpmaddubsw %[t], %[w], %[t]\n\t"
      "vpaddw %[t], %[s], %[s]"
      : [s] "+x"(s), [t] "=&x"(t)
      : [a] "m"(a), [w] "x"(w));
}

// Where the sums of symmetric formats start. asm, so that it is not done early and kept on the stack.
BATCHWRIGHT_INLINE __m256i start_pair(const int16_t (&pair)[2]) {
  __m256i s;
  asm volatile("vpbroadcastd %[pair], %[s]" : [s] "=x"(s) : [pair] "m"(pair));
  return s;
}

// Pair products with signed weights x of the given magnitude.
BATCHWRIGHT_INLINE void add_signed_product(__m256i& s, __m256i x, __m256i magnitude, __m256i ones,
                                           const int8_t (&a)[4]) {
  __m256i t;
  asm volatile(
      "vpbroadcastd %[a], %[t]\n\t"
      "vpsignb %[x], %[t], %[t]\n\t"
      "vpmaddubsw %[t], %[m], %[t]\n\t"
      "vpmaddwd %[ones], %[t], %[t]\n\t"
      "vpaddd %[t], %[s], %[s]"
      : [s] "+x"(s), [t] "=&x"(t)
      : [a] "m"(a), [x] "x"(x), [m] "x"(magnitude), [ones] "x"(ones));
}

template <int kRows, int kBits, int kGroup>
BATCHWRIGHT_INLINE void add_group(__m256i (&s)[kRows], const uint8_t* low, const uint8_t* high, const StripRows& a,
                                  int64_t block) {
  const __m256i w = group_of<kRows, kBits, kGroup>(low, high);
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) add_product(s[r], w, strip_of(a, r, block).q[kGroup][r % kStripRows]);
}

// Adds the products of 16 k (kHalf 0 or 1) of 8 columns of a block.
template <int kRows, int kBits, int kHalf>
BATCHWRIGHT_INLINE void add_half(__m256i (&s)[kRows], const uint8_t* low, const uint8_t* high, const StripRows& a,
                                 int64_t block) {
  add_group<kRows, kBits, 4 * kHalf>(s, low, high, a, block);
  add_group<kRows, kBits, 4 * kHalf + 1>(s, low, high, a, block);
  add_group<kRows, kBits, 4 * kHalf + 2>(s, low, high, a, block);
  add_group<kRows, kBits, 4 * kHalf + 3>(s, low, high, a, block);
}

// Q4_0, Q4_1, Q5_0, Q5_1 from the packed blocks. sums: [kRows][16], written.
template <int kRows, class Panel, int kBits, int kOffset, bool kMinimum>
BATCHWRIGHT_INLINE void few_simple(const Panel* w, int64_t blocks, const StripRows& a, float* sums) {
  static_assert(kOffset == 0 || kOffset == 8 || kOffset == 16);
  constexpr bool kHalves = kBits == 5 && kOffset == 0;
  const __m256i ones = _mm256_set1_epi16(1);
  zero_sums<kRows>(sums);
  for (int64_t b = 0; b < blocks; ++b) {
    prefetch_ahead<sizeof *w>(w + b);
#pragma GCC unroll 2
    for (int columns = 0; columns < kPanelWidth; columns += 8) {
      const uint8_t* low = w[b].low[0] + 4 * columns;
      const uint8_t* high = nullptr;
      if constexpr (kBits == 5) high = w[b].high + 4 * columns;
      __m256i s[kRows];
      alignas(32) int32_t first[kRows][8];
#pragma GCC unroll 8
      for (int r = 0; r < kRows; ++r) {
        s[r] = _mm256_setzero_si256();
        if constexpr (kOffset != 0) s[r] = start_pair(strip_of(a, r, b).sum16[r % kStripRows]);
        if constexpr (kOffset == 8) s[r] = _mm256_srai_epi16(s[r], 1);
      }
      add_half<kRows, kBits, 0>(s, low, high, a, b);
      if constexpr (kHalves) {
#pragma GCC unroll 8
        for (int r = 0; r < kRows; ++r) {
          store(first[r], _mm256_madd_epi16(s[r], ones));
          s[r] = _mm256_setzero_si256();
        }
      }
      add_half<kRows, kBits, 1>(s, low, high, a, b);
      const __m256 d = load_f16(w[b].d + columns);
#pragma GCC unroll 8
      for (int r = 0; r < kRows; ++r) {
        const StripBlock& strip = strip_of(a, r, b);
        float* out = sums + r * kPanelWidth + columns;
        __m256i isum = _mm256_madd_epi16(s[r], ones);
        if constexpr (kHalves) isum = _mm256_add_epi32(isum, load(first[r]));
        const __m256 scale = _mm256_mul_ps(d, _mm256_set1_ps(strip.d[r % kStripRows]));
        __m256 acc = _mm256_fmadd_ps(as_floats(isum), scale, _mm256_loadu_ps(out));
        if constexpr (kMinimum) {
          acc = _mm256_fmadd_ps(load_f16(w[b].m + columns), _mm256_set1_ps(strip.d_sum[r % kStripRows]), acc);
        }
        _mm256_storeu_ps(out, acc);
      }
    }
  }
}

// Q8_0: |w| times the activations with the sign of w, pairs added up to int32 at once.
template <int kRows>
BATCHWRIGHT_INLINE void few_signed(const PanelQ8_0* w, int64_t blocks, const StripRows& a, float* sums) {
  const __m256i ones = _mm256_set1_epi16(1);
  zero_sums<kRows>(sums);
  for (int64_t b = 0; b < blocks; ++b) {
    prefetch_ahead<sizeof *w>(w + b);
    if constexpr (kRows == 1) {  // nothing is packed: the tile does as well, with half the loads of activations
      tile_signed<kRows>(w + b, 1, a.first + b, sums);
      continue;
    }
#pragma GCC unroll 2
    for (int columns = 0; columns < kPanelWidth; columns += 8) {
      __m256i s[kRows];
#pragma GCC unroll 8
      for (int r = 0; r < kRows; ++r) s[r] = _mm256_setzero_si256();
#pragma GCC unroll 8
      for (int g = 0; g < kGroups; ++g) {
        const __m256i x = load(w[b].q[g] + 4 * columns);
        const __m256i magnitude = _mm256_abs_epi8(x);
#pragma GCC unroll 8
        for (int r = 0; r < kRows; ++r) {
          add_signed_product(s[r], x, magnitude, ones, strip_of(a, r, b).q[g][r % kStripRows]);
        }
      }
      const __m256 d = load_f16(w[b].d + columns);
#pragma GCC unroll 8
      for (int r = 0; r < kRows; ++r) {
        float* out = sums + r * kPanelWidth + columns;
        const __m256 scale = _mm256_mul_ps(d, _mm256_set1_ps(strip_of(a, r, b).d[r % kStripRows]));
        _mm256_storeu_ps(out, _mm256_fmadd_ps(as_floats(s[r]), scale, _mm256_loadu_ps(out)));
      }
    }
  }
}

// The sub-scales of 8 columns, each twice as int16.
BATCHWRIGHT_INLINE __m256i scale_pairs(const uint8_t* scale, int first_column) {
  const __m256i all = _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(scale)));
  const __m256i first = _mm256_setr_epi8(0, -1, 0, -1, 1, -1, 1, -1, 2, -1, 2, -1, 3, -1, 3, -1,  //
                                         4, -1, 4, -1, 5, -1, 5, -1, 6, -1, 6, -1, 7, -1, 7, -1);
  const __m256i second = _mm256_setr_epi8(8, -1, 8, -1, 9, -1, 9, -1, 10, -1, 10, -1, 11, -1, 11, -1,  //
                                          12, -1, 12, -1, 13, -1, 13, -1, 14, -1, 14, -1, 15, -1, 15, -1);
  return _mm256_shuffle_epi8(all, first_column == 0 ? first : second);
}

BATCHWRIGHT_INLINE __m256i scale_pairs(const int8_t* scale, int first_column) {
  const __m256i all = _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(scale)));
  const __m256i first = _mm256_setr_epi8(-1, 0, -1, 0, -1, 1, -1, 1, -1, 2, -1, 2, -1, 3, -1, 3,  //
                                         -1, 4, -1, 4, -1, 5, -1, 5, -1, 6, -1, 6, -1, 7, -1, 7);
  const __m256i second = _mm256_setr_epi8(-1, 8, -1, 8, -1, 9, -1, 9, -1, 10, -1, 10, -1, 11, -1, 11,  //
                                          -1, 12, -1, 12, -1, 13, -1, 13, -1, 14, -1, 14, -1, 15, -1, 15);
  return _mm256_srai_epi16(_mm256_shuffle_epi8(all, first_column == 0 ? first : second), 8);
}

// Adds sub-block `sub` of 8 columns to s and u, [kRows][16] from the columns on.
template <int kRows, class Panel, int kBits, bool kMinimum>
BATCHWRIGHT_INLINE void few_sub_block(const Panel& w, int sub, int columns, const StripRows& a, int64_t b,
                                      float* s_sums, float* u_sums) {
  constexpr bool kTwoScales = kBits == 6;
  constexpr bool kHalves = kBits != 4;
  const uint8_t* low = w.low[sub][0] + 4 * columns;
  const uint8_t* high = nullptr;
  const auto* scale = &w.scale[sub];
  if constexpr (kBits == 5) high = w.high[sub] + 4 * columns;
  __m256i s[kRows];
  __m256i scales;
  alignas(32) int32_t first[kRows][8];
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
    s[r] = _mm256_setzero_si256();
    if constexpr (kTwoScales) s[r] = start_pair(strip_of(a, r, b).sum32[0][r % kStripRows]);
  }
  if constexpr (kTwoScales) high = w.high[sub][0] + 4 * columns;
  add_half<kRows, kBits, 0>(s, low, high, a, b);
  if constexpr (kTwoScales) {
    scales = scale_pairs((*scale)[0], columns);
  } else {
    scales = scale_pairs(*scale, columns);
  }
  if constexpr (kHalves) {
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
      store(first[r], _mm256_madd_epi16(s[r], scales));
      s[r] = _mm256_setzero_si256();
      if constexpr (kTwoScales) s[r] = start_pair(strip_of(a, r, b).sum32[1][r % kStripRows]);
    }
    if constexpr (kTwoScales) scales = scale_pairs((*scale)[1], columns);
  }
  add_half<kRows, kBits, 1>(s, low, high, a, b);
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
    __m256i scaled = _mm256_madd_epi16(s[r], scales);
    if constexpr (kHalves) scaled = _mm256_add_epi32(scaled, load(first[r]));
    float* out = s_sums + r * kPanelWidth;
    const __m256 d_a = _mm256_set1_ps(strip_of(a, r, b).d[r % kStripRows]);
    _mm256_store_ps(out, _mm256_fmadd_ps(d_a, as_floats(scaled), _mm256_load_ps(out)));
  }
  if constexpr (kMinimum) {
    const __m256 min = load_bytes(w.min[sub] + columns);
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
      float* out = u_sums + r * kPanelWidth;
      const __m256 d_sum = _mm256_set1_ps(strip_of(a, r, b).d_sum[r % kStripRows]);
      _mm256_store_ps(out, _mm256_fmadd_ps(min, d_sum, _mm256_load_ps(out)));
    }
  }
}

// Q4_K, Q5_K (with a minimum), Q6_K (offset 32, two scales a sub-block). s and u: as sums, of the super-block; memory
// of the caller, as g++ keeps parts of local arrays in registers and moves the integer sums out.
template <int kRows, class Panel, int kBits, bool kMinimum>
BATCHWRIGHT_INLINE void few_super(const Panel* w, int64_t supers, const StripRows& a, float* sums, float* s, float* u) {
  constexpr size_t kPart = sizeof *w / kSubBlocks;
  zero_sums<kRows>(sums);
  for (int64_t i = 0; i < supers; ++i, ++w) {
    zero_sums<kRows>(s);
    if constexpr (kMinimum) zero_sums<kRows>(u);
    for (int sub = 0; sub < kSubBlocks; ++sub) {
      prefetch_ahead<kPart>(reinterpret_cast<const uint8_t*>(w) + static_cast<size_t>(sub) * kPart);
      const int64_t b = i * kSubBlocks + sub;
      few_sub_block<kRows, Panel, kBits, kMinimum>(*w, sub, 0, a, b, s, u);
      few_sub_block<kRows, Panel, kBits, kMinimum>(*w, sub, 8, a, b, s + 8, u + 8);
    }
    finish_super<kRows, Panel, kMinimum>(*w, sums, s, u);
  }
}

}  // namespace
}  // namespace batchwright

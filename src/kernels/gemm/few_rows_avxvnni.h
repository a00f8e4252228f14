// The AVX-VNNI kernels for few rows, which memory bounds: they take packed bits apart in registers and multiply them at
// once, where the tiles of tiles_avxvnni.h read what was unpacked before. The same integers and the same fp32 steps in
// the same order. Include in *_avxvnni.cc only.
//
// Up to 4 rows take all 16 columns of a block at once, which halves the loads of activations; for more the halves of 8
// columns are done one after the other, so that the sums of all rows fit the registers.
#pragma once

#include <immintrin.h>

#include <cstdint>

#include "kernels/gemm/bits_avx2.h"
#include "kernels/gemm/prefetch.h"
#include "kernels/gemm/tiles_avxvnni.h"

namespace batchwright {
namespace {

// Vectors of 8 columns that are done together.
template <int kRows>
constexpr int kVectors = kRows <= 4 ? 2 : 1;

template <int kRows>
using FewSums = __m256i[kRows][kVectors<kRows>];

// Adds the products of the weights of group `group` of the block.
template <int kRows>
BATCHWRIGHT_INLINE void add_rows(FewSums<kRows>& s, const __m256i (&w)[kVectors<kRows>], int group, const StripRows& a,
                                 int64_t block) {
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
    const int8_t(&q)[4] = strip_of(a, r, block).q[group][r % kStripRows];
    if constexpr (kVectors<kRows> == 2) {
      add_products(s[r][0], s[r][1], w[0], w[1], q);
    } else {
      __m256i t;
      asm volatile(
          "vpbroadcastd %[a], %[t]\n\t"
          "%{vex%} vpdpbusd %[t], %[w], %[s]"
          : [s] "+x"(s[r][0]), [t] "=&x"(t)
          : [a] "m"(q), [w] "x"(w[0]));
    }
  }
}

template <int kRows, int kBits, int kGroup>
BATCHWRIGHT_INLINE void add_group(FewSums<kRows>& s, const uint8_t* low, const uint8_t* high, const StripRows& a,
                                  int64_t block) {
  __m256i w[kVectors<kRows>];
#pragma GCC unroll 2
  for (int v = 0; v < kVectors<kRows>; ++v) {
    w[v] = group_of<kRows * kVectors<kRows>, kBits, kGroup>(low + 32 * v, high + 32 * v);
  }
  add_rows<kRows>(s, w, kGroup, a, block);
}

// Adds the products of 16 k (kHalf 0 or 1) of a block. `low` and `high` point at the first of the columns.
template <int kRows, int kBits, int kHalf>
BATCHWRIGHT_INLINE void add_half(FewSums<kRows>& s, const uint8_t* low, const uint8_t* high, const StripRows& a,
                                 int64_t block) {
  add_group<kRows, kBits, 4 * kHalf>(s, low, high, a, block);
  add_group<kRows, kBits, 4 * kHalf + 1>(s, low, high, a, block);
  add_group<kRows, kBits, 4 * kHalf + 2>(s, low, high, a, block);
  add_group<kRows, kBits, 4 * kHalf + 3>(s, low, high, a, block);
}

// Q8_0, with its offset of 128.
template <int kRows>
BATCHWRIGHT_INLINE void add_bytes(FewSums<kRows>& s, const int8_t (*q)[kGroupBytes], int columns, const StripRows& a,
                                  int64_t block) {
  const __m256i sign = _mm256_set1_epi8(-128);
#pragma GCC unroll 8
  for (int g = 0; g < kGroups; ++g) {
    __m256i w[kVectors<kRows>];
#pragma GCC unroll 2
    for (int v = 0; v < kVectors<kRows>; ++v) w[v] = _mm256_xor_si256(load(q[g] + 4 * columns + 32 * v), sign);
    add_rows<kRows>(s, w, g, a, block);
  }
}

template <int kRows>
BATCHWRIGHT_INLINE void set_rows(FewSums<kRows>& s, int row, __m256i value) {
#pragma GCC unroll 2
  for (int v = 0; v < kVectors<kRows>; ++v) s[row][v] = value;
}

// Q4_0 (8), Q5_0 (16), Q8_0 (128), Q4_1 and Q5_1 (0, with a minimum). sums: [kRows][16], written.
template <int kRows, class Panel, int kBits, int kOffset, bool kMinimum>
BATCHWRIGHT_INLINE void few_simple(const Panel* w, int64_t blocks, const StripRows& a, float* sums) {
  zero_sums<kRows>(sums);
  for (int64_t b = 0; b < blocks; ++b) {
    prefetch_ahead<sizeof *w>(w + b);
#pragma GCC unroll 2
    for (int columns = 0; columns < kPanelWidth; columns += 8 * kVectors<kRows>) {
      FewSums<kRows> s;
#pragma GCC unroll 8
      for (int r = 0; r < kRows; ++r) set_rows<kRows>(s, r, start<kOffset>(strip_of(a, r, b), r % kStripRows));
      if constexpr (kBits == 8) {
        add_bytes<kRows>(s, w[b].q, columns, a, b);
      } else {
        const uint8_t* low = w[b].low[0] + 4 * columns;
        const uint8_t* high = nullptr;
        if constexpr (kBits == 5) high = w[b].high + 4 * columns;
        add_half<kRows, kBits, 0>(s, low, high, a, b);
        add_half<kRows, kBits, 1>(s, low, high, a, b);
      }
#pragma GCC unroll 2
      for (int v = 0; v < kVectors<kRows>; ++v) {
        const __m256 d = load_f16(w[b].d + columns + 8 * v);
#pragma GCC unroll 8
        for (int r = 0; r < kRows; ++r) {
          const StripBlock& strip = strip_of(a, r, b);
          float* out = sums + r * kPanelWidth + columns + 8 * v;
          const __m256 scale = _mm256_mul_ps(d, _mm256_set1_ps(strip.d[r % kStripRows]));
          __m256 acc = _mm256_fmadd_ps(as_floats(s[r][v]), scale, _mm256_loadu_ps(out));
          if constexpr (kMinimum) {
            const __m256 m = load_f16(w[b].m + columns + 8 * v);
            acc = _mm256_fmadd_ps(m, _mm256_set1_ps(strip.d_sum[r % kStripRows]), acc);
          }
          _mm256_storeu_ps(out, acc);
        }
      }
    }
  }
}

// Adds sub-block `sub` of the columns from `columns` on to s and u, [kRows][16] of all columns.
template <int kRows, class Panel, int kBits, bool kMinimum>
BATCHWRIGHT_INLINE void few_sub_block(const Panel& w, int sub, int columns, const StripRows& a, int64_t b,
                                      float* s_sums, float* u_sums) {
  constexpr bool kTwoScales = kBits == 6;
  const uint8_t* low = w.low[sub][0] + 4 * columns;
  const uint8_t* high = nullptr;
  const auto* scales = &w.scale[sub];
  FewSums<kRows> s;
  alignas(32) float first[kRows][8 * kVectors<kRows>];
  if constexpr (kTwoScales) {
    high = w.high[sub][0] + 4 * columns;
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) set_rows<kRows>(s, r, sum_of<1>(strip_of(a, r, b).sum32[0][r % kStripRows]));
    add_half<kRows, kBits, 0>(s, low, high, a, b);
#pragma GCC unroll 2
    for (int v = 0; v < kVectors<kRows>; ++v) {
      const __m256 scale = load_bytes((*scales)[0] + columns + 8 * v);
#pragma GCC unroll 8
      for (int r = 0; r < kRows; ++r) _mm256_store_ps(first[r] + 8 * v, _mm256_mul_ps(as_floats(s[r][v]), scale));
    }
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) set_rows<kRows>(s, r, sum_of<1>(strip_of(a, r, b).sum32[1][r % kStripRows]));
  } else {
    if constexpr (kBits == 5) high = w.high[sub] + 4 * columns;
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) set_rows<kRows>(s, r, _mm256_setzero_si256());
    add_half<kRows, kBits, 0>(s, low, high, a, b);
  }
  add_half<kRows, kBits, 1>(s, low, high, a, b);
#pragma GCC unroll 2
  for (int v = 0; v < kVectors<kRows>; ++v) {
    const int from = columns + 8 * v;
    __m256 scale;
    if constexpr (kTwoScales) {
      scale = load_bytes((*scales)[1] + from);
    } else {
      scale = load_bytes(*scales + from);
    }
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
      const StripBlock& strip = strip_of(a, r, b);
      float* out = s_sums + r * kPanelWidth + from;
      __m256 scaled = as_floats(s[r][v]);
      if constexpr (kTwoScales) {
        scaled = _mm256_fmadd_ps(scaled, scale, _mm256_load_ps(first[r] + 8 * v));
      } else {
        scaled = _mm256_mul_ps(scaled, scale);
      }
      _mm256_store_ps(out, _mm256_fmadd_ps(_mm256_set1_ps(strip.d[r % kStripRows]), scaled, _mm256_load_ps(out)));
      if constexpr (kMinimum) {
        float* u = u_sums + r * kPanelWidth + from;
        const __m256 d_sum = _mm256_set1_ps(strip.d_sum[r % kStripRows]);
        _mm256_store_ps(u, _mm256_fmadd_ps(load_bytes(w.min[sub] + from), d_sum, _mm256_load_ps(u)));
      }
    }
  }
}

// Q4_K and Q5_K (with a minimum), Q6_K (two scales a sub-block, offset 32). s and u: as sums, of the super-block;
// memory of the caller, as g++ keeps parts of local arrays in registers and moves the integer sums out.
template <int kRows, class Panel, int kBits, bool kMinimum>
BATCHWRIGHT_INLINE void few_super(const Panel* w, int64_t supers, const StripRows& a, float* sums, float* s, float* u) {
  constexpr size_t kPart = sizeof *w / kSubBlocks;
  zero_sums<kRows>(sums);
  for (int64_t i = 0; i < supers; ++i, ++w) {
    zero_sums<kRows>(s);
    if constexpr (kMinimum) zero_sums<kRows>(u);
    for (int sub = 0; sub < kSubBlocks; ++sub) {
      prefetch_ahead<kPart>(reinterpret_cast<const uint8_t*>(w) + static_cast<size_t>(sub) * kPart);
#pragma GCC unroll 2
      for (int columns = 0; columns < kPanelWidth; columns += 8 * kVectors<kRows>) {
        few_sub_block<kRows, Panel, kBits, kMinimum>(*w, sub, columns, a, i * kSubBlocks + sub, s, u);
      }
    }
    finish_super<kRows, Panel, kMinimum>(*w, sums, s, u);
  }
}

}  // namespace
}  // namespace batchwright

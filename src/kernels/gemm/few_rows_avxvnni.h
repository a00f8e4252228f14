// The AVX-VNNI kernels for few rows, which memory bounds: they take packed bits apart in registers and multiply them at
// once, where the tiles of tiles_avxvnni.h read what was unpacked before. The same integers and the same fp32 steps in
// the same order. Include in *_avxvnni.cc only.
//
// Of more than 4 rows, each block is multiplied with one strip after the other: 4 rows times 16 columns are what the
// registers hold, and taking bits apart twice costs less than loading activations for 8 columns only.
#pragma once

#include <immintrin.h>

#include <cstdint>

#include "kernels/gemm/bits_avx2.h"
#include "kernels/gemm/prefetch.h"
#include "kernels/gemm/sums_avx2.h"
#include "kernels/gemm/tiles_avxvnni.h"

namespace batchwright {
namespace {

// Adds the products of the weights w0, w1 of group `group`.
template <int kRows>
BATCHWRIGHT_INLINE void add_rows(Sums<kRows>& s, __m256i w0, __m256i w1, int group, const StripBlock& a) {
#pragma GCC unroll 4
  for (int r = 0; r < kRows; ++r) add_products(s[r][0], s[r][1], w0, w1, a.q[group][r]);
}

template <int kRows, int kBits, int kGroup>
BATCHWRIGHT_INLINE void add_group(Sums<kRows>& s, const uint8_t* low, const uint8_t* high, const StripBlock& a) {
  const __m256i w0 = group_of<2 * kRows, kBits, kGroup>(low, high);
  const __m256i w1 = group_of<2 * kRows, kBits, kGroup>(low + 32, high + 32);
  add_rows<kRows>(s, w0, w1, kGroup, a);
}

// Adds the products of 16 k (kHalf 0 or 1) of a block.
template <int kRows, int kBits, int kHalf>
BATCHWRIGHT_INLINE void add_half(Sums<kRows>& s, const uint8_t* low, const uint8_t* high, const StripBlock& a) {
  add_group<kRows, kBits, 4 * kHalf>(s, low, high, a);
  add_group<kRows, kBits, 4 * kHalf + 1>(s, low, high, a);
  add_group<kRows, kBits, 4 * kHalf + 2>(s, low, high, a);
  add_group<kRows, kBits, 4 * kHalf + 3>(s, low, high, a);
}

// Adds the products of a block of any of the simple formats.
template <int kRows, int kBits, class Panel>
BATCHWRIGHT_INLINE void add_block(Sums<kRows>& s, const Panel& w, const StripBlock& a) {
  if constexpr (kBits == 8) {
    const __m256i sign = _mm256_set1_epi8(-128);
#pragma GCC unroll 8
    for (int g = 0; g < kGroups; ++g) {
      add_rows<kRows>(s, _mm256_xor_si256(load(w.q[g]), sign), _mm256_xor_si256(load(w.q[g] + 32), sign), g, a);
    }
  } else {
    const uint8_t* high = nullptr;
    if constexpr (kBits == 5) high = w.high;
    add_half<kRows, kBits, 0>(s, w.low[0], high, a);
    add_half<kRows, kBits, 1>(s, w.low[0], high, a);
  }
}

// One block times kRows rows of a strip. sums: [kRows][16].
template <int kRows, class Panel, int kBits, int kOffset, bool kMinimum>
BATCHWRIGHT_INLINE void few_block(const Panel& w, const StripBlock& a, float* sums) {
  Sums<kRows> s;
  start<kRows, kOffset>(s, a);
  add_block<kRows, kBits>(s, w, a);
#pragma GCC unroll 2
  for (int half = 0; half < 2; ++half) {
    const __m256 d = load_f16(w.d + 8 * half);
    __m256 m = d;
    if constexpr (kMinimum) m = load_f16(w.m + 8 * half);
    finish_half<kRows, kMinimum>(s, half, d, m, a, sums);
  }
}

// Q4_0 (8), Q5_0 (16), Q8_0 (128), Q4_1 and Q5_1 (0, with a minimum). sums: [kRows][16], written.
template <int kRows, class Panel, int kBits, int kOffset, bool kMinimum>
BATCHWRIGHT_INLINE void few_simple(const Panel* w, int64_t blocks, const StripRows& a, float* sums) {
  constexpr int kFirst = kRows < kStripRows ? kRows : kStripRows;
  zero_sums<kRows>(sums);
  for (int64_t b = 0; b < blocks; ++b) {
    prefetch_ahead<sizeof *w>(w + b);
    few_block<kFirst, Panel, kBits, kOffset, kMinimum>(w[b], strip_of(a, 0, b), sums);
    if constexpr (kRows > kStripRows) {
      few_block<kRows - kStripRows, Panel, kBits, kOffset, kMinimum>(w[b], strip_of(a, kStripRows, b),
                                                                     sums + kStripRows * kPanelWidth);
    }
  }
}

// Adds sub-block `sub` times kRows rows of a strip to s_sums and u_sums, [kRows][16].
template <int kRows, class Panel, int kBits, bool kMinimum>
BATCHWRIGHT_INLINE void few_sub_block(const Panel& w, int sub, const StripBlock& a, float* s_sums, float* u_sums) {
  constexpr bool kTwoScales = kBits == 6;
  const uint8_t* low = w.low[sub][0];
  const uint8_t* high = nullptr;
  const auto* scales = w.scale[sub];
  Sums<kRows> s;
  alignas(32) Floats<kRows> first;
  if constexpr (kTwoScales) {
    high = w.high[sub][0];
    start_half<kRows>(s, a, 0);
    add_half<kRows, kBits, 0>(s, low, high, a);
#pragma GCC unroll 2
    for (int half = 0; half < 2; ++half) scale_first<kRows>(s, half, load_bytes(scales[0] + 8 * half), first);
    start_half<kRows>(s, a, 1);
  } else {
    if constexpr (kBits == 5) high = w.high[sub];
    start<kRows, 0>(s, a);
    add_half<kRows, kBits, 0>(s, low, high, a);
  }
  add_half<kRows, kBits, 1>(s, low, high, a);
#pragma GCC unroll 2
  for (int half = 0; half < 2; ++half) {
    __m256 scale;
    if constexpr (kTwoScales) {
      scale = load_bytes(scales[1] + 8 * half);
    } else {
      scale = load_bytes(scales + 8 * half);
    }
    finish_sub_half<kRows, kTwoScales>(s, half, scale, first, a, s_sums);
    if constexpr (kMinimum) {
      const __m256 min = load_bytes(w.min[sub] + 8 * half);
#pragma GCC unroll 4
      for (int r = 0; r < kRows; ++r) {
        float* u = u_sums + r * kPanelWidth + 8 * half;
        _mm256_store_ps(u, _mm256_fmadd_ps(min, _mm256_set1_ps(a.d_sum[r]), _mm256_load_ps(u)));
      }
    }
  }
}

// Q4_K and Q5_K (with a minimum), Q6_K (two scales a sub-block, offset 32). s and u: as sums, of the super-block;
// memory of the caller, as g++ keeps parts of local arrays in registers and moves the integer sums out.
template <int kRows, class Panel, int kBits, bool kMinimum>
BATCHWRIGHT_INLINE void few_super(const Panel* w, int64_t supers, const StripRows& a, float* sums, float* s, float* u) {
  constexpr int kFirst = kRows < kStripRows ? kRows : kStripRows;
  constexpr int kSecondSums = kStripRows * kPanelWidth;
  constexpr size_t kPart = sizeof *w / kSubBlocks;
  zero_sums<kRows>(sums);
  for (int64_t i = 0; i < supers; ++i, ++w) {
    zero_sums<kRows>(s);
    if constexpr (kMinimum) zero_sums<kRows>(u);
    for (int sub = 0; sub < kSubBlocks; ++sub) {
      prefetch_ahead<kPart>(reinterpret_cast<const uint8_t*>(w) + static_cast<size_t>(sub) * kPart);
      const int64_t b = i * kSubBlocks + sub;
      few_sub_block<kFirst, Panel, kBits, kMinimum>(*w, sub, strip_of(a, 0, b), s, u);
      if constexpr (kRows > kStripRows) {
        few_sub_block<kRows - kStripRows, Panel, kBits, kMinimum>(*w, sub, strip_of(a, kStripRows, b), s + kSecondSums,
                                                                  u + kSecondSums);
      }
    }
    finish_super<kRows, Panel, kMinimum>(*w, sums, s, u);
  }
}

}  // namespace
}  // namespace batchwright

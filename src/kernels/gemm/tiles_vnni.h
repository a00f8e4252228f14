// The AVX-512 VNNI micro-kernels: kRows rows (1, 2 or 4) of a strip times kPanels panels (1 or 2) of 16 columns, each
// one register wide. Two panels halve the loads of activations, which otherwise bound the speed. Block b of panel p
// stands at w[b * kPanels + p], its f32 sums at sums[p * panel_stride]. Include in *_vnni.cc only.
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

BATCHWRIGHT_INLINE __m512i pair(const int16_t (&sums)[2]) {
  int32_t both;
  __builtin_memcpy(&both, sums, sizeof both);
  return _mm512_set1_epi32(both);
}

// s += products of a group: of the weights of each panel with four activations of one row. asm keeps the order of the
// statements, which bounds what is alive.
template <int kPanels>
BATCHWRIGHT_INLINE void add_products(__m512i (&s)[kPanels], const __m512i (&w)[kPanels], const int8_t (&a)[4]) {
  if constexpr (kPanels == 1) {
    asm volatile("vpdpbusd %[a]%{1to16%}, %[w], %[s]" : [s] "+v"(s[0]) : [w] "v"(w[0]), [a] "m"(a));
  } else {
    static_assert(kPanels == 2);
    __m512i t;
    asm volatile(
        "vpbroadcastd %[a], %[t]\n\t"
        "vpdpbusd %[t], %[w0], %[s0]\n\t"
        "vpdpbusd %[t], %[w1], %[s1]"
        : [s0] "+v"(s[0]), [s1] "+v"(s[1]), [t] "=&v"(t)
        : [w0] "v"(w[0]), [w1] "v"(w[1]), [a] "m"(a));
  }
}

template <int kRows, int kPanels>
using Sums = __m512i[kRows][kPanels];

template <int kRows, int kPanels>
using Floats = __m512[kRows][kPanels];

// Groups [kBegin, kEnd) of the block that starts at w; the next panel's block stands `panel_bytes` further.
template <int kRows, int kPanels, int kBegin, int kEnd>
BATCHWRIGHT_INLINE void add_groups(Sums<kRows, kPanels>& s, const uint8_t (*w)[kGroupBytes], size_t panel_bytes,
                                   const StripBlock& a) {
#pragma GCC unroll 8
  for (int g = kBegin; g < kEnd; ++g) {
    __m512i wg[kPanels];
#pragma GCC unroll 2
    for (int p = 0; p < kPanels; ++p) wg[p] = _mm512_load_si512(w[g] + p * panel_bytes);
#pragma GCC unroll 4
    for (int r = 0; r < kRows; ++r) add_products<kPanels>(s[r], wg, a.q[g][r]);
  }
}

// -kOffset * (sum of q) of a row.
template <int kOffset>
BATCHWRIGHT_INLINE __m512i start(const StripBlock& a, int row) {
  if constexpr (kOffset == 0) return _mm512_setzero_si512();
  const __m512i sum = _mm512_madd_epi16(pair(a.sum16[row]), _mm512_set1_epi16(kOffset == 128 ? 8 : 1));
  return kOffset == 8 ? _mm512_srai_epi32(sum, 1) : sum;
}

// Q4_0 (8), Q5_0 (16), Q8_0 (128), Q4_1 and Q5_1 (0, with a minimum).
template <int kRows, int kPanels, int kOffset, bool kMinimum>
BATCHWRIGHT_INLINE void tile_simple(const WideBlock* w, int64_t blocks, const StripBlock* a, float* sums,
                                    int64_t panel_stride) {
  Floats<kRows, kPanels> acc;
#pragma GCC unroll 4
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 2
    for (int p = 0; p < kPanels; ++p) acc[r][p] = _mm512_load_ps(sums + p * panel_stride + r * kPanelWidth);
  }
  for (int64_t b = 0; b < blocks; ++b, w += kPanels, ++a) {
    Sums<kRows, kPanels> s;
#pragma GCC unroll 4
    for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 2
      for (int p = 0; p < kPanels; ++p) s[r][p] = start<kOffset>(*a, r);
    }
    add_groups<kRows, kPanels, 0, kGroups>(s, w->w, sizeof *w, *a);
#pragma GCC unroll 4
    for (int r = 0; r < kRows; ++r) {
      const __m512 d_a = _mm512_set1_ps(a->d[r]);
#pragma GCC unroll 2
      for (int p = 0; p < kPanels; ++p) {
        const __m512 scale = _mm512_mul_ps(_mm512_load_ps(w[p].d), d_a);
        acc[r][p] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(s[r][p]), scale, acc[r][p]);
        if constexpr (kMinimum) {
          acc[r][p] = _mm512_fmadd_ps(_mm512_load_ps(w[p].m), _mm512_set1_ps(a->d_sum[r]), acc[r][p]);
        }
      }
    }
  }
#pragma GCC unroll 4
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 2
    for (int p = 0; p < kPanels; ++p) _mm512_store_ps(sums + p * panel_stride + r * kPanelWidth, acc[r][p]);
  }
}

// f32 of the scaled integer sums of a sub-block.
template <int kRows, int kPanels, bool kTwoScales>
BATCHWRIGHT_INLINE void scaled_sums(const WideSuper* w, int sub, const StripBlock& a, Floats<kRows, kPanels>& scaled) {
  Sums<kRows, kPanels> s;
  if constexpr (!kTwoScales) {
#pragma GCC unroll 4
    for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 2
      for (int p = 0; p < kPanels; ++p) s[r][p] = _mm512_setzero_si512();
    }
    add_groups<kRows, kPanels, 0, kGroups>(s, w->w[sub], sizeof *w, a);
#pragma GCC unroll 4
    for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 2
      for (int p = 0; p < kPanels; ++p) {
        scaled[r][p] = _mm512_mul_ps(_mm512_cvtepi32_ps(s[r][p]), _mm512_load_ps(w[p].scale[sub][0]));
      }
    }
    return;
  }
  const __m512i ones = _mm512_set1_epi16(1);
#pragma GCC unroll 2
  for (int half = 0; half < 2; ++half) {
#pragma GCC unroll 4
    for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 2
      for (int p = 0; p < kPanels; ++p) s[r][p] = _mm512_madd_epi16(pair(a.sum32[half][r]), ones);
    }
    if (half == 0) {
      add_groups<kRows, kPanels, 0, 4>(s, w->w[sub], sizeof *w, a);
    } else {
      add_groups<kRows, kPanels, 4, 8>(s, w->w[sub], sizeof *w, a);
    }
#pragma GCC unroll 4
    for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 2
      for (int p = 0; p < kPanels; ++p) {
        const __m512 sum = _mm512_cvtepi32_ps(s[r][p]);
        const __m512 scale = _mm512_load_ps(w[p].scale[sub][half]);
        scaled[r][p] = half == 0 ? _mm512_mul_ps(sum, scale) : _mm512_fmadd_ps(sum, scale, scaled[r][p]);
      }
    }
  }
}

// Q4_K and Q5_K (with a minimum), Q6_K (two scales a sub-block, offset 32).
template <int kRows, int kPanels, bool kTwoScales, bool kMinimum>
BATCHWRIGHT_INLINE void tile_super(const WideSuper* w, int64_t supers, const StripBlock* a, float* sums,
                                   int64_t panel_stride) {
  for (int64_t i = 0; i < supers; ++i, w += kPanels) {
    Floats<kRows, kPanels> s;
    Floats<kRows, kPanels> u;
#pragma GCC unroll 4
    for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 2
      for (int p = 0; p < kPanels; ++p) s[r][p] = u[r][p] = _mm512_setzero_ps();
    }
    for (int sub = 0; sub < kSubBlocks; ++sub, ++a) {
      Floats<kRows, kPanels> scaled;
      scaled_sums<kRows, kPanels, kTwoScales>(w, sub, *a, scaled);
#pragma GCC unroll 4
      for (int r = 0; r < kRows; ++r) {
        const __m512 d_a = _mm512_set1_ps(a->d[r]);
#pragma GCC unroll 2
        for (int p = 0; p < kPanels; ++p) {
          s[r][p] = _mm512_fmadd_ps(d_a, scaled[r][p], s[r][p]);
          if constexpr (kMinimum) {
            u[r][p] = _mm512_fmadd_ps(_mm512_load_ps(w[p].min[sub]), _mm512_set1_ps(a->d_sum[r]), u[r][p]);
          }
        }
      }
    }
#pragma GCC unroll 4
    for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 2
      for (int p = 0; p < kPanels; ++p) {
        float* out = sums + p * panel_stride + r * kPanelWidth;
        __m512 acc = _mm512_fmadd_ps(_mm512_load_ps(w[p].d), s[r][p], _mm512_load_ps(out));
        if constexpr (kMinimum) acc = _mm512_fnmadd_ps(_mm512_load_ps(w[p].dmin), u[r][p], acc);
        _mm512_store_ps(out, acc);
      }
    }
  }
}

}  // namespace
}  // namespace batchwright

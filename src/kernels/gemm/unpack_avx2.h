// From packed blocks to what the AVX2 tiles multiply: unsigned bytes in groups, scales as f32 or as pairs of int16.
// Made once a panel in the first-level cache and used by all rows. Include in *_avx2.cc only.
#pragma once

#include <immintrin.h>

#include <cstdint>

#include "kernels/gemm/layout.h"

#define BATCHWRIGHT_INLINE static inline __attribute__((always_inline))

namespace batchwright {
namespace {

// Q4_0, Q4_1, Q5_0, Q5_1. Values still carry the format's offset.
struct alignas(32) UnpackedBlock {
  uint8_t w[kGroups][kGroupBytes];
  float d[kPanelWidth];
  float m[kPanelWidth];
};

// Q8_0 as two planes of four bits: w = low + 16 * (high - 8). The first index is the half of 8 columns.
struct alignas(32) UnpackedPlanes {
  uint8_t w[2][kGroups][2][32];  // [half][group][low, high]
  float d[kPanelWidth];
};

// Q4_K, Q5_K, Q6_K. Scales stand twice, so that vpmaddwd multiplies both int16 sums of a column.
struct alignas(32) UnpackedSuper {
  uint8_t w[kSubBlocks][kGroups][kGroupBytes];
  int16_t scale[kSubBlocks][2][kPanelWidth][2];  // of the two halves of 16
  float min[kSubBlocks][kPanelWidth];
  float d[kPanelWidth];
  float dmin[kPanelWidth];
};

BATCHWRIGHT_INLINE __m256i load(const void* p) { return _mm256_loadu_si256(static_cast<const __m256i*>(p)); }
BATCHWRIGHT_INLINE void store(void* p, __m256i v) { _mm256_storeu_si256(static_cast<__m256i*>(p), v); }

BATCHWRIGHT_INLINE void unpack_f16(const uint16_t* in, float* out) {
  for (int i = 0; i < kPanelWidth; i += 8) {
    _mm256_storeu_ps(out + i, _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(in + i))));
  }
}

BATCHWRIGHT_INLINE void unpack_low(const uint8_t (*low)[kGroupBytes], uint8_t (*w)[kGroupBytes]) {
  const __m256i nibble = _mm256_set1_epi8(15);
  for (int v = 0; v < 4; ++v) {
    for (int i = 0; i < kGroupBytes; i += 32) {
      const __m256i x = load(low[v] + i);
      store(w[v] + i, _mm256_and_si256(x, nibble));
      store(w[v + 4] + i, _mm256_and_si256(_mm256_srli_epi16(x, 4), nibble));
    }
  }
}

// Bit kFrom of every byte moved to bit kTo; the bits beside it are rubbish. (Bytes have no shifts of their own.)
template <int kFrom, int kTo>
BATCHWRIGHT_INLINE __m256i shift_bits(__m256i x) {
  if constexpr (kFrom < kTo) return _mm256_slli_epi16(x, kTo - kFrom);
  if constexpr (kFrom > kTo) return _mm256_srli_epi16(x, kFrom - kTo);
  return x;
}

template <int kVector>
BATCHWRIGHT_INLINE void unpack_five_step(__m256i low, __m256i high, uint8_t (*w)[kGroupBytes], int i) {
  const __m256i nibble = _mm256_set1_epi8(15);
  const __m256i fifth = _mm256_set1_epi8(16);
  const __m256i first = _mm256_and_si256(low, nibble);
  const __m256i second = _mm256_and_si256(_mm256_srli_epi16(low, 4), nibble);
  store(w[kVector] + i, _mm256_or_si256(first, _mm256_and_si256(shift_bits<kVector, 4>(high), fifth)));
  store(w[kVector + 4] + i, _mm256_or_si256(second, _mm256_and_si256(shift_bits<kVector + 4, 4>(high), fifth)));
}

BATCHWRIGHT_INLINE void unpack_five(const uint8_t (*low)[kGroupBytes], const uint8_t* high, uint8_t (*w)[kGroupBytes]) {
  for (int i = 0; i < kGroupBytes; i += 32) {
    const __m256i h = load(high + i);
    unpack_five_step<0>(load(low[0] + i), h, w, i);
    unpack_five_step<1>(load(low[1] + i), h, w, i);
    unpack_five_step<2>(load(low[2] + i), h, w, i);
    unpack_five_step<3>(load(low[3] + i), h, w, i);
  }
}

template <int kVector>
BATCHWRIGHT_INLINE void unpack_six_step(__m256i low, __m256i high0, __m256i high1, uint8_t (*w)[kGroupBytes], int i) {
  const __m256i nibble = _mm256_set1_epi8(15);
  const __m256i upper = _mm256_set1_epi8(0x30);
  const __m256i first = _mm256_and_si256(low, nibble);
  const __m256i second = _mm256_and_si256(_mm256_srli_epi16(low, 4), nibble);
  store(w[kVector] + i, _mm256_or_si256(first, _mm256_and_si256(shift_bits<2 * kVector, 4>(high0), upper)));
  store(w[kVector + 4] + i, _mm256_or_si256(second, _mm256_and_si256(shift_bits<2 * kVector, 4>(high1), upper)));
}

BATCHWRIGHT_INLINE void unpack_six(const uint8_t (*low)[kGroupBytes], const uint8_t (*high)[kGroupBytes],
                                   uint8_t (*w)[kGroupBytes]) {
  for (int i = 0; i < kGroupBytes; i += 32) {
    const __m256i h0 = load(high[0] + i);
    const __m256i h1 = load(high[1] + i);
    unpack_six_step<0>(load(low[0] + i), h0, h1, w, i);
    unpack_six_step<1>(load(low[1] + i), h0, h1, w, i);
    unpack_six_step<2>(load(low[2] + i), h0, h1, w, i);
    unpack_six_step<3>(load(low[3] + i), h0, h1, w, i);
  }
}

BATCHWRIGHT_INLINE __m256i twice_as_int16(__m256i dwords) {
  return _mm256_or_si256(_mm256_and_si256(dwords, _mm256_set1_epi32(0xffff)), _mm256_slli_epi32(dwords, 16));
}

BATCHWRIGHT_INLINE __m128i load8(const void* p) { return _mm_loadl_epi64(static_cast<const __m128i*>(p)); }

BATCHWRIGHT_INLINE void unpack_scales_mins(const uint8_t* scale, const uint8_t* min, int16_t (*scale_out)[2],
                                           float* min_out) {
  for (int i = 0; i < kPanelWidth; i += 8) {
    store(scale_out + i, twice_as_int16(_mm256_cvtepu8_epi32(load8(scale + i))));
    _mm256_storeu_ps(min_out + i, _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(load8(min + i))));
  }
}

BATCHWRIGHT_INLINE void unpack(const PanelQ4_0& in, UnpackedBlock& out) {
  unpack_low(in.low, out.w);
  unpack_f16(in.d, out.d);
}

BATCHWRIGHT_INLINE void unpack(const PanelQ4_1& in, UnpackedBlock& out) {
  unpack_low(in.low, out.w);
  unpack_f16(in.d, out.d);
  unpack_f16(in.m, out.m);
}

BATCHWRIGHT_INLINE void unpack(const PanelQ5_0& in, UnpackedBlock& out) {
  unpack_five(in.low, in.high, out.w);
  unpack_f16(in.d, out.d);
}

BATCHWRIGHT_INLINE void unpack(const PanelQ5_1& in, UnpackedBlock& out) {
  unpack_five(in.low, in.high, out.w);
  unpack_f16(in.d, out.d);
  unpack_f16(in.m, out.m);
}

BATCHWRIGHT_INLINE void unpack(const PanelQ8_0& in, UnpackedPlanes& out) {
  const __m256i nibble = _mm256_set1_epi8(15);
  const __m256i sign = _mm256_set1_epi8(-128);
  for (int g = 0; g < kGroups; ++g) {
    for (int half = 0; half < 2; ++half) {
      const __m256i x = _mm256_xor_si256(load(in.q[g] + 32 * half), sign);  // w + 128
      store(out.w[half][g][0], _mm256_and_si256(x, nibble));
      store(out.w[half][g][1], _mm256_and_si256(_mm256_srli_epi16(x, 4), nibble));
    }
  }
  unpack_f16(in.d, out.d);
}

BATCHWRIGHT_INLINE void unpack(const PanelQ4_K& in, UnpackedSuper& out) {
  for (int s = 0; s < kSubBlocks; ++s) {
    unpack_low(in.low[s], out.w[s]);
    unpack_scales_mins(in.scale[s], in.min[s], out.scale[s][0], out.min[s]);
  }
  unpack_f16(in.d, out.d);
  unpack_f16(in.dmin, out.dmin);
}

BATCHWRIGHT_INLINE void unpack(const PanelQ5_K& in, UnpackedSuper& out) {
  for (int s = 0; s < kSubBlocks; ++s) {
    unpack_five(in.low[s], in.high[s], out.w[s]);
    unpack_scales_mins(in.scale[s], in.min[s], out.scale[s][0], out.min[s]);
  }
  unpack_f16(in.d, out.d);
  unpack_f16(in.dmin, out.dmin);
}

BATCHWRIGHT_INLINE void unpack(const PanelQ6_K& in, UnpackedSuper& out) {
  for (int s = 0; s < kSubBlocks; ++s) {
    unpack_six(in.low[s], in.high[s], out.w[s]);
    for (int half = 0; half < 2; ++half) {
      for (int i = 0; i < kPanelWidth; i += 8) {
        store(out.scale[s][half] + i, twice_as_int16(_mm256_cvtepi8_epi32(load8(in.scale[s][half] + i))));
      }
    }
  }
  unpack_f16(in.d, out.d);
}

}  // namespace
}  // namespace batchwright

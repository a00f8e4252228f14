// From packed blocks to what the AVX2 and AVX-VNNI tiles multiply: unsigned bytes in groups, scales as f32 or as pairs
// of int16. Made once a panel in the first-level cache and used by all rows. Include in *_avx2.cc and *_avxvnni.cc
// only.
#pragma once

#include <immintrin.h>

#include <cstdint>

#include "kernels/gemm/layout.h"
#include "kernels/gemm/unpack_bits.h"

namespace batchwright {
namespace {

// Q4_0, Q4_1, Q5_0, Q5_1. Values still carry the format's offset.
struct alignas(32) UnpackedBlock {
  uint8_t w[kGroups][kGroupBytes];
  float d[kPanelWidth];
  float m[kPanelWidth];
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

struct Ymm {
  using Reg = __m256i;
  static constexpr int kBytes = 32;
  BATCHWRIGHT_INLINE Reg load(const uint8_t* p) { return batchwright::load(p); }
  BATCHWRIGHT_INLINE void store(uint8_t* p, Reg x) { batchwright::store(p, x); }
  BATCHWRIGHT_INLINE Reg splat(char byte) { return _mm256_set1_epi8(byte); }
  BATCHWRIGHT_INLINE Reg bit_and(Reg x, Reg y) { return _mm256_and_si256(x, y); }
  BATCHWRIGHT_INLINE Reg bit_or(Reg x, Reg y) { return _mm256_or_si256(x, y); }
  template <int kBits>
  BATCHWRIGHT_INLINE Reg shift_left(Reg x) {
    return _mm256_slli_epi16(x, kBits);
  }
  template <int kBits>
  BATCHWRIGHT_INLINE Reg shift_right(Reg x) {
    return _mm256_srli_epi16(x, kBits);
  }
};

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
  unpack_four<Ymm>(in.low, out.w);
  unpack_f16(in.d, out.d);
}

BATCHWRIGHT_INLINE void unpack(const PanelQ4_1& in, UnpackedBlock& out) {
  unpack_four<Ymm>(in.low, out.w);
  unpack_f16(in.d, out.d);
  unpack_f16(in.m, out.m);
}

BATCHWRIGHT_INLINE void unpack(const PanelQ5_0& in, UnpackedBlock& out) {
  unpack_five<Ymm>(in.low, in.high, out.w);
  unpack_f16(in.d, out.d);
}

BATCHWRIGHT_INLINE void unpack(const PanelQ5_1& in, UnpackedBlock& out) {
  unpack_five<Ymm>(in.low, in.high, out.w);
  unpack_f16(in.d, out.d);
  unpack_f16(in.m, out.m);
}

// The upper five bits of w + 128, and 8 * d for them (pruning.h).
BATCHWRIGHT_INLINE void unpack(const PanelQ8_0& in, UnpackedBlock& out) {
  const __m256i five = _mm256_set1_epi8(31);
  const __m256i sign = _mm256_set1_epi8(16);
  for (int g = 0; g < kGroups; ++g) {
    for (int i = 0; i < kGroupBytes; i += 32) {
      const __m256i upper = _mm256_and_si256(_mm256_srli_epi16(load(in.q[g] + i), 3), five);
      store(out.w[g] + i, _mm256_xor_si256(upper, sign));
    }
  }
  unpack_f16(in.d, out.d);
  for (int i = 0; i < kPanelWidth; i += 8) {
    _mm256_storeu_ps(out.d + i, _mm256_mul_ps(_mm256_loadu_ps(out.d + i), _mm256_set1_ps(8)));
  }
}

BATCHWRIGHT_INLINE void unpack(const PanelQ4_K& in, UnpackedSuper& out) {
  for (int s = 0; s < kSubBlocks; ++s) {
    unpack_four<Ymm>(in.low[s], out.w[s]);
    unpack_scales_mins(in.scale[s], in.min[s], out.scale[s][0], out.min[s]);
  }
  unpack_f16(in.d, out.d);
  unpack_f16(in.dmin, out.dmin);
}

BATCHWRIGHT_INLINE void unpack(const PanelQ5_K& in, UnpackedSuper& out) {
  for (int s = 0; s < kSubBlocks; ++s) {
    unpack_five<Ymm>(in.low[s], in.high[s], out.w[s]);
    unpack_scales_mins(in.scale[s], in.min[s], out.scale[s][0], out.min[s]);
  }
  unpack_f16(in.d, out.d);
  unpack_f16(in.dmin, out.dmin);
}

BATCHWRIGHT_INLINE void unpack(const PanelQ6_K& in, UnpackedSuper& out) {
  for (int s = 0; s < kSubBlocks; ++s) {
    unpack_six<Ymm>(in.low[s], in.high[s], out.w[s]);
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

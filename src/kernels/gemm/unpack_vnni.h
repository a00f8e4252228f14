// From packed blocks to what the VNNI and AMX tiles multiply. Include in *_vnni.cc and *_amx.cc only.
#pragma once

#include <immintrin.h>

#include <cstdint>

#include "kernels/gemm/layout.h"
#include "kernels/gemm/unpack_bits.h"

namespace batchwright {
namespace {

// The simple formats. For VNNI values still carry the format's offset; that of Q8_0 is 128.
struct alignas(64) WideBlock {
  uint8_t w[kGroups][kGroupBytes];
  float d[kPanelWidth];
  float m[kPanelWidth];
};

// The K formats, their sub-scales as f32.
struct alignas(64) WideSuper {
  uint8_t w[kSubBlocks][kGroups][kGroupBytes];
  float scale[kSubBlocks][2][kPanelWidth];  // of the two halves of 16; [1] in Q6_K only
  float min[kSubBlocks][kPanelWidth];
  float d[kPanelWidth];
  float dmin[kPanelWidth];
};

struct Zmm {
  using Reg = __m512i;
  static constexpr int kBytes = 64;
  BATCHWRIGHT_INLINE Reg load(const uint8_t* p) { return _mm512_loadu_si512(p); }
  BATCHWRIGHT_INLINE void store(uint8_t* p, Reg x) { _mm512_store_si512(p, x); }
  BATCHWRIGHT_INLINE Reg splat(char byte) { return _mm512_set1_epi8(byte); }
  BATCHWRIGHT_INLINE Reg bit_and(Reg x, Reg y) { return _mm512_and_si512(x, y); }
  BATCHWRIGHT_INLINE Reg bit_or(Reg x, Reg y) { return _mm512_or_si512(x, y); }
  template <int kBits>
  BATCHWRIGHT_INLINE Reg shift_left(Reg x) {
    return _mm512_slli_epi16(x, kBits);
  }
  template <int kBits>
  BATCHWRIGHT_INLINE Reg shift_right(Reg x) {
    return _mm512_srli_epi16(x, kBits);
  }
};

// Stores values without their offset: signed bytes.
template <int kOffset>
struct SignedZmm : Zmm {
  BATCHWRIGHT_INLINE void store(uint8_t* p, Reg x) {
    _mm512_store_si512(p, _mm512_sub_epi8(x, _mm512_set1_epi8(static_cast<char>(kOffset))));
  }
};

BATCHWRIGHT_INLINE __m128i load16(const void* p) { return _mm_loadu_si128(static_cast<const __m128i*>(p)); }

BATCHWRIGHT_INLINE void unpack_f16(const uint16_t* in, float* out) {
  _mm512_store_ps(out, _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(in))));
}

BATCHWRIGHT_INLINE void unpack_bytes(const uint8_t* in, float* out) {
  _mm512_store_ps(out, _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(load16(in))));
}

BATCHWRIGHT_INLINE void unpack_bytes(const int8_t* in, float* out) {
  _mm512_store_ps(out, _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(load16(in))));
}

template <class V = Zmm>
BATCHWRIGHT_INLINE void unpack(const PanelQ4_0& in, WideBlock& out) {
  unpack_four<V>(in.low, out.w);
  unpack_f16(in.d, out.d);
}

template <class V = Zmm>
BATCHWRIGHT_INLINE void unpack(const PanelQ4_1& in, WideBlock& out) {
  unpack_four<V>(in.low, out.w);
  unpack_f16(in.d, out.d);
  unpack_f16(in.m, out.m);
}

template <class V = Zmm>
BATCHWRIGHT_INLINE void unpack(const PanelQ5_0& in, WideBlock& out) {
  unpack_five<V>(in.low, in.high, out.w);
  unpack_f16(in.d, out.d);
}

template <class V = Zmm>
BATCHWRIGHT_INLINE void unpack(const PanelQ5_1& in, WideBlock& out) {
  unpack_five<V>(in.low, in.high, out.w);
  unpack_f16(in.d, out.d);
  unpack_f16(in.m, out.m);
}

template <class V = Zmm>
BATCHWRIGHT_INLINE void unpack(const PanelQ8_0& in, WideBlock& out) {
  const __m512i sign = _mm512_set1_epi8(-128);
  for (int g = 0; g < kGroups; ++g) {
    V::store(out.w[g], _mm512_xor_si512(_mm512_loadu_si512(in.q[g]), sign));
  }
  unpack_f16(in.d, out.d);
}

template <class V = Zmm>
BATCHWRIGHT_INLINE void unpack(const PanelQ4_K& in, WideSuper& out) {
  for (int s = 0; s < kSubBlocks; ++s) {
    unpack_four<V>(in.low[s], out.w[s]);
    unpack_bytes(in.scale[s], out.scale[s][0]);
    unpack_bytes(in.min[s], out.min[s]);
  }
  unpack_f16(in.d, out.d);
  unpack_f16(in.dmin, out.dmin);
}

template <class V = Zmm>
BATCHWRIGHT_INLINE void unpack(const PanelQ5_K& in, WideSuper& out) {
  for (int s = 0; s < kSubBlocks; ++s) {
    unpack_five<V>(in.low[s], in.high[s], out.w[s]);
    unpack_bytes(in.scale[s], out.scale[s][0]);
    unpack_bytes(in.min[s], out.min[s]);
  }
  unpack_f16(in.d, out.d);
  unpack_f16(in.dmin, out.dmin);
}

template <class V = Zmm>
BATCHWRIGHT_INLINE void unpack(const PanelQ6_K& in, WideSuper& out) {
  for (int s = 0; s < kSubBlocks; ++s) {
    unpack_six<V>(in.low[s], in.high[s], out.w[s]);
    unpack_bytes(in.scale[s][0], out.scale[s][0]);
    unpack_bytes(in.scale[s][1], out.scale[s][1]);
  }
  unpack_f16(in.d, out.d);
}

}  // namespace
}  // namespace batchwright

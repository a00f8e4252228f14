// Taking packed bits apart into unsigned bytes in groups, for any width of vectors. V has: Reg, kBytes, load, store,
// splat (a byte), bit_and, bit_or, shift_left<n> and shift_right<n> (of 16-bit lanes). Include in files of one
// instruction set only.
#pragma once

#include <cstdint>

#include "kernels/gemm/layout.h"

#define BATCHWRIGHT_INLINE static inline __attribute__((always_inline))

namespace batchwright {
namespace {

// Groups v and v + 4 from the nibbles of vector v.
template <class V>
BATCHWRIGHT_INLINE void unpack_four(const uint8_t (*low)[kGroupBytes], uint8_t (*w)[kGroupBytes]) {
  const auto nibble = V::splat(15);
  for (int v = 0; v < 4; ++v) {
    for (int i = 0; i < kGroupBytes; i += V::kBytes) {
      const auto x = V::load(low[v] + i);
      V::store(w[v] + i, V::bit_and(x, nibble));
      V::store(w[v + 4] + i, V::bit_and(V::template shift_right<4>(x), nibble));
    }
  }
}

// Bit kFrom of every byte moved to bit kTo; the bits beside it are rubbish. (Bytes have no shifts of their own.)
template <class V, int kFrom, int kTo>
BATCHWRIGHT_INLINE typename V::Reg move_bits(typename V::Reg x) {
  if constexpr (kFrom < kTo) return V::template shift_left<kTo - kFrom>(x);
  if constexpr (kFrom > kTo) return V::template shift_right<kFrom - kTo>(x);
  return x;
}

// Groups kVector and kVector + 4: nibbles of `low` below the bits that start at kFirstBit of `first` and kSecondBit of
// `second`, as many as `upper` has from bit 4 on.
template <class V, int kVector, int kFirstBit, int kSecondBit>
BATCHWRIGHT_INLINE void unpack_more(typename V::Reg low, typename V::Reg first, typename V::Reg second,
                                    typename V::Reg upper, uint8_t (*w)[kGroupBytes], int i) {
  const auto nibble = V::splat(15);
  V::store(w[kVector] + i, V::bit_or(V::bit_and(low, nibble), V::bit_and(move_bits<V, kFirstBit, 4>(first), upper)));
  V::store(w[kVector + 4] + i, V::bit_or(V::bit_and(V::template shift_right<4>(low), nibble),
                                         V::bit_and(move_bits<V, kSecondBit, 4>(second), upper)));
}

template <class V>
BATCHWRIGHT_INLINE void unpack_five(const uint8_t (*low)[kGroupBytes], const uint8_t* high, uint8_t (*w)[kGroupBytes]) {
  const auto fifth = V::splat(0x10);
  for (int i = 0; i < kGroupBytes; i += V::kBytes) {
    const auto h = V::load(high + i);
    unpack_more<V, 0, 0, 4>(V::load(low[0] + i), h, h, fifth, w, i);
    unpack_more<V, 1, 1, 5>(V::load(low[1] + i), h, h, fifth, w, i);
    unpack_more<V, 2, 2, 6>(V::load(low[2] + i), h, h, fifth, w, i);
    unpack_more<V, 3, 3, 7>(V::load(low[3] + i), h, h, fifth, w, i);
  }
}

template <class V>
BATCHWRIGHT_INLINE void unpack_six(const uint8_t (*low)[kGroupBytes], const uint8_t (*high)[kGroupBytes],
                                   uint8_t (*w)[kGroupBytes]) {
  const auto upper = V::splat(0x30);
  for (int i = 0; i < kGroupBytes; i += V::kBytes) {
    const auto h0 = V::load(high[0] + i);
    const auto h1 = V::load(high[1] + i);
    unpack_more<V, 0, 0, 0>(V::load(low[0] + i), h0, h1, upper, w, i);
    unpack_more<V, 1, 2, 2>(V::load(low[1] + i), h0, h1, upper, w, i);
    unpack_more<V, 2, 4, 4>(V::load(low[2] + i), h0, h1, upper, w, i);
    unpack_more<V, 3, 6, 6>(V::load(low[3] + i), h0, h1, upper, w, i);
  }
}

}  // namespace
}  // namespace batchwright

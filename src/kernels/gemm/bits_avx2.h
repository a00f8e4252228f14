// Packed bits taken apart in registers, 8 columns at a time: what the AVX2 and the AVX-VNNI kernels for few rows share.
// Include in *_avx2.cc and *_avxvnni.cc only.
#pragma once

#include <immintrin.h>

#include <cstdint>

#include "kernels/gemm/unpack_avx2.h"

namespace batchwright {
namespace {

struct alignas(32) Mask {
  uint8_t bytes[32];
};

template <uint8_t kByte>
constexpr Mask mask_of() {
  Mask mask{};
  for (uint8_t& byte : mask.bytes) byte = kByte;
  return mask;
}

constexpr Mask kNibble = mask_of<0x0f>();
constexpr Mask kFifthBit = mask_of<0x10>();
constexpr Mask kUpperBits = mask_of<0x30>();

// x & mask, beside kSums sums in registers. Where registers are scarce the mask stays in memory: g++ would hold it and
// move it out between products.
template <int kSums>
BATCHWRIGHT_INLINE __m256i masked(__m256i x, const Mask& mask) {
  if constexpr (kSums <= 4) return _mm256_and_si256(x, load(mask.bytes));
  asm("vpand %[mask], %[x], %[x]" : [x] "+x"(x) : [mask] "m"(mask.bytes));
  return x;
}

// The weights of group kGroup of 8 columns. `low` and `high` point at the columns.
template <int kSums, int kBits, int kGroup>
BATCHWRIGHT_INLINE __m256i group_of(const uint8_t* low, const uint8_t* high) {
  __m256i x = load(low + kGroup % 4 * kGroupBytes);
  if constexpr (kGroup >= 4) x = _mm256_srli_epi16(x, 4);
  x = masked<kSums>(x, kNibble);
  if constexpr (kBits == 5) x = _mm256_or_si256(x, masked<kSums>(move_bits<Ymm, kGroup, 4>(load(high)), kFifthBit));
  if constexpr (kBits == 6) {
    const __m256i h = load(high + kGroup / 4 * kGroupBytes);
    x = _mm256_or_si256(x, masked<kSums>(move_bits<Ymm, kGroup % 4 * 2, 4>(h), kUpperBits));
  }
  return x;
}

}  // namespace
}  // namespace batchwright

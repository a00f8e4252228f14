// The blocks of the quantised types, byte for byte as GGUF stores them (little endian, no padding). No block needs more
// than 2-byte alignment; tensors in a GgufFile are aligned to at least 8. A `d`, `m` or `dmin` is an f16 (half.h).
// x[i] below is element i of the block.
#pragma once

#include <cstdint>

namespace batchwright {

inline constexpr int kBlockElements = 32;        // of the simple formats
inline constexpr int kSuperBlockElements = 256;  // of the K formats

// x[i] = d * (q[i] - 8). Byte j of qs holds q[j] in its low and q[j + 16] in its high nibble.
struct BlockQ4_0 {
  uint16_t d;
  uint8_t qs[16];
};

// x[i] = d * q[i] + m. Nibbles as in BlockQ4_0.
struct BlockQ4_1 {
  uint16_t d;
  uint16_t m;
  uint8_t qs[16];
};

// x[i] = d * (q[i] - 16). Low four bits of q as in BlockQ4_0; the fifth bit of q[i] is bit i % 8 of qh[i / 8].
struct BlockQ5_0 {
  uint16_t d;
  uint8_t qh[4];
  uint8_t qs[16];
};

// x[i] = d * q[i] + m. Bits as in BlockQ5_0.
struct BlockQ5_1 {
  uint16_t d;
  uint16_t m;
  uint8_t qh[4];
  uint8_t qs[16];
};

// x[i] = d * q[i]. -128 may stand in weights.
struct BlockQ8_0 {
  uint16_t d;
  int8_t qs[32];
};

// Eight sub-blocks of 32, each with a 6-bit scale sc and a 6-bit minimum m:
// x[i] = (d * sc[i / 32]) * q[i] - (dmin * m[i / 32]).
// `scales` packs sc and m (scale_min_k4 unpacks them): bytes 0-3 hold sc[0..3] in their low six bits, bytes 4-7
// m[0..3]; bytes 8-11 hold the low four bits of sc[4..7] (low nibbles) and m[4..7] (high nibbles), whose upper two bits
// are the top bits of bytes 0-3 and 4-7. Bytes 32 g + j of qs (g in 0..3, j in 0..31) hold q[64 g + j] in their low and
// q[64 g + 32 + j] in their high nibbles.
struct BlockQ4_K {
  uint16_t d;
  uint16_t dmin;
  uint8_t scales[12];
  uint8_t qs[128];
};

// As BlockQ4_K with five bits: the fifth bit of q[32 s + j] is bit s of qh[j] (s in 0..7, j in 0..31).
struct BlockQ5_K {
  uint16_t d;
  uint16_t dmin;
  uint8_t scales[12];
  uint8_t qh[32];
  uint8_t qs[128];
};

// Sixteen sub-blocks of 16, each with a signed 8-bit scale: x[i] = (d * scales[i / 16]) * (q[i] - 32).
// In half h (128 elements), for j in 0..63: ql[64 h + j] holds the low four bits of q[128 h + j] in its low and of
// q[128 h + 64 + j] in its high nibble. For j in 0..31 bits 2 k and 2 k + 1 of qh[32 h + j] are the upper two bits of
// q[128 h + 32 k + j], k in 0..3.
struct BlockQ6_K {
  uint8_t ql[128];
  uint8_t qh[64];
  int8_t scales[16];
  uint16_t d;
};

static_assert(sizeof(BlockQ4_0) == 18 && alignof(BlockQ4_0) <= 2);
static_assert(sizeof(BlockQ4_1) == 20 && alignof(BlockQ4_1) <= 2);
static_assert(sizeof(BlockQ5_0) == 22 && alignof(BlockQ5_0) <= 2);
static_assert(sizeof(BlockQ5_1) == 24 && alignof(BlockQ5_1) <= 2);
static_assert(sizeof(BlockQ8_0) == 34 && alignof(BlockQ8_0) <= 2);
static_assert(sizeof(BlockQ4_K) == 144 && alignof(BlockQ4_K) <= 2);
static_assert(sizeof(BlockQ5_K) == 176 && alignof(BlockQ5_K) <= 2);
static_assert(sizeof(BlockQ6_K) == 210 && alignof(BlockQ6_K) <= 2);

struct ScaleMin {
  uint8_t scale;
  uint8_t min;
};

// Scale and minimum of sub-block s (0..7) from the 12 bytes of BlockQ4_K and BlockQ5_K. Both are 0..63.
[[gnu::always_inline]] constexpr ScaleMin scale_min_k4(const uint8_t* scales, int s) {
  if (s < 4) return {static_cast<uint8_t>(scales[s] & 63), static_cast<uint8_t>(scales[s + 4] & 63)};
  return {static_cast<uint8_t>((scales[s + 4] & 15) | ((scales[s - 4] >> 6) << 4)),
          static_cast<uint8_t>((scales[s + 4] >> 4) | ((scales[s] >> 6) << 4))};
}

}  // namespace batchwright

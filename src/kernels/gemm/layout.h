// How packed weights lie in memory: one layout for all x86 sets.
//
// A panel is 16 outputs ("columns"), its blocks in ascending k. Inside a block four consecutive k of all columns are a
// *group* of 64 bytes, column c at bytes 4 c to 4 c + 3: two AVX2 registers, one AVX-512 register, one row of an AMX
// tile. A block of 32 k is 8 groups.
//   low[v]   low nibble: the low four bits of group v; high nibble: those of group v + 4
//   high     five bits: bit j of byte i is the fifth bit of byte i of group j
//            six bits: bits 2 (j % 4) and the next of byte i of high[j / 4] are the upper two bits of group j
// Values are stored as the file has them (with their offset, unsigned); Q8_0 is two's complement. d, m, dmin: f16.
//
// Bytes a weight, packed against the file's:
//   F32 4 / 4       F16, BF16 2 / 2            Q8_0 1.0625 / 1.0625       Q6_K 0.8203 / 0.8203
//   Q5_1 0.75 / 0.75  Q5_0 0.6875 / 0.6875     Q5_K 0.7031 / 0.6875 (scales and minima as bytes: 16 for 12)
//   Q4_1 0.625 / 0.625  Q4_0 0.5625 / 0.5625   Q4_K 0.5781 / 0.5625
//
// F32, F16 and BF16 panels are [k][16] of the file's elements.
#pragma once

#include <cstdint>

namespace batchwright {

inline constexpr int kGroupBytes = 64;
inline constexpr int kGroups = 8;       // of a block of 32
inline constexpr int kSubBlocks = 8;    // of 32 in a super-block of 256
inline constexpr int kPanelWidth = 16;  // kPanelColumns, for headers that hold no std types

struct PanelQ4_0 {
  uint8_t low[4][kGroupBytes];
  uint16_t d[kPanelWidth];
};

struct PanelQ4_1 {
  uint8_t low[4][kGroupBytes];
  uint16_t d[kPanelWidth];
  uint16_t m[kPanelWidth];
};

struct PanelQ5_0 {
  uint8_t low[4][kGroupBytes];
  uint8_t high[kGroupBytes];
  uint16_t d[kPanelWidth];
};

struct PanelQ5_1 {
  uint8_t low[4][kGroupBytes];
  uint8_t high[kGroupBytes];
  uint16_t d[kPanelWidth];
  uint16_t m[kPanelWidth];
};

struct PanelQ8_0 {
  int8_t q[kGroups][kGroupBytes];
  uint16_t d[kPanelWidth];
};

// Super-blocks: the first index is the sub-block of 32.
struct PanelQ4_K {
  uint8_t low[kSubBlocks][4][kGroupBytes];
  uint8_t scale[kSubBlocks][kPanelWidth];  // 0..63
  uint8_t min[kSubBlocks][kPanelWidth];    // 0..63
  uint16_t d[kPanelWidth];
  uint16_t dmin[kPanelWidth];
};

struct PanelQ5_K {
  uint8_t low[kSubBlocks][4][kGroupBytes];
  uint8_t high[kSubBlocks][kGroupBytes];
  uint8_t scale[kSubBlocks][kPanelWidth];
  uint8_t min[kSubBlocks][kPanelWidth];
  uint16_t d[kPanelWidth];
  uint16_t dmin[kPanelWidth];
};

struct PanelQ6_K {
  uint8_t low[kSubBlocks][4][kGroupBytes];
  uint8_t high[kSubBlocks][2][kGroupBytes];
  int8_t scale[kSubBlocks][2][kPanelWidth];  // of the two halves of 16
  uint16_t d[kPanelWidth];
};

static_assert(sizeof(PanelQ4_0) == 16 * 18 && sizeof(PanelQ4_1) == 16 * 20);
static_assert(sizeof(PanelQ5_0) == 16 * 22 && sizeof(PanelQ5_1) == 16 * 24 && sizeof(PanelQ8_0) == 16 * 34);
static_assert(sizeof(PanelQ4_K) == 16 * 148 && sizeof(PanelQ5_K) == 16 * 180 && sizeof(PanelQ6_K) == 16 * 210);

}  // namespace batchwright

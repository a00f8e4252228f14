// Quantised activations in memory: strips of 4 rows, each strip its blocks of 32 k in ascending order. Row r lies in
// strip r / 4. Rows of the last strip that do not exist are zeros (GemmKernels::pad_rows).
#pragma once

#include <cstddef>
#include <cstdint>

namespace batchwright {

inline constexpr int kStripRows = 4;

struct StripBlock {
  // Four consecutive k of a row are one 32-bit element, to be broadcast against a group of weights.
  int8_t q[8][kStripRows][4];
  // Corrections for weights stored with an offset. [0] belongs to the first two values of every four, [1] to the last
  // two: sums over the block times -16, and over its two halves of 16 k times -32. Both fit: 16 * 16 * 127 = 32512 =
  // 32 * 8 * 127. Smaller offsets are exact shifts of these.
  int16_t sum16[kStripRows][2];
  int16_t sum32[2][kStripRows][2];
  float d[kStripRows];
  float d_sum[kStripRows];  // d * f32(sum of q)
};
static_assert(sizeof(StripBlock) == 208);

[[gnu::always_inline]] constexpr size_t strip_bytes(int64_t k) {
  return static_cast<size_t>(k / 32) * sizeof(StripBlock);
}

// Rows of activations, from one strip or several.
struct StripRows {
  const StripBlock* first;
  int64_t blocks;  // of a strip
};

// Where row `row` has its lane row % kStripRows.
[[gnu::always_inline]] constexpr const StripBlock& strip_of(const StripRows& rows, int row, int64_t block) {
  return rows.first[row / kStripRows * rows.blocks + block];
}

}  // namespace batchwright

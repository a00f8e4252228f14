// Activations as AMX tiles: of the rows of four strips, which lie interleaved, each row's 32 bytes of a block together.
// Include in *_amx.cc and tests of them only.
#pragma once

#include <immintrin.h>

#include <cstdint>

#include "kernels/gemm/activations.h"
#include "kernels/gemm/format_kernels.h"
#include "kernels/gemm/unpack_bits.h"

namespace batchwright {
namespace {

// A block of 32 k of 16 rows.
struct alignas(64) RowTile {
  int8_t q[kAmxTileRows][32];
  float d[kAmxTileRows];
  float d_sum[kAmxTileRows];
};
static_assert(sizeof(RowTile) == kAmxRowTileBytes);

BATCHWRIGHT_INLINE void gather_strip(const StripBlock& in, int strip, RowTile& out) {
  // Element 4 g + r holds group g of row r: the eight groups of rows 0 and 1, and of rows 2 and 3.
  const __m512i rows01 = _mm512_setr_epi32(0, 4, 8, 12, 16, 20, 24, 28, 1, 5, 9, 13, 17, 21, 25, 29);
  const __m512i rows23 = _mm512_add_epi32(rows01, _mm512_set1_epi32(2));
  const __m512i low = _mm512_loadu_si512(in.q[0]);
  const __m512i high = _mm512_loadu_si512(in.q[4]);
  const int row = strip * kStripRows;
  _mm512_store_si512(out.q[row], _mm512_permutex2var_epi32(low, rows01, high));
  _mm512_store_si512(out.q[row + 2], _mm512_permutex2var_epi32(low, rows23, high));
  _mm_store_ps(out.d + row, _mm_loadu_ps(in.d));
  _mm_store_ps(out.d_sum + row, _mm_loadu_ps(in.d_sum));
}

// Blocks [begin, begin + blocks) of all rows into out[row / 16][kAmxPartBlocks].
BATCHWRIGHT_INLINE void gather_rows(const RawGemm& g, int64_t begin, int64_t blocks, RowTile* out) {
  const int64_t strips = (g.rows + kStripRows - 1) / kStripRows;
  const StripBlock* in = static_cast<const StripBlock*>(g.activations) + begin;
  for (int64_t strip = 0; strip < strips; ++strip, in += g.k / 32) {
    RowTile* tile = out + strip / 4 * kAmxPartBlocks;
    for (int64_t b = 0; b < blocks; ++b) gather_strip(in[b], static_cast<int>(strip % 4), tile[b]);
  }
}

// Zeros for the rows of the last tile that lie behind the last strip.
BATCHWRIGHT_INLINE void clear_missing_rows(const RawGemm& g, RowTile* out) {
  const int64_t strips = (g.rows + kStripRows - 1) / kStripRows;
  for (int64_t strip = strips; strip % 4 != 0; ++strip) {
    for (int64_t b = 0; b < kAmxPartBlocks; ++b) {
      gather_strip(StripBlock{}, static_cast<int>(strip % 4), out[strip / 4 * kAmxPartBlocks + b]);
    }
  }
}

}  // namespace
}  // namespace batchwright

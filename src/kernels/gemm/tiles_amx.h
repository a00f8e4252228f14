// The AMX micro-kernels. An *item* is 16 rows times 16 columns times up to 8 blocks of 32 k. Its integer sums come from
// the tile unit, one product and one stored tile of 1 KiB a block (two for Q6_K's halves of 16 k); AVX-512 then adds
// them to the f32 sums. Both overlap: while one item's sums are scaled, the next one's products are made, block by
// block in turns; those of a block replace what has just been read. Include in *_amx.cc and tests of them only.
//
// Exactness: tdpbssd multiplies signed bytes and adds four products to an int32 without saturation. Weights are stored
// without their offset, so that a tile holds isum itself: 32 * 128 * 127 = 520192 at most, far below 2^24, so that its
// f32 is exact. The products of sub-scales and sums, and the sum of two of them, are below 2^24 too: 2 * 128 * 16 * 32
// * 127 = 16646144 at most (Q6_K). From there on the fp32 steps are those of gemm.h, in their order.
//
// `Tiles` names the instructions: HardwareTiles in quantized_amx.cc, an exact emulation in the tests.
#pragma once

#include <immintrin.h>

#include <cstdint>

#include "kernels/gemm/activations_amx.h"
#include "kernels/gemm/tile_config.h"
#include "kernels/gemm/unpack_vnni.h"

namespace batchwright {
namespace {

constexpr int kTileElements = kAmxTileRows * kPanelWidth;

// How the eight tiles are used: 0 to 3 sums, 4 and 5 activations, 6 and 7 weights; one after the other, so that a
// product need not wait for the one before.
constexpr TileConfig tile_config(int row_bytes) {
  TileConfig config;
  for (int tile = 0; tile < 8; ++tile) {
    config.row_bytes[tile] = static_cast<uint16_t>(tile == 4 || tile == 5 ? row_bytes : kGroupBytes);
    config.rows[tile] = static_cast<uint8_t>(tile < 6 ? kAmxTileRows : row_bytes / 4);
  }
  return config;
}
constexpr TileConfig kWholeBlocks = tile_config(32);
constexpr TileConfig kHalfBlocks = tile_config(16);

// The integer sums of a block, or of its two halves of 16 k.
template <class Tiles, bool kHalves>
struct Products {
  static constexpr int kElements = (kHalves ? 2 : 1) * kTileElements;

  template <int kSum, int kRows, int kWeights>
  BATCHWRIGHT_INLINE void multiply(const uint8_t (*w)[kGroupBytes], const int8_t* a) {
    Tiles::template zero<kSum>();
    Tiles::template load<kRows>(a, sizeof(RowTile::q[0]));
    Tiles::template load<kWeights>(w, kGroupBytes);
    Tiles::template multiply<kSum, kRows, kWeights>();
  }

  // kSlot goes from 0 to 3 over the blocks. What `begin` multiplied, `end` stores.
  template <int kSlot>
  BATCHWRIGHT_INLINE void begin(const uint8_t (*w)[kGroupBytes], const RowTile& a) {
    if constexpr (kHalves) {
      multiply<kSlot % 2 * 2, 4, 6>(w, a.q[0]);
      multiply<kSlot % 2 * 2 + 1, 5, 7>(w + kGroups / 2, a.q[0] + 16);
    } else {
      multiply<kSlot, 4 + kSlot % 2, 6 + kSlot % 2>(w, a.q[0]);
    }
  }

  template <int kSlot>
  BATCHWRIGHT_INLINE void end(int32_t* sums) {
    if constexpr (kHalves) {
      Tiles::template store<kSlot % 2 * 2>(sums, kPanelWidth * sizeof *sums);
      Tiles::template store<kSlot % 2 * 2 + 1>(sums + kTileElements, kPanelWidth * sizeof *sums);
    } else {
      Tiles::template store<kSlot>(sums, kPanelWidth * sizeof *sums);
    }
  }
};

template <class Unpacked>
struct Item {
  const Unpacked* w;
  const RowTile* a;  // of each block
  float* sums;       // [16][16]
};

using RowSums = __m512[kAmxTileRows];

BATCHWRIGHT_INLINE __m512 sums_of_row(const int32_t* products, int row) {
  return _mm512_cvtepi32_ps(_mm512_load_si512(products + row * kPanelWidth));
}

template <bool kMinimum>
BATCHWRIGHT_INLINE void add_simple(RowSums& acc, const WideBlock& w, const RowTile& a, const int32_t* products) {
  const __m512 d = _mm512_load_ps(w.d);
#pragma GCC unroll 16
  for (int r = 0; r < kAmxTileRows; ++r) {
    const __m512 scale = _mm512_mul_ps(d, _mm512_set1_ps(a.d[r]));
    acc[r] = _mm512_fmadd_ps(sums_of_row(products, r), scale, acc[r]);
    if constexpr (kMinimum) acc[r] = _mm512_fmadd_ps(_mm512_load_ps(w.m), _mm512_set1_ps(a.d_sum[r]), acc[r]);
  }
}

// Q4_0, Q5_0, Q8_0, Q4_1 and Q5_1 (with a minimum). products: of `now` before, of `next` after.
template <class Tiles, bool kMinimum, bool kNext>
struct SimpleItem {
  using P = Products<Tiles, false>;

  template <int kSlot>
  BATCHWRIGHT_INLINE void step(const Item<WideBlock>& now, const Item<WideBlock>& next, int64_t b, int32_t* products,
                               RowSums& acc) {
    if constexpr (kNext) P::template begin<kSlot>(next.w[b].w, next.a[b]);
    add_simple<kMinimum>(acc, now.w[b], now.a[b], products + b * P::kElements);
    if constexpr (kNext) P::template end<kSlot>(products + b * P::kElements);
  }

  BATCHWRIGHT_INLINE void run(const Item<WideBlock>& now, const Item<WideBlock>& next, int64_t blocks,
                              int32_t* products) {
    RowSums acc;
#pragma GCC unroll 16
    for (int r = 0; r < kAmxTileRows; ++r) acc[r] = _mm512_load_ps(now.sums + r * kPanelWidth);
    for (int64_t b = 0; b < blocks; b += 4) {
      step<0>(now, next, b, products, acc);
      if (b + 1 < blocks) step<1>(now, next, b + 1, products, acc);
      if (b + 2 < blocks) step<2>(now, next, b + 2, products, acc);
      if (b + 3 < blocks) step<3>(now, next, b + 3, products, acc);
    }
#pragma GCC unroll 16
    for (int r = 0; r < kAmxTileRows; ++r) _mm512_store_ps(now.sums + r * kPanelWidth, acc[r]);
  }
};

template <bool kHalves>
BATCHWRIGHT_INLINE void add_super(RowSums& s, const WideSuper& w, int sub, const RowTile& a, const int32_t* products) {
  const __m512 scale0 = _mm512_load_ps(w.scale[sub][0]);
  const __m512 scale1 = kHalves ? _mm512_load_ps(w.scale[sub][1]) : _mm512_setzero_ps();
#pragma GCC unroll 16
  for (int r = 0; r < kAmxTileRows; ++r) {
    __m512 scaled = _mm512_mul_ps(sums_of_row(products, r), scale0);
    if constexpr (kHalves) scaled = _mm512_fmadd_ps(sums_of_row(products + kTileElements, r), scale1, scaled);
    s[r] = _mm512_fmadd_ps(_mm512_set1_ps(a.d[r]), scaled, s[r]);
  }
}

// Q4_K and Q5_K (with a minimum), Q6_K (two scales a sub-block): one super-block. products: as above.
template <class Tiles, bool kHalves, bool kMinimum, bool kNext>
struct SuperItem {
  using P = Products<Tiles, kHalves>;

  template <int kSlot>
  BATCHWRIGHT_INLINE void step(const Item<WideSuper>& now, const Item<WideSuper>& next, int sub, int32_t* products,
                               RowSums& s) {
    if constexpr (kNext) P::template begin<kSlot>(next.w->w[sub], next.a[sub]);
    add_super<kHalves>(s, *now.w, sub, now.a[sub], products + sub * P::kElements);
    if constexpr (kNext) P::template end<kSlot>(products + sub * P::kElements);
  }

  // acc = fma(-dmin, u, acc) for half of the rows: as many as there are registers for.
  BATCHWRIGHT_INLINE void subtract_minima(const Item<WideSuper>& now, int first, RowSums& acc) {
    constexpr int kRows = kAmxTileRows / 2;
    __m512 u[kRows];
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) u[r] = _mm512_setzero_ps();
    for (int sub = 0; sub < kSubBlocks; ++sub) {
      const __m512 min = _mm512_load_ps(now.w->min[sub]);
#pragma GCC unroll 8
      for (int r = 0; r < kRows; ++r) {
        u[r] = _mm512_fmadd_ps(min, _mm512_set1_ps(now.a[sub].d_sum[first + r]), u[r]);
      }
    }
    const __m512 dmin = _mm512_load_ps(now.w->dmin);
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) acc[first + r] = _mm512_fnmadd_ps(dmin, u[r], acc[first + r]);
  }

  BATCHWRIGHT_INLINE void run(const Item<WideSuper>& now, const Item<WideSuper>& next, int64_t, int32_t* products) {
    RowSums s;
#pragma GCC unroll 16
    for (int r = 0; r < kAmxTileRows; ++r) s[r] = _mm512_setzero_ps();
    for (int sub = 0; sub < kSubBlocks; sub += 4) {
      step<0>(now, next, sub, products, s);
      step<1>(now, next, sub + 1, products, s);
      step<2>(now, next, sub + 2, products, s);
      step<3>(now, next, sub + 3, products, s);
    }
    const __m512 d = _mm512_load_ps(now.w->d);
    RowSums acc;
#pragma GCC unroll 16
    for (int r = 0; r < kAmxTileRows; ++r) {
      acc[r] = _mm512_fmadd_ps(d, s[r], _mm512_load_ps(now.sums + r * kPanelWidth));
    }
    if constexpr (kMinimum) {
      subtract_minima(now, 0, acc);
      subtract_minima(now, kAmxTileRows / 2, acc);
    }
#pragma GCC unroll 16
    for (int r = 0; r < kAmxTileRows; ++r) _mm512_store_ps(now.sums + r * kPanelWidth, acc[r]);
  }
};

}  // namespace
}  // namespace batchwright

// The AMX kernels of whole products: the formats, and the loops over parts of k, panels and rows. Up to 8 panels and
// 128 rows at a time (more rows: in chunks, which find the weights in the second-level cache), for each part of 8
// blocks of k: the activations are gathered into tiles and the weights unpacked once, then all pairs of a panel and 16
// rows are items of one sequence, so that the tile unit never waits for the end of a panel. The last rows are filled up
// to 16 with zeros. Include in *_amx.cc and tests of them only.
#pragma once

#include <immintrin.h>

#include <cstdint>

#include "kernels/gemm/format_kernels.h"
#include "kernels/gemm/store_avx512.h"
#include "kernels/gemm/tiles_amx.h"

namespace batchwright {
namespace {

template <class PanelType, int kFormatOffset, bool kMinimum>
struct AmxSimple {
  using Panel = PanelType;
  using Unpacked = WideBlock;
  static constexpr int kOffset = kFormatOffset;
  static constexpr bool kHalves = false;
  static constexpr int64_t kUnitBlocks = 1;
  template <class Tiles, bool kNext>
  using ItemOf = SimpleItem<Tiles, kMinimum, kNext>;
  BATCHWRIGHT_INLINE const uint8_t (*weights_of(const Unpacked* w, int64_t block))[kGroupBytes] { return w[block].w; }
};

template <class PanelType, int kFormatOffset, bool kMinimum>
struct AmxSuper {
  using Panel = PanelType;
  using Unpacked = WideSuper;
  static constexpr int kOffset = kFormatOffset;
  static constexpr bool kHalves = !kMinimum;
  static constexpr int64_t kUnitBlocks = kSubBlocks;
  template <class Tiles, bool kNext>
  using ItemOf = SuperItem<Tiles, kHalves, kMinimum, kNext>;
  BATCHWRIGHT_INLINE const uint8_t (*weights_of(const Unpacked* w, int64_t block))[kGroupBytes] { return w->w[block]; }
};

// Where a group's data lie in the scratch memory.
template <class Format>
struct AmxScratch {
  using Unpacked = typename Format::Unpacked;
  static constexpr int64_t kPartUnits = kAmxPartBlocks / Format::kUnitBlocks;
  static_assert(kAmxGroupPanels * kPartUnits * sizeof(Unpacked) <= kAmxWeightBytes);
  static_assert(kAmxPartBlocks * Products<void, Format::kHalves>::kElements * sizeof(int32_t) <= kAmxIntegerBytes);

  int64_t tiles;         // of 16 rows
  Unpacked* weights;     // [panel][kPartUnits]
  int32_t* products;     // of one item
  RowTile* activations;  // [tile][kAmxPartBlocks]
  float* sums;           // [panel][tile][16][16]

  BATCHWRIGHT_INLINE AmxScratch at(const RawGemm& g) {
    auto* bytes = static_cast<uint8_t*>(g.scratch);
    AmxScratch s;
    s.tiles = (g.rows + kAmxTileRows - 1) / kAmxTileRows;
    s.weights = reinterpret_cast<Unpacked*>(bytes);
    s.products = reinterpret_cast<int32_t*>(bytes + kAmxWeightBytes);
    s.activations = reinterpret_cast<RowTile*>(bytes + kAmxWeightBytes + kAmxIntegerBytes);
    s.sums = reinterpret_cast<float*>(s.activations + s.tiles * kAmxPartBlocks);
    return s;
  }

  BATCHWRIGHT_INLINE Item<Unpacked> item(const AmxScratch& s, int64_t panel, int64_t tile) {
    return {s.weights + panel * kPartUnits, s.activations + tile * kAmxPartBlocks,
            s.sums + (panel * s.tiles + tile) * kTileElements};
  }
};

// Slice `slice` of `slices` of the bytes from `begin` on, into the second-level cache.
BATCHWRIGHT_INLINE void prefetch_slice(const uint8_t* begin, int64_t bytes, int64_t slice, int64_t slices) {
  const int64_t end = bytes * (slice + 1) / slices;
  for (int64_t i = bytes * slice / slices / 64 * 64; i < end; i += 64) {
    _mm_prefetch(reinterpret_cast<const char*>(begin + i), _MM_HINT_T1);
  }
}

// All items of a part. `ahead`: where the next part of the first panel begins, of `ahead_bytes` a panel.
template <class Tiles, class Format>
BATCHWRIGHT_INLINE void run_items(const RawGemm& g, const AmxScratch<Format>& s, int64_t blocks, const uint8_t* ahead,
                                  int64_t ahead_bytes) {
  using Scratch = AmxScratch<Format>;
  using P = Products<Tiles, Format::kHalves>;
  const int64_t panels = g.panel_end - g.panel_begin;
  auto now = Scratch::item(s, 0, 0);
  for (int64_t b = 0; b < blocks; ++b) {
    P::template begin<0>(Format::weights_of(now.w, b), now.a[b]);
    P::template end<0>(s.products + b * P::kElements);
  }
  for (int64_t panel = 0; panel < panels; ++panel, ahead += g.panel_bytes) {
    for (int64_t tile = 0; tile < s.tiles; ++tile) {
      prefetch_slice(ahead, ahead_bytes, tile, s.tiles);
      const bool last_tile = tile + 1 == s.tiles;
      if (last_tile && panel + 1 == panels) {
        Format::template ItemOf<Tiles, false>::run(now, now, blocks, s.products);
        return;
      }
      const auto next = last_tile ? Scratch::item(s, panel + 1, 0) : Scratch::item(s, panel, tile + 1);
      Format::template ItemOf<Tiles, true>::run(now, next, blocks, s.products);
      now = next;
    }
  }
}

// At most kAmxGroupPanels panels and kAmxChunkRows rows.
template <class Tiles, class Format>
[[gnu::noinline]] void run_group(const RawGemm& g) {
  using Panel = typename Format::Panel;
  using Scratch = AmxScratch<Format>;
  const Scratch s = Scratch::at(g);
  const int64_t panels = g.panel_end - g.panel_begin;
  const int64_t units = g.k / 32 / Format::kUnitBlocks;
  const uint8_t* packed = g.panels + static_cast<size_t>(g.panel_begin) * g.panel_bytes;
  clear_missing_rows(g, s.activations);
  for (int64_t i = 0; i < panels * s.tiles * kTileElements; i += 16) _mm512_store_ps(s.sums + i, _mm512_setzero_ps());
  for (int64_t begin = 0; begin < units; begin += Scratch::kPartUnits) {
    const int64_t part = units - begin < Scratch::kPartUnits ? units - begin : Scratch::kPartUnits;
    const int64_t after = begin + part;
    const int64_t next_part = units - after < Scratch::kPartUnits ? units - after : Scratch::kPartUnits;
    gather_rows(g, begin * Format::kUnitBlocks, part * Format::kUnitBlocks, s.activations);
    for (int64_t p = 0; p < panels; ++p) {
      const auto* in = reinterpret_cast<const Panel*>(packed + static_cast<size_t>(p) * g.panel_bytes) + begin;
      for (int64_t i = 0; i < part; ++i) {
        unpack<SignedZmm<Format::kOffset>>(in[i], s.weights[p * Scratch::kPartUnits + i]);
      }
    }
    constexpr auto kUnitBytes = static_cast<int64_t>(sizeof(Panel));
    run_items<Tiles, Format>(g, s, part * Format::kUnitBlocks, packed + after * kUnitBytes, next_part * kUnitBytes);
  }
  for (int64_t p = 0; p < panels; ++p) {
    store_panel(g, g.panel_begin + p, s.sums + p * s.tiles * kTileElements);
  }
}

// Any number of rows and panels. Configures the tiles for the calling thread and gives them back, so that what else the
// thread does pays nothing for their state.
template <class Tiles, class Format>
void run_tiles(const RawGemm& g) {
  Tiles::configure(Format::kHalves ? kHalfBlocks : kWholeBlocks);
  for (int64_t panel = g.panel_begin; panel < g.panel_end; panel += kAmxGroupPanels) {
    for (int64_t row = 0; row < g.rows; row += kAmxChunkRows) {
      RawGemm group = g;
      group.panel_begin = panel;
      group.panel_end = g.panel_end - panel < kAmxGroupPanels ? g.panel_end : panel + kAmxGroupPanels;
      group.activations = static_cast<const StripBlock*>(g.activations) + row / kStripRows * (g.k / 32);
      group.rows = g.rows - row < kAmxChunkRows ? g.rows - row : kAmxChunkRows;
      group.out = g.out + row * g.out_stride;
      run_group<Tiles, Format>(group);
    }
  }
  Tiles::release();
}

using AmxQ4_0 = AmxSimple<PanelQ4_0, 8, false>;
using AmxQ4_1 = AmxSimple<PanelQ4_1, 0, true>;
using AmxQ5_0 = AmxSimple<PanelQ5_0, 16, false>;
using AmxQ5_1 = AmxSimple<PanelQ5_1, 0, true>;
using AmxQ8_0 = AmxSimple<PanelQ8_0, 128, false>;
using AmxQ4_K = AmxSuper<PanelQ4_K, 0, true>;
using AmxQ5_K = AmxSuper<PanelQ5_K, 0, true>;
using AmxQ6_K = AmxSuper<PanelQ6_K, 32, false>;

}  // namespace
}  // namespace batchwright

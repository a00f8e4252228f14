// The loops around the micro-kernels of quantised weights, the same for vectors of any width. Include in files of one
// instruction set only.
//
// Tiles: for each panel (or two), unpack a part of k into the first-level cache, multiply it with all strips of rows,
// go on with the next part. Few rows: multiply the packed panel as it is, at most 8 rows at a time.
//
// A Format has
//   Panel, Unpacked    a packed block and what the tiles read of it, which unpack(panel, unpacked) writes; one type
//                      where there is nothing to unpack
//   kUnitBlocks        blocks of 32 k in one of them
//   kPanelsAtOnce      panels that a tile takes at once where there are as many: 1 or 2
//   kFewRowsMax        rows up to which `few` is faster (measured: gemm_bench, the sets "... few" and "... tiles")
//   tile<kRows, kPanels>(unpacked, units, strip, sums, stride)
//                      1, 2 or 4 rows of a strip times kPanels panels. Block b of panel p: unpacked[b * kPanels + p];
//                      its sums, which it adds to: [kRows][16] at sums + p * stride
//   few<kRows>(panels, units, rows, sums, stride)
//                      at most 8 rows times one panel. Writes sums, [kRows][16]; those at stride and 2 * stride are
//                      free
#pragma once

#include <cstdint>

#include "kernels/gemm/activations.h"
#include "kernels/gemm/format_kernels.h"
#include "kernels/gemm/unpack_bits.h"

namespace batchwright {
namespace {

// From the f32 sums of a panel to the output: of the set's store_*.h.
void store_panel(const RawGemm& g, int64_t panel, const float* sums);

// Beside the unpacked weights 4 rows of activations and the sums still fit 32 KiB.
constexpr int64_t kUnpackedTarget = 24 * 1024;

BATCHWRIGHT_INLINE int64_t padded_rows(const RawGemm& g) { return (g.rows + kStripRows - 1) / kStripRows * kStripRows; }

BATCHWRIGHT_INLINE float* sums_of(const RawGemm& g) {
  return reinterpret_cast<float*>(static_cast<uint8_t*>(g.scratch) + kUnpackedBytes);
}

// `units` blocks of kPanels panels, the first at `packed`, unpacked in `scratch`.
template <int kPanels, class Panel, class Unpacked>
BATCHWRIGHT_INLINE const Unpacked* unpack_part(const Panel* packed, size_t panel_bytes, int64_t units,
                                               Unpacked* scratch) {
  for (int p = 0; p < kPanels; ++p) {
    const auto* in = reinterpret_cast<const Panel*>(reinterpret_cast<const uint8_t*>(packed) + p * panel_bytes);
    for (int64_t i = 0; i < units; ++i) unpack(in[i], scratch[i * kPanels + p]);
  }
  return scratch;
}

template <int kPanels, class Panel>
BATCHWRIGHT_INLINE const Panel* unpack_part(const Panel* packed, size_t, int64_t, Panel*) {
  static_assert(kPanels == 1);
  return packed;
}

// Panels come from memory, each once for all rows; the hardware fetches ahead only within 4 KiB. So while a part of
// panels is multiplied with the strips, the same part of the next ones is fetched, a slice with each strip. (With one
// strip all of it would have to be asked for at once, which takes longer than it saves.)
template <int kPanels>
struct Ahead {
  const uint8_t* next;  // of the first panel
  const uint8_t* end;
  size_t panel_bytes;
  int64_t slice;

  BATCHWRIGHT_INLINE void fetch(Ahead& a) {
    constexpr int kSecondLevel = 2;
    for (int64_t i = 0; i < a.slice && a.next < a.end; i += 64, a.next += 64) {
      for (int p = 0; p < kPanels; ++p) __builtin_prefetch(a.next + p * a.panel_bytes, 0, kSecondLevel);
    }
  }
};

// kPanels panels from `panel` on, all rows.
template <class Format, int kPanels>
void run_panels(const RawGemm& g, int64_t panel) {
  using Panel = typename Format::Panel;
  using Unpacked = typename Format::Unpacked;
  constexpr int64_t kPart = kUnpackedTarget / static_cast<int64_t>(sizeof(Unpacked)) / kPanels;
  static_assert(kPart > 0 && kPart * kPanels * sizeof(Unpacked) <= kUnpackedBytes);
  const auto* strips = static_cast<const StripBlock*>(g.activations);
  const int64_t blocks = g.k / 32;
  const int64_t units = blocks / Format::kUnitBlocks;
  const int64_t padded = padded_rows(g);
  const int64_t stride = padded * kPanelWidth;
  const auto* packed = reinterpret_cast<const Panel*>(g.panels + static_cast<size_t>(panel) * g.panel_bytes);
  float* sums = sums_of(g);

  __builtin_memset(sums, 0, static_cast<size_t>(kPanels * stride) * sizeof *sums);
  for (int64_t begin = 0; begin < units; begin += kPart) {
    const int64_t part = units - begin < kPart ? units - begin : kPart;
    const Unpacked* unpacked =
        unpack_part<kPanels>(packed + begin, g.panel_bytes, part, static_cast<Unpacked*>(g.scratch));
    const uint8_t* ahead = reinterpret_cast<const uint8_t*>(packed + begin) + kPanels * g.panel_bytes;
    const int64_t ahead_bytes =
        padded > kStripRows && panel + 2 * kPanels <= g.panel_end ? part * static_cast<int64_t>(sizeof(Panel)) : 0;
    Ahead<kPanels> fetch{ahead, ahead + ahead_bytes, g.panel_bytes, ahead_bytes * kStripRows / padded};
    for (int64_t row = 0; row < g.rows; row += kStripRows) {
      Ahead<kPanels>::fetch(fetch);
      const StripBlock* a = strips + row / kStripRows * blocks + begin * Format::kUnitBlocks;
      float* tile_sums = sums + row * kPanelWidth;
      const int64_t left = g.rows - row;
      if (left >= 3) {
        Format::template tile<4, kPanels>(unpacked, part, a, tile_sums, stride);
      } else if (left == 2) {
        Format::template tile<2, kPanels>(unpacked, part, a, tile_sums, stride);
      } else {
        Format::template tile<1, kPanels>(unpacked, part, a, tile_sums, stride);
      }
    }
  }
  for (int p = 0; p < kPanels; ++p) store_panel(g, panel + p, sums + p * stride);
}

template <class Format>
void run_tiles(const RawGemm& g) {
  int64_t p = g.panel_begin;
  if constexpr (Format::kPanelsAtOnce == 2) {
    // For few rows the time goes into unpacking, which runs better along one panel.
    if (Format::kUnitBlocks != 1 || g.rows > kStripRows) {
      for (; p + 2 <= g.panel_end; p += 2) run_panels<Format, 2>(g, p);
    }
  }
  for (; p < g.panel_end; ++p) run_panels<Format, 1>(g, p);
}

// At most 8 rows from `row` on, times one panel.
template <class Format, int kRows>
[[gnu::noinline]] void run_few_panel(const RawGemm& g, int64_t panel, int64_t row, float* sums) {
  const int64_t blocks = g.k / 32;
  const StripRows a{static_cast<const StripBlock*>(g.activations) + row / kStripRows * blocks, blocks};
  const uint8_t* w = g.panels + static_cast<size_t>(panel) * g.panel_bytes;
  Format::template few<kRows>(reinterpret_cast<const typename Format::Panel*>(w), blocks / Format::kUnitBlocks, a,
                              sums + row * kPanelWidth, padded_rows(g) * kPanelWidth);
}

template <class Format>
void run_few(const RawGemm& g) {
  float* sums = sums_of(g);
  for (int64_t p = g.panel_begin; p < g.panel_end; ++p) {
    for (int64_t row = 0; row < g.rows; row += kFewRowsAtOnce) {
      switch (g.rows - row) {
        case 1:
          run_few_panel<Format, 1>(g, p, row, sums);
          break;
        case 2:
          run_few_panel<Format, 2>(g, p, row, sums);
          break;
        case 3:
          run_few_panel<Format, 3>(g, p, row, sums);
          break;
        case 4:
          run_few_panel<Format, 4>(g, p, row, sums);
          break;
        case 5:
        case 6:
          run_few_panel<Format, 6>(g, p, row, sums);
          break;
        default:
          run_few_panel<Format, 8>(g, p, row, sums);
      }
    }
    store_panel(g, p, sums);
  }
}

template <class Format>
void run(const RawGemm& g) {
  g.rows <= Format::kFewRowsMax ? run_few<Format>(g) : run_tiles<Format>(g);
}

// The tables of a set's formats, in the order of QuantizedFormatKernels.
template <class... Formats>
struct Tables {
  static constexpr QuantizedFormatKernels kChosen = {run<Formats>...};
  static constexpr QuantizedFormatKernels kTiles = {run_tiles<Formats>...};
  static constexpr QuantizedFormatKernels kFew = {run_few<Formats>...};
};

}  // namespace
}  // namespace batchwright

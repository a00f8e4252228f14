// Quantised weights with AVX-512 VNNI, driven as in quantized_avx2.cc, two panels at a time.
#include <immintrin.h>

#include "kernels/gemm/few_rows_vnni.h"
#include "kernels/gemm/format_kernels.h"
#include "kernels/gemm/store_avx512.h"
#include "kernels/gemm/tiles_vnni.h"

namespace batchwright {
namespace {

template <class PanelType, int kBits, int kOffset, bool kMinimum>
struct Simple {
  using Panel = PanelType;
  using Unpacked = WideBlock;
  static constexpr int kUnitBlocks = 1;
  static constexpr int64_t kFewRowsMax = 32;
  template <int kRows, int kPanels>
  BATCHWRIGHT_INLINE void tile(const Unpacked* w, int64_t units, const StripBlock* a, float* sums, int64_t stride) {
    tile_simple<kRows, kPanels, kOffset, kMinimum>(w, units, a, sums, stride);
  }
  template <int kRows>
  BATCHWRIGHT_INLINE void few(const Panel* w, int64_t units, const StripRows& a, float* sums) {
    few_simple<kRows, Panel, kBits, kOffset, kMinimum>(w, units, a, sums);
  }
};

template <class PanelType, int kBits, bool kMinimum>
struct Super {
  using Panel = PanelType;
  using Unpacked = WideSuper;
  static constexpr int kUnitBlocks = kSubBlocks;
  static constexpr int64_t kFewRowsMax = 32;
  template <int kRows, int kPanels>
  BATCHWRIGHT_INLINE void tile(const Unpacked* w, int64_t units, const StripBlock* a, float* sums, int64_t stride) {
    tile_super<kRows, kPanels, kBits == 6, kMinimum>(w, units, a, sums, stride);
  }
  template <int kRows>
  BATCHWRIGHT_INLINE void few(const Panel* w, int64_t units, const StripRows& a, float* sums) {
    few_super<kRows, Panel, kBits, kMinimum>(w, units, a, sums);
  }
};

using Q4_0 = Simple<PanelQ4_0, 4, 8, false>;
using Q4_1 = Simple<PanelQ4_1, 4, 0, true>;
using Q5_0 = Simple<PanelQ5_0, 5, 16, false>;
using Q5_1 = Simple<PanelQ5_1, 5, 0, true>;
using Q8_0 = Simple<PanelQ8_0, 8, 128, false>;
using Q4_K = Super<PanelQ4_K, 4, true>;
using Q5_K = Super<PanelQ5_K, 5, true>;
using Q6_K = Super<PanelQ6_K, 6, false>;

// Beside the unpacked weights 4 rows of activations and the sums still fit the 32 KiB of the smallest such machine.
constexpr int64_t kUnpackedTarget = 24 * 1024;

// Fetches slices of what the next panels hold at the same place of k (quantized_avx2.cc says why).
template <int kPanels>
struct Ahead {
  const uint8_t* next;  // of the first panel
  const uint8_t* end;
  size_t panel_bytes;
  int64_t slice;

  BATCHWRIGHT_INLINE void fetch(Ahead& a) {
    for (int64_t i = 0; i < a.slice && a.next < a.end; i += 64, a.next += 64) {
      for (int p = 0; p < kPanels; ++p) {
        _mm_prefetch(reinterpret_cast<const char*>(a.next + p * a.panel_bytes), _MM_HINT_T1);
      }
    }
  }
};

// kPanels panels from `panel` on, all rows.
template <class Format, int kPanels>
void run_panels(const RawGemm& g, int64_t panel) {
  using Unpacked = typename Format::Unpacked;
  constexpr int64_t kPart = kUnpackedTarget / static_cast<int64_t>(sizeof(Unpacked)) / kPanels;
  static_assert(kPart > 0 && kPart * kPanels * sizeof(Unpacked) <= kUnpackedBytes);
  auto* unpacked = static_cast<Unpacked*>(g.scratch);
  auto* sums = reinterpret_cast<float*>(static_cast<uint8_t*>(g.scratch) + kUnpackedBytes);
  const auto* strips = static_cast<const StripBlock*>(g.activations);
  const int64_t blocks = g.k / 32;
  const int64_t units = blocks / Format::kUnitBlocks;
  const int64_t stride = (g.rows + kStripRows - 1) / kStripRows * kStripRows * kPanelWidth;
  constexpr auto kPanelUnit = static_cast<int64_t>(sizeof(typename Format::Panel));
  const uint8_t* packed = g.panels + static_cast<size_t>(panel) * g.panel_bytes;

  for (int64_t i = 0; i < kPanels * stride; i += 16) _mm512_store_ps(sums + i, _mm512_setzero_ps());
  for (int64_t begin = 0; begin < units; begin += kPart) {
    const int64_t part = units - begin < kPart ? units - begin : kPart;
    for (int p = 0; p < kPanels; ++p) {
      const auto* in = reinterpret_cast<const typename Format::Panel*>(packed + p * g.panel_bytes) + begin;
      for (int64_t i = 0; i < part; ++i) unpack(in[i], unpacked[i * kPanels + p]);
    }
    const uint8_t* ahead = packed + kPanels * g.panel_bytes + begin * kPanelUnit;
    const int64_t ahead_bytes = g.rows > kStripRows && panel + 2 * kPanels <= g.panel_end ? part * kPanelUnit : 0;
    Ahead<kPanels> fetch{ahead, ahead + ahead_bytes, g.panel_bytes, ahead_bytes * kStripRows * kPanelWidth / stride};
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

// At most 8 rows from `row` on, times one panel.
template <class Format, int kRows>
[[gnu::noinline]] void run_few_panel(const RawGemm& g, int64_t panel, int64_t row, float* sums) {
  const int64_t blocks = g.k / 32;
  const StripRows a{static_cast<const StripBlock*>(g.activations) + row / kStripRows * blocks, blocks};
  const uint8_t* w = g.panels + static_cast<size_t>(panel) * g.panel_bytes;
  Format::template few<kRows>(reinterpret_cast<const typename Format::Panel*>(w), blocks / Format::kUnitBlocks, a,
                              sums + row * kPanelWidth);
}

template <class Format>
void run_few(const RawGemm& g) {
  auto* sums = reinterpret_cast<float*>(static_cast<uint8_t*>(g.scratch) + kUnpackedBytes);
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
void run_tiles(const RawGemm& g) {
  int64_t p = g.panel_begin;
  // For few rows the time goes into unpacking, which runs better along one panel.
  if (Format::kUnitBlocks == 1 && g.rows <= kStripRows) {
    for (; p < g.panel_end; ++p) run_panels<Format, 1>(g, p);
  }
  for (; p + 2 <= g.panel_end; p += 2) run_panels<Format, 2>(g, p);
  if (p < g.panel_end) run_panels<Format, 1>(g, p);
}

// The choice of a path is measured (gemm_bench, the sets "... few" and "... tiles").
template <class Format>
void run(const RawGemm& g) {
  g.rows <= Format::kFewRowsMax ? run_few<Format>(g) : run_tiles<Format>(g);
}

}  // namespace

const QuantizedFormatKernels kQuantizedVnni = {run<Q4_0>, run<Q4_1>, run<Q5_0>, run<Q5_1>,
                                               run<Q8_0>, run<Q4_K>, run<Q5_K>, run<Q6_K>};
const QuantizedFormatKernels kQuantizedVnniTiles = {run_tiles<Q4_0>, run_tiles<Q4_1>, run_tiles<Q5_0>, run_tiles<Q5_1>,
                                                    run_tiles<Q8_0>, run_tiles<Q4_K>, run_tiles<Q5_K>, run_tiles<Q6_K>};
const QuantizedFormatKernels kQuantizedVnniFew = {run_few<Q4_0>, run_few<Q4_1>, run_few<Q5_0>, run_few<Q5_1>,
                                                  run_few<Q8_0>, run_few<Q4_K>, run_few<Q5_K>, run_few<Q6_K>};

}  // namespace batchwright

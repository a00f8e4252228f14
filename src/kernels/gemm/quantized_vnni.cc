// Quantised weights with AVX-512 VNNI, driven as in quantized_avx2.cc, two panels at a time.
#include <immintrin.h>

#include "kernels/gemm/format_kernels.h"
#include "kernels/gemm/store_avx512.h"
#include "kernels/gemm/tiles_vnni.h"

namespace batchwright {
namespace {

template <class PanelType, int kOffset, bool kMinimum>
struct Simple {
  using Panel = PanelType;
  using Unpacked = WideBlock;
  static constexpr int kUnitBlocks = 1;
  template <int kRows, int kPanels>
  BATCHWRIGHT_INLINE void tile(const Unpacked* w, int64_t units, const StripBlock* a, float* sums, int64_t stride) {
    tile_simple<kRows, kPanels, kOffset, kMinimum>(w, units, a, sums, stride);
  }
};

template <class PanelType, bool kTwoScales, bool kMinimum>
struct Super {
  using Panel = PanelType;
  using Unpacked = WideSuper;
  static constexpr int kUnitBlocks = kSubBlocks;
  template <int kRows, int kPanels>
  BATCHWRIGHT_INLINE void tile(const Unpacked* w, int64_t units, const StripBlock* a, float* sums, int64_t stride) {
    tile_super<kRows, kPanels, kTwoScales, kMinimum>(w, units, a, sums, stride);
  }
};

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

template <class Format>
void run(const RawGemm& g) {
  int64_t p = g.panel_begin;
  // For few rows the time goes into unpacking, which runs better along one panel.
  if (Format::kUnitBlocks == 1 && g.rows <= kStripRows) {
    for (; p < g.panel_end; ++p) run_panels<Format, 1>(g, p);
  }
  for (; p + 2 <= g.panel_end; p += 2) run_panels<Format, 2>(g, p);
  if (p < g.panel_end) run_panels<Format, 1>(g, p);
}

}  // namespace

const QuantizedFormatKernels kQuantizedVnni = {
    run<Simple<PanelQ4_0, 8, false>>,   run<Simple<PanelQ4_1, 0, true>>,    run<Simple<PanelQ5_0, 16, false>>,
    run<Simple<PanelQ5_1, 0, true>>,    run<Simple<PanelQ8_0, 128, false>>, run<Super<PanelQ4_K, false, true>>,
    run<Super<PanelQ5_K, false, true>>, run<Super<PanelQ6_K, true, false>>,
};

}  // namespace batchwright

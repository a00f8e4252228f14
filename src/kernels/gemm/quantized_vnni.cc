// Quantised weights with AVX-512 VNNI, driven as in quantized_avx2.cc with taller tiles.
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
  template <int kRows>
  BATCHWRIGHT_INLINE void tile(const Unpacked* w, int64_t units, const Strips& a, float* sums) {
    tile_simple<kRows, kOffset, kMinimum>(w, units, a, sums);
  }
};

template <class PanelType, bool kTwoScales, bool kMinimum>
struct Super {
  using Panel = PanelType;
  using Unpacked = WideSuper;
  static constexpr int kUnitBlocks = kSubBlocks;
  template <int kRows>
  BATCHWRIGHT_INLINE void tile(const Unpacked* w, int64_t units, const Strips& a, float* sums) {
    tile_super<kRows, kTwoScales, kMinimum>(w, units, a, sums);
  }
};

constexpr int64_t kUnpackedTarget = 24 * 1024;
constexpr int kTallRows = 8;

template <class Format>
void run(const RawGemm& g) {
  using Unpacked = typename Format::Unpacked;
  constexpr int64_t kPart = kUnpackedTarget / static_cast<int64_t>(sizeof(Unpacked));
  static_assert(kPart > 0 && kPart * sizeof(Unpacked) <= kUnpackedBytes);
  auto* unpacked = static_cast<Unpacked*>(g.scratch);
  auto* sums = reinterpret_cast<float*>(static_cast<uint8_t*>(g.scratch) + kUnpackedBytes);
  const auto* strips = static_cast<const StripBlock*>(g.activations);
  const int64_t blocks = g.k / 32;
  const int64_t units = blocks / Format::kUnitBlocks;
  const int64_t padded_rows = (g.rows + kStripRows - 1) / kStripRows * kStripRows;

  for (int64_t p = g.panel_begin; p < g.panel_end; ++p) {
    const auto* panel =
        reinterpret_cast<const typename Format::Panel*>(g.panels + static_cast<size_t>(p) * g.panel_bytes);
    for (int64_t row = 0; row < padded_rows; ++row) _mm512_store_ps(sums + row * kPanelWidth, _mm512_setzero_ps());
    for (int64_t begin = 0; begin < units; begin += kPart) {
      const int64_t part = units - begin < kPart ? units - begin : kPart;
      for (int64_t i = 0; i < part; ++i) unpack(panel[begin + i], unpacked[i]);
      for (int64_t row = 0; row < g.rows;) {
        const Strips a{strips + row / kStripRows * blocks + begin * Format::kUnitBlocks, blocks};
        float* tile_sums = sums + row * kPanelWidth;
        const int64_t left = padded_rows - row;
        if (left >= kTallRows) {
          Format::template tile<kTallRows>(unpacked, part, a, tile_sums);
          row += kTallRows;
        } else if (g.rows - row >= 3) {
          Format::template tile<4>(unpacked, part, a, tile_sums);
          row += 4;
        } else if (g.rows - row == 2) {
          Format::template tile<2>(unpacked, part, a, tile_sums);
          row += 4;
        } else {
          Format::template tile<1>(unpacked, part, a, tile_sums);
          row += 4;
        }
      }
    }
    store_panel(g, p, sums);
  }
}

}  // namespace

const QuantizedFormatKernels kQuantizedVnni = {
    run<Simple<PanelQ4_0, 8, false>>,   run<Simple<PanelQ4_1, 0, true>>,    run<Simple<PanelQ5_0, 16, false>>,
    run<Simple<PanelQ5_1, 0, true>>,    run<Simple<PanelQ8_0, 128, false>>, run<Super<PanelQ4_K, false, true>>,
    run<Super<PanelQ5_K, false, true>>, run<Super<PanelQ6_K, true, false>>,
};

}  // namespace batchwright

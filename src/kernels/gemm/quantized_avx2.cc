// Quantised weights with AVX2: for each panel, unpack a part of k into the first-level cache, multiply it with all
// strips of rows, go on with the next part.
#include <immintrin.h>

#include "kernels/gemm/few_rows_avx2.h"
#include "kernels/gemm/format_kernels.h"
#include "kernels/gemm/store_avx2.h"
#include "kernels/gemm/tiles_avx2.h"
#include "kernels/gemm/unpack_avx2.h"

namespace batchwright {
namespace {

struct Q4_0 {
  static constexpr int64_t kFewRowsMax = 24;
  using Panel = PanelQ4_0;
  using Unpacked = UnpackedBlock;
  static constexpr int kUnitBlocks = 1;
  template <int kRows>
  BATCHWRIGHT_INLINE void tile(const Unpacked* w, int64_t units, const StripBlock* a, float* sums) {
    tile_whole<kRows, 8, false>(w, units, a, sums);
  }
  template <int kRows>
  BATCHWRIGHT_INLINE void few(const Panel* w, int64_t units, const StripRows& a, float* sums, int64_t /*stride*/) {
    few_simple<kRows, Panel, 4, 8, false>(w, units, a, sums);
  }
};

struct Q4_1 {
  static constexpr int64_t kFewRowsMax = 24;
  using Panel = PanelQ4_1;
  using Unpacked = UnpackedBlock;
  static constexpr int kUnitBlocks = 1;
  template <int kRows>
  BATCHWRIGHT_INLINE void tile(const Unpacked* w, int64_t units, const StripBlock* a, float* sums) {
    tile_whole<kRows, 0, true>(w, units, a, sums);
  }
  template <int kRows>
  BATCHWRIGHT_INLINE void few(const Panel* w, int64_t units, const StripRows& a, float* sums, int64_t /*stride*/) {
    few_simple<kRows, Panel, 4, 0, true>(w, units, a, sums);
  }
};

struct Q5_0 {
  static constexpr int64_t kFewRowsMax = 24;
  using Panel = PanelQ5_0;
  using Unpacked = UnpackedBlock;
  static constexpr int kUnitBlocks = 1;
  template <int kRows>
  BATCHWRIGHT_INLINE void tile(const Unpacked* w, int64_t units, const StripBlock* a, float* sums) {
    tile_whole<kRows, 16, false>(w, units, a, sums);
  }
  template <int kRows>
  BATCHWRIGHT_INLINE void few(const Panel* w, int64_t units, const StripRows& a, float* sums, int64_t /*stride*/) {
    few_simple<kRows, Panel, 5, 16, false>(w, units, a, sums);
  }
};

struct Q5_1 {
  static constexpr int64_t kFewRowsMax = 16;
  using Panel = PanelQ5_1;
  using Unpacked = UnpackedBlock;
  static constexpr int kUnitBlocks = 1;
  template <int kRows>
  BATCHWRIGHT_INLINE void tile(const Unpacked* w, int64_t units, const StripBlock* a, float* sums) {
    tile_halves<kRows>(w, units, a, sums);
  }
  template <int kRows>
  BATCHWRIGHT_INLINE void few(const Panel* w, int64_t units, const StripRows& a, float* sums, int64_t /*stride*/) {
    few_simple<kRows, Panel, 5, 0, true>(w, units, a, sums);
  }
};

struct Q8_0 {
  static constexpr int64_t kFewRowsMax = 64;
  using Panel = PanelQ8_0;
  using Unpacked = PanelQ8_0;
  static constexpr int kUnitBlocks = 1;
  template <int kRows>
  BATCHWRIGHT_INLINE void tile(const Unpacked* w, int64_t units, const StripBlock* a, float* sums) {
    tile_signed<kRows>(w, units, a, sums);
  }
  template <int kRows>
  BATCHWRIGHT_INLINE void few(const Panel* w, int64_t units, const StripRows& a, float* sums, int64_t /*stride*/) {
    few_signed<kRows>(w, units, a, sums);
  }
};

// Rough products with Q8_0 weights (pruning.h).
struct RoughQ8_0 {
  using Panel = PanelQ8_0;
  using Unpacked = UnpackedBlock;
  static constexpr int kUnitBlocks = 1;
  template <int kRows>
  BATCHWRIGHT_INLINE void tile(const Unpacked* w, int64_t units, const StripBlock* a, float* sums) {
    tile_whole<kRows, kOffsetRough, false>(w, units, a, sums);
  }
};

struct Q4_K {
  static constexpr int64_t kFewRowsMax = 24;
  using Panel = PanelQ4_K;
  using Unpacked = UnpackedSuper;
  static constexpr int kUnitBlocks = kSubBlocks;
  template <int kRows>
  BATCHWRIGHT_INLINE void tile(const Unpacked* w, int64_t units, const StripBlock* a, float* sums) {
    tile_super<kRows, false, 0, true>(w, units, a, sums);
  }
  template <int kRows>
  BATCHWRIGHT_INLINE void few(const Panel* w, int64_t units, const StripRows& a, float* sums, int64_t stride) {
    few_super<kRows, Panel, 4, true>(w, units, a, sums, sums + stride, sums + 2 * stride);
  }
};

struct Q5_K {
  static constexpr int64_t kFewRowsMax = 16;
  using Panel = PanelQ5_K;
  using Unpacked = UnpackedSuper;
  static constexpr int kUnitBlocks = kSubBlocks;
  template <int kRows>
  BATCHWRIGHT_INLINE void tile(const Unpacked* w, int64_t units, const StripBlock* a, float* sums) {
    tile_super<kRows, true, 0, true>(w, units, a, sums);
  }
  template <int kRows>
  BATCHWRIGHT_INLINE void few(const Panel* w, int64_t units, const StripRows& a, float* sums, int64_t stride) {
    few_super<kRows, Panel, 5, true>(w, units, a, sums, sums + stride, sums + 2 * stride);
  }
};

struct Q6_K {
  static constexpr int64_t kFewRowsMax = 16;
  using Panel = PanelQ6_K;
  using Unpacked = UnpackedSuper;
  static constexpr int kUnitBlocks = kSubBlocks;
  template <int kRows>
  BATCHWRIGHT_INLINE void tile(const Unpacked* w, int64_t units, const StripBlock* a, float* sums) {
    tile_super<kRows, true, 32, false>(w, units, a, sums);
  }
  template <int kRows>
  BATCHWRIGHT_INLINE void few(const Panel* w, int64_t units, const StripRows& a, float* sums, int64_t stride) {
    few_super<kRows, Panel, 6, false>(w, units, a, sums, sums + stride, sums + 2 * stride);
  }
};

// The next `units` of a panel, unpacked in `scratch`.
template <class Panel, class Unpacked>
BATCHWRIGHT_INLINE const Unpacked* unpack_part(const Panel* panel, int64_t units, Unpacked* scratch) {
  for (int64_t i = 0; i < units; ++i) unpack(panel[i], scratch[i]);
  return scratch;
}

BATCHWRIGHT_INLINE const PanelQ8_0* unpack_part(const PanelQ8_0* panel, int64_t, PanelQ8_0*) { return panel; }

// Panels come from memory, each once for all rows; the hardware fetches ahead only within 4 KiB. So while a part of a
// panel is multiplied with the strips, the same part of the next panel is fetched, a slice with each strip. (With one
// strip all of it would have to be asked for at once, which takes longer than it saves.)
struct Ahead {
  const uint8_t* next;
  const uint8_t* end;
  int64_t slice;

  BATCHWRIGHT_INLINE void fetch(Ahead& a) {
    for (int64_t i = 0; i < a.slice && a.next < a.end; i += 64, a.next += 64) {
      _mm_prefetch(reinterpret_cast<const char*>(a.next), _MM_HINT_T1);
    }
  }
};

// About 20 KiB of unpacked weights: beside them 4 rows of activations and the sums still fit 32 KiB.
constexpr int64_t kUnpackedTarget = 24 * 1024;

BATCHWRIGHT_INLINE int64_t padded_rows(const RawGemm& g) { return (g.rows + kStripRows - 1) / kStripRows * kStripRows; }

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
  using Unpacked = typename Format::Unpacked;
  constexpr int64_t kPart = kUnpackedTarget / static_cast<int64_t>(sizeof(Unpacked));
  static_assert(kPart > 0 && kPart * sizeof(Unpacked) <= kUnpackedBytes);
  auto* sums = reinterpret_cast<float*>(static_cast<uint8_t*>(g.scratch) + kUnpackedBytes);
  const auto* strips = static_cast<const StripBlock*>(g.activations);
  const int64_t blocks = g.k / 32;
  const int64_t units = blocks / Format::kUnitBlocks;
  const int64_t padded = padded_rows(g);

  for (int64_t p = g.panel_begin; p < g.panel_end; ++p) {
    const auto* panel =
        reinterpret_cast<const typename Format::Panel*>(g.panels + static_cast<size_t>(p) * g.panel_bytes);
    for (int64_t i = 0; i < padded * kPanelWidth; i += 8) _mm256_storeu_ps(sums + i, _mm256_setzero_ps());
    for (int64_t begin = 0; begin < units; begin += kPart) {
      const int64_t part = units - begin < kPart ? units - begin : kPart;
      const Unpacked* unpacked = unpack_part(panel + begin, part, static_cast<Unpacked*>(g.scratch));
      const auto* ahead = reinterpret_cast<const uint8_t*>(panel + begin) + g.panel_bytes;
      const int64_t ahead_bytes =
          padded > kStripRows && p + 1 < g.panel_end ? part * static_cast<int64_t>(sizeof(*panel)) : 0;
      Ahead fetch{ahead, ahead + ahead_bytes, ahead_bytes * kStripRows / padded};
      for (int64_t row = 0; row < g.rows; row += kStripRows) {
        Ahead::fetch(fetch);
        const StripBlock* a = strips + row / kStripRows * blocks + begin * Format::kUnitBlocks;
        float* tile_sums = sums + row * kPanelWidth;
        const int64_t left = g.rows - row;
        if (left >= 3) {
          Format::template tile<4>(unpacked, part, a, tile_sums);
        } else if (left == 2) {
          Format::template tile<2>(unpacked, part, a, tile_sums);
        } else {
          Format::template tile<1>(unpacked, part, a, tile_sums);
        }
      }
    }
    store_panel(g, p, sums);
  }
}

// The choice of a path is measured (gemm_bench, the sets "... few" and "... tiles").
template <class Format>
void run(const RawGemm& g) {
  g.rows <= Format::kFewRowsMax ? run_few<Format>(g) : run_tiles<Format>(g);
}

}  // namespace

const QuantizedFormatKernels kQuantizedAvx2 = {run<Q4_0>, run<Q4_1>, run<Q5_0>, run<Q5_1>,
                                               run<Q8_0>, run<Q4_K>, run<Q5_K>, run<Q6_K>};
const QuantizedFormatKernels kQuantizedAvx2Tiles = {run_tiles<Q4_0>, run_tiles<Q4_1>, run_tiles<Q5_0>, run_tiles<Q5_1>,
                                                    run_tiles<Q8_0>, run_tiles<Q4_K>, run_tiles<Q5_K>, run_tiles<Q6_K>};
const QuantizedFormatKernels kQuantizedAvx2Few = {run_few<Q4_0>, run_few<Q4_1>, run_few<Q5_0>, run_few<Q5_1>,
                                                  run_few<Q8_0>, run_few<Q4_K>, run_few<Q5_K>, run_few<Q6_K>};

void run_rough_q8_0_avx2(const RawGemm& g) { run_tiles<RoughQ8_0>(g); }

}  // namespace batchwright

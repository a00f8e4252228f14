// Quantised weights with AVX2.
#include <immintrin.h>

#include "kernels/gemm/few_rows_avx2.h"
#include "kernels/gemm/format_kernels.h"
#include "kernels/gemm/quantized_loops.h"
#include "kernels/gemm/store_avx2.h"
#include "kernels/gemm/tiles_avx2.h"
#include "kernels/gemm/unpack_avx2.h"

namespace batchwright {
namespace {

template <class PanelType, int kBits, int kOffset, bool kMinimum, int64_t kFewMax>
struct Simple {
  using Panel = PanelType;
  using Unpacked = UnpackedBlock;
  static constexpr int kUnitBlocks = 1;
  static constexpr int kPanelsAtOnce = 1;
  static constexpr int64_t kFewRowsMax = kFewMax;
  template <int kRows, int>
  BATCHWRIGHT_INLINE void tile(const Unpacked* w, int64_t units, const StripBlock* a, float* sums, int64_t /*stride*/) {
    if constexpr (kBits == 5 && kOffset == 0) {
      tile_halves<kRows>(w, units, a, sums);
    } else {
      tile_whole<kRows, kOffset, kMinimum>(w, units, a, sums);
    }
  }
  template <int kRows>
  BATCHWRIGHT_INLINE void few(const Panel* w, int64_t units, const StripRows& a, float* sums, int64_t /*stride*/) {
    few_simple<kRows, Panel, kBits, kOffset, kMinimum>(w, units, a, sums);
  }
};

struct Q8_0 {
  using Panel = PanelQ8_0;
  using Unpacked = PanelQ8_0;
  static constexpr int kUnitBlocks = 1;
  static constexpr int kPanelsAtOnce = 1;
  static constexpr int64_t kFewRowsMax = 64;
  template <int kRows, int>
  BATCHWRIGHT_INLINE void tile(const Unpacked* w, int64_t units, const StripBlock* a, float* sums, int64_t /*stride*/) {
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
  static constexpr int kPanelsAtOnce = 1;
  template <int kRows, int>
  BATCHWRIGHT_INLINE void tile(const Unpacked* w, int64_t units, const StripBlock* a, float* sums, int64_t /*stride*/) {
    tile_whole<kRows, kOffsetRough, false>(w, units, a, sums);
  }
};

template <class PanelType, int kBits, bool kMinimum, int64_t kFewMax>
struct Super {
  using Panel = PanelType;
  using Unpacked = UnpackedSuper;
  static constexpr int kUnitBlocks = kSubBlocks;
  static constexpr int kPanelsAtOnce = 1;
  static constexpr int64_t kFewRowsMax = kFewMax;
  template <int kRows, int>
  BATCHWRIGHT_INLINE void tile(const Unpacked* w, int64_t units, const StripBlock* a, float* sums, int64_t /*stride*/) {
    tile_super<kRows, kBits != 4, kBits == 6 ? 32 : 0, kMinimum>(w, units, a, sums);
  }
  template <int kRows>
  BATCHWRIGHT_INLINE void few(const Panel* w, int64_t units, const StripRows& a, float* sums, int64_t stride) {
    few_super<kRows, Panel, kBits, kMinimum>(w, units, a, sums, sums + stride, sums + 2 * stride);
  }
};

using Q4_0 = Simple<PanelQ4_0, 4, 8, false, 24>;
using Q4_1 = Simple<PanelQ4_1, 4, 0, true, 24>;
using Q5_0 = Simple<PanelQ5_0, 5, 16, false, 24>;
using Q5_1 = Simple<PanelQ5_1, 5, 0, true, 16>;
using Q4_K = Super<PanelQ4_K, 4, true, 24>;
using Q5_K = Super<PanelQ5_K, 5, true, 16>;
using Q6_K = Super<PanelQ6_K, 6, false, 16>;

using All = Tables<Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q4_K, Q5_K, Q6_K>;

}  // namespace

const QuantizedFormatKernels kQuantizedAvx2 = All::kChosen;
const QuantizedFormatKernels kQuantizedAvx2Tiles = All::kTiles;
const QuantizedFormatKernels kQuantizedAvx2Few = All::kFew;

void run_rough_q8_0_avx2(const RawGemm& g) { run_tiles<RoughQ8_0>(g); }

}  // namespace batchwright

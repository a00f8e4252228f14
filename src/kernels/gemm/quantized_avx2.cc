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

struct OnePanel {
  static constexpr int kPanels = 1;
  BATCHWRIGHT_INLINE void store(const RawGemm& g, int64_t panel, const float* sums) { store_panel(g, panel, sums); }
};

template <class PanelType, int kBits, int kOffset, bool kMinimum, int64_t kFewMax>
struct Simple : OnePanel {
  using Panel = PanelType;
  using Unpacked = UnpackedBlock;
  static constexpr int kUnitBlocks = 1;
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

struct Q8_0 : OnePanel {
  using Panel = PanelQ8_0;
  using Unpacked = PanelQ8_0;
  static constexpr int kUnitBlocks = 1;
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
struct RoughQ8_0 : OnePanel {
  using Panel = PanelQ8_0;
  using Unpacked = UnpackedBlock;
  static constexpr int kUnitBlocks = 1;
  template <int kRows, int>
  BATCHWRIGHT_INLINE void tile(const Unpacked* w, int64_t units, const StripBlock* a, float* sums, int64_t /*stride*/) {
    tile_whole<kRows, kOffsetRough, false>(w, units, a, sums);
  }
};

template <class PanelType, int kBits, bool kMinimum, int64_t kFewMax>
struct Super : OnePanel {
  using Panel = PanelType;
  using Unpacked = UnpackedSuper;
  static constexpr int kUnitBlocks = kSubBlocks;
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

}  // namespace

const QuantizedFormatKernels kQuantizedAvx2 = {run<Q4_0>, run<Q4_1>, run<Q5_0>, run<Q5_1>,
                                               run<Q8_0>, run<Q4_K>, run<Q5_K>, run<Q6_K>};
const QuantizedFormatKernels kQuantizedAvx2Tiles = {run_tiles<Q4_0>, run_tiles<Q4_1>, run_tiles<Q5_0>, run_tiles<Q5_1>,
                                                    run_tiles<Q8_0>, run_tiles<Q4_K>, run_tiles<Q5_K>, run_tiles<Q6_K>};
const QuantizedFormatKernels kQuantizedAvx2Few = {run_few<Q4_0>, run_few<Q4_1>, run_few<Q5_0>, run_few<Q5_1>,
                                                  run_few<Q8_0>, run_few<Q4_K>, run_few<Q5_K>, run_few<Q6_K>};

void run_rough_q8_0_avx2(const RawGemm& g) { run_tiles<RoughQ8_0>(g); }

}  // namespace batchwright

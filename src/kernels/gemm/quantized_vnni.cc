// Quantised weights with AVX-512 VNNI, two panels at a time.
#include <immintrin.h>

#include "kernels/gemm/few_rows_vnni.h"
#include "kernels/gemm/format_kernels.h"
#include "kernels/gemm/quantized_loops.h"
#include "kernels/gemm/store_avx512.h"
#include "kernels/gemm/tiles_vnni.h"

namespace batchwright {
namespace {

struct TwoPanels {
  static constexpr int kPanels = 2;
  BATCHWRIGHT_INLINE void store(const RawGemm& g, int64_t panel, const float* sums) { store_panel(g, panel, sums); }
};

template <class PanelType, int kBits, int kOffset, bool kMinimum>
struct Simple : TwoPanels {
  using Panel = PanelType;
  using Unpacked = WideBlock;
  static constexpr int kUnitBlocks = 1;
  static constexpr int64_t kFewRowsMax = 32;
  template <int kRows, int kPanels>
  BATCHWRIGHT_INLINE void tile(const Unpacked* w, int64_t units, const StripBlock* a, float* sums, int64_t stride) {
    tile_simple<kRows, kPanels, kOffset, kMinimum>(w, units, a, sums, stride);
  }
  template <int kRows>
  BATCHWRIGHT_INLINE void few(const Panel* w, int64_t units, const StripRows& a, float* sums, int64_t /*stride*/) {
    few_simple<kRows, Panel, kBits, kOffset, kMinimum>(w, units, a, sums);
  }
};

template <class PanelType, int kBits, bool kMinimum>
struct Super : TwoPanels {
  using Panel = PanelType;
  using Unpacked = WideSuper;
  static constexpr int kUnitBlocks = kSubBlocks;
  static constexpr int64_t kFewRowsMax = 32;
  template <int kRows, int kPanels>
  BATCHWRIGHT_INLINE void tile(const Unpacked* w, int64_t units, const StripBlock* a, float* sums, int64_t stride) {
    tile_super<kRows, kPanels, kBits == 6, kMinimum>(w, units, a, sums, stride);
  }
  template <int kRows>
  BATCHWRIGHT_INLINE void few(const Panel* w, int64_t units, const StripRows& a, float* sums, int64_t /*stride*/) {
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

}  // namespace

const QuantizedFormatKernels kQuantizedVnni = {run<Q4_0>, run<Q4_1>, run<Q5_0>, run<Q5_1>,
                                               run<Q8_0>, run<Q4_K>, run<Q5_K>, run<Q6_K>};
const QuantizedFormatKernels kQuantizedVnniTiles = {run_tiles<Q4_0>, run_tiles<Q4_1>, run_tiles<Q5_0>, run_tiles<Q5_1>,
                                                    run_tiles<Q8_0>, run_tiles<Q4_K>, run_tiles<Q5_K>, run_tiles<Q6_K>};
const QuantizedFormatKernels kQuantizedVnniFew = {run_few<Q4_0>, run_few<Q4_1>, run_few<Q5_0>, run_few<Q5_1>,
                                                  run_few<Q8_0>, run_few<Q4_K>, run_few<Q5_K>, run_few<Q6_K>};

}  // namespace batchwright

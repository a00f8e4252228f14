// Quantised weights with AVX-512 VNNI, two panels at a time.
#include <immintrin.h>

#include "kernels/gemm/few_rows_vnni.h"
#include "kernels/gemm/format_kernels.h"
#include "kernels/gemm/quantized_loops.h"
#include "kernels/gemm/store_avx512.h"
#include "kernels/gemm/tiles_vnni.h"

namespace batchwright {
namespace {

template <class PanelType, int kBits, int kOffset, bool kMinimum>
struct Simple {
  using Panel = PanelType;
  using Unpacked = WideBlock;
  static constexpr int kUnitBlocks = 1;
  static constexpr int kPanelsAtOnce = 2;
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
struct Super {
  using Panel = PanelType;
  using Unpacked = WideSuper;
  static constexpr int kUnitBlocks = kSubBlocks;
  static constexpr int kPanelsAtOnce = 2;
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

using All = Tables<Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q4_K, Q5_K, Q6_K>;

}  // namespace

const QuantizedFormatKernels kQuantizedVnni = All::kChosen;
const QuantizedFormatKernels kQuantizedVnniTiles = All::kTiles;
const QuantizedFormatKernels kQuantizedVnniFew = All::kFew;

}  // namespace batchwright

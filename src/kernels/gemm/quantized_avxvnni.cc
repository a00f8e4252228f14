// Quantised weights with AVX2 and AVX-VNNI, for processors without AVX-512.
#include <immintrin.h>

#include "kernels/gemm/few_rows_avxvnni.h"
#include "kernels/gemm/format_kernels.h"
#include "kernels/gemm/quantized_loops.h"
#include "kernels/gemm/store_avx2.h"
#include "kernels/gemm/tiles_avxvnni.h"
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
    tile_simple<kRows, kOffset, kMinimum>(w, units, a, sums);
  }
  template <int kRows>
  BATCHWRIGHT_INLINE void few(const Panel* w, int64_t units, const StripRows& a, float* sums, int64_t /*stride*/) {
    few_simple<kRows, Panel, kBits, kOffset, kMinimum>(w, units, a, sums);
  }
};

// Nothing is packed: the tiles read the weights as they are.
struct Q8_0 {
  using Panel = PanelQ8_0;
  using Unpacked = PanelQ8_0;
  static constexpr int kUnitBlocks = 1;
  static constexpr int kPanelsAtOnce = 1;
  static constexpr int64_t kFewRowsMax = 32;
  template <int kRows, int>
  BATCHWRIGHT_INLINE void tile(const Panel* w, int64_t units, const StripBlock* a, float* sums, int64_t /*stride*/) {
    for (int64_t b = 0; b < units; ++b) few_block<kRows, Panel, 8, 128, false>(w[b], a[b], sums);
  }
  template <int kRows>
  BATCHWRIGHT_INLINE void few(const Panel* w, int64_t units, const StripRows& a, float* sums, int64_t /*stride*/) {
    few_simple<kRows, Panel, 8, 128, false>(w, units, a, sums);
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
    tile_super<kRows, kBits == 6, kMinimum>(w, units, a, sums);
  }
  template <int kRows>
  BATCHWRIGHT_INLINE void few(const Panel* w, int64_t units, const StripRows& a, float* sums, int64_t stride) {
    few_super<kRows, Panel, kBits, kMinimum>(w, units, a, sums, sums + stride, sums + 2 * stride);
  }
};

using Q4_0 = Simple<PanelQ4_0, 4, 8, false, 24>;
using Q4_1 = Simple<PanelQ4_1, 4, 0, true, 16>;
using Q5_0 = Simple<PanelQ5_0, 5, 16, false, 8>;
using Q5_1 = Simple<PanelQ5_1, 5, 0, true, 8>;
using Q4_K = Super<PanelQ4_K, 4, true, 8>;
using Q5_K = Super<PanelQ5_K, 5, true, 4>;
using Q6_K = Super<PanelQ6_K, 6, false, 8>;

using All = Tables<Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q4_K, Q5_K, Q6_K>;

}  // namespace

const QuantizedFormatKernels kQuantizedAvxVnni = All::kChosen;
const QuantizedFormatKernels kQuantizedAvxVnniTiles = All::kTiles;
const QuantizedFormatKernels kQuantizedAvxVnniFew = All::kFew;

}  // namespace batchwright

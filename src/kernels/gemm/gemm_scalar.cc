// The reference: the canonical order of gemm.h, step by step.
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "kernels/gemm/activations.h"
#include "kernels/gemm/format_kernels.h"
#include "kernels/gemm/panel_block.h"
#include "tensor/half.h"

namespace batchwright {
namespace {

// How the integer sums of blocks become an output.
enum class Family { kSymmetric, kMinimum, kSuperMinimum, kSuperSymmetric };

constexpr Family family(ElementType type) {
  switch (type) {
    case ElementType::kQ4_1:
    case ElementType::kQ5_1:
      return Family::kMinimum;
    case ElementType::kQ4_K:
    case ElementType::kQ5_K:
      return Family::kSuperMinimum;
    case ElementType::kQ6_K:
      return Family::kSuperSymmetric;
    default:
      return Family::kSymmetric;
  }
}

// A row's sums of one panel.
struct RowSums {
  float acc[kPanelWidth];
  float s[kPanelWidth];
  float u[kPanelWidth];
};

void store_row(const RawGemm& g, int64_t panel, int64_t row, const float* sums) {
  const int64_t first = panel * kPanelWidth;
  const int64_t columns = std::min<int64_t>(kPanelWidth, g.n - first);
  float* out = g.out + row * g.out_stride + first - g.out_first_column;
  for (int64_t c = 0; c < columns; ++c) out[c] = g.bias != nullptr ? sums[c] + g.bias[first + c] : sums[c];
}

int32_t dot16(const int16_t* w, const int16_t* q) {
  int32_t sum = 0;
  for (int i = 0; i < 16; ++i) sum += w[i] * q[i];
  return sum;
}

template <Family kFamily>
void add_block(const PanelBlock& block, const int16_t* q, float d_a, float d_sum, bool super_ends, RowSums& sums) {
  for (int c = 0; c < kPanelWidth; ++c) {
    const int32_t isum0 = dot16(block.w[c], q);
    const int32_t isum1 = dot16(block.w[c] + 16, q + 16);
    float& acc = sums.acc[c];
    if constexpr (kFamily == Family::kSymmetric || kFamily == Family::kMinimum) {
      acc = std::fma(static_cast<float>(isum0 + isum1), block.d[c] * d_a, acc);
      if constexpr (kFamily == Family::kMinimum) acc = std::fma(block.m[c], d_sum, acc);
    } else {
      const int32_t scaled = block.scale[0][c] * isum0 + block.scale[1][c] * isum1;
      sums.s[c] = std::fma(d_a, static_cast<float>(scaled), sums.s[c]);
      if constexpr (kFamily == Family::kSuperMinimum) {
        sums.u[c] = std::fma(static_cast<float>(block.min[c]), d_sum, sums.u[c]);
      }
      if (super_ends) {
        acc = std::fma(block.d[c], sums.s[c], acc);
        if constexpr (kFamily == Family::kSuperMinimum) acc = std::fma(-block.m[c], sums.u[c], acc);
        sums.s[c] = sums.u[c] = 0;
      }
    }
  }
}

template <ElementType kType>
void run_quantized(const RawGemm& g) {
  const int64_t blocks = g.k / 32;
  const auto* strips = static_cast<const StripBlock*>(g.activations);
  auto* sums = reinterpret_cast<RowSums*>(static_cast<uint8_t*>(g.scratch) + kUnpackedBytes);
  PanelBlock block;
  for (int64_t p = g.panel_begin; p < g.panel_end; ++p) {
    std::fill(sums, sums + g.rows, RowSums{});
    for (int64_t b = 0; b < blocks; ++b) {
      decode_panel_block(kType, g.panels + static_cast<size_t>(p) * g.panel_bytes, b, 0, kPanelWidth, block);
      for (int64_t row = 0; row < g.rows; ++row) {
        const StripBlock& a = strips[row / kStripRows * blocks + b];
        const auto lane = row % kStripRows;
        int16_t q[32];
        for (int i = 0; i < 32; ++i) q[i] = a.q[i / 4][lane][i % 4];
        add_block<family(kType)>(block, q, a.d[lane], a.d_sum[lane], b % kSubBlocks == kSubBlocks - 1, sums[row]);
      }
    }
    for (int64_t row = 0; row < g.rows; ++row) store_row(g, p, row, sums[row].acc);
  }
}

template <class Element, float (*kToFloat)(Element)>
void run_float(const RawGemm& g) {
  const auto* x = static_cast<const float*>(g.activations);
  for (int64_t p = g.panel_begin; p < g.panel_end; ++p) {
    const auto* w = reinterpret_cast<const Element*>(g.panels + static_cast<size_t>(p) * g.panel_bytes);
    for (int64_t row = 0; row < g.rows; ++row) {
      float acc[kPanelWidth] = {};
      for (int64_t i = 0; i < g.k; ++i) {
        const float xi = x[row * g.k + i];
        for (int c = 0; c < kPanelWidth; ++c) acc[c] = std::fma(kToFloat(w[i * kPanelWidth + c]), xi, acc[c]);
      }
      store_row(g, p, row, acc);
    }
  }
}

float same(float x) { return x; }
float from_half(uint16_t x) { return f16_to_f32(x); }
float from_brain(uint16_t x) { return bf16_to_f32(x); }

void store_block(const float* x, StripBlock& block, int64_t lane, uint32_t amax_bits) {
  constexpr float kSmallest = 0x1p-100F;
  const float amax = std::bit_cast<float>(amax_bits);
  const bool zero = amax < kSmallest;
  const float inverse = zero ? 0.0F : 127.0F / amax;
  int32_t sums[2][2] = {};
  for (int i = 0; i < 32; ++i) {
    // The conversion rounds to nearest even: the environment of numerics.md.
    const long rounded = zero ? 0 : std::lrint(x[i] * inverse);
    const auto q = static_cast<int8_t>(std::clamp<long>(rounded, -127, 127));
    block.q[i / 4][lane][i % 4] = q;
    sums[i / 16][i / 2 % 2] += q;
  }
  for (int pair = 0; pair < 2; ++pair) {
    block.sum16[lane][pair] = static_cast<int16_t>(-16 * (sums[0][pair] + sums[1][pair]));
    for (int half = 0; half < 2; ++half) block.sum32[half][lane][pair] = static_cast<int16_t>(-32 * sums[half][pair]);
  }
  block.d[lane] = zero ? 0.0F : amax / 127.0F;
  block.d_sum[lane] = block.d[lane] * static_cast<float>(sums[0][0] + sums[0][1] + sums[1][0] + sums[1][1]);
}

uint32_t largest_magnitude(const float* x) {
  uint32_t bits = 0;
  for (int i = 0; i < 32; ++i) bits = std::max(bits, std::bit_cast<uint32_t>(x[i]) & 0x7fffffffu);
  return bits;
}

constexpr uint32_t kInfinity = 0x7f800000u;

bool quantize_row_scalar(const float* x, int64_t k, int64_t row, void* quantized) {
  const int64_t blocks = k / 32;
  auto* strip = static_cast<StripBlock*>(quantized) + row / kStripRows * blocks;
  bool finite = true;
  for (int64_t b = 0; b < blocks && finite; ++b) {
    const uint32_t amax_bits = largest_magnitude(x + b * 32);
    finite = amax_bits < kInfinity;
    if (finite) store_block(x + b * 32, strip[b], row % kStripRows, amax_bits);
  }
  if (!finite) {
    for (int64_t b = 0; b < blocks; ++b) store_block(nullptr, strip[b], row % kStripRows, 0);
  }
  return finite;
}

void quantize_tile_scalar(const QuantizeTile& tile) {
  const int64_t blocks = tile.k / 32;
  const int64_t padded_rows = (tile.rows + kStripRows - 1) / kStripRows * kStripRows;
  for (int64_t r = 0; r < padded_rows; ++r) {
    const int64_t row = tile.row_begin + r;
    auto* strip = static_cast<StripBlock*>(tile.quantized) + row / kStripRows * blocks + tile.column_begin / 32;
    for (int64_t c = 0; c < tile.columns; c += 32) {
      const float* x = tile.x + r * tile.x_stride + c;
      const uint32_t amax_bits = r < tile.rows ? largest_magnitude(x) : 0;
      if (amax_bits >= kInfinity) tile.failed[r] = 1;
      store_block(x, strip[c / 32], row % kStripRows, amax_bits < kInfinity ? amax_bits : 0);
    }
  }
}

}  // namespace

const QuantizedFormatKernels kQuantizedScalar = {
    run_quantized<ElementType::kQ4_0>, run_quantized<ElementType::kQ4_1>, run_quantized<ElementType::kQ5_0>,
    run_quantized<ElementType::kQ5_1>, run_quantized<ElementType::kQ8_0>, run_quantized<ElementType::kQ4_K>,
    run_quantized<ElementType::kQ5_K>, run_quantized<ElementType::kQ6_K>,
};
const FloatFormatKernels kFloatScalar = {run_float<float, same>, run_float<uint16_t, from_half>,
                                         run_float<uint16_t, from_brain>};
const ActivationKernels kActivationsScalar = {quantize_row_scalar};
const QuantizeTileKernel kQuantizeTileScalar = quantize_tile_scalar;

}  // namespace batchwright

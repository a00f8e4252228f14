#include "kernels/gemm/gemm.h"

#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "kernels/gemm/activations.h"
#include "kernels/gemm/format_kernels.h"
#include "kernels/gemm/layout.h"
#include "platform/cpu.h"

namespace batchwright {
namespace {

RawGemm take_apart(const GemmArgs& args) {
  const PackedWeights& w = *args.weights;
  BATCHWRIGHT_CHECK(0 <= args.panel_begin && args.panel_end <= w.panels());
  return {
      .panels = w.data.data(),
      .panel_bytes = packed_panel_bytes(w.type, w.k),
      .n = w.n,
      .k = w.k,
      .panel_begin = args.panel_begin,
      .panel_end = args.panel_end,
      .activations = args.activations,
      .rows = args.rows,
      .bias = args.bias,
      .out = args.out,
      .out_stride = args.out_stride,
      .out_first_column = args.out_first_column,
      .scratch = args.scratch,
  };
}

template <const QuantizedFormatKernels& kQuantized, const FloatFormatKernels& kFloat>
void run(const GemmArgs& args) {
  const RawGemm raw = take_apart(args);
  switch (args.weights->type) {
    case ElementType::kF32:
      return kFloat.f32(raw);
    case ElementType::kF16:
      return kFloat.f16(raw);
    case ElementType::kBF16:
      return kFloat.bf16(raw);
    case ElementType::kQ4_0:
      return kQuantized.q4_0(raw);
    case ElementType::kQ4_1:
      return kQuantized.q4_1(raw);
    case ElementType::kQ5_0:
      return kQuantized.q5_0(raw);
    case ElementType::kQ5_1:
      return kQuantized.q5_1(raw);
    case ElementType::kQ8_0:
      return kQuantized.q8_0(raw);
    case ElementType::kQ4_K:
      return kQuantized.q4_k(raw);
    case ElementType::kQ5_K:
      return kQuantized.q5_k(raw);
    case ElementType::kQ6_K:
      return kQuantized.q6_k(raw);
  }
}

template <const ActivationKernels& kActivations>
bool quantize_row(const float* x, int64_t k, int64_t row, void* quantized) {
  return kActivations.quantize_row(x, k, row, quantized);
}

template <const QuantizeTileKernel& kQuantizeTile>
void quantize_tile(const QuantizeTile& tile) {
  BATCHWRIGHT_CHECK(tile.row_begin % kStripRows == 0 && tile.column_begin % 32 == 0 && tile.columns % 32 == 0);
  kQuantizeTile(tile);
}

void pad_rows(int64_t rows, int64_t k, void* quantized) {
  const int64_t blocks = k / 32;
  const int64_t used = rows % kStripRows;
  if (used == 0) return;
  auto* strip = static_cast<StripBlock*>(quantized) + rows / kStripRows * blocks;
  for (int64_t b = 0; b < blocks; ++b) {
    for (int64_t lane = used; lane < kStripRows; ++lane) {
      for (auto& group : strip[b].q) std::memset(group[lane], 0, sizeof group[lane]);
      for (int pair = 0; pair < 2; ++pair) {
        strip[b].sum16[lane][pair] = strip[b].sum32[0][lane][pair] = strip[b].sum32[1][lane][pair] = 0;
      }
      strip[b].d[lane] = strip[b].d_sum[lane] = 0;
    }
  }
}

const GemmKernels kTable[] = {
    {Isa::kScalar, run<kQuantizedScalar, kFloatScalar>, quantize_row<kActivationsScalar>,
     quantize_tile<kQuantizeTileScalar>, pad_rows},
    {Isa::kAvx2, run<kQuantizedAvx2, kFloatAvx2>, quantize_row<kActivationsAvx2>, quantize_tile<kQuantizeTileAvx2>,
     pad_rows},
    {Isa::kAvxVnni, run<kQuantizedAvxVnni, kFloatAvx2>, quantize_row<kActivationsAvx2>,
     quantize_tile<kQuantizeTileAvx2>, pad_rows},
    {Isa::kAvx512, run<kQuantizedAvx2, kFloatAvx512>, quantize_row<kActivationsAvx2>,
     quantize_tile<kQuantizeTileAvx512>, pad_rows},
    {Isa::kVnni, run<kQuantizedVnni, kFloatAvx512>, quantize_row<kActivationsAvx2>, quantize_tile<kQuantizeTileAvx512>,
     pad_rows},
    {Isa::kAmx, run<kQuantizedAmx, kFloatAvx512>, quantize_row<kActivationsAvx2>, quantize_tile<kQuantizeTileAvx512>,
     pad_rows},
};

const GemmPath kPaths[] = {
    {"avx2 tiles",
     {Isa::kAvx2, run<kQuantizedAvx2Tiles, kFloatAvx2>, quantize_row<kActivationsAvx2>,
      quantize_tile<kQuantizeTileAvx2>, pad_rows}},
    {"avx2 few",
     {Isa::kAvx2, run<kQuantizedAvx2Few, kFloatAvx2>, quantize_row<kActivationsAvx2>, quantize_tile<kQuantizeTileAvx2>,
      pad_rows}},
    {"avxvnni tiles",
     {Isa::kAvxVnni, run<kQuantizedAvxVnniTiles, kFloatAvx2>, quantize_row<kActivationsAvx2>,
      quantize_tile<kQuantizeTileAvx2>, pad_rows}},
    {"avxvnni few",
     {Isa::kAvxVnni, run<kQuantizedAvxVnniFew, kFloatAvx2>, quantize_row<kActivationsAvx2>,
      quantize_tile<kQuantizeTileAvx2>, pad_rows}},
    {"vnni tiles",
     {Isa::kVnni, run<kQuantizedVnniTiles, kFloatAvx512>, quantize_row<kActivationsAvx2>,
      quantize_tile<kQuantizeTileAvx512>, pad_rows}},
    {"vnni few",
     {Isa::kVnni, run<kQuantizedVnniFew, kFloatAvx512>, quantize_row<kActivationsAvx2>,
      quantize_tile<kQuantizeTileAvx512>, pad_rows}},
    {"amx tiles",
     {Isa::kAmx, run<kQuantizedAmxTiles, kFloatAvx512>, quantize_row<kActivationsAvx2>,
      quantize_tile<kQuantizeTileAvx512>, pad_rows}},
};

}  // namespace

bool uses_quantized_activations(ElementType type) { return is_quantized(type); }

size_t gemm_scratch_bytes(int64_t rows, int64_t k) {
  (void)k;
  const int64_t padded = (rows + kSumRowsMultiple - 1) / kSumRowsMultiple * kSumRowsMultiple;
  const size_t bytes = kUnpackedBytes + static_cast<size_t>(padded) * kPanelColumns * sizeof(float) * 3;
  const int64_t tiles = (std::min(rows, kAmxChunkRows) + kAmxTileRows - 1) / kAmxTileRows;
  return std::max(bytes, static_cast<size_t>(kAmxWeightBytes + kAmxIntegerBytes + tiles * kAmxBytesOfATile));
}

size_t quantized_rows_bytes(int64_t rows, int64_t k) {
  return static_cast<size_t>((rows + kStripRows - 1) / kStripRows) * strip_bytes(k);
}

const GemmKernels& gemm_kernels(Isa isa) {
  const GemmKernels* best = &kTable[0];
  for (const GemmKernels& kernels : kTable) {
    if (includes(isa, kernels.isa)) best = &kernels;
  }
  return *best;
}

std::span<const GemmKernels> all_gemm_kernels() { return kTable; }

std::span<const GemmPath> gemm_paths() { return kPaths; }

}  // namespace batchwright

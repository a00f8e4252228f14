#include "kernels/gemm/gemm.h"

#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "kernels/gemm/activations.h"
#include "kernels/gemm/format_kernels.h"
#include "kernels/gemm/gemm_by_format.h"
#include "kernels/gemm/layout.h"
#include "platform/cpu.h"

namespace batchwright {
namespace {

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

// Half of what the AMX kernels take, so that many workers find work in small matrices, too.
constexpr int64_t kAmxPanelsAtOnce = kAmxGroupPanels / 2;

// Sets that are built on AVX2 quantise single rows with it.
template <const QuantizedFormatKernels& kQuantized, const FloatFormatKernels& kFloat,
          const QuantizeTileKernel& kQuantizeTile>
constexpr GemmKernels kernels_of(Isa isa, int64_t panels_at_once) {
  return {isa,
          panels_at_once,
          gemm_by_format<kQuantized, kFloat>,
          quantize_row<kActivationsAvx2>,
          quantize_tile<kQuantizeTile>,
          pad_rows};
}

const GemmKernels kTable[] = {
    {Isa::kScalar, 1, gemm_by_format<kQuantizedScalar, kFloatScalar>, quantize_row<kActivationsScalar>,
     quantize_tile<kQuantizeTileScalar>, pad_rows},
    kernels_of<kQuantizedAvx2, kFloatAvx2, kQuantizeTileAvx2>(Isa::kAvx2, 1),
    kernels_of<kQuantizedAvxVnni, kFloatAvx2, kQuantizeTileAvx2>(Isa::kAvxVnni, 1),
    kernels_of<kQuantizedAvx2, kFloatAvx512, kQuantizeTileAvx512>(Isa::kAvx512, 1),
    kernels_of<kQuantizedVnni, kFloatAvx512, kQuantizeTileAvx512>(Isa::kVnni, 2),
    kernels_of<kQuantizedAmx, kFloatAvx512, kQuantizeTileAvx512>(Isa::kAmx, kAmxPanelsAtOnce),
};

const GemmPath kPaths[] = {
    {"avx2 tiles", kernels_of<kQuantizedAvx2Tiles, kFloatAvx2, kQuantizeTileAvx2>(Isa::kAvx2, 1)},
    {"avx2 few", kernels_of<kQuantizedAvx2Few, kFloatAvx2, kQuantizeTileAvx2>(Isa::kAvx2, 1)},
    {"avxvnni tiles", kernels_of<kQuantizedAvxVnniTiles, kFloatAvx2, kQuantizeTileAvx2>(Isa::kAvxVnni, 1)},
    {"avxvnni few", kernels_of<kQuantizedAvxVnniFew, kFloatAvx2, kQuantizeTileAvx2>(Isa::kAvxVnni, 1)},
    {"vnni tiles", kernels_of<kQuantizedVnniTiles, kFloatAvx512, kQuantizeTileAvx512>(Isa::kVnni, 2)},
    {"vnni few", kernels_of<kQuantizedVnniFew, kFloatAvx512, kQuantizeTileAvx512>(Isa::kVnni, 2)},
    {"amx tiles", kernels_of<kQuantizedAmxTiles, kFloatAvx512, kQuantizeTileAvx512>(Isa::kAmx, kAmxPanelsAtOnce)},
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

// What a file compiled for one instruction set sees and exports: plain pointers and functions, no std types, so that it
// emits no symbol that others could link to (docs/conventions: instruction sets).
#pragma once

#include <cstddef>
#include <cstdint>

namespace batchwright {

// GemmArgs, taken apart.
struct RawGemm {
  const uint8_t* panels = nullptr;  // of all panels
  size_t panel_bytes = 0;
  int64_t n = 0;
  int64_t k = 0;
  int64_t panel_begin = 0;
  int64_t panel_end = 0;
  const void* activations = nullptr;
  int64_t rows = 0;
  const float* bias = nullptr;
  float* out = nullptr;
  int64_t out_stride = 0;
  int64_t out_first_column = 0;
  void* scratch = nullptr;
};

// Values to be quantised: rows [row_begin, row_begin + rows), the first of a strip, times columns [column_begin,
// column_begin + columns), all of whole blocks of 32.
struct QuantizeTile {
  const float* x = nullptr;  // row r, column c: x[(r - row_begin) * x_stride + c - column_begin]
  int64_t x_stride = 0;
  int64_t row_begin = 0;
  int64_t rows = 0;
  int64_t column_begin = 0;
  int64_t columns = 0;
  int64_t k = 0;              // columns of the whole rows
  void* quantized = nullptr;  // of all rows: quantized_rows_bytes(.., k), 64-byte aligned
  // failed[r] becomes 1 where row r holds a value that is not finite.
  uint8_t* failed = nullptr;
};

using RunFormat = void (*)(const RawGemm&);

struct QuantizedFormatKernels {
  RunFormat q4_0, q4_1, q5_0, q5_1, q8_0, q4_k, q5_k, q6_k;
};

struct FloatFormatKernels {
  RunFormat f32, f16, bf16;
};

using QuantizeTileKernel = void (*)(const QuantizeTile& tile);

struct ActivationKernels {
  bool (*quantize_row)(const float* x, int64_t k, int64_t row, void* quantized);
};

// Scratch: first the unpacked part of one or two panels, then f32 sums: three times [rows rounded up][16], for two
// panels or for the scalar reference's super-blocks.
inline constexpr size_t kUnpackedBytes = 32 * 1024;
inline constexpr int64_t kSumRowsMultiple = 4;

// Scratch of the AMX kernels, which take 128 rows and 8 panels at a time, in parts of 8 blocks of k: the part's weights
// (at most 5760 bytes a panel) and integer sums (at most two tiles of 1 KiB a block); then, for every 16 rows, the
// part's activations and the f32 sums of the panels. 165 KiB for 128 rows and more.
inline constexpr int kAmxTileRows = 16;
inline constexpr int64_t kAmxChunkRows = 128;
inline constexpr int64_t kAmxGroupPanels = 8;
inline constexpr int64_t kAmxPartBlocks = 8;
inline constexpr int64_t kAmxRowTileBytes = 640;
inline constexpr int64_t kAmxWeightBytes = kAmxGroupPanels * 5760;
inline constexpr int64_t kAmxIntegerBytes = kAmxPartBlocks * 2 * 1024;
inline constexpr int64_t kAmxBytesOfATile = kAmxPartBlocks * kAmxRowTileBytes + kAmxGroupPanels * 1024;

// Rows that one pass of the kernels for few rows takes.
inline constexpr int64_t kFewRowsAtOnce = 8;

// Where a set has two paths, the first table chooses by the number of rows; the others hold one path for all rows.
extern const QuantizedFormatKernels kQuantizedScalar;
extern const QuantizedFormatKernels kQuantizedAvx2;
extern const QuantizedFormatKernels kQuantizedAvx2Tiles;
extern const QuantizedFormatKernels kQuantizedAvx2Few;
extern const QuantizedFormatKernels kQuantizedAvxVnni;
extern const QuantizedFormatKernels kQuantizedAvxVnniTiles;
extern const QuantizedFormatKernels kQuantizedAvxVnniFew;
extern const QuantizedFormatKernels kQuantizedVnni;
extern const QuantizedFormatKernels kQuantizedVnniTiles;
extern const QuantizedFormatKernels kQuantizedVnniFew;
extern const QuantizedFormatKernels kQuantizedAmx;
extern const QuantizedFormatKernels kQuantizedAmxTiles;
extern const FloatFormatKernels kFloatScalar;
extern const FloatFormatKernels kFloatAvx2;
extern const FloatFormatKernels kFloatAvx512;
extern const ActivationKernels kActivationsScalar;
extern const ActivationKernels kActivationsAvx2;
extern const QuantizeTileKernel kQuantizeTileScalar;
extern const QuantizeTileKernel kQuantizeTileAvx2;
extern const QuantizeTileKernel kQuantizeTileAvx512;

// The parts of pruning.h, where their contracts stand.
void run_rough_q8_0_avx2(const RawGemm& g);
// Of the panel's 16 columns: |d r|^2, and the sum of d^2.
void rough_norms_q8_0_avx2(const uint8_t* panel, int64_t blocks, float* rest, float* scales);
// The columns of n with not (fma(row_bound, bounds, rough) < floor), ascending; returns their number.
int rough_reaching_avx2(const float* rough, const float* bounds, float row_bound, float floor, int64_t n,
                        int32_t* columns);

}  // namespace batchwright

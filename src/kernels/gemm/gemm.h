// Matrix products of activations with packed weights: out[row][n] = sum over k of activation[row][k] * weight[n][k].
//
// The canonical order (docs/numerics.md, kNumericsVersion) - every instruction set gives these bits:
//
// Quantised weights. A row of activations is int8 in blocks of 32 along k: amax is the largest absolute value of the
// block; d_a = amax / 127, q = clamp(rne(x * (127 / amax)), -127, 127); amax < 2^-100 gives d_a = 0 and q = 0. A
// non-finite value makes the whole row (or its blocks that hold one, see GemmKernels) zeros and is reported. With isum
// the exact integer sum of q * w over a block (w without its offset: w - 8, w - 16, w - 32 for the symmetric formats),
// asum that of q:
//   Q4_0, Q5_0, Q8_0   acc = fma(f32(isum), d_w * d_a, acc)
//   Q4_1, Q5_1         the same with w unsigned, then acc = fma(m_w, d_a * f32(asum), acc)
//   Q4_K, Q5_K         over the 8 blocks of a super-block, from s = u = 0:
//                        s = fma(d_a, f32(scale * isum), s);  u = fma(f32(min), d_a * f32(asum), u)
//                      then acc = fma(d, s, acc), acc = fma(-dmin, u, acc)
//   Q6_K               s = fma(d_a, f32(scale_0 * isum_0 + scale_1 * isum_1), s) with the two halves of 16 of a block,
//                      then acc = fma(d, s, acc)
// Blocks ascend in k, one accumulator an output, from acc = +0. d_w, m_w, d, dmin are f32 of the stored f16.
//
// F32, F16, BF16 weights: activations are f32; acc = fma(f32(w), x, acc), ascending k, from +0.
//
// Last, where there is a bias: out = acc + bias.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/aligned_buffer.h"
#include "batchwright/options.h"
#include "batchwright/status.h"
#include "kernels/gemm/format_kernels.h"
#include "tensor/element_type.h"

namespace batchwright {

// Outputs that lie together in a panel: 2 AVX2 registers, one AVX-512 register or one AMX row of 4 consecutive k.
inline constexpr int kPanelColumns = 16;

// Weights [n][k] in the one packed layout of all x86 sets: panels of 16 outputs, each panel its blocks in ascending k
// (layout.h describes a block of each format). The last panel is filled up with zero weights.
struct PackedWeights {
  ElementType type = ElementType::kF32;
  int64_t n = 0;
  int64_t k = 0;
  std::span<uint8_t> data;
  AlignedBuffer<uint8_t> own;  // empty where the data lie in memory of somebody else

  int64_t panels() const { return (n + kPanelColumns - 1) / kPanelColumns; }
};

// Bytes of one packed panel of k inputs.
size_t packed_panel_bytes(ElementType type, int64_t k);

// Bytes of a packed matrix. kInvalidData where k does not fit the format's block.
Result<size_t> packed_weights_bytes(ElementType type, int64_t n, int64_t k);

// An empty PackedWeights in `memory` (zeroed, 64-byte aligned, outliving it, of packed_weights_bytes), or in memory of
// its own where that is empty.
Result<PackedWeights> make_packed_weights(ElementType type, int64_t n, int64_t k, std::span<uint8_t> memory = {});

// Packs panels [panel_begin, panel_end) from `rows`: the first byte of row panel_begin * 16 in the file's own layout.
// Thread-safe for disjoint ranges.
void pack_panels(PackedWeights& weights, const std::byte* rows, int64_t panel_begin, int64_t panel_end);

// Row `row` of the weights as f32 (k values), the bits of dequantize_row: the look-up of tied embeddings.
void unpack_row(const PackedWeights& weights, int64_t row, float* out);

// True where the weights' activations are int8 blocks, false where they are f32.
bool uses_quantized_activations(ElementType type);

struct GemmArgs {
  const PackedWeights* weights = nullptr;
  int64_t panel_begin = 0;
  int64_t panel_end = 0;
  // rows x k: what quantize_row wrote, or f32 with `k` floats a row (see uses_quantized_activations).
  const void* activations = nullptr;
  int64_t rows = 0;
  // n values or null.
  const float* bias = nullptr;
  // out[row * out_stride + column - out_first_column]; columns at or beyond n are not written.
  float* out = nullptr;
  int64_t out_stride = 0;
  int64_t out_first_column = 0;
  // At least gemm_scratch_bytes(rows, k), 64-byte aligned, of one worker alone.
  void* scratch = nullptr;
};

size_t gemm_scratch_bytes(int64_t rows, int64_t k);

// Bytes of `rows` quantised rows of k values; rows are padded to whole strips.
size_t quantized_rows_bytes(int64_t rows, int64_t k);

struct GemmKernels {
  Isa isa;
  // Panels that the kernels like to take at once where there are many rows: ranges of whole such groups are faster.
  int64_t panels_at_once;
  // Computes panels [panel_begin, panel_end) for all rows. The result of an output never depends on the ranges.
  void (*run)(const GemmArgs& args);
  // Writes row `row` of `x` (k values, k a multiple of 32) into `quantized` (of quantized_rows_bytes(rows, k), 64-byte
  // aligned). Rows of one strip may be written by different threads. False: the row holds a non-finite value; it is
  // stored as zeros.
  bool (*quantize_row)(const float* x, int64_t k, int64_t row, void* quantized);
  // The same for a part of the columns of several rows; tiles of different strips or columns may be written by
  // different threads. Of a row that holds a non-finite value, the blocks that hold one are stored as zeros. Fills up
  // the last strip with zeros.
  void (*quantize_tile)(const QuantizeTile& tile);
  // Zeroes what lies behind row `rows` in the last strip.
  void (*pad_rows)(int64_t rows, int64_t k, void* quantized);
};

// The kernels of an instruction set; where an operation has none of its own, those of the set that it is built on.
const GemmKernels& gemm_kernels(Isa isa);

// Every set for which there are kernels of its own, for tests and benchmarks.
std::span<const GemmKernels> all_gemm_kernels();

// The paths between which a set chooses by the number of rows, each of them for any number: for the tests that compare
// them and the benchmarks that say where to change over.
struct GemmPath {
  const char* name;
  GemmKernels kernels;
};
std::span<const GemmPath> gemm_paths();

}  // namespace batchwright

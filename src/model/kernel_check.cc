#include "model/kernel_check.h"

#include <fmt/format.h>

#include <array>
#include <atomic>
#include <cstring>
#include <limits>
#include <vector>

#include "base/aligned_buffer.h"
#include "kernels/attention/attention.h"
#include "kernels/gemm/pruning.h"
#include "kernels/rows/rows.h"
#include "platform/cpu.h"
#include "tensor/quantize.h"

namespace batchwright {
namespace {

constexpr int64_t kRows = 5;
constexpr int64_t kOutputs = 24;
constexpr int64_t kInputs = 512;

// Values of several magnitudes and both signs, the same everywhere.
std::vector<float> known_input(size_t n) {
  std::vector<float> values(n);
  uint32_t state = 0x9e3779b9U;
  for (float& value : values) {
    state = state * 1664525U + 1013904223U;
    const float unit = static_cast<float>(static_cast<int32_t>(state >> 8) - (1 << 23)) / static_cast<float>(1 << 23);
    value = (state & 15U) == 0 ? unit * 8.0F : unit;
  }
  return values;
}

bool same(const std::vector<float>& a, const std::vector<float>& b) {
  return std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

std::vector<float> product(const GemmKernels& kernels, const PackedWeights& weights, const std::vector<float>& x) {
  std::vector<float> out(kRows * kOutputs);
  AlignedBuffer<std::byte> quantized(quantized_rows_bytes(kRows, kInputs));
  AlignedBuffer<std::byte> scratch(gemm_scratch_bytes(kRows, kInputs));
  GemmArgs args;
  args.weights = &weights;
  args.panel_end = weights.panels();
  args.activations = x.data();
  if (uses_quantized_activations(weights.type)) {
    for (int64_t row = 0; row < kRows; ++row) {
      kernels.quantize_row(x.data() + row * kInputs, kInputs, row, quantized.data());
    }
    kernels.pad_rows(kRows, kInputs, quantized.data());
    args.activations = quantized.data();
  }
  args.rows = kRows;
  args.out = out.data();
  args.out_stride = kOutputs;
  args.scratch = scratch.data();
  kernels.run(args);
  return out;
}

// By rows and by tiles; what the products show of the one is then true of the other.
bool quantizes_alike(const GemmKernels& kernels, const std::vector<float>& x) {
  AlignedBuffer<std::byte> by_rows(quantized_rows_bytes(kRows, kInputs));
  AlignedBuffer<std::byte> by_tiles(by_rows.size());
  for (int64_t row = 0; row < kRows; ++row) {
    kernels.quantize_row(x.data() + row * kInputs, kInputs, row, by_rows.data());
  }
  kernels.pad_rows(kRows, kInputs, by_rows.data());
  std::array<uint8_t, kRows> failed{};
  kernels.quantize_tile({.x = x.data(),
                         .x_stride = kInputs,
                         .rows = kRows,
                         .columns = kInputs,
                         .k = kInputs,
                         .quantized = by_tiles.data(),
                         .failed = failed.data()});
  return std::memcmp(by_rows.data(), by_tiles.data(), by_rows.size()) == 0;
}

// The pruned argmax of each row finds what all products show.
bool prunes_rightly(const PruningKernels& pruning, Isa isa, const PackedWeights& weights, const std::vector<float>& x,
                    const std::vector<float>& products) {
  const GemmKernels& kernels = gemm_kernels(isa);
  AlignedBuffer<std::byte> quantized(quantized_rows_bytes(kRows, kInputs));
  AlignedBuffer<std::byte> row(quantized_rows_bytes(1, kInputs));
  AlignedBuffer<std::byte> scratch(gemm_scratch_bytes(kRows, kInputs));
  std::array<float, kRows> row_bounds{};
  std::array<std::atomic<float>, kRows> floors;
  std::array<ArgMax, kRows> best;
  for (int64_t r = 0; r < kRows; ++r) {
    const auto i = static_cast<size_t>(r);
    kernels.quantize_row(x.data() + r * kInputs, kInputs, r, quantized.data());
    row_bounds[i] = pruning.row_bound(quantized.data(), kInputs, r);
    floors[i].store(-std::numeric_limits<float>::infinity());
    best[i] = {-std::numeric_limits<float>::infinity(), kOutputs};
  }
  kernels.pad_rows(kRows, kInputs, quantized.data());
  std::vector<float> column_bounds(static_cast<size_t>(weights.panels() * kPanelColumns));
  pruning.column_bounds(weights, 0, weights.panels(), column_bounds.data());
  std::vector<float> out((kRows + 1) * kOutputs);
  GemmArgs args;
  args.weights = &weights;
  args.panel_end = weights.panels();
  args.activations = quantized.data();
  args.rows = kRows;
  args.out = out.data();
  args.out_stride = kOutputs;
  args.scratch = scratch.data();
  pruning.argmax({.gemm = args,
                  .column_bounds = column_bounds.data(),
                  .row_bounds = row_bounds.data(),
                  .floors = floors.data(),
                  .row = row.data(),
                  .best = best.data()});
  for (size_t r = 0; r < kRows; ++r) {
    const ArgMax all = row_kernels(Isa::kScalar).argmax(products.data() + r * kOutputs, kOutputs);
    if (best[r].index != all.index || std::memcmp(&best[r].value, &all.value, sizeof all.value) != 0) return false;
  }
  return true;
}

std::vector<float> attend(const AttentionKernels& kernels, int dim, int heads, const std::vector<float>& x) {
  constexpr int kPositions = 70;
  const size_t element_count = kv_head_block_elements(dim);
  AlignedBuffer<uint16_t> blocks(2 * element_count);
  for (int block = 0; block < 2; ++block) {
    const float* k = x.data() + block * kBlockPositions;  // a position's values begin one behind those before
    kernels.store(KvFormat::kF16, k, k + dim, 1, std::min(kPositions - block * kBlockPositions, kBlockPositions), dim,
                  0, blocks.data() + static_cast<size_t>(block) * element_count);
  }
  const void* block_list[] = {blocks.data(), blocks.data() + element_count};
  const int32_t positions[] = {kPositions - 1, 3};
  const int32_t rows[] = {0, 1};
  std::vector<float> state(2 * static_cast<size_t>(heads) * attention_state_floats(dim), 0.0F);
  AlignedBuffer<std::byte> scratch(attention_scratch_bytes());
  AttentionArgs args;
  args.dim = dim;
  args.scale = 0.125F;
  args.rows = rows;
  args.positions = positions;
  args.head_count = heads;
  args.q = x.data();
  args.q_stride = int64_t{heads} * dim;
  args.blocks = block_list;
  args.state = state.data();
  args.state_heads = heads;
  args.scratch = scratch.data();
  kernels.run(args);
  std::vector<float> out(2 * static_cast<size_t>(heads) * static_cast<size_t>(dim));
  kernels.finish(state.data(), 2 * heads, dim, out.data());
  return out;
}

std::vector<float> row_operations(const RowKernels& kernels, const std::vector<float>& x) {
  const auto n = static_cast<int64_t>(x.size() / 2);
  const float* y = x.data() + n;
  std::vector<float> out(static_cast<size_t>(3 * n));
  kernels.rms_norm(x.data(), y, 1e-6F, n, out.data());
  kernels.silu_mul(x.data(), y, n, out.data() + n);
  kernels.gelu_mul(x.data(), y, n, out.data() + 2 * n);
  kernels.rope(out.data(), x.data(), y, 64);
  kernels.add(out.data(), y, n);
  const ArgMax best = kernels.argmax(x.data(), n);
  out.insert(out.end(),
             {best.value, static_cast<float>(best.index), kernels.max(y, n), kernels.sum_exp(x.data(), best.value, n)});
  return out;
}

}  // namespace

Status check_kernels(const ModelShape& shape, std::span<const ElementType> weight_types, Isa isa) {
  const FloatEnvironment environment;
  const auto differs = [&](const std::string& kernel) {
    return internal_error(
        fmt::format("the {} kernel of {} does not give the reference's bits on this machine; "
                    "--isa scalar avoids it",
                    kernel, isa_name(isa)));
  };
  const std::vector<float> x = known_input(static_cast<size_t>(kOutputs * kInputs));
  if (!quantizes_alike(gemm_kernels(isa), x)) return differs("quantising");
  for (const ElementType type : weight_types) {
    auto packed = make_packed_weights(type, kOutputs, kInputs);
    if (!packed.ok()) return packed.status();
    const auto bytes = row_bytes(type, kInputs);
    if (!bytes.ok()) return bytes.status();
    std::vector<std::byte> rows(static_cast<size_t>(kOutputs) * static_cast<size_t>(*bytes));
    for (int64_t row = 0; row < kOutputs; ++row) {
      quantize_row(type, x.data() + row * kInputs, kInputs, rows.data() + static_cast<size_t>(row) * *bytes);
    }
    pack_panels(*packed, rows.data(), 0, packed->panels());
    const std::vector<float> expected = product(gemm_kernels(Isa::kScalar), *packed, x);
    bool right = same(product(gemm_kernels(isa), *packed, x), expected);
    for (const GemmPath& path : gemm_paths()) {
      if (includes(isa, path.kernels.isa)) right = right && same(product(path.kernels, *packed, x), expected);
    }
    const PruningKernels* const pruning = pruning_kernels(isa, type, kInputs);
    if (pruning != nullptr) right = right && prunes_rightly(*pruning, isa, *packed, x, expected);
    if (!right) return differs("matrix product (" + std::string(element_type_name(type)) + ")");
  }
  const int heads = std::min(shape.heads_per_kv(), 8);
  if (!same(attend(attention_kernels(isa), shape.head_dim, heads, x),
            attend(attention_kernels(Isa::kScalar), shape.head_dim, heads, x))) {
    return differs("attention");
  }
  if (!same(row_operations(row_kernels(isa), x), row_operations(row_kernels(Isa::kScalar), x))) return differs("row");
  return {};
}

}  // namespace batchwright

// Speed of the matrix products: every format on every instruction set of the machine, one thread. Besides its own
// figure each benchmark reports a peak, whose slices alternate with the kernel's (machines are noisy): for quantised
// weights maddubs+madd, or vpdpbusd for AVX-VNNI; for the others fma of the set. `share` is the median of the ratios of
// neighbouring slices.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "kernels/gemm/gemm.h"
#include "kernels/peaks/bench_slices.h"
#include "kernels/peaks/loops.h"
#include "platform/cpu.h"
#include "tensor/quantize.h"

namespace batchwright {
namespace {

const PeakLoop* yardstick(const GemmKernels& kernels, ElementType type) {
  if (!machine_has(Isa::kAvx2)) return nullptr;
  if (is_quantized(type)) return kernels.isa == Isa::kAvxVnni ? &kPeakAvxVnni : &kPeakMaddubsMadd;
  return includes(kernels.isa, Isa::kAvx512) ? &kPeakFma512 : &kPeakFma256;
}

PackedWeights random_weights(ElementType type, int64_t n, int64_t k) {
  PackedWeights weights = std::move(make_packed_weights(type, n, k)).value();
  const size_t bytes = row_bytes(type, k).value();
  std::vector<std::byte> rows(bytes * static_cast<size_t>(n));
  std::mt19937 random(1);
  std::normal_distribution<float> normal(0, 0.05F);
  std::vector<float> values(static_cast<size_t>(k));
  for (int64_t i = 0; i < n; ++i) {
    if (i < 32) {
      for (float& value : values) value = normal(random);
      quantize_row(type, values.data(), k, rows.data() + static_cast<size_t>(i) * bytes);
    } else {
      std::copy_n(rows.begin() + static_cast<ptrdiff_t>(static_cast<size_t>(i % 32) * bytes), bytes,
                  rows.begin() + static_cast<ptrdiff_t>(static_cast<size_t>(i) * bytes));
    }
  }
  pack_panels(weights, rows.data(), 0, weights.panels());
  return weights;
}

void run(benchmark::State& state, const GemmKernels& kernels, ElementType type, int64_t n, int64_t k, int64_t rows) {
  const PackedWeights weights = random_weights(type, n, k);
  std::vector<float> x(static_cast<size_t>(rows * k));
  std::mt19937 random(2);
  std::normal_distribution<float> normal;
  for (float& value : x) value = normal(random);
  AlignedBuffer<uint8_t> quantized(uses_quantized_activations(type) ? quantized_rows_bytes(rows, k) : 0);
  if (quantized.size() != 0) {
    for (int64_t r = 0; r < rows; ++r) kernels.quantize_row(&x[static_cast<size_t>(r * k)], k, r, quantized.data());
    kernels.pad_rows(rows, k, quantized.data());
  }
  AlignedBuffer<uint8_t> scratch(gemm_scratch_bytes(rows, k));
  std::vector<float> out(static_cast<size_t>(rows * n));
  const GemmArgs args{.weights = &weights,
                      .panel_begin = 0,
                      .panel_end = weights.panels(),
                      .activations = quantized.size() != 0 ? static_cast<const void*>(quantized.data()) : x.data(),
                      .rows = rows,
                      .bias = nullptr,
                      .out = out.data(),
                      .out_stride = n,
                      .out_first_column = 0,
                      .scratch = scratch.data()};
  const double work = static_cast<double>(rows * n * k) / 1e9;
  const PeakLoop* loop = yardstick(kernels, type);
  std::vector<double> speeds;
  std::vector<double> peaks;
  std::vector<double> shares;
  kernels.run(args);
  for (auto _ : state) {
    const double before = loop != nullptr ? peak_slice(*loop) : 0;
    const double start = thread_seconds();
    kernels.run(args);
    const double seconds = thread_seconds() - start;
    const double after = loop != nullptr ? peak_slice(*loop) : 0;
    state.SetIterationTime(seconds);
    speeds.push_back(work / seconds);
    if (loop == nullptr) continue;
    peaks.push_back((before + after) / 2);
    shares.push_back(speeds.back() / peaks.back());
  }
  state.counters["best"] = *std::max_element(speeds.begin(), speeds.end());
  state.counters["G_mac/s"] = median(speeds);
  state.counters["peak"] = median(peaks);
  state.counters["share"] = median(shares);
}

void pack(benchmark::State& state, ElementType type) {
  constexpr int64_t kN = 1024;
  constexpr int64_t kK = 2048;
  PackedWeights weights = random_weights(type, kN, kK);
  const std::vector<std::byte> rows(row_bytes(type, kK).value() * kN, std::byte{0x31});
  for (auto _ : state) pack_panels(weights, rows.data(), 0, weights.panels());
  state.counters["G_weights/s"] =
      benchmark::Counter(static_cast<double>(kN * kK) / 1e9, benchmark::Counter::kIsIterationInvariantRate);
}

void unpack(benchmark::State& state, ElementType type) {
  constexpr int64_t kK = 2048;
  const PackedWeights weights = random_weights(type, 64, kK);
  std::vector<float> out(kK);
  int64_t row = 0;
  for (auto _ : state) {
    unpack_row(weights, row++ % 64, out.data());
    benchmark::DoNotOptimize(out.data());
  }
  state.counters["G_weights/s"] =
      benchmark::Counter(static_cast<double>(kK) / 1e9, benchmark::Counter::kIsIterationInvariantRate);
}

void quantize(benchmark::State& state, const GemmKernels& kernels) {
  constexpr int64_t kK = 4096;
  std::vector<float> x(kK);
  std::mt19937 random(2);
  std::normal_distribution<float> normal;
  for (float& value : x) value = normal(random);
  AlignedBuffer<uint8_t> quantized(quantized_rows_bytes(1, kK));
  for (auto _ : state) benchmark::DoNotOptimize(kernels.quantize_row(x.data(), kK, 0, quantized.data()));
  state.counters["G_values/s"] =
      benchmark::Counter(static_cast<double>(kK) / 1e9, benchmark::Counter::kIsIterationInvariantRate);
}

void register_products(const ElementTypeInfo& info, const char* set, const GemmKernels& kernels,
                       std::initializer_list<int64_t> row_counts) {
  for (const auto& [n, k] : {std::pair<int64_t, int64_t>{4864, 896}, {896, 4864}}) {
    if (k % info.block_elements != 0) continue;
    for (const int64_t rows : row_counts) {
      const std::string name = std::string(info.name) + "/" + set + "/" + std::to_string(n) + "x" + std::to_string(k) +
                               "/rows:" + std::to_string(rows);
      benchmark::RegisterBenchmark(name.c_str(),
                                   [&kernels, type = info.type, n = n, k = k, rows](benchmark::State& state) {
                                     run(state, kernels, type, n, k, rows);
                                   })
          ->UseManualTime()
          ->MinTime(0.1)
          ->Unit(benchmark::kMicrosecond);
    }
  }
}

// Type first, so that --benchmark_filter='Q5_0/avx2' picks what one wants.
const bool kRegistered = [] {
  for (const GemmKernels& kernels : all_gemm_kernels()) {
    if (!machine_has(kernels.isa)) continue;
    benchmark::RegisterBenchmark((std::string("quantize_row/") + isa_name(kernels.isa)).c_str(),
                                 [&kernels](benchmark::State& state) { quantize(state, kernels); });
  }
  for (const ElementTypeInfo& info : kElementTypes) {
    benchmark::RegisterBenchmark(("pack/" + std::string(info.name)).c_str(),
                                 [type = info.type](benchmark::State& state) { pack(state, type); });
    benchmark::RegisterBenchmark(("unpack_row/" + std::string(info.name)).c_str(),
                                 [type = info.type](benchmark::State& state) { unpack(state, type); });
    for (const GemmKernels& kernels : all_gemm_kernels()) {
      if (!machine_has(kernels.isa)) continue;
      register_products(info, isa_name(kernels.isa), kernels, {1, 4, 16, 64, 256});
    }
    for (const GemmPath& path : gemm_paths()) {
      if (!is_quantized(info.type) || !machine_has(path.kernels.isa)) continue;
      register_products(info, path.name, path.kernels, {1, 2, 3, 4, 6, 8, 12, 16, 24, 32});
    }
  }
  return true;
}();

}  // namespace
}  // namespace batchwright

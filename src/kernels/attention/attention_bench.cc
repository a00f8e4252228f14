// Speed of attention on one thread, beside a peak whose slices alternate with the kernel's (machines are noisy):
//   shared/...  many queries over the same pages, in G multiply-adds/s beside fma of the set (`share`);
//   prompt/...  the causal triangle of a prompt's own positions, the same way (masked work is not counted);
//   decode/...  one row of heads over pages of its own from memory, in GB/s beside a plain read of the same pages.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "base/aligned_buffer.h"
#include "kernels/attention/attention.h"
#include "kernels/peaks/bench_slices.h"
#include "kernels/peaks/loops.h"
#include "platform/cpu.h"
#include "tensor/half.h"

namespace batchwright {
namespace {

double fma_slice(Isa isa) {
  return machine_has(Isa::kAvx2) ? peak_slice(includes(isa, Isa::kAvx512) ? kPeakFma512 : kPeakFma256) : 0;
}

// GB/s of reading `pages` once.
double read_slice(const AlignedBuffer<uint8_t>& pages) {
  const auto* words = reinterpret_cast<const uint64_t*>(pages.data());
  const size_t count = pages.size() / sizeof(uint64_t);
  uint64_t sums[16] = {};
  const double start = thread_seconds();
  for (size_t i = 0; i + 16 <= count; i += 16) {
    for (size_t k = 0; k < 16; ++k) sums[k] += words[i + k];
  }
  const double seconds = thread_seconds() - start;
  benchmark::DoNotOptimize(sums);
  return static_cast<double>(pages.size()) / seconds / 1e9;
}

struct Case {
  int heads;
  int dim;
  int rows;
  int first_position;
  KvFormat format;
};

// Times runs of `kernel` between slices of `peak`; `work` in G units.
template <class Kernel, class Peak>
void measure(benchmark::State& state, double work, const Kernel& kernel, const Peak& peak) {
  std::vector<double> speeds;
  std::vector<double> peaks;
  std::vector<double> shares;
  kernel();
  for (auto _ : state) {
    const double before = peak();
    const double start = thread_seconds();
    kernel();
    const double seconds = thread_seconds() - start;
    const double around = (before + peak()) / 2;
    state.SetIterationTime(seconds);
    speeds.push_back(work / seconds);
    peaks.push_back(around);
    shares.push_back(around > 0 ? speeds.back() / around : 0);
  }
  state.counters["best"] = *std::max_element(speeds.begin(), speeds.end());
  state.counters["G/s"] = median(speeds);
  state.counters["peak"] = median(peaks);
  state.counters["share"] = median(shares);
}

void fill_pages(AlignedBuffer<uint8_t>& pages, KvFormat format) {
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  std::vector<float> values(4096);
  for (float& x : values) x = normal(random);
  for (size_t i = 0; i * kv_element_bytes(format) < pages.size(); ++i) {
    const float x = values[(i * 7) % values.size()];
    if (format == KvFormat::kF16) {
      reinterpret_cast<uint16_t*>(pages.data())[i] = f32_to_f16(x);
    } else {
      reinterpret_cast<float*>(pages.data())[i] = x;
    }
  }
}

struct Group {
  std::vector<float> q;
  std::vector<float> state;
  std::vector<int32_t> rows;
  std::vector<int32_t> positions;
  AlignedBuffer<uint8_t> scratch;
  AttentionArgs args;

  explicit Group(const Case& shape)
      : q(static_cast<size_t>(shape.rows * shape.heads * shape.dim)),
        state(static_cast<size_t>(shape.rows * shape.heads) * attention_state_floats(shape.dim)),
        rows(static_cast<size_t>(shape.rows)),
        positions(rows.size()),
        scratch(attention_scratch_bytes()) {
    std::mt19937 random(2);
    std::normal_distribution<float> normal;
    for (float& x : q) x = normal(random);
    std::iota(rows.begin(), rows.end(), 0);
    std::iota(positions.begin(), positions.end(), shape.first_position);
    args.format = shape.format;
    args.dim = shape.dim;
    args.scale = 0.125F;
    args.rows = rows;
    args.positions = positions.data();
    args.head_count = shape.heads;
    args.q = q.data();
    args.q_stride = int64_t{shape.heads} * shape.dim;
    args.state = state.data();
    args.state_heads = shape.heads;
    args.scratch = scratch.data();
  }
};

void run_compute(benchmark::State& state, const AttentionKernels& kernels, const Case& shape, int positions) {
  const int block_count = (positions + kBlockPositions - 1) / kBlockPositions;
  const size_t block_bytes = kv_head_block_bytes(shape.dim, shape.format);
  AlignedBuffer<uint8_t> pages(block_bytes * static_cast<size_t>(block_count));
  fill_pages(pages, shape.format);
  std::vector<const void*> blocks;
  for (size_t i = 0; i < pages.size(); i += block_bytes) blocks.push_back(pages.data() + i);
  Group group(shape);
  group.args.blocks = blocks;
  double visible = 0;
  for (const int32_t position : group.positions) visible += std::min(position + 1, positions);
  const double work = visible * shape.heads * shape.dim * 2 / 1e9;
  const auto kernel = [&] {
    std::fill(group.state.begin(), group.state.end(), 0.0F);
    kernels.run(group.args);
  };
  measure(state, work, kernel, [&] { return fma_slice(kernels.isa); });
}

void run_decode(benchmark::State& state, const AttentionKernels& kernels, const Case& shape, int positions) {
  constexpr size_t kBytes = size_t{128} << 20;
  const size_t blocks_of_sequence = static_cast<size_t>(positions) / kBlockPositions;
  AlignedBuffer<uint8_t> pages(kBytes);
  fill_pages(pages, shape.format);
  const size_t block_bytes = kv_head_block_bytes(shape.dim, shape.format);
  std::vector<const void*> blocks;
  for (size_t i = 0; i < pages.size(); i += block_bytes) blocks.push_back(pages.data() + i);
  Group group(shape);
  const auto kernel = [&] {
    for (size_t i = 0; i < blocks.size(); i += blocks_of_sequence) {
      std::fill(group.state.begin(), group.state.end(), 0.0F);
      group.args.blocks = std::span(blocks).subspan(i, blocks_of_sequence);
      kernels.run(group.args);
    }
  };
  measure(state, static_cast<double>(kBytes) / 1e9, kernel, [&] { return read_slice(pages); });
}

const bool kRegistered = [] {
  for (const AttentionKernels& kernels : all_attention_kernels()) {
    if (!machine_has(kernels.isa)) continue;
    const auto add = [&kernels](const std::string& name, auto run) {
      benchmark::RegisterBenchmark((name + "/" + isa_name(kernels.isa)).c_str(), run)
          ->UseManualTime()
          ->MinTime(0.2)
          ->Unit(benchmark::kMicrosecond);
    };
    for (const KvFormat format : {KvFormat::kF16, KvFormat::kF32}) {
      const std::string type = format == KvFormat::kF16 ? "f16" : "f32";
      for (const auto& [heads, dim] : {std::pair{7, 64}, {8, 128}, {4, 256}}) {
        const std::string shape = type + "/heads:" + std::to_string(heads) + "/dim:" + std::to_string(dim);
        for (const auto& [rows, positions] : {std::pair{1, 1024}, {4, 1024}, {64, 1024}, {64, 16384}}) {
          add("shared/" + shape + "/rows:" + std::to_string(rows) + "/positions:" + std::to_string(positions),
              [&kernels, c = Case{heads, dim, rows, positions, format}, n = positions](benchmark::State& state) {
                run_compute(state, kernels, c, n);
              });
        }
        add("prompt/" + shape + "/rows:256", [&kernels, c = Case{heads, dim, 256, 0, format}](benchmark::State& state) {
          run_compute(state, kernels, c, 256);
        });
        for (const auto& [query_heads, positions] : {std::pair{1, 1024}, {1, 16384}, {heads, 1024}}) {
          add("decode/" + type + "/heads:" + std::to_string(query_heads) + "/dim:" + std::to_string(dim) +
                  "/positions:" + std::to_string(positions),
              [&kernels, c = Case{query_heads, dim, 1, 1 << 20, format}, n = positions](benchmark::State& state) {
                run_decode(state, kernels, c, n);
              });
        }
      }
    }
  }
  return true;
}();

}  // namespace
}  // namespace batchwright

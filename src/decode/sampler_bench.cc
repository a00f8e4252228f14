#include <benchmark/benchmark.h>

#include <random>
#include <vector>

#include "decode/sampler.h"

namespace batchwright {
namespace {

constexpr int kVocabulary = 262144;

void run_sampler(benchmark::State& state, float temperature, int top_k, float top_p, float spread) {
  std::mt19937_64 random(1);
  std::normal_distribution<float> normal(0.0F, spread);
  std::vector<float> logits(kVocabulary);
  for (float& x : logits) x = normal(random);
  SamplingParams params;
  params.temperature = temperature;
  params.top_k = top_k;
  params.top_p = top_p;
  const Sampler sampler(params, 0, {}, kVocabulary, -1, all_row_kernels().back());
  SamplerScratch scratch;
  std::vector<float> row;
  int position = 0;
  for (auto _ : state) {
    row = logits;
    benchmark::DoNotOptimize(sampler.sample(row, position++, {}, scratch));
  }
}

BENCHMARK_CAPTURE(run_sampler, unfiltered, 1.0F, 0, 1.0F, 3.0F)->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(run_sampler, top_k_40, 1.0F, 40, 1.0F, 3.0F)->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(run_sampler, top_p_0_95, 1.0F, 0, 0.95F, 3.0F)->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(run_sampler, top_p_0_95_flat, 1.0F, 0, 0.95F, 0.1F)->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(run_sampler, greedy, 0.0F, 0, 1.0F, 3.0F)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace batchwright

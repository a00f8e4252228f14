// Speed of the row operations on one thread, in elements a second; the rows lie in the nearest caches.
#include <benchmark/benchmark.h>

#include <random>
#include <string>
#include <vector>

#include "kernels/rows/rows.h"
#include "platform/cpu.h"

namespace batchwright {
namespace {

constexpr int64_t kElements = 4096;

struct Buffers {
  std::vector<float> x = std::vector<float>(kElements);
  std::vector<float> y = std::vector<float>(kElements);
  std::vector<float> out = std::vector<float>(kElements);

  Buffers() {
    std::mt19937 random(1);
    std::normal_distribution<float> normal;
    for (float& v : x) v = normal(random);
    for (float& v : y) v = normal(random);
  }
};

template <class Operation>
void add(const RowKernels& kernels, const std::string& name, Operation operation) {
  const auto run = [operation](benchmark::State& state) {
    Buffers buffers;
    for (auto _ : state) {
      operation(buffers);
      benchmark::ClobberMemory();
    }
    state.SetItemsProcessed(static_cast<int64_t>(state.iterations()) * kElements);
  };
  benchmark::RegisterBenchmark(("rows/" + name + "/" + isa_name(kernels.isa)).c_str(), run)->MinTime(0.05);
}

const bool kRegistered = [] {
  for (const RowKernels& k : all_row_kernels()) {
    if (!machine_has(k.isa)) continue;
    add(k, "rms_norm", [&k](Buffers& b) { k.rms_norm(b.x.data(), b.y.data(), 1e-6F, kElements, b.out.data()); });
    add(k, "rope", [&k](Buffers& b) {
      for (int64_t i = 0; i < kElements; i += 64) k.rope(b.out.data() + i, b.x.data(), b.y.data(), 64);
    });
    add(k, "add", [&k](Buffers& b) { k.add(b.out.data(), b.x.data(), kElements); });
    add(k, "silu_mul", [&k](Buffers& b) { k.silu_mul(b.x.data(), b.y.data(), kElements, b.out.data()); });
    add(k, "gelu_mul", [&k](Buffers& b) { k.gelu_mul(b.x.data(), b.y.data(), kElements, b.out.data()); });
    add(k, "soft_cap", [&k](Buffers& b) { k.soft_cap(b.x.data(), 30.0F, kElements); });
    add(k, "argmax", [&k](Buffers& b) { benchmark::DoNotOptimize(k.argmax(b.x.data(), kElements)); });
    add(k, "sum_exp", [&k](Buffers& b) { benchmark::DoNotOptimize(k.sum_exp(b.x.data(), 4.0F, kElements)); });
  }
  return true;
}();

}  // namespace
}  // namespace batchwright

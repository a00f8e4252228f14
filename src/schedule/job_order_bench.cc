// From tokens to an order, as a job of a million rows has it.

#include <benchmark/benchmark.h>

#include <cstdint>
#include <vector>

#include "base/random.h"
#include "schedule/job_order.h"

namespace batchwright {
namespace {

// Rows of a system prompt of 640 tokens, one of rows / 100 documents of 512, and a question of 40: all different.
void plan_documents(benchmark::State& state) {
  const auto rows = static_cast<uint32_t>(state.range(0));
  constexpr size_t kSystem = 640;
  constexpr size_t kDocument = 512;
  constexpr size_t kQuestion = 40;
  double tree_bytes = 0;
  double nodes = 0;
  for (auto _ : state) {
    PrefixTreeBuilder builder;
    std::vector<RowWork> work;
    work.reserve(rows);
    std::vector<TokenId> prompt(kSystem + kDocument + kQuestion, 17);
    SplitMix64 random(1);
    for (uint32_t row = 0; row < rows; ++row) {
      const auto document = static_cast<TokenId>(random.below(rows / 100 + 1));
      for (size_t i = 0; i < kDocument; ++i) prompt[kSystem + i] = document + static_cast<TokenId>(i);
      for (size_t i = 0; i < kQuestion; ++i) prompt[kSystem + kDocument + i] = static_cast<TokenId>(row);
      builder.add(prompt);
      work.push_back({static_cast<uint32_t>(prompt.size()), static_cast<uint32_t>(16 + random.below(256))});
    }
    tree_bytes = static_cast<double>(builder.memory_bytes());
    const PrefixTree tree = builder.build();
    nodes = static_cast<double>(tree.nodes.size());
    benchmark::DoNotOptimize(order_rows(tree, work));
  }
  state.counters["bytes_a_row"] = tree_bytes / rows;
  state.counters["nodes"] = nodes;
  state.SetItemsProcessed(state.iterations() * rows);
}

BENCHMARK(plan_documents)->Name("job_order/documents/rows")->Arg(10000)->Arg(1000000)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace batchwright

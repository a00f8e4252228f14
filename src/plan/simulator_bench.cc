// How long it takes to simulate jobs, in rows a second; a million rows are to take seconds.
#include <benchmark/benchmark.h>

#include <vector>

#include "plan/simulator.h"

namespace batchwright {
namespace {

CostModel some_model() {
  CostModel model;
  model.shape.classes = {{0, 24}};
  model.fixed_seconds = 1e-3;
  model.layers = CostCurve({{1, 1e-2}, {64, 5e-2}, {512, 0.4}});
  model.pair_seconds = 1e-9;
  return model;
}

// Arguments: rows, tokens of a prompt, of these common to all, tokens of an answer.
void simulate_job(benchmark::State& state) {
  std::vector<SimulatedRow> rows(static_cast<size_t>(state.range(0)));
  for (SimulatedRow& row : rows) {
    row.prompt_tokens = static_cast<uint32_t>(state.range(1));
    row.common_tokens = row.reused_tokens = static_cast<uint32_t>(state.range(2));
    row.max_tokens = row.answer_tokens = row.answer_runs = static_cast<uint32_t>(state.range(3));
  }
  SimulationOptions options;
  options.page_classes = {{0, 20000}};
  options.page_bytes = {1 << 20};
  const CostModel model = some_model();
  int64_t steps = 0;
  for (auto _ : state) steps += simulate(rows, options, model).steps;
  state.SetItemsProcessed(state.iterations() * state.range(0));
  state.counters["steps"] = static_cast<double>(steps) / static_cast<double>(state.iterations());
}

BENCHMARK(simulate_job)
    ->ArgNames({"rows", "prompt", "common", "answer"})
    ->Args({1000000, 50, 0, 16})
    ->Args({100000, 50, 0, 16})
    ->Args({100000, 400, 300, 16})
    ->Args({10000, 200, 0, 500})
    ->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace batchwright

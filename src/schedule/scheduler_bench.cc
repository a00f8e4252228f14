#include <benchmark/benchmark.h>

#include <span>
#include <utility>
#include <vector>

#include "schedule/scheduler.h"

namespace batchwright {
namespace {

constexpr int kRows = 256;
constexpr int kWindow = 512;
constexpr int kAnswer = 1 << 13;

// Sequences that decode, one row a step each, beside a queue whose head does not fit: all that planning and committing
// a step costs, attention groups included.
class Decoding {
 public:
  // scarce: memory is just enough for all to end, so that each step has to look ahead; otherwise the batch is full.
  Decoding(int shared, int own, bool windowed, bool scarce)
      : cache_(classes(shared, own, windowed, scarce)), scheduler_(options(scarce), cache_) {
    for (int i = 0; i < kRows + 1; ++i) {
      SequenceSpec spec;
      spec.prompt.assign(static_cast<size_t>(shared), 7);
      // Not all of equal length: pages fill up in different steps.
      for (int k = 0; k < own + i % kPagePositions; ++k) spec.prompt.push_back(i);
      // The last one waits all the time.
      spec.expected_tokens = i < kRows ? kAnswer : 1 << 28;
      scheduler_.add(std::move(spec));
    }
    while (step().rows() != kRows || scheduler_.running() != kRows) {
    }
  }

  const Step& step() {
    const Step& step = scheduler_.plan();
    scheduler_.commit();
    for (const LogitsRow& row : step.logits) {
      const TokenId token = step.positions[static_cast<size_t>(row.row)] % 1000;
      scheduler_.append(row.sequence, std::span(&token, 1));
    }
    return step;
  }

 private:
  static std::vector<PageClassSpec> classes(int shared, int own, bool windowed, bool scarce) {
    const int alone = (own + kAnswer) / kPagePositions + 2;
    const int pages =
        scarce ? shared / kPagePositions + kRows * alone : (kRows + 2) * (shared / kPagePositions + alone);
    if (!windowed) return {{0, pages}};
    return {{0, pages}, {kWindow, 2 * kRows * (kWindow / kPagePositions + 2)}};
  }
  static SchedulerOptions options(bool scarce) {
    SchedulerOptions options;
    options.max_batch = scarce ? kRows + 1 : kRows;
    return options;
  }

  PageCache cache_;
  Scheduler scheduler_;
};

// Arguments: tokens that all share, tokens of each prompt alone, whether there is a windowed class beside the full one,
// whether memory is scarce.
void decode_step(benchmark::State& state) {
  Decoding decoding(static_cast<int>(state.range(0)), static_cast<int>(state.range(1)), state.range(2) != 0,
                    state.range(3) != 0);
  for (auto _ : state) benchmark::DoNotOptimize(decoding.step().rows());
  state.counters["rows"] = kRows;
}

BENCHMARK(decode_step)
    ->ArgNames({"shared", "own", "windowed", "scarce"})
    ->Args({0, 200, 0, 0})
    ->Args({16384, 200, 0, 0})
    ->Args({0, 200, 1, 0})
    ->Args({16384, 200, 1, 0})
    ->Args({0, 4096, 1, 0})
    ->Args({0, 200, 1, 1})
    ->Args({16384, 200, 1, 1})
    ->Iterations(2000)
    ->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace batchwright

// What an engine tells of its steps: sums over all of them, and the last one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <vector>

#include "batchwright/engine.h"
#include "cache/page_cache.h"
#include "engine/kv_pages.h"
#include "schedule/cost_model.h"
#include "schedule/scheduler.h"

namespace batchwright {

// One thread keeps the accounts; stats() and last_step() may be called on any.
class StepAccounts {
 public:
  // Before the first step.
  void set_weight_bytes(size_t bytes);
  void set_pages(const KvPages& pages);

  // Of a request that was admitted, and tokens that answers got.
  void add_prompt(size_t tokens);
  void add_generated(int tokens);

  // What a step's sequences are and hold while the model runs.
  void describe_sequences(const Scheduler& scheduler, const PageCache& cache, StepRecord& record) const;
  // A step is over: it gets its number, and what answers got since the one before.
  void close(StepRecord& record, StepLimit limit);
  // What is so now, and not of a step.
  void update(const Scheduler& scheduler, const PageCache& cache, const CostCheck& costs);

  EngineStats stats() const;
  StepRecord last_step() const;

 private:
  mutable std::mutex mutex_;
  EngineStats stats_;
  StepRecord last_step_;
  int64_t generated_before_ = 0;    // of stats_.generated_tokens: counted in last_step_ or before it
  std::vector<size_t> page_bytes_;  // of each page class
};

}  // namespace batchwright

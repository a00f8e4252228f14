#include "engine/step_accounts.h"

#include <utility>

namespace batchwright {

void StepAccounts::set_weight_bytes(size_t bytes) { stats_.weight_bytes = bytes; }

void StepAccounts::set_pages(const KvPages& pages) {
  page_bytes_ = pages.page_bytes;
  for (const int32_t count : pages.counts) stats_.kv_pages_total += count;
  stats_.kv_memory_bytes = pages.bytes();
}

void StepAccounts::add_prompt(size_t tokens) {
  const std::lock_guard lock(mutex_);
  stats_.prompt_tokens += static_cast<int64_t>(tokens);
}

void StepAccounts::add_generated(int tokens) {
  const std::lock_guard lock(mutex_);
  stats_.generated_tokens += tokens;
}

void StepAccounts::describe_sequences(const Scheduler& scheduler, const PageCache& cache, StepRecord& record) const {
  record.sequences_running = scheduler.running();
  record.sequences_waiting = scheduler.waiting();
  record.kv_pages_total = stats_.kv_pages_total;
  record.kv_bytes_total = stats_.kv_memory_bytes;
  for (int c = 0; c < cache.classes(); ++c) {
    record.kv_pages_used += cache.held(c);
    record.kv_bytes_used += static_cast<size_t>(cache.held(c)) * page_bytes_[static_cast<size_t>(c)];
  }
}

void StepAccounts::close(StepRecord& record, StepLimit limit) {
  const std::lock_guard lock(mutex_);
  record.step = ++stats_.steps;
  record.generated_tokens = stats_.generated_tokens - std::exchange(generated_before_, stats_.generated_tokens);
  const double share = static_cast<double>(record.prompt_tokens_computed) / record.tokens();
  stats_.last_step_limit = limit;
  stats_.prompt_tokens_computed += record.prompt_tokens_computed;
  stats_.steps_filled += static_cast<double>(record.tokens()) / record.token_budget;
  stats_.seconds_prefill += record.seconds * share;
  stats_.seconds_decode += record.seconds * (1 - share);
  last_step_ = record;
}

void StepAccounts::update(const Scheduler& scheduler, const PageCache& cache, const CostCheck& costs) {
  const std::lock_guard lock(mutex_);
  stats_.preemptions = scheduler.preemptions();
  stats_.sequences_running = scheduler.running();
  stats_.sequences_waiting = scheduler.waiting();
  stats_.cost_model_error = costs.median_error();
  stats_.steps_predicted = costs.steps();
  stats_.kv_pages_used = 0;
  stats_.kv_bytes_touched = 0;
  for (int c = 0; c < cache.classes(); ++c) {
    stats_.kv_pages_used += cache.held(c);
    stats_.kv_bytes_touched += static_cast<size_t>(cache.touched(c)) * page_bytes_[static_cast<size_t>(c)];
  }
}

EngineStats StepAccounts::stats() const {
  const std::lock_guard lock(mutex_);
  return stats_;
}

StepRecord StepAccounts::last_step() const {
  const std::lock_guard lock(mutex_);
  return last_step_;
}

}  // namespace batchwright

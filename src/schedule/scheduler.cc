#include "schedule/scheduler.h"

#include <algorithm>
#include <span>
#include <utility>

#include "base/check.h"
#include "step/attention_groups.h"

namespace batchwright {
namespace {

int blocks_for(int positions) { return (positions + kPagePositions - 1) / kPagePositions; }

}  // namespace

Scheduler::Scheduler(const SchedulerOptions& options, PageCache& cache) : options_(options), cache_(cache) {
  options_.max_batch_tokens = std::max(options_.max_batch_tokens, options_.max_batch);
  step_.classes.resize(static_cast<size_t>(cache.classes()));
}

int64_t Scheduler::add(SequenceSpec spec) {
  BATCHWRIGHT_CHECK(!spec.prompt.empty());
  auto s = std::make_unique<Sequence>();
  s->id = next_id_++;
  s->tokens = std::move(spec.prompt);
  s->known_length = static_cast<int>(s->tokens.size());
  s->spec = std::move(spec);
  const int64_t id = s->id;
  waiting_.emplace(id, std::move(s));
  return id;
}

void Scheduler::remove(int64_t sequence) {
  for (Queue* queue : {&running_, &waiting_}) {
    const auto it = queue->find(sequence);
    if (it == queue->end()) continue;
    cache_.release(it->second->table);
    queue->erase(it);
    return;
  }
}

void Scheduler::append(int64_t sequence, std::span<const TokenId> tokens) {
  BATCHWRIGHT_CHECK(!tokens.empty());
  Sequence& s = *running_.at(sequence);
  s.tokens.insert(s.tokens.end(), tokens.begin(), tokens.end());
}

void Scheduler::set_full_logits(int64_t sequence, bool full) { running_.at(sequence)->spec.full_logits = full; }

int64_t Scheduler::prompt_rows(int64_t sequence) const {
  for (const Queue* queue : {&running_, &waiting_}) {
    if (const auto it = queue->find(sequence); it != queue->end()) return it->second->prompt_rows;
  }
  return 0;
}

void Scheduler::set_max_batch_tokens(int tokens) { options_.max_batch_tokens = std::max(tokens, options_.max_batch); }

const Step& Scheduler::plan() {
  step_.clear();
  budget_ = options_.max_batch_tokens;
  out_of_pages_ = false;
  for (auto& [id, s] : running_) s->planned = 0;
  if (options_.prefill_first) {
    plan_prefills();
    if (step_.runs.empty()) plan_decodes();
  } else {
    plan_decodes();
    plan_prefills();
  }
  plan_attention();
  return step_;
}

void Scheduler::plan_decodes() {
  std::vector<int64_t> decoding;
  for (const auto& [id, s] : running_) {
    if (s->remaining() == 1) decoding.push_back(id);
  }
  for (const int64_t id : decoding) {
    const auto it = running_.find(id);
    if (it == running_.end()) continue;  // given up for an older one
    if (budget_ == 0) return;
    if (add_run(*it->second, 1) == 0 && running_.size() > 1) preempt(it);
  }
}

void Scheduler::plan_prefills() {
  std::vector<int64_t> prefilling;
  for (const auto& [id, s] : running_) {
    if (s->remaining() > 1 && s->planned == 0) prefilling.push_back(id);
  }
  for (const int64_t id : prefilling) {
    const auto it = running_.find(id);
    if (it == running_.end()) continue;
    if (budget_ == 0) return;
    Sequence& s = *it->second;
    if (!waits_for_prefix(s)) add_run(s, s.remaining());
  }
  while (!waiting_.empty() && running() < options_.max_batch && budget_ > 0) {
    Sequence& s = *waiting_.begin()->second;
    const bool waits = waits_for_prefix(s);
    if (!fits(s)) {
      // What was adopted would only block others' pages.
      cache_.release(s.table);
      s.computed = 0;
      out_of_pages_ = true;
      return;
    }
    running_.insert(waiting_.extract(waiting_.begin()));
    if (!waits) add_run(s, s.remaining());
  }
}

// Takes what the tree holds of the sequence's tokens. Positions whose logits are wanted are always computed: the last
// known one among them.
bool Scheduler::waits_for_prefix(Sequence& s) {
  if (!options_.share_prefixes || s.computed % kPagePositions != 0) return false;
  const int last = static_cast<int>(s.tokens.size()) - 1;
  const int from = s.spec.prompt_logits_from;
  const int limit = (from < 0 ? last : std::min(last, from)) / kPagePositions;
  const bool waits = cache_.adopt_prefix(s.table, s.tokens, limit) == PageCache::Prefix::kWait;
  s.computed = std::max(s.computed, s.table.published() * kPagePositions);
  return waits;
}

// Room for the sequence's known tokens, and a page for each that runs already.
bool Scheduler::fits(const Sequence& s) const {
  if (running_.empty()) return true;
  const int needed = blocks_for(static_cast<int>(s.tokens.size())) - s.table.blocks();
  for (int c = 0; c < cache_.classes(); ++c) {
    const int window = cache_.spec(c).window;
    const int at_once = window == 0 ? needed : std::min(needed, blocks_for(window + options_.max_batch_tokens) + 1);
    if (cache_.available(c) < at_once + running()) return false;
  }
  return true;
}

bool Scheduler::preempt_youngest_after(int64_t id) {
  for (auto it = running_.end(); it != running_.begin();) {
    --it;
    if (it->first <= id) return false;
    if (it->second->planned > 0) continue;
    preempt(it);
    return true;
  }
  return false;
}

void Scheduler::preempt(Queue::iterator it) {
  Sequence& s = *it->second;
  cache_.release(s.table);
  s.computed = 0;
  ++preemptions_;
  waiting_.insert(running_.extract(it));
}

int Scheduler::add_run(Sequence& s, int wanted) {
  wanted = std::min(wanted, budget_);
  int count = 0;
  do {
    const int blocks = cache_.reserve(s.table, blocks_for(s.computed + wanted));
    count = std::min(wanted, blocks * kPagePositions - s.computed);
  } while (count < wanted && preempt_youngest_after(s.id));
  if (count <= 0) return 0;

  step_.runs.push_back({s.id, s.computed, step_.rows(), count});
  for (int i = 0; i < count; ++i) {
    const int position = s.computed + i;
    const bool last = position + 1 == static_cast<int>(s.tokens.size());
    const int from = s.spec.prompt_logits_from;
    const bool scored = from >= 0 && position >= from && position < s.known_length;
    if (last || scored) step_.logits.push_back({step_.rows(), s.id, s.spec.full_logits || scored});
    step_.tokens.push_back(s.tokens[static_cast<size_t>(position)]);
    step_.positions.push_back(position);
    for (int c = 0; c < cache_.classes(); ++c) {
      step_.classes[static_cast<size_t>(c)].write_pages.push_back(s.table.page(c, position / kPagePositions));
    }
    if (position < s.known_length - s.spec.answer_tokens) ++s.prompt_rows;
  }
  s.planned = count;
  budget_ -= count;
  return count;
}

void Scheduler::plan_attention() {
  for (int c = 0; c < cache_.classes(); ++c) {
    const int window = cache_.spec(c).window;
    std::vector<std::vector<PageId>> pages;
    std::vector<RunPages> runs;
    pages.reserve(step_.runs.size());
    for (const Run& run : step_.runs) {
      const BlockTable& table = running_.at(run.sequence)->table;
      const int first_visible = window == 0 ? 0 : std::max(0, run.first_position - window + 1);
      const int first_block = first_visible / kPagePositions;
      const int last_block = (run.first_position + run.count - 1) / kPagePositions;
      std::vector<PageId>& list = pages.emplace_back();
      for (int block = first_block; block <= last_block; ++block) list.push_back(table.page(c, block));
      runs.push_back({run.first_row, run.count, first_block, list});
    }
    step_.classes[static_cast<size_t>(c)].levels = build_attention_groups(runs);
  }
}

void Scheduler::commit() {
  for (const Run& run : step_.runs) {
    const auto it = running_.find(run.sequence);
    if (it == running_.end()) continue;
    Sequence& s = *it->second;
    s.computed += run.count;
    s.planned = 0;
    if (options_.share_prefixes) cache_.publish(s.table, s.tokens, s.computed);
    cache_.leave_window(s.table, s.computed);
  }
}

}  // namespace batchwright

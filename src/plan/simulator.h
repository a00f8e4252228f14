// A job's run without a model: the real scheduler and page cache, with a cost model in place of the forward pass.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "batchwright/engine.h"
#include "cache/page_cache.h"
#include "plan/step_columns.h"
#include "schedule/answer_lengths.h"
#include "schedule/cost_model.h"

namespace batchwright {

// A row as scheduler and cost model see it. There are no tokens in it: in a depth-first order the beginnings that
// neighbours have in common tell all of the tree, and the simulator makes up tokens that begin alike in the same way.
struct SimulatedRow {
  uint32_t prompt_tokens = 1;  // at least 1
  // Leading tokens with which the row before it begins as well; that is the last one before it with is_shared. Of rows
  // without is_shared it means nothing.
  uint32_t common_tokens = 0;
  uint32_t reused_tokens = 0;   // Request::reused_tokens, where it is known
  uint32_t max_tokens = 16;     // that a choice may generate; 0: none is
  uint32_t answer_tokens = 16;  // that a choice does generate here; at most max_tokens
  // Forward passes that a choice takes for them: fewer than answer_tokens where some are certain, in lists of answers.
  // 0: all are. More than answer_tokens mean as many as these.
  uint32_t answer_runs = 16;
  uint32_t group = 0;               // schedule/answer_lengths.h
  uint16_t choices = 1;             // Request::n
  uint16_t scored_paths = 0;        // sequences beside the choices that are only scored (Request::answer_logprobs)
  uint16_t scored_path_tokens = 0;  // of each of these, beyond the prompt; at least 1 where there are any
  bool full_logits = false;         // whole rows of logits: sampling, log-probabilities, lists of answers
  bool is_shared = true;            // false: Request::prompt_logprobs, which computes and scores all of its prompt
};

struct SimulationOptions {
  int max_batch = 64;
  int max_batch_tokens = 512;
  int requests_ahead = 128;  // rows in flight, those that wait for memory among them (job/step_loop.cc)
  bool share_prefixes = true;
  // Of the model, in the order of CostModel::shape. Enough pages that the longest row fits alone.
  std::vector<PageClassSpec> page_classes;
  std::vector<size_t> page_bytes;  // of a page of each class
  Admission admission = Admission::kPastFuture;
};

struct SimulationResult {
  bool stopped = false;  // by the caller, before the end: all below is of the steps until then
  double seconds = 0;
  int64_t steps = 0;
  // As EngineStats counts them.
  int64_t prompt_tokens = 0;
  int64_t prompt_tokens_computed = 0;
  int64_t generated_tokens = 0;
  int64_t preemptions = 0;
  int64_t rows_ended = 0;
  int64_t rows_paused = 0;       // rows of which a sequence gave up its pages, each once
  int64_t row_steps_max = 0;     // steps that a row was in flight, the longest
  size_t kv_bytes_held_max = 0;  // by sequences at once
  size_t kv_bytes_touched = 0;   // of pages that were ever used: so much memory the KV cache really takes in the end
  double mean_fill = 0;          // of the steps' token budget
  double mean_batch = 0;         // sequences that run, over the steps
  std::array<double, 4> seconds_by_limit{};  // by StepLimit: what kept steps from holding more
  StepColumns columns;

  double limited_seconds(StepLimit limit) const { return seconds_by_limit[static_cast<size_t>(limit)]; }
};

// Runs the rows in the order in which they stand, submitted, admitted, stepped and ended as engine/engine.cc and
// job/step_loop.cc do it. Nothing is drawn: equal arguments give equal results. Takes memory by rows in flight, not by
// rows. `stop` is asked now and then.
SimulationResult simulate(std::span<const SimulatedRow> rows, const SimulationOptions& options, const CostModel& model,
                          const std::function<bool()>& stop = {});

}  // namespace batchwright

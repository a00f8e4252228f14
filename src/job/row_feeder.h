// The reading side of a job: rows parsed, rendered and tokenised beside the steps.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <optional>
#include <stop_token>
#include <thread>
#include <vector>

#include "job/bounded_queue.h"
#include "job/fed_row.h"
#include "job/row_planner.h"

namespace batchwright {

// Rows in the engine: enough waiting ones that it can always fill a step, few enough to hold their prompts.
inline int requests_ahead(int max_batch) { return 2 * std::max(max_batch, 4); }
// Rows before them, read, rendered and tokenised.
inline constexpr size_t kRowsAhead = 64;

// Owns a thread that takes the rows in the planner's order and stays so many ahead.
class RowFeeder {
 public:
  // All arguments must outlive the feeder.
  RowFeeder(RowPlanner& planner, const RowFile& rows, const RowIndex& index, const ProtocolContext& context,
            size_t ahead);
  ~RowFeeder();
  RowFeeder(const RowFeeder&) = delete;
  RowFeeder& operator=(const RowFeeder&) = delete;

  // As of BoundedQueue. Nothing for long: ask finished().
  std::optional<FedRow> next(std::chrono::milliseconds at_most) { return queue_.pop(at_most); }
  // No rows are left, because all are given out or because reading failed.
  bool finished() const { return queue_.finished(); }
  int64_t rows_planned() const { return planner_.rows_planned(); }
  // Prompt tokens of the rows planned so far, as RowPlanner counts them.
  int64_t prompt_tokens_planned() const { return planner_.prompt_tokens_distinct(); }
  // What the rows planned so far have before them.
  std::vector<WorkSegment> work_planned() const { return planner_.work(); }
  // Valid once finished: what stopped the reading.
  const Status& status() const { return status_; }

 private:
  void feed(const std::stop_token& stop);
  Status feed_window(const std::vector<PlannedRow>& window);

  RowPlanner& planner_;
  const RowFile& rows_;
  const RowIndex& index_;
  const ProtocolContext& context_;
  BoundedQueue<FedRow> queue_;
  Status status_;
  std::jthread thread_;
};

}  // namespace batchwright

// In which order a job's rows run: all of them are tokenised once for it before the first one runs.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "base/file_system.h"
#include "base/hash.h"
#include "job/fed_row.h"
#include "job/row_index.h"
#include "job/saved_plan.h"
#include "job/work_ahead.h"
#include "protocol/prepare_request.h"

namespace batchwright {

struct RowPlannerOptions {
  std::string path;  // where the order is kept; empty: nowhere
  Hash128 key;       // of what it follows from
  int threads = 1;
  bool file_order = false;  // the rows run as they stand in the file, and none is tokenised before but for `look`
  // Rows that may run at once: with any of so many before it a row may have its beginning in common.
  int neighbours = 64;
  // Rows that are ordered together. Larger jobs run window by window.
  int64_t window_rows = int64_t{1} << 20;
  // Sees each row before it runs, from several threads at once; may be empty.
  std::function<void(const FedRow&)> look;
};

struct PlannedRow {
  int64_t row = 0;
  int reused_tokens = -1;  // Request::reused_tokens
  // Leading tokens with which one of the neighbours before it begins as well, as refine_common_tokens() has them; of an
  // order that an earlier run saved whole pages alone, and 0 of rows that were not looked at.
  uint32_t common_tokens = 0;
};

// Takes the rows that are wanted, window by window. What it holds of a window's rows is 48 bytes each while it is made,
// 16 afterwards.
class RowPlanner {
 public:
  // All arguments must outlive the planner.
  RowPlanner(FileSystem& files, const RowFile& rows, const RowIndex& index, const std::vector<bool>& is_wanted,
             const ProtocolContext& context, RowPlannerOptions options);

  // The rows of the next window in the order in which they run; none when all were given out. Errors are those of
  // reading and writing the saved order; kInterrupted once a stop is requested; kResourceExhausted where memory runs
  // out on a thread. A row that can't be read stands last.
  Result<std::vector<PlannedRow>> next(const std::stop_token& stop);

  // Any thread. Rows that were looked at, and the prompt tokens that must be computed for them at least: whole pages
  // with which several prompts begin once, all others as often as there are choices.
  int64_t rows_planned() const { return rows_planned_; }
  int64_t prompt_tokens_distinct() const { return prompt_tokens_distinct_; }
  // Any thread. What the rows of all windows until now have before them, in their order; less, where a plan of an
  // earlier run does not say. What begins like a row before it (PlannedRow::common_tokens) is not computed.
  std::vector<WorkSegment> work() const;

 private:
  struct Prepared;
  struct Window;
  struct Plan;
  Result<std::vector<PlannedRow>> order_window(int64_t begin, int64_t end, const std::stop_token& stop);
  Result<std::vector<PlannedRow>> keep_file_order(int64_t begin, int64_t end, const std::stop_token& stop);
  std::vector<uint32_t> wanted_rows(int64_t begin, int64_t end) const;
  Result<Window> read_window(int64_t begin, int64_t end, const std::stop_token& stop);
  Result<Plan> make_plan(int64_t begin, int64_t end, const std::stop_token& stop);
  std::vector<uint32_t> common_with_neighbours(Window& window, const std::vector<OrderedRow>& order) const;
  void prepare_row(int64_t row, Prepared& out) const;
  // Empty where there is none any more.
  std::vector<TokenId> prompt_of(int64_t row) const;
  // As many of the rows, from this one on, as are held at a time.
  Status prepare(const std::vector<uint32_t>& rows, size_t begin, const std::stop_token& stop,
                 std::vector<Prepared>& out);
  size_t batch_end(const std::vector<uint32_t>& rows, size_t begin) const;
  bool covers_wanted(const SavedPlan& plan) const;
  void add_work(const std::vector<WorkSegment>& work);

  FileSystem& files_;
  const RowFile& rows_;
  const RowIndex& index_;
  const std::vector<bool>& is_wanted_;
  const ProtocolContext& context_;
  const RowPlannerOptions options_;
  int64_t next_row_ = 0;
  bool has_looked_ = false;
  std::optional<SavedPlan> saved_;  // by an earlier run
  std::atomic<int64_t> rows_planned_{0};
  std::atomic<int64_t> prompt_tokens_distinct_{0};
  mutable std::mutex work_mutex_;
  std::vector<WorkSegment> work_;
};

}  // namespace batchwright

// Steps over time, summed up in a few columns: however long a job runs, its picture takes the same memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace batchwright {

// One step, real or simulated.
struct StepSample {
  double begin_seconds = 0;  // by any clock
  double seconds = 0;
  int64_t token_budget = 0;
  int64_t decode_tokens = 0;
  int64_t prompt_tokens_computed = 0;
  int64_t prompt_tokens = 0;  // of prompts that it got past, computed or not
  size_t kv_bytes = 0;
};

// What falls into a stretch of time; a step that reaches over several is divided among them by its time in each.
struct StepColumn {
  double busy_seconds = 0;  // in which a step ran
  // Integrals over these: divided by busy_seconds, what the step held that ran.
  double budget_seconds = 0;
  double decode_seconds = 0;
  double prompt_seconds = 0;
  double prompt_tokens_computed = 0;
  double prompt_tokens = 0;
  size_t kv_bytes_max = 0;

  StepColumn& operator+=(const StepColumn& more);
};

// Not thread-safe.
class StepColumns {
 public:
  explicit StepColumns(size_t columns_max = 240);

  // A step that begins no earlier than the one before it. Where the columns no longer reach, each two become one. A
  // sample whose times are no times is left out.
  void add(const StepSample& step);

  double column_seconds() const { return column_seconds_; }
  double seconds() const { return seconds_; }  // from the first step's begin to the last one's end
  const std::vector<StepColumn>& columns() const { return columns_; }
  int64_t steps() const { return steps_; }
  int64_t tokens() const { return tokens_; }
  // The mean over the steps of the share of their budget that they used.
  double mean_fill() const { return steps_ > 0 ? filled_ / static_cast<double>(steps_) : 0; }
  StepColumn total() const;

 private:
  void widen();

  size_t columns_max_;
  double column_seconds_;
  double origin_ = 0;
  double seconds_ = 0;
  int64_t steps_ = 0;
  int64_t tokens_ = 0;
  double filled_ = 0;
  std::vector<StepColumn> columns_;
};

}  // namespace batchwright

// The writing side of a job: finished rows become lines beside the steps.
#pragma once

#include <atomic>
#include <cstdint>
#include <thread>
#include <variant>

#include "job/bounded_queue.h"
#include "job/job_output.h"
#include "job/result_line.h"
#include "job/row_feeder.h"

namespace batchwright {

struct FinishedRow {
  RowName name;
  ResponseShape shape;  // of completions
  std::variant<Completion, RequestError> outcome;
};

// Owns a thread. push() waits while too many rows have not been written.
class ResultWriter {
 public:
  // All references must outlive the writer.
  ResultWriter(JobOutput& output, const PromptEncoder& encoder, ResultContext context, size_t capacity);
  ~ResultWriter();
  ResultWriter(const ResultWriter&) = delete;
  ResultWriter& operator=(const ResultWriter&) = delete;

  void push(FinishedRow row) { (void)queue_.push(std::move(row)); }

  // Any thread. After the first failed write the rows that come are dropped, not counted.
  bool failed() const { return failed_.load(); }
  int64_t rows_ok() const { return rows_ok_.load(); }
  int64_t rows_failed() const { return rows_failed_.load(); }

  // Waits until everything that was pushed is written; the first error of all.
  Status close();

 private:
  void run();
  Status write(const FinishedRow& row);

  JobOutput& output_;
  const PromptEncoder& encoder_;
  const ResultContext context_;
  BoundedQueue<FinishedRow> queue_;
  Status status_;
  std::atomic<bool> failed_{false};
  std::atomic<int64_t> rows_ok_{0};
  std::atomic<int64_t> rows_failed_{0};
  std::jthread thread_;
};

}  // namespace batchwright

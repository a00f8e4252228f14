// The writing side of a job: finished rows become lines beside the steps.
#pragma once

#include <atomic>
#include <chrono>
#include <thread>
#include <utility>

#include "job/bounded_queue.h"
#include "job/result_format.h"

namespace batchwright {

// Owns a thread. push() waits while too many rows have not been written.
class ResultWriter {
 public:
  // All references must outlive the writer. The output is asked to commit at least so often.
  ResultWriter(JobOutput& output, const PromptEncoder& encoder, const ResultFormat& format, double commit_seconds,
               size_t capacity);
  ~ResultWriter();
  ResultWriter(const ResultWriter&) = delete;
  ResultWriter& operator=(const ResultWriter&) = delete;

  void push(FinishedRow row) { (void)queue_.push(std::move(row)); }

  // Any thread. After the first failed write the rows that come are dropped, not counted.
  bool failed() const { return failed_.load(); }
  ReportedRows reported() const { return output_.reported(); }

  // Waits until everything that was pushed is written; the first error of all.
  Status close();

 private:
  void run();

  JobOutput& output_;
  const PromptEncoder& encoder_;
  const ResultFormat& format_;
  const std::chrono::milliseconds commit_interval_;
  BoundedQueue<FinishedRow> queue_;
  Status status_;
  std::atomic<bool> failed_{false};
  std::jthread thread_;
};

}  // namespace batchwright
